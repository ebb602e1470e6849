//! Makes the index of licence texts at build time: the words of every text, and where each run of four words stands.
//!
//! The layout is read by `index.rs`; both change together.

use std::collections::{BTreeMap, HashMap};

use super::{
    layout::{BEGINS, ENDS, GAPS, GRAM_WORDS, SECTIONS, SOFT, gram_hash, slot_of, word_hash},
    template::{Piece, pieces},
    words::for_each_word,
};

/// Runs of four words that stand in more places than this tell nothing.
const POSTINGS_MAX: usize = 220;
/// In texts longer than this many words, a part of the runs is enough.
const SAMPLED_FROM_WORDS: usize = 500;

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DocKind {
    Text = 0,
    Header = 1,
    Notice = 2,
    Exception = 3,
}

/// A text to look for.
#[derive(Debug)]
pub(crate) struct Doc {
    pub(crate) expression: String,
    pub(crate) kind: DocKind,
    tokens: Vec<u32>,
}

/// Collects texts, then writes the index.
#[derive(Default)]
pub(crate) struct IndexBuilder {
    word_ids: HashMap<Vec<u8>, u16>,
    words: Vec<Vec<u8>>,
    aliases: Vec<(Vec<u8>, u16)>,
    docs: Vec<Doc>,
    seen: HashMap<Vec<u32>, usize>,
    phrases: Vec<(Vec<u16>, String)>,
}

impl IndexBuilder {
    /// Returns the id of a word, giving it one if it has none; 0 is no word.
    pub(crate) fn word(&mut self, word: &[u8]) -> u16 {
        if let Some(id) = self.word_ids.get(word) {
            return *id;
        }
        self.words.push(word.to_vec());
        let id = u16::try_from(self.words.len()).expect("because the list has fewer words");
        self.word_ids.insert(word.to_vec(), id);
        id
    }

    /// Makes `spelling` the same word as `word`; before any text is added.
    pub(crate) fn alias(&mut self, spelling: &str, word: &str) {
        let id = self.word(word.as_bytes());
        self.word_ids.insert(spelling.as_bytes().to_vec(), id);
        self.aliases.push((spelling.as_bytes().to_vec(), id));
    }

    pub(crate) fn words_of(&mut self, text: &str) -> Vec<u16> {
        let mut found = Vec::new();
        for_each_word(text.as_bytes(), |word, _, _| found.push(word.to_vec()));
        found.iter().map(|word| self.word(word)).collect()
    }

    /// Adds a phrase that names something.
    pub(crate) fn phrase(&mut self, phrase: &str, meaning: &str) {
        let words = self.words_of(phrase);
        if !words.is_empty() {
            self.phrases.push((words, meaning.to_owned()));
        }
    }

    /// Adds an SPDX template; one that says the same as an earlier one is passed over.
    pub(crate) fn template(&mut self, expression: &str, kind: DocKind, template: &str) {
        let pieces = pieces(template);
        self.add(expression, kind, &pieces);
    }

    pub(crate) fn add(&mut self, expression: &str, kind: DocKind, pieces: &[Piece<'_>]) {
        let mut tokens = Vec::new();
        let mut gap = 0;
        let mut begins = false;
        for piece in pieces {
            let (text, soft, gap_after) = match piece {
                Piece::Text { text, optional } => (*text, *optional, 0),
                Piece::Begin => {
                    begins = true;
                    continue;
                }
                Piece::End => {
                    if let Some(last) = tokens.last_mut().filter(|last| **last & SOFT != 0) {
                        *last |= ENDS;
                    }
                    begins = false;
                    continue;
                }
                Piece::Var { original, n_words_max } => {
                    let class = gap_class(*n_words_max);
                    gap = gap.max(class);
                    (*original, true, class)
                }
            };
            for word in self.words_of(text) {
                let marks = if soft { SOFT } else { 0 } | if begins { BEGINS } else { 0 };
                tokens.push(u32::from(word) | marks | gap << 17);
                begins = false;
                // Anything may stand beside every word that may be replaced.
                gap = gap_after;
            }
            gap = gap.max(gap_after);
        }
        if tokens.len() < GRAM_WORDS || self.seen.contains_key(&tokens) {
            return;
        }
        self.seen.insert(tokens.clone(), self.docs.len());
        self.docs.push(Doc { expression: expression.to_owned(), kind, tokens });
    }

    /// Writes the index.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let mut strings: Vec<u8> = Vec::new();
        let mut string_of: BTreeMap<String, u32> = BTreeMap::new();
        let mut string = |text: &str| -> u32 {
            *string_of.entry(text.to_owned()).or_insert_with(|| {
                let at = strings.len() as u32;
                strings.push(u8::try_from(text.len()).expect("because names are short"));
                strings.extend_from_slice(text.as_bytes());
                at
            })
        };
        let mut docs = Vec::new();
        let mut tokens = Vec::new();
        for doc in &self.docs {
            let n_hard = doc.tokens.iter().filter(|token| **token & SOFT == 0).count() as u32;
            docs.extend([tokens.len() as u32, doc.tokens.len() as u32, n_hard]);
            docs.extend([string(&doc.expression), doc.kind as u32]);
            tokens.extend_from_slice(&doc.tokens);
        }
        let (grams, postings) = self.grams();
        let (phrase_heads, phrases) = self.phrase_table(&mut string);
        let word_strings: Vec<u32> =
            self.words.iter().map(|word| string(&String::from_utf8_lossy(word))).collect();
        let slots = self.word_slots();
        let as_bytes =
            |numbers: &[u32]| -> Vec<u8> { numbers.iter().flat_map(|n| n.to_le_bytes()).collect() };
        let sections: [Vec<u8>; SECTIONS] = [
            as_bytes(&slots),
            as_bytes(&word_strings),
            as_bytes(&docs),
            as_bytes(&tokens),
            as_bytes(&grams),
            as_bytes(&postings),
            as_bytes(&phrase_heads),
            as_bytes(&phrases),
            strings,
        ];
        let mut bytes = Vec::new();
        let mut at = (SECTIONS * 8) as u32;
        for section in &sections {
            bytes.extend_from_slice(&at.to_le_bytes());
            bytes.extend_from_slice(&(section.len() as u32).to_le_bytes());
            at += section.len() as u32;
        }
        bytes.extend(sections.concat());
        bytes
    }

