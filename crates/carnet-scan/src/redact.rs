//! Text with its secrets replaced by names.

use std::{borrow::Cow, ops::Range};

use carnet_core::{Content, LineIndex, Region};

use crate::{
    engine::{self, Match},
    fingerprint::FingerprintKey,
    rule_set::RuleSet,
    scan::{joined, rank},
};

/// Passes of redaction until the text is given up as a whole.
const PASSES_MAX: usize = 8;
/// What stands for a text in which each pass finds something new.
const UNSETTLED: &[u8] = b"[REDACTED:unsettled-text]";

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
/// does not decide what may leave. The result holds nothing more to find: redacting it again changes nothing.
/// The key is not needed today: names are rule ids, not fingerprints.
/// A text that keeps giving rise to new findings is replaced whole by `[REDACTED:unsettled-text]`.
pub fn redact_findings(
    rules: &RuleSet,
    _key: &FingerprintKey,
    content: &Content,
) -> (Vec<u8>, usize) {
    let mut text = Cow::Borrowed(content.bytes.as_slice());
    let mut n_replaced = 0;
    for _ in 0..PASSES_MAX {
        let matches = engine::matches(rules, &text);
        if matches.is_empty() {
            return (text.into_owned(), n_replaced);
        }
        let lines = LineIndex::new(b"");
        let named: Vec<(Region, &str)> = named_regions(rules, &text, &matches)
            .into_iter()
            .map(|(range, name)| {
                (Region { start: range.start, end: range.end, ..lines.region(0, 0) }, name)
            })
            .collect();
        n_replaced += named.len();
        match redact(&text, &named) {
            Ok(redacted) => text = Cow::Owned(redacted),
            Err(_) => break,
        }
    }
    (UNSETTLED.to_vec(), n_replaced + 1)
}

/// Returns the joined regions of all matches, each with the id of its most specific rule.
fn named_regions<'r>(
    rules: &'r RuleSet,
    text: &[u8],
    matches: &[Match],
) -> Vec<(Range<usize>, &'r str)> {
    let regions = joined(matches.iter().map(|found| found.secret.clone()).collect());
    let mut best: Vec<Option<&Match>> = vec![None; regions.len()];
    for found in matches {
        let region_idx = regions.partition_point(|region| region.end <= found.secret.start);
        let rank_of = |found: &Match| rank(&rules.rules()[found.rule_idx], text, &found.secret);
        let slot = &mut best[region_idx];
        if slot.is_none_or(|other| rank_of(found) < rank_of(other)) {
            *slot = Some(found);
        }
    }
    let name =
        |found: Option<&Match>| found.map_or("secret", |found| rules.rules()[found.rule_idx].id());
    regions.into_iter().zip(best).map(|(region, found)| (region, name(found))).collect()
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
