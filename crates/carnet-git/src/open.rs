//! Finding and opening the repository.
//!
//! Honours the environment that git gives to hooks (`GIT_DIR`, `GIT_INDEX_FILE`, `GIT_OBJECT_DIRECTORY`,
//! `GIT_ALTERNATE_OBJECT_DIRECTORIES`, …). When gix declines, `git` is asked for the reason, so that a
//! person reads the same answer from both.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::HashSet,
    env,
    path::{Path, PathBuf},
};

use carnet_core::ObjectFormat;
use gix::sec::trust::DefaultForLevel as _;

use crate::{Cause, convert, program};

/// An open repository. Not shared between threads: open one in each (about half a millisecond).
pub struct Repo {
    pub(crate) gix: gix::Repository,
    /// Object stores named by the environment: a hook's quarantine and its alternates.
    pub(crate) env_objects: Vec<gix::odb::Handle>,
    /// Loose objects written here and not yet flushed to the disk.
    pub(crate) unsynced: RefCell<Vec<crate::write::Unsynced>>,
    /// Objects that this [`Repo`] flushed.
    pub(crate) flushed: RefCell<HashSet<carnet_core::GitOid>>,
    pub(crate) packer: RefCell<crate::write::Packer>,
    pub(crate) names_go_with_files: OnceCell<bool>,
    /// Second names of what was written and is not yet named by a ref.
    pub(crate) held: RefCell<Option<crate::held::Hold>>,
    /// Where new loose objects go.
    pub(crate) objects_dir: PathBuf,
    pub(crate) index_path: PathBuf,
    /// Where discovery began; a child that must see the hook's own environment starts here.
    pub(crate) start: PathBuf,
    /// True after a write to the configuration, which the snapshot in memory does not show.
    pub(crate) config_is_stale: Cell<bool>,
    git_dir: PathBuf,
    common_dir: PathBuf,
    work_tree: Option<PathBuf>,
    state_dir: PathBuf,
    is_reftable: bool,
}

/// Why there is no repository to work on.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Neither the directory nor any parent is a repository.
    #[error("no git repository in `{}` or any parent directory", start.display())]
    NotARepository {
        /// Where the search began.
        start: PathBuf,
    },
    /// The repository has no work tree, and the caller needs one.
    #[error("`{}` is a bare repository, without a work tree", git_dir.display())]
    Bare {
        /// The repository.
        git_dir: PathBuf,
    },
    /// The repository belongs to another user, and `safe.directory` does not name it.
    #[error("the repository at `{}` belongs to another user", path.display())]
    Unsafe {
        /// Where the search began.
        path: PathBuf,
        /// What git, or gix when there is no git, says of it.
        detail: String,
    },
    /// Git opens the repository, carnet does not: an unknown format or extension.
    #[error("the repository at `{}` is of a form that carnet cannot read: {detail}", path.display())]
    Unsupported {
        /// Where the search began.
        path: PathBuf,
        /// What is not supported.
        detail: String,
    },
    /// The repository is there and cannot be read.
    #[error("open the repository at `{}`", path.display())]
    Unreadable {
        /// Where the search began.
        path: PathBuf,
        /// Why.
        #[source]
        source: Cause,
    },
}

impl Repo {
    /// Finds the repository of `start` or, in a hook, the one that the environment names.
    ///
    /// - `start`: a directory inside a work tree or a git directory; relative to the current directory.
    ///
    /// A bare repository is opened; use [`Repo::require_work_tree`] where that is not enough.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says whether there is none, whether it is someone else's, or why it cannot be read.
    pub fn discover(start: &Path) -> Result<Repo, OpenError> {
        let start = absolute(start)?;
        let full = gix::open::Options::default_for_level(gix::sec::Trust::Full)
            .cli_overrides(["core.useReplaceRefs=false"])
            .lossy_config(true);
        let reduced = full.clone().bail_if_untrusted(true);
        let trust_map = gix::sec::trust::Mapping { full, reduced };
        let options = gix::discover::upwards::Options {
            match_ceiling_dir_or_error: false,
            ..Default::default()
        };
        let opened = gix::ThreadSafeRepository::discover_with_environment_overrides_opts(
            &start, options, trust_map,
        );
        match opened {
            Ok(opened) => Repo::from_gix(opened.into(), start),
            Err(err) => Err(explain(err, start)),
        }
    }

