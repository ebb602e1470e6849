//! Secrets that a run was handed: taken out of its logs by value, whatever the rules of the guard say.
//!
//! Refuses to look for values so short that ordinary output would be full of them. What a command writes in another form
//! (encoded, in pieces) is not recognised.

use carnet_guard::Guard;
use carnet_sandbox::Secret;

use crate::execute::RunContext;

/// Bytes that a value, or one line of it, must have to be looked for.
const VALUE_BYTES_MIN: usize = 6;

/// Returns a log of this run as it is kept, and how many secrets were taken out.
pub(crate) fn redact_log(ctx: &RunContext<'_>, name: &str, bytes: &[u8]) -> (Vec<u8>, usize) {
    redact(ctx.guard, ctx.secrets, name, bytes)
}

/// Returns `bytes` without the values of `secrets`, and then without what the guard's rules find.
pub(crate) fn redact(
    guard: &Guard<'_>,
    secrets: &[Secret],
    name: &str,
    bytes: &[u8],
) -> (Vec<u8>, usize) {
    let mut text = bytes.to_vec();
    let mut n_handed = 0;
    for (value, named) in values(secrets) {
        let by = format!("[REDACTED:{named}]");
        let (without, n_found) = replace(&text, value, by.as_bytes());
        text = without;
        n_handed += n_found;
    }
    let (text, n_found) = guard.redact_log(name, &text);
    (text, n_handed + n_found)
}

/// Each value and each line of it, the longest first, so that no part of a longer one is left.
fn values(secrets: &[Secret]) -> Vec<(&[u8], &str)> {
    let mut values: Vec<(&[u8], &str)> = Vec::new();
    for secret in secrets {
        let whole = secret.bytes().trim_ascii();
        let lines = whole.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        values.extend(std::iter::once(whole).chain(lines).map(|value| (value, secret.name())));
    }
    values.retain(|(value, _)| value.len() >= VALUE_BYTES_MIN);
    values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    values.dedup();
    values
}

fn replace(text: &[u8], value: &[u8], by: &[u8]) -> (Vec<u8>, usize) {
    let (mut made, mut n_found, mut at) = (Vec::with_capacity(text.len()), 0, 0);
    let finder = memchr::memmem::Finder::new(value);
    for found in finder.find_iter(text) {
        made.extend_from_slice(&text[at..found]);
        made.extend_from_slice(by);
        at = found + value.len();
        n_found += 1;
    }
    made.extend_from_slice(&text[at..]);
    (made, n_found)
}

#[cfg(test)]
mod tests {
    use carnet_policy::ContentPolicy;
    use carnet_scan::{FingerprintKey, RuleSet};

    use super::*;

    fn check(secrets: &[(&str, &str)], text: &str, expect: &str, n_expected: usize) {
        let guard = Guard::new(
            RuleSet::built_in(),
            FingerprintKey::from_bytes([7; 32]),
            ContentPolicy::built_in(),
        );
        let secrets: Vec<Secret> = secrets
            .iter()
            .map(|(name, value)| Secret::new(name, value.as_bytes().to_vec().into()).unwrap())
            .collect();
        let (redacted, n_found) = redact(&guard, &secrets, "stdout", text.as_bytes());
        assert_eq!((String::from_utf8(redacted).unwrap().as_str(), n_found), (expect, n_expected));
    }

    #[test]
    fn values_are_taken_out_whole_and_by_line() {
        check(&[("A", "sesame-open\n")], "x sesame-open y", "x [REDACTED:A] y", 1);
        check(
            &[("A", "sesame"), ("B", "sesame-open")],
            "sesame-open sesame",
            "[REDACTED:B] [REDACTED:A]",
            2,
        );
        check(&[("K", "first line\nsecond line\n")], "second line\n", "[REDACTED:K]\n", 1);
        check(&[("S", "abc")], "abc abc", "abc abc", 0);
        check(&[], "plain", "plain", 0);
    }
}
