//! Licences of contents of any length, taken in pieces and looked at window by window.
//!
//! Invariants: each byte is looked at; a text of at most [`BORDER_BYTES`] is met whole in some window; memory has a bound
//! of one window and of what was found.

use std::collections::BTreeSet;

use super::{Detection, LicenceKind, Licences, detections, manifest, whole};

/// Bytes looked at at once; a content that is not longer is looked at whole.
pub(super) const WINDOW_BYTES: usize = 4 * 1024 * 1024;

/// What begins this near to the end of a window is left to the next.
const BORDER_BYTES: usize = 256 * 1024;

/// Detections of one content after which only those that say something new are kept.
const DETECTIONS_MAX: usize = 4_096;

/// Finds the licences of a content that comes in pieces.
#[derive(Debug)]
pub struct LicenceReader {
    path: Vec<u8>,
    /// The content from `offset` on.
    buffer: Vec<u8>,
    offset: usize,
    found: Vec<Detection>,
    said: BTreeSet<(String, LicenceKind, bool)>,
}

impl LicenceReader {
    /// Begins a content; by the last part of `path` manifests are known.
    pub fn new(path: &[u8]) -> LicenceReader {
        LicenceReader {
            path: path.to_owned(),
            buffer: Vec::new(),
            offset: 0,
            found: Vec::new(),
            said: BTreeSet::new(),
        }
    }

    /// Takes the next piece, of any length.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.buffer.len() == WINDOW_BYTES {
                self.next_window();
            }
            let (now, later) = bytes.split_at(bytes.len().min(WINDOW_BYTES - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
        }
    }

    /// Ends the content, and returns what [`super::licences`] returns for the whole of it.
    pub fn finish(mut self) -> Licences {
        if self.offset == 0 {
            return whole(&self.path, &self.buffer);
        }
        for met in detections(&self.buffer, true) {
            self.keep(met);
        }
        Licences { detections: self.found, unknown: manifest::too_long(super::name(&self.path)) }
    }

    fn next_window(&mut self) {
        let border = self.buffer.len() - BORDER_BYTES;
        let mut next = border;
        for met in detections(&self.buffer, true) {
            if met.span.start < border {
                next = next.max(met.span.end);
                self.keep(met);
            }
        }
        self.buffer.drain(..next);
        self.offset += next;
    }

    fn keep(&mut self, mut met: Detection) {
        let is_new = self.said.insert((met.expression.clone(), met.kind, met.is_modified()));
        if !is_new && self.found.len() >= DETECTIONS_MAX {
            return;
        }
        met.span = met.span.start + self.offset..met.span.end + self.offset;
        for deviation in &mut met.deviations {
            deviation.at += self.offset;
        }
        self.found.push(met);
    }
}
