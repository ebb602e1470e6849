//! Contents: cut into chunks, stored once, put together again.
//!
//! Writing takes two readings. The first ([`survey()`]) shows every byte to the caller, who has it scanned, and notes
//! the chunks; the second writes only chunks that the first one saw. Memory holds a few chunks, whatever the length.

use std::io::{self, Read};

use carnet_core::{Digest, Digester};
use fastcdc::v2020::StreamCDC;

use super::{DirStore, ObjectKey, ObjectStore, StoreError, dir::OBJECT_BYTES_MAX, seal, unseal};
use crate::Pointer;

/// Contents up to this length are one chunk.
const ONE_CHUNK_BYTES_MAX: usize = 2 << 20;
const CHUNK_BYTES_MIN: usize = 256 << 10;
const CHUNK_BYTES_MEAN: usize = 1 << 20;
/// Longest chunk, in bytes.
pub const CHUNK_BYTES_MAX: usize = 4 << 20;
/// Longest list, in bytes; a content with more chunks than fit is refused.
const LIST_BYTES_MAX: usize = OBJECT_BYTES_MAX as usize - (1 << 10);
const LIST_HEAD: &str = "carnet/content/1";

/// A piece of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRef {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub size_bytes: u32,
}

/// A content and its chunks in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentList {
    /// The content.
    pub pointer: Pointer,
    /// Its chunks.
    pub chunks: Vec<ChunkRef>,
}

