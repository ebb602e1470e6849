//! Which known texts stand in a content, and what of them is missing or added.
//!
//! Runs of four words give places in known texts; places that follow each other make a chain; a chain is aligned word
//! by word. Every step has a bound in the number of words, so that no text takes long.

use std::ops::Range;

use super::{
    index::{Doc, Index},
    layout::{BEGINS, ENDS, GAPS, GRAM_WORDS, SOFT},
};

/// Places in known texts that are followed in one content, at most.
const HITS_MAX: usize = 1_000_000;
/// Words by which two neighbouring places may disagree.
const SLACK_WORDS: usize = 60;
/// Words without a place after which a chain is over.
const SILENCE_WORDS: usize = 400;
/// Chains that are kept.
const CHAINS_MAX: usize = 20_000;
/// Chains per text that are open at once.
const OPEN_MAX: usize = 3;
/// Chains that are aligned, per stretch of words that they share.
const RIVALS_MAX: usize = 48;
/// Words aligned in one content, at most.
pub(crate) const STEPS_MAX: usize = 2_000_000;
/// Words that the last step may take beyond that.
#[cfg(test)]
pub(crate) const STEP_MAX: usize = 4_000;
/// Words that may be missing and added at one place before the alignment ends there.
const RESYNC_WORDS: usize = 40;
/// Words that no name, year or project brings: where they stand in a replaceable part, the licence says something else.
pub(crate) const RESTRICTING: [&str; 26] = [
    "not",
    "non",
    "noncommercial",
    "commercial",
    "only",
    "must",
    "fee",
    "fees",
    "pay",
    "payment",
    "prohibited",
    "forbidden",
    "except",
    "unless",
    "military",
    "royalty",
    "academic",
    "additionally",
    "notwithstanding",
    "however",
    "restricted",
    "evaluation",
    "personal",
    "nobody",
    "never",
    "solely",
];
/// What a gap costs by itself, in words.
const GAP_COST: usize = 4;
/// Ends of parts that are tried when a part is left out.
const ENDS_MAX: usize = 8;
/// Words up to which a gap in a part that may be left out is a change of it.
const PART_WORDS: usize = 20;
/// Words of a gap that count when texts are compared.
const GAP_WORDS: usize = 12;
/// Deviations kept per text.
const DEVIATIONS_MAX: usize = 64;

/// Places of one text that follow each other.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    doc_idx: usize,
    first: (usize, usize),
    last: (usize, usize),
    anchors: Vec<(u32, u32)>,
}

/// Words of the text that are missing, and words of the content that stand instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    /// Words of the content.
    pub(crate) added: Range<usize>,
    /// Words of the known text.
    pub(crate) missing: Vec<u16>,
}

/// A known text laid beside a content.
#[derive(Clone)]
pub(crate) struct Alignment {
    pub(crate) doc_idx: usize,
    pub(crate) doc: Doc,
    /// Words of the content.
    pub(crate) words: Range<usize>,
    pub(crate) n_matched: usize,
    /// Words matched of those that need not be there.
    pub(crate) n_soft: usize,
    pub(crate) n_missing: usize,
    pub(crate) n_added: usize,
    pub(crate) gaps: Vec<Gap>,
    /// Words of the content that are words of the text; in no order.
    pub(crate) runs: Vec<Range<usize>>,
}

impl Alignment {
    /// Share of the text's fixed words that are there.
    pub(crate) fn coverage(&self) -> f64 {
        self.n_matched as f64 / self.doc.n_hard.max(1) as f64
    }

    pub(crate) fn score(&self) -> i64 {
        // Many small gaps tell of another text; one large gap tells of a part that was left out.
        let cost = |gap: &Gap| {
            GAP_COST + gap.missing.len().min(GAP_WORDS) + gap.added.len().min(GAP_WORDS)
        };
        let gaps: usize = self.gaps.iter().map(cost).sum();
        (8 * (self.n_matched + self.n_soft)) as i64 - (8 * gaps) as i64 - 6 * self.n_missing as i64
    }
}

