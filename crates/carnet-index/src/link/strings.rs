//! All texts of one snapshot, each name once.

use std::collections::HashMap;

use crate::{IndexError, link::number};

/// Position of a text.
pub(crate) type StringId = u32;

/// Texts in the order they were first met, so that equal facts give equal bytes.
pub(crate) struct Strings {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    known: HashMap<Box<[u8]>, StringId>,
}

impl Strings {
    pub fn new() -> Strings {
        Strings { bytes: Vec::new(), ends: Vec::new(), known: HashMap::new() }
    }

    /// Returns the position of `text`, adding it when it is new.
    pub fn intern(&mut self, text: &[u8]) -> Result<StringId, IndexError> {
        if let Some(id) = self.known.get(text) {
            return Ok(*id);
        }
        let id = self.add(text)?;
        self.known.insert(text.into(), id);
        Ok(id)
    }

    /// Adds a text that is hardly ever met twice.
    pub fn add(&mut self, text: &[u8]) -> Result<StringId, IndexError> {
        let id = number(self.ends.len(), "texts")?;
        self.bytes.extend_from_slice(text);
        self.ends.push(number(self.bytes.len(), "bytes of text")?);
        Ok(id)
    }

    /// Returns the position of `text` when it is there.
    pub fn find(&self, text: &[u8]) -> Option<StringId> {
        self.known.get(text).copied()
    }

    /// Returns a text that was added.
    pub fn get(&self, id: StringId) -> &[u8] {
        let start = id.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
        &self.bytes[start as usize..self.ends[id as usize] as usize]
    }

    /// Returns a text that was added, invalid UTF-8 replaced (only paths can be invalid).
    pub fn text(&self, id: StringId) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.get(id))
    }

    pub fn all_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn all_ends(&self) -> &[u32] {
        &self.ends
    }
}
