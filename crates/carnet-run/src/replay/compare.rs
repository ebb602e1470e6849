//! Two runs side by side, each output by its class. No IO but through the two readers.
//!
//! Invariants: equal digests need no bytes; what is not declared is exact; a difference always carries the first byte at
//! which the stored bytes part, whatever the class.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Read},
};

use carnet_core::{Digest, Normaliser, OutputClass, passport::Passport};

use super::{
    cause::{Cause, likely_cause},
    class::Classes,
    excerpt::{At, CONTEXT_BYTES, Excerpt, Place, excerpt, place},
    normalise::normalise,
    structural::structure,
};
use crate::record::describe_chain;

/// One file, opened; or what is missing of it, in words.
type Opened<'a> = Result<Box<dyn Read + 'a>, String>;

/// One run's files: what they are, and how their bytes are read.
pub struct Side<'a> {
    /// By path in the run tree: digest and executable bit.
    pub files: BTreeMap<String, (Digest, bool)>,
    /// Opens one of them.
    pub open: &'a dyn Fn(&str, Digest) -> Opened<'a>,
}

impl<'a> Side<'a> {
    fn open(&self, path: &str) -> Opened<'a> {
        let (digest, _) = self.files.get(path).ok_or_else(|| format!("no `{path}`"))?;
        (self.open)(path, *digest)
    }

    /// Reads a file whole, or as much of it as says that it is larger than [`WHOLE_BYTES_MAX`].
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let mut bytes = vec![];
        let mut start = self.open(path)?.take(WHOLE_BYTES_MAX as u64 + 1);
        start.read_to_end(&mut bytes).map_err(|error| describe_chain(&error))?;
        Ok(bytes)
    }
}

/// Bytes of an output at most for it to be normalised or explained; a larger one is compared byte for byte.
const WHOLE_BYTES_MAX: usize = 64 << 20;

/// Files of a run by path, with digest and executable bit.
///
/// - `with_artifacts`: whether its outputs count, or its logs alone.
pub fn files_of(passport: &Passport, with_artifacts: bool) -> BTreeMap<String, (Digest, bool)> {
    let logs = passport.logs.iter().map(|log| (format!("logs/{}", log.name), (log.sha256, false)));
    let artifacts = passport.artifacts.iter().filter(|_| with_artifacts).map(|artifact| {
        (format!("artifacts/{}", artifact.name), (artifact.sha256, artifact.executable))
    });
    logs.chain(artifacts).collect()
}

/// What a comparison came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Where the runs differ, by path; empty for a match.
    pub differences: Vec<Difference>,
    /// Files whose bytes differ and whose class forgives it.
    pub forgiven: Vec<(String, OutputClass)>,
    /// Files that could not be compared, with what is missing.
    pub incomparable: Vec<(String, String)>,
}

/// One place where a replay differs from the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `artifacts/…`, `logs/…` or `outcome`.
    pub path: String,
    /// The class under which it was compared.
    pub class: OutputClass,
    /// How.
    pub how: How,
}

/// How two runs differ at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// The bytes differ.
    Content(Box<ContentDifference>),
    /// The bytes differ, and those of the record cannot be read any more.
    Unreadable {
        /// What is missing.
        missing: String,
    },
    /// Recorded, and not there now.
    Missing,
    /// There now, and not recorded.
    Extra,
    /// Another mode or another outcome, in words.
    Other {
        /// As recorded.
        recorded: String,
        /// As it is now.
        replayed: String,
    },
}

/// Where and how the bytes of one file part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentDifference {
    /// Offset of the first differing byte; the shorter length when one is a prefix of the other.
    pub first_byte: u64,
    /// Length of the recorded bytes.
    pub recorded_bytes: u64,
    /// Length of the new bytes.
    pub replayed_bytes: u64,
    /// Where a person finds it: member of an archive, line, column.
    pub place: Place,
    /// The bytes around the place, as recorded.
    pub recorded: Excerpt,
    /// The same, as they are now.
    pub replayed: Excerpt,
    /// What probably did it.
    pub cause: Option<Cause>,
}

/// Compares two runs file by file.
pub fn compare(recorded: &Side<'_>, replayed: &Side<'_>, classes: &Classes) -> Comparison {
    let mut comparison = Comparison::default();
    for (path, (digest, executable)) in &recorded.files {
        let (class, normalisers) = classes.of(path);
        let how = match replayed.files.get(path) {
            None => Some(How::Missing),
            Some((_, now)) if now != executable => Some(mode_change(*executable, *now)),
            Some((now, _)) if now == digest => None,
            Some(_) => comparison.contents(path, class, normalisers, recorded, replayed),
        };
        comparison.differences.extend(how.map(|how| Difference { path: path.clone(), class, how }));
    }
    for path in replayed.files.keys().filter(|path| !recorded.files.contains_key(*path)) {
        let class = classes.of(path).0;
        comparison.differences.push(Difference { path: path.clone(), class, how: How::Extra });
    }
    comparison
}

