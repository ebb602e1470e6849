//! Finds a bwrap that only root can have put there, and learns its version.
//!
//! Refuses to search PATH, and to use a bwrap with rights of its own: a set-id or capable bwrap would build
//! the sandbox as root.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
};

use carnet_core::Digest;

use crate::{Bwrap, BwrapUnfit, Version, probe::BWRAP_VERSION_MIN};

/// Where bwrap may be, the first that exists is judged.
const PLACES: [&str; 3] = ["/usr/bin/bwrap", "/bin/bwrap", "/usr/local/bin/bwrap"];
/// Bytes of the executable at most; the real one has about 70 kB.
const SIZE_BYTES_MAX: u64 = 16 << 20;

/// What `bwrap --version` says, up to the number.
const NAME_BEFORE_VERSION: &str = "bubblewrap ";
/// Bytes of a version's text at most.
const VERSION_BYTES_MAX: usize = 40;

/// What [`judge`] looks at.
#[derive(Debug, Clone, Copy)]
struct Facts {
    uid: u32,
    mode: u32,
    is_file: bool,
    has_capabilities: bool,
}

/// Identity of an examined file; its digest and version are remembered under it for the process's life.
type FileKey = (u64, u64, u64, i64, i64);

static EXAMINED: Mutex<Option<(FileKey, Bwrap)>> = Mutex::new(None);

/// Returns the first bwrap at a fixed place, if it is fit.
pub(super) fn find() -> Result<Bwrap, BwrapUnfit> {
    let place = PLACES.iter().find(|place| fs::symlink_metadata(place).is_ok());
    examine(Path::new(place.ok_or(BwrapUnfit::NotFound)?))
}

fn examine(place: &Path) -> Result<Bwrap, BwrapUnfit> {
    let unreadable = |error: std::io::Error| BwrapUnfit::Unreadable {
        path: place.to_owned(),
        message: error.to_string(),
    };
    let path = fs::canonicalize(place).map_err(unreadable)?;
    for directory in path.ancestors().skip(1) {
        let facts = fs::metadata(directory).map_err(unreadable)?;
        judge_owner(directory, facts.uid(), facts.mode())?;
    }
    let metadata = fs::metadata(&path).map_err(unreadable)?;
    let has_capabilities =
        rustix::fs::getxattr(&path, "security.capability", &mut [0_u8; 64]).is_ok();
    let (uid, mode, is_file) = (metadata.uid(), metadata.mode(), metadata.is_file());
    judge(&path, Facts { uid, mode, is_file, has_capabilities })?;

    let key =
        (metadata.dev(), metadata.ino(), metadata.size(), metadata.ctime(), metadata.ctime_nsec());
    let mut examined = EXAMINED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((known, bwrap)) = &*examined
        && *known == key
        && bwrap.path == path
    {
        return Ok(bwrap.clone());
    }
    if metadata.size() > SIZE_BYTES_MAX {
        return Err(BwrapUnfit::Unreadable {
            path,
            message: "it is too large to be bwrap".to_owned(),
        });
    }
    let bytes = fs::read(&path).map_err(unreadable)?;
    let version = match said_in(&bytes) {
        Some(said) => judge_version(path.clone(), said)?,
        None => version(&path)?,
    };
    let bwrap = Bwrap { version, path, digest: Digest::of(&bytes) };
    *examined = Some((key, bwrap.clone()));
    Ok(bwrap)
}

fn judge(path: &Path, facts: Facts) -> Result<(), BwrapUnfit> {
    let path_buf = || path.to_owned();
    if !facts.is_file || facts.mode & 0o111 == 0 {
        return Err(BwrapUnfit::NotExecutable { path: path_buf() });
    }
    judge_owner(path, facts.uid, facts.mode)?;
    if facts.mode & 0o6000 != 0 {
        return Err(BwrapUnfit::SetId { path: path_buf(), mode: facts.mode & 0o7777 });
    }
    if facts.has_capabilities {
        return Err(BwrapUnfit::FileCapabilities { path: path_buf() });
    }
    Ok(())
}

/// Only root may replace the thing at `path`.
fn judge_owner(path: &Path, uid: u32, mode: u32) -> Result<(), BwrapUnfit> {
    if uid != 0 {
        return Err(BwrapUnfit::NotRootOwned { path: path.to_owned(), uid });
    }
    if mode & 0o022 != 0 {
        return Err(BwrapUnfit::Writable { path: path.to_owned(), mode: mode & 0o7777 });
    }
    Ok(())
}

/// Returns what the program would say its version is, from the text in its bytes; `None` unless exactly one text
/// can be that. Starting it to ask costs more than all other examination together.
fn said_in(bytes: &[u8]) -> Option<String> {
    let texts = bytes.split(|byte| *byte == 0);
    let is_version = |text: &&[u8]| {
        let rest = text.strip_prefix(NAME_BEFORE_VERSION.as_bytes());
        rest.is_some_and(|rest| {
            rest.len() <= VERSION_BYTES_MAX && rest.first().is_some_and(u8::is_ascii_digit)
        })
    };
    let mut versions = texts.filter(is_version);
    let version = versions.next()?;
    if versions.next().is_some() {
        return None;
    }
    String::from_utf8(version.to_vec()).ok()
}

