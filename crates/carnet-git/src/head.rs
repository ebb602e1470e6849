//! Where HEAD stands, and what a name given by a person means.

use carnet_core::GitOid;

use crate::{Cause, ObjectError, ProgramError, Repo, convert};

/// Where HEAD stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// On a branch that has no commit yet.
    Unborn {
        /// Full name of the branch, such as `refs/heads/main`.
        branch: String,
    },
    /// On a commit.
    Commit {
        /// The commit.
        commit_id: GitOid,
        /// Its tree.
        tree_id: GitOid,
        /// Full name of the branch; `None` when HEAD is detached.
        branch: Option<String>,
    },
}

/// Why HEAD or a name could not be resolved.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The name means nothing here.
    #[error("`{name}` names no commit")]
    Unknown {
        /// What was given.
        name: String,
    },
    /// The abbreviated id means several objects.
    #[error("`{name}` is ambiguous")]
    Ambiguous {
        /// What was given.
        name: String,
    },
    /// HEAD or a ref is unreadable.
    #[error("resolve `{name}`")]
    Unreadable {
        /// What was given, or `HEAD`.
        name: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The commit it names is unreadable.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The git program, asked because refs are not kept in files, gave no answer.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

impl Repo {
    /// Returns where HEAD stands in this work tree.
    ///
    /// # Errors
    ///
    /// [`HeadError`] when HEAD is unreadable or names a commit that cannot be read.
    pub fn head(&self) -> Result<Head, HeadError> {
        let (commit_id, branch) =
            if self.is_reftable() { self.head_by_program()? } else { self.head_by_gix()? };
        match (commit_id, branch) {
            (Some(commit_id), branch) => {
                Ok(Head::Commit { commit_id, tree_id: self.commit_tree(&commit_id)?, branch })
            }
            (None, Some(branch)) => Ok(Head::Unborn { branch }),
            (None, None) => Err(HeadError::Unknown { name: "HEAD".to_owned() }),
        }
    }

    fn head_by_gix(&self) -> Result<(Option<GitOid>, Option<String>), HeadError> {
        let unreadable =
            |err| HeadError::Unreadable { name: "HEAD".to_owned(), source: convert::cause(err) };
        let head = self.gix.head().map_err(unreadable)?;
        let branch = head.referent_name().map(|name| name.as_bstr().to_string());
        Ok((head.id().map(|id| convert::from_gix(&id)), branch))
    }

    fn head_by_program(&self) -> Result<(Option<GitOid>, Option<String>), HeadError> {
        let name = "HEAD".to_owned();
        let branch = match self.run_git(&["symbolic-ref", "-q", "HEAD"], None) {
            Ok(answer) => Some(String::from_utf8_lossy(&answer).trim_end().to_owned()),
            Err(ProgramError::Failed { code: Some(1), .. }) => None,
            Err(err) => return Err(err.into()),
        };
        match self.rev_parse("HEAD^{commit}") {
            Ok(commit_id) => Ok((Some(commit_id), branch)),
            Err(ProgramError::Failed { code: Some(1), .. }) if branch.is_some() => {
                Ok((None, branch))
            }
            Err(err) => Err(HeadError::Unreadable { name, source: Box::new(err) }),
        }
    }

    /// Returns the commit that `name` means: a full id, a unique prefix, a ref, or another revision that
    /// git understands (`HEAD~2`). Tags are followed.
    ///
    /// # Errors
    ///
    /// [`HeadError::Unknown`] and [`HeadError::Ambiguous`] are the person's to mend.
    pub fn resolve_commit(&self, name: &str) -> Result<GitOid, HeadError> {
        if let Ok(id) = GitOid::from_hex(name)
            && id.format() == self.object_format()
            && self.commit_tree(&id).is_ok()
        {
            return Ok(id);
        }
        // Git is the one that knows every way to name a commit, and says which prefix is ambiguous.
        let refused = |err| match err {
            ProgramError::Failed { stderr, .. } if stderr.contains("ambiguous") => {
                HeadError::Ambiguous { name: name.to_owned() }
            }
            ProgramError::Failed { .. } => HeadError::Unknown { name: name.to_owned() },
            err => HeadError::Program(err),
        };
        if name.is_empty() || name.starts_with('-') || name.contains(['\0', '\n']) {
            return Err(HeadError::Unknown { name: name.to_owned() });
        }
        self.rev_parse(&format!("{name}^{{commit}}")).map_err(refused)
    }

    fn rev_parse(&self, spec: &str) -> Result<GitOid, ProgramError> {
        let answer = match self.run_git(&["rev-parse", "--verify", "-q", spec], None) {
            // With `-q` git is silent about why; asked again, it says.
            Err(ProgramError::Failed { code, stderr, .. }) if stderr.is_empty() => {
                let spoken = self.run_git(&["rev-parse", "--verify", spec], None);
                let stderr = match spoken {
                    Err(ProgramError::Failed { stderr, .. }) => stderr,
                    _ => String::new(),
                };
                let command = "rev-parse".to_owned();
                return Err(ProgramError::Failed { command, code, stderr });
            }
            answer => answer?,
        };
        let answer = String::from_utf8_lossy(&answer).trim_end().to_owned();
        GitOid::from_hex(&answer)
            .map_err(|_| ProgramError::Answer { command: "rev-parse".to_owned(), answer })
    }
}
