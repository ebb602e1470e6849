//! Licences in a content: tags, full texts, headers and notices, names, and what manifests declare.
//!
//! The words of a content are laid beside the texts of the SPDX list, whose index the build makes: nothing is made at
//! start-up, and the time that a content takes has a bound in its length. What no text accounts for is searched for names.
//!
//! This module judges nothing: which licences may be there is for the policy to say. A text with words added or missing is
//! said to be modified, and is not called by its name alone.

mod align;
mod header;
mod index;
mod layout;
mod manifest;
mod names;
mod stream;
mod tag;
mod words;

use std::{collections::BTreeSet, ops::Range};

use carnet_core::license_family;

use align::Alignment;
pub use header::{HeaderError, LicenceHeader, with_licence_header};
use index::Index;
pub use manifest::Unknown;
pub use stream::LicenceReader;

/// A text of more fixed words than this stands alone: licences that it names are not the content's.
const LONG_WORDS: usize = 400;

/// Words around a text that are looked at for further conditions.
const AROUND_WORDS: usize = 120;

/// Families that put a work into the public domain: the words beside their name are no licence of their own.
const GIVEN_UP: [&str; 4] = ["CC0", "PDDL", "Unlicense", "WTFPL"];

/// How a licence is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LicenceKind {
    /// `SPDX-License-Identifier:` in a comment.
    Tag,
    /// The full text.
    Text,
    /// The header that a licence recommends.
    Header,
    /// A sentence or a field that puts something under the licence.
    Notice,
    /// The declaration of a manifest.
    Manifest,
    /// The licence is spoken of, and nothing is put under it.
    Mention,
}

/// One licence met in one content.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// SPDX expression.
    pub expression: String,
    /// How it is told.
    pub kind: LicenceKind,
    /// Bytes of the content.
    pub span: Range<usize>,
    /// Share of the known text that is there, 0 to 1.
    pub coverage: f64,
    /// Words added to the known text or missing from it.
    pub deviations: Vec<Deviation>,
}

impl Detection {
    /// Tells whether the text is a known one with other words: neither that licence nor another known one.
    pub fn is_modified(&self) -> bool {
        self.kind == LicenceKind::Text && !self.deviations.is_empty()
    }
}

/// A place where a content departs from a known text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deviation {
    /// Where, in bytes.
    pub at: usize,
    /// Words that the known text does not have.
    pub added: String,
    /// Words of the known text that are not there.
    pub missing: String,
}

/// The words of a content.
struct Words {
    ids: Vec<u16>,
    spans: Vec<(u32, u32)>,
}

impl Words {
    fn of(index: Index, bytes: &[u8]) -> Words {
        let (mut ids, mut spans) = (Vec::new(), Vec::new());
        words::for_each_word(bytes, |word, start, end| {
            ids.push(if word.is_empty() { 0 } else { index.word_id(word) });
            spans.push((start as u32, end as u32));
        });
        Words { ids, spans }
    }

    fn bytes(&self, words: &Range<usize>) -> Range<usize> {
        let last = words.end.max(words.start + 1) - 1;
        match (self.spans.get(words.start), self.spans.get(last)) {
            (Some((start, _)), Some((_, end))) => *start as usize..*end as usize,
            _ => 0..0,
        }
    }
}

/// What a content says of licences.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Licences {
    /// What is told, in order of place.
    pub detections: Vec<Detection>,
    /// What a manifest leaves open.
    pub unknown: Vec<Unknown>,
}

/// Finds the licences of a content.
///
/// - `path`: by its last part manifests are known; their declarations count there, and names in them do not.
/// - Any bytes are fine. Time grows with the length, and has a bound for each length.
pub fn licences(path: &[u8], bytes: &[u8]) -> Licences {
    if bytes.len() <= stream::WINDOW_BYTES {
        return whole(path, bytes);
    }
    let mut reader = LicenceReader::new(path);
    reader.push(bytes);
    reader.finish()
}

/// Finds the licences of a content of at most one window.
fn whole(path: &[u8], bytes: &[u8]) -> Licences {
    match manifest::declared(name(path), bytes) {
        None => Licences { detections: detections(bytes, true), unknown: Vec::new() },
        Some(declared) => {
            let mut detections = detections(bytes, false);
            detections.extend(declared.detections);
            detections.sort_by_key(|met| (met.span.start, met.span.end, met.kind));
            Licences { detections, unknown: declared.unknown }
        }
    }
}

