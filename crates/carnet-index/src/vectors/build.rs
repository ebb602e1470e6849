//! Makes the graph of neighbours with `hnsw_rs`.
//!
//! `hnsw_rs` 0.3.5 prints and ends the process in its loading and dumping (`hnswio`, `datamap`) and where a node may have more
//! than 256 neighbours (`Hnsw::new`), and panics where a distance is negative or not a number. Here it is only filled: the
//! numbers of neighbours are constants, distances come out of `Spread`, which gives none below 0, and scales that are not
//! finite are refused before. Equal vectors become one node: with more of them than a node has neighbours they would see
//! only each other.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufWriter, ErrorKind, Write as _},
    path::Path,
};

use hnsw_rs::prelude::{Distance, Hnsw};

use super::{
    halves::dot_of_stored,
    model::Model,
    neighbours::{
        HIGH_BYTES, LEVELS_MAX, LINKS_HIGH, LINKS_LOW, MAGIC, NAME, NODE_BYTES, Neighbours,
        node_checksum,
    },
    store::Vectors,
};
use crate::{
    IndexError,
    words::{Extent, words_dir},
    write::live_keys,
};

/// Candidates that are weighed when a vector is put in.
const CANDIDATES: usize = 100;
/// Memory that the making takes for each vector, in bytes.
const BYTES_PER_VECTOR: u64 = 2_400;
/// A base is made anew when so many of a hundred of its vectors are dead, or so many came since.
const STALE_PERCENT: usize = 20;
/// After so many vectors it is asked whether to go on.
const ASK_EVERY: usize = 256;

/// How it stands with the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphState {
    /// There are too few vectors for one: looking through all is quick.
    NotNeeded,
    /// It covers enough of the live vectors.
    Fresh,
    /// There is none for these vectors, or it is damaged, or too much of it is dead or new.
    Due,
    /// One is needed, and making it would take more memory than is allowed: all vectors are looked through.
    NoRoom,
}

/// Returns how it stands with the graph of an index.
///
/// - `dir`: the index's directory. `exact_max`: up to so many vectors are looked through one by one. `bytes_max`: the memory
///   that making it may take.
///
/// # Errors
///
/// [`IndexError`] where the vectors or the snapshots cannot be read.
pub fn graph_state(dir: &Path, exact_max: usize, bytes_max: u64) -> Result<GraphState, IndexError> {
    let words = words_dir(dir);
    let failed = |error| IndexError::io("read the vectors in", &words, error);
    if !has_vectors(dir) {
        return Ok(GraphState::NotNeeded);
    }
    let vectors = Vectors::open_unchecked(&words, Model::embedded().dimension()).map_err(failed)?;
    let n_all = vectors.len();
    if n_all <= exact_max {
        return Ok(GraphState::NotNeeded);
    }
    if let Ok(Some(graph)) = Neighbours::open(&words, &vectors)
        && is_fresh(&graph, n_all, &live_keys(dir)?)
    {
        return Ok(GraphState::Fresh);
    }
    match (n_all as u64).saturating_mul(BYTES_PER_VECTOR) <= bytes_max {
        true => Ok(GraphState::Due),
        false => Ok(GraphState::NoRoom),
    }
}

/// Makes the graph over the live vectors of an index, beside, and renames it; returns how many nodes it has, `None` where there is nothing to put
/// in it, another process is at it, or `go_on` said no. A refresh may go on meanwhile.
///
/// - `dir`: the index's directory. `go_on`: told now and then how many vectors are in it, and of how many.
///
/// # Errors
///
/// [`IndexError`] where the vectors are damaged, or the disk refuses.
pub fn build_graph(
    dir: &Path,
    go_on: impl FnMut(usize, usize) -> bool,
) -> Result<Option<usize>, IndexError> {
    let words = words_dir(dir);
    let live = live_keys(dir)?;
    let built = build(&words, Model::embedded().dimension(), &live, go_on);
    built.map_err(|error| IndexError::io("make the graph of neighbours in", &words, error))
}

