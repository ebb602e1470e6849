//! Reads a snapshot's sections by position; no block is unpacked before its digest was checked.
//!
//! A bounded number of unpacked blocks is kept, so that a question that comes back to a block reads it once.

use std::{
    collections::HashMap,
    fs::File,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use carnet_core::Digest;

use crate::{
    IndexError, blocks,
    format::{
        BLOCK_ENTRY_BYTES, DIGEST_BYTES, HEADER_BYTES_MAX, Header, HeaderError, Input,
        SectionEntry, SectionKind,
    },
    rows::Row,
};

/// Most unpacked blocks kept in memory (16 MiB).
const BLOCKS_MAX: usize = 512;

/// Unpacked blocks by section and position.
type KeptBlocks = HashMap<(SectionKind, u64), Arc<[u8]>>;

/// An open snapshot file.
pub(crate) struct Sections {
    path: PathBuf,
    file: File,
    pub header: Header,
    entries: [SectionEntry; SectionKind::ALL.len()],
    lists: [OnceLock<Vec<Block>>; SectionKind::ALL.len()],
    kept: Mutex<KeptBlocks>,
}

/// Where a packed block lies in the file, and what it must be.
struct Block {
    offset: u64,
    n_packed: u32,
    digest: [u8; DIGEST_BYTES as usize],
}

impl Sections {
    /// Opens a snapshot file and checks its header. While it is held, so is a shared lock on the file: the writer sees that
    /// somebody reads it, and keeps it for a while.
    pub fn open(path: &Path) -> Result<Sections, IndexError> {
        let failed = |error| IndexError::io("read", path, error);
        let file = File::open(path).map_err(failed)?;
        // Not every file system has locks; without one the file is kept by being open.
        let _locked = file.lock_shared();
        let metadata = file.metadata().map_err(failed)?;
        if metadata.nlink() == 0 {
            return Err(failed(std::io::ErrorKind::NotFound.into())); // Removed before it was locked.
        }
        let file_bytes = metadata.len();
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
            lists: Default::default(),
            kept: Mutex::new(HashMap::new()),
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

    /// Returns how many rows a section has.
    pub fn n_rows(&self, kind: SectionKind) -> Result<u32, IndexError> {
        let (n_bytes, row_bytes) = (self.n_bytes(kind), kind.row_bytes());
        match (n_bytes % row_bytes, u32::try_from(n_bytes / row_bytes)) {
            (0, Ok(n_rows)) => Ok(n_rows),
            _ => Err(self.corrupt(format!("section {kind:?} does not hold whole rows"))),
        }
    }

    /// Returns row `idx` of a section.
    pub fn row<T: Row>(&self, kind: SectionKind, idx: u32) -> Result<T, IndexError> {
        let row_bytes = kind.row_bytes();
        let bytes = self.read(kind, u64::from(idx) * row_bytes, row_bytes)?;
        T::take(&mut Input(&bytes)).ok_or_else(|| self.malformed(kind))
    }

    /// Returns `n` rows of a section from row `first`.
    pub fn rows<T: Row>(
        &self,
        kind: SectionKind,
        first: u32,
        n: u32,
    ) -> Result<Vec<T>, IndexError> {
        let row_bytes = kind.row_bytes();
        let bytes = self.read(kind, u64::from(first) * row_bytes, u64::from(n) * row_bytes)?;
        let mut input = Input(&bytes);
        (0..n).map(|_| T::take(&mut input).ok_or_else(|| self.malformed(kind))).collect()
    }

    fn malformed(&self, kind: SectionKind) -> IndexError {
        self.corrupt(format!("a row of section {kind:?} is malformed"))
    }

    /// Returns `n_bytes` bytes of a section from `start`, checked.
    pub fn read(&self, kind: SectionKind, start: u64, n_bytes: u64) -> Result<Vec<u8>, IndexError> {
        let end = start.checked_add(n_bytes).filter(|end| *end <= self.n_bytes(kind));
        let end =
            end.ok_or_else(|| self.corrupt(format!("a place outside section {kind:?} is named")))?;
        let mut out = Vec::with_capacity(n_bytes as usize);
        let mut at = start;
        let block_bytes = kind.block_bytes();
        while at < end {
            let block_idx = at / block_bytes;
            let block = self.block(kind, block_idx)?;
            let from = (at - block_idx * block_bytes) as usize;
            let to = ((end - block_idx * block_bytes) as usize).min(block.len());
            out.extend_from_slice(&block[from..to]);
            at = block_idx * block_bytes + to as u64;
        }
        Ok(out)
    }

    /// Checks every byte of every section.
    pub fn verify(&self) -> Result<(), IndexError> {
        for kind in SectionKind::ALL {
            for block_idx in 0..self.entry(kind).n_blocks() {
                self.load_block(kind, block_idx)?;
            }
            self.list(kind)?;
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
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load_block(&self, kind: SectionKind, block_idx: u64) -> Result<Arc<[u8]>, IndexError> {
        let changed = || self.corrupt(format!("block {block_idx} of section {kind:?} changed"));
        let block = self.list(kind)?.get(block_idx as usize).ok_or_else(changed)?;
        let mut packed = vec![0; block.n_packed as usize];
        self.read_file(&mut packed, block.offset)?;
        if *Digest::of(&packed).as_bytes() != block.digest {
            return Err(changed());
        }
        let n_left = self.n_bytes(kind).saturating_sub(block_idx * kind.block_bytes());
        let n_bytes = kind.block_bytes().min(n_left) as usize;
        let plain = blocks::unpack(kind.columns(), &packed, n_bytes);
        let is_no_block =
            || self.corrupt(format!("block {block_idx} of section {kind:?} cannot be unpacked"));
        plain.map(Arc::from).ok_or_else(is_no_block)
    }

    /// Returns the list of a section's blocks, checked against the header.
    fn list(&self, kind: SectionKind) -> Result<&[Block], IndexError> {
        let slot = &self.lists[kind as usize - 1];
        if let Some(list) = slot.get() {
            return Ok(list);
        }
        let entry = self.entry(kind);
        // The header's check of places holds this below the length of the file.
        let mut bytes = vec![0; (entry.n_blocks() * BLOCK_ENTRY_BYTES) as usize];
        self.read_file(&mut bytes, entry.blocks_offset)?;
        let changed = || self.corrupt(format!("the blocks of section {kind:?} changed"));
        if Digest::of(&bytes) != entry.digest {
            return Err(changed());
        }
        let (mut input, mut offset, mut list) = (Input(&bytes), entry.offset, Vec::new());
        while let Some(n_packed) = input.u32() {
            let digest = input.take(DIGEST_BYTES as usize).and_then(|it| it.try_into().ok());
            list.push(Block { offset, n_packed, digest: digest.ok_or_else(changed)? });
            offset += u64::from(n_packed);
        }
        match offset == entry.offset + entry.n_packed {
            true => Ok(slot.get_or_init(|| list)),
            false => Err(changed()),
        }
    }

    fn read_file(&self, out: &mut [u8], offset: u64) -> Result<(), IndexError> {
        self.file.read_exact_at(out, offset).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => self.corrupt("it became shorter"),
            _ => IndexError::io("read", &self.path, error),
        })
    }
}