/// The last part of a path.
fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Finds tags and texts, and names where they count.
fn detections(bytes: &[u8], names_count: bool) -> Vec<Detection> {
    let index = Index::built_in();
    let words = Words::of(index, bytes);
    let mut found: Vec<(Range<usize>, Detection)> = Vec::new();
    let mut claimed = Vec::new();
    let mut chosen = chosen(index, texts(index, &words));
    add_conditions(index, &words, &mut chosen);
    for text in chosen {
        if !is_exception(text.doc.expression) {
            claimed.extend(claims(&text));
        }
        found.push((text.words.clone(), detection(index, bytes, &words, &text)));
    }
    let tags = tag::tags(bytes, &words);
    claimed.extend(tags.iter().map(|(range, _)| range.clone()));
    found.extend(tags);
    claimed.sort_by_key(|range| range.start);
    let named = if names_count { names::names(index, bytes, &words, &claimed) } else { Vec::new() };
    let told = found.iter().map(|(_, met)| &met.expression);
    let firm =
        named.iter().filter(|named| !named.is_loose).map(|named| &named.detection.expression);
    let firm: BTreeSet<String> =
        told.chain(firm).map(|expression| license_family(expression).to_owned()).collect();
    let gives_up = found
        .iter()
        .map(|(_, met)| met)
        .chain(named.iter().map(|named| &named.detection))
        .any(|met| GIVEN_UP.contains(&license_family(&met.expression)));
    let adds = |named: &names::Named| {
        let expression = named.detection.expression.as_str();
        let is_repeated = named.is_loose && is_said(&firm, license_family(expression));
        let is_given_up = gives_up && expression == "LicenseRef-public-domain";
        !is_repeated && !is_given_up
    };
    let named = named.into_iter().filter(adds);
    found.extend(named.map(|named| (named.words, named.detection)));
    found.sort_by_key(|(range, detection)| (range.start, range.end, detection.kind));
    attach_exceptions(&mut found);
    found.into_iter().map(|(_, detection)| detection).collect()
}

/// Where texts make up most of a content, sentences around them that restrict are part of what is granted.
fn add_conditions(index: Index, words: &Words, texts: &mut [Alignment]) {
    let n_claimed: usize = texts.iter().map(|text| text.words.len()).sum();
    if n_claimed * 2 < words.ids.len() {
        return;
    }
    let restricting = align::RESTRICTING.map(|word| index.word_id(word.as_bytes()));
    let spans: Vec<Range<usize>> = texts.iter().map(|text| text.words.clone()).collect();
    for text in texts.iter_mut().filter(|text| text.doc.kind == 0) {
        let (start, end) = (text.words.start, text.words.end);
        let from = spans.iter().map(|span| span.end).filter(|at| *at <= start).max().unwrap_or(0);
        let to = spans
            .iter()
            .map(|span| span.start)
            .filter(|at| *at >= end)
            .min()
            .unwrap_or(words.ids.len());
        for around in
            [from.max(start.saturating_sub(AROUND_WORDS))..start, end..to.min(end + AROUND_WORDS)]
        {
            if words.ids[around.clone()].iter().any(|word| *word != 0 && restricting.contains(word))
            {
                text.n_added += around.len();
                text.gaps.push(align::Gap { added: around, missing: Vec::new() });
            }
        }
    }
}

/// Tells whether a name without a version adds nothing to what is known for sure.
fn is_said(firm: &BTreeSet<String>, family: &str) -> bool {
    let gnu = ["LGPL", "AGPL", "GFDL"];
    firm.contains(family) || family == "GPL" && gnu.iter().any(|other| firm.contains(*other))
}

/// Words that a text accounts for: its runs, and what is only a few words between them.
fn claims(text: &Alignment) -> Vec<Range<usize>> {
    if text.doc.n_hard > LONG_WORDS {
        return vec![text.words.clone()];
    }
    let mut runs = text.runs.clone();
    runs.sort_by_key(|run| run.start);
    let mut claims: Vec<Range<usize>> = Vec::new();
    for run in runs {
        match claims.last_mut() {
            Some(last) if run.start <= last.end + 2 => last.end = last.end.max(run.end),
            _ => claims.push(run),
        }
    }
    claims
}

