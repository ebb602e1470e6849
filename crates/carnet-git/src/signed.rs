//! Commits that the user's own key signs too, and what git says of such signatures.
//!
//! Both go through git's own set-up (`gpg.format`, `user.signingKey`, `gpg.ssh.program`, `gpg.ssh.allowedSignersFile`, an agent), so
//! that `git verify-commit` and `git log --show-signature` say what carnet says. No key is read here.

use std::collections::BTreeMap;

use carnet_core::GitOid;
use gix::objs::Kind;

use crate::{CommitSpec, ObjectError, ProgramError, Repo, WriteError, objects, program};

/// What git says of a commit's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitSignature {
    /// It fits, and by someone whom git's set-up names.
    Good {
        /// Whom git names: for ssh keys the principal of the allowed signers.
        signer: String,
        /// The key, as git prints it.
        key: String,
    },
    /// It fits, or cannot be examined here; git's set-up names no one for it.
    Unknown(String),
    /// It does not fit, or its key was revoked.
    Bad(String),
}

/// `%G?` and what goes with it (`git log`, PRETTY FORMATS), one commit a record.
const FORMAT: &str = "--format=%H%x01%G?%x01%GK%x01%GS%x00";

impl Repo {
    /// Writes a commit that the user's key signs, through the git program, and returns its name.
    ///
    /// # Errors
    ///
    /// [`WriteError::Sign`] when git cannot sign: no key, no agent, a program that is missing.
    pub fn write_signed_commit(&self, spec: &CommitSpec) -> Result<GitOid, WriteError> {
        // What cannot stand in a commit is refused as for any other.
        crate::write::commit_bytes(spec)?;
        // The git program must find what the commit names.
        self.sync_objects()?;
        let sign = |source| WriteError::Sign { source };
        let mut command = self.git().map_err(sign)?;
        let (name, email) = (&spec.author.name, &spec.author.email);
        let date = format!("@{} +0000", spec.time.as_secs().max(0));
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), name).env(format!("GIT_{role}_EMAIL"), email);
            command.env(format!("GIT_{role}_DATE"), &date);
        }
        command.args(["-c", "i18n.commitEncoding=UTF-8", "commit-tree", "-S"]);
        for parent in &spec.parents {
            command.arg("-p").arg(parent.to_string());
        }
        command.arg(spec.tree.to_string());
        let answer = program::run(command, Some(spec.message.as_bytes())).map_err(sign)?;
        let answer = program::text(answer);
        let id = GitOid::from_hex(&answer).map_err(|_| {
            sign(ProgramError::Answer { command: "commit-tree".to_owned(), answer: answer.clone() })
        })?;
        self.remember(id, None);
        self.hold(id);
        Ok(id)
    }

    /// Returns what git says of the signatures of those of `commits` that have one.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] when a commit cannot be read or git gives no answer.
    pub fn commit_signatures(
        &self,
        commits: &[GitOid],
    ) -> Result<BTreeMap<GitOid, CommitSignature>, SignatureError> {
        let mut signed = vec![];
        for id in commits {
            if self.has_signature(id)? {
                signed.push(*id);
            }
        }
        let mut found = BTreeMap::new();
        if signed.is_empty() {
            return Ok(found);
        }
        let input: String = signed.iter().map(|id| format!("{id}\n")).collect();
        let args = ["log", "--no-walk=unsorted", "--no-show-signature", FORMAT, "--stdin"];
        let answer = self.run_git(&args, Some(input.as_bytes()))?;
        for record in String::from_utf8_lossy(&answer).split('\0') {
            let columns: Vec<&str> = record.trim_start_matches('\n').split('\u{1}').collect();
            let [id, state, key, signer] = columns.as_slice() else { continue };
            let Ok(id) = GitOid::from_hex(id) else { continue };
            found.insert(id, signature(state, key, signer));
        }
        for id in signed {
            let silent = || CommitSignature::Unknown("git says nothing of it".to_owned());
            found.entry(id).or_insert_with(silent);
        }
        Ok(found)
    }

    fn has_signature(&self, id: &GitOid) -> Result<bool, ObjectError> {
        let data = self.read_object(id, Kind::Commit, objects::MAX_STRUCTURE_BYTES)?;
        let head = data.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
        Ok(head
            .into_iter()
            .any(|line| line.starts_with(b"gpgsig ") || line.starts_with(b"gpgsig-sha256 ")))
    }
}

fn signature(state: &str, key: &str, signer: &str) -> CommitSignature {
    let unknown = |what: &str| CommitSignature::Unknown(format!("{what} {key}").trim().to_owned());
    match state {
        "G" => CommitSignature::Good { signer: signer.to_owned(), key: key.to_owned() },
        "B" => CommitSignature::Bad("it does not fit, or its key was revoked".to_owned()),
        "R" => CommitSignature::Bad(format!("key {key} was revoked")),
        "X" | "Y" => unknown("it, or its key, has expired:"),
        "U" => unknown("git's set-up names no one for key"),
        _ => unknown("git could not examine it; for ssh keys set gpg.ssh.allowedSignersFile"),
    }
}

/// Why signatures could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// A commit cannot be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// Git gave no answer.
    #[error(transparent)]
    Program(#[from] ProgramError),
}
