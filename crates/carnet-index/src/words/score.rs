//! Scores documents by the words of a query: BM25 in each field, weighed.
//!
//! A word stands for all words of its stem. All that is counted is counted over live documents alone.

use std::collections::{HashMap, HashSet};

use tantivy::tokenizer::TextAnalyzer;

use super::{
    DOC, NAME, SearchQuery, TEXT_FIELDS,
    live::{Live, NOT_LIVE},
    reader::Segment,
    tokens,
};
use crate::IndexError;

/// Weight of name, path, signature, comment and body. A signature stands in its body too.
const WEIGHTS: [f32; TEXT_FIELDS.len()] = [1.0, 0.3, 0.0, 1.0, 1.0];
/// BM25's `k1`, and how much the length of a field counts, `b`.
const SATURATION: f32 = 1.2;
const LENGTH_SHARE: f32 = 0.75;

/// A document that may answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scored {
    pub segment: usize,
    pub doc: u32,
    /// Position among the live files.
    pub file: u32,
    pub parts: [f32; TEXT_FIELDS.len()],
    pub exact: f32,
    /// The cosine of its angle to the question; 0 where it has no vector or the question none.
    pub cosine: f32,
    /// What it is ranked by, before the rules.
    pub points: f32,
    /// Whether a whole word of the query, or one of its stem, stands in its name.
    pub may_be_named: bool,
}

impl Scored {
    pub fn new(segment: usize, doc: u32, live: &Live) -> Scored {
        Scored {
            segment,
            doc,
            file: live.files_of_documents[segment][doc as usize],
            parts: [0.0; TEXT_FIELDS.len()],
            exact: 0.0,
            cosine: 0.0,
            points: 0.0,
            may_be_named: false,
        }
    }
}

/// What is looked for as one: the words of a stem.
pub(super) struct Group {
    /// The word as it is asked for, lower-cased.
    word: String,
    stem: String,
    /// Whether it is a word of the query, and not only a part of one.
    is_whole: bool,
}

impl Group {
    pub fn of_query(query: &SearchQuery) -> Vec<Group> {
        let (mut code, mut prose) = (tokens::code(), tokens::prose());
        let mut groups: Vec<Group> = Vec::new();
        for asked in &query.words {
            for word in tokens::words(&mut code, asked) {
                let stem = tokens::words(&mut prose, &word).swap_remove(0);
                let is_whole = word == asked.to_lowercase();
                match groups.iter_mut().find(|it| it.stem == stem) {
                    Some(group) => group.is_whole |= is_whole,
                    None => groups.push(Group { word, stem, is_whole }),
                }
            }
        }
        groups
    }

    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// Returns the words of the stem that a field has; besides the word itself those alone that look like English.
    ///
    /// - `known`: which words are of the stem, as found out in other fields and segments.
    fn forms(
        &self,
        segment: &Segment<'_>,
        field: usize,
        prose: &mut TextAnalyzer,
        known: &mut HashMap<Vec<u8>, bool>,
    ) -> Result<Vec<String>, IndexError> {
        if field == DOC {
            return Ok(vec![self.stem.clone()]);
        }
        let mut forms = vec![self.word.clone()];
        let prefix = self.stem.strip_suffix(['e', 'i']).unwrap_or(&self.stem);
        if prefix.len() >= PREFIX_BYTES_MIN && is_english(self.word.as_bytes()) {
            let longest = self.stem.len() + ENDING_BYTES_MAX;
            segment.each_word_from(field, prefix, |word| {
                if word.len() > longest || !is_english(word) || word == self.word.as_bytes() {
                    return;
                }
                let is_form = known.get(word).copied().unwrap_or_else(|| {
                    let text = String::from_utf8_lossy(word);
                    let is_form = tokens::words(prose, &text).first() == Some(&self.stem);
                    known.insert(word.to_vec(), is_form);
                    is_form
                });
                if is_form {
                    forms.push(String::from_utf8_lossy(word).into_owned());
                }
            })?;
        }
        Ok(forms)
    }
}

/// Shorter beginnings of words have too many words.
const PREFIX_BYTES_MIN: usize = 2;
/// Longest ending of a word after its stem.
const ENDING_BYTES_MAX: usize = 8;

fn is_english(word: &[u8]) -> bool {
    word.iter().all(u8::is_ascii_lowercase)
}

/// Scores every live document that has a word of the query; returns them, and the words that they were found by.
pub(super) fn by_words(
    segments: &[Segment<'_>],
    live: &Live,
    groups: &[Group],
) -> Result<(Vec<Scored>, HashSet<String>), IndexError> {
    let mut all: Vec<Vec<[f32; TEXT_FIELDS.len()]>> = segments
        .iter()
        .map(|it| vec![[0.0; TEXT_FIELDS.len()]; it.n_documents() as usize])
        .collect();
    let mut counts: Vec<Vec<f32>> =
        segments.iter().map(|it| vec![0.0; it.n_documents() as usize]).collect();
    let mut may_be_named: Vec<Vec<bool>> =
        segments.iter().map(|it| vec![false; it.n_documents() as usize]).collect();
    let (mut words, mut prose) = (HashSet::new(), tokens::prose());
    for group in groups {
        let mut known = HashMap::new();
        for (field, weight) in WEIGHTS.into_iter().enumerate().filter(|(_, it)| *it > 0.0) {
            let mut touched = Vec::new();
            for (idx, segment) in segments.iter().enumerate() {
                let files = &live.files_of_documents[idx];
                for form in group.forms(segment, field, &mut prose, &mut known)? {
                    segment.each_document(field, &form, |doc, n_times| {
                        let count = &mut counts[idx][doc as usize];
                        if files[doc as usize] != NOT_LIVE {
                            if *count == 0.0 {
                                touched.push((idx, doc));
                            }
                            *count += n_times as f32;
                        }
                    })?;
                    words.insert(form);
                }
            }
            let (n, n_with) = (live.n_documents as f32, touched.len() as f32);
            let rarity = (1.0 + (n - n_with + 0.5) / (n_with + 0.5)).ln();
            for (idx, doc) in touched {
                may_be_named[idx][doc as usize] |= field == NAME && group.is_whole;
                let count = std::mem::take(&mut counts[idx][doc as usize]);
                let length = segments[idx].lengths[field].fieldnorm(doc) as f32;
                let norm = 1.0 - LENGTH_SHARE + LENGTH_SHARE * length / live.mean_lengths[field];
                all[idx][doc as usize][field] +=
                    weight * rarity * count * (SATURATION + 1.0) / (count + SATURATION * norm);
            }
        }
    }
    let mut scored = Vec::new();
    for (segment, all) in all.into_iter().enumerate() {
        for (doc, parts) in (0..).zip(all).filter(|(_, parts)| parts.iter().any(|it| *it > 0.0)) {
            let points = parts.iter().sum();
            let may_be_named = may_be_named[segment][doc as usize];
            scored.push(Scored { parts, points, may_be_named, ..Scored::new(segment, doc, live) });
        }
    }
    Ok((scored, words))
}
