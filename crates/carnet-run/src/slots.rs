//! How many runs of one lane go on at once in one repository, across processes.
//!
//! A slot is a file that its holder has locked; the kernel frees it when the holder dies. Who finds all slots taken waits
//! for the first that is freed.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use carnet_core::LaneName;

/// How often a waiting run looks whether it was asked to stop.
const INTERRUPT_CHECK: Duration = Duration::from_millis(50);

/// One of a lane's places, given back when dropped.
#[derive(Debug)]
pub struct Slot(#[expect(dead_code, reason = "the lock is held as long as the file is open")] File);

/// Takes a place of the lane, waiting for one when all `parallel` are taken; `None` when `interrupted` was set first.
///
/// - `on_wait`: called once, before waiting.
///
/// # Errors
///
/// What the system said when the lock files under `state_dir` could not be made or locked.
pub fn take_slot(
    state_dir: &Path,
    lane: &LaneName,
    parallel: u32,
    interrupted: &AtomicBool,
    on_wait: &dyn Fn(),
) -> io::Result<Option<Slot>> {
    let names = (0..parallel).map(|slot_idx| format!("{lane}.{slot_idx}.lock"));
    take_any(&state_dir.join("lanes"), names, interrupted, on_wait)
}

/// Locks the first file in `dir` that is free, waiting for one when all are taken; `None` when `interrupted` was set first.
///
/// # Errors
///
/// What the system said when a file could not be made or locked.
pub(crate) fn take_any(
    dir: &Path,
    names: impl Iterator<Item = String>,
    interrupted: &AtomicBool,
    on_wait: &dyn Fn(),
) -> io::Result<Option<Slot>> {
    fs::create_dir_all(dir)?;
    let paths: Vec<PathBuf> = names.map(|name| dir.join(name)).collect();
    for path in &paths {
        let file = File::create(path)?;
        match file.try_lock() {
            Ok(()) => return Ok(Some(Slot(file))),
            Err(fs::TryLockError::WouldBlock) => {}
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
    }
    on_wait();
    wait_for_any(&paths, interrupted)
}

/// Waits for all slots at once, each on a thread of its own that the kernel wakes. A thread that gets its lock when it is
/// no longer wanted lets it go at once.
fn wait_for_any(paths: &[PathBuf], interrupted: &AtomicBool) -> io::Result<Option<Slot>> {
    // Without room in the channel, a lock is handed over or dropped, never kept in between.
    let (sender, receiver) = mpsc::sync_channel(0);
    for path in paths {
        let file = File::create(path)?;
        let sender = sender.clone();
        thread::spawn(move || drop(sender.send(file.lock().map(|()| Slot(file)))));
    }
    drop(sender);
    loop {
        match receiver.recv_timeout(INTERRUPT_CHECK) {
            Ok(slot) => return slot.map(Some),
            Err(RecvTimeoutError::Timeout) if !interrupted.load(Ordering::Relaxed) => {}
            Err(_) => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static NOT_INTERRUPTED: AtomicBool = AtomicBool::new(false);

    fn lane() -> LaneName {
        LaneName::new("code-impl").unwrap()
    }

    #[test]
    fn a_lane_has_as_many_places_as_its_policy_says() {
        let state = tempfile::tempdir().unwrap();
        let take = |interrupted: bool| {
            let flag = AtomicBool::new(interrupted);
            take_slot(state.path(), &lane(), 2, &flag, &|| {}).unwrap()
        };
        let first = take(false);
        let second = take(false);
        assert!(first.is_some() && second.is_some());
        assert!(take(true).is_none(), "interrupted while waiting");
        drop(first);
        assert!(take(false).is_some());
    }

    #[test]
    fn who_waits_gets_the_first_place_that_is_freed() {
        let state = tempfile::tempdir().unwrap();
        let take = |on_wait: &dyn Fn()| {
            take_slot(state.path(), &lane(), 2, &NOT_INTERRUPTED, on_wait).unwrap()
        };
        let kept = take(&|| {});
        let freed = std::cell::Cell::new(take(&|| {}));
        // The second place is given back exactly when the third run begins to wait.
        let waited = take(&|| drop(freed.take()));
        assert!(kept.is_some() && waited.is_some());
    }
}
