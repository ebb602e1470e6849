//! Giving way: one at a time among the processes of one machine, and pauses between attempts where that is not possible.

use std::{
    fs::{self, File},
    hash::{BuildHasher as _, RandomState},
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// What came of waiting for a turn.
#[derive(Debug)]
pub enum Turn {
    /// It is this process's, until the file is dropped.
    Taken(File),
    /// The file system has no locks.
    NoLocks,
    /// Others had it all the time.
    Late,
}

/// Waits for this process's turn at `path`, whose directory is made where it is missing.
///
/// # Errors
///
/// What the system said when the file could not be made.
pub fn take_turn(path: &Path, patience: Duration) -> io::Result<Turn> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let file = File::create(path)?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Turn::Taken(file)),
            Err(fs::TryLockError::Error(_)) => return Ok(Turn::NoLocks),
            Err(fs::TryLockError::WouldBlock) if begun.elapsed() < patience => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(fs::TryLockError::WouldBlock) => return Ok(Turn::Late),
        }
    }
}

/// Pauses between attempts, which double from the first to a bound, each drawn between half and whole.
pub struct Backoff {
    pause_us: u64,
    pause_us_max: u64,
    state: u64,
}

impl Backoff {
    /// Starts at the shortest pause. The draw differs between processes and threads.
    pub fn new(first: Duration, longest: Duration) -> Backoff {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let state = RandomState::new().hash_one(0) | 1;
        Backoff { pause_us: micros(first), pause_us_max: micros(longest), state }
    }

    /// Between attempts at a ref of this machine: 1 to 32 ms.
    pub(crate) fn at_a_ref() -> Backoff {
        Backoff::new(Duration::from_millis(1), Duration::from_millis(32))
    }

    /// Returns the next pause.
    pub fn next_pause(&mut self) -> Duration {
        // A xorshift step: any spread will do to pull two writers apart.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let half = self.pause_us / 2;
        let pause = half + self.state % (half + 1);
        self.pause_us = self.pause_us.saturating_mul(2).min(self.pause_us_max);
        Duration::from_micros(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_never_pass_it() {
        let mut backoff = Backoff::at_a_ref();
        let pauses: Vec<_> = (0..40).map(|_| backoff.next_pause()).collect();
        assert!(pauses[0] <= Duration::from_millis(1));
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_millis(32)));
        assert!(pauses[39] >= Duration::from_millis(16));
    }

    #[test]
    fn a_turn_is_one_processs_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("turns/one");
        let Turn::Taken(held) = take_turn(&path, Duration::ZERO).unwrap() else { panic!() };
        assert!(matches!(take_turn(&path, Duration::from_millis(5)).unwrap(), Turn::Late));
        drop(held);
        assert!(matches!(take_turn(&path, Duration::ZERO).unwrap(), Turn::Taken(_)));
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(take_turn(&dir.path().join("file/one"), Duration::ZERO).is_err());
    }
}
