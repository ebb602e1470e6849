//! Which vectors lie near which: a graph beside the vectors, so that a question looks at a few thousand of them and not at all.
//!
//! The file `neighbours` is an immutable base over the first bytes of the file of vectors. It holds one node for each distinct
//! vector: where the vector lies, the units that have it, and its neighbours. What was written since is looked through one by
//! one, and what is no longer live is passed through and left out. It is written beside and renamed; every node carries a
//! checksum of itself, its units and its vector, which is compared when it is touched. A base that is damaged, or belongs to
//! other vectors, is no error: all vectors are looked through then, as if there were none.
//!
//! `hnsw_rs` makes the graph ([`build`](super::build)); it is kept and searched here, since a dump of `hnsw_rs` takes seconds to load, and
//! it prints and ends the process where one is damaged (its `hnswio` and `datamap`). None of that is called.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io::{self, ErrorKind},
    path::Path,
};

use tantivy::directory::OwnedBytes;

use super::{
    question::Question,
    store::{Near, Rough, Vectors, map},
};
use crate::format::Input;

/// What the file begins with.
pub(super) const MAGIC: &[u8; 20] = b"carnet/neighbours/1\n";
/// Name of the file beside the words.
pub(super) const NAME: &str = "neighbours";
/// Most neighbours of a node at the lowest level, and above it.
pub(super) const LINKS_LOW: usize = 32;
pub(super) const LINKS_HIGH: usize = 16;
/// Most levels.
pub(super) const LEVELS_MAX: u32 = 16;
/// Bytes of a node: place, checksum of its vector, first unit, units, neighbours, their numbers, checksum.
pub(super) const NODE_BYTES: usize = 8 + 4 + 4 + 4 + 4 + LINKS_LOW * 4 + 4;
/// Bytes of a node of a level above the lowest: node, neighbours, their numbers.
pub(super) const HIGH_BYTES: usize = 4 + 4 + LINKS_HIGH * 4;
/// Bytes of a unit: its file and its own number.
pub(super) const UNIT_BYTES: usize = 8 + 8;
/// How many times as many as are wanted are kept in sight.
const SIGHT: usize = 3;
/// Fewest that are kept in sight.
const SIGHT_MIN: usize = 400;
/// A question that would look at more than this share of the nodes looks at all instead: almost none of them are wanted.
const LOOKED_SHARE: usize = 4;

/// The graph, mapped.
pub(super) struct Neighbours {
    bytes: OwnedBytes,
    n_nodes: usize,
    n_records: usize,
    /// How many bytes of the file of vectors it covers.
    covered: usize,
    entry: u32,
    /// For each level above the lowest where it begins in the file, and how many nodes it has; the lowest first.
    levels: Vec<(usize, usize)>,
    nodes: usize,
    units: usize,
}

/// A node, checked.
struct Node<'a> {
    place: usize,
    vector_checksum: u32,
    units: &'a [u8],
    links: &'a [u8],
}

fn damaged() -> io::Error {
    ErrorKind::InvalidData.into()
}

/// Orders numbers that are finite or not.
#[derive(Clone, Copy, PartialEq)]
struct Ordered(f32, u32);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Ordered) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Ordered) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

/// What is near to a question.
#[derive(Debug)]
pub struct Nearest {
    /// The units, the nearest first.
    pub units: Vec<Near>,
    /// How many vectors were looked at.
    pub n_looked: usize,
    /// Whether a graph lies beside the vectors and is damaged.
    pub is_graph_damaged: bool,
}

/// Returns the units that are wanted whose vectors in `dir` are nearest to a question's: by the graph where there is one that
/// holds, and by looking at all otherwise.
///
/// - `n`: how many at most. `is_wanted`: asked with the numbers of file and unit.
///
/// # Errors
///
/// [`ErrorKind::InvalidData`] where the vectors are damaged.
pub fn nearest(
    dir: &Path,
    question: &Question,
    n: usize,
    mut is_wanted: impl FnMut(u64, u64) -> bool,
) -> io::Result<Nearest> {
    let vectors = Vectors::open_unchecked(dir, question.dimension())?;
    let by_graph = Neighbours::open(dir, &vectors).and_then(|graph| match graph {
        Some(graph) => graph.nearest(&vectors, question, n, &mut is_wanted),
        None => Ok(None),
    });
    let is_graph_damaged = by_graph.is_err();
    if let Ok(Some((mut roughly, n_looked, covered))) = by_graph {
        vectors.check_from(covered)?;
        let new = vectors.roughly_from(covered, question, &mut is_wanted);
        let n_looked = n_looked + new.len();
        roughly.extend(new);
        let units = vectors.rescored(question, n, roughly);
        return Ok(Nearest { units, n_looked, is_graph_damaged });
    }
    vectors.check_from(0)?;
    let (units, n_looked) = (vectors.nearest(question, n, is_wanted), vectors.len());
    Ok(Nearest { units, n_looked, is_graph_damaged })
}

