//! Texts that arrive in chunks: scanned and redacted as if they came whole.
//!
//! Results do not depend on where the chunks are cut: chunks only fill frames, and everything is made of
//! frames, here and in the calls that take a whole text. Memory is bounded: a scanner holds one frame
//! (4.5 MiB; 16.5 MiB when the text begins as an archive), a redactor one for each of its passes. A text that
//! fits into one frame is answered when it ends.

use std::collections::VecDeque;

use carnet_core::Origin;

use crate::{
    fingerprint::FingerprintKey,
    frame::{LAYOUT, Layout, Window},
    redact::{Look, PASSES_MAX, Pass, Redactor, Replaced},
    rule_set::RuleSet,
    scan::{Scan, Scanning},
    tokens::{RedactionMap, Tokens},
};

/// Scans a text that arrives in chunks.
///
/// All [`Scan`]s together hold what [`scan`](crate::scan()) returns for the whole text, in the same order.
#[derive(Debug)]
pub struct StreamScanner<'r> {
    rules: &'r RuleSet,
    key: FingerprintKey,
    origin: Origin,
    window: Window,
    scanning: Scanning,
}

impl<'r> StreamScanner<'r> {
    /// Begins a text that comes from `origin`.
    pub fn new(rules: &'r RuleSet, key: &FingerprintKey, origin: Origin) -> StreamScanner<'r> {
        StreamScanner::with_layout(rules, key, origin, LAYOUT)
    }

    pub(crate) fn with_layout(
        rules: &'r RuleSet,
        key: &FingerprintKey,
        origin: Origin,
        layout: Layout,
    ) -> StreamScanner<'r> {
        let (key, window) = (key.clone(), Window::new(layout));
        StreamScanner { rules, key, origin, window, scanning: Scanning::default() }
    }

    /// Takes the next chunk, of any length, and returns what is certain by now.
    pub fn push(&mut self, chunk: &[u8]) -> Scan {
        let mut scan = Scan::default();
        let mut rest = chunk;
        while !rest.is_empty() {
            rest = self.window.take(rest);
            self.scan_frames(false, &mut scan);
        }
        scan
    }

    /// Ends the text and returns what remains.
    pub fn finish(mut self) -> Scan {
        let mut scan = Scan::default();
        self.scan_frames(true, &mut scan);
        scan
    }

    fn scan_frames(&mut self, is_ended: bool, scan: &mut Scan) {
        while let Some(frame) = self.window.next(is_ended) {
            self.scanning.scan_frame(self.rules, &self.key, &self.origin, &frame, scan);
        }
    }

    #[cfg(test)]
    pub(crate) fn n_held_bytes(&self) -> usize {
        self.window.n_held_bytes()
    }
}

/// Redacts a text that arrives in chunks: a filter.
///
/// The bytes put out together are those that [`Redactor::redact`] returns for the whole text.
#[derive(Debug)]
pub struct StreamRedactor<'r> {
    redactor: &'r Redactor<'r>,
    stages: Vec<Stage>,
    tokens: Tokens,
}

/// What a redaction came to.
#[derive(Debug)]
pub struct Redacted {
    /// What was replaced.
    pub replaced: Replaced,
    /// What stands for what, when that was asked for.
    pub map: Option<RedactionMap>,
}

/// One pass over the text; what it puts out is the text of the next.
#[derive(Debug)]
struct Stage {
    window: Window,
    pass: Pass,
    /// The first pass: it looks at every frame.
    sees_all: bool,
    /// Bytes of frames that are looked at whole again.
    whole: usize,
    /// Where the pass before put tokens, and this one has not been yet.
    touched: VecDeque<usize>,
    /// What the last frame gave; kept for its memory alone.
    passed: Vec<u8>,
}

impl<'r> StreamRedactor<'r> {
    pub(crate) fn with_layout(
        redactor: &'r Redactor<'r>,
        map: Option<RedactionMap>,
        layout: Layout,
    ) -> StreamRedactor<'r> {
        let stage = |pass_idx| Stage {
            window: Window::new(layout),
            pass: Pass::new(pass_idx),
            sees_all: pass_idx == 0,
            whole: layout.whole,
            touched: VecDeque::new(),
            passed: vec![],
        };
        let stages = (0..PASSES_MAX).map(stage).collect();
        StreamRedactor { redactor, stages, tokens: Tokens::new(map) }
    }

    /// Takes the next chunk, of any length, and appends to `out` what is certain by now.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        feed(self.redactor, &mut self.stages, chunk, false, &mut self.tokens, out);
    }

    /// Ends the text, appends what remains to `out`, and says what was replaced in all.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Redacted {
        feed(self.redactor, &mut self.stages, &[], true, &mut self.tokens, out);
        self.tokens.finish()
    }

    #[cfg(test)]
    pub(crate) fn n_held_bytes(&self) -> usize {
        self.stages.iter().map(|stage| stage.window.n_held_bytes()).sum()
    }
}

/// Gives a chunk to the first stage, and what it puts out to the others.
fn feed(
    redactor: &Redactor<'_>,
    stages: &mut [Stage],
    chunk: &[u8],
    is_ended: bool,
    tokens: &mut Tokens,
    out: &mut Vec<u8>,
) {
    let Some((stage, later)) = stages.split_first_mut() else {
        return out.extend_from_slice(chunk);
    };
    let mut rest = chunk;
    loop {
        rest = stage.window.take(rest);
        let is_end = is_ended && rest.is_empty();
        while let Some(frame) = stage.window.next(is_end) {
            let mut passed = std::mem::take(&mut stage.passed);
            passed.clear();
            while stage.touched.front().is_some_and(|at| *at < frame.offset) {
                stage.touched.pop_front();
            }
            // The pass before saw these bytes too, and whatever is new has to do with a token.
            let end = frame.offset + frame.bytes.len();
            let inside = stage.touched.iter().take_while(|at| **at < end);
            let look = match inside.map(|at| at - frame.offset).collect::<Vec<usize>>() {
                _ if stage.sees_all => Look::Everywhere,
                inside if inside.is_empty() => Look::Nowhere,
                _ if frame.bytes.len() <= stage.whole => Look::Everywhere,
                inside => Look::Near(inside),
            };
            stage.pass.redact_frame(redactor, &frame, &look, tokens, &mut passed);
            let touched = stage.pass.hand_on(&passed);
            if let Some(next) = later.first_mut() {
                next.touched.extend(touched);
            }
            feed(redactor, later, &passed, false, tokens, out);
            stage.passed = passed;
        }
        if rest.is_empty() {
            break;
        }
    }
    if is_ended {
        feed(redactor, later, &[], true, tokens, out);
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