impl Comparison {
    /// Compares two files whose digests differ.
    fn contents(
        &mut self,
        path: &str,
        class: OutputClass,
        normalisers: &[Normaliser],
        recorded: &Side<'_>,
        replayed: &Side<'_>,
    ) -> Option<How> {
        if class == OutputClass::Nondeterministic {
            self.forgiven.push((path.to_owned(), class));
            return None;
        }
        let compared = recorded.read(path).and_then(|then| Ok((then, replayed.read(path)?)));
        let difference = match compared {
            Ok((then, now)) if then.len().max(now.len()) <= WHOLE_BYTES_MAX => {
                if is_forgiven(class, normalisers, &then, &now) {
                    self.forgiven.push((path.to_owned(), class));
                    return None;
                }
                Ok(ContentDifference::of(&then, &now))
            }
            Ok(_) => ContentDifference::of_large(path, recorded, replayed),
            Err(missing) => Err(missing),
        };
        match difference {
            Ok(difference) => Some(How::Content(Box::new(difference))),
            // Unequal digests are a difference by themselves; only a softer class needs the bytes to judge.
            Err(missing) if class == OutputClass::Exact => Some(How::Unreadable { missing }),
            Err(missing) => {
                self.incomparable.push((path.to_owned(), missing));
                None
            }
        }
    }
}

fn is_forgiven(class: OutputClass, normalisers: &[Normaliser], then: &[u8], now: &[u8]) -> bool {
    match class {
        OutputClass::Exact => false,
        OutputClass::Normalised => normalise(then, normalisers) == normalise(now, normalisers),
        OutputClass::Structural => structure(then).is_some_and(|then| Some(then) == structure(now)),
        OutputClass::Nondeterministic => true,
    }
}

impl ContentDifference {
    fn of(recorded: &[u8], replayed: &[u8]) -> ContentDifference {
        let first_byte = first_difference(recorded, replayed);
        let (place, recorded_at, replayed_at) = place(recorded, replayed, first_byte);
        ContentDifference {
            first_byte: first_byte as u64,
            recorded_bytes: recorded.len() as u64,
            replayed_bytes: replayed.len() as u64,
            place,
            recorded: excerpt(&recorded_at),
            replayed: excerpt(&replayed_at),
            cause: likely_cause(recorded, replayed),
        }
    }
}

impl ContentDifference {
    /// Finds where two outputs part that are too large to be held in memory.
    fn of_large(
        path: &str,
        recorded: &Side<'_>,
        replayed: &Side<'_>,
    ) -> Result<ContentDifference, String> {
        let words = |error: io::Error| describe_chain(&error);
        let (mut then, mut now) = (recorded.open(path)?, replayed.open(path)?);
        let (first_byte, recorded_bytes, replayed_bytes) =
            stream_difference(&mut *then, &mut *now).map_err(words)?;
        let around = |side: &Side<'_>| -> Result<Excerpt, String> {
            let start = first_byte.saturating_sub(CONTEXT_BYTES as u64);
            let mut reader = side.open(path)?;
            io::copy(&mut (&mut reader).take(start), &mut io::sink()).map_err(words)?;
            let mut bytes = vec![];
            reader.take(2 * CONTEXT_BYTES as u64).read_to_end(&mut bytes).map_err(words)?;
            let byte = usize::try_from(first_byte - start).unwrap_or(usize::MAX);
            Ok(excerpt(&At { byte: byte.min(bytes.len()), bytes }))
        };
        Ok(ContentDifference {
            first_byte,
            recorded_bytes,
            replayed_bytes,
            place: Place { members: vec![], line: None, byte: first_byte },
            recorded: around(recorded)?,
            replayed: around(replayed)?,
            cause: None,
        })
    }
}

/// Offset of the first byte that differs, or the shorter length; and both lengths.
fn stream_difference(a: &mut dyn Read, b: &mut dyn Read) -> io::Result<(u64, u64, u64)> {
    let (mut a, mut b) = (BufReader::new(a), BufReader::new(b));
    let mut same = 0;
    loop {
        let (ours, theirs) = (a.fill_buf()?, b.fill_buf()?);
        let n_both = ours.len().min(theirs.len());
        let n_same = first_difference(ours, theirs);
        a.consume(n_same);
        b.consume(n_same);
        same += n_same as u64;
        if n_same < n_both || n_both == 0 {
            let rest = |reader: &mut dyn Read| io::copy(reader, &mut io::sink());
            return Ok((same, same + rest(&mut a)?, same + rest(&mut b)?));
        }
    }
}

fn mode_change(recorded: bool, replayed: bool) -> How {
    let word = |executable| if executable { "executable" } else { "not executable" }.to_owned();
    How::Other { recorded: word(recorded), replayed: word(replayed) }
}

/// Offset of the first byte that differs, or the shorter length.
pub(super) fn first_difference(a: &[u8], b: &[u8]) -> usize {
    let shorter = a.len().min(b.len());
    a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(shorter)
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
