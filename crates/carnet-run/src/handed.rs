//! What a run's output goes through before it is kept or shown: the guard's redactor, which knows the secrets that the run was
//! handed by their values, in the encodings that programs write.
//!
//! Values so short that ordinary output would be full of them are not looked for.

use carnet_guard::{Guard, KnownValue, KnownValues, Redactor};
use carnet_sandbox::Secret;

/// Returns the redactor of a run.
pub fn redactor<'g>(guard: &Guard<'g>, secrets: &[Secret]) -> Redactor<'g> {
    let values = secrets.iter().map(|secret| KnownValue {
        name: secret.name().to_owned(),
        value: secret.bytes().to_vec().into(),
    });
    guard.redactor(KnownValues::new(values).0)
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
        let (redacted, replaced) = redactor(&guard, &secrets).redact(text.as_bytes());
        let redacted = String::from_utf8(redacted).unwrap();
        assert_eq!((redacted.as_str(), replaced.n()), (expect, n_expected));
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