/// An exception belongs to the nearest licence that can have one.
fn attach_exceptions(found: &mut Vec<(Range<usize>, Detection)>) {
    let mut idx = 0;
    while idx < found.len() {
        let id = found[idx].1.expression.clone();
        if !is_exception(&id) {
            idx += 1;
            continue;
        }
        let at = found[idx].0.start;
        let is_base = |expression: &str| match id.as_str() {
            "LLVM-exception" => expression == "Apache-2.0",
            _ => {
                ["GPL-", "LGPL-", "AGPL-"].iter().any(|family| expression.starts_with(family))
                    && !expression.contains(' ')
            }
        };
        let bases = found.iter().enumerate().filter(|(_, (_, met))| is_base(&met.expression));
        match bases.min_by_key(|(_, (range, _))| range.start.abs_diff(at)).map(|(idx, _)| idx) {
            Some(base) => {
                let (_, exception) = found.remove(idx);
                let base = if base > idx { base - 1 } else { base };
                let met = &mut found[base].1;
                met.expression = format!("{} WITH {id}", met.expression);
                met.deviations.extend(exception.deviations);
            }
            None if found.iter().any(|(_, met)| met.expression.contains(&format!("WITH {id}"))) => {
                drop(found.remove(idx))
            }
            None => {
                found[idx].1.expression = format!("LicenseRef-unstated WITH {id}");
                idx += 1;
            }
        }
    }
}

fn is_exception(id: &str) -> bool {
    spdx::exception_id(id).is_some()
}

fn texts(index: Index, words: &Words) -> Vec<Alignment> {
    let chains = align::chains(index, &words.ids);
    align::align_all(index, &words.ids, &chains, &mut 0)
}

/// Of alignments that share words the best ones.
fn chosen(index: Index, mut texts: Vec<Alignment>) -> Vec<Alignment> {
    texts.retain(|text| is_enough(text) && !is_another_header(index, text));
    texts.sort_by_cached_key(|text| (std::cmp::Reverse(text.score()), text.doc_idx));
    let mut chosen: Vec<Alignment> = Vec::new();
    for text in texts {
        let shared: usize = chosen.iter().map(|other| shared(&other.words, &text.words)).sum();
        if shared * 4 < text.words.len() {
            chosen.push(text);
        }
    }
    chosen
}

fn shared(a: &Range<usize>, b: &Range<usize>) -> usize {
    a.end.min(b.end).saturating_sub(a.start.max(b.start))
}

/// Words that make a header another licence's.
const TELLING: &[&str] = &[
    "bsd",
    "mit",
    "apache",
    "mozilla",
    "mpl",
    "netscape",
    "npl",
    "eclipse",
    "sun",
    "spl",
    "academic",
    "open",
    "osl",
    "common",
    "cpl",
    "cddl",
    "lucent",
    "ibm",
    "gnu",
    "lesser",
    "library",
    "affero",
    "apple",
    "sugarcrm",
    "zimbra",
    "artistic",
    "reciprocal",
    "educational",
    "0",
    "1",
    "2",
    "3",
    "4",
];

/// Headers of many licences are alike: the words that tell them apart must be there.
fn is_another_header(index: Index, text: &Alignment) -> bool {
    let is_header = text.doc.kind == 1 || text.doc.kind == 2;
    is_header
        && text
            .gaps
            .iter()
            .flat_map(|gap| &gap.missing)
            .any(|word| TELLING.contains(&index.word(*word)))
}

fn is_enough(text: &Alignment) -> bool {
    let coverage = text.coverage();
    // Little of a text, and that in pieces, is some other text.
    if coverage < 0.8 && text.gaps.len() > 1 {
        return false;
    }
    let added = text.n_added as f64 / (text.n_matched.max(1)) as f64;
    if text.doc.kind == 1 || text.doc.kind == 2 {
        return coverage >= 0.8 && added < 0.3;
    }
    match text.doc.n_hard {
        0..=20 => coverage >= 0.9 && added < 0.1,
        21..=60 => coverage >= 0.8 && added < 0.3,
        61..=200 => coverage >= 0.5 && added < 0.5,
        _ => coverage >= 0.5 && added < 0.6,
    }
}

fn detection(index: Index, bytes: &[u8], words: &Words, text: &Alignment) -> Detection {
    let spell = |range: &Range<usize>| {
        let span = words.bytes(range);
        String::from_utf8_lossy(&bytes[span]).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let deviations = text.gaps.iter().map(|gap| Deviation {
        at: words.bytes(&gap.added).start,
        added: if gap.added.is_empty() { String::new() } else { spell(&gap.added) },
        missing: gap.missing.iter().map(|word| index.word(*word)).collect::<Vec<_>>().join(" "),
    });
    Detection {
        expression: carnet_core::current_license(text.doc.expression).to_owned(),
        kind: match text.doc.kind {
            1 => LicenceKind::Header,
            2 => LicenceKind::Notice,
            _ => LicenceKind::Text,
        },
        span: words.bytes(&text.words),
        coverage: text.coverage(),
        deviations: deviations.collect(),
    }
}

#[cfg(test)]
mod tests;