fn version(path: &Path) -> Result<Version, BwrapUnfit> {
    let output = Command::new(path)
        .arg("--version")
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .output();
    let output = output.map_err(|error| BwrapUnfit::Unreadable {
        path: path.to_owned(),
        message: error.to_string(),
    })?;
    let said = String::from_utf8_lossy(&output.stdout).trim().chars().take(80).collect();
    judge_version(path.to_owned(), said)
}

fn judge_version(path: PathBuf, said: String) -> Result<Version, BwrapUnfit> {
    match said.strip_prefix(NAME_BEFORE_VERSION).and_then(Version::leading) {
        Some(version) if version >= BWRAP_VERSION_MIN => Ok(version),
        Some(version) => Err(BwrapUnfit::TooOld { path, version }),
        None => Err(BwrapUnfit::VersionUnknown { path, said }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Facts = Facts { uid: 0, mode: 0o100_755, is_file: true, has_capabilities: false };

    fn judged(facts: Facts) -> Result<(), BwrapUnfit> {
        judge(Path::new("/usr/bin/bwrap"), facts)
    }

    #[test]
    fn a_plain_root_owned_program_is_fit() {
        assert_eq!(judged(GOOD), Ok(()));
    }

    #[test]
    fn each_way_to_be_unfit_has_its_name() {
        assert!(matches!(
            judged(Facts { uid: 1000, ..GOOD }),
            Err(BwrapUnfit::NotRootOwned { uid: 1000, .. })
        ));
        assert!(matches!(
            judged(Facts { mode: 0o100_775, ..GOOD }),
            Err(BwrapUnfit::Writable { .. })
        ));
        assert!(matches!(
            judged(Facts { mode: 0o100_757, ..GOOD }),
            Err(BwrapUnfit::Writable { .. })
        ));
        assert!(matches!(judged(Facts { mode: 0o104_755, ..GOOD }), Err(BwrapUnfit::SetId { .. })));
        assert!(matches!(judged(Facts { mode: 0o102_755, ..GOOD }), Err(BwrapUnfit::SetId { .. })));
        assert!(matches!(
            judged(Facts { mode: 0o100_644, ..GOOD }),
            Err(BwrapUnfit::NotExecutable { .. })
        ));
        assert!(matches!(
            judged(Facts { is_file: false, ..GOOD }),
            Err(BwrapUnfit::NotExecutable { .. })
        ));
        let capable = judged(Facts { has_capabilities: true, ..GOOD });
        assert!(matches!(capable, Err(BwrapUnfit::FileCapabilities { .. })));
    }

    #[test]
    fn old_and_silent_programs_are_refused() {
        let check = |said: &str| judge_version("/usr/bin/bwrap".into(), said.to_owned());
        assert_eq!(check("bubblewrap 0.8.0"), Ok(Version { major: 0, minor: 8, patch: 0 }));
        assert_eq!(check("bubblewrap 0.11"), Ok(Version { major: 0, minor: 11, patch: 0 }));
        assert!(matches!(check("bubblewrap 0.7.99"), Err(BwrapUnfit::TooOld { .. })));
        for said in ["", "0.8.0", "bubblewrap", "bubblewrap next", "notbubblewrap 1.0"] {
            assert!(matches!(check(said), Err(BwrapUnfit::VersionUnknown { .. })), "{said:?}");
        }
    }

    #[test]
    fn a_version_is_read_from_the_bytes_only_where_one_text_can_be_it() {
        let check = |bytes: &[u8], expect: Option<&str>| {
            assert_eq!(said_in(bytes).as_deref(), expect, "{}", String::from_utf8_lossy(bytes));
        };
        check(b"\x7fELF\0bubblewrap 0.8.0\0rest", Some("bubblewrap 0.8.0"));
        check(b"\0bubblewrap 0.11.0-dirty\0", Some("bubblewrap 0.11.0-dirty"));
        check(b"\0bubblewrap 0.8.0\0bubblewrap 0.9.0\0", None);
        check(b"\0not bubblewrap 0.8.0\0", None);
        check(b"\0bubblewrap needs 1 thing\0", None);
        check(b"\0bubblewrap 1\xff\0", None);
        check(&[b"bubblewrap ".as_slice(), &[b'1'; VERSION_BYTES_MAX + 1]].concat(), None);
        check(b"", None);
    }

    #[test]
    fn the_text_in_a_real_bwrap_is_what_it_says() {
        let Ok(bwrap) = find() else {
            eprintln!("not compared here: there is no bwrap that is fit");
            return;
        };
        assert_eq!(version(&bwrap.path).unwrap(), bwrap.version);
    }

    #[test]
    fn a_bwrap_planted_in_a_directory_of_someone_else_is_refused() {
        let planted = tempfile::tempdir().unwrap();
        let path = planted.path().join("bwrap");
        fs::copy("/bin/true", &path).unwrap();
        assert!(matches!(
            examine(&path),
            Err(BwrapUnfit::NotRootOwned { .. } | BwrapUnfit::Writable { .. })
        ));
    }
}
