//! One automaton over the keywords of all rules.
//!
//! It is made once from the stems and is then a table and nothing else, so the build script can make the one
//! of the built-in rules and the program only has to look at it: no construction, and only the pages that a
//! scan touches are ever read.
//!
//! Invariants: a hit is reported for every stem at every place, in any ASCII case, in order of its end; rows of
//! the table are named by their byte offset, and rows with hits come last.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    ops::Range,
};

/// Bytes of one transition.
const CELL: usize = 4;
/// Places of a text that are read at once, and most bytes from one to the next.
const LANES: usize = 4;
const LANE_BYTES: usize = 4 << 10;
/// A lane is so much longer than what is read before it.
const WORTH_IT: usize = 4;

/// Finds all keywords of a rule set, and knows which rules wait for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeywordSearch {
    /// For each byte, the offset of its column within a row.
    pub(crate) columns: Vec<u32>,
    /// Rows of little-endian offsets of the next row.
    pub(crate) table: Cow<'static, [u8]>,
    /// Offset of the first row with hits.
    pub(crate) hits_from: u32,
    /// Bytes of a row.
    pub(crate) row_bytes: u32,
    /// For each row with hits, the keywords that end there.
    pub(crate) ends: Lists,
    /// Length of each keyword in bytes.
    pub(crate) lens: Vec<u32>,
    /// For each keyword, the rules that wait for it.
    pub(crate) waiting: Lists,
}

/// Lists of numbers, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Lists {
    /// Where each list ends in `items`.
    pub(crate) bounds: Vec<u32>,
    pub(crate) items: Vec<u32>,
}

/// A keyword found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeywordHit {
    keyword: KeywordIdx,
    range: Range<usize>,
}

/// Position of a keyword in its automaton.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeywordIdx(u32);

/// A state while the automaton is built.
#[derive(Default)]
struct Node {
    next: BTreeMap<u8, usize>,
    keywords: Vec<u32>,
    fallback: usize,
}

impl Lists {
    fn push(&mut self, list: impl IntoIterator<Item = u32>) {
        self.items.extend(list);
        self.bounds.push(self.items.len() as u32);
    }

    fn get(&self, idx: usize) -> &[u32] {
        let start = idx.checked_sub(1).map_or(0, |before| self.bounds[before] as usize);
        &self.items[start..self.bounds[idx] as usize]
    }
}

impl KeywordIdx {
    /// Returns the position as a number.
    pub(crate) fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl KeywordHit {
    /// Returns which keyword it is.
    pub(crate) fn pattern(&self) -> KeywordIdx {
        self.keyword
    }

    /// Returns where it lies.
    pub(crate) fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}

impl KeywordSearch {
    /// Makes the automaton of `stems`: lowercase texts that are not empty, each with a rule that waits for it.
    pub(crate) fn new(mut stems: Vec<(&str, u32)>) -> KeywordSearch {
        stems.sort_unstable();
        stems.dedup();
        let mut nodes = vec![Node::default()];
        let (mut lens, mut waiting) = (Vec::new(), Lists::default());
        for group in stems.chunk_by(|a, b| a.0 == b.0) {
            let end = insert(&mut nodes, group[0].0.as_bytes());
            nodes[end].keywords.push(lens.len() as u32);
            lens.push(group[0].0.len() as u32);
            waiting.push(group.iter().map(|(_, rule_idx)| *rule_idx));
        }
        let order = link(&mut nodes);
        lay_out(&nodes, &order, lens, waiting)
    }

    /// Hands every keyword in `bytes` to `visit`, overlapping ones too, in order of their ends.
    ///
    /// Each step of the automaton waits for the one before it, so a text is read in several places at once: its lanes. A
    /// lane begins as far before its first byte as a keyword is long, so that none is cut.
    pub(crate) fn each_hit(&self, bytes: &[u8], visit: &mut impl FnMut(KeywordHit)) {
        let warm_up = self.lens.iter().max().map_or(0, |len| *len as usize);
        let (mut row, mut at) = (0, 0);
        let mut met: [Vec<(u32, u32)>; LANES] = Default::default();
        loop {
            let lane_len = ((bytes.len() - at) / LANES).min(LANE_BYTES);
            if lane_len < warm_up * WORTH_IT {
                break;
            }
            row = self.read_lanes(bytes, at, lane_len, row, warm_up, &mut met);
            for hits in &mut met {
                hits.drain(..).for_each(|(end, row)| self.report(end as usize + at, row, visit));
            }
            at += LANES * lane_len;
        }
        for (idx, byte) in bytes[at..].iter().enumerate() {
            row = self.next_row(row, *byte);
            if row >= self.hits_from {
                self.report(at + idx + 1, row, visit);
            }
        }
    }

