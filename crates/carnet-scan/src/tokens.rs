//! What stands for what in a redacted text, and the way back.
//!
//! Without a [`RedactionMap`] only names are kept; with one, each distinct value has a token of its own, and text that looks like
//! a token is taken for a value, so that [`Rehydrator`] gives back exactly what was redacted.
//!
//! Invariant: the tokens of one pass of redaction are undone together, the last pass first, so that what comes out of each step is
//! exactly the text that the pass was given.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher as _, RandomState},
    ops::Range,
};

use carnet_core::Digest;
use zeroize::Zeroizing;

use crate::{
    redact::{PASSES_MAX, Replaced, TOKEN_START, put_token},
    stream::Redacted,
};

/// Values of which the name is remembered.
const NAMES_MAX: usize = 1 << 20;
/// Bytes of the longest name of a token.
pub(crate) const NAME_BYTES_MAX: usize = 160;
/// The name of what looks like a token in the text that is redacted.
const LITERAL: &str = "text";

/// What one token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapEntry {
    /// The token is `[REDACTED:NAME]`.
    pub name: String,
    /// The bytes it stands for.
    pub value: Zeroizing<Vec<u8>>,
    /// The pass that replaced it: 0 for those that saw the text as it came, more for those that saw tokens in it.
    pub pass: u8,
}

/// Why entries are no map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// A name breaks the frame of a token, or is too long.
    #[error("the name of entry {number} does not fit into `[REDACTED:NAME]`")]
    Name {
        /// Position in the list, from 1.
        number: usize,
    },
    /// Two entries have one name.
    #[error("entry {number} has the name of another")]
    Twice {
        /// Position in the list, from 1.
        number: usize,
    },
    /// There are not so many passes.
    #[error("entry {number} is of a pass that there is not")]
    Pass {
        /// Position in the list, from 1.
        number: usize,
    },
}

/// What stands for what. Holds secrets: they are wiped when it is dropped.
#[derive(Debug, Clone, Default)]
pub struct RedactionMap {
    entries: Vec<MapEntry>,
    idx_of: HashMap<(Digest, u8), usize>,
    idx_of_name: HashMap<String, usize>,
    /// How many entries have names that begin with this one.
    n_of: HashMap<String, usize>,
    /// How many entries were there before the text that is redacted now.
    n_before: usize,
}

impl RedactionMap {
    /// Takes the entries of a map that was kept; texts that are redacted with it use its tokens again.
    ///
    /// # Errors
    ///
    /// [`MapError`] names the first entry that is wrong.
    pub fn new(entries: Vec<MapEntry>) -> Result<RedactionMap, MapError> {
        let mut map = RedactionMap::default();
        for (idx, entry) in entries.into_iter().enumerate() {
            let number = idx + 1;
            let fits = (1..=NAME_BYTES_MAX).contains(&entry.name.len());
            if !fits || !entry.name.bytes().all(is_name_byte) {
                return Err(MapError::Name { number });
            }
            if map.idx_of_name.insert(entry.name.clone(), idx).is_some() {
                return Err(MapError::Twice { number });
            }
            if usize::from(entry.pass) >= PASSES_MAX {
                return Err(MapError::Pass { number });
            }
            let base = entry.name.split('#').next().unwrap_or_default().to_owned();
            *map.n_of.entry(base).or_default() += 1;
            map.idx_of.entry((Digest::of(&entry.value), entry.pass)).or_insert(idx);
            map.entries.push(entry);
        }
        Ok(map)
    }

    /// Returns the entries in the order in which they were made.
    pub fn entries(&self) -> &[MapEntry] {
        &self.entries
    }

    /// Begins to put back what tokens stand for.
    pub fn rehydrator(&self) -> Rehydrator<'_> {
        let mut steps: BTreeMap<u8, Step<'_>> = BTreeMap::new();
        for entry in &self.entries {
            let step = steps.entry(entry.pass).or_default();
            step.values.insert(entry.name.as_bytes(), &entry.value);
        }
        Rehydrator { steps: steps.into_values().rev().collect() }
    }

    /// Returns the entry of a value, made now where there is none.
    fn entry(&mut self, base: &str, value: &[u8], pass: u8) -> usize {
        let key = (Digest::of(value), pass);
        if let Some(idx) = self.idx_of.get(&key) {
            return *idx;
        }
        let idx = self.add(base, value, pass);
        self.idx_of.insert(key, idx);
        idx
    }

    /// Makes an entry: `NAME` for the first of its kind, `NAME#2` for the second.
    fn add(&mut self, base: &str, value: &[u8], pass: u8) -> usize {
        let idx = self.entries.len();
        let n_of = self.n_of.entry(base.to_owned()).or_default();
        let name = loop {
            *n_of += 1;
            let name = if *n_of == 1 { base.to_owned() } else { format!("{base}#{n_of}") };
            if !self.idx_of_name.contains_key(&name) {
                break name;
            }
        };
        self.idx_of_name.insert(name.clone(), idx);
        self.entries.push(MapEntry { name, value: Zeroizing::new(value.to_vec()), pass });
        idx
    }

    /// Whether a token was one before the text that is redacted now.
    fn is_of_before(&self, name: &[u8]) -> bool {
        let idx = std::str::from_utf8(name).ok().and_then(|name| self.idx_of_name.get(name));
        idx.is_some_and(|idx| *idx < self.n_before)
    }
}

