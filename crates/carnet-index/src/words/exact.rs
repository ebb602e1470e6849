//! Phrases and regular expressions: looked for in the text as it is, after the words inside them have said which files may
//! hold them.

use std::collections::{HashMap, HashSet};

use regex_automata::Input;

use super::{
    UnitCode,
    live::{Live, NOT_LIVE},
    query::Exact,
    reader::Segment,
};
use crate::{BlobSource, IndexError, Snapshot};

/// Most text that one search reads, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 20;
/// Most matches counted in one file.
const MATCHES_MAX: usize = 1_000;

/// Where all exact parts of a query match in one document.
#[derive(Debug, Default)]
pub(crate) struct Matched {
    /// The lines, each once.
    pub lines: Vec<u32>,
}

pub(crate) struct Looked {
    /// By segment and document.
    pub matched: HashMap<(usize, u32), Matched>,
    /// Files that were not looked at any more.
    pub n_files_left: u64,
}

/// A unit of one file: its first and last line, whether it is a definition, and its document.
type Place = (u32, u32, bool, (usize, u32));

/// Looks for the exact parts of a query in the files in scope; a unit must have them all.
pub(crate) fn look(
    snapshot: &Snapshot,
    segments: &[Segment<'_>],
    live: &Live,
    in_scope: &[bool],
    wanted: &[Exact],
    blobs: &dyn BlobSource,
) -> Result<Looked, IndexError> {
    let files = files_around(segments, live, in_scope, wanted)?;
    let mut units: HashMap<u32, Vec<Place>> = files.iter().map(|file| (*file, vec![])).collect();
    for (segment_idx, segment) in segments.iter().enumerate() {
        for (doc, file) in live.files_of_documents[segment_idx].iter().enumerate() {
            let Some(units) = units.get_mut(file) else { continue };
            let (start, end) = segment.lines(doc as u32);
            let is_definition =
                matches!(UnitCode::decode(segment.unit(doc as u32)), Some(UnitCode::Symbol { .. }));
            units.push((start, end, is_definition, (segment_idx, doc as u32)));
        }
    }
    let mut looked = Looked { matched: HashMap::new(), n_files_left: 0 };
    let mut n_bytes = 0;
    for file in files {
        if n_bytes >= TEXT_BYTES_MAX {
            looked.n_files_left += 1;
            continue;
        }
        let blob_id = snapshot.live_file(live.rows[file as usize].1)?.blob_id;
        let Ok(source) = blobs.read(&blob_id) else { continue };
        n_bytes += source.len();
        look_in_file(&source, &units[&file], wanted, &mut looked.matched);
    }
    Ok(looked)
}

/// Returns the files that have, for every exact part, words around all of its fragments; in the order of their rows, which is
/// the order of paths.
fn files_around(
    segments: &[Segment<'_>],
    live: &Live,
    in_scope: &[bool],
    wanted: &[Exact],
) -> Result<Vec<u32>, IndexError> {
    let mut left: Option<HashSet<u32>> = None;
    for fragment in wanted.iter().flat_map(|exact| &exact.fragments) {
        let mut around = HashSet::new();
        for (segment, files) in segments.iter().zip(&live.files_of_documents) {
            segment.each_document_around(fragment, |doc| {
                around.insert(files[doc as usize]);
            })?;
        }
        left = Some(match left {
            Some(left) => &left & &around,
            None => around,
        });
    }
    let all = 0..live.rows.len() as u32;
    let mut files: Vec<u32> = match left {
        Some(left) => left.into_iter().filter(|file| *file != NOT_LIVE).collect(),
        None => all.collect(),
    };
    files.retain(|file| in_scope[*file as usize]);
    files.sort_by_key(|file| live.rows[*file as usize].1);
    Ok(files)
}

fn look_in_file(
    source: &[u8],
    units: &[Place],
    wanted: &[Exact],
    matched: &mut HashMap<(usize, u32), Matched>,
) {
    let mut in_all: Option<HashMap<(usize, u32), Vec<u32>>> = None;
    for exact in wanted {
        let mut found: HashMap<(usize, u32), Vec<u32>> = HashMap::new();
        let (mut line, mut counted) = (1, 0);
        for place in exact.regex.find_iter(Input::new(source)).take(MATCHES_MAX) {
            line += source[counted..place.start()].iter().filter(|byte| **byte == b'\n').count();
            counted = place.start();
            let line = line as u32;
            if let Some(unit) = innermost(units, line) {
                let lines = found.entry(unit).or_default();
                if lines.last() != Some(&line) {
                    lines.push(line);
                }
            }
        }
        in_all = Some(match in_all {
            None => found,
            Some(mut before) => {
                before.retain(|unit, _| found.contains_key(unit));
                for (unit, lines) in &mut before {
                    lines.extend(&found[unit]);
                    lines.sort_unstable();
                    lines.dedup();
                }
                before
            }
        });
    }
    for (unit, lines) in in_all.into_iter().flatten() {
        matched.insert(unit, Matched { lines });
    }
}

/// Returns the innermost definition around a line, or else the text around it.
fn innermost(units: &[Place], line: u32) -> Option<(usize, u32)> {
    let around = units.iter().filter(|(start, end, ..)| *start <= line && line <= *end);
    let nearest = around.min_by_key(|(start, end, is_definition, _)| (!is_definition, end - start));
    nearest.map(|(.., unit)| *unit)
}