impl Neighbours {
    /// Maps the graph in `dir`; `None` where there is none for these vectors.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidData`] where it is damaged or none of ours.
    pub fn open(dir: &Path, vectors: &Vectors) -> io::Result<Option<Neighbours>> {
        let bytes = match map(dir, NAME) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        Neighbours::read(bytes, vectors)
    }

    fn read(bytes: OwnedBytes, vectors: &Vectors) -> io::Result<Option<Neighbours>> {
        let mut input = Input(bytes.strip_prefix(MAGIC).ok_or_else(damaged)?);
        let mut number = || input.u32().map(|it| it as usize).ok_or_else(damaged);
        let (n_head, checksum) = (number()?, number()?);
        let head = input.take(n_head).ok_or_else(damaged)?;
        if crc32fast::hash(head) as usize != checksum {
            return Err(damaged());
        }
        let mut at = bytes.len() - input.0.len();
        let mut head = Input(head);
        let covered_digest = head.take(32).ok_or_else(damaged)?;
        let mut number = || head.u64().and_then(|it| usize::try_from(it).ok()).ok_or_else(damaged);
        let (covered, record_bytes) = (number()?, number()?);
        let (n_nodes, n_units, entry) = (number()?, number()?, number()?);
        let n_levels = number()?;
        if n_levels > LEVELS_MAX as usize || entry >= n_nodes {
            return Err(damaged());
        }
        let mut levels = Vec::new();
        for _ in 0..n_levels {
            let (n, checksum) = (number()?, number()?);
            let n_bytes = n.checked_mul(HIGH_BYTES).ok_or_else(damaged)?;
            let level = bytes.get(at..).and_then(|it| it.get(..n_bytes)).ok_or_else(damaged)?;
            if crc32fast::hash(level) as usize != checksum {
                return Err(damaged());
            }
            levels.push((at, n));
            at += n_bytes;
        }
        let n_node_bytes = n_nodes.checked_mul(NODE_BYTES).ok_or_else(damaged)?;
        let n_unit_bytes = n_units.checked_mul(UNIT_BYTES).ok_or_else(damaged)?;
        let (nodes, units) = (at, at.checked_add(n_node_bytes).ok_or_else(damaged)?);
        if units.checked_add(n_unit_bytes) != Some(bytes.len()) {
            return Err(damaged());
        }
        let entry = u32::try_from(entry).map_err(|_| damaged())?;
        let fits = record_bytes == vectors.record_bytes()
            && vectors.digest_until(covered).is_some_and(|it| it.as_bytes() == covered_digest);
        let n_records = vectors.n_until(covered);
        let graph = Neighbours { n_nodes, n_records, covered, entry, levels, nodes, units, bytes };
        Ok(fits.then_some(graph))
    }

