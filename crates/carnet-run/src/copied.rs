//! A copy of a directory, for runs that are tried on something else than a commit.
//!
//! Regular files, directories and links; links as they stand, wherever they point. Without set-id bits, devices, FIFOs and
//! sockets, and without what the lane hides.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use carnet_policy::HiddenFiles;

/// Entries of a directory that is copied, at most.
const ENTRIES_MAX: usize = 1_000_000;
/// Bytes of its files, at most.
const BYTES_MAX: u64 = 8 << 30;

/// Copies what is in `from` into the empty directory `to`.
///
/// # Errors
///
/// What the system said, or that there is more than is copied; the copy is then incomplete.
pub fn copy(from: &Path, to: &Path, hidden: &HiddenFiles) -> io::Result<()> {
    let (mut n_entries, mut n_bytes) = (0_usize, 0_u64);
    let mut pending = vec![PathBuf::new()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(from.join(&dir))? {
            let entry = entry?;
            let relative = dir.join(entry.file_name());
            if hidden.hides(&relative) {
                continue;
            }
            let meta = fs::symlink_metadata(entry.path())?;
            let place = to.join(&relative);
            n_entries += 1;
            if meta.is_dir() {
                fs::create_dir(&place)?;
                pending.push(relative);
            } else if meta.file_type().is_symlink() {
                symlink(fs::read_link(entry.path())?, &place)?;
            } else if meta.is_file() {
                n_bytes += fs::copy(entry.path(), &place)?;
                let mode = (meta.permissions().mode() & 0o777) | 0o600;
                fs::set_permissions(&place, fs::Permissions::from_mode(mode))?;
            }
            if n_entries > ENTRIES_MAX || n_bytes > BYTES_MAX {
                return Err(io::Error::other("it holds more than a workspace may"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_links_are_copied_and_hidden_ones_are_not() {
        let from = tempfile::tempdir().unwrap();
        let to = tempfile::tempdir().unwrap();
        fs::create_dir(from.path().join("dir")).unwrap();
        fs::write(from.path().join("dir/file"), "x").unwrap();
        fs::write(from.path().join(".env"), "x").unwrap();
        let set_id = fs::Permissions::from_mode(0o4711);
        fs::set_permissions(from.path().join("dir/file"), set_id).unwrap();
        symlink("/etc/passwd", from.path().join("link")).unwrap();
        copy(from.path(), to.path(), &HiddenFiles::new(vec![".env*".to_owned()])).unwrap();
        assert!(!to.path().join(".env").exists());
        assert_eq!(fs::read_link(to.path().join("link")).unwrap(), Path::new("/etc/passwd"));
        let mode = fs::metadata(to.path().join("dir/file")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o711);
    }
}
