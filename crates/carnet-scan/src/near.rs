//! A text in which something was replaced, looked at again: around what was replaced, and not everywhere.
//!
//! The text was looked at whole when something was replaced in it. What can be met now and could not before shares a byte with what
//! stands there instead, touches it, or takes the place of a match that did: so it lies within the reach of a rule. Rules without a
//! bound look at the whole text again. Runs that may be encoded are never cut.
//!
//! Refuses to be clever where more than that decides: at the beginning of a table or an archive, and where little would be left
//! out, the text is read whole.

use std::ops::Range;

use crate::{
    beside::Beside,
    container,
    frame::Frame,
    personal,
    reading::{self, Place, Readings},
    rule_set::RuleSet,
    tokens::NAME_BYTES_MAX,
};

/// Bytes around a slice that are read with it, so that nothing begins or ends at its edge that does not in the text.
const EDGE: usize = 512;
/// Bytes of a run that may be encoded, or wrapped over lines, to which a slice is extended.
const RUN_MAX: usize = 256 << 10;

/// Reads `frame` around the places where tokens begin, given as offsets into it and in order.
pub(crate) fn read<'t>(
    rules: &RuleSet,
    beside: Beside<'_>,
    frame: &Frame<'t>,
    tokens: &[usize],
) -> Readings<'t> {
    let (text, place) = (frame.bytes, frame.place());
    let slices = slices(text, tokens, rules.reach().bounded);
    let n_bytes: usize = slices.iter().map(|it| it.read.len()).sum();
    let is_special = place == Place::Beginning
        && (container::kind(text).is_some()
            || beside.personal.is_some() && personal::begins_table(text));
    if is_special || n_bytes > text.len() / 2 {
        return reading::read(rules, beside, text, place);
    }
    let mut all = reading::read_unbounded(rules, text);
    for Slice { read, near } in slices {
        let place = if read.start == 0 { place } else { Place::Further };
        let Readings { hits, asides, unread, trace: _ } =
            reading::read(rules, beside, &text[read.clone()], place);
        let moved = |it: &Range<usize>| it.start + read.start..it.end + read.start;
        let is_near = |it: &Range<usize>| it.start < near.end && near.start < it.end;
        all.hits.extend(hits.into_iter().filter_map(|hit| {
            let region = moved(&hit.region);
            is_near(&region).then_some(reading::Hit { region, ..hit })
        }));
        all.asides.extend(asides.into_iter().filter_map(|aside| {
            let region = moved(&aside.region);
            is_near(&region).then_some(crate::beside::Aside { region, ..aside })
        }));
        all.unread.extend(unread);
    }
    all
}

/// A part of a text that is read, and what of it is near a token.
struct Slice {
    read: Range<usize>,
    near: Range<usize>,
}

fn slices(text: &[u8], tokens: &[usize], reach: usize) -> Vec<Slice> {
    let mut slices: Vec<Slice> = vec![];
    for token in tokens {
        let end = token + NAME_BYTES_MAX + reach;
        let near = before_run(text, token.saturating_sub(reach))..after_run(text, end);
        match slices.last_mut() {
            Some(last) if near.start <= last.near.end + 2 * EDGE => {
                last.near.end = last.near.end.max(near.end);
            }
            _ => slices.push(Slice { read: 0..0, near }),
        }
    }
    for slice in &mut slices {
        let start = slice.near.start.saturating_sub(EDGE);
        slice.read = start..text.len().min(slice.near.end + EDGE);
    }
    slices
}

fn before_run(text: &[u8], at: usize) -> usize {
    let before = &text[at.saturating_sub(RUN_MAX)..at.min(text.len())];
    at.min(text.len()) - before.iter().rev().take_while(|byte| is_run_byte(byte)).count()
}

fn after_run(text: &[u8], at: usize) -> usize {
    let at = at.min(text.len());
    let after = &text[at..text.len().min(at + RUN_MAX)];
    at + after.iter().take_while(|byte| is_run_byte(byte)).count()
}

/// Tells whether a byte may stand in an encoded run: base64, hexadecimal, percent-encoding, UTF-16, or between its lines.
fn is_run_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_=%.~\r\n\t \0".contains(byte)
}