fn has_vectors(dir: &Path) -> bool {
    Extent::of_words(dir) == Some(Extent::Whole)
}

fn is_fresh(graph: &Neighbours, n_all: usize, live: &HashSet<u64>) -> bool {
    let (mut n_covered, mut n_dead) = (0_usize, 0_usize);
    let walked = graph.each_file(|file| {
        n_covered += 1;
        n_dead += usize::from(!live.contains(&file));
    });
    let n_new = n_all.saturating_sub(graph.n_records());
    let bound = n_covered * STALE_PERCENT / 100;
    walked.is_ok() && n_dead <= bound && n_new <= bound
}

pub(super) fn build(
    words: &Path,
    dimension: usize,
    live: &HashSet<u64>,
    mut go_on: impl FnMut(usize, usize) -> bool,
) -> io::Result<Option<usize>> {
    let unfinished = words.join(format!("{NAME}.unfinished"));
    let out = OpenOptions::new().write(true).create(true).truncate(false).open(&unfinished)?;
    match out.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
        Ok(()) => {}
    }
    let vectors = Vectors::open(words, dimension)?;
    let nodes = nodes_of(&vectors, live)?;
    let graph = if nodes.is_empty() { None } else { filled(&vectors, &nodes, &mut go_on) };
    let Some(graph) = graph else {
        fs::remove_file(&unfinished)?;
        return Ok(None);
    };
    out.set_len(0)?;
    write(&out, &vectors, &nodes, &graph)?;
    out.sync_all()?;
    fs::rename(&unfinished, words.join(NAME))?;
    File::open(words)?.sync_all()?;
    Ok(Some(nodes.len()))
}

/// A distinct vector.
struct DistinctVector {
    place: usize,
    units: Vec<(u64, u64)>,
}

fn nodes_of(vectors: &Vectors, live: &HashSet<u64>) -> io::Result<Vec<DistinctVector>> {
    let mut known: HashMap<&[u8], usize> = HashMap::new();
    let mut nodes: Vec<DistinctVector> = Vec::new();
    for place in vectors.places() {
        let record = vectors.record(place);
        if !record.scale.is_finite() {
            return Err(ErrorKind::InvalidData.into());
        }
        if !live.contains(&record.file) {
            continue;
        }
        let idx = *known.entry(vectors.vector(place)).or_insert(nodes.len());
        if idx == nodes.len() {
            nodes.push(DistinctVector { place, units: Vec::new() });
        }
        nodes[idx].units.push((record.file, record.unit));
    }
    Ok(nodes)
}

/// How far two vectors point apart. The bytes before their numbers are the scale.
struct Spread;

impl Distance<u8> for Spread {
    fn eval(&self, a: &[u8], b: &[u8]) -> f32 {
        let ((a_scale, a), (b_scale, b)) = (scale_and_numbers(a), scale_and_numbers(b));
        (1.0 - dot_of_stored(a, b) as f32 * a_scale * b_scale).max(0.0)
    }
}

fn scale_and_numbers(bytes: &[u8]) -> (f32, &[u8]) {
    match bytes.split_first_chunk() {
        Some((scale, numbers)) => (f32::from_le_bytes(*scale), numbers),
        None => (0.0, bytes),
    }
}

fn filled(
    vectors: &Vectors,
    nodes: &[DistinctVector],
    go_on: &mut impl FnMut(usize, usize) -> bool,
) -> Option<Hnsw<'static, u8, Spread>> {
    let graph = Hnsw::new(LINKS_HIGH, nodes.len(), LEVELS_MAX as usize, CANDIDATES, Spread);
    for (idx, node) in nodes.iter().enumerate() {
        if idx % ASK_EVERY == 0 && !go_on(idx, nodes.len()) {
            return None;
        }
        graph.insert((vectors.vector(node.place), idx));
    }
    Some(graph)
}

