//! Text with its secrets replaced by names.

use std::{borrow::Cow, ops::Range};

use carnet_core::{Content, Region};

use crate::{
    fingerprint::FingerprintKey,
    frame::{Frame, Framer, LAYOUT},
    reading::{self, Hit, Readings},
    rule_set::RuleSet,
    scan::{joined, rank},
};

/// Passes of redaction; the last finds nothing, or the text is given up.
pub(crate) const PASSES_MAX: usize = 4;
/// What stands for a text in which each pass finds something new.
const UNSETTLED: &[u8] = b"[REDACTED:unsettled-text]";
/// What stands for a text, from the frame on of which not all could be examined.
const UNEXAMINED: &[u8] = b"[REDACTED:unexamined-text]";

/// Why regions cannot be redacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedactError {
    /// A region ends before it starts, starts before the end of the one before it, or ends after the text.
    #[error("region number {number} (`{start}..{end}`) is out of order or out of bounds")]
    Region {
        /// Position in the list, from 1.
        number: usize,
        /// Its first byte.
        start: usize,
        /// One past its last byte.
        end: usize,
    },
    /// A name holds a byte that would break the frame: `[`, `]` or a control byte; or it is empty.
    #[error("name number {number} does not fit into `[REDACTED:NAME]`")]
    Name {
        /// Position in the list, from 1.
        number: usize,
    },
}

/// Returns `text` with every region replaced by `[REDACTED:NAME]`.
///
/// - `text`: UTF-8 or not, any length in bytes, left untouched outside the regions.
/// - `regions`: each with its name; sorted by start, not overlapping. Only the byte offsets count.
///
/// # Errors
///
/// [`RedactError`] names the first region that is out of order or out of bounds; no partly redacted text is
/// ever returned.
///
/// # Source
///
/// Regions are byte ranges as in SARIF 2.1.0 §3.30 (`byteOffset`, `byteLength`).
pub fn redact(text: &[u8], regions: &[(Region, &str)]) -> Result<Vec<u8>, RedactError> {
    let mut redacted = Vec::with_capacity(text.len());
    let mut copied = 0;
    for (idx, (region, name)) in regions.iter().enumerate() {
        let (number, start, end) = (idx + 1, region.start, region.end);
        if start < copied || end < start || end > text.len() {
            return Err(RedactError::Region { number, start, end });
        }
        let breaks = |c: char| c.is_control() || c == '[' || c == ']';
        if name.is_empty() || name.contains(breaks) {
            return Err(RedactError::Name { number });
        }
        redacted.extend_from_slice(&text[copied..start]);
        redacted.extend_from_slice(b"[REDACTED:");
        redacted.extend_from_slice(name.as_bytes());
        redacted.push(b']');
        copied = end;
    }
    redacted.extend_from_slice(&text[copied..]);
    Ok(redacted)
}

/// Returns the content's bytes with every secret replaced by its rule's id, and how many were replaced.
///
/// Unlike [`scan`](crate::scan()), this replaces everything that any rule met: secrets that share bytes are replaced
/// together under the id of the most specific rule, and `carnet:allow` has no say, because who writes a text
/// does not decide what may leave. A secret in an encoded run, or in an archive, takes the whole run or archive
/// with it. The result holds nothing more to find: redacting it again changes nothing.
/// The key is not needed today: names are rule ids, not fingerprints.
/// A text of which not all could be examined is replaced by `[REDACTED:unexamined-text]`, from that frame on.
/// A text that keeps giving rise to new findings is replaced by `[REDACTED:unsettled-text]`, from the frame on
/// where it does: whole, when it has up to 4 MiB.
pub fn redact_findings(
    rules: &RuleSet,
    _key: &FingerprintKey,
    content: &Content,
) -> (Vec<u8>, usize) {
    let mut text = Cow::Borrowed(content.bytes.as_slice());
    let mut n_replaced = 0;
    for pass_idx in 0..PASSES_MAX {
        let mut pass = Pass::new(pass_idx);
        let mut framer = Framer::new(LAYOUT);
        let mut redacted = Vec::with_capacity(text.len());
        while let Some(frame) = framer.next(&text, 0, true) {
            pass.redact_frame(rules, &frame, false, &mut redacted);
        }
        if pass.n_replaced == 0 {
            break;
        }
        n_replaced += pass.n_replaced;
        text = Cow::Owned(redacted);
    }
    (text.into_owned(), n_replaced)
}

