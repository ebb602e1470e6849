//! The policy in force: what carnet ships, or what the commit holds that the configured policy ref names.
//!
//! Never the work tree, which an agent can edit, but to tighten: what it says must be met as well.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use carnet_core::RepoPath;
use carnet_git::{HeadError, ObjectError, Repo};
use carnet_policy::{ContentPolicy, PolicyProblem};

use crate::suppressions::FINDINGS_FILE;

/// The configuration key that names the ref whose commit holds the policy.
pub const POLICY_REF_KEY: &str = "carnet.policyRef";
/// Which program a tool's name means, by its bytes.
pub const TOOL_LOCK_FILE: &str = "policy/tools.lock";
/// Largest policy file, in bytes.
pub(crate) const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The allowlists that decide, and where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyInForce {
    /// `built-in`, or the id of the commit that the policy ref named.
    pub origin: String,
    /// Name (`allowlists/<lane>.toml`) and text of every allowlist.
    pub allowlists: Vec<(String, String)>,
    /// The same of the work tree's allowlists, named `work-tree:allowlists/<lane>.toml`: they tighten.
    pub work_tree: Vec<(String, String)>,
    /// Name and text of the tool locks: the policy's own, and the work tree's where that says something else. A tool
    /// must be as each of them says.
    pub tool_locks: Vec<(String, String)>,
}

/// Why there is no policy to decide by.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The policy ref names no commit.
    #[error("policy ref `{name}` names no commit")]
    Ref {
        /// The configured value.
        name: String,
        /// Why.
        #[source]
        source: HeadError,
    },
    /// The commit's files cannot be read.
    #[error("read the policy of `{name}`")]
    Object {
        /// The configured value.
        name: String,
        /// Why.
        #[source]
        source: ObjectError,
    },
    /// A file of the work tree is there and cannot be read, so nothing is known of what it forbids.
    #[error("read work-tree:{name}")]
    WorkTree {
        /// Its path in the work tree.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The commit has no allowlists.
    #[error("the commit of policy ref `{0}` has no allowlists/*.toml")]
    Empty(String),
    /// More rule files than are read.
    #[error("the policy has more than {RULE_FILES_MAX} files in {RULES_DIR}")]
    ManyRules,
    /// A policy file is not UTF-8.
    #[error("policy file `{0}` is not UTF-8")]
    NotUtf8(String),
    /// The content policy is wrong.
    #[error("policy/content.toml is wrong: {}", lines(.0))]
    Content(Vec<PolicyProblem>),
}

