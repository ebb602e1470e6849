//! Becoming an ordinary user when the tests run as root.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// User and group id of `nobody` on Debian and its relatives.
pub const ORDINARY_UID: u32 = 65_534;

/// Tells whether the tests run as root.
pub fn is_root() -> bool {
    // A directory that this process makes belongs to its effective user.
    tempfile::tempdir().and_then(|dir| fs::metadata(dir.path())).unwrap().uid() == 0
}

/// Gives a directory and all below it to the ordinary user, when the tests run as root.
///
/// Links are given themselves, never what they point at.
pub fn give_to_ordinary_user(path: &Path) {
    if !is_root() {
        return;
    }
    give(path).unwrap();
}

fn give(path: &Path) -> std::io::Result<()> {
    let (uid, gid) = (Some(ORDINARY_UID), Some(ORDINARY_UID));
    std::os::unix::fs::lchown(path, uid, gid)?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            match give(&entry?.path()) {
                // A daemon that works there meanwhile removed it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
    }
    Ok(())
}
