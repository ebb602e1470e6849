//! What a terminal obeys, taken out of what is shown on one.
//!
//! Commands, file names and commit messages may hold sequences that fill the clipboard, rename the window, move the cursor
//! or have the terminal type an answer. Only colours and the erasing of the line at hand pass; every other control
//! character is shown, as `^[`. What goes into a pipe or a file is not touched.

use std::borrow::Cow;

/// Longest sequence that passes, in bytes after `ESC [`.
const SEQUENCE_BYTES_MAX: usize = 32;

/// Returns text that a terminal shows and does not obey.
pub fn harmless(text: &[u8]) -> Cow<'_, [u8]> {
    let is_plain = |byte: u8| (b' '..0x7f).contains(&byte) || is_layout(char::from(byte));
    if text.iter().copied().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = Vec::with_capacity(text.len() + 16);
    for chunk in text.utf8_chunks() {
        show(chunk.valid(), &mut shown);
        if !chunk.invalid().is_empty() {
            shown.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    Cow::Owned(shown)
}

fn show(text: &str, shown: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let n_bytes = if first == '\x1b' { passing(rest) } else { 0 };
        if n_bytes > 0 {
            shown.extend_from_slice(&rest.as_bytes()[..n_bytes]);
            rest = &rest[n_bytes..];
            continue;
        }
        match u32::from(first) {
            _ if is_layout(first) || !first.is_control() => {
                let mut buffer = [0; 4];
                shown.extend_from_slice(first.encode_utf8(&mut buffer).as_bytes());
            }
            0x7f => shown.extend_from_slice(b"^?"),
            // C0 as `^X`; C1 as the `ESC X` that it stands for.
            code if code < 0x20 => shown.extend([b'^', code as u8 + 0x40]),
            code => shown.extend([b'^', b'[', (code - 0x40) as u8]),
        }
        rest = &rest[first.len_utf8()..];
    }
}

fn is_layout(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\t')
}

/// Returns the length of the sequence at the front, where it is one that passes: `ESC [ … m` or `ESC [ … K`.
fn passing(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\x1b[") else { return 0 };
    let bytes = parameters.as_bytes();
    let end =
        bytes.iter().position(|byte| !byte.is_ascii_digit() && *byte != b';' && *byte != b':');
    match end {
        Some(end) if end <= SEQUENCE_BYTES_MAX && matches!(bytes[end], b'm' | b'K') => end + 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: impl AsRef<[u8]>, expect: &str) {
        assert_eq!(String::from_utf8(harmless(text.as_ref()).into_owned()).unwrap(), expect);
    }

    #[test]
    fn text_colours_and_the_erased_line_pass() {
        for text in
            ["plain\r\n\tü €", "\x1b[1;31mred\x1b[0m", "\r\x1b[K3 of 4", "\x1b[38:5:1mx\x1b[m"]
        {
            check(text, text);
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        check("\x1b]52;c;Y3VybA==\x07", "^[]52;c;Y3VybA==^G");
        check("\x1b]0;title\x1b\\", "^[]0;title^[\\");
        check("\x1b[2J\x1b[H\x1b[6n\x1b[?1049h", "^[[2J^[[H^[[6n^[[?1049h");
        check("\x1bP+q\x1b\\\x1bc\x08\x7f\0", "^[P+q^[\\^[c^H^?^@");
        check("\u{9b}2J\u{9d}52;c;x\u{9c}", "^[[2J^[]52;c;x^[\\");
        check(b"a\x9b2J\xffb", "a\u{fffd}2J\u{fffd}b");
        check(format!("\x1b[{}m", "1;".repeat(20)), &format!("^[[{}m", "1;".repeat(20)));
        check("\x1b[31", "^[[31");
        check("\x1b", "^[");
    }

    #[test]
    fn nothing_that_is_shown_is_obeyed_the_second_time_either() {
        let all: Vec<u8> = (0..=255).cycle().take(2_000).collect();
        let once = harmless(&all).into_owned();
        assert_eq!(harmless(&once), once);
        assert!(!once.contains(&0x1b) && !once.contains(&0x07));
    }
}
