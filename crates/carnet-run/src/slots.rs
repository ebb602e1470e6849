//! How many runs of one lane go on at once in one repository, across processes.
//!
//! A slot is a file that its holder has locked; the kernel frees it when the holder dies.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use carnet_core::LaneName;

/// One of a lane's places, given back when dropped.
#[derive(Debug)]
pub struct Slot(#[expect(dead_code, reason = "the lock is held as long as the file is open")] File);

/// Takes a free place of the lane; `None` when all `parallel` are taken.
///
/// # Errors
///
/// What the system said when the lock files under `state_dir` could not be made.
pub fn take_slot(state_dir: &Path, lane: &LaneName, parallel: u32) -> io::Result<Option<Slot>> {
    let dir = state_dir.join("lanes");
    fs::create_dir_all(&dir)?;
    for slot_idx in 0..parallel {
        let file = File::create(dir.join(format!("{lane}.{slot_idx}.lock")))?;
        match file.try_lock() {
            Ok(()) => return Ok(Some(Slot(file))),
            Err(fs::TryLockError::WouldBlock) => {}
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_has_as_many_places_as_its_policy_says() {
        let state = tempfile::tempdir().unwrap();
        let lane = LaneName::new("code-impl").unwrap();
        let take = || take_slot(state.path(), &lane, 2).unwrap();
        let first = take();
        let second = take();
        assert!(first.is_some() && second.is_some());
        assert!(take().is_none());
        drop(first);
        assert!(take().is_some());
    }
}
