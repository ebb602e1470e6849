//! The daemon's log: commits, durations and errors, never source text.
//!
//! At most two files of a bounded size: `log`, and `log.1`, the one before. Every line also goes to
//! `tracing` under the target `carnet::daemon`.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use carnet_core::Timestamp;

/// Size at which a log is put aside, in bytes.
const LOG_BYTES_MAX: u64 = 1 << 20;
/// Longest line, in bytes.
const LINE_BYTES_MAX: usize = 4096;

/// Writes the log. A log that cannot be written is no reason to stop.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    bytes_max: u64,
    open: Option<(File, u64)>,
}

impl Log {
    pub fn new(path: PathBuf) -> Log {
        Log { path, bytes_max: LOG_BYTES_MAX, open: None }
    }

    /// Adds one line with the time; line breaks inside become spaces.
    pub fn line(&mut self, text: &str) {
        tracing::info!(target: "carnet::daemon", "{text}");
        if let Err(err) = self.try_line(text) {
            self.open = None;
            tracing::debug!(target: "carnet::daemon", "log `{}`: {err}", self.path.display());
        }
    }

    fn try_line(&mut self, text: &str) -> std::io::Result<()> {
        let now = Timestamp::from_system_time(SystemTime::now());
        let mut line: String = format!("{now} {text}").replace(['\n', '\r'], " ");
        if line.len() > LINE_BYTES_MAX {
            let fits = (0..=LINE_BYTES_MAX).rev().find(|end| line.is_char_boundary(*end));
            line.truncate(fits.unwrap_or(0));
        }
        line.push('\n');
        if self.open.as_ref().is_some_and(|(_, size)| size + line.len() as u64 > self.bytes_max) {
            self.open = None;
            fs::rename(&self.path, self.path.with_extension("1"))?;
        }
        if self.open.is_none() {
            self.open = Some(open(&self.path)?);
        }
        let Some((file, size)) = &mut self.open else { return Ok(()) };
        file.write_all(line.as_bytes())?;
        *size += line.len() as u64;
        Ok(())
    }
}

fn open(path: &Path) -> std::io::Result<(File, u64)> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file =
        OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_never_outgrows_two_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log { path: path.clone(), bytes_max: 2000, open: None };
        for idx in 0..500 {
            log.line(&format!("line {idx}\nand its rest"));
        }
        let sizes =
            [&path, &path.with_extension("1")].map(|path| fs::metadata(path).unwrap().len());
        assert!(sizes.iter().all(|size| (1..=2000).contains(size)), "{sizes:?}");
        let last = fs::read_to_string(&path).unwrap();
        assert!(last.ends_with("line 499 and its rest\n"), "{last}");
    }

    #[test]
    fn a_long_line_is_cut_and_a_log_without_a_place_is_no_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        Log::new(path.clone()).line(&"é".repeat(10_000));
        assert!(fs::metadata(&path).unwrap().len() <= 4097);
        Log::new(dir.path().join("no/such/log")).line("nobody hears this");
    }
}
