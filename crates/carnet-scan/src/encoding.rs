//! Encoded runs inside a text: base64, base64url, hexadecimal, percent-encoding and UTF-16.
//!
//! Finds them in one pass each and hands over what they say; it judges nothing. Runs too short to hold a
//! secret and words that decode to noise are left out early, so that ordinary source costs little.
//!
//! Invariants: every byte of the text is looked at a bounded number of times, and a decoding is never longer
//! than its run.

use std::ops::Range;

use crate::{container, reading::Step};

/// Shortest run in base64: 19 bytes, less than any token of a provider.
pub(crate) const RUN_MIN: usize = 26;
/// Runs whose first bytes are no text are decoded from this length on.
const BINARY_RUN_MIN: usize = 64;
/// Shortest run in hexadecimal: 18 bytes.
const HEX_RUN_MIN: usize = 36;
/// Shortest run in UTF-16, in characters.
const UTF16_CHARS_MIN: usize = 12;
/// Shortest decoding of a percent-encoded run.
const PERCENT_LEN_MIN: usize = 12;
/// Longer runs are read in pieces of this many bytes, unless they hold a whole archive; a multiple of 4.
const PIECE_BYTES_MAX: usize = 192 << 10;
/// Bytes that two neighbouring pieces share; a multiple of 4.
const PIECE_OVERLAP: usize = 4 << 10;
/// A line of a wrapped run is at least this long, as in PEM (64) and MIME (76).
const WRAPPED_LINE_MIN: usize = 60;

/// A run and what it says.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// Where it stands in the text.
    pub(crate) range: Range<usize>,
    pub(crate) step: Step,
    pub(crate) decoded: Vec<u8>,
    /// Bytes of the text per decoded byte, when that is constant and every byte can be traced back.
    pub(crate) stride: Option<usize>,
}

/// Hands every encoded run of `text` to `visit`, kind by kind and then by place.
///
/// `is_cut` tells that the text goes on to the left of its first byte, so that a run there may have begun
/// earlier: base64 is then read in each of the four alignments.
pub(crate) fn each_run(text: &[u8], is_cut: bool, visit: &mut dyn FnMut(Encoded)) {
    each_word(text, &mut |word| {
        let is_open = is_cut && word.start == 0;
        let n_alignments = if is_open { 4.min(word.len()) } else { 1 };
        (0..n_alignments).for_each(|skip| read_word(text, word.start + skip..word.end, visit));
    });
    each_percent_run(text, visit);
    each_utf16_run(text, visit);
}

const UPPER: u8 = 1;
const LOWER: u8 = 2;
const DECIMAL: u8 = 4;
const STANDARD: u8 = 8;
const URL: u8 = 16;
const HEX: u8 = 32;
/// Set for the letters of either alphabet of base64.
const LETTER: u8 = 64;

/// For each byte the alphabets it belongs to.
const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'A'..=b'F' => LETTER | UPPER | HEX,
            b'G'..=b'Z' => LETTER | UPPER,
            b'a'..=b'f' => LETTER | LOWER | HEX,
            b'g'..=b'z' => LETTER | LOWER,
            b'0'..=b'9' => LETTER | DECIMAL | HEX,
            b'+' | b'/' => LETTER | STANDARD,
            b'-' | b'_' => LETTER | URL,
            _ => 0,
        };
        byte += 1;
    }
    classes
}

/// Reports the longest runs of base64 letters of either alphabet.
///
/// A run of 26 holds two neighbouring points of any grid of 13, so most bytes are never looked at.
fn each_word(text: &[u8], visit: &mut dyn FnMut(Range<usize>)) {
    const GRID: usize = RUN_MIN / 2;
    let (mut floor, mut at) = (0, 0);
    while let Some(step) = text.get(at..=at + GRID) {
        // All five at once: one branch that is hardly ever taken costs less than five that are.
        let class = |offset: usize| CLASSES[usize::from(step[offset])];
        let common = class(0) & class(3) & class(6) & class(9) & class(GRID);
        if common & LETTER == 0 {
            at += GRID;
            continue;
        }
        if !step.iter().all(is_letter) {
            at += GRID;
            continue;
        }
        let before = &text[floor..at];
        let start = at - before.iter().rev().take_while(|byte| is_letter(byte)).count();
        let end = at + GRID + 1;
        let mut end = end + text[end..].iter().take_while(|byte| is_letter(byte)).count();
        if end - start >= RUN_MIN {
            end = wrapped_end(text, start, end);
            visit(start..end);
        }
        (floor, at) = (end, end.max(at + 1));
    }
}

fn is_letter(byte: &u8) -> bool {
    CLASSES[usize::from(*byte)] != 0
}

