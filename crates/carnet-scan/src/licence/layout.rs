//! What the writer and the reader of the licence index have in common.

/// Sections of the index; see `index.rs`.
pub(crate) const SECTIONS: usize = 9;
/// Words of a run that is looked up.
pub(crate) const GRAM_WORDS: usize = 4;
/// Bit of a word that need not be there.
pub(crate) const SOFT: u32 = 1 << 16;
/// Bit of the first word of a part that may be left out.
pub(crate) const BEGINS: u32 = 1 << 19;
/// Bit of the last word of such a part.
pub(crate) const ENDS: u32 = 1 << 20;

/// Words that may stand before a word without meaning, by the class in its bits 17 and 18.
pub(crate) const GAPS: [usize; 4] = [0, 8, 40, 800];

/// FNV-1a.
pub(crate) fn word_hash(word: &[u8]) -> u32 {
    word.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Hash of a run of words.
pub(crate) fn gram_hash(words: impl Iterator<Item = u16>) -> u32 {
    let hash = words.fold(0x9e37_79b9_7f4a_7c15u64, |hash, word| {
        (hash ^ u64::from(word)).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29)
    });
    (hash >> 32) as u32
}

/// First place to look for a hash in a table of so many slots, a power of two.
pub(crate) fn slot_of(hash: u32, n_slots: usize) -> usize {
    (hash.wrapping_mul(0x9e37_79b1) >> 7) as usize & (n_slots - 1)
}
