//! Refs of other storages, through the `git` program.

use std::{thread, time::Instant};

use carnet_core::GitOid;
use gix::refs::FullName;

use super::{LOCK_PATIENCE, RefError, RefUpdateError};
use crate::{ProgramError, Repo, turn::Backoff};

impl Repo {
    pub(super) fn read_ref_by_program(&self, name: &FullName) -> Result<Option<GitOid>, RefError> {
        let name = name.to_string();
        // `for-each-ref` takes a pattern: one that names a directory would list what is below it.
        let refs = self.for_each_ref(&name)?;
        match refs.into_iter().find(|found| found.name == name) {
            None => Ok(None),
            Some(found) if found.is_symbolic => Err(RefError::Symbolic { name }),
            Some(found) => Ok(Some(found.id)),
        }
    }

    pub(super) fn list_refs_by_program(
        &self,
        prefix: &str,
    ) -> Result<Vec<(String, GitOid)>, RefError> {
        let refs = self.for_each_ref(prefix)?;
        let direct = refs.into_iter().filter(|found| !found.is_symbolic);
        let mut refs: Vec<_> = direct.map(|found| (found.name, found.id)).collect();
        refs.sort();
        Ok(refs)
    }

    fn for_each_ref(&self, pattern: &str) -> Result<Vec<Found>, ProgramError> {
        let format = "--format=%(objectname) %(refname) %(symref)";
        let answer = self.run_git(&["for-each-ref", format, pattern], None)?;
        let answer = String::from_utf8_lossy(&answer);
        answer.lines().map(parse_line).collect()
    }

    pub(super) fn update_ref_by_program(
        &self,
        name: &FullName,
        new: Option<&GitOid>,
        expected_old: Option<&GitOid>,
        message: &str,
    ) -> Result<(), RefUpdateError> {
        let input = match (new, expected_old) {
            (Some(new), Some(old)) => format!("update {name}\0{new}\0{old}\0"),
            (Some(new), None) => format!("create {name}\0{new}\0"),
            (None, Some(old)) => format!("delete {name}\0{old}\0"),
            (None, None) => return Ok(()),
        };
        let mut args = vec!["-c", "core.fsync=reference", "update-ref", "--no-deref", "-z"];
        if !message.is_empty() {
            args.extend(["-m", message]);
        }
        args.push("--stdin");
        let begun = Instant::now();
        let mut backoff = Backoff::at_a_ref();
        loop {
            let source = match self.run_git(&args, Some(input.as_bytes())) {
                Ok(_) => return Ok(()),
                Err(source) => source,
            };
            // Whatever git's words, the ref itself says whether the race is lost.
            if self.read_ref_by_program(name)?.as_ref() != expected_old {
                return Err(RefUpdateError::Raced { name: name.to_string() });
            }
            let stderr = match &source {
                ProgramError::Failed { stderr, .. } => stderr.clone(),
                _ => String::new(),
            };
            if !stderr.contains("lock") {
                return Err(RefUpdateError::Store {
                    name: name.to_string(),
                    source: Box::new(source),
                });
            }
            if begun.elapsed() > LOCK_PATIENCE {
                return Err(RefUpdateError::Locked { name: name.to_string(), detail: stderr });
            }
            thread::sleep(backoff.next_pause());
        }
    }
}

struct Found {
    name: String,
    id: GitOid,
    is_symbolic: bool,
}

fn parse_line(line: &str) -> Result<Found, ProgramError> {
    let unknown =
        || ProgramError::Answer { command: "for-each-ref".to_owned(), answer: line.to_owned() };
    let mut columns = line.split(' ');
    let id = columns.next().and_then(|hex| GitOid::from_hex(hex).ok()).ok_or_else(unknown)?;
    let name = columns.next().ok_or_else(unknown)?.to_owned();
    let is_symbolic = columns.next().is_some_and(|target| !target.is_empty());
    Ok(Found { name, id, is_symbolic })
}
