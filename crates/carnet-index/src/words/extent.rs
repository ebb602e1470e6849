//! How much the words hold: all of it, or less where a refresh may not take the memory for all.
//!
//! What is left out follows from the files of the commit and the ceiling alone, never from how full the machine is at the
//! moment, so that a refresh equals a clean rebuild. Vectors go first, then the words of bodies; symbols and calls stay always.

use std::path::Path;

use super::{version_path, version_text};

/// How much the words hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// Everything.
    Whole,
    /// No vectors: a description finds only what shares a word with it.
    NoVectors,
    /// No vectors, and no words but those of names, paths, signatures and comments.
    NoBodies,
}

/// What the process, its writer of words and the table of vectors take whatever the repository is, in bytes.
const BASE_BYTES: u64 = 150 << 20;
/// What the writer of words takes less when it gets no bodies, in bytes.
const BODIES_BYTES: u64 = 30 << 20;
/// What a vector takes while all of them are written and checked, in bytes.
const VECTOR_BYTES: u64 = 2 * 150;

impl Extent {
    pub(crate) const ALL: [Extent; 3] = [Extent::Whole, Extent::NoVectors, Extent::NoBodies];

    /// Returns what is left out, for people; `None` where nothing is.
    pub fn left_out(self) -> Option<&'static str> {
        match self {
            Extent::Whole => None,
            Extent::NoVectors => Some("vectors"),
            Extent::NoBodies => Some("vectors and bodies"),
        }
    }

    /// Returns the largest that fits.
    ///
    /// - `graph_bytes`: what the symbols and calls of the commit take. `n_units`: how many vectors there would be.
    pub(crate) fn that_fits(graph_bytes: u64, n_units: u64, bytes_max: Option<u64>) -> Extent {
        let Some(bytes_max) = bytes_max else { return Extent::Whole };
        let without_vectors = graph_bytes.saturating_add(BASE_BYTES);
        let vectors = n_units.saturating_mul(VECTOR_BYTES);
        if without_vectors.saturating_add(vectors) <= bytes_max {
            Extent::Whole
        } else if without_vectors <= bytes_max.saturating_add(BODIES_BYTES) {
            Extent::NoVectors
        } else {
            Extent::NoBodies
        }
    }

    /// Returns how much the words beside a snapshot hold; `None` where there are none of this version.
    pub(crate) fn of_words(dir: &Path) -> Option<Extent> {
        let found = std::fs::read_to_string(version_path(dir)).ok()?;
        Extent::ALL.into_iter().find(|extent| found == version_text(*extent))
    }

    /// What distinguishes the version of such words.
    pub(super) fn mark(self) -> &'static str {
        match self {
            Extent::Whole => "",
            Extent::NoVectors => ".no-vectors",
            Extent::NoBodies => ".no-bodies",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_go_before_bodies_and_nothing_without_a_ceiling() {
        let fits = |mib: u64| Extent::that_fits(100 << 20, 100_000, Some(mib << 20));
        assert_eq!(fits(600), Extent::Whole);
        assert_eq!(fits(270), Extent::NoVectors);
        assert_eq!(fits(200), Extent::NoBodies);
        assert_eq!(fits(0), Extent::NoBodies);
        assert_eq!(Extent::that_fits(u64::MAX, u64::MAX, None), Extent::Whole);
        assert_eq!(Extent::that_fits(u64::MAX, u64::MAX, Some(u64::MAX)), Extent::Whole);
    }
}
