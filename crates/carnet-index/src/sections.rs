//! Reads a snapshot's sections by position; no block answers before its digest was checked.
//!
//! A bounded number of checked blocks is kept, so that a question that comes back to a block reads it once.

use std::{
    collections::HashMap,
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use carnet_core::Digest;

use crate::{
    IndexError,
    format::{
        BLOCK_BYTES, DIGEST_BYTES, HEADER_BYTES_MAX, Header, HeaderError, SectionEntry, SectionKind,
    },
};

/// Most checked blocks kept in memory (16 MiB).
const BLOCKS_MAX: usize = 1024;

/// Checked blocks by section and position.
type KeptBlocks = HashMap<(SectionKind, u64), Arc<[u8]>>;

/// An open snapshot file.
pub(crate) struct Sections {
    path: PathBuf,
    file: File,
    pub header: Header,
    entries: [SectionEntry; SectionKind::ALL.len()],
    digests: [OnceLock<Vec<u8>>; SectionKind::ALL.len()],
    blocks: Mutex<KeptBlocks>,
}

impl Sections {
    /// Opens a snapshot file and checks its header.
    pub fn open(path: &Path) -> Result<Sections, IndexError> {
        let failed = |error| IndexError::io("read", path, error);
        let file = File::open(path).map_err(failed)?;
        let file_bytes = file.metadata().map_err(failed)?.len();
        let mut bytes =
            vec![0; HEADER_BYTES_MAX.min(usize::try_from(file_bytes).unwrap_or(usize::MAX))];
        file.read_exact_at(&mut bytes, 0).map_err(failed)?;
        let corrupt =
            |what: &str| IndexError::Corrupt { path: path.to_owned(), what: what.to_owned() };
        let header = Header::decode(&bytes, file_bytes).map_err(|error| match error {
            HeaderError::Format(found) => IndexError::Format { path: path.to_owned(), found },
            HeaderError::Damaged(what) => corrupt(what),
        })?;
        let mut entries = Vec::new();
        for kind in SectionKind::ALL {
            entries.push(*header.section(kind).ok_or_else(|| corrupt("it lacks a section"))?);
        }
        let entries = entries.try_into().map_err(|_| corrupt("it lacks a section"))?;
        Ok(Sections {
            path: path.to_owned(),
            file,
            header,
            entries,
            digests: Default::default(),
            blocks: Mutex::new(HashMap::new()),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn corrupt(&self, what: impl Into<String>) -> IndexError {
        IndexError::Corrupt { path: self.path.clone(), what: what.into() }
    }

    fn entry(&self, kind: SectionKind) -> &SectionEntry {
        &self.entries[kind as usize - 1]
    }

    pub fn n_bytes(&self, kind: SectionKind) -> u64 {
        self.entry(kind).n_bytes
    }

    /// Returns how many rows of `row_bytes` bytes a section has.
    pub fn n_rows(&self, kind: SectionKind, row_bytes: u64) -> Result<u32, IndexError> {
        let n_bytes = self.n_bytes(kind);
        match (n_bytes % row_bytes, u32::try_from(n_bytes / row_bytes)) {
            (0, Ok(n_rows)) => Ok(n_rows),
            _ => Err(self.corrupt(format!("section {kind:?} does not hold whole rows"))),
        }
    }

    /// Returns row `idx` of a section of rows of `row_bytes` bytes.
    pub fn row(&self, kind: SectionKind, idx: u32, row_bytes: u64) -> Result<Vec<u8>, IndexError> {
        self.read(kind, u64::from(idx) * row_bytes, row_bytes)
    }

    /// Returns `n_bytes` bytes of a section from `start`, checked.
    pub fn read(&self, kind: SectionKind, start: u64, n_bytes: u64) -> Result<Vec<u8>, IndexError> {
        let end = start.checked_add(n_bytes).filter(|end| *end <= self.n_bytes(kind));
        let end =
            end.ok_or_else(|| self.corrupt(format!("a place outside section {kind:?} is named")))?;
        let mut out = Vec::with_capacity(n_bytes as usize);
        let mut at = start;
        while at < end {
            let block_idx = at / BLOCK_BYTES;
            let block = self.block(kind, block_idx)?;
            let from = (at - block_idx * BLOCK_BYTES) as usize;
            let to = ((end - block_idx * BLOCK_BYTES) as usize).min(block.len());
            out.extend_from_slice(&block[from..to]);
            at = block_idx * BLOCK_BYTES + to as u64;
        }
        Ok(out)
    }

    /// Checks every byte of every section.
    pub fn verify(&self) -> Result<(), IndexError> {
        for kind in SectionKind::ALL {
            for block_idx in 0..self.entry(kind).n_blocks() {
                self.load_block(kind, block_idx)?;
            }
            self.digests(kind)?;
        }
        Ok(())
    }

    fn block(&self, kind: SectionKind, block_idx: u64) -> Result<Arc<[u8]>, IndexError> {
        if let Some(block) = self.kept_blocks().get(&(kind, block_idx)) {
            return Ok(block.clone());
        }
        let block = self.load_block(kind, block_idx)?;
        let mut kept = self.kept_blocks();
        if kept.len() >= BLOCKS_MAX {
            kept.clear();
        }
        kept.insert((kind, block_idx), block.clone());
        Ok(block)
    }

    fn kept_blocks(&self) -> MutexGuard<'_, KeptBlocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load_block(&self, kind: SectionKind, block_idx: u64) -> Result<Arc<[u8]>, IndexError> {
        let entry = self.entry(kind);
        let start = block_idx * BLOCK_BYTES;
        let mut block = vec![0; BLOCK_BYTES.min(entry.n_bytes - start) as usize];
        self.read_file(&mut block, entry.offset + start)?;
        let at = (block_idx * DIGEST_BYTES) as usize;
        let expected = self.digests(kind)?.get(at..at + DIGEST_BYTES as usize);
        match expected == Some(Digest::of(&block).as_bytes().as_slice()) {
            true => Ok(block.into()),
            false => Err(self.corrupt(format!("block {block_idx} of section {kind:?} changed"))),
        }
    }

    /// Returns the digests of a section's blocks, checked against the header.
    fn digests(&self, kind: SectionKind) -> Result<&[u8], IndexError> {
        let slot = &self.digests[kind as usize - 1];
        if let Some(digests) = slot.get() {
            return Ok(digests);
        }
        let entry = self.entry(kind);
        let mut digests = vec![0; (entry.n_blocks() * DIGEST_BYTES) as usize];
        self.read_file(&mut digests, entry.digests_offset)?;
        match Digest::of(&digests) == entry.digest {
            true => Ok(slot.get_or_init(|| digests)),
            false => Err(self.corrupt(format!("the digests of section {kind:?} changed"))),
        }
    }

    fn read_file(&self, out: &mut [u8], offset: u64) -> Result<(), IndexError> {
        self.file.read_exact_at(out, offset).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => self.corrupt("it became shorter"),
            _ => IndexError::io("read", &self.path, error),
        })
    }
}
