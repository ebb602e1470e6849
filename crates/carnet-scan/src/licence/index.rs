//! The index of licence texts as the build left it: read in place, nothing is made at start-up.

use super::layout::{GRAM_WORDS, SECTIONS, gram_hash, slot_of, word_hash};

static BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/licences.bin"));

/// Numbers in a section, little-endian.
#[derive(Clone, Copy)]
pub(crate) struct Numbers(&'static [u8]);

impl Numbers {
    pub(crate) fn get(self, at: usize) -> u32 {
        let bytes = self.0.get(at * 4..at * 4 + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_le_bytes)
    }

    pub(crate) fn len(self) -> usize {
        self.0.len() / 4
    }

    pub(crate) fn slice(self, at: usize, n: usize) -> Numbers {
        Numbers(self.0.get(at * 4..(at + n) * 4).unwrap_or_default())
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = u32> {
        self.0.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes))
    }
}

/// A text that is looked for.
#[derive(Clone, Copy)]
pub(crate) struct Doc {
    pub(crate) tokens: Numbers,
    pub(crate) n_hard: usize,
    pub(crate) expression: &'static str,
    pub(crate) kind: u32,
}

/// The sections.
#[derive(Clone, Copy)]
pub(crate) struct Index {
    slots: Numbers,
    words: Numbers,
    docs: Numbers,
    tokens: Numbers,
    grams: Numbers,
    postings: Numbers,
    phrase_heads: Numbers,
    phrases: Numbers,
    strings: &'static [u8],
}

impl Index {
    pub(crate) fn built_in() -> Index {
        let section = |idx: usize| -> &'static [u8] {
            let head = Numbers(BYTES);
            let (at, len) = (head.get(idx * 2) as usize, head.get(idx * 2 + 1) as usize);
            BYTES.get(at..at + len).unwrap_or_default()
        };
        const { assert!(SECTIONS == 9) };
        Index {
            slots: Numbers(section(0)),
            words: Numbers(section(1)),
            docs: Numbers(section(2)),
            tokens: Numbers(section(3)),
            grams: Numbers(section(4)),
            postings: Numbers(section(5)),
            phrase_heads: Numbers(section(6)),
            phrases: Numbers(section(7)),
            strings: section(8),
        }
    }

    /// Returns the id of a word, or 0.
    pub(crate) fn word_id(self, word: &[u8]) -> u16 {
        let n_slots = self.slots.len() / 2;
        let hash = word_hash(word);
        let mut slot = slot_of(hash, n_slots);
        loop {
            let (found, id) = (self.slots.get(slot * 2), self.slots.get(slot * 2 + 1));
            if id == 0 {
                return 0;
            }
            if found == hash {
                // An alias has another spelling than its word, so only the hash can be compared.
                return id as u16;
            }
            slot = (slot + 1) % n_slots;
        }
    }

    /// Returns the word of an id, empty for 0.
    pub(crate) fn word(self, id: u16) -> &'static str {
        match usize::from(id).checked_sub(1) {
            Some(idx) => self.string(self.words.get(idx)),
            None => "",
        }
    }

    fn string(self, at: u32) -> &'static str {
        let at = at as usize;
        let len = self.strings.get(at).map_or(0, |len| usize::from(*len));
        let bytes = self.strings.get(at + 1..at + 1 + len).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    pub(crate) fn n_docs(self) -> usize {
        self.docs.len() / 5
    }

    pub(crate) fn doc(self, doc_idx: usize) -> Doc {
        let field = |field: usize| self.docs.get(doc_idx * 5 + field);
        Doc {
            tokens: self.tokens.slice(field(0) as usize, field(1) as usize),
            n_hard: field(2) as usize,
            expression: self.string(field(3)),
            kind: field(4),
        }
    }

    /// Returns where a run of four words stands, as (document, position).
    pub(crate) fn postings(self, gram: &[u16]) -> impl Iterator<Item = (usize, usize)> + use<> {
        debug_assert_eq!(gram.len(), GRAM_WORDS);
        let n_slots = self.grams.len() / 2;
        let hash = gram_hash(gram.iter().copied());
        let mut slot = slot_of(hash, n_slots);
        let (mut first, mut n) = (0, 0);
        loop {
            let (found, place) = (self.grams.get(slot * 2), self.grams.get(slot * 2 + 1));
            if place == 0 {
                break;
            }
            if found == hash {
                (first, n) = ((place >> 8) as usize, (place & 0xff) as usize);
                break;
            }
            slot = (slot + 1) % n_slots;
        }
        self.postings
            .slice(first, n)
            .iter()
            .map(|posting| ((posting >> 16) as usize, (posting & 0xffff) as usize))
    }

    /// Returns the longest phrase that `words` begin with: its length and its meaning.
    pub(crate) fn phrase(self, words: &[u16]) -> Option<(usize, &'static str)> {
        let first = usize::from(*words.first()?);
        let (mut at, end) =
            (self.phrase_heads.get(first) as usize, self.phrase_heads.get(first + 1) as usize);
        while at < end {
            let n = self.phrases.get(at) as usize;
            let phrase = self.phrases.slice(at + 2, n);
            if n <= words.len() && phrase.iter().zip(words).all(|(a, b)| a == u32::from(*b)) {
                return Some((n, self.string(self.phrases.get(at + 1))));
            }
            at += n + 2;
        }
        None
    }
}
