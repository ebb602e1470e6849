//! Replacing what differs from run to run, so that output can be compared as text.

use std::path::{Path, PathBuf};

/// What to replace in a text: ids, run ids, digests and times always, directories as named.
#[derive(Debug, Clone, Default)]
pub struct Redactions {
    dirs: Vec<(PathBuf, String)>,
}

impl Redactions {
    /// Returns the redactions that need no names.
    pub fn new() -> Redactions {
        Redactions::default()
    }

    /// Replaces a directory's path by `[NAME]`; longer paths are tried first.
    pub fn dir(mut self, dir: &Path, name: &str) -> Redactions {
        self.dirs.push((dir.to_owned(), format!("[{name}]")));
        self.dirs.sort_by_key(|(dir, _)| std::cmp::Reverse(dir.as_os_str().len()));
        self
    }

    /// Returns the text with everything replaced.
    pub fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (dir, name) in &self.dirs {
            text = text.replace(&*dir.to_string_lossy(), name);
        }
        redact(&text)
    }
}

/// Replaces 40-digit ids by `[OID]`, 64-digit ones by `[SHA256]`, 32-digit ones by `[RUN]` and RFC 3339
/// times in UTC by `[TIME]`.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word_ended = out.chars().next_back().is_none_or(|last| !last.is_ascii_alphanumeric());
        let replaced = word_ended.then(|| time(rest).or_else(|| hex(rest))).flatten();
        let len = match replaced {
            Some((len, name)) => {
                out.push_str(name);
                len
            }
            None => {
                out.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[len..];
    }
    out
}

fn hex(text: &str) -> Option<(usize, &'static str)> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric();
    let word = text.bytes().take_while(|byte| is_word(byte)).count();
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if !text[..word].bytes().all(is_hex) {
        return None;
    }
    match word {
        32 => Some((word, "[RUN]")),
        40 => Some((word, "[OID]")),
        64 => Some((word, "[SHA256]")),
        _ => None,
    }
}

fn time(text: &str) -> Option<(usize, &'static str)> {
    let bytes = text.as_bytes();
    let pattern = b"dddd-dd-ddTdd:dd:dd";
    let fits = |(byte, wanted): (&u8, &u8)| match wanted {
        b'd' => byte.is_ascii_digit(),
        wanted => byte == wanted,
    };
    if bytes.len() <= pattern.len() || !bytes.iter().zip(pattern).all(fits) {
        return None;
    }
    let rest = &bytes[pattern.len()..];
    let fraction = match rest.first() {
        Some(b'.') => 1 + rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count(),
        _ => 0,
    };
    (rest.get(fraction) == Some(&b'Z')).then_some((pattern.len() + fraction + 1, "[TIME]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_runs_digests_and_times_are_replaced_and_other_words_stay() {
        let (run, oid, sha256) = ("a1".repeat(16), "b2".repeat(20), "c3".repeat(32));
        let text = format!("run {run} on {oid}, {sha256}:2026-01-02T03:04:05.678Z end");
        assert_eq!(redact(&text), "run [RUN] on [OID], [SHA256]:[TIME] end");
        for same in ["deadbeef", "2026-01-02", "x2026-01-02T03:04:05Z", "é 12", &"ab".repeat(19)] {
            assert_eq!(redact(same), *same);
        }
    }

    #[test]
    fn the_longest_directory_is_replaced_first() {
        let redactions =
            Redactions::new().dir(Path::new("/t/x"), "ROOT").dir(Path::new("/t/x/repo"), "REPO");
        assert_eq!(redactions.apply("/t/x/repo/a /t/x/b"), "[REPO]/a [ROOT]/b");
    }
}
