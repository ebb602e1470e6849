//! Streams in lines: events of a server, and text that is looked through line by line on its way back.

use super::{Names, Redact};

/// The longest line of a stream, in bytes.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Text that is held for its line to end, in bytes; then the last blank will do.
const HELD_BYTES: usize = 400;
/// Text that is held because something was begun that must be seen whole.
const BEGUN_BYTES_MAX: usize = 16 << 10;

/// Server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>), as far as models send them: the `data`
/// of each.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
}

impl Events {
    /// Returns the data of the lines that end in this piece.
    ///
    /// # Errors
    ///
    /// A line is too long to be an event.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
        let mut found = vec![];
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + part.len() > LINE_BYTES_MAX {
                return Err("a line of the stream has more than 1 MiB");
            }
            self.line.extend_from_slice(part);
            if self.line.ends_with(b"\n") {
                let line = self.line.trim_ascii();
                if let Some(data) = line.strip_prefix(b"data:") {
                    found.push(data.trim_ascii().to_vec());
                }
                self.line.clear();
            }
        }
        Ok(found)
    }
}

/// Text on its way back, let through once the line that it belongs to was seen.
#[derive(Default)]
pub(super) struct Held {
    text: String,
}

impl Held {
    /// Adds text and returns what may be seen by now.
    pub(super) fn push(&mut self, text: &str, redact: &Redact, names: &mut Names) -> String {
        self.text.push_str(text);
        let is_begun = self.text.contains("-----BEGIN") && !self.text.contains("-----END");
        if is_begun && self.text.len() < BEGUN_BYTES_MAX {
            return String::new();
        }
        let line = self.text.rfind('\n');
        let blank = || (self.text.len() > HELD_BYTES).then(|| self.text.rfind(' ')).flatten();
        let Some(end) = line.or_else(blank) else {
            let is_endless = self.text.len() > BEGUN_BYTES_MAX;
            return if is_endless { self.finish(redact, names) } else { String::new() };
        };
        let rest = self.text.split_off(end + 1);
        let ready = std::mem::replace(&mut self.text, rest);
        redacted(&ready, redact, names)
    }

    /// Returns the rest.
    pub(super) fn finish(&mut self, redact: &Redact, names: &mut Names) -> String {
        redacted(&std::mem::take(&mut self.text), redact, names)
    }
}

/// Redacts one text and adds what was replaced.
pub(super) fn redacted(text: &str, redact: &Redact, names: &mut Names) -> String {
    if text.is_empty() {
        return String::new();
    }
    let (redacted, more) = redact(text);
    for (name, n) in more {
        *names.entry(name).or_default() += n;
    }
    redacted
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn secret_is_replaced() -> Redact {
        Arc::new(|text| {
            let n = text.matches("sesame").count();
            let names = if n > 0 { Names::from([("S".to_owned(), n)]) } else { Names::new() };
            (text.replace("sesame", "[REDACTED:S]"), names)
        })
    }

    #[test]
    fn events_are_found_at_every_split() {
        let text = b": hi\r\ndata: {\"a\":1}\r\n\r\nevent: x\ndata:[DONE]\n\ndata: cut";
        for split in 0..text.len() {
            let mut events = Events::default();
            let mut found = events.push(&text[..split]).unwrap();
            found.extend(events.push(&text[split..]).unwrap());
            assert_eq!(found, [b"{\"a\":1}".to_vec(), b"[DONE]".to_vec()], "{split}");
        }
        assert!(Events::default().push(&vec![b'x'; 2 << 20]).is_err());
    }

    #[test]
    fn a_secret_is_replaced_at_every_split_and_nothing_is_lost() {
        let redact = secret_is_replaced();
        let line = "open sesame, said Ali.\nAnd ".repeat(3) + &"word ".repeat(200) + "sesame";
        for size in [1, 2, 3, 7, 50, 10_000] {
            let (mut held, mut names, mut out) = (Held::default(), Names::new(), String::new());
            for piece in line.as_bytes().chunks(size) {
                out += &held.push(std::str::from_utf8(piece).unwrap(), &redact, &mut names);
            }
            out += &held.finish(&redact, &mut names);
            assert_eq!(out, line.replace("sesame", "[REDACTED:S]"), "{size}");
            assert_eq!(names["S"], 4);
        }
    }

    #[test]
    fn what_is_begun_is_held_until_it_ends_or_is_too_long() {
        let (redact, mut names) = (secret_is_replaced(), Names::new());
        let mut held = Held::default();
        assert_eq!(held.push("-----BEGIN KEY\nabc\n", &redact, &mut names), "");
        assert_eq!(
            held.push("-----END KEY\nrest", &redact, &mut names),
            "-----BEGIN KEY\nabc\n-----END KEY\n"
        );
        let mut held = Held::default();
        assert_eq!(held.push("-----BEGIN", &redact, &mut names), "");
        assert!(!held.push(&"x\n".repeat(BEGUN_BYTES_MAX), &redact, &mut names).is_empty());
    }
}