/// Why a content could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// No store has it.
    #[error("content `{digest}` is in none of: {}", .places.join(", "))]
    Missing {
        /// The content.
        digest: Digest,
        /// The stores that were asked.
        places: Vec<String>,
    },
    /// It is damaged, or a part of it is missing, in every store.
    #[error("content `{digest}` cannot be put together: `{object}`: {detail}")]
    Damaged {
        /// The content.
        digest: Digest,
        /// The object that is damaged.
        object: ObjectKey,
        /// What was found where.
        detail: String,
    },
    /// The file changed between the two readings; nothing names what was written.
    #[error("the file changed while it was read")]
    Changed,
    /// It has more chunks than a list can hold.
    #[error("the content is too large for a store")]
    TooLarge,
    /// The file could not be read.
    #[error("read the content")]
    Read(#[source] io::Error),
    /// It could not be written out.
    #[error("write the content")]
    Write(#[source] io::Error),
    /// A store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads a content once: shows every byte to `look`, in order, and notes digest, length and chunks.
///
/// # Errors
///
/// What the reader said, and [`ContentError::TooLarge`].
pub fn survey(
    content: &mut dyn Read,
    look: &mut dyn FnMut(&[u8]),
) -> Result<ContentList, ContentError> {
    let (mut digester, mut size_bytes, mut chunks) = (Digester::new(), 0, vec![]);
    each_chunk(content, &mut |bytes| {
        look(bytes);
        digester.update(bytes);
        size_bytes += bytes.len() as u64;
        chunks.push(chunk_ref(bytes));
        if chunks.len() * 80 > LIST_BYTES_MAX { Err(ContentError::TooLarge) } else { Ok(()) }
    })?;
    Ok(ContentList { pointer: Pointer { digest: digester.finish(), size_bytes }, chunks })
}

fn chunk_ref(bytes: &[u8]) -> ChunkRef {
    let size_bytes = u32::try_from(bytes.len()).expect("because a chunk is at most 4 MiB");
    ChunkRef { digest: Digest::of(bytes), size_bytes }
}

fn each_chunk(
    content: &mut dyn Read,
    take: &mut dyn FnMut(&[u8]) -> Result<(), ContentError>,
) -> Result<(), ContentError> {
    let mut begin = vec![];
    let limit = ONE_CHUNK_BYTES_MAX as u64 + 1;
    Read::take(&mut *content, limit).read_to_end(&mut begin).map_err(ContentError::Read)?;
    if begin.len() <= ONE_CHUNK_BYTES_MAX {
        return if begin.is_empty() { Ok(()) } else { take(&begin) };
    }
    let whole = begin.as_slice().chain(content);
    for chunk in StreamCDC::new(whole, CHUNK_BYTES_MIN, CHUNK_BYTES_MEAN, CHUNK_BYTES_MAX) {
        take(&chunk.map_err(|error| ContentError::Read(error.into()))?.data)?;
    }
    Ok(())
}

impl ContentList {
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("{LIST_HEAD}\nsize {}\n", self.pointer.size_bytes);
        for ChunkRef { digest, size_bytes } in &self.chunks {
            text.push_str(&format!("{digest} {size_bytes}\n"));
        }
        text
    }

    /// Reads the list of the content `digest`; `None` unless the lengths add up.
    pub(crate) fn parse(digest: Digest, text: &[u8]) -> Option<ContentList> {
        let text = std::str::from_utf8(text).ok()?;
        let rest = text.strip_prefix(LIST_HEAD)?.strip_prefix("\nsize ")?;
        let (size, lines) = rest.split_once('\n')?;
        let size_bytes = size.parse().ok()?;
        let mut chunks = vec![];
        let mut sum: u64 = 0;
        for line in lines.lines() {
            let (hex, length) = line.split_once(' ')?;
            let chunk =
                ChunkRef { digest: Digest::from_hex(hex).ok()?, size_bytes: length.parse().ok()? };
            sum += u64::from(chunk.size_bytes);
            if chunk.size_bytes as usize > CHUNK_BYTES_MAX {
                return None;
            }
            chunks.push(chunk);
        }
        let list = ContentList { pointer: Pointer { digest, size_bytes }, chunks };
        (sum == size_bytes && list.to_text() == text).then_some(list)
    }
}

/// The stores of a repository, in the order in which they are asked.
pub struct Stores {
    /// Written first, read first, mended from the others.
    pub own: DirStore,
    /// Shared with other clones: written after the own one.
    pub shared: Option<Box<dyn ObjectStore>>,
    /// Only read: backups.
    pub spare: Vec<DirStore>,
}

impl Stores {
    /// A repository's own store alone.
    pub fn own(own: DirStore) -> Stores {
        Stores { own, shared: None, spare: vec![] }
    }

    /// Writes a content that was surveyed; what is there already is not written again.
    ///
    /// - `content`: the same bytes once more, from their beginning.
    ///
    /// # Errors
    ///
    /// [`ContentError::Changed`] when they are not the same; no chunk that the survey did not see is written.
    pub fn put(&self, list: &ContentList, content: &mut dyn Read) -> Result<(), ContentError> {
        put_into(&self.own, list, content)
    }

    /// Copies a content of the own store into the shared one, when there is one. Returns whether anything was written.
    ///
    /// # Errors
    ///
    /// [`ContentError`]; the own store has it all the same.
    pub fn share(&self, digest: &Digest) -> Result<bool, ContentError> {
        let Some(shared) = &self.shared else { return Ok(false) };
        self.copy(digest, &**shared).map(|(n_written, _)| n_written > 0)
    }

    /// Copies a content into `target`, a store that may have some of it already. Returns how many objects were written.
    ///
    /// # Errors
    ///
    /// [`ContentError`]; the list is written last, so a copy that broke off is no content yet.
    pub fn copy(
        &self,
        digest: &Digest,
        target: &dyn ObjectStore,
    ) -> Result<(u64, ContentList), ContentError> {
        let list = self.list(digest)?;
        let mut n_written = 0;
        for chunk in &list.chunks {
            let key = ObjectKey::chunk(chunk.digest);
            let bytes = self.chunk(digest, chunk)?;
            n_written += u64::from(target.put_new(&key, &seal(&bytes, true))?);
        }
        let key = ObjectKey::list(*digest);
        n_written += u64::from(target.put_new(&key, &seal(list.to_text().as_bytes(), false))?);
        Ok((n_written, list))
    }

    /// Reads the list of a content.
    ///
    /// # Errors
    ///
    /// [`ContentError::Missing`] when no store has it, [`ContentError::Damaged`] when none has it whole.
    pub fn list(&self, digest: &Digest) -> Result<ContentList, ContentError> {
        let key = ObjectKey::list(*digest);
        self.fetch(digest, key, &|sealed| {
            let text = unseal(sealed, LIST_BYTES_MAX)?;
            ContentList::parse(*digest, &text).ok_or("it is no list of chunks")
        })
    }

    /// Opens a content for reading. Every chunk is compared with its digest before a byte of it is given out, and the
    /// whole at the end: an error of the reader carries a [`ContentError`].
    ///
    /// # Errors
    ///
    /// As [`Stores::list`].
    pub fn open(&self, digest: &Digest) -> Result<ContentReader<'_>, ContentError> {
        let list = self.list(digest)?;
        let digester = Some(Digester::new());
        Ok(ContentReader { stores: self, list, next_chunk: 0, chunk: vec![], at: 0, digester })
    }

    fn chunk(&self, content: &Digest, chunk: &ChunkRef) -> Result<Vec<u8>, ContentError> {
        self.fetch(content, ObjectKey::chunk(chunk.digest), &|sealed| {
            let bytes = unseal(sealed, chunk.size_bytes as usize)?;
            let is_meant = Digest::of(&bytes) == chunk.digest;
            if is_meant { Ok(bytes) } else { Err("it is another chunk") }
        })
    }

    /// Takes an object from the first store that has it sound, and mends the own store with it.
    fn fetch<T>(
        &self,
        content: &Digest,
        key: ObjectKey,
        open: &dyn Fn(&[u8]) -> Result<T, &'static str>,
    ) -> Result<T, ContentError> {
        let mut said = vec![];
        let mut away = None;
        let own = std::iter::once(&self.own as &dyn ObjectStore);
        let spare = self.spare.iter().map(|spare| spare as &dyn ObjectStore);
        for store in own.chain(self.shared.iter().map(Box::as_ref)).chain(spare) {
            match store.get(&key) {
                Ok(None) => said.push((store.place(), "missing")),
                Err(error) => {
                    said.push((store.place(), "it does not answer"));
                    away = away.or(Some(error));
                }
                Ok(Some(sealed)) => match open(&sealed) {
                    Err(detail) => said.push((store.place(), detail)),
                    Ok(opened) => {
                        if !said.is_empty() {
                            // Only a courtesy to the next reader: a read-only store is mended by no one.
                            let _ = self.own.put_new(&key, &sealed);
                        }
                        return Ok(opened);
                    }
                },
            }
        }
        if let Some(error) = away {
            return Err(error.into());
        }
        if key == ObjectKey::list(*content) && said.iter().all(|(_, detail)| *detail == "missing") {
            let places = said.into_iter().map(|(place, _)| place).collect();
            return Err(ContentError::Missing { digest: *content, places });
        }
        let detail = said.iter().map(|(place, detail)| format!("{detail} in {place}"));
        let detail = detail.collect::<Vec<_>>().join("; ");
        Err(ContentError::Damaged { digest: *content, object: key, detail })
    }
}