    fn node(&self, idx: u32) -> io::Result<Node<'_>> {
        let at = self.nodes + idx as usize * NODE_BYTES;
        let bytes = match (idx as usize) < self.n_nodes {
            true => self.bytes.get(at..at + NODE_BYTES).ok_or_else(damaged)?,
            false => return Err(damaged()),
        };
        let (said, checksum) = bytes.split_at(NODE_BYTES - 4);
        let mut input = Input(said);
        let place = input.u64().and_then(|it| usize::try_from(it).ok());
        let mut number = || input.u32().unwrap_or_default();
        let vector_checksum = number();
        let (first, n_units, n_links) = (number() as usize, number() as usize, number() as usize);
        let from = self.units + first * UNIT_BYTES;
        let units = self.bytes.get(from..).and_then(|it| it.get(..n_units * UNIT_BYTES));
        let (Some(place), Some(units)) = (place, units) else { return Err(damaged()) };
        if checksum != node_checksum(said, units).to_le_bytes() || n_links > LINKS_LOW {
            return Err(damaged());
        }
        Ok(Node { place, vector_checksum, units, links: &input.0[..n_links * 4] })
    }

    /// Returns the neighbours of a node in a level above the lowest.
    fn high_links(&self, level: usize, idx: u32) -> &[u8] {
        let (at, n) = self.levels[level];
        let rows = &self.bytes[at..at + n * HIGH_BYTES];
        let number = |at: usize| Input(&rows[at..]).u32().unwrap_or_default();
        let (mut low, mut high) = (0, n);
        while low < high {
            let middle = (low + high) / 2;
            match number(middle * HIGH_BYTES).cmp(&idx) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let n_links = (number(middle * HIGH_BYTES + 4) as usize).min(LINKS_HIGH);
                    return &rows[middle * HIGH_BYTES + 8..][..n_links * 4];
                }
            }
        }
        &[]
    }

    /// Returns the units that are wanted whose vectors are near, how many vectors it looked at, and how many bytes of the
    /// vectors it knows; `None` where too few are wanted to find them so.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidData`] where what was touched does not hold.
    pub fn nearest(
        &self,
        vectors: &Vectors,
        question: &Question,
        n: usize,
        is_wanted: &mut impl FnMut(u64, u64) -> bool,
    ) -> io::Result<Option<(Vec<Rough>, usize, usize)>> {
        let cosine =
            |node: &Node<'_>| vectors.checked_rough(question, node.place, node.vector_checksum);
        let mut entry = (cosine(&self.node(self.entry)?)?, self.entry);
        for level in (0..self.levels.len()).rev() {
            loop {
                let before = entry;
                for link in numbers(self.high_links(level, before.1)) {
                    let cosine = cosine(&self.node(link)?)?;
                    if cosine > entry.0 {
                        entry = (cosine, link);
                    }
                }
                if entry.1 == before.1 {
                    break;
                }
            }
        }
        let sight = n.saturating_mul(SIGHT).max(SIGHT_MIN);
        let mut seen = vec![0_u64; self.n_nodes.div_ceil(64)];
        let mut see = |idx: u32| {
            let (word, bit) = (idx as usize / 64, 1_u64 << (idx % 64));
            let is_new = seen.get(word).is_some_and(|it| it & bit == 0);
            if is_new {
                seen[word] |= bit;
            }
            is_new
        };
        let (mut n_looked, mut found) = (0, Vec::new());
        let mut to_look = BinaryHeap::from([Ordered(entry.0, entry.1)]);
        let mut best: BinaryHeap<Reverse<Ordered>> = BinaryHeap::new();
        see(entry.1);
        while let Some(Ordered(nearness, idx)) = to_look.pop() {
            let worst = best.peek().map_or(f32::NEG_INFINITY, |it| it.0.0);
            if best.len() >= sight && nearness < worst {
                break;
            }
            n_looked += 1;
            if n_looked > self.n_nodes / LOOKED_SHARE + sight {
                return Ok(None);
            }
            let node = self.node(idx)?;
            let n_before = found.len();
            for unit in node.units.chunks_exact(UNIT_BYTES) {
                let mut input = Input(unit);
                let mut number = || input.u64().unwrap_or_default();
                let (file, unit) = (number(), number());
                if is_wanted(file, unit) {
                    found.push(Rough { cosine: nearness, at: node.place, file, unit });
                }
            }
            if found.len() > n_before {
                best.push(Reverse(Ordered(nearness, idx)));
                if best.len() > sight {
                    best.pop();
                }
            }
            let worst = best.peek().map_or(f32::NEG_INFINITY, |it| it.0.0);
            for link in numbers(node.links).filter(|link| see(*link)) {
                let nearness = cosine(&self.node(link)?)?;
                if best.len() < sight || nearness > worst {
                    to_look.push(Ordered(nearness, link));
                }
            }
        }
        Ok(Some((found, n_looked, self.covered)))
    }

    /// Returns how many records of the file of vectors it covers, live or not.
    pub fn n_records(&self) -> usize {
        self.n_records
    }

    /// Calls `then` with the file of every unit, each checked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidData`] where a node does not hold.
    pub fn each_file(&self, mut then: impl FnMut(u64)) -> io::Result<()> {
        for idx in 0..self.n_nodes as u32 {
            let node = self.node(idx)?;
            let files = node.units.chunks_exact(UNIT_BYTES);
            files.for_each(|unit| then(Input(unit).u64().unwrap_or_default()));
        }
        Ok(())
    }
}

/// The checksum of a node with its units.
pub(super) fn node_checksum(said: &[u8], units: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(said);
    hasher.update(units);
    hasher.finalize()
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(4).map(|it| Input(it).u32().unwrap_or_default())
}
