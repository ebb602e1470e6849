//! Versions of a text, looked at where they differ.
//!
//! A text in which nothing was met, and whose next version has the same beginning and the same end, is looked at again in the
//! middle alone: the changed bytes, what lies within reach of them on both sides, and from there on to a line break that nothing
//! crosses. Only the answer "nothing there" is believed; whenever the middle says anything else, the caller scans it all, so that no
//! finding is ever made up here.
//!
//! Why none is lost. What is met depends on bytes within a bound of it ([`FAR`], for regexes and for the readers of names, numbers
//! and addresses), on encoded runs and chains of literals, which end where a line is [`is_firm`] at its end, or on the whole text.
//! The last kind is excluded: archives, tables, bytes that are zero, rules without a bound and rules about the path give no proof. Of
//! the second, none crosses the edges of the middle, in either version. As for the first, what does not depend on a changed byte was there
//! before, when nothing was met, and what does lies in the middle, as far from its edges as it looks. A regex goes on
//! behind its last match, so that one match can move all that follow; hence a middle in which any regex matches is no answer,
//! even if the rule's filters say that it is nothing.

use std::ops::Range;

use carnet_core::Origin;

use crate::{
    container,
    encoding::RUN_MIN,
    engine::{FAR, Work},
    frame::LAYOUT,
    personal,
    reading::{self, Place, Readings, Trace},
    rule_set::RuleSet,
    scan::{beside_of, is_path_looked_at},
};

/// Bytes on either side of what changed that are looked at: what depends on it, and all that this depends on.
const MARGIN: usize = 2 * FAR + 64;
/// Bytes after which no firm line break is looked for.
const SEARCHED_MAX: usize = 64 << 10;
/// Blanks at the beginning of a line of an encoded run, and some more.
const BLANKS_MAX: usize = 128;

/// Proof that nothing was met in a text, not even what is accepted or left unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// Bytes that regexes looked at, in the text and its earlier versions; never less than a scan of the text takes.
    n_work: usize,
}

impl Quiet {
    /// Returns the proof that the whole text was found empty, when what was read of it is one.
    pub(crate) fn of(
        rules: &RuleSet,
        origin: &Origin,
        text: &[u8],
        readings: &Readings<'_>,
    ) -> Option<Quiet> {
        let Readings { hits, asides, unread, trace } = readings;
        let is_empty = hits.is_empty() && asides.is_empty() && unread.is_empty();
        (is_empty && !trace.is_far && is_plain(text) && !is_path_looked_at(rules, origin))
            .then_some(Quiet { n_work: trace.n_work })
    }

    /// Returns the proof that nothing is met in `after` either, or `None` when it is to be scanned whole to know.
    ///
    /// - `before`: the very text that this was proved of, under the same rules and the same path.
    pub fn still(
        self,
        rules: &RuleSet,
        origin: &Origin,
        before: &[u8],
        after: &[u8],
    ) -> Option<Quiet> {
        if after.len() > LAYOUT.core || !is_plain(after) {
            return None;
        }
        let middle = middle(after, changed(before, after));
        if middle.len() > after.len() / 2 {
            return None;
        }
        let place = if middle.start == 0 { Place::Beginning } else { Place::Further };
        let readings = reading::read(rules, beside_of(origin), &after[middle], place);
        let Readings { hits, asides, unread, trace } = readings;
        let Trace { n_work, is_matched, is_far } = trace;
        let is_empty = hits.is_empty() && asides.is_empty() && unread.is_empty();
        let n_work = self.n_work + n_work;
        (is_empty && !is_matched && !is_far && n_work <= Work::granted(after.len()))
            .then_some(Quiet { n_work })
    }
}

/// Tells whether no part of a text speaks for all of it.
fn is_plain(text: &[u8]) -> bool {
    container::kind(text).is_none()
        && !personal::begins_table(text)
        && memchr::memchr(0, text).is_none()
}

/// Returns the bytes of `after` that lie between what both versions begin with and what both end with.
fn changed(before: &[u8], after: &[u8]) -> Range<usize> {
    const BLOCK: usize = 256;
    let same = |a: &[u8], b: &[u8]| {
        let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK));
        let n = BLOCK * blocks.take_while(|(a, b)| a == b).count();
        n + a[n..].iter().zip(&b[n..]).take_while(|(a, b)| a == b).count()
    };
    let start = same(before, after);
    let (before, rest) = (&before[start..], &after[start..]);
    let same_at_end = |a: &[u8], b: &[u8]| {
        let blocks = a.rchunks_exact(BLOCK).zip(b.rchunks_exact(BLOCK));
        let n = BLOCK * blocks.take_while(|(a, b)| a == b).count();
        let (a, b) = (&a[..a.len() - n], &b[..b.len() - n]);
        n + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
    };
    start..after.len() - same_at_end(before, rest)
}

/// Returns what is to be looked at of a text of which these bytes changed: whole lines that nothing enters or leaves.
fn middle(text: &[u8], changed: Range<usize>) -> Range<usize> {
    let from = changed.start.saturating_sub(MARGIN);
    let from = memchr::memrchr_iter(b'\n', &text[from.saturating_sub(SEARCHED_MAX)..from])
        .map(|at| from.saturating_sub(SEARCHED_MAX) + at)
        .find(|at| is_firm(&text[..*at]))
        .map_or(0, |at| at + 1);
    let to = (changed.end + MARGIN).min(text.len());
    let to = memchr::memchr_iter(b'\n', &text[to..text.len().min(to + SEARCHED_MAX)])
        .map(|at| to + at)
        .find(|at| is_firm(&text[..*at]))
        .map_or(text.len(), |at| at + 1);
    from..to
}

/// Tells whether nothing goes on after the line at the end of `text`, which a line break follows: no literal, for it ends with neither a quote, an
/// operator, a backslash nor a blank, and no encoded run, for it ends neither with a word that could be one nor with the only word
/// of the line. Looks at less than [`MARGIN`] bytes.
fn is_firm(text: &[u8]) -> bool {
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let Some(last) = text.last() else { return false };
    if !last.is_ascii_graphic() || b"\"'`\\.+&".contains(last) {
        return false;
    }
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    let n_letters = text.iter().rev().take(RUN_MIN).take_while(|byte| is_letter(byte)).count();
    if n_letters == 0 {
        return true;
    }
    let before = &text[..text.len() - n_letters];
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let n_blanks = before.iter().rev().take(BLANKS_MAX).take_while(|byte| is_blank(byte)).count();
    let before = before[..before.len() - n_blanks].last();
    n_letters < RUN_MIN && n_blanks < BLANKS_MAX && before.is_some_and(u8::is_ascii_graphic)
}

#[cfg(test)]
#[path = "quiet_tests.rs"]
mod tests;
