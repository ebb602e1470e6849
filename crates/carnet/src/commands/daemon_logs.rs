//! `carnet daemon logs`: the last lines of the daemon's log, and what comes.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read as _, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::Path,
    thread,
    time::Duration,
};

use carnet_core::ExitCode;
use carnet_git::Repo;

use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
};

/// How often a log that is followed is looked at.
const LOOK_PAUSE: Duration = Duration::from_millis(250);

/// Prints the last lines of the log and of the one before, and goes on when asked to.
pub(super) fn logs(ui: &Ui, repo: &Repo, n_lines: usize, is_followed: bool) -> CommandResult {
    let path = carnet_daemon::log_path(repo);
    let failed = |error: std::io::Error| CommandError::of(ExitCode::Io, &error);
    let mut text = read(&path.with_extension("1")).map_err(failed)?;
    let mut place = Place::of(&path).map_err(failed)?;
    text += &read(&path).map_err(failed)?;
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(n_lines)..] {
        ui.out(&format!("{line}\n"));
    }
    if lines.is_empty() && !is_followed {
        ui.err("no daemon has run for this repository yet; start one: `carnet daemon start`\n");
    }
    if !is_followed {
        return Ok(ExitCode::Done);
    }
    loop {
        thread::sleep(LOOK_PAUSE);
        ui.out(&place.rest(&path).map_err(failed)?);
    }
}

/// A log that is not there has no lines.
fn read(path: &Path) -> std::io::Result<String> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// How far a log was read; a log that was put aside meanwhile is another file, and 0 stands for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Place {
    inode: u64,
    n_bytes: u64,
}

impl Place {
    fn of(path: &Path) -> std::io::Result<Place> {
        match fs::metadata(path) {
            Ok(found) => Ok(Place { inode: found.ino(), n_bytes: found.len() }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Place::default()),
            Err(error) => Err(error),
        }
    }

    /// Returns what was added since, the end of a log that was put aside included.
    fn rest(&mut self, path: &Path) -> std::io::Result<String> {
        let now = Place::of(path)?;
        let mut text = String::new();
        if now.inode != self.inode {
            let aside = path.with_extension("1");
            if self.inode != 0 && Place::of(&aside)?.inode == self.inode {
                text += &from(&aside, self.n_bytes)?;
            }
            self.n_bytes = 0;
        }
        if now.n_bytes > self.n_bytes {
            let added = from(path, self.n_bytes)?;
            self.n_bytes += added.len() as u64;
            text += &added;
        }
        self.inode = now.inode;
        Ok(text)
    }
}

/// Returns what a file holds from a place on.
fn from(path: &Path, n_bytes: u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(n_bytes))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    // Lines are written whole and are UTF-8.
    Ok(String::from_utf8(bytes).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_read_once_also_across_a_change_of_logs() {
        let path = std::env::temp_dir().join(format!("carnet-logs-{}", std::process::id()));
        let aside = path.with_extension("1");
        let mut place = Place::of(&path).unwrap();
        assert_eq!(place.rest(&path).unwrap(), "");
        fs::write(&path, "one\n").unwrap();
        assert_eq!(place.rest(&path).unwrap(), "one\n");
        assert_eq!(place.rest(&path).unwrap(), "");
        fs::write(&path, "one\ntwo\n").unwrap();
        fs::rename(&path, &aside).unwrap();
        fs::write(&path, "three\n").unwrap();
        assert_eq!(place.rest(&path).unwrap(), "two\nthree\n");
        assert_eq!(place.rest(&path).unwrap(), "");
        fs::remove_file(&path).unwrap();
        fs::remove_file(&aside).unwrap();
    }
}