    /// Reads the lanes from `at` on, notes the ends (from `at`) and rows of hits, and returns the row of the last lane.
    fn read_lanes(
        &self,
        bytes: &[u8],
        at: usize,
        lane_len: usize,
        row: u32,
        warm_up: usize,
        met: &mut [Vec<(u32, u32)>; LANES],
    ) -> u32 {
        let lane = |idx: usize| &bytes[at + idx * lane_len..][..lane_len];
        let begun = |idx: usize| {
            let begin = at + idx * lane_len;
            bytes[begin - warm_up..begin].iter().fold(0, |row, byte| self.next_row(row, *byte))
        };
        let mut rows = [row, begun(1), begun(2), begun(3)];
        let (first, second, third, fourth) = (lane(0), lane(1), lane(2), lane(3));
        for idx in 0..lane_len {
            rows = [
                self.next_row(rows[0], first[idx]),
                self.next_row(rows[1], second[idx]),
                self.next_row(rows[2], third[idx]),
                self.next_row(rows[3], fourth[idx]),
            ];
            let is_any = rows.iter().fold(false, |is_any, row| is_any | (*row >= self.hits_from));
            if is_any {
                for (lane_idx, row) in rows.iter().enumerate() {
                    if *row >= self.hits_from {
                        met[lane_idx].push(((lane_idx * lane_len + idx + 1) as u32, *row));
                    }
                }
            }
        }
        rows[LANES - 1]
    }

    fn next_row(&self, row: u32, byte: u8) -> u32 {
        let column = self.columns.get(usize::from(byte)).copied().unwrap_or(0);
        let at = (row + column) as usize;
        self.table.get(at..at + CELL).and_then(cell).unwrap_or(0)
    }

    fn report(&self, end: usize, row: u32, visit: &mut impl FnMut(KeywordHit)) {
        for keyword in self.ends.get(((row - self.hits_from) / self.row_bytes) as usize) {
            let start = end - self.lens[*keyword as usize] as usize;
            visit(KeywordHit { keyword: KeywordIdx(*keyword), range: start..end });
        }
    }

    /// Returns the rules that wait for a keyword.
    pub(crate) fn waiting_for(&self, keyword_idx: usize) -> &[u32] {
        self.waiting.get(keyword_idx)
    }

    /// Makes the automaton that was encoded; the table stays where it is.
    ///
    /// Returns `None` when the bytes end too soon.
    pub(crate) fn decode(bytes: &'static [u8]) -> Option<KeywordSearch> {
        let mut rest = bytes;
        let mut numbers = || -> Option<Vec<u32>> {
            let (len, after) = rest.split_first_chunk::<CELL>()?;
            let (cells, after) =
                after.split_at_checked(u32::from_le_bytes(*len) as usize * CELL)?;
            rest = after;
            Some(cells.chunks_exact(CELL).filter_map(cell).collect())
        };
        let columns = numbers()?;
        let [hits_from, row_bytes] = *numbers()? else { return None };
        let ends = Lists { bounds: numbers()?, items: numbers()? };
        let lens = numbers()?;
        let waiting = Lists { bounds: numbers()?, items: numbers()? };
        let table = Cow::Borrowed(rest);
        Some(KeywordSearch { columns, table, hits_from, row_bytes, ends, lens, waiting })
    }
}

fn cell(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// Adds a stem to the trie and returns the node where it ends.
fn insert(nodes: &mut Vec<Node>, stem: &[u8]) -> usize {
    let mut at = 0;
    for byte in stem {
        at = match nodes[at].next.get(byte) {
            Some(next) => *next,
            None => {
                nodes.push(Node::default());
                let next = nodes.len() - 1;
                nodes[at].next.insert(*byte, next);
                next
            }
        };
    }
    at
}

/// Sets where each node falls back to, collects the keywords met there, and returns the nodes by depth.
fn link(nodes: &mut [Node]) -> Vec<usize> {
    let mut order = Vec::with_capacity(nodes.len());
    let mut todo = VecDeque::from([0]);
    while let Some(node) = todo.pop_front() {
        order.push(node);
        for (byte, next) in nodes[node].next.clone() {
            let fallback = if node == 0 { 0 } else { step(nodes, nodes[node].fallback, byte) };
            let shorter = nodes[fallback].keywords.clone();
            nodes[next].fallback = fallback;
            nodes[next].keywords.extend(shorter);
            todo.push_back(next);
        }
    }
    order
}

/// Follows `byte` from `node`, by way of the nodes it falls back to.
fn step(nodes: &[Node], mut node: usize, byte: u8) -> usize {
    loop {
        match nodes[node].next.get(&byte) {
            Some(next) => return *next,
            None if node == 0 => return 0,
            None => node = nodes[node].fallback,
        }
    }
}

/// Writes the nodes as rows, those with keywords last; `order` has each node after its fallback.
fn lay_out(nodes: &[Node], order: &[usize], lens: Vec<u32>, waiting: Lists) -> KeywordSearch {
    let mut letters: Vec<u8> = nodes.iter().flat_map(|node| node.next.keys().copied()).collect();
    letters.sort_unstable();
    letters.dedup();
    let column =
        |byte: u8| letters.binary_search(&byte.to_ascii_lowercase()).map_or(0, |at| at + 1);
    let columns: Vec<u32> = (0..=255).map(|byte| (column(byte) * CELL) as u32).collect();
    let row_len = letters.len() + 1;
    let row_bytes = (row_len * CELL) as u32;
    let (plain, hits): (Vec<usize>, Vec<usize>) =
        order.iter().copied().partition(|node| nodes[*node].keywords.is_empty());
    let mut offsets = vec![0; nodes.len()];
    for (row_idx, node) in plain.iter().chain(&hits).enumerate() {
        offsets[*node] = row_idx as u32 * row_bytes;
    }
    // A node goes where its fallback goes, except along its own edges.
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); nodes.len()];
    for node in order {
        let mut row =
            if *node == 0 { vec![0; row_len] } else { rows[nodes[*node].fallback].clone() };
        for (byte, next) in &nodes[*node].next {
            row[column(*byte)] = offsets[*next];
        }
        rows[*node] = row;
    }
    let mut ends = Lists::default();
    hits.iter().for_each(|node| ends.push(nodes[*node].keywords.iter().copied()));
    let table: Vec<u8> = plain
        .iter()
        .chain(&hits)
        .flat_map(|node| &rows[*node])
        .flat_map(|c| c.to_le_bytes())
        .collect();
    let hits_from = plain.len() as u32 * row_bytes;
    KeywordSearch { columns, table: Cow::Owned(table), hits_from, row_bytes, ends, lens, waiting }
}

