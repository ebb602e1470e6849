//! A run's output while it comes: whole lines, redacted, as soon as they can be shown.
//!
//! What is shown is cut from the redaction of the last lines together, so a secret over several of them is seen as
//! soon as it can be recognised; a block that begins like a key is held until it ends. What is stored is redacted once
//! more, as a whole, when the run has ended.

use carnet_guard::{Guard, Redactor};
use carnet_sandbox::Secret;

use crate::handed::redactor;

/// Bytes of lines already shown that new ones are looked at together with, at most.
const CONTEXT_BYTES_MAX: usize = 8 << 10;
/// Bytes of context that are kept when there were more.
const CONTEXT_BYTES_KEPT: usize = 2 << 10;
/// Bytes that are held back at most, of a line without an end or a block without one.
const HELD_BYTES_MAX: usize = 256 << 10;
/// How blocks begin and end that hold keys (RFC 7468).
const BLOCK: (&[u8], &[u8]) = (b"-----BEGIN ", b"-----END ");

/// One stream of a run.
pub struct LiveLog<'g> {
    redactor: Redactor<'g>,
    /// Lines that were shown.
    context: Vec<u8>,
    /// The same, as they are redacted by themselves.
    shown: Vec<u8>,
    held: Vec<u8>,
}

impl<'g> LiveLog<'g> {
    /// Begins a stream.
    pub fn new(guard: &Guard<'g>, secrets: &[Secret]) -> LiveLog<'g> {
        let redactor = redactor(guard, secrets);
        LiveLog { redactor, context: vec![], shown: vec![], held: vec![] }
    }

    /// Takes the next bytes and returns what can be shown by now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let n_ready = n_ready(&self.held);
        self.show(n_ready)
    }

    /// Ends the stream and returns the rest.
    pub fn finish(&mut self) -> Vec<u8> {
        self.show(self.held.len())
    }

    fn show(&mut self, n_ready: usize) -> Vec<u8> {
        if n_ready == 0 {
            return vec![];
        }
        self.context.extend(self.held.drain(..n_ready));
        let redacted = self.redacted();
        // Where a secret began in lines that were shown already, its place shows that, and what follows it.
        let n_same = self.shown.iter().zip(&redacted).take_while(|(a, b)| a == b).count();
        let news = redacted[n_same..].to_vec();
        self.shown = redacted;
        if self.context.len() > CONTEXT_BYTES_MAX {
            let from = self.context.len() - CONTEXT_BYTES_KEPT;
            let line = self.context[from..].iter().position(|byte| *byte == b'\n');
            self.context.drain(..line.map_or(from, |line| from + line + 1));
            self.shown = self.redacted();
        }
        news
    }

    fn redacted(&self) -> Vec<u8> {
        self.redactor.redact(&self.context).0
    }
}

/// Returns how many bytes may go: whole lines, and of an unfinished block none.
fn n_ready(held: &[u8]) -> usize {
    if held.len() > HELD_BYTES_MAX {
        return held.len();
    }
    let (begin, end) = BLOCK;
    let n_lines = held.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let Some(begins) = find_last(&held[..n_lines], begin) else { return n_lines };
    if find_last(&held[begins..n_lines], end).is_some() { n_lines } else { begins }
}

fn find_last(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).rposition(|window| window == part)
}

#[cfg(test)]
mod tests {
    use carnet_policy::ContentPolicy;
    use carnet_scan::{FingerprintKey, RuleSet};

    use super::*;

    fn told(chunks: &[&str]) -> Vec<String> {
        let key = FingerprintKey::from_bytes([7; 32]);
        let guard = Guard::new(RuleSet::built_in(), key, ContentPolicy::built_in());
        let mut live = LiveLog::new(&guard, &[]);
        let mut told: Vec<Vec<u8>> =
            chunks.iter().map(|chunk| live.push(chunk.as_bytes())).collect();
        told.push(live.finish());
        told.into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
    }

    fn key_id() -> String {
        ["AK", "IA", "QYLPMN5HHHFPZAM2"].concat()
    }

    #[test]
    fn whole_lines_are_told_at_once_and_the_rest_at_the_end() {
        assert_eq!(told(&["a\nb", "c\n", "d"]), ["a\n", "bc\n", "", "d"]);
    }

    #[test]
    fn a_secret_cut_by_two_chunks_is_never_told() {
        let id = key_id();
        let said = told(&["id = ", &id[..7], &id[7..], "\nnext\n"]);
        assert_eq!(said, ["", "", "", "id = [REDACTED:aws-access-key-id]\nnext\n", ""]);
    }

    #[test]
    fn a_key_is_held_until_its_block_ends() {
        let body = "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n";
        let begin = ["-----BEGIN PRI", "VATE KEY-----\n"].concat();
        let end = ["-----END PRI", "VATE KEY-----\n"].concat();
        let said = told(&["before\n", &begin, body, &end, "after\n"]);
        assert_eq!(said[..3], ["before\n", "", ""]);
        assert!(said.iter().all(|text| !text.contains("MC4CAQ")), "{said:?}");
        assert!(said[3].contains("[REDACTED:") && said[4] == "after\n", "{said:?}");
    }

    #[test]
    fn long_output_is_told_whole_and_context_stays_bounded() {
        let line = "x".repeat(99) + "\n";
        let chunks: Vec<&str> = (0..200).map(|_| line.as_str()).collect();
        assert_eq!(told(&chunks).concat(), line.repeat(200));
    }
}
