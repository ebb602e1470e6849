//! Text as the words that licences are compared by, as the SPDX matching guidelines say: case, punctuation, markup,
//! comment marks and bullets do not count. Used by the build script too, so that both sides see the same words.

/// Longest word that counts, in bytes.
pub(crate) const WORD_BYTES_MAX: usize = 40;
/// Longest markup tag that is passed over, in bytes.
const TAG_BYTES_MAX: usize = 300;

/// Calls `each` with every word of `text` in order: its normal form (empty when too long), where it starts and ends.
pub(crate) fn for_each_word(text: &[u8], mut each: impl FnMut(&[u8], usize, usize)) {
    let mut word = [0u8; WORD_BYTES_MAX];
    let mut at = 0;
    let mut line_start = true;
    while at < text.len() {
        let start = at;
        let mut len = 0;
        while at < text.len() {
            let n = if text[at].is_ascii_alphanumeric() { 1 } else { letter_len(&text[at..]) };
            if n == 0 {
                break;
            }
            for byte in &text[at..at + n] {
                if len < WORD_BYTES_MAX {
                    word[len] = byte.to_ascii_lowercase();
                }
                len += 1;
            }
            at += n;
        }
        if at > start {
            if !is_mark(text, start, at, line_start) {
                each(if len <= WORD_BYTES_MAX { &word[..len] } else { b"" }, start, at);
            }
            line_start = false;
            continue;
        }
        let (n_passed, starts_line) = pass(text, at);
        match &text[at..(at + n_passed).min(text.len())] {
            b"+" if at > 0 && text[at - 1].is_ascii_alphanumeric() => each(b"+", at, at + 1),
            b"\xc2\xa9" => each(b"c", at, at + 2),
            _ => {}
        }
        line_start |= starts_line;
        at += n_passed;
    }
}

/// Bytes to go on by at a byte that is no letter, and whether a line begins after it.
fn pass(text: &[u8], at: usize) -> (usize, bool) {
    match text[at] {
        b'\n' => (1, true),
        b'\\' if text.get(at + 1).is_some_and(|next| matches!(next, b'n' | b't' | b'r')) => {
            (2, true)
        }
        b'&' => (entity_len(&text[at..]), false),
        b'<' => (tag_len(&text[at..]), false),
        0xc2 if text.len() > at + 1 => (2, false),
        0xe2 if text.len() > at + 2 => (3, false),
        _ => (1, false),
    }
}

/// Length of the letter beyond ASCII at the start of `text`, or 0.
fn letter_len(text: &[u8]) -> usize {
    let follows = |n: usize| text.len() > n && text[1..=n].iter().all(|byte| byte & 0xc0 == 0x80);
    match text.first() {
        Some(0xc3..=0xdf) if follows(1) => 2,
        Some(0xe0 | 0xe1 | 0xe3..=0xee) if follows(2) => 3,
        _ => 0,
    }
}

/// Length of an HTML entity, or 1.
fn entity_len(text: &[u8]) -> usize {
    let inside =
        text[1..].iter().take(9).take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'#');
    let n = inside.count();
    if n >= 2 && text.get(n + 1) == Some(&b';') { n + 2 } else { 1 }
}

/// Length of a markup tag without an address in it, or 1.
fn tag_len(text: &[u8]) -> usize {
    if !text.get(1).is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'/') {
        return 1;
    }
    let window = &text[..text.len().min(TAG_BYTES_MAX)];
    // `<license>` of a manifest says that a name follows.
    if window.get(1..6).is_some_and(|name| name.eq_ignore_ascii_case(b"licen")) {
        return 1;
    }
    for (idx, byte) in window.iter().enumerate().skip(1) {
        match byte {
            b'>' => return idx + 1,
            b'<' | b'@' => return 1,
            b':' if window.get(idx + 1) == Some(&b'/') => return 1,
            _ => {}
        }
    }
    1
}

/// Tells whether a word is a bullet (`(a)`, `1.`) or a comment's mark (`dnl`, `REM`, Fortran's `C`).
fn is_mark(text: &[u8], start: usize, end: usize, line_start: bool) -> bool {
    let len = end - start;
    let word = &text[start..end];
    let before = start.checked_sub(1).map(|at| text[at]);
    let after = text.get(end).copied();
    let is_short = len <= 2 && word.iter().all(u8::is_ascii_digit)
        || len == 1
        || len <= 4 && word.iter().all(|byte| matches!(byte | 0x20, b'i' | b'v' | b'x'));
    let is_copyright = len == 1 && word[0] | 0x20 == b'c' && before == Some(b'(');
    if is_short && after == Some(b')') && !is_copyright && (before == Some(b'(') || line_start) {
        return true;
    }
    if !line_start {
        return false;
    }
    let spaced = after.is_none_or(|byte| byte.is_ascii_whitespace());
    is_short && after == Some(b'.') && text.get(end + 1).is_none_or(u8::is_ascii_whitespace)
        || spaced && matches!(word, b"dnl" | b"rem" | b"REM" | b"Rem" | b"C" | b"c")
}
