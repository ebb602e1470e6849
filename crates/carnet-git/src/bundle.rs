//! Bundles, and what a whole repository holds: for backups, and for saying what may be removed.
//!
//! All through the `git` program: it knows every storage of refs and objects. Names and ids go to it on standard input
//! or after they were read from it, never as options.

use std::{collections::BTreeSet, path::Path};

use carnet_core::{GitOid, ObjectFormat};

use crate::{ObjectError, OpenError, Pointer, ProgramError, Repo, program};

/// Why the whole of a repository could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum WholeError {
    /// Git did not do it.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// An object could not be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The new repository could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A shallow clone has no whole history to save.
    #[error("this is a shallow clone: it does not have what a backup needs")]
    Shallow,
}

impl Repo {
    /// Lists every ref below the prefixes with what it names, sorted by name.
    ///
    /// # Errors
    ///
    /// [`WholeError::Program`].
    pub fn every_ref(&self, prefixes: &[&str]) -> Result<Vec<(String, GitOid)>, WholeError> {
        let mut args = vec!["for-each-ref", "--format=%(objectname) %(refname)"];
        args.extend(prefixes);
        let answer = self.run_git(&args, None)?;
        parse_refs("for-each-ref", &answer)
    }

    /// Returns the branch that HEAD is on, as a full name.
    pub fn head_branch(&self) -> Option<String> {
        let answer = self.run_git(&["symbolic-ref", "-q", "HEAD"], None).ok()?;
        Some(String::from_utf8_lossy(&answer).trim_end().to_owned())
    }

    /// Writes the objects that `refs` reach and `has` do not into a bundle, and returns the refs as the bundle has them.
    /// `None`, and no file, when there are no such objects.
    ///
    /// # Errors
    ///
    /// [`WholeError::Shallow`], or what git said.
    pub fn bundle(
        &self,
        path: &Path,
        refs: &[String],
        has: &[GitOid],
    ) -> Result<Option<Vec<(String, GitOid)>>, WholeError> {
        if self.common_dir().join("shallow").exists() {
            return Err(WholeError::Shallow);
        }
        let has = has.iter().filter(|id| self.has_object(id)).map(|id| format!("^{id}\n"));
        let input: String = refs.iter().map(|name| format!("{name}\n")).chain(has).collect();
        let mut command = self.git()?;
        command.args(["bundle", "create", "--quiet"]).arg(path).arg("--stdin");
        match program::run(command, Some(input.as_bytes())) {
            Err(ProgramError::Failed { stderr, .. }) if stderr.contains("empty bundle") => {
                return Ok(None);
            }
            made => made?,
        };
        let mut command = self.git()?;
        command.args(["bundle", "list-heads"]).arg(path);
        let heads = parse_refs("bundle list-heads", &program::run(command, None)?.stdout)?;
        Ok(Some(heads))
    }

    /// Adds the objects of a bundle. Names no ref.
    ///
    /// # Errors
    ///
    /// [`WholeError::Program`] when git finds the bundle damaged, or what it builds on missing.
    pub fn unbundle(&self, path: &Path) -> Result<(), WholeError> {
        let mut command = self.git()?;
        command.args(["bundle", "unbundle"]).arg(path);
        program::run(command, None)?;
        Ok(())
    }

    /// Makes the refs below the prefixes exactly these, in one transaction.
    ///
    /// # Errors
    ///
    /// [`WholeError::Program`]; no ref was changed then.
    pub fn set_every_ref(
        &self,
        prefixes: &[&str],
        refs: &[(String, GitOid)],
    ) -> Result<(), WholeError> {
        let wanted: BTreeSet<&str> = refs.iter().map(|(name, _)| name.as_str()).collect();
        let mut input = String::new();
        for (name, id) in self.every_ref(prefixes)? {
            if !wanted.contains(name.as_str()) {
                input.push_str(&format!("delete {name}\0{id}\0"));
            }
        }
        for (name, id) in refs {
            input.push_str(&format!("update {name}\0{id}\0\0"));
        }
        self.run_git(&["update-ref", "--no-deref", "-z", "--stdin"], Some(input.as_bytes()))?;
        Ok(())
    }

