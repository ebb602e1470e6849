//! Where in a file two runs part, as a person finds it: the member of an archive, the line, the bytes around it. No IO.

use super::{
    archive::{Budget, Member, members},
    compare::first_difference,
    normalise::as_text,
};

/// Bytes shown before the place, at most.
const BEFORE_BYTES: usize = 12;
/// Bytes shown from the place on, at most.
const BEHIND_BYTES: usize = 20;
/// Bytes kept around the place so that a secret in them can be recognised whole.
pub(super) const CONTEXT_BYTES: usize = 4 << 10;

/// Where a person finds a difference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Names of archive members, outermost first; empty outside an archive, or where its headers differ.
    pub members: Vec<String>,
    /// The line in the innermost text, counted from 1; `None` in binary data.
    pub line: Option<u64>,
    /// The byte in that member, or in the file.
    pub byte: u64,
}

/// Bytes around a place, with enough context to recognise a secret that crosses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The context.
    pub context: Vec<u8>,
    /// Which bytes of the context are to be shown.
    pub shown: std::ops::Range<usize>,
}

/// A file, or the member of one, and a place in it.
pub(super) struct At {
    pub bytes: Vec<u8>,
    pub byte: usize,
}

/// Finds the place where `recorded` and `replayed` part, entering archives as long as both can be read.
pub(super) fn place(recorded: &[u8], replayed: &[u8], first_byte: usize) -> (Place, At, At) {
    let mut names = vec![];
    let (mut then, mut now) = (recorded.to_vec(), replayed.to_vec());
    let mut budget = Budget::OUTPUT;
    while let Some((name, inner_then, inner_now)) = differing_member(&then, &now, budget) {
        budget.depth -= 1;
        if !name.is_empty() {
            names.push(name);
        }
        (then, now) = (inner_then, inner_now);
    }
    let byte = if names.is_empty() && then == recorded {
        first_byte
    } else {
        first_difference(&then, &now)
    };
    let is_text = as_text(&then).is_some() && as_text(&now).is_some();
    let line =
        is_text.then(|| 1 + then[..byte].iter().filter(|byte| **byte == b'\n').count() as u64);
    let place = Place { members: names, line, byte: byte as u64 };
    (place, At { bytes: then, byte }, At { bytes: now, byte })
}

/// The first member of both whose bytes differ; `None` where it is the containers themselves that differ.
fn differing_member(then: &[u8], now: &[u8], budget: Budget) -> Option<(String, Vec<u8>, Vec<u8>)> {
    let (then, now) = (members(then, &mut budget.clone())?, members(now, &mut budget.clone())?);
    let same_names = |(a, b): (&Member, &Member)| a.name == b.name;
    if then.len() != now.len() || !then.iter().zip(&now).all(same_names) {
        return None;
    }
    let differing = then.into_iter().zip(now).find(|(then, now)| then.bytes != now.bytes);
    differing.map(|(then, now)| {
        let name = String::from_utf8_lossy(&then.name).trim_end_matches([' ', '/']).to_owned();
        (name, then.bytes, now.bytes)
    })
}

/// Cuts the bytes around a place.
pub(super) fn excerpt(at: &At) -> Excerpt {
    let bound = |byte: usize| byte.min(at.bytes.len());
    let context = bound(at.byte.saturating_sub(CONTEXT_BYTES))..bound(at.byte + CONTEXT_BYTES);
    let mut shown = at.byte.saturating_sub(BEFORE_BYTES)..bound(at.byte + BEHIND_BYTES);
    if as_text(&at.bytes).is_some() {
        // Whole characters, and no more than the one line.
        let line = |range: &mut std::ops::Range<usize>| {
            if let Some(newline) =
                at.bytes[range.start..at.byte].iter().rposition(|byte| *byte == b'\n')
            {
                range.start += newline + 1;
            }
            if let Some(newline) =
                at.bytes[at.byte..range.end].iter().position(|byte| *byte == b'\n')
            {
                range.end = at.byte + newline;
            }
        };
        line(&mut shown);
    }
    let offset = context.start;
    Excerpt { context: at.bytes[context].to_vec(), shown: shown.start - offset..shown.end - offset }
}
