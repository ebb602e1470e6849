//! What stands around a candidate: words that speak of it, and the header of its column.

use std::ops::Range;

use crate::{
    redact::TOKEN_START,
    tokens::{NAME_BYTES_MAX, name_at},
};

/// Bytes before a candidate in which a word speaks of it.
const BEFORE: usize = 72;
/// Bytes after it, on its line.
const AFTER: usize = 18;
/// Longest first line that can be the header of a table, and longest line whose columns are counted.
const LINE_MAX: usize = 4096;
/// Bytes before a candidate that tell what kind of text it stands in.
const AROUND: usize = 160;
/// Longest word that speaks of something, in bytes.
const WORD_MAX: usize = 32;
/// What an office has in its letterhead, and a person does not.
const OFFICES: &[&str] = &[
    " inc.",
    " inc ",
    " inc,",
    "foundation",
    "gmbh",
    "ltd.",
    "corporation",
    "corp.",
    " llc",
    "university",
    "institute",
    "copyright",
    "place of business",
    "an office at",
    "attn",
    "affero",
    "laborator",
];

/// A text that is looked at, with what is known of it as a whole.
pub(crate) struct Text<'t> {
    pub(crate) bytes: &'t [u8],
    header: Option<Header<'t>>,
}

struct Header<'t> {
    cells: Vec<&'t [u8]>,
    delimiter: u8,
    end: usize,
}

impl<'t> Text<'t> {
    /// `is_beginning` tells that the first line of `bytes` is that of the whole text.
    pub(crate) fn new(bytes: &'t [u8], is_beginning: bool) -> Text<'t> {
        let header = if is_beginning { header(bytes) } else { None };
        Text { bytes, header }
    }

    pub(crate) fn has_header(&self) -> bool {
        self.header.is_some()
    }

    /// Returns how near a word stands that speaks of the candidate: bytes between, 0 for the header of its column.
    pub(crate) fn nearest(&self, at: &Range<usize>, words: &[&str]) -> Option<usize> {
        let cell = self.header_cell(at.start);
        if cell.is_some_and(|cell| words.iter().any(|word| last_place(cell, word).is_some())) {
            return Some(0);
        }
        let before = &self.bytes[speaks_from(self.bytes, at.start)..at.start];
        let letters = letters_of(before);
        let distance = |word: &&str| {
            let is_possible = letters_of(word.as_bytes()) & !letters == 0;
            is_possible.then(|| last_place(before, word)).flatten().map(|end| before.len() - end)
        };
        let before = words.iter().filter_map(distance).min();
        before.or_else(|| {
            let after = &self.bytes[at.end..(at.end + AFTER).min(self.bytes.len())];
            let line_end = memchr::memchr(b'\n', after).unwrap_or(after.len());
            let after = &after[..line_end];
            let after = &after[..memchr::memmem::find(after, TOKEN_START).unwrap_or(after.len())];
            words.iter().any(|word| last_place(after, word).is_some()).then_some(BEFORE)
        })
    }

    /// Returns the bytes of the candidate's line that stand before it, at most 160 of them.
    pub(crate) fn line_before(&self, start: usize) -> &'t [u8] {
        let before = &self.bytes[start.saturating_sub(160)..start];
        &before[memchr::memrchr(b'\n', before).map_or(0, |at| at + 1)..]
    }

    /// Whether what stands around is the house of a company, a foundation or a university, as in licences and notices.
    pub(crate) fn is_of_an_office(&self, at: &Range<usize>) -> bool {
        let before = &self.bytes[at.start.saturating_sub(AROUND)..at.start];
        let after = &self.bytes[at.end..(at.end + AROUND / 2).min(self.bytes.len())];
        holds_any(before, OFFICES) || holds_any(after, OFFICES)
    }