fn write(
    out: &File,
    vectors: &Vectors,
    nodes: &[DistinctVector],
    graph: &Hnsw<'_, u8, Spread>,
) -> io::Result<()> {
    let points = graph.get_point_indexation();
    let mut low: Vec<Vec<u32>> = vec![Vec::new(); nodes.len()];
    let mut high: Vec<Vec<(u32, Vec<u32>)>> = Vec::new();
    let mut entry = (0, 0);
    for point in points {
        let idx = point.get_origin_id() as u32;
        let level = point.get_point_id().0;
        if level > entry.0 || idx == 0 && entry == (0, 0) {
            entry = (level, idx);
        }
        for (at, links) in point.get_neighborhood_id().iter().enumerate() {
            let links = links.iter().map(|it| it.d_id as u32);
            match at {
                0 => low[idx as usize] = links.take(LINKS_LOW).collect(),
                _ if at <= usize::from(level) => {
                    high.resize(high.len().max(at), Vec::new());
                    high[at - 1].push((idx, links.take(LINKS_HIGH).collect()));
                }
                _ => {}
            }
        }
    }
    let digest = vectors.digest_until(vectors.n_bytes()).ok_or(ErrorKind::InvalidData)?;
    let mut head = digest.as_bytes().to_vec();
    let n_units: usize = nodes.iter().map(|node| node.units.len()).sum();
    let numbers = [
        vectors.n_bytes(),
        vectors.record_bytes(),
        nodes.len(),
        n_units,
        entry.1 as usize,
        high.len(),
    ];
    numbers.iter().for_each(|it| head.extend_from_slice(&(*it as u64).to_le_bytes()));
    let mut levels = Vec::new();
    for level in &mut high {
        level.sort_unstable();
        let rows: Vec<u8> = level.iter().flat_map(|(idx, links)| high_row(*idx, links)).collect();
        head.extend_from_slice(&(level.len() as u64).to_le_bytes());
        head.extend_from_slice(&u64::from(crc32fast::hash(&rows)).to_le_bytes());
        levels.extend(rows);
    }
    let mut out = BufWriter::with_capacity(1 << 16, out);
    out.write_all(MAGIC)?;
    out.write_all(&(head.len() as u32).to_le_bytes())?;
    out.write_all(&crc32fast::hash(&head).to_le_bytes())?;
    out.write_all(&head)?;
    out.write_all(&levels)?;
    let mut first = 0_u32;
    for (node, links) in nodes.iter().zip(&low) {
        out.write_all(&low_row(vectors, node, first, links))?;
        first += node.units.len() as u32;
    }
    for node in nodes {
        out.write_all(&units_of(node))?;
    }
    out.flush()
}

fn high_row(idx: u32, links: &[u32]) -> [u8; HIGH_BYTES] {
    let mut row = [0; HIGH_BYTES];
    let numbers = [idx, links.len() as u32].into_iter().chain(links.iter().copied());
    row.chunks_exact_mut(4).zip(numbers).for_each(|(to, it)| to.copy_from_slice(&it.to_le_bytes()));
    row
}

fn low_row(
    vectors: &Vectors,
    node: &DistinctVector,
    first: u32,
    links: &[u32],
) -> [u8; NODE_BYTES] {
    let mut row = [0; NODE_BYTES];
    row[..8].copy_from_slice(&(node.place as u64).to_le_bytes());
    let checksum = crc32fast::hash(vectors.vector(node.place));
    let counts = [checksum, first, node.units.len() as u32, links.len() as u32];
    let numbers = counts.into_iter().chain(links.iter().copied());
    let (said, end) = row.split_at_mut(NODE_BYTES - 4);
    for (to, it) in said[8..].chunks_exact_mut(4).zip(numbers) {
        to.copy_from_slice(&it.to_le_bytes());
    }
    end.copy_from_slice(&node_checksum(said, &units_of(node)).to_le_bytes());
    row
}

fn units_of(node: &DistinctVector) -> Vec<u8> {
    let numbers = node.units.iter().flat_map(|(file, unit)| [*file, *unit]);
    numbers.flat_map(u64::to_le_bytes).collect()
}
