//! The snapshot's file format; docs/format/snapshot.md says it in prose.
//!
//! A header with its own digest, the sections in packed blocks, and for each section the list of its blocks: length and
//! digest of each. The header holds the digest of each list, so that opening costs one small read and every byte is still
//! verified before it answers.

use carnet_core::{Digest, Digester, GitOid, Timestamp};

use crate::{
    Coverage,
    blocks::{
        Column::{self, Bytes, Number, Rising},
        row_bytes,
    },
};

/// Number of the snapshot format that this version writes and reads.
pub const FORMAT_NUMBER: u32 = 4;

pub(crate) const MAGIC: [u8; 8] = *b"carnetix";
/// Most bytes of a block before it is packed.
const BLOCK_BYTES_MAX: u64 = 32 << 10;
/// Bytes of one entry in the list of a section's blocks: the length of the packed block, its digest.
pub(crate) const BLOCK_ENTRY_BYTES: u64 = 4 + DIGEST_BYTES;
pub(crate) const DIGEST_BYTES: u64 = 32;
/// Most sections a header may list.
const SECTIONS_MAX: u32 = 64;
/// Bytes of the header before the section table.
const FIXED_BYTES: usize = 8 + 4 + 4 + 8 + 4 + 4 + 33 + 33 + 7 * 8;
/// Bytes of one entry of the section table.
const ENTRY_BYTES: usize = 4 + 4 + 8 * 5 + 32;
/// A header is never longer.
pub(crate) const HEADER_BYTES_MAX: usize =
    FIXED_BYTES + ENTRY_BYTES * SECTIONS_MAX as usize + DIGEST_BYTES as usize;

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub(crate) enum SectionKind {
    TextEnds = 1,
    TextBytes = 2,
    Files = 3,
    Symbols = 4,
    NameMap = 5,
    Names = 6,
    Definitions = 7,
    Calls = 8,
    CallsOfNames = 9,
    Bases = 10,
    TextFiles = 11,
    Live = 12,
}

impl SectionKind {
    pub const ALL: [SectionKind; 12] = [
        SectionKind::TextEnds,
        SectionKind::TextBytes,
        SectionKind::Files,
        SectionKind::Symbols,
        SectionKind::NameMap,
        SectionKind::Names,
        SectionKind::Definitions,
        SectionKind::Calls,
        SectionKind::CallsOfNames,
        SectionKind::Bases,
        SectionKind::TextFiles,
        SectionKind::Live,
    ];

    /// Returns the columns of its rows; none where it has no rows.
    pub fn columns(self) -> &'static [Column] {
        match self {
            SectionKind::TextBytes | SectionKind::NameMap => &[],
            SectionKind::TextEnds | SectionKind::Definitions | SectionKind::CallsOfNames => {
                &[Rising]
            }
            SectionKind::Files => {
                &[Rising, Bytes(1), Bytes(33), Rising, Number, Number, Rising, Number]
            }
            SectionKind::Symbols => &[
                // File, texts and the symbol around.
                Rising,
                Rising,
                Rising,
                Rising,
                Rising,
                Rising,
                Bytes(2),
                // The whole, then the name in it.
                Rising,
                Number,
                Rising,
                Number,
                Number,
                Number,
                Number,
                Number,
                Number,
                Number,
                Number,
                Number,
            ],
            SectionKind::Names => &[Rising, Number, Rising, Number],
            SectionKind::Calls => &[
                Rising,
                Rising,
                Rising,
                Number,
                Bytes(2),
                Rising,
                Number,
                Rising,
                Number,
                Number,
                Number,
            ],
            SectionKind::Bases => &[Rising, Rising, Rising, Rising, Rising, Number, Bytes(1)],
            SectionKind::TextFiles => &[Rising, Bytes(33)],
            SectionKind::Live => &[Bytes(8), Number],
        }
    }

    /// Returns how many bytes one of its rows has; 1 where it has no rows.
    pub fn row_bytes(self) -> u64 {
        row_bytes(self.columns()).max(1) as u64
    }

    /// Returns how many bytes its blocks have before they are packed, but for the last: whole rows.
    pub fn block_bytes(self) -> u64 {
        BLOCK_BYTES_MAX - BLOCK_BYTES_MAX % self.row_bytes()
    }
}