    /// Open addressing: (hash of the word, id) in a table of a power of two.
    fn word_slots(&mut self) -> Vec<u32> {
        let all: BTreeMap<&[u8], u16> =
            self.word_ids.iter().map(|(word, id)| (&word[..], *id)).collect();
        let n_slots = (all.len() * 2).next_power_of_two();
        let mut slots = vec![0u32; n_slots * 2];
        for (word, id) in all {
            let hash = word_hash(word);
            let mut slot = slot_of(hash, n_slots);
            while slots[slot * 2 + 1] != 0 {
                assert_ne!(slots[slot * 2], hash, "two words with one hash");
                slot = (slot + 1) % n_slots;
            }
            slots[slot * 2] = hash;
            slots[slot * 2 + 1] = u32::from(id);
        }
        slots
    }

    /// Open addressing: (hash of four words, first posting, number of postings); a posting is document and position.
    fn grams(&self) -> (Vec<u32>, Vec<u32>) {
        let mut places: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (doc_idx, doc) in self.docs.iter().enumerate() {
            let is_sampled = doc.tokens.len() > SAMPLED_FROM_WORDS;
            for (at, gram) in doc.tokens.windows(GRAM_WORDS).enumerate() {
                let hash = gram_hash(gram.iter().map(|token| *token as u16));
                if at < 1 << 16 && (!is_sampled || hash % 4 == 0) {
                    places.entry(hash).or_default().push((doc_idx as u32) << 16 | at as u32);
                }
            }
        }
        places.retain(|_, places| places.len() <= POSTINGS_MAX);
        let n_slots = (places.len() * 3 / 2).next_power_of_two();
        let mut slots = vec![0u32; n_slots * 2];
        let mut postings = Vec::new();
        for (hash, places) in places {
            let mut slot = slot_of(hash, n_slots);
            while slots[slot * 2 + 1] != 0 {
                slot = (slot + 1) % n_slots;
            }
            slots[slot * 2] = hash;
            slots[slot * 2 + 1] = (postings.len() as u32) << 8 | places.len() as u32;
            postings.extend(places);
        }
        (slots, postings)
    }

    /// Per first word the phrases that begin with it, longest first: words, then the meaning.
    fn phrase_table(&mut self, string: &mut dyn FnMut(&str) -> u32) -> (Vec<u32>, Vec<u32>) {
        self.phrases.sort_by(|a, b| (a.0[0], b.0.len(), &a.0).cmp(&(b.0[0], a.0.len(), &b.0)));
        self.phrases.dedup_by(|a, b| a.0 == b.0);
        let mut heads = vec![0u32; self.words.len() + 2];
        let mut table = Vec::new();
        let mut phrases = self.phrases.iter().peekable();
        for (word, head) in heads.iter_mut().enumerate() {
            *head = table.len() as u32;
            while let Some((words, meaning)) =
                phrases.next_if(|(words, _)| usize::from(words[0]) == word)
            {
                table.push(words.len() as u32);
                table.push(string(meaning));
                table.extend(words.iter().map(|word| u32::from(*word)));
            }
        }
        (heads, table)
    }
}

/// Returns the class that admits so many words.
fn gap_class(n_words: usize) -> u32 {
    GAPS.iter().position(|max| n_words <= *max).unwrap_or(GAPS.len() - 1) as u32
}
