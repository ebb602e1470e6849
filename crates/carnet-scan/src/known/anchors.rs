//! Places of a text at which a pattern may stand, found by looking at a few of its bytes only.
//!
//! Of the last bytes of each pattern, its window, every piece is known that begins within one stride. A text is looked at every
//! stride: wherever the pattern stands, one of these places holds one of its pieces. A filter of two bits per piece says no for
//! nearly all places. A window at the end and not at the beginning: providers' values begin alike and end at random.

/// Bytes from which a pattern is a long one.
pub(super) const LONG: usize = 16;
/// Bytes of the shortest pattern.
const SHORT: usize = 6;
/// Pieces for each word of the filter, at most.
const PIECES_PER_WORD: usize = 8;
const WORDS_MAX: usize = 1 << 18;

/// Pieces of patterns that all have so many bytes.
#[derive(Default)]
pub(super) struct Anchors {
    /// Sorted by the hash of the piece.
    pieces: Vec<Piece>,
    /// Bytes at the end of each pattern, and of a piece of it.
    window: usize,
    piece_len: usize,
    /// A power of two of words; empty when there is nothing to look for.
    filter: Vec<u64>,
}

#[derive(Clone, Copy)]
struct Piece {
    hash: u32,
    pattern_idx: u32,
    /// Where it stands in the window.
    offset: u8,
}

impl Anchors {
    /// Takes patterns, each of [`LONG`] bytes or more, or each of less.
    pub(super) fn new<'p>(patterns: impl Iterator<Item = (u32, &'p [u8])> + Clone) -> Anchors {
        let Some(shortest) = patterns.clone().map(|(_, bytes)| bytes.len()).min() else {
            return Anchors::default();
        };
        let window = shortest.min(LONG);
        let piece_len = if window == LONG { 8 } else { 4 };
        debug_assert!(window >= SHORT, "shorter patterns are not made");
        let mut anchors = Anchors { pieces: vec![], window, piece_len, filter: vec![] };
        for (pattern_idx, bytes) in patterns {
            let window = &bytes[bytes.len() - window..];
            for offset in 0..anchors.stride() {
                let hash = anchors.hash(&window[offset..]) as u32;
                anchors.pieces.push(Piece { hash, pattern_idx, offset: offset as u8 });
            }
        }
        anchors.pieces.sort_by_key(|piece| (piece.hash, piece.pattern_idx, piece.offset));
        let n_words = (anchors.pieces.len() / PIECES_PER_WORD).next_power_of_two();
        anchors.filter = vec![0; n_words.clamp(64, WORDS_MAX)];
        for idx in 0..anchors.pieces.len() {
            let hash = anchors.pieces[idx].hash;
            let word = anchors.word(hash);
            anchors.filter[word] |= bits(hash);
        }
        anchors
    }

    fn stride(&self) -> usize {
        self.window - self.piece_len + 1
    }

    /// Calls `visit` with each place where a pattern may end, and with that pattern.
    pub(super) fn each_end_in(&self, text: &[u8], visit: &mut impl FnMut(usize, usize)) {
        if self.pieces.is_empty() {
            return;
        }
        let (stride, last) = (self.stride(), text.len().saturating_sub(self.piece_len));
        if text.len() < self.window {
            return;
        }
        for at in (0..=last).step_by(stride) {
            let hash = self.hash(&text[at..]) as u32;
            let bits = bits(hash);
            if self.filter[self.word(hash)] & bits == bits {
                self.each_end_of(hash, at, text.len(), visit);
            }
        }
    }

    fn each_end_of(
        &self,
        hash: u32,
        at: usize,
        text_len: usize,
        visit: &mut impl FnMut(usize, usize),
    ) {
        let from = self.pieces.partition_point(|piece| piece.hash < hash);
        for piece in self.pieces[from..].iter().take_while(|piece| piece.hash == hash) {
            let end = (at + self.window).checked_sub(usize::from(piece.offset));
            if let Some(end) = end.filter(|end| *end <= text_len) {
                visit(end, piece.pattern_idx as usize);
            }
        }
    }

    /// Hashes the first piece of `bytes`: a multiplication, of which the high half counts.
    fn hash(&self, bytes: &[u8]) -> u64 {
        let number = match (self.piece_len, bytes) {
            (8, [a, b, c, d, e, f, g, h, ..]) => {
                u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h])
            }
            (_, [a, b, c, d, ..]) => u64::from(u32::from_le_bytes([*a, *b, *c, *d])),
            _ => 0,
        };
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed >> 32
    }

    fn word(&self, hash: u32) -> usize {
        (hash >> 12) as usize & (self.filter.len() - 1)
    }
}

/// The two bits of a word that stand for a piece.
fn bits(hash: u32) -> u64 {
    1 << (hash & 63) | 1 << (hash >> 6 & 63)
}