    /// Returns every pointer to a content that these commits, tags and trees reach.
    ///
    /// # Errors
    ///
    /// [`WholeError`] when any object on the way is missing: what cannot be seen may point at something.
    pub fn pointers(&self, tips: &[GitOid]) -> Result<BTreeSet<Pointer>, WholeError> {
        let input: String = tips.iter().map(|id| format!("{id}\n")).collect();
        let limit = format!("--filter=blob:limit={}", Pointer::BYTES_MAX + 1);
        let args = ["rev-list", "--objects", "--no-object-names", &limit, "--stdin"];
        let objects = self.run_git(&args, Some(input.as_bytes()))?;
        let format = "--batch-check=%(objectname) %(objecttype) %(objectsize)";
        let sizes = self.run_git(&["cat-file", format], Some(&objects))?;
        let mut pointers = BTreeSet::new();
        for line in String::from_utf8_lossy(&sizes).lines() {
            let Some((hex, size)) = line.split_once(" blob ") else { continue };
            let size: u64 = size.parse().unwrap_or(0);
            let Ok(id) = GitOid::from_hex(hex) else { continue };
            if (Pointer::BYTES_MIN..=Pointer::BYTES_MAX).contains(&size) {
                pointers.extend(Pointer::parse(&self.read_blob(&id, Pointer::BYTES_MAX)?));
            }
        }
        Ok(pointers)
    }

    /// Has git check every object, and that nothing is missing.
    ///
    /// # Errors
    ///
    /// [`WholeError::Program`] with what git found.
    pub fn check_every_object(&self) -> Result<(), WholeError> {
        self.run_git(&["fsck", "--full", "--no-dangling", "--no-progress"], None)?;
        Ok(())
    }

    /// Has git check that nothing is missing that a ref reaches.
    ///
    /// # Errors
    ///
    /// [`WholeError::Program`] with the first object that is missing.
    pub fn check_connected(&self) -> Result<(), WholeError> {
        self.run_git(&["rev-list", "--objects", "--quiet", "--all"], None)?;
        Ok(())
    }

    /// Fills the work tree from HEAD's commit.
    ///
    /// # Errors
    ///
    /// [`WholeError::Program`].
    pub fn fill_work_tree(&self) -> Result<(), WholeError> {
        self.run_git(&["reset", "--quiet", "--hard"], None)?;
        Ok(())
    }
}

/// Makes a new repository.
///
/// - `branch`: what HEAD shall be on, as a full name.
///
/// # Errors
///
/// [`WholeError`].
pub fn init_repository(
    dir: &Path,
    format: ObjectFormat,
    is_bare: bool,
    branch: Option<&str>,
) -> Result<Repo, WholeError> {
    let format = match format {
        ObjectFormat::Sha1 => "--object-format=sha1",
        ObjectFormat::Sha256 => "--object-format=sha256",
    };
    let mut command = program::scrubbed_git()?;
    command.args(["init", "--quiet", "--template=", format]);
    if let Some(branch) = branch.and_then(|branch| branch.strip_prefix("refs/heads/")) {
        command.arg(format!("--initial-branch={branch}"));
    }
    if is_bare {
        command.arg("--bare");
    }
    command.arg("--").arg(dir);
    program::run(command, None)?;
    Ok(Repo::discover(dir)?)
}

fn parse_refs(command: &str, answer: &[u8]) -> Result<Vec<(String, GitOid)>, WholeError> {
    let answer = String::from_utf8_lossy(answer);
    let mut refs = vec![];
    for line in answer.lines() {
        let parsed = line
            .split_once(' ')
            .and_then(|(hex, name)| GitOid::from_hex(hex).ok().map(|id| (name.to_owned(), id)));
        refs.push(parsed.ok_or_else(|| ProgramError::Answer {
            command: command.to_owned(),
            answer: line.to_owned(),
        })?);
    }
    refs.sort();
    Ok(refs)
}