fn put_into(
    store: &dyn ObjectStore,
    list: &ContentList,
    content: &mut dyn Read,
) -> Result<(), ContentError> {
    let mut expected = list.chunks.iter();
    each_chunk(content, &mut |bytes| {
        if expected.next() != Some(&chunk_ref(bytes)) {
            return Err(ContentError::Changed);
        }
        store.put_new(&ObjectKey::chunk(Digest::of(bytes)), &seal(bytes, true))?;
        Ok(())
    })?;
    if expected.next().is_some() {
        return Err(ContentError::Changed);
    }
    let sealed = seal(list.to_text().as_bytes(), false);
    store.put_new(&ObjectKey::list(list.pointer.digest), &sealed)?;
    Ok(())
}

/// Reads a content chunk by chunk. See [`Stores::open`].
pub struct ContentReader<'a> {
    stores: &'a Stores,
    list: ContentList,
    next_chunk: usize,
    chunk: Vec<u8>,
    at: usize,
    /// Gone once the end was reached and found to be right.
    digester: Option<Digester>,
}

impl ContentReader<'_> {
    fn advance(&mut self) -> Result<bool, ContentError> {
        let digest = self.list.pointer.digest;
        let Some(chunk) = self.list.chunks.get(self.next_chunk) else {
            let whole = self.digester.take().map(Digester::finish);
            if whole.is_some_and(|whole| whole != digest) {
                let object = ObjectKey::list(digest);
                let detail = "its chunks are those of another content".to_owned();
                return Err(ContentError::Damaged { digest, object, detail });
            }
            return Ok(false);
        };
        self.chunk = self.stores.chunk(&digest, chunk)?;
        if let Some(digester) = &mut self.digester {
            digester.update(&self.chunk);
        }
        (self.next_chunk, self.at) = (self.next_chunk + 1, 0);
        Ok(true)
    }
}

impl Read for ContentReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() {
            if !self.advance().map_err(io::Error::other)? {
                return Ok(0);
            }
        }
        let n = out.len().min(self.chunk.len() - self.at);
        out[..n].copy_from_slice(&self.chunk[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