    /// Whether code close before it tries something out.
    pub(crate) fn is_tried_out(&self, start: usize) -> bool {
        let before = &self.bytes[start.saturating_sub(AROUND)..start];
        let tries = ["assert", "parse(", "expect(", "test_", "e.g.", "for example", "would be"];
        holds_any(before, &tries)
    }

    fn header_cell(&self, start: usize) -> Option<&'t [u8]> {
        let header = self.header.as_ref().filter(|header| start > header.end)?;
        let before = &self.bytes[start.saturating_sub(LINE_MAX).max(header.end)..start];
        let line = &before[memchr::memrchr(b'\n', before)? + 1..];
        let mut is_quoted = false;
        let mut idx = 0;
        for byte in line {
            is_quoted ^= *byte == b'"';
            idx += usize::from(*byte == header.delimiter && !is_quoted);
        }
        header.cells.get(idx).copied()
    }
}

/// Returns where the text begins that may speak of what stands at `start`: not before the last token of a redaction.
///
/// A token's name speaks of what it stands for, not of its neighbours, and behind it nothing can have come nearer: so redacted
/// text holds no more to find than it held before.
fn speaks_from(bytes: &[u8], start: usize) -> usize {
    let nearest = start.saturating_sub(BEFORE);
    let from = nearest.saturating_sub(TOKEN_START.len() + NAME_BYTES_MAX + 1);
    let token = memchr::memmem::rfind(&bytes[from..start], TOKEN_START).and_then(|at| {
        let name = from + at + TOKEN_START.len();
        Some(name + name_at(&bytes[name..start])?.len() + 1)
    });
    token.map_or(nearest, |end| end.max(nearest))
}

/// Reads the first line as the header of a table: two or more short names parted by one delimiter.
fn header(bytes: &[u8]) -> Option<Header<'_>> {
    let end = memchr::memchr(b'\n', &bytes[..bytes.len().min(LINE_MAX)])?;
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    let delimiter = *line.iter().find(|byte| b",;\t|".contains(byte))?;
    let is_name = |cell: &&[u8]| {
        let is_name_byte = |byte: &u8| {
            byte.is_ascii_alphanumeric() || b" _-\"'#".contains(byte) || !byte.is_ascii()
        };
        (1..=40).contains(&cell.len()) && cell.iter().all(is_name_byte) && !cell[0].is_ascii_digit()
    };
    let cells: Vec<&[u8]> = line.split(|byte| *byte == delimiter).collect();
    (cells.len() > 1 && cells.iter().all(is_name)).then_some(Header { cells, delimiter, end })
}

/// Returns the end of the last place in `text` where `word` (in small letters) stands as a word of its own.
///
/// A capital after a small letter begins a word, and so does what follows `_`. Words of five bytes and more may go on.
/// What a blank parts may also stand as one word: `socialSecurity`.
pub(crate) fn last_place(text: &[u8], word: &str) -> Option<usize> {
    let apart = last_place_as_it_is(text, word.as_bytes());
    if apart.is_some() || !word.contains(' ') {
        return apart;
    }
    let (mut joined, mut len) = ([0; WORD_MAX], 0);
    for (slot, byte) in joined.iter_mut().zip(word.bytes().filter(|byte| *byte != b' ')) {
        *slot = byte;
        len += 1;
    }
    last_place_as_it_is(text, &joined[..len])
}

fn last_place_as_it_is(text: &[u8], word: &[u8]) -> Option<usize> {
    let is_at = |at: &usize| {
        let here = &text[*at..*at + word.len()];
        let begins = match at.checked_sub(1).map(|before| text[before]) {
            Some(before) if before.is_ascii_lowercase() => here[0].is_ascii_uppercase(),
            Some(before) => !before.is_ascii_uppercase() || here[0].is_ascii_lowercase(),
            None => true,
        };
        let ends = word.len() > 4
            || text.get(at + word.len()).is_none_or(|after| {
                !(after.is_ascii_lowercase()
                    || after.is_ascii_uppercase() && here.iter().all(u8::is_ascii_uppercase))
            });
        begins && ends
    };
    let n_places = (text.len() + 1).checked_sub(word.len())?;
    let first = [word[0], word[0].to_ascii_uppercase()];
    (0..n_places)
        .rev()
        .filter(|at| first.contains(&text[*at]) && is_same(&text[*at..][..word.len()], word))
        .find(is_at)
        .map(|at| at + word.len())
}