fn lines(problems: &[PolicyProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl PolicyInForce {
    /// What [`PolicyInForce::origin`] says where no policy ref is configured.
    pub const BUILT_IN: &str = "built-in";

    /// Reads the policy in force.
    ///
    /// # Errors
    ///
    /// [`PolicyError`]: a configured policy that cannot be read is never replaced by the built-in one.
    pub fn load(repo: &Repo) -> Result<PolicyInForce, PolicyError> {
        let mut policy = PolicyInForce::untightened(repo)?;
        if let Some(work_tree) = repo.work_tree() {
            policy.work_tree = work_tree_allowlists(work_tree)?;
            let own = work_tree_file(work_tree, TOOL_LOCK_FILE)?;
            let own = own.filter(|own| policy.tool_locks.iter().all(|(_, text)| text != own));
            let own = own.map(|own| (format!("work-tree:{TOOL_LOCK_FILE}"), own));
            policy.tool_locks.extend(own);
        }
        Ok(policy)
    }

    /// Returns what carnet ships with, tightened by nothing.
    pub fn built_in() -> PolicyInForce {
        let built_in = carnet_policy::built_in_files().iter();
        let allowlists = built_in.map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        PolicyInForce {
            origin: PolicyInForce::BUILT_IN.to_owned(),
            allowlists: allowlists.collect(),
            work_tree: vec![],
            tool_locks: vec![],
        }
    }

    fn untightened(repo: &Repo) -> Result<PolicyInForce, PolicyError> {
        let Some(name) = repo.config_get(POLICY_REF_KEY) else {
            return Ok(PolicyInForce::built_in());
        };
        let commit_id = repo
            .resolve_commit(&name)
            .map_err(|source| PolicyError::Ref { name: name.clone(), source })?;
        let object = |source| PolicyError::Object { name: name.clone(), source };
        let mut allowlists = vec![];
        if let Some(tree) = repo.subtree(&commit_id, &well_formed("allowlists")).map_err(object)? {
            for file in repo.tree_files(&tree).map_err(object)? {
                let name = format!("allowlists/{}", file.path);
                if name == FINDINGS_FILE {
                    continue;
                }
                if name.ends_with(".toml") && file.mode == carnet_git::EntryMode::File {
                    let bytes = repo.read_blob(&file.id, FILE_BYTES_MAX).map_err(object)?;
                    let text =
                        String::from_utf8(bytes).map_err(|_| PolicyError::NotUtf8(name.clone()))?;
                    allowlists.push((name, text));
                }
            }
        }
        if allowlists.is_empty() {
            return Err(PolicyError::Empty(name));
        }
        let lock = repo.read_path(&commit_id, &well_formed(TOOL_LOCK_FILE), FILE_BYTES_MAX);
        let lock = lock.map_err(object)?.map(String::from_utf8).transpose();
        let lock = lock.map_err(|_| PolicyError::NotUtf8(TOOL_LOCK_FILE.to_owned()))?;
        Ok(PolicyInForce {
            origin: commit_id.to_string(),
            allowlists,
            work_tree: vec![],
            tool_locks: lock.into_iter().map(|text| (TOOL_LOCK_FILE.to_owned(), text)).collect(),
        })
    }
}

/// Reads `*.toml` of a work tree's `allowlists/`, but the accepted findings; nothing where there is no such directory.
fn work_tree_allowlists(work_tree: &Path) -> Result<Vec<(String, String)>, PolicyError> {
    let failed = |source| PolicyError::WorkTree { name: "allowlists".to_owned(), source };
    let entries = match fs::read_dir(work_tree.join("allowlists")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(failed(error)),
    };
    let mut allowlists = vec![];
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let Some(name) = name.to_str().filter(|name| name.ends_with(".toml")) else { continue };
        if FINDINGS_FILE.ends_with(name) {
            continue;
        }
        let name = format!("allowlists/{name}");
        if let Some(text) = work_tree_file(work_tree, &name)? {
            allowlists.push((format!("work-tree:{name}"), text));
        }
    }
    allowlists.sort();
    Ok(allowlists)
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Reads a policy file of a work tree; `None` where there is none.
fn work_tree_file(work_tree: &Path, name: &str) -> Result<Option<String>, PolicyError> {
    let failed = |source| PolicyError::WorkTree { name: name.to_owned(), source };
    let path = work_tree.join(name);
    let found = fs::metadata(&path);
    // A link that leads nowhere is there.
    if found.as_ref().is_err_and(is_absence) && !path.is_symlink() {
        return Ok(None);
    }
    // A FIFO would never end, a directory never begin.
    if !found.map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is no file")));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    // One byte more than a policy may have: the reader of policies then says that it is too large.
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    Ok(Some(text))
}

/// Reads the content policy in force: `policy/content.toml` of the policy ref's commit where it has one, else the
/// built-in one.
///
/// # Errors
///
/// [`PolicyError`].
pub fn content_policy(repo: &Repo) -> Result<ContentPolicy, PolicyError> {
    let path = "policy/content.toml";
    match policy_file(repo, path)? {
        None => Ok(ContentPolicy::built_in()),
        Some(text) => ContentPolicy::parse(path, &text).map_err(PolicyError::Content),
    }
}

/// Reads a file of the policy ref's commit; `None` where it has none, or no policy ref is configured.
///
/// # Errors
///
/// [`PolicyError`].
pub fn policy_file(repo: &Repo, path: &str) -> Result<Option<String>, PolicyError> {
    let Some(name) = repo.config_get(POLICY_REF_KEY) else { return Ok(None) };
    let commit_id = repo
        .resolve_commit(&name)
        .map_err(|source| PolicyError::Ref { name: name.clone(), source })?;
    let bytes = repo
        .read_path(&commit_id, &well_formed(path), FILE_BYTES_MAX)
        .map_err(|source| PolicyError::Object { name, source })?;
    let text = bytes.map(String::from_utf8).transpose();
    text.map_err(|_| PolicyError::NotUtf8(path.to_owned()))
}

/// Where rules of a repository's own stand in the policy ref's commit.
pub const RULES_DIR: &str = "policy/rules";
/// Rule files of one policy.
const RULE_FILES_MAX: usize = 256;

/// Reads the rule files of the policy in force, as (name, text) in order of names: `policy/rules/*.toml` of the policy
/// ref's commit. Without a policy ref there are none but the built-in rules; the work tree is never asked.
///
/// # Errors
///
/// [`PolicyError`].
pub fn rule_files(repo: &Repo) -> Result<Vec<(String, String)>, PolicyError> {
    let Some(name) = repo.config_get(POLICY_REF_KEY) else { return Ok(vec![]) };
    let commit_id = repo
        .resolve_commit(&name)
        .map_err(|source| PolicyError::Ref { name: name.clone(), source })?;
    let object = |source| PolicyError::Object { name: name.clone(), source };
    let Some(tree) = repo.subtree(&commit_id, &well_formed(RULES_DIR)).map_err(object)? else {
        return Ok(vec![]);
    };
    let mut files = vec![];
    for file in repo.tree_files(&tree).map_err(object)? {
        let name = format!("{RULES_DIR}/{}", file.path);
        if name.ends_with(".toml") && file.mode == carnet_git::EntryMode::File {
            if files.len() == RULE_FILES_MAX {
                return Err(PolicyError::ManyRules);
            }
            let bytes = repo.read_blob(&file.id, FILE_BYTES_MAX).map_err(object)?;
            let text = String::from_utf8(bytes).map_err(|_| PolicyError::NotUtf8(name.clone()))?;
            files.push((name, text));
        }
    }
    files.sort();
    Ok(files)
}

fn well_formed(path: &str) -> RepoPath {
    RepoPath::new(path.as_bytes()).expect("because carnet's own paths are well formed")
}