/// Returns where a run ends that may be wrapped over lines of one length, each indented or not.
fn wrapped_end(text: &[u8], start: usize, first_end: usize) -> usize {
    let line_len = first_end - start;
    if line_len < WRAPPED_LINE_MIN || !line_len.is_multiple_of(4) {
        return first_end;
    }
    let mut end = first_end;
    loop {
        let rest = &text[end..];
        let rest = rest.strip_prefix(b"\r").unwrap_or(rest);
        let Some(rest) = rest.strip_prefix(b"\n") else { return end };
        let indent = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).take(64).count();
        let rest = &rest[indent..];
        let len = rest.iter().take(line_len + 1).take_while(|byte| is_letter(byte)).count();
        if len == 0 || len > line_len {
            return end;
        }
        end = text.len() - rest.len() + len;
        if len < line_len {
            return end;
        }
    }
}

/// Reads a word in each alphabet that fits it, or in its parts when it mixes the alphabets.
fn read_word(text: &[u8], word: Range<usize>, visit: &mut dyn FnMut(Encoded)) {
    let bytes = &text[word.clone()];
    let all = bytes.iter().fold(0, |all, byte| all | CLASSES[usize::from(*byte)]);
    let mut split = |separators: u8, step: Step| {
        let mut start = word.start;
        for part in bytes.split(|byte| CLASSES[usize::from(*byte)] & separators != 0) {
            if part.len() >= RUN_MIN {
                read_base64(text, start..start + part.len(), step, visit);
            }
            start += part.len() + 1;
        }
    };
    match (all & STANDARD != 0, all & URL != 0) {
        (true, true) => {
            split(URL, Step::Base64);
            split(STANDARD, Step::Base64Url);
        }
        (false, true) => read_base64(text, word.clone(), Step::Base64Url, visit),
        (_, false) => read_base64(text, word.clone(), Step::Base64, visit),
    }
    if bytes.len() >= HEX_RUN_MIN {
        let mut start = word.start;
        for part in bytes.split(|byte| CLASSES[usize::from(*byte)] & HEX == 0) {
            if part.len() >= HEX_RUN_MIN {
                read_hex(part, start, visit);
            }
            start += part.len() + 1;
        }
    }
}

fn read_base64(text: &[u8], run: Range<usize>, step: Step, visit: &mut dyn FnMut(Encoded)) {
    let bytes = &text[run.clone()];
    let head = base64_head(bytes);
    let holds_archive = container::kind(&head).is_some();
    if !(holds_archive || is_text_head(&head) || is_varied(bytes)) {
        return;
    }
    let padding = text[run.end..].iter().take(2).take_while(|byte| **byte == b'=').count();
    let mut start = run.start;
    while start < run.end {
        let is_last = holds_archive || run.end - start <= PIECE_BYTES_MAX;
        let end = if is_last { run.end } else { start + PIECE_BYTES_MAX };
        let range = start..if is_last { end + padding } else { end };
        visit(Encoded { range, step, decoded: base64(&text[start..end]), stride: None });
        start = if is_last { end } else { end - PIECE_OVERLAP };
    }
}

/// Tells whether a run is long and mixed enough to be base64 of something that is no text.
///
/// Of 64 random letters hardly any lack a kind; names, paths and digests in hexadecimal mostly do.
fn is_varied(run: &[u8]) -> bool {
    const KINDS: u8 = UPPER | LOWER | DECIMAL;
    let mut kinds = 0;
    run.len() >= BINARY_RUN_MIN
        && run.iter().any(|byte| {
            kinds |= CLASSES[usize::from(*byte)];
            kinds & KINDS == KINDS
        })
}

/// Bytes that show what a decoding begins like.
const HEAD_BYTES: usize = 12;

/// Returns the first bytes of a decoding.
fn base64_head(run: &[u8]) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    for (bytes, letters) in head.chunks_exact_mut(3).zip(run.chunks_exact(4)) {
        let value =
            |bits: u32, letter: &u8| bits << 6 | u32::from(SEXTETS[usize::from(*letter)] & 63);
        let bits = letters.iter().fold(0, value);
        bytes.copy_from_slice(&bits.to_be_bytes()[1..]);
    }
    head
}

/// Tells whether a decoding begins like a text, in ASCII or in UTF-16.
fn is_text_head(head: &[u8; HEAD_BYTES]) -> bool {
    let is_text = |from: usize, step: usize| head[from..].iter().step_by(step).all(is_text_byte);
    let is_zero = |from: usize| head[from..].iter().step_by(2).all(|byte| *byte == 0);
    is_text(0, 1)
        || is_text(0, 2) && is_zero(1)
        || is_text(1, 2) && is_zero(0)
        || head.starts_with(b"\xff\xfe") && head[3] == 0
        || head.starts_with(b"\xfe\xff") && head[2] == 0
}

/// Tells whether a decoding begins like a text or an archive, and is no noise.
pub(crate) fn is_telling(decoded: &[u8]) -> bool {
    let head = decoded.first_chunk::<HEAD_BYTES>();
    head.is_some_and(is_text_head) || container::kind(decoded).is_some()
}

