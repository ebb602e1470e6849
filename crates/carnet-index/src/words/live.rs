//! Which documents of the words belong to a snapshot.

use super::{LeftOut, TEXT_FIELDS, UnitCode, reader::Segment};
use crate::{IndexError, Snapshot};

/// Which documents are live, and what is counted over them.
pub(crate) struct Live {
    /// The files of the snapshot, sorted by key.
    pub rows: Vec<(u64, u32)>,
    /// For each segment and document the position of its file in [`Live::rows`], or [`NOT_LIVE`].
    pub files_of_documents: Vec<Vec<u32>>,
    pub n_documents: u64,
    pub mean_lengths: [f32; TEXT_FIELDS.len()],
    pub n_files_missing: u64,
    pub n_files_left_out: u64,
}

pub(crate) const NOT_LIVE: u32 = u32::MAX;

impl Live {
    pub fn new(snapshot: &Snapshot, segments: &[Segment<'_>]) -> Result<Live, IndexError> {
        let rows = snapshot.live_rows()?;
        let mut live = Live {
            files_of_documents: Vec::new(),
            n_documents: 0,
            mean_lengths: [1.0; TEXT_FIELDS.len()],
            n_files_missing: 0,
            n_files_left_out: 0,
            rows,
        };
        let mut is_seen = vec![false; live.rows.len()];
        let mut sums = [0_u64; TEXT_FIELDS.len()];
        for segment in segments {
            let mut files = vec![NOT_LIVE; segment.n_documents() as usize];
            // Documents of one file stand together.
            let mut last = (0, NOT_LIVE);
            for doc in 0..segment.n_documents() {
                let key = segment.file(doc);
                if key != last.0 || doc == 0 {
                    let at = live.rows.binary_search_by_key(&key, |row| row.0);
                    last = (key, at.map_or(NOT_LIVE, |at| at as u32));
                }
                if last.1 == NOT_LIVE || segment.is_deleted(doc) {
                    continue;
                }
                is_seen[last.1 as usize] = true;
                match UnitCode::decode(segment.unit(doc)) {
                    Some(UnitCode::Nothing(reason)) => {
                        live.n_files_left_out += u64::from(reason != LeftOut::Empty);
                    }
                    Some(_) => {
                        files[doc as usize] = last.1;
                        live.n_documents += 1;
                        for (sum, lengths) in sums.iter_mut().zip(&segment.lengths) {
                            *sum += u64::from(lengths.fieldnorm(doc));
                        }
                    }
                    None => {}
                }
            }
            live.files_of_documents.push(files);
        }
        live.n_files_missing = is_seen.iter().filter(|seen| !**seen).count() as u64;
        for (mean, sum) in live.mean_lengths.iter_mut().zip(sums) {
            *mean = (sum as f32 / live.n_documents.max(1) as f32).max(1.0);
        }
        Ok(live)
    }
}