    fn from_gix(gix: gix::Repository, start: PathBuf) -> Result<Repo, OpenError> {
        refuse_unknown_form(&gix, &start)?;
        let git_dir = absolute(gix.git_dir())?;
        let common_dir = normal(&absolute(gix.common_dir())?);
        let work_tree = gix.workdir().map(absolute).transpose()?;
        let index_path = match env::var_os("GIT_INDEX_FILE") {
            // Git reads a relative name after it has changed to the top of the work tree.
            Some(path) if env::var_os("GIT_DIR").is_none() => {
                work_tree.as_deref().unwrap_or(&start).join(path)
            }
            Some(path) => absolute(Path::new(&path))?,
            None => git_dir.join("index"),
        };
        let storage = gix.config_snapshot().string("extensions.refStorage");
        let is_reftable = storage.is_some_and(|storage| !storage.eq_ignore_ascii_case(b"files"));
        let env_objects = env_object_dirs()
            .into_iter()
            .map(|dir| gix::odb::at(dir, gix.object_hash()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|err| OpenError::Unreadable { path: start.clone(), source: Box::new(err) })?;
        let objects_dir = match env::var_os("GIT_OBJECT_DIRECTORY") {
            // A hook's quarantine vanishes when the push is refused; what we write must not.
            Some(dir) if env::var_os("GIT_QUARANTINE_PATH").is_none() => absolute(Path::new(&dir))?,
            _ => common_dir.join("objects"),
        };
        let state_dir = common_dir.join("carnet");
        Ok(Repo {
            gix,
            env_objects,
            unsynced: RefCell::default(),
            flushed: RefCell::default(),
            packer: RefCell::default(),
            names_go_with_files: OnceCell::new(),
            held: RefCell::default(),
            objects_dir,
            index_path,
            start,
            config_is_stale: Cell::new(false),
            git_dir,
            common_dir,
            work_tree,
            state_dir,
            is_reftable,
        })
    }

    /// Returns the git directory of this work tree, absolute.
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Returns the git directory that all linked worktrees share, absolute.
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// Returns the top of the work tree, absolute; `None` in a bare repository.
    pub fn work_tree(&self) -> Option<&Path> {
        self.work_tree.as_deref()
    }

    /// Returns the top of the work tree.
    ///
    /// # Errors
    ///
    /// [`OpenError::Bare`] when there is none.
    pub fn require_work_tree(&self) -> Result<&Path, OpenError> {
        let bare = || OpenError::Bare { git_dir: self.git_dir.clone() };
        self.work_tree.as_deref().ok_or_else(bare)
    }

    /// Tells whether there is no work tree.
    pub fn is_bare(&self) -> bool {
        self.work_tree.is_none()
    }

    /// Returns the hash that names objects here.
    pub fn object_format(&self) -> ObjectFormat {
        convert::format_of(self.gix.object_hash())
    }

    /// Tells whether refs are kept in another storage than loose and packed files.
    pub fn is_reftable(&self) -> bool {
        self.is_reftable
    }

    /// Returns where carnet keeps local, rebuildable state: `<common dir>/carnet`. It may not exist yet.
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }
}

/// Extensions of the repository format that change nothing for us, or that this room honours.
const KNOWN_EXTENSIONS: [&str; 8] = [
    "noop",
    "noop-v1",
    "objectformat",
    "partialclone",
    "preciousobjects",
    "refstorage",
    "relativeworktrees",
    "worktreeconfig",
];

/// Refuses what git's `repository-version` document says must be refused; gix opens it all.
fn refuse_unknown_form(gix: &gix::Repository, path: &Path) -> Result<(), OpenError> {
    let unsupported = |detail| Err(OpenError::Unsupported { path: path.to_owned(), detail });
    let config = gix.config_snapshot();
    let version = config.integer("core.repositoryFormatVersion").unwrap_or(0);
    if version < 1 {
        return Ok(());
    }
    if version > 1 {
        return unsupported(format!("repository format version `{version}`"));
    }
    let sections = config.plumbing().sections_by_name("extensions").into_iter().flatten();
    for section in sections {
        for name in section.value_names() {
            let name = name.to_string().to_ascii_lowercase();
            if !KNOWN_EXTENSIONS.contains(&name.as_str()) {
                return unsupported(format!("extension `{name}`"));
            }
        }
    }
    Ok(())
}

/// Object directories that the environment adds, in git's order of precedence.
fn env_object_dirs() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    dirs.extend(env::var_os("GIT_OBJECT_DIRECTORY").map(PathBuf::from));
    if let Some(list) = env::var_os("GIT_ALTERNATE_OBJECT_DIRECTORIES") {
        dirs.extend(env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()));
    }
    dirs.retain(|dir| dir.is_dir());
    dirs
}

/// Asks git why gix declined.
fn explain(err: gix::Error, start: PathBuf) -> OpenError {
    let said = program::ask(&start, &["rev-parse", "--git-dir"]);
    match said {
        Ok(_) => OpenError::Unsupported { path: start, detail: format!("{err:#}") },
        Err(program::ProgramError::Failed { stderr, .. }) => {
            if stderr.contains("dubious ownership") {
                OpenError::Unsafe { path: start, detail: stderr }
            } else if stderr.contains("not a git repository") {
                OpenError::NotARepository { start }
            } else if stderr.contains("repo version") || stderr.contains("extension") {
                OpenError::Unsupported { path: start, detail: stderr }
            } else {
                OpenError::Unreadable { path: start, source: stderr.into() }
            }
        }
        Err(_) if err.is_not_found() => OpenError::NotARepository { start },
        Err(_) if err.is_permission_denied() => {
            OpenError::Unsafe { path: start, detail: format!("{err:#}") }
        }
        Err(_) => OpenError::Unreadable { path: start, source: convert::cause(err) },
    }
}

fn absolute(path: &Path) -> Result<PathBuf, OpenError> {
    std::path::absolute(path)
        .map_err(|err| OpenError::Unreadable { path: path.to_owned(), source: Box::new(err) })
}

/// Takes `a/worktrees/b/../..` to `a`, as git writes it in `commondir`; other paths stay as they are.
fn normal(path: &Path) -> PathBuf {
    if path.components().any(|part| part == std::path::Component::ParentDir) {
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    } else {
        path.to_owned()
    }
}