fn is_text_byte(byte: &u8) -> bool {
    byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Decodes base64 in either alphabet; bytes of no alphabet are passed over, an incomplete end is cut.
fn base64(run: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(run.len() / 4 * 3 + 3);
    let (mut bits, mut n_bits) = (0_u32, 0);
    for byte in run {
        let value = SEXTETS[usize::from(*byte)];
        if value < 64 {
            bits = bits << 6 | u32::from(value);
            n_bits += 6;
            if n_bits >= 8 {
                n_bits -= 8;
                decoded.push((bits >> n_bits) as u8);
            }
        }
    }
    decoded
}

/// For each byte its value in base64 (RFC 4648 §4 and §5), or 64.
const SEXTETS: [u8; 256] = sextets();

const fn sextets() -> [u8; 256] {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut sextets = [64; 256];
    let mut value = 0;
    while value < 64 {
        sextets[LETTERS[value] as usize] = value as u8;
        value += 1;
    }
    (sextets[b'-' as usize], sextets[b'_' as usize]) = (62, 63);
    sextets
}

fn read_hex(part: &[u8], start: usize, visit: &mut dyn FnMut(Encoded)) {
    let decode = |part: &[u8]| -> Vec<u8> {
        part.chunks_exact(2).filter_map(|pair| hex_byte(pair[0], pair[1])).collect()
    };
    let mut head = [0; HEAD_BYTES];
    head.copy_from_slice(&decode(&part[..2 * HEAD_BYTES])[..HEAD_BYTES]);
    if is_text_head(&head) || container::kind(&head).is_some() {
        let range = start..start + part.len();
        visit(Encoded { range, step: Step::Hex, decoded: decode(part), stride: None });
    }
}

fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(high)? << 4 | digit(low)?) as u8)
}

/// Reports the words of a URL that hold a `%` and two hexadecimal digits (RFC 3986 §2.1).
fn each_percent_run(text: &[u8], visit: &mut dyn FnMut(Encoded)) {
    let is_url_byte =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%+=&/:?@!$*,;#".contains(byte);
    let triple = |at: usize| match text.get(at..at + 3) {
        Some([b'%', high, low]) => hex_byte(*high, *low),
        _ => None,
    };
    let mut floor = 0;
    while let Some(at) = memchr::memchr(b'%', &text[floor..]).map(|at| floor + at) {
        if !triple(at).is_some_and(|byte| is_text_byte(&byte)) {
            floor = at + 1;
            continue;
        }
        let before = &text[floor.max(at.saturating_sub(PIECE_BYTES_MAX / 2))..at];
        let start = at - before.iter().rev().take_while(|byte| is_url_byte(byte)).count();
        let after = &text[at..text.len().min(at + PIECE_BYTES_MAX / 2)];
        let end = at + after.iter().take_while(|byte| is_url_byte(byte)).count();
        let mut decoded = Vec::with_capacity(end - start);
        let mut from = start;
        while from < end {
            let byte = triple(from).filter(|_| from + 3 <= end);
            decoded.push(byte.unwrap_or(text[from]));
            from += if byte.is_some() { 3 } else { 1 };
        }
        if decoded.len() >= PERCENT_LEN_MIN {
            visit(Encoded { range: start..end, step: Step::Percent, decoded, stride: None });
        }
        floor = end;
    }
}

/// Reports runs of ASCII characters of two bytes, one of which is zero, in either order.
fn each_utf16_run(text: &[u8], visit: &mut dyn FnMut(Encoded)) {
    let mut floor = 0;
    while let Some(zero) = memchr::memchr(0, &text[floor..]).map(|at| floor + at) {
        // Binary files are full of zeros: of several in a row only the last can begin a run, and the next
        // zero of a run is two bytes further on.
        let n_zeros = text[zero..].iter().take_while(|byte| **byte == 0).count();
        if n_zeros > 1 || text.get(zero + 2) != Some(&0) {
            floor = zero + (n_zeros - 1).max(1);
            continue;
        }
        let is_little = zero > floor && is_text_byte(&text[zero - 1]);
        let start = if is_little { zero - 1 } else { zero };
        let of_pair = |pair: &[u8]| {
            let (character, other) =
                if is_little { (pair[0], pair[1]) } else { (pair[1], pair[0]) };
            (other == 0 && is_text_byte(&character)).then_some(character)
        };
        let pairs = text[start..].chunks_exact(2).map_while(of_pair);
        let n_chars = pairs.clone().count();
        let end = start + n_chars * 2;
        floor = end.max(zero + 1);
        if n_chars >= UTF16_CHARS_MIN {
            let (range, decoded) = (start..end, pairs.collect());
            visit(Encoded { range, step: Step::Utf16, decoded, stride: Some(2) });
        }
    }
}

#[cfg(test)]
#[path = "encoding_tests.rs"]
mod tests;
