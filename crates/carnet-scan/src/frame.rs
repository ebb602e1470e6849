//! Long texts in frames of bounded size, so that a stream is scanned exactly as the whole text is.
//!
//! A text is cut into cores at fixed places: the first after [`Layout::first`] bytes, the others
//! [`Layout::core`] further on each. A frame is a core with up to [`Layout::reach`] bytes before and after
//! it, and is examined alone; of what is met in it, that which begins in the core counts. Whether the text
//! comes at once or in chunks, the frames are the same, and so is all that is made of them.
//!
//! Invariants: every byte lies in one core; texts up to [`Layout::first`] bytes are one frame, whole. In
//! longer ones, a match (or run, or chain of literals) of up to `reach` bytes is seen whole in some frame.

use std::ops::Range;

use carnet_core::Region;

use crate::{container, reading::Place};

/// Where texts are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Bytes of the first core of a text that begins with a container.
    pub(crate) first_of_container: usize,
    /// Bytes of every other core.
    pub(crate) core: usize,
    /// Bytes around a core that are looked at with it.
    pub(crate) reach: usize,
    /// Bytes of frames that are looked at whole again after something was replaced in them.
    pub(crate) whole: usize,
}

/// The layout that scans use.
pub(crate) const LAYOUT: Layout =
    Layout { first_of_container: 16 << 20, core: 4 << 20, reach: 256 << 10, whole: 1 << 20 };

/// Bytes that tell whether a text begins with a container.
const KIND_BYTES: usize = 512;

impl Layout {
    /// Returns the length of the first core, from the beginning of the text.
    fn first(&self, beginning: &[u8]) -> usize {
        match container::kind(&beginning[..beginning.len().min(KIND_BYTES)]) {
            Some(_) => self.first_of_container.max(self.core),
            None => self.core,
        }
    }
}

/// Part of a text, and the core in it.
#[derive(Debug)]
pub(crate) struct Frame<'t> {
    pub(crate) bytes: &'t [u8],
    /// Offset of the first byte in the whole text.
    pub(crate) offset: usize,
    /// The core, as offsets into `bytes`.
    pub(crate) core: Range<usize>,
    /// How many of the bytes lie before the next frame.
    pub(crate) n_passed: usize,
    /// Whether the text ends with these bytes.
    pub(crate) is_last: bool,
}

impl Frame<'_> {
    pub(crate) fn place(&self) -> Place {
        if self.offset == 0 { Place::Beginning } else { Place::Further }
    }

    /// Whether the text begins as an archive that goes on after these bytes.
    pub(crate) fn is_cut_archive(&self) -> bool {
        self.offset == 0 && !self.is_last && container::kind(self.bytes).is_some()
    }

    /// Whether these bytes are the whole text.
    pub(crate) fn is_whole(&self) -> bool {
        self.offset == 0 && self.is_last && self.core.end == self.bytes.len()
    }
}

/// Hands out the frames of a text that grows at its end and is forgotten at its beginning.
#[derive(Debug)]
pub(crate) struct Framer {
    layout: Layout,
    /// Where the next core begins and ends; the end is unknown until enough is known of the text.
    core_start: usize,
    core_end: Option<usize>,
}

impl Framer {
    pub(crate) fn new(layout: Layout) -> Framer {
        Framer { layout, core_start: 0, core_end: None }
    }

    /// Returns the first byte of the text that is still needed.
    pub(crate) fn needed_from(&self) -> usize {
        self.core_start.saturating_sub(self.layout.reach)
    }

    /// Returns how many bytes the text must have for the next frame to be complete.
    pub(crate) fn needed_to(&self) -> usize {
        // While little is known of the beginning, the smallest core decides when to ask again.
        let core_end = self.core_end.unwrap_or(self.core_start + self.layout.core.max(KIND_BYTES));
        core_end.saturating_add(self.layout.reach)
    }

