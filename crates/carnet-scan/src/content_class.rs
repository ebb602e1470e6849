//! Contents that excuse a path: a `.pem` with only certificates, a `.env` without values.
//!
//! A class is a closed question about the whole content, answered yes only when every line is understood;
//! anything unexpected means no, and the path is reported.

/// A class of contents, by its name in rule files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentClass {
    /// `public-pem`: one or more PEM blocks (RFC 7468), each of a kind that is public by nature.
    PublicPem,
    /// `no-values`: only blank lines, `#` comments, and assignments without a value or of a placeholder.
    NoValues,
}

/// Labels of PEM blocks that hold nothing secret.
const PUBLIC_LABELS: [&[u8]; 12] = [
    b"CERTIFICATE",
    b"TRUSTED CERTIFICATE",
    b"X509 CERTIFICATE",
    b"CERTIFICATE REQUEST",
    b"NEW CERTIFICATE REQUEST",
    b"PUBLIC KEY",
    b"RSA PUBLIC KEY",
    b"X509 CRL",
    b"DH PARAMETERS",
    b"EC PARAMETERS",
    b"PKCS7",
    b"PGP PUBLIC KEY BLOCK",
];

impl ContentClass {
    /// Returns the class of that name.
    pub(crate) fn from_name(name: &str) -> Option<ContentClass> {
        match name {
            "public-pem" => Some(ContentClass::PublicPem),
            "no-values" => Some(ContentClass::NoValues),
            _ => None,
        }
    }

    /// Returns the name used in rule files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ContentClass::PublicPem => "public-pem",
            ContentClass::NoValues => "no-values",
        }
    }

    /// Tells whether `content` certainly belongs to the class.
    pub(crate) fn holds(self, content: &[u8]) -> bool {
        match self {
            ContentClass::PublicPem => is_public_pem(content),
            ContentClass::NoValues => lines(content).all(has_no_value),
        }
    }
}

fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii)
}

/// Tells whether at least one block is there, each is public, and each is closed.
///
/// Text between blocks (the subject lines that `openssl` writes) is allowed, within the bounds of RFC 7468
/// §2, as long as it does not speak of a private key.
fn is_public_pem(content: &[u8]) -> bool {
    let mut n_blocks = 0;
    let mut open: Option<&[u8]> = None;
    for line in lines(content) {
        let begin = label(line, b"-----BEGIN ");
        let end = label(line, b"-----END ");
        match (open, begin, end) {
            (None, Some(name), _) if PUBLIC_LABELS.contains(&name) => open = Some(name),
            (Some(name), None, Some(closing)) if name == closing => {
                n_blocks += 1;
                open = None;
            }
            (Some(_), None, None) if line.iter().all(is_block_byte) => {}
            (None, None, None) if is_harmless_comment(line) => {}
            _ => return false,
        }
    }
    n_blocks > 0 && open.is_none()
}

fn label<'a>(line: &'a [u8], opening: &[u8]) -> Option<&'a [u8]> {
    line.strip_prefix(opening)?.strip_suffix(b"-----")
}

fn is_block_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=:,.()- ".contains(byte)
}

fn is_harmless_comment(line: &[u8]) -> bool {
    let is_text = line.iter().all(|byte| !byte.is_ascii_control());
    let lower = line.to_ascii_lowercase();
    let has_run = line.split(|byte| !byte.is_ascii_alphanumeric()).any(|word| word.len() > 40);
    is_text && !has_run && memchr::memmem::find(&lower, b"private").is_none()
}

fn has_no_value(line: &[u8]) -> bool {
    if line.is_empty() || line.starts_with(b"#") {
        return true;
    }
    let Some(at) = line.iter().position(|byte| *byte == b'=') else { return false };
    let value = line[at + 1..].trim_ascii();
    matches!(value, b"" | b"\"\"" | b"''") || crate::placeholder::is_placeholder(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

    fn check(class: ContentClass, content: &str, expect: bool) {
        assert_eq!(class.holds(content.as_bytes()), expect, "{content:?}");
    }

    #[test]
    fn certificates_are_public() {
        check(ContentClass::PublicPem, CERTIFICATE, true);
        check(
            ContentClass::PublicPem,
            &format!("# subject: CN=x\n{CERTIFICATE}{CERTIFICATE}"),
            true,
        );
        check(ContentClass::PublicPem, &CERTIFICATE.replace('\n', "\r\n"), true);
    }
    #[test]
    fn a_private_key_is_not() {
        let key =
            ["-----BEGIN ", "PRIVATE KEY-----\nMIIB\n-----END ", "PRIVATE KEY-----\n"].concat();
        check(ContentClass::PublicPem, &key, false);
        check(ContentClass::PublicPem, &format!("{CERTIFICATE}{key}"), false);
    }
    #[test]
    fn what_is_not_understood_is_not_public() {
        check(ContentClass::PublicPem, "", false);
        check(ContentClass::PublicPem, "-----BEGIN CERTIFICATE-----\nMIIB\n", false);
        check(ContentClass::PublicPem, &format!("{CERTIFICATE}\0"), false);
        check(ContentClass::PublicPem, &format!("{}\n{CERTIFICATE}", "Ab1".repeat(20)), false);
        check(
            ContentClass::PublicPem,
            "-----BEGIN CERTIFICATE-----\n-----END PUBLIC KEY-----\n",
            false,
        );
    }
    #[test]
    fn a_file_of_names_has_no_values() {
        check(ContentClass::NoValues, "", true);
        check(
            ContentClass::NoValues,
            "# comment\nA=\nexport B=\"\"\nC=<your key>\nD=changeme\n",
            true,
        );
        check(ContentClass::NoValues, "A=\nB=hunter2\n", false);
        check(ContentClass::NoValues, "whatever\n", false);
    }
}
