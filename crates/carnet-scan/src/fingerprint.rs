//! Lasting names of findings, keyed so that they tell nothing of the secret.

use std::fmt;

use carnet_core::{Digest, Fingerprint};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The key of one repository's fingerprints: 32 random bytes, kept like a secret.
///
/// Without it nobody can test guesses of a secret against a published fingerprint.
#[derive(Clone)]
pub struct FingerprintKey([u8; 32]);

impl FingerprintKey {
    /// Wraps 32 bytes from a cryptographic random source.
    pub fn from_bytes(raw: [u8; 32]) -> FingerprintKey {
        FingerprintKey(raw)
    }

    /// Returns the name of a personal value: letters count without their case, as they do in mail addresses.
    pub fn personal(&self, value: &[u8]) -> Fingerprint {
        self.fingerprint("pii", &value.to_ascii_lowercase())
    }

    /// Returns HMAC-SHA-256 of family and secret, each with its length first (`u64`, little-endian).
    ///
    /// Neither rule, path, line nor commit enter: a moved or renamed secret keeps its name, and so does one
    /// that another rule of the family finds.
    pub fn fingerprint(&self, family: &str, secret: &[u8]) -> Fingerprint {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0)
            .expect("because HMAC takes keys of any length");
        for field in [family.as_bytes(), secret] {
            mac.update(&(field.len() as u64).to_le_bytes());
            mac.update(field);
        }
        Fingerprint(Digest::from_bytes(mac.finalize().into_bytes().into()))
    }
}

impl fmt::Debug for FingerprintKey {
    /// Never prints the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_and_the_family_and_the_secret_all_count() {
        let key = FingerprintKey::from_bytes([1; 32]);
        let name = key.fingerprint("aws", b"secret");
        assert_eq!(name, key.fingerprint("aws", b"secret"));
        assert_ne!(name, key.fingerprint("aw", b"ssecret"));
        assert_ne!(name, key.fingerprint("aws", b"secreT"));
        assert_ne!(name, FingerprintKey::from_bytes([2; 32]).fingerprint("aws", b"secret"));
    }

    #[test]
    fn debug_hides_the_key() {
        assert_eq!(format!("{:?}", FingerprintKey::from_bytes([7; 32])), "FingerprintKey(hidden)");
    }
}
