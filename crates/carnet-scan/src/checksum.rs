//! Checksums inside tokens: a token whose checksum holds is certainly one.
//!
//! A checksum raises the confidence of a finding and never drops one: published examples, revoked tokens with
//! a character changed, and schemes that the provider never wrote down would be lost otherwise.

/// A checksum scheme, by its name in rule files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checksum {
    /// `github-crc32`: the last six characters are the CRC-32 of the characters before them, in base 62
    /// (digits, capitals, small letters), padded with zeros. Providers differ in whether the prefix up to the
    /// last `_` is covered, so either covering counts: npm, for one, covers only the body.
    GithubCrc32,
}

impl Checksum {
    /// Returns the scheme of that name.
    pub(crate) fn from_name(name: &str) -> Option<Checksum> {
        (name == "github-crc32").then_some(Checksum::GithubCrc32)
    }

    /// Returns the name used in rule files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Checksum::GithubCrc32 => "github-crc32",
        }
    }

    /// Tells whether the checksum inside `token` holds.
    pub(crate) fn holds(self, token: &[u8]) -> bool {
        match self {
            Checksum::GithubCrc32 => github_crc32_holds(token),
        }
    }
}

const BASE62_DIGITS: usize = 6;

fn github_crc32_holds(token: &[u8]) -> bool {
    let Some(covered_len) = token.len().checked_sub(BASE62_DIGITS) else { return false };
    let (covered, check) = token.split_at(covered_len);
    let body_start = covered.iter().rposition(|byte| *byte == b'_').map_or(0, |at| at + 1);
    [covered, &covered[body_start..]].iter().any(|bytes| base62(crc32(bytes)) == check)
}

/// Returns six base-62 digits, most significant first; 62^6 exceeds 2^32.
fn base62(mut value: u32) -> [u8; BASE62_DIGITS] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut digits = [b'0'; BASE62_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(value % 62) as usize];
        value /= 62;
    }
    digits
}

/// CRC-32 as in ISO 3309 (reflected polynomial 0xEDB88320); tokens are short, so bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

/// Appends the checksum of `covered`, for tests that need a token that holds.
#[cfg(test)]
pub(crate) fn with_crc32(prefix: &str, body: &str) -> String {
    let check = base62(crc32(body.as_bytes()));
    format!("{prefix}{body}{}", std::str::from_utf8(&check).unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_of_the_check_string_is_the_published_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
    #[test]
    fn base62_pads_with_zeros() {
        assert_eq!(&base62(0), b"000000");
        assert_eq!(&base62(61), b"00000z");
        assert_eq!(&base62(62), b"000010");
    }
    #[test]
    fn a_token_with_its_checksum_holds_and_a_changed_one_does_not() {
        let token = with_crc32("ghp_", "abcdefghijklmnopqrstuvwxyz0123");
        assert!(Checksum::GithubCrc32.holds(token.as_bytes()));
        assert!(!Checksum::GithubCrc32.holds(token.replace('b', "c").as_bytes()));
        assert!(!Checksum::GithubCrc32.holds(b"short"));
    }
}
