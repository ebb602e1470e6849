//! What names some lines for ever, whatever HEAD is.

use std::{fmt, str::FromStr};

use carnet_core::{GitOid, RepoPath};

use super::LineRange;

/// Digits of the blob's name in a citation.
const BLOB_DIGITS: usize = 12;

/// Lines of one content: `path#L10-L32@<12 digits of the blob>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Citation {
    /// Where the content lay.
    pub path: String,
    /// The lines.
    pub lines: LineRange,
    /// The beginning of the blob's name, in lowercase hexadecimal digits.
    pub blob_digits: String,
}

impl Citation {
    /// Names lines of a blob.
    pub fn new(path: &RepoPath, lines: LineRange, blob_id: &GitOid) -> Citation {
        let mut blob_digits = blob_id.to_string();
        blob_digits.truncate(BLOB_DIGITS);
        Citation { path: path.to_text(), lines, blob_digits }
    }
}

impl fmt::Display for Citation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Citation { path, lines, blob_digits } = self;
        write!(f, "{path}#L{}-L{}@{blob_digits}", lines.start, lines.end)
    }
}

/// The text is no citation.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no citation of the form `path#L10-L32@0123456789ab`")]
pub struct CitationError(String);

impl FromStr for Citation {
    type Err = CitationError;

    fn from_str(text: &str) -> Result<Citation, CitationError> {
        let read = || {
            let (place, blob) = text.rsplit_once('@')?;
            let (path, lines) = place.rsplit_once("#L")?;
            let (start, end) = lines.split_once("-L").unwrap_or((lines, lines));
            let lines = LineRange { start: start.parse().ok()?, end: end.parse().ok()? };
            let is_range = lines.start >= 1 && lines.start <= lines.end && !path.is_empty();
            let is_name = (BLOB_DIGITS..=64).contains(&blob.len())
                && blob.bytes().all(|byte| byte.is_ascii_hexdigit());
            let blob_digits = blob.to_ascii_lowercase();
            (is_range && is_name).then(|| Citation { path: path.to_owned(), lines, blob_digits })
        };
        read().ok_or_else(|| CitationError(text.chars().take(200).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_citation_is_read_back() {
        for text in ["a.py#L1-L3@0123456789ab", "odd#L1@x/b c.md#L7-L7@abcdefabcdef"] {
            assert_eq!(text.parse::<Citation>().unwrap().to_string(), text);
        }
        assert_eq!(
            "a#L4@0123456789AB".parse::<Citation>().unwrap().to_string(),
            "a#L4-L4@0123456789ab"
        );
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "a.py",
            "a#L0-L1@0123456789ab",
            "a#L3-L2@0123456789ab",
            "a#L1-L2@0123",
            "#L1-L2@0123456789ab",
            "a#L1-L2@0123456789zz",
            "a#L1-L99999999999@0123456789ab",
        ] {
            assert!(text.parse::<Citation>().is_err(), "{text}");
        }
    }
}