#[cfg(test)]
mod tests {
    use aho_corasick::{AhoCorasick, MatchKind};
    use proptest::prelude::*;

    use super::*;
    use crate::rule_encode::encode_keywords;

    /// Compares the automaton, built and read back, with the library's.
    fn check(stems: &[String], text: &[u8]) {
        let built = KeywordSearch::new(stems.iter().map(|stem| (stem.as_str(), 7)).collect());
        let read = KeywordSearch::decode(encode_keywords(&built).leak()).unwrap();
        assert_eq!(built, read);
        let mut distinct = stems.to_vec();
        distinct.sort();
        distinct.dedup();
        let oracle = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(&distinct)
            .unwrap();
        let mut expect: Vec<(usize, usize, usize)> = oracle
            .find_overlapping_iter(text)
            .map(|hit| (hit.end(), hit.start(), hit.pattern().as_usize()))
            .collect();
        let mut hits: Vec<KeywordHit> = vec![];
        read.each_hit(text, &mut |hit| hits.push(hit));
        assert!(hits.is_sorted_by_key(|hit| hit.range().end));
        let mut found: Vec<(usize, usize, usize)> = hits
            .iter()
            .map(|hit| (hit.range().end, hit.range().start, hit.pattern().as_usize()))
            .collect();
        expect.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expect);
        assert!(hits.iter().all(|hit| read.waiting_for(hit.pattern().as_usize()) == [7]));
    }

    proptest! {
        #[test]
        fn hits_are_those_of_the_library(
            stems in prop::collection::vec("[ab_]{1,5}", 1..8), text in "[abAB_ \u{e9}]{0,60}"
        ) {
            check(&stems, text.as_bytes());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn hits_of_long_texts_are_those_of_the_library(
            stems in prop::collection::vec("[ab_]{1,5}", 1..8),
            long in "[ab]{20,40}",
            text in prop::collection::vec("[abAB_ ]{0,60}", 700..1200)
        ) {
            let stems = [stems, vec![long.clone()]].concat();
            check(&stems, text.join(long.as_str()).as_bytes());
        }
    }

    #[test]
    fn a_stem_within_a_stem_is_found() {
        check(&["abab".into(), "bab".into(), "b".into()], b"xABABab");
    }
    #[test]
    fn bytes_that_end_too_soon_are_refused() {
        let bytes: &[u8] =
            encode_keywords(&KeywordSearch::new(vec![("key", 0), ("token", 1)])).leak();
        let before_table = bytes.len() - KeywordSearch::decode(bytes).unwrap().table.len();
        assert!((0..before_table).all(|len| KeywordSearch::decode(&bytes[..len]).is_none()));
    }
}