    /// Returns the next frame when it is complete.
    ///
    /// `known` are the bytes of the text from `offset`, at most [`Framer::needed_from`], to as far as it is
    /// known; `is_ended` tells that this is its end. An empty text has one frame.
    pub(crate) fn next<'t>(
        &mut self,
        known: &'t [u8],
        offset: usize,
        is_ended: bool,
    ) -> Option<Frame<'t>> {
        let known_end = offset + known.len();
        if self.core_end.is_none() {
            if !is_ended && known_end < self.needed_to() {
                return None;
            }
            self.core_end = Some(self.layout.first(known));
        }
        let is_done = self.core_start >= known_end && self.core_start > 0;
        if is_done || !is_ended && known_end < self.needed_to() {
            return None;
        }
        let core_end = self.core_end?;
        let window = self.needed_from()..self.needed_to().min(known_end);
        let frame = Frame {
            bytes: &known[window.start - offset..window.end - offset],
            offset: window.start,
            core: self.core_start - window.start..core_end.min(known_end) - window.start,
            n_passed: core_end.saturating_sub(self.layout.reach).clamp(window.start, window.end)
                - window.start,
            is_last: is_ended && window.end == known_end,
        };
        self.core_start = core_end;
        self.core_end = Some(core_end + self.layout.core);
        Some(frame)
    }
}

/// Bytes of a text that arrive in chunks, held as long as a frame needs them.
#[derive(Debug)]
pub(crate) struct Window {
    framer: Framer,
    held: Vec<u8>,
    /// Offset of the first byte held.
    offset: usize,
}

impl Window {
    pub(crate) fn new(layout: Layout) -> Window {
        Window { framer: Framer::new(layout), held: Vec::new(), offset: 0 }
    }

    /// Takes as much of `chunk` as the next frame needs, and returns the rest.
    pub(crate) fn take<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let needed_from = self.framer.needed_from();
        if needed_from > self.offset {
            self.held.drain(..(needed_from - self.offset).min(self.held.len()));
            self.offset = needed_from;
        }
        let n_missing = self.framer.needed_to().saturating_sub(self.offset + self.held.len());
        let (taken, rest) = chunk.split_at(n_missing.min(chunk.len()));
        self.held.extend_from_slice(taken);
        rest
    }

    /// Returns the next complete frame.
    pub(crate) fn next(&mut self, is_ended: bool) -> Option<Frame<'_>> {
        self.framer.next(&self.held, self.offset, is_ended)
    }

    #[cfg(test)]
    pub(crate) fn n_held_bytes(&self) -> usize {
        self.held.capacity()
    }
}

/// Lines and columns of the place where a frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LineBase {
    offset: usize,
    /// Line feeds before it.
    n_lines: usize,
    /// Bytes of its line before it.
    column: usize,
}

impl LineBase {
    /// Moves on to where `frame` begins: `passed` are the bytes between.
    pub(crate) fn pass(&mut self, passed: &[u8]) {
        self.offset += passed.len();
        self.n_lines += memchr::memchr_iter(b'\n', passed).count();
        match memchr::memrchr(b'\n', passed) {
            Some(at) => self.column = passed.len() - at - 1,
            None => self.column += passed.len(),
        }
    }

    /// Returns a region of the frame as one of the whole text.
    pub(crate) fn region(&self, region: Region) -> Region {
        let line = |line: u32| u32::try_from(self.n_lines).unwrap_or(u32::MAX).saturating_add(line);
        let column = |line: u32, column: u32| {
            let before = if line == 1 { self.column } else { 0 };
            u32::try_from(before).unwrap_or(u32::MAX).saturating_add(column)
        };
        Region {
            start: self.offset + region.start,
            end: self.offset + region.end,
            start_line: line(region.start_line),
            start_column: column(region.start_line, region.start_column),
            end_line: line(region.end_line),
            end_column: column(region.end_line, region.end_column),
        }
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
