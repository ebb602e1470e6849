//! Secrets made safe to print.

/// Leading characters that may be shown.
const SHOWN_MAX: usize = 4;

/// Returns `secret` with all but a little hidden: `AKIA… (20 bytes)`.
///
/// Shows at most four leading characters and at most a quarter of the secret, and none that is not visible
/// ASCII. A PEM block shows its header line, which names the kind of key and nothing of it.
pub(crate) fn mask(secret: &[u8]) -> String {
    let len = secret.len();
    if let Some(header) = pem_header(secret) {
        return format!("{header}… ({len} bytes)");
    }
    let shown = secret
        .iter()
        .take(SHOWN_MAX.min(len / 4))
        .take_while(|byte| byte.is_ascii_graphic())
        .map(|byte| char::from(*byte));
    format!("{}… ({len} bytes)", shown.collect::<String>())
}

/// Returns the `-----BEGIN … KEY-----` that `secret` starts with.
fn pem_header(secret: &[u8]) -> Option<String> {
    let label = secret.strip_prefix(b"-----BEGIN ")?;
    let end = memchr::memmem::find(&label[..label.len().min(64)], b"-----")?;
    let is_label = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ';
    let label = &label[..end];
    label
        .iter()
        .all(is_label)
        .then(|| format!("-----BEGIN {}-----", String::from_utf8_lossy(label)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(secret: &[u8], expect: &str) {
        assert_eq!(mask(secret), expect);
    }

    #[test]
    fn a_token_shows_four_characters() {
        check(b"abcdefghijklmnopqrst", "abcd… (20 bytes)");
    }
    #[test]
    fn a_short_secret_shows_a_quarter() {
        check(b"hunter2", "h… (7 bytes)");
        check(b"abc", "… (3 bytes)");
        check(b"", "… (0 bytes)");
    }
    #[test]
    fn a_key_shows_its_header() {
        let key = ["-----BEGIN EC ", "PRIVATE KEY-----\nMIIB"].concat();
        check(key.as_bytes(), &["-----BEGIN EC ", "PRIVATE KEY-----… (35 bytes)"].concat());
    }
    #[test]
    fn a_header_that_is_none_is_not_shown() {
        check(b"-----BEGIN secret-----", "----… (22 bytes)");
        check(b"-----BEGIN AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "----… (49 bytes)");
    }
    #[test]
    fn control_bytes_are_not_printed() {
        check(b"\x1b[31mabcdefghijklmnop", "… (21 bytes)");
    }
}