/// Set in an entry whose section a reader must know to answer rightly.
pub(crate) const FLAG_REQUIRED: u32 = 1;

/// One entry of the section table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SectionEntry {
    pub kind: u32,
    pub flags: u32,
    pub offset: u64,
    /// How many bytes it has, and how many of them are in one block.
    pub n_bytes: u64,
    pub block_bytes: u64,
    /// How many bytes its packed blocks have.
    pub n_packed: u64,
    /// Where the list of its blocks stands.
    pub blocks_offset: u64,
    /// Digest of that list.
    pub digest: Digest,
}

impl SectionEntry {
    pub fn n_blocks(&self) -> u64 {
        self.n_bytes.div_ceil(self.block_bytes.max(1))
    }
}

/// The header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub created_at: Timestamp,
    pub extractor_version: u32,
    pub commit: GitOid,
    pub tree: GitOid,
    pub coverage: Coverage,
    pub sections: Vec<SectionEntry>,
}

/// Why bytes are no header that this version reads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    Format(u32),
    Damaged(&'static str),
}

impl Header {
    /// Returns the bytes a header with so many sections takes.
    pub fn n_bytes(n_sections: usize) -> usize {
        FIXED_BYTES + ENTRY_BYTES * n_sections + DIGEST_BYTES as usize
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&FORMAT_NUMBER.to_le_bytes());
        out.extend_from_slice(&(Header::n_bytes(self.sections.len()) as u32).to_le_bytes());
        out.extend_from_slice(&self.created_at.as_millis().to_le_bytes());
        out.extend_from_slice(&self.extractor_version.to_le_bytes());
        out.extend_from_slice(&(self.sections.len() as u32).to_le_bytes());
        put_oid(&mut out, &self.commit);
        put_oid(&mut out, &self.tree);
        for count in counts(&self.coverage) {
            out.extend_from_slice(&count.to_le_bytes());
        }
        for section in &self.sections {
            out.extend_from_slice(&section.kind.to_le_bytes());
            out.extend_from_slice(&section.flags.to_le_bytes());
            let places = [section.offset, section.n_bytes, section.block_bytes];
            for number in places.into_iter().chain([section.n_packed, section.blocks_offset]) {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.extend_from_slice(section.digest.as_bytes());
        }
        let digest = Digest::of(&out);
        out.extend_from_slice(digest.as_bytes());
        out
    }

    /// Reads a header from the beginning of a file of `file_bytes` bytes.
    pub fn decode(bytes: &[u8], file_bytes: u64) -> Result<Header, HeaderError> {
        let mut input = Input(bytes);
        let damaged = HeaderError::Damaged;
        if input.take(8).ok_or(damaged("it is too short"))? != MAGIC {
            return Err(damaged("it does not begin like a snapshot"));
        }
        let format = input.u32().ok_or(damaged("it is too short"))?;
        if format != FORMAT_NUMBER {
            return Err(HeaderError::Format(format));
        }
        let n_bytes = input.u32().ok_or(damaged("it is too short"))? as usize;
        let whole = bytes.get(..n_bytes).ok_or(damaged("its header is cut off"))?;
        let body_bytes = n_bytes.checked_sub(32).ok_or(damaged("its header is too short"))?;
        let (body, digest) = whole.split_at(body_bytes);
        if Digest::of(body).as_bytes() != digest {
            return Err(damaged("its header does not have its digest"));
        }
        let header = Header::decode_body(&mut Input(&body[16..]))
            .ok_or(damaged("its header is malformed"))?;
        header.check_places(n_bytes as u64, file_bytes)?;
        Ok(header)
    }

