//! Loose and packed refs, through gix.

use std::{
    fs::{self, File},
    io,
    path::Path,
    time::SystemTime,
};

use carnet_core::GitOid;
use gix::refs::{
    FullName, Target,
    file::transaction::prepare::{MustNotExist, ReferenceOutOfDate},
    transaction::{Change, LogChange, PreviousValue, RefEdit, RefLog},
};

use super::{LOCK_PATIENCE, RefError, RefUpdateError};
use crate::{Cause, Repo, convert};

impl Repo {
    pub(super) fn read_ref_by_gix(&self, name: &FullName) -> Result<Option<GitOid>, RefError> {
        let found = self.gix.refs.try_find(name.as_ref()).map_err(|err| unreadable(name, err))?;
        // The search of git is wider than full names; only this very ref is the answer.
        let Some(found) = found.filter(|found| found.name == *name) else { return Ok(None) };
        match found.target {
            Target::Object(id) => Ok(Some(convert::from_gix(&id))),
            Target::Symbolic(_) => Err(RefError::Symbolic { name: name.to_string() }),
        }
    }

    pub(super) fn list_refs_by_gix(&self, stem: &str) -> Result<Vec<(String, GitOid)>, RefError> {
        let failed = |source: Cause| RefError::Unreadable { name: stem.to_owned(), source };
        let platform = self.gix.refs.iter().map_err(|err| failed(Box::new(err)))?;
        let prefix = format!("{stem}/");
        let prefix: &gix::path::RelativePath =
            prefix.as_str().try_into().map_err(|err: gix::Error| failed(Box::new(err)))?;
        let mut refs = Vec::new();
        for found in platform.prefixed(prefix).map_err(|err| failed(Box::new(err)))? {
            let found = found.map_err(|err| failed(Box::new(err)))?;
            if let Target::Object(id) = found.target {
                refs.push((found.name.to_string(), convert::from_gix(&id)));
            }
        }
        refs.sort();
        Ok(refs)
    }

    pub(super) fn update_ref_by_gix(
        &self,
        name: &FullName,
        new: Option<&GitOid>,
        expected_old: Option<&GitOid>,
        message: &str,
    ) -> Result<(), RefUpdateError> {
        let patience = gix::lock::acquire::Fail::AfterDurationWithBackoff(LOCK_PATIENCE);
        let path = self.common_dir().join(name.to_string());
        let prepare = || {
            let edits = [edit(name, new, expected_old, message)];
            self.gix.refs.transaction().prepare(edits, patience, patience)
        };
        let prepared = match prepare() {
            Err(err) if err.is_retryable() && clear_abandoned_lock(name, &path) => prepare(),
            prepared => prepared,
        };
        let prepared = prepared.map_err(|err| sort_out(name, err))?;
        // Under the lock: gix lets "must not exist" pass when the ref already has the new value.
        if expected_old.is_none() && self.read_ref_by_gix(name)?.is_some() {
            return Err(RefUpdateError::Raced { name: name.to_string() });
        }
        let io = |source: io::Error| RefUpdateError::Store {
            name: name.to_string(),
            source: Box::new(source),
        };
        if new.is_some() {
            flush(&lock_path(&path)).map_err(io)?;
        }
        let who = self.reflog_identity();
        let mut time = gix::date::parse::TimeBuf::default();
        prepared.commit(Some(who.to_ref(&mut time))).map_err(|err| sort_out(name, err))?;
        match path.parent() {
            Some(parent) if new.is_some() => flush(parent).map_err(io),
            _ => Ok(()),
        }
    }

    /// Who the reflog says it was: the user as git knows them, else carnet.
    fn reflog_identity(&self) -> gix::actor::Signature {
        let known = self.gix.committer().and_then(Result::ok);
        let or = |value: Option<String>, other: &str| value.unwrap_or_else(|| other.to_owned());
        let name = or(known.map(|who| who.name.to_string()), "carnet");
        let email = or(known.map(|who| who.email.to_string()), "carnet@localhost");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let time = gix::date::Time { seconds, offset: 0 };
        gix::actor::Signature { name: name.into(), email: email.into(), time }
    }
}

fn edit(
    name: &FullName,
    new: Option<&GitOid>,
    expected_old: Option<&GitOid>,
    message: &str,
) -> RefEdit {
    let expected = match expected_old {
        Some(old) => PreviousValue::MustExistAndMatch(Target::Object(convert::to_gix(old))),
        None => PreviousValue::MustNotExist,
    };
    let change = match new {
        Some(new) => Change::Update {
            log: LogChange {
                mode: RefLog::AndReference,
                force_create_reflog: false,
                message: message.into(),
            },
            expected,
            new: Target::Object(convert::to_gix(new)),
        },
        None => Change::Delete { expected, log: RefLog::AndReference },
    };
    RefEdit { change, name: name.clone(), deref: false }
}

/// Tells a lost race from a held lock from a broken disk.
fn sort_out(name: &FullName, err: gix::Error) -> RefUpdateError {
    let raced = err.downcast_any_ref::<ReferenceOutOfDate>().is_some()
        || err.downcast_any_ref::<MustNotExist>().is_some()
        || err.is_not_found();
    let name = name.to_string();
    if raced {
        RefUpdateError::Raced { name }
    } else if err.is_retryable() {
        RefUpdateError::Locked { name, detail: format!("{err:#}") }
    } else {
        RefUpdateError::Store { name, source: convert::cause(err) }
    }
}

fn unreadable(name: &FullName, err: gix::Error) -> RefError {
    RefError::Unreadable { name: name.to_string(), source: convert::cause(err) }
}

fn lock_path(path: &Path) -> std::path::PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

/// Takes away the lock that a killed process left on one of carnet's own refs: one that stood all the while it was waited for.
/// Who holds a lock holds it for milliseconds, and carnet's processes take turns besides.
fn clear_abandoned_lock(name: &FullName, path: &Path) -> bool {
    let name = name.to_string();
    let is_ours = ["refs/carnet/", "refs/notes/carnet/"].iter().any(|it| name.starts_with(it));
    let lock = lock_path(path);
    let age = fs::metadata(&lock).and_then(|meta| meta.modified()).ok();
    let age = age.and_then(|at| SystemTime::now().duration_since(at).ok());
    is_ours && age.is_some_and(|age| age >= LOCK_PATIENCE) && fs::remove_file(&lock).is_ok()
}

fn flush(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
