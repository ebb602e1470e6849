//! One line that says how far a long scan is, on a terminal only.

use std::{
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use carnet_guard::Progress;

use crate::ui::Ui;

/// Shortest time between two pictures of the line.
const EVERY: Duration = Duration::from_millis(100);

/// The line; it goes away when it is dropped.
pub struct ProgressLine<'u> {
    ui: &'u Ui,
    is_on: bool,
    shown_at: Option<Instant>,
}

impl<'u> ProgressLine<'u> {
    /// Makes a line that shows nothing unless standard error is a terminal.
    pub fn new(ui: &'u Ui) -> ProgressLine<'u> {
        ProgressLine { ui, is_on: io::stderr().is_terminal(), shown_at: None }
    }

    /// Shows how far the scan is, at most ten times a second.
    pub fn show(&mut self, at: Progress) {
        if !self.is_on || self.shown_at.is_some_and(|shown| shown.elapsed() < EVERY) {
            return;
        }
        self.shown_at = Some(Instant::now());
        let Progress { n_commits, n_contents, n_bytes } = at;
        let mb = n_bytes / 1_000_000;
        self.ui.err(&format!("\r\x1b[K{n_commits} commits, {n_contents} files, {mb} MB"));
    }
}

impl Drop for ProgressLine<'_> {
    fn drop(&mut self) {
        if self.shown_at.is_some() {
            self.ui.err("\r\x1b[K");
        }
    }
}