    fn decode_body(input: &mut Input<'_>) -> Option<Header> {
        let created_at = Timestamp::from_millis(input.u64()? as i64);
        let extractor_version = input.u32()?;
        let n_sections = input.u32()?;
        if n_sections > SECTIONS_MAX {
            return None;
        }
        let (commit, tree) = (input.oid()?, input.oid()?);
        let mut coverage = Coverage::default();
        for count in counts_mut(&mut coverage) {
            *count = input.u64()?;
        }
        let mut sections = Vec::new();
        for _ in 0..n_sections {
            sections.push(SectionEntry {
                kind: input.u32()?,
                flags: input.u32()?,
                offset: input.u64()?,
                n_bytes: input.u64()?,
                block_bytes: input.u64()?,
                n_packed: input.u64()?,
                blocks_offset: input.u64()?,
                digest: Digest::from_bytes(input.take(32)?.try_into().ok()?),
            });
        }
        input.0.is_empty().then_some(Header {
            created_at,
            extractor_version,
            commit,
            tree,
            coverage,
            sections,
        })
    }

    /// Checks that sections and lists of blocks follow each other without a gap to the end of the file.
    fn check_places(&self, header_bytes: u64, file_bytes: u64) -> Result<(), HeaderError> {
        let damaged = HeaderError::Damaged;
        let mut end = header_bytes;
        for section in &self.sections {
            let known = SectionKind::ALL.into_iter().find(|kind| *kind as u32 == section.kind);
            if section.flags & FLAG_REQUIRED != 0 && known.is_none() {
                return Err(damaged("it has a section that this version must know and does not"));
            }
            if known.is_some_and(|kind| kind.block_bytes() != section.block_bytes) {
                return Err(damaged("the blocks of a section have another length"));
            }
            if section.offset != end {
                return Err(damaged("its sections overlap or leave a gap"));
            }
            end = end.checked_add(section.n_packed).ok_or(damaged("a section is too long"))?;
        }
        for section in &self.sections {
            if section.blocks_offset != end {
                return Err(damaged("its lists of blocks overlap or leave a gap"));
            }
            let n_list = section.n_blocks().checked_mul(BLOCK_ENTRY_BYTES);
            end = n_list
                .and_then(|n_list| end.checked_add(n_list))
                .ok_or(damaged("a section is too long"))?;
        }
        match end == file_bytes {
            true => Ok(()),
            false => Err(damaged("it is not as long as it says")),
        }
    }

    pub fn section(&self, kind: SectionKind) -> Option<&SectionEntry> {
        self.sections.iter().find(|section| section.kind == kind as u32)
    }

    /// Returns the digest of all that the snapshot says, apart from when it was made.
    pub fn content_digest(&self) -> Digest {
        let mut digester = Digester::new();
        digester.field(&FORMAT_NUMBER.to_le_bytes()).field(&self.extractor_version.to_le_bytes());
        digester.field(self.commit.as_bytes()).field(self.tree.as_bytes());
        for count in counts(&self.coverage) {
            digester.field(&count.to_le_bytes());
        }
        for section in &self.sections {
            digester.field(&section.kind.to_le_bytes()).field(&section.n_bytes.to_le_bytes());
            digester.field(section.digest.as_bytes());
        }
        digester.finish()
    }
}

fn counts(coverage: &Coverage) -> [u64; 7] {
    let mut copy = *coverage;
    counts_mut(&mut copy).map(|count| *count)
}

fn counts_mut(coverage: &mut Coverage) -> [&mut u64; 7] {
    [
        &mut coverage.n_files,
        &mut coverage.n_files_supported,
        &mut coverage.n_files_indexed,
        &mut coverage.n_files_with_problems,
        &mut coverage.n_symbols,
        &mut coverage.n_calls,
        &mut coverage.n_calls_resolved,
    ]
}

/// Writes an object id: its length in bytes, then 32 bytes, the unused ones zero.
pub(crate) fn put_oid(out: &mut Vec<u8>, oid: &GitOid) {
    out.push(oid.as_bytes().len() as u8);
    out.extend_from_slice(oid.as_bytes());
    out.resize(out.len() + 32 - oid.as_bytes().len(), 0);
}

/// Bytes to be read from the front; every read is checked.
pub(crate) struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    pub fn u8(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    pub fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    pub fn oid(&mut self) -> Option<GitOid> {
        let n = usize::from(self.u8()?);
        GitOid::from_bytes(self.take(32)?.get(..n)?).ok()
    }
}
