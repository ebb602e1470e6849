//! Values that the workspace knows by name, recognised in any text: as they are, and as programs write them.
//!
//! Each value becomes a few patterns ([`encodings`]). A text is looked at every few bytes only: so many neighbouring pieces of the
//! end of each pattern are known that one of them stands at such a place ([`anchors`]), however many values there are.
//!
//! Refuses values so short or so plain that ordinary text would be full of them, and names them. The copies that are kept are
//! wiped when they are dropped.
mod anchors;
mod encodings;

use std::ops::Range;

use zeroize::Zeroizing;

use self::anchors::Anchors;
use crate::redact::TOKEN_START;

/// Bytes that a value must have to be looked for.
const VALUE_BYTES_MIN: usize = 6;
/// Bytes of the longest value.
const VALUE_BYTES_MAX: usize = 64 << 10;
/// Values that are looked for at once.
const VALUES_MAX: usize = 20_000;
/// Why a value is not looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KnownError {
    /// Ordinary text would be full of it.
    #[error("has less than {VALUE_BYTES_MIN} bytes")]
    Short,
    /// It is a file rather than a value.
    #[error("has more than {VALUE_BYTES_MAX} bytes")]
    Long,
    /// One or two characters over and over, as in a line that parts sections.
    #[error("is made of one or two characters")]
    Plain,
    /// It would be found in the very text that stands for values.
    #[error("is a part of `[REDACTED:NAME]`")]
    OfToken,
    /// Its name has more than letters, digits, `_`, `-` and `.`, or more than 128 of them.
    #[error("has a name that does not fit into `[REDACTED:NAME]`")]
    Name,
    /// There are too many.
    #[error("comes after {VALUES_MAX} others")]
    Many,
}

/// A value that is known by name, wiped when it is dropped.
#[derive(Clone)]
pub struct KnownValue {
    /// The variable or key that holds it.
    pub name: String,
    /// The value.
    pub value: Zeroizing<Vec<u8>>,
}

/// Finds known values in texts.
#[derive(Default)]
pub struct KnownValues {
    names: Vec<String>,
    /// All patterns, one after the other.
    bytes: Zeroizing<Vec<u8>>,
    patterns: Vec<Pattern>,
    /// Where the patterns may stand: the long ones, and the short ones.
    long: Anchors,
    short: Anchors,
}

#[derive(Clone, Copy)]
struct Pattern {
    start: u32,
    len: u32,
    name_idx: u32,
    /// Characters before and after it that hold bits of the value too.
    shares: (u8, u8),
}

impl std::fmt::Debug for KnownValues {
    /// Never prints a value.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KnownValues({})", self.names.join(", "))
    }
}

impl KnownValues {
    /// Takes values, and says which of them are not looked for and why.
    ///
    /// Of a value of several lines each line is looked for as well.
    pub fn new(
        values: impl IntoIterator<Item = KnownValue>,
    ) -> (KnownValues, Vec<(String, KnownError)>) {
        let mut known = KnownValues::default();
        let mut refused = vec![];
        let mut taken: Vec<(u32, Zeroizing<Vec<u8>>)> = vec![];
        for KnownValue { name, value } in values {
            match usable(&name, &value) {
                _ if known.names.len() == VALUES_MAX => refused.push((name, KnownError::Many)),
                Err(why) => refused.push((name, why)),
                Ok(whole) => {
                    let name_idx = known.names.len() as u32;
                    let lines = whole.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
                    let lines = lines.filter(|it| it.len() != whole.len() && is_line_of_value(it));
                    let parts = std::iter::once(whole).chain(lines);
                    taken.extend(parts.map(|it| (name_idx, Zeroizing::new(it.to_vec()))));
                    known.names.push(name);
                }
            }
        }
        taken.retain(|(name_idx, value)| {
            let is_of_token = known.names.iter().any(|name| is_part_of_token(value, name));
            if is_of_token {
                refused.push((known.names[*name_idx as usize].clone(), KnownError::OfToken));
            }
            !is_of_token
        });
        known.build(&taken);
        (known, refused)
    }

    /// Returns the names of the values that are looked for.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    fn build(&mut self, values: &[(u32, Zeroizing<Vec<u8>>)]) {
        let mut written = vec![];
        for (name_idx, value) in values {
            encodings::each(value, &mut |bytes, shares| written.push((*name_idx, bytes, shares)));
        }
        self.bytes = Zeroizing::new(Vec::with_capacity(written.iter().map(|it| it.1.len()).sum()));
        for (name_idx, bytes, shares) in &written {
            self.patterns.push(Pattern {
                start: self.bytes.len() as u32,
                len: bytes.len() as u32,
                name_idx: *name_idx,
                shares: *shares,
            });
            self.bytes.extend_from_slice(bytes);
        }
        let is_long = |bytes: &[u8]| bytes.len() >= anchors::LONG;
        let of = |long: bool| {
            let patterns = written.iter().enumerate();
            let these = patterns.filter(move |(_, it)| is_long(&it.1) == long);
            these.map(|(idx, it)| (idx as u32, it.1.as_slice()))
        };
        (self.long, self.short) = (Anchors::new(of(true)), Anchors::new(of(false)));
    }

    /// Calls `met` with the place and the name of every value, in no order; places may overlap.
    pub(crate) fn each_in(&self, text: &[u8], met: &mut dyn FnMut(Range<usize>, usize)) {
        for anchors in [&self.long, &self.short] {
            anchors.each_end_in(text, &mut |end, pattern_idx| {
                let pattern = &self.patterns[pattern_idx];
                let (start, len) = (pattern.start as usize, pattern.len as usize);
                if text[..end].ends_with(&self.bytes[start..start + len]) {
                    let is_shared = |at: usize| text.get(at).is_some_and(encodings::is_base64);
                    let first = end - len;
                    let before =
                        usize::from(pattern.shares.0 > 0 && first > 0 && is_shared(first - 1));
                    let after = usize::from(pattern.shares.1 > 0 && is_shared(end));
                    met(first - before..end + after, pattern.name_idx as usize);
                }
            });
        }
    }
}

/// Returns what is looked for of a value.
fn usable<'v>(name: &str, value: &'v [u8]) -> Result<&'v [u8], KnownError> {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if !(1..=128).contains(&name.len()) || !name.bytes().all(is_name_byte) {
        return Err(KnownError::Name);
    }
    let value = value.trim_ascii();
    match value.len() {
        0..VALUE_BYTES_MIN => Err(KnownError::Short),
        len if len > VALUE_BYTES_MAX => Err(KnownError::Long),
        _ if is_plain(value) => Err(KnownError::Plain),
        _ => Ok(value),
    }
}

fn is_plain(value: &[u8]) -> bool {
    let other = value.iter().find(|byte| **byte != value[0]).unwrap_or(&value[0]);
    value.iter().all(|byte| *byte == value[0] || byte == other)
}

/// The lines that frame a key are in every key.
fn is_line_of_value(line: &[u8]) -> bool {
    line.len() >= VALUE_BYTES_MIN && !is_plain(line) && !line.starts_with(b"-----")
}

fn is_part_of_token(value: &[u8], name: &str) -> bool {
    let token = [TOKEN_START, name.as_bytes(), b"]"].concat();
    memchr::memmem::find(&token, value).is_some()
}

#[cfg(test)]
mod tests;