/// What was put in place of what, in one text.
#[derive(Debug)]
pub(crate) struct Tokens {
    replaced: Replaced,
    hasher: RandomState,
    /// The name of a value, by its hash.
    name_of: HashMap<u64, String>,
    map: Option<RedactionMap>,
}

impl Tokens {
    pub(crate) fn new(map: Option<RedactionMap>) -> Tokens {
        let map = map.map(|map| RedactionMap { n_before: map.entries.len(), ..map });
        let (replaced, hasher) = (Replaced::default(), RandomState::new());
        Tokens { replaced, hasher, name_of: HashMap::new(), map }
    }

    /// Appends the token of `value`.
    pub(crate) fn put(&mut self, name: &str, value: &[u8], pass: u8, out: &mut Vec<u8>) {
        if let Some(map) = &mut self.map {
            let idx = map.entry(name, value, pass);
            if name != LITERAL {
                self.replaced.count(&map.entries[idx].name);
            }
            return put_token(&map.entries[idx].name, out);
        }
        let hash = self.hasher.hash_one(value);
        let is_full = self.name_of.len() >= NAMES_MAX;
        let known = match self.name_of.get(&hash) {
            Some(known) => known,
            None if is_full => name,
            None => self.name_of.entry(hash).or_insert_with(|| name.to_owned()),
        };
        self.replaced.count(known);
        put_token(known, out);
    }

    /// Appends the token of the rest of a text, and returns where that rest goes.
    pub(crate) fn put_rest(&mut self, name: &str, pass: u8, out: &mut Vec<u8>) -> Option<usize> {
        let idx = self.map.as_mut().map(|map| map.add(name, b"", pass));
        let name = match (&self.map, idx) {
            (Some(map), Some(idx)) => map.entries[idx].name.as_str(),
            _ => name,
        };
        self.replaced.count(name);
        put_token(name, out);
        idx
    }

    /// Keeps more of the rest of a text.
    pub(crate) fn keep_rest(&mut self, idx: Option<usize>, bytes: &[u8]) {
        if let (Some(map), Some(idx)) = (&mut self.map, idx) {
            map.entries[idx].value.extend_from_slice(bytes);
        }
    }

    /// Adds to the sorted regions of a text those that look like tokens, where all is to be given back.
    pub(crate) fn add_literals(&self, text: &[u8], named: &mut Vec<(Range<usize>, &str)>) {
        let Some(map) = &self.map else { return };
        let mut all = std::mem::take(named).into_iter().peekable();
        let literals = memchr::memmem::find_iter(text, TOKEN_START).filter_map(|start| {
            let name = name_at(&text[start + TOKEN_START.len()..]);
            let is_token = name.is_some_and(|name| map.is_of_before(name));
            let len = TOKEN_START.len() + name.map_or(0, |name| name.len() + 1);
            (!is_token).then_some(start..start + len)
        });
        for mut literal in literals {
            while let Some(it) = all.next_if(|it| it.0.end <= literal.start) {
                named.push(it);
            }
            let mut name = LITERAL;
            // One that shares bytes with a value goes with it.
            while let Some(it) = all.next_if(|it| it.0.start < literal.end) {
                literal = literal.start.min(it.0.start)..literal.end.max(it.0.end);
                name = it.1;
            }
            match named.last_mut().filter(|last| last.0.end > literal.start) {
                Some(last) => last.0.end = last.0.end.max(literal.end),
                None => named.push((literal, name)),
            }
        }
        named.extend(all);
    }

    pub(crate) fn finish(self) -> Redacted {
        Redacted { replaced: self.replaced, map: self.map }
    }
}

impl Replaced {
    fn count(&mut self, name: &str) {
        match self.by_name.get_mut(name) {
            Some(n) => *n += 1,
            None => drop(self.by_name.insert(name.to_owned(), 1)),
        }
    }
}

