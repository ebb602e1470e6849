//! Values split over literals: `"AKIA" + "…"`, `'..' '..'`, and lines that go on after a backslash.
//!
//! Literals are joined when nothing but white space, a line continuation and one operator that concatenates
//! stands between them: `+`, `.` (PHP, Perl), `..` (Lua), `&` (Visual Basic), or nothing (C, Python, shell).
//! A comma joins nothing: elements of a list are values of their own. This is not a parser of any language;
//! it looks at quotes, and what is joined by mistake must still be met by a rule, across the seam.
//!
//! Invariants: each byte belongs to at most one chain, apart from a bounded context before it; a chain has
//! at most [`PIECES_MAX`] pieces and covers about [`CHAIN_BYTES_MAX`] bytes. What goes on after that is a further chain, which
//! begins with the last [`CARRIED_BYTES`] or [`CARRIED_PIECES`] of the one before, so that nothing is cut.

use std::ops::Range;

/// Pieces of one chain.
const PIECES_MAX: usize = 512;
/// Bytes of the text that one chain may cover.
const CHAIN_BYTES_MAX: usize = 64 << 10;
/// Bytes, and pieces, with which a chain that is too long goes on: whichever is reached first.
const CARRIED_BYTES: usize = 8 << 10;
const CARRIED_PIECES: usize = 256;
/// Bytes between two literals.
const GAP_BYTES_MAX: usize = 256;
/// Bytes before the first seam that belong to the chain: the first literal, and the name it is given to.
const CONTEXT_BYTES: usize = 512;
/// Bytes after the last literal that belong to the chain.
const TAIL_BYTES: usize = 16;

/// A chain of literals read as one text.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    pub(crate) text: Vec<u8>,
    /// For each piece where it begins in `text`, and where in the text it was taken from.
    pieces: Vec<(usize, usize)>,
}

impl Joined {
    fn push(&mut self, text: &[u8], piece: Range<usize>) {
        self.pieces.push((self.text.len(), piece.start));
        self.text.extend_from_slice(&text[piece]);
    }

    /// Returns the chain that goes on after this one.
    fn carried(&self) -> Joined {
        let enough = self.text.len().saturating_sub(CARRIED_BYTES);
        let by_bytes = self.pieces.partition_point(|(at, _)| *at <= enough).saturating_sub(1);
        let first = by_bytes.max(self.pieces.len().saturating_sub(CARRIED_PIECES));
        let Some((from, _)) = self.pieces.get(first) else { return Joined::default() };
        let pieces = self.pieces[first..].iter().map(|(at, origin)| (at - from, *origin));
        Joined { text: self.text[*from..].to_vec(), pieces: pieces.collect() }
    }

    /// Tells whether a seam lies within the range.
    pub(crate) fn is_split(&self, range: &Range<usize>) -> bool {
        let after = self.pieces.partition_point(|(at, _)| *at <= range.start);
        self.pieces.get(after).is_some_and(|(at, _)| *at < range.end)
    }

    /// Returns where a range, not empty, stands in the text, from its first byte to its last.
    pub(crate) fn region(&self, range: &Range<usize>) -> Range<usize> {
        let origin = |offset: usize| {
            let idx = self.pieces.partition_point(|(at, _)| *at <= offset);
            let (at, from) = self.pieces[idx.saturating_sub(1)];
            from + offset - at
        };
        origin(range.start)..origin(range.end.saturating_sub(1)) + 1
    }
}

/// A place where a literal, or a line, goes on further down.
struct Seam {
    /// The quote that opens the next literal; `None` after a backslash.
    quote: Option<u8>,
    /// Where the text goes on.
    resume: usize,
}

/// Hands each chain of `text` to `visit`.
pub(crate) fn each_chain(text: &[u8], visit: &mut dyn FnMut(&Joined)) {
    let mut floor = 0;
    while let Some(at) = next_mark(text, floor) {
        let Some(mut seam) = seam(text, at) else {
            floor = at + 1;
            continue;
        };
        let before = &text[floor.max(at.saturating_sub(CONTEXT_BYTES))..at];
        let line = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let chain_start = at - before.len() + line;
        let mut joined = Joined::default();
        joined.push(text, chain_start..at);
        let mut part_start = chain_start;
        let mut limit = text.len().min(chain_start + CHAIN_BYTES_MAX);
        loop {
            let end = piece_end(text, &seam, limit);
            let next = (end < limit).then(|| self::seam(text, end)).flatten();
            match next {
                Some(next) => {
                    joined.push(text, seam.resume..end);
                    seam = next;
                    if joined.pieces.len() == PIECES_MAX
                        || end - part_start > CHAIN_BYTES_MAX - CARRIED_BYTES
                    {
                        visit(&joined);
                        joined = joined.carried();
                        part_start = end;
                        limit = text.len().min(part_start + CHAIN_BYTES_MAX);
                    }
                }
                None => {
                    let rest = &text[end..text.len().min(end + TAIL_BYTES)];
                    let tail = rest.iter().take_while(|byte| **byte != b'\n').count();
                    joined.push(text, seam.resume..end + tail);
                    floor = end.max(at + 1);
                    break;
                }
            }
        }
        visit(&joined);
    }
}

