//! The file that names the current snapshot.

use std::{
    fs::File,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use crate::{
    IndexError,
    write::{UNFINISHED, rename},
};

/// Longest content of it, in bytes.
const POINTER_BYTES_MAX: u64 = 256;

pub(crate) fn current_path(dir: &Path) -> PathBuf {
    dir.join("current")
}

/// Reads the pointer to the current snapshot: one plain file name.
pub(crate) fn read(pointer: &Path) -> Result<Option<String>, IndexError> {
    let corrupt =
        |what: &str| IndexError::Corrupt { path: pointer.to_owned(), what: what.to_owned() };
    let bytes = match std::fs::metadata(pointer) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(IndexError::io("read", pointer, error)),
        Ok(metadata) if metadata.len() > POINTER_BYTES_MAX => {
            return Err(corrupt("it is too long to name a snapshot"));
        }
        Ok(_) => std::fs::read(pointer).map_err(|error| IndexError::io("read", pointer, error))?,
    };
    let text = String::from_utf8(bytes).map_err(|_| corrupt("it does not name a snapshot"))?;
    let name = text.trim_end_matches('\n');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(is_plain) {
        return Err(corrupt("it does not name a snapshot"));
    }
    Ok(Some(name.to_owned()))
}

/// Writes it beside itself and renames it, so that whoever reads sees the old name or the new one.
pub(crate) fn point_at(dir: &Path, name: &str) -> Result<(), IndexError> {
    let unfinished = dir.join(format!("current.{UNFINISHED}"));
    let write = || {
        let mut file = File::create(&unfinished)?;
        writeln!(file, "{name}")?;
        file.sync_all()
    };
    write().map_err(|error| IndexError::io("write", &unfinished, error))?;
    rename(&unfinished, &current_path(dir))?;
    sync_directory(dir)
}

pub(crate) fn sync_directory(dir: &Path) -> Result<(), IndexError> {
    let sync = || File::open(dir)?.sync_all();
    sync().map_err(|error| IndexError::io("sync", dir, error))
}