/// One pass of redaction over the frames of a text.
#[derive(Debug)]
pub(crate) struct Pass {
    /// The last pass gives a text up in which there is still something to find.
    is_last: bool,
    has_given_up: bool,
    /// How far the text is put out or replaced.
    done_to: usize,
    /// Where the first secret was.
    clean_to: usize,
    n_replaced: usize,
}

impl Pass {
    pub(crate) fn new(pass_idx: usize) -> Pass {
        Pass {
            is_last: pass_idx + 1 == PASSES_MAX,
            has_given_up: false,
            done_to: 0,
            clean_to: usize::MAX,
            n_replaced: 0,
        }
    }

    /// Returns how many regions were replaced so far.
    pub(crate) fn n_replaced(&self) -> usize {
        self.n_replaced
    }

    /// Returns up to where the text was put out as it is; no bound while it all was.
    pub(crate) fn clean_to(&self) -> usize {
        self.clean_to
    }

    /// Puts out the core of `frame`, redacted; a secret that begins in it is replaced whole.
    ///
    /// `is_clean` tells that the bytes of the frame hold nothing to find.
    pub(crate) fn redact_frame(
        &mut self,
        rules: &RuleSet,
        frame: &Frame<'_>,
        is_clean: bool,
        out: &mut Vec<u8>,
    ) {
        let mut hits = Vec::new();
        if !is_clean && !self.has_given_up {
            let readings: Readings<'_> = reading::read(rules, frame.bytes, frame.place());
            if !readings.unread.is_empty() || frame.is_cut_archive() {
                self.give_up(frame, UNEXAMINED, out);
            }
            hits = readings.hits;
        }
        for (region, name) in named_regions(rules, &hits) {
            let (start, end) = (frame.offset + region.start, frame.offset + region.end);
            if self.has_given_up || end <= self.done_to || region.start >= frame.core.end {
                continue;
            }
            self.clean_to = self.clean_to.min(start.max(self.done_to));
            self.n_replaced += 1;
            if self.is_last {
                out.extend_from_slice(UNSETTLED);
                self.has_given_up = true;
            } else {
                self.put_out(frame, start, out);
                out.extend_from_slice(b"[REDACTED:");
                out.extend_from_slice(name.as_bytes());
                out.push(b']');
                self.done_to = end;
            }
        }
        if !self.has_given_up {
            self.put_out(frame, frame.offset + frame.core.end, out);
        }
    }

    /// Replaces all from the core of `frame` on.
    fn give_up(&mut self, frame: &Frame<'_>, by: &[u8], out: &mut Vec<u8>) {
        self.clean_to = self.clean_to.min(self.done_to.max(frame.offset + frame.core.start));
        self.n_replaced += 1;
        self.has_given_up = true;
        out.extend_from_slice(by);
    }

    /// Copies what lies between what is done and `end`.
    fn put_out(&mut self, frame: &Frame<'_>, end: usize, out: &mut Vec<u8>) {
        if end > self.done_to {
            out.extend_from_slice(&frame.bytes[self.done_to - frame.offset..end - frame.offset]);
            self.done_to = end;
        }
    }
}

/// Returns the joined regions of all hits, each with the id of its most specific rule.
fn named_regions<'r>(rules: &'r RuleSet, hits: &[Hit<'_>]) -> Vec<(Range<usize>, &'r str)> {
    let regions = joined(hits.iter().map(|hit| hit.region.clone()).collect());
    let mut best: Vec<Option<&Hit<'_>>> = vec![None; regions.len()];
    for hit in hits {
        let region_idx = regions.partition_point(|region| region.end <= hit.region.start);
        let rank_of = |hit: &Hit<'_>| rank(&rules.rules()[hit.rule_idx], &hit.region, &hit.secret);
        let slot = &mut best[region_idx];
        if slot.is_none_or(|other| rank_of(hit) < rank_of(other)) {
            *slot = Some(hit);
        }
    }
    let name = |hit: Option<&Hit<'_>>| hit.map_or("secret", |hit| rules.rules()[hit.rule_idx].id());
    regions.into_iter().zip(best).map(|(region, hit)| (region, name(hit))).collect()
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
