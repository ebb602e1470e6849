//! When uncommitted edits are looked at: only while somebody asks about them, and the less often the less there is to see.

use crate::{
    Worktree,
    protocol::{EditsStatus, WatchMode},
    work::EditsLook,
};

/// For so long after the last question about edits they are followed.
const FOLLOWED_MS: u64 = 30 * 60_000;
/// Shortest pause between a notice and the look: an editor, or `git switch`, writes more than one file.
const PAUSE_MS_MIN: u64 = 300;
/// How often the pause doubles while looks see what the last one saw.
const DOUBLINGS_MAX: u32 = 4;
/// A pause lasts at least so many times what the last look took.
const PAUSE_LOOKS: u64 = 3;

/// The edits of one worktree.
#[derive(Debug)]
pub(super) struct Edits {
    pub worktree: Worktree,
    /// When they are followed no longer, unless somebody asks again.
    pub until_ms: u64,
    due_ms: Option<u64>,
    /// When the look that is under way began.
    began_ms: Option<u64>,
    last_ms: u64,
    n_same: u32,
    seen: Option<EditsLook>,
    watch: WatchMode,
}

impl Edits {
    pub fn new(worktree: Worktree, now_ms: u64) -> Edits {
        Edits {
            worktree,
            until_ms: now_ms.saturating_add(FOLLOWED_MS),
            due_ms: Some(now_ms),
            began_ms: None,
            last_ms: 0,
            n_same: 0,
            seen: None,
            watch: WatchMode::Polling { reason: "not watching yet".to_owned() },
        }
    }

    /// Somebody asked about them: they are looked at now.
    pub fn asked(&mut self, now_ms: u64) {
        self.until_ms = now_ms.saturating_add(FOLLOWED_MS);
        self.due_ms = Some(now_ms);
    }

    /// Something in the work tree changed, or changes may have been missed.
    pub fn stirred(&mut self, now_ms: u64) {
        let least_ms = PAUSE_MS_MIN << self.n_same.min(DOUBLINGS_MAX);
        let pause_ms = least_ms.max(self.last_ms.saturating_mul(PAUSE_LOOKS));
        self.due_ms.get_or_insert(now_ms.saturating_add(pause_ms));
    }

    /// Tells whether a look begins now.
    pub fn begins(&mut self, now_ms: u64) -> bool {
        let begins = self.began_ms.is_none() && self.due_ms.is_some_and(|due_ms| due_ms <= now_ms);
        if begins {
            (self.began_ms, self.due_ms) = (Some(now_ms), None);
        }
        begins
    }

    /// Takes what a look saw.
    pub fn looked(&mut self, now_ms: u64, look: EditsLook) {
        let began_ms = self.began_ms.take().unwrap_or(now_ms);
        self.last_ms = now_ms.saturating_sub(began_ms);
        let is_same = self.seen.as_ref().is_some_and(|seen| seen.edits == look.edits);
        self.n_same = if is_same { self.n_same.saturating_add(1) } else { 0 };
        self.seen = Some(look);
    }

    /// Takes how it went to watch the directories that the last look listed. Where some are new, what happened in them before
    /// was not heard.
    pub fn watched(&mut self, now_ms: u64, watch: WatchMode, has_new: bool) {
        self.watch = watch;
        if has_new {
            self.stirred(now_ms);
        }
    }

    /// When the next tick is needed.
    pub fn wake_ms(&self) -> u64 {
        let due_ms = self.due_ms.filter(|_| self.began_ms.is_none());
        due_ms.map_or(self.until_ms, |due_ms| due_ms.min(self.until_ms))
    }

    pub fn status(&self) -> EditsStatus {
        let edits = self.seen.as_ref().and_then(|seen| seen.edits.as_ref());
        EditsStatus {
            worktree: self.worktree.clone(),
            n_files: edits.and_then(|edits| edits.as_ref().ok()).map(|edits| edits.n_files),
            watch: self.watch.clone(),
            error: edits.and_then(|edits| edits.as_ref().err()).cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::EditsSeen;

    fn look(n_files: u32) -> EditsLook {
        let edits = Some(Ok(EditsSeen { n_files, content: None }));
        EditsLook { dirs: Ok(Vec::new()), edits }
    }

    #[test]
    fn notices_during_a_look_are_one_look_after_it() {
        let mut edits = Edits::new(Worktree::Main, 0);
        assert!(edits.begins(0));
        for now_ms in 1..50 {
            edits.stirred(now_ms);
            assert!(!edits.begins(10_000), "two looks at once");
        }
        edits.looked(60, look(1));
        assert_eq!(edits.wake_ms(), 301);
        assert!(!edits.begins(300));
        assert!(edits.begins(301));
    }

    #[test]
    fn looks_that_see_nothing_new_and_looks_that_take_long_are_rarer() {
        let mut edits = Edits::new(Worktree::Main, 0);
        let mut now_ms = 0;
        let mut pauses = Vec::new();
        for _ in 0..7 {
            assert!(edits.begins(now_ms));
            edits.looked(now_ms, look(1));
            edits.stirred(now_ms);
            pauses.push(edits.wake_ms() - now_ms);
            now_ms = edits.wake_ms();
        }
        assert_eq!(pauses, [300, 600, 1200, 2400, 4800, 4800, 4800]);
        assert!(edits.begins(now_ms));
        edits.looked(now_ms + 1_000, look(2));
        edits.stirred(now_ms + 1_000);
        assert_eq!(edits.wake_ms(), now_ms + 4_000);
        edits.asked(now_ms + 1_001);
        assert!(edits.begins(now_ms + 1_001), "who asks does not wait for a pause");
    }

    #[test]
    fn fresh_directories_are_looked_into_once_they_are_watched() {
        let mut edits = Edits::new(Worktree::Main, 0);
        assert!(edits.begins(0));
        edits.looked(10, look(1));
        edits.watched(10, WatchMode::Watching { n_dirs: 3 }, true);
        assert_eq!(edits.wake_ms(), 310);
        assert!(edits.begins(310));
        edits.looked(320, look(1));
        edits.watched(320, WatchMode::Watching { n_dirs: 3 }, false);
        assert_eq!(edits.wake_ms(), edits.until_ms);
    }
}