/// Returns the chains of known texts in a content, longest first.
pub(crate) fn chains(index: Index, words: &[u16]) -> Vec<Chain> {
    let postings_max = (HITS_MAX / words.len().max(1)).clamp(8, 255);
    let mut open: Vec<Vec<Chain>> = vec![Vec::new(); index.n_docs()];
    let mut closed = Vec::new();
    for (at, gram) in words.windows(GRAM_WORDS).enumerate() {
        if gram.contains(&0) {
            continue;
        }
        for (doc_idx, place) in index.postings(gram).take(postings_max) {
            follow(&mut open[doc_idx], doc_idx, at, place, &mut closed);
        }
    }
    closed.extend(open.into_iter().flatten());
    closed.retain(|chain| is_worth_aligning(index, chain));
    closed
        .sort_by_key(|chain| (std::cmp::Reverse(chain.weight(index)), chain.first, chain.doc_idx));
    closed
}

fn follow(open: &mut Vec<Chain>, doc_idx: usize, at: usize, place: usize, closed: &mut Vec<Chain>) {
    let drift = |chain: &Chain| {
        let (q, d) = chain.last;
        let goes_on = place > d && at > q && at - q <= SILENCE_WORDS + GAPS[2];
        let drift = (at as i64 - q as i64 - (place as i64 - d as i64)).unsigned_abs() as usize;
        (goes_on && drift <= SLACK_WORDS).then_some(drift)
    };
    let best = open.iter().enumerate().filter_map(|(idx, chain)| Some((drift(chain)?, idx))).min();
    if let Some((_, idx)) = best {
        open[idx].last = (at, place);
        open[idx].anchors.push((at as u32, place as u32));
        return;
    }
    if open.len() == OPEN_MAX {
        let idx = (0..OPEN_MAX)
            .min_by_key(|idx| (open[*idx].anchors.len(), open[*idx].last))
            .unwrap_or(0);
        closed.push(open.swap_remove(idx));
        if closed.len() >= CHAINS_MAX {
            // The longer half stays.
            closed.sort_by_key(|chain| std::cmp::Reverse(chain.anchors.len()));
            closed.truncate(CHAINS_MAX / 2);
        }
    }
    let anchors = vec![(at as u32, place as u32)];
    open.push(Chain { doc_idx, first: (at, place), last: (at, place), anchors });
}

impl Chain {
    /// About how many words of the text are there.
    fn weight(&self, index: Index) -> usize {
        let sampled = index.doc(self.doc_idx).tokens.len() > 500;
        self.anchors.len() * if sampled { 4 } else { 1 }
    }

    fn words(&self) -> Range<usize> {
        self.first.0..self.last.0 + GRAM_WORDS
    }
}

fn is_worth_aligning(index: Index, chain: &Chain) -> bool {
    let doc = index.doc(chain.doc_idx);
    let weight = chain.weight(index) + 2;
    weight >= 4 && weight * 6 >= doc.n_hard || weight >= 40
}

/// Lays the texts of chains beside the content; rivals for the same words are aligned as long as they may win.
pub(crate) fn align_all(
    index: Index,
    words: &[u16],
    chains: &[Chain],
    steps: &mut usize,
) -> Vec<Alignment> {
    let restricting = RESTRICTING.map(|word| index.word_id(word.as_bytes()));
    let mut rivals: Vec<(Range<usize>, usize, usize)> = Vec::new();
    let mut found = Vec::new();
    for chain in chains {
        let span = chain.words();
        let weight = chain.weight(index);
        let mid = (span.start + span.end) / 2;
        let n_rivals = rivals.len();
        match rivals.iter_mut().find(|(range, ..)| range.contains(&mid)) {
            Some((_, best, n)) if *n >= RIVALS_MAX || weight * 3 < *best => continue,
            Some((_, _, n)) => *n += 1,
            None if n_rivals < 512 => rivals.push((span.clone(), weight, 1)),
            None => continue,
        }
        if *steps > STEPS_MAX {
            break;
        }
        found.push(align(index, words, &restricting, chain, steps));
    }
    found
}

struct Aligner<'w> {
    words: &'w [u16],
    restricting: &'w [u16],
    doc: Doc,
    n_matched: usize,
    n_soft: usize,
    n_missing: usize,
    n_added: usize,
    gaps: Vec<Gap>,
    runs: Vec<Range<usize>>,
    /// From the first word that must be there to the last.
    hard: Range<usize>,
}