/// Returns the next quote or backslash after which a seam may come.
fn next_mark(text: &[u8], from: usize) -> Option<usize> {
    memchr::memchr3_iter(b'"', b'\'', b'\\', &text[from..]).map(|at| from + at).find(|at| {
        let next = text.get(at + 1);
        next.is_some_and(|next| match text[*at] {
            b'\\' => matches!(next, b'\n' | b'\r'),
            _ => matches!(next, b' ' | b'\t' | b'\n' | b'\r' | b'+' | b'.' | b'&' | b'\\'),
        })
    })
}

/// Reads the seam that begins with the quote or backslash at `at`; both sides of it must look like parts of
/// one word.
fn seam(text: &[u8], at: usize) -> Option<Seam> {
    let before = at.checked_sub(1)?;
    let seam = match text[at] {
        b'\\' => Seam { quote: None, resume: after_continuation(text, at)? },
        quote @ (b'"' | b'\'' | b'`') => after_operator(text, at, quote)?,
        _ => return None,
    };
    let is_word_byte = |at: usize| {
        let byte = text.get(at);
        byte.is_some_and(|byte| byte.is_ascii_graphic() && !b"\\,;(){}<>\"'`".contains(byte))
    };
    (is_word_byte(before) && is_word_byte(seam.resume)).then_some(seam)
}

/// Returns where a line goes on whose last byte is the backslash at `at`.
fn after_continuation(text: &[u8], at: usize) -> Option<usize> {
    let rest = text[at..].strip_prefix(b"\\")?;
    let rest = rest.strip_prefix(b"\r").unwrap_or(rest).strip_prefix(b"\n")?;
    let n_blanks = rest.iter().take(GAP_BYTES_MAX).take_while(is_blank).count();
    Some(text.len() - rest.len() + n_blanks)
}

fn is_blank(byte: &&u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Reads an operator, or none, and the quote that opens the next literal.
fn after_operator(text: &[u8], at: usize, closing: u8) -> Option<Seam> {
    let gap = &text[at + 1..text.len().min(at + 1 + GAP_BYTES_MAX)];
    let rest = skip_space(gap);
    let after = match rest {
        [b'.', b'.', after @ ..] | [b'+' | b'.' | b'&', after @ ..] => Some(after),
        _ => None,
    };
    let next = after.map_or(rest, skip_space);
    let (quote, tail) = match next {
        [b'b' | b'r' | b'u' | b'f' | b'L', quote, tail @ ..] => (*quote, tail),
        [quote, tail @ ..] => (*quote, tail),
        [] => return None,
    };
    let is_quote = matches!(quote, b'"' | b'\'' | b'`');
    let fits = after.is_some() || quote == closing && rest.len() < gap.len();
    (is_quote && fits).then(|| Seam { quote: Some(quote), resume: at + 1 + gap.len() - tail.len() })
}

/// Passes over white space and backslashes at the end of a line.
fn skip_space(mut gap: &[u8]) -> &[u8] {
    loop {
        gap = match gap {
            [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] => rest,
            [b'\\', b'\n', rest @ ..] | [b'\\', b'\r', b'\n', rest @ ..] => rest,
            _ => return gap,
        }
    }
}

/// Returns where the piece after `seam` ends: at its closing quote, a backslash that ends a line, the end of
/// the line, or `limit`.
fn piece_end(text: &[u8], seam: &Seam, limit: usize) -> usize {
    let mut at = seam.resume.min(limit);
    while at < limit {
        match text[at] {
            b'\n' => return at,
            b'\\' if matches!(text.get(at + 1), Some(b'\n' | b'\r')) => return at,
            b'\\' => at += 2,
            byte if Some(byte) == seam.quote => return at,
            b'"' | b'\'' if seam.quote.is_none() && self::seam(text, at).is_some() => return at,
            _ => at += 1,
        }
    }
    limit.max(seam.resume)
}

#[cfg(test)]
#[path = "literals_tests.rs"]
mod tests;