/// Whether a text holds a word, letters counted without their case.
pub(crate) fn contains(text: &[u8], word: &str) -> bool {
    text.windows(word.len()).any(|it| it.eq_ignore_ascii_case(word.as_bytes()))
}

/// Whether a text holds one of some words, compared as [`is_same`] does: most bytes begin none of them.
fn holds_any(text: &[u8], words: &[&str]) -> bool {
    let mut begins = [false; 256];
    for word in words {
        let first = word.as_bytes()[0];
        let blanks = if first == b' ' { [b'_', b'-'] } else { [first; 2] };
        for byte in [first, first.to_ascii_uppercase(), blanks[0], blanks[1]] {
            begins[usize::from(byte)] = true;
        }
    }
    let is_at = |at: usize, word: &&str| {
        let here = text.get(at..at + word.len());
        here.is_some_and(|here| is_same(here, word.as_bytes()))
    };
    let mut bytes = text.iter().enumerate();
    bytes.any(|(at, byte)| begins[usize::from(*byte)] && words.iter().any(|word| is_at(at, word)))
}

/// The letters of a text, without their case, one bit each: a word with others does not stand in it.
fn letters_of(text: &[u8]) -> u32 {
    let letters = text.iter().filter(|byte| byte.is_ascii_alphabetic());
    letters.fold(0, |all, byte| all | 1 << (byte.to_ascii_lowercase() - b'a'))
}

/// Letters count without their case, and a blank of the word is also `_` or `-`.
fn is_same(here: &[u8], word: &[u8]) -> bool {
    here.iter().zip(word).all(|(here, word)| match word {
        b' ' => matches!(here, b' ' | b'_' | b'-'),
        _ => here.eq_ignore_ascii_case(word),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, word: &str, expect: bool) {
        assert_eq!(last_place(text.as_bytes(), word).is_some(), expect, "{word} in {text}");
    }

    #[test]
    fn words_stand_alone() {
        check("className = ", "ssn", false);
        check("employee_ssn: ", "ssn", true);
        check("employeeSsn: ", "ssn", true);
        check("SSN=", "ssn", true);
        check("social_security_number", "social security", true);
        check("socialSecurityNumber", "social security", true);
        check("antisocialsecurity", "social security", false);
        check("CLASSNAME", "ssn", false);
        check("ssnx", "ssn", false);
        check("phonenumber", "phone", true);
        check("", "ssn", false);
    }

    #[test]
    fn one_look_for_all_words_finds_what_a_look_for_each_does() {
        let text = "An OFFICE_AT x, GmbH-inc. University of test_x e.g. For-Example llc";
        for n in 0..text.len() {
            let text = &text.as_bytes()[n..];
            for words in OFFICES.windows(3) {
                let is_in = |word: &&str| {
                    text.windows(word.len()).any(|here| is_same(here, word.as_bytes()))
                };
                assert_eq!(holds_any(text, words), words.iter().any(is_in), "{words:?} in {n}");
            }
        }
    }

    #[test]
    fn the_header_of_a_column_speaks_for_its_cells() {
        let text = b"name,ssn,city\nA,1,x\n\"B, C\",2,y\n";
        let text = Text::new(text, true);
        assert_eq!(text.nearest(&(16..17), &["ssn"]), Some(0));
        assert_eq!(text.nearest(&(27..28), &["ssn"]), Some(0));
        assert_eq!(text.header_cell(18), Some(&b"city"[..]));
        assert!(Text::new(b"use a, b(c);\n1,2\n", true).header.is_none());
    }
}