fn align(
    index: Index,
    words: &[u16],
    restricting: &[u16],
    chain: &Chain,
    steps: &mut usize,
) -> Alignment {
    let doc = index.doc(chain.doc_idx);
    let mut aligner = Aligner {
        words,
        restricting,
        doc,
        n_matched: 0,
        n_soft: 0,
        n_missing: 0,
        n_added: 0,
        gaps: Vec::new(),
        runs: Vec::new(),
        hard: hard_range(doc),
    };
    let start = aligner.back(chain.first, steps);
    let end = aligner.forth(chain, steps);
    Alignment {
        doc_idx: chain.doc_idx,
        doc,
        words: start..end,
        n_matched: aligner.n_matched,
        n_soft: aligner.n_soft,
        n_missing: aligner.n_missing,
        n_added: aligner.n_added,
        gaps: aligner.gaps,
        runs: aligner.runs,
    }
}

fn hard_range(doc: Doc) -> Range<usize> {
    let is_hard = |at: &usize| doc.tokens.get(*at) & SOFT == 0;
    let first = (0..doc.tokens.len()).find(is_hard).unwrap_or(0);
    first..(first..doc.tokens.len()).rfind(is_hard).map_or(first, |last| last + 1)
}

impl Aligner<'_> {
    fn token(&self, at: usize) -> (u16, bool, usize) {
        let token = self.doc.tokens.get(at);
        (token as u16, token & SOFT != 0, GAPS[(token >> 17 & 3) as usize])
    }

    fn restricts(&self, added: &Range<usize>) -> bool {
        self.words[added.clone()].iter().any(|word| *word != 0 && self.restricting.contains(word))
    }

    fn count(&mut self, q: usize, d: usize) {
        match self.runs.last_mut() {
            Some(run) if run.end == q => run.end += 1,
            Some(run) if run.start == q + 1 => run.start = q,
            _ => self.runs.push(q..q + 1),
        }
        let (n, n_soft) = if self.token(d).1 { (0, 1) } else { (1, 0) };
        self.n_matched += n;
        self.n_soft += n_soft;
    }

    fn same(&self, q: usize, d: usize) -> bool {
        self.words.get(q).is_some_and(|word| *word == self.token(d).0)
    }

    /// Goes on from the first anchor to the end of the text, or of what can be followed.
    fn forth(&mut self, chain: &Chain, steps: &mut usize) -> usize {
        let (mut q, mut d) = chain.first;
        let mut end = q;
        let n_doc = self.doc.tokens.len();
        while d < n_doc && *steps <= STEPS_MAX {
            *steps += 1;
            if self.same(q, d) {
                self.count(q, d);
                q += 1;
                d += 1;
                end = q;
                continue;
            }
            match self.resync(q, d, steps).or_else(|| self.next_anchor(chain, q, d)) {
                Some((to_q, to_d)) => {
                    let is_optional = d >= self.hard.end;
                    self.step_over(q..to_q, d..to_d, is_optional);
                    (q, d) = (to_q, to_d);
                }
                None => break,
            }
        }
        // What the text has after this is missing.
        self.lost(d..n_doc, end);
        end
    }

    fn lost(&mut self, places: Range<usize>, at: usize) {
        let missing: Vec<u16> = places
            .map(|d| self.token(d))
            .filter(|(_, soft, _)| !soft)
            .map(|(word, ..)| word)
            .collect();
        if !missing.is_empty() {
            self.n_missing += missing.len();
            if self.gaps.len() < DEVIATIONS_MAX {
                self.gaps.push(Gap { added: at..at, missing });
            }
        }
    }

    /// Counts what stands between two places that belong together.
    ///
    /// A part that may be left out is left out whole: a few words of it are missing like any others.
    fn step_over(&mut self, added: Range<usize>, passed: Range<usize>, is_optional: bool) {
        let token = |d: usize| self.doc.tokens.get(d);
        let is_whole = !passed.is_empty()
            && token(passed.start) & BEGINS != 0
            && token(passed.end - 1) & ENDS != 0;
        if is_whole && added.is_empty() {
            return;
        }
        let is_small = passed.len() <= PART_WORDS && added.len() <= PART_WORDS;
        if is_optional && !is_small && !self.restricts(&added) {
            return;
        }
        let free = passed
            .clone()
            .chain([passed.end])
            .map(|d| if d < self.doc.tokens.len() { self.token(d).2 } else { 0 });
        let free = free.max().unwrap_or(0);
        let missing: Vec<u16> = passed
            .map(|d| self.token(d))
            .filter(|(_, soft, gap)| !soft || is_optional && *gap == 0)
            .map(|(word, ..)| word)
            .collect();
        let is_free = added.len() <= free && !self.restricts(&added);
        let n_added = if is_free { 0 } else { added.len() };
        if n_added == 0 && missing.is_empty() {
            return;
        }
        self.n_missing += missing.len();
        self.n_added += n_added;
        if self.gaps.len() < DEVIATIONS_MAX {
            let added = if n_added == 0 { added.start..added.start } else { added };
            self.gaps.push(Gap { added, missing });
        }
    }

    /// Finds where text and content agree again: the fewest words passed over, parts without meaning for nothing.
    fn resync(&self, q: usize, d: usize, steps: &mut usize) -> Option<(usize, usize)> {
        let n_doc = self.doc.tokens.len();
        // A part that may be left out and is.
        if self.doc.tokens.get(d) & BEGINS != 0 {
            let ends = (d..n_doc).filter(|at| self.doc.tokens.get(*at) & ENDS != 0).take(ENDS_MAX);
            for end in ends {
                *steps += 1;
                if end + 1 < n_doc && self.agree(q, end + 1, 2) {
                    return Some((q, end + 1));
                }
            }
        }
        // Soft words and gaps right here cost nothing.
        let mut hard = d;
        let mut free = self.token(d).2;
        while hard < n_doc && self.token(hard).1 {
            hard += 1;
            if hard < n_doc {
                free = free.max(self.token(hard).2);
            }
        }
        if hard < n_doc && (free > 0 || hard > d) {
            for to_q in q..=(q + free).min(self.words.len()) {
                *steps += 1;
                if self.agree(to_q, hard, 2) {
                    return Some((to_q, hard));
                }
            }
        }
        for cost in 1..=RESYNC_WORDS {
            for n_added in 0..=cost {
                *steps += 1;
                let (to_q, to_d) = (q + n_added, d + cost - n_added);
                let run = if cost < 4 { 2 } else { 3 };
                if to_d < n_doc && self.agree(to_q, to_d, run) {
                    return Some((to_q, to_d));
                }
            }
        }
        None
    }

    /// Tells whether at least `n` words agree from here, or all to the end of the text.
    fn agree(&self, q: usize, d: usize, n: usize) -> bool {
        (0..n).all(|idx| d + idx >= self.doc.tokens.len() || self.same(q + idx, d + idx))
    }

    fn next_anchor(&self, chain: &Chain, q: usize, d: usize) -> Option<(usize, usize)> {
        let next = chain.anchors.partition_point(|(at, _)| (*at as usize) <= q);
        let later = chain.anchors[next..].iter().map(|(q, d)| (*q as usize, *d as usize));
        later.take(64).find(|(_, place)| *place >= d)
    }

    /// Goes back from the first anchor to the beginning of the text.
    fn back(&mut self, (mut q, mut d): (usize, usize), steps: &mut usize) -> usize {
        let mut start = q;
        while d > 0 && *steps <= STEPS_MAX {
            *steps += 1;
            if q > 0 && self.same(q - 1, d - 1) {
                (q, d) = (q - 1, d - 1);
                self.count(q, d);
                start = q;
                continue;
            }
            let Some((to_q, to_d)) = self.resync_back(q, d, steps) else { break };
            let is_optional = d <= self.hard.start;
            self.step_over(to_q..q, to_d..d, is_optional);
            (q, d) = (to_q, to_d);
        }
        self.lost(0..d, start);
        start
    }

    fn resync_back(&self, q: usize, d: usize, steps: &mut usize) -> Option<(usize, usize)> {
        let agree = |q: usize, d: usize, n: usize| {
            (1..=n).all(|idx| d < idx || (q >= idx && self.same(q - idx, d - idx)))
        };
        let mut hard = d;
        let mut free = if d < self.doc.tokens.len() { self.token(d).2 } else { 0 };
        while hard > 0 && self.token(hard - 1).1 {
            hard -= 1;
            free = free.max(self.token(hard).2);
        }
        if hard > 0 && (free > 0 || hard < d) {
            for n_added in 0..=free.min(q) {
                *steps += 1;
                if agree(q - n_added, hard, 2) {
                    return Some((q - n_added, hard));
                }
            }
        }
        for cost in 1..=RESYNC_WORDS {
            for n_added in 0..=cost.min(q) {
                *steps += 1;
                let n_missing = cost - n_added;
                let run = if cost < 4 { 2 } else { 3 };
                if n_missing < d && agree(q - n_added, d - n_missing, run) {
                    return Some((q - n_added, d - n_missing));
                }
            }
        }
        None
    }
}