/// Puts back what tokens stand for, in a text that arrives in chunks. Tokens of no entry stay.
#[derive(Debug)]
pub struct Rehydrator<'m> {
    /// One for each pass that replaced something, the last pass first.
    steps: Vec<Step<'m>>,
}

#[derive(Debug, Default)]
struct Step<'m> {
    values: HashMap<&'m [u8], &'m [u8]>,
    /// The beginning of what may be a token.
    held: Vec<u8>,
}

impl Rehydrator<'_> {
    /// Takes the next chunk, of any length, and appends to `out` what is certain by now.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        undo(&mut self.steps, chunk, false, out);
    }

    /// Ends the text and appends what remains.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        undo(&mut self.steps, &[], true, out);
    }
}

fn undo(steps: &mut [Step<'_>], chunk: &[u8], is_ended: bool, out: &mut Vec<u8>) {
    let Some((step, later)) = steps.split_first_mut() else {
        return out.extend_from_slice(chunk);
    };
    let mut text = std::mem::take(&mut step.held);
    text.extend_from_slice(chunk);
    let mut undone = vec![];
    let n_done = step.put_back(&text, is_ended, &mut undone);
    step.held = text.split_off(n_done);
    undo(later, &undone, is_ended, out);
}

impl Step<'_> {
    /// Appends `text` with its tokens replaced, up to where a token may go on after its end; returns how far that is.
    fn put_back(&self, text: &[u8], is_ended: bool, out: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while let Some(n) = memchr::memchr(TOKEN_START[0], &text[at..]) {
            let start = at + n;
            let rest = &text[start..];
            let head = &rest[..rest.len().min(TOKEN_START.len())];
            let name = rest.strip_prefix(TOKEN_START).and_then(name_at);
            let may_go_on = name.is_none()
                && TOKEN_START.starts_with(head)
                && rest.len() <= TOKEN_START.len() + NAME_BYTES_MAX;
            out.extend_from_slice(&text[at..start]);
            match name.and_then(|name| Some((name, self.values.get(name)?))) {
                Some((name, value)) => {
                    out.extend_from_slice(value);
                    at = start + TOKEN_START.len() + name.len() + 1;
                }
                None if may_go_on && !is_ended => return start,
                None => {
                    out.push(rest[0]);
                    at = start + 1;
                }
            }
        }
        out.extend_from_slice(&text[at..]);
        text.len()
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.#".contains(&byte)
}

/// Returns the name that ends with the first `]`.
pub(crate) fn name_at(text: &[u8]) -> Option<&[u8]> {
    let len = text.iter().take(NAME_BYTES_MAX + 1).position(|byte| !is_name_byte(*byte))?;
    (len > 0 && text[len] == b']').then_some(&text[..len])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str, u8)]) -> Result<RedactionMap, MapError> {
        let entries = entries.iter().map(|(name, value, pass)| MapEntry {
            name: (*name).to_owned(),
            value: Zeroizing::new(value.as_bytes().to_vec()),
            pass: *pass,
        });
        RedactionMap::new(entries.collect())
    }

    #[test]
    fn tokens_of_entries_are_put_back_at_every_split_and_others_stay() {
        let map =
            map(&[("A", "one", 0), ("B", "REDACTED:A]!", 1), ("C", "[REDACTED:A]", 0)]).unwrap();
        let text = b"x[REDACTED:A][[REDACTED:B]\n[[REDACTED:C] [REDACTED:D] [REDACTED: [REDACTED:A";
        let expect = b"xoneone!\n[[REDACTED:A] [REDACTED:D] [REDACTED: [REDACTED:A";
        for at in 0..=text.len() {
            let mut rehydrator = map.rehydrator();
            let mut out = vec![];
            rehydrator.push(&text[..at], &mut out);
            rehydrator.push(&text[at..], &mut out);
            rehydrator.finish(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(expect), "{at}");
        }
    }

    #[test]
    fn a_map_that_is_none_is_refused() {
        let error = |entries: &[(&str, &str, u8)]| map(entries).unwrap_err();
        assert_eq!(error(&[("A]", "x", 0)]), MapError::Name { number: 1 });
        assert_eq!(error(&[("", "x", 0)]), MapError::Name { number: 1 });
        assert_eq!(error(&[("A", "x", 0), ("A", "y", 0)]), MapError::Twice { number: 2 });
        assert_eq!(error(&[("A", "x", 4)]), MapError::Pass { number: 1 });
    }
}
