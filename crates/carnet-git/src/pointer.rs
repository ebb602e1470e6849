//! The pointer that stands in a tree for a content that lies in a store: three lines in the form of Git LFS.
//!
//! # Source
//!
//! git-lfs `docs/spec.md`, "The Pointer": `version` first, keys sorted, one space, `\n` after each line.

use carnet_core::Digest;

const VERSION_LINE: &str = "version https://git-lfs.github.com/spec/v1\n";

/// Names a content by digest and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer {
    /// SHA-256 of the content.
    pub digest: Digest,
    /// Its length in bytes.
    pub size_bytes: u64,
}

impl Pointer {
    /// Shortest pointer, in bytes.
    pub const BYTES_MIN: u64 = 43 + 76 + 7;
    /// Longest pointer, in bytes.
    pub const BYTES_MAX: u64 = 43 + 76 + 6 + 20;

    /// Returns the pointer's text.
    pub fn to_text(self) -> String {
        format!("{VERSION_LINE}oid sha256:{}\nsize {}\n", self.digest, self.size_bytes)
    }

    /// Reads a pointer; `None` unless the bytes are exactly what [`Pointer::to_text`] writes.
    pub fn parse(bytes: &[u8]) -> Option<Pointer> {
        let text = std::str::from_utf8(bytes).ok()?.strip_prefix(VERSION_LINE)?;
        let (oid, size) = text.strip_prefix("oid sha256:")?.split_once("\nsize ")?;
        let digest = Digest::from_hex(oid).ok()?;
        let pointer = Pointer { digest, size_bytes: size.strip_suffix('\n')?.parse().ok()? };
        (pointer.to_text().as_bytes() == bytes).then_some(pointer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_what_git_lfs_writes_and_comes_back() {
        for size_bytes in [0, 1, u64::MAX] {
            let pointer = Pointer { digest: Digest::of(b"x"), size_bytes };
            let text = pointer.to_text();
            assert_eq!(Pointer::parse(text.as_bytes()), Some(pointer));
            assert!((Pointer::BYTES_MIN..=Pointer::BYTES_MAX).contains(&(text.len() as u64)));
        }
        let text = Pointer { digest: Digest::of(b""), size_bytes: 0 }.to_text();
        let expected = "version https://git-lfs.github.com/spec/v1\n\
            oid sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nsize 0\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn whatever_differs_by_a_byte_is_no_pointer() {
        let text = Pointer { digest: Digest::of(b"x"), size_bytes: 12 }.to_text();
        assert_eq!(Pointer::parse(b""), None);
        assert_eq!(Pointer::parse(format!("{text}\n").as_bytes()), None);
        assert_eq!(Pointer::parse(text.replace("size 12", "size 012").as_bytes()), None);
        assert_eq!(Pointer::parse(text.replace("size 12", "size +12").as_bytes()), None);
        assert_eq!(Pointer::parse(text.replace("sha256", "sha512").as_bytes()), None);
        assert_eq!(Pointer::parse(text.to_uppercase().as_bytes()), None);
    }
}
