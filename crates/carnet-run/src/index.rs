//! The local index of runs: what makes lists fast. It is made of the ledger's chains, and can be made again at any time.
//!
//! One file, `<state>/runs.idx`, that only grows: framed records with a checksum each, a run or the tip up to which a chain was
//! read. Opening it reads the file, walks what the chains gained since, and appends that. What does not fit (a chain
//! that was rewritten or is gone, another format) makes it be built anew, beside, and renamed. A state directory that
//! cannot be written costs time, never an answer. It is no database: those admit one process at a time, and many ask.
//!
//! A broken event is reported beside the readable ones; it never hides them, and never passes for one.
//!
//! Invariant: the index lists what the chains hold. It says nothing of signatures; `verify` reads the chains themselves.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use carnet_core::{GitOid, RunId, Timestamp};
use carnet_git::{RefError, Repo};

use crate::{
    event::{EventKind, RunEvent},
    ledger::{FindError, LedgerEntry, LedgerProblem, chains, read_event},
};

const MAGIC: &[u8] = b"carnet/index/1\n";
/// Length and checksum before each record.
const HEAD_BYTES: usize = 8;
const RUN: u8 = 1;
const TIP: u8 = 2;
/// Most runs that an ambiguous prefix is answered with.
const CANDIDATES_MAX: usize = 8;
/// Fewest digits of a prefix.
const PREFIX_MIN: usize = 4;

/// Every run of the ledger, each once.
#[derive(Debug)]
pub struct Index {
    bytes: Vec<u8>,
    /// Sorted by id.
    rows: Vec<Row>,
    /// Into `rows`, newest run first.
    order: Vec<usize>,
    /// Where reading had to stop.
    pub problems: Vec<LedgerProblem>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    run: RunId,
    at: Timestamp,
    locked: bool,
    /// Where the record's payload begins and ends.
    from: usize,
    to: usize,
}

/// One run of the index.
#[derive(Debug, Clone, Copy)]
pub struct IndexedRun<'a> {
    /// Its id.
    pub run: RunId,
    /// When its event was written.
    pub at: Timestamp,
    /// Whether it is locked.
    pub locked: bool,
    record: RunRecord<'a>,
}

impl IndexedRun<'_> {
    /// Reads the event; `None` when it has members that this version does not understand.
    pub fn event(&self) -> Option<RunEvent> {
        serde_json::from_slice(self.record.line).ok()
    }
}

/// Opens the index, brought level with the ledger.
///
/// # Errors
///
/// [`RefError`] when the refs cannot be listed.
pub fn open(repo: &Repo) -> Result<Index, RefError> {
    let chains = chains(repo)?;
    let path = repo.state_dir().join("runs.idx");
    // Held while it is read and written; without a place to lock, the index is made in memory alone.
    let lock = File::create(path.with_extension("idx.lock")).and_then(|file| {
        file.lock()?;
        Ok(file)
    });
    let stored = fs::read(&path).ok().and_then(Stored::read);
    let n_stored = stored.as_ref().map(|stored| stored.bytes.len());
    let level = stored.and_then(|stored| stored.level_with(repo, &chains));
    let (level, kept_from) = match level {
        Some(level) => (level, n_stored),
        None => {
            let empty = Stored { bytes: MAGIC.to_vec(), tips: HashMap::new() };
            (empty.level_with(repo, &chains).unwrap_or_default(), None)
        }
    };
    if lock.is_ok() {
        let written = level.store(&path, kept_from);
        // The answer stands; the next one will have to read the chains again.
        written.err().into_iter().for_each(|_| drop(fs::remove_file(&path)));
    }
    Ok(level.index())
}

impl Index {
    /// Returns how many runs there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Tells whether no run is recorded.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the runs, newest first.
    pub fn runs(&self) -> impl Iterator<Item = IndexedRun<'_>> {
        self.order.iter().filter_map(|row_idx| self.indexed(&self.rows[*row_idx]))
    }

    /// Finds the run whose id starts with `prefix`, and reads its event from the ledger.
    ///
    /// # Errors
    ///
    /// [`FindError`] when none or several do, or its event is damaged.
    pub fn find(&self, repo: &Repo, prefix: &str) -> Result<LedgerEntry, FindError> {
        let is_hex = prefix.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if prefix.len() < PREFIX_MIN || !is_hex {
            return Err(FindError::NotAnId(prefix.to_owned()));
        }
        let first = self.rows.partition_point(|row| *row.run.to_string() < *prefix);
        let fitting = self.rows[first..].iter();
        let fitting: Vec<&Row> = fitting
            .take_while(|row| row.run.to_string().starts_with(prefix))
            .take(CANDIDATES_MAX)
            .collect();
        match fitting[..] {
            [] => Err(FindError::Unknown(prefix.to_owned())),
            [row] => self.entry(repo, row),
            _ => {
                let candidates = fitting.iter().map(|row| row.run.to_string()).collect();
                Err(FindError::Ambiguous { prefix: prefix.to_owned(), candidates })
            }
        }
    }

    /// Tells whether a run is recorded.
    pub fn contains(&self, run: RunId) -> bool {
        self.rows.binary_search_by_key(&run, |row| row.run).is_ok()
    }

    /// Returns the length of the shortest prefix, at least 4, that no other run shares.
    pub fn unique_prefix(&self, run: RunId) -> usize {
        let id = run.to_string();
        let here = self.rows.partition_point(|row| row.run < run);
        let common = |row: &Row| {
            let other = row.run.to_string();
            id.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count()
        };
        let neighbours = [here.checked_sub(1), Some(here + 1)].into_iter().flatten();
        let shared = neighbours.filter_map(|idx| self.rows.get(idx)).map(common).max();
        (shared.unwrap_or(0) + 1).clamp(PREFIX_MIN, id.len())
    }

    fn indexed(&self, row: &Row) -> Option<IndexedRun<'_>> {
        let record = RunRecord::read(&self.bytes[row.from..row.to])?;
        Some(IndexedRun { run: row.run, at: row.at, locked: row.locked, record })
    }

    fn entry(&self, repo: &Repo, row: &Row) -> Result<LedgerEntry, FindError> {
        let damaged = |message: String| FindError::Damaged { run: row.run, message };
        let indexed = self.indexed(row).ok_or_else(|| damaged("the index is torn".to_owned()))?;
        let signed = read_event(repo, indexed.record.event_commit).map_err(damaged)?;
        Ok(LedgerEntry {
            signed,
            event_commit: indexed.record.event_commit,
            ref_name: indexed.record.ref_name.to_owned(),
            locked: row.locked,
        })
    }
}

/// Reads bytes as a stored index: whole, and as what a record of each kind holds.
pub(crate) fn read_any(bytes: &[u8]) {
    let mut framed = MAGIC.to_vec();
    [RUN, TIP].into_iter().for_each(|kind| add_record(&mut framed, kind, bytes));
    for Stored { bytes, .. } in [bytes.to_vec(), framed].into_iter().filter_map(Stored::read) {
        let index = Level { n_lasting: bytes.len(), bytes, problems: vec![] }.index();
        assert_eq!(index.runs().count(), index.len());
        for run in index.runs() {
            assert!(index.contains(run.run) && index.unique_prefix(run.run) <= 32);
            drop(run.event());
        }
    }
}

/// A run as the file holds it: time, id, kind, event commit, ref, then the event's line.
#[derive(Debug, Clone, Copy)]
struct RunRecord<'a> {
    at: Timestamp,
    run: RunId,
    is_lock: bool,
    event_commit: GitOid,
    ref_name: &'a str,
    line: &'a [u8],
}

impl<'a> RunRecord<'a> {
    fn read(payload: &'a [u8]) -> Option<RunRecord<'a>> {
        let (at, rest) = payload.split_first_chunk::<8>()?;
        let (run, rest) = rest.split_first_chunk::<16>()?;
        let (kind, rest) = rest.split_first()?;
        let (event_commit, rest) = read_oid(rest)?;
        let (ref_name, line) = read_name(rest)?;
        Some(RunRecord {
            at: Timestamp::from_millis(i64::from_le_bytes(*at)),
            run: RunId::from_random(*run),
            is_lock: *kind == 1,
            event_commit,
            ref_name,
            line,
        })
    }
}

fn read_oid(bytes: &[u8]) -> Option<(GitOid, &[u8])> {
    let (len, rest) = bytes.split_first()?;
    let (oid, rest) = rest.split_at_checked(usize::from(*len))?;
    Some((GitOid::from_bytes(oid).ok()?, rest))
}

fn read_name(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
    Some((std::str::from_utf8(name).ok()?, rest))
}

fn add_oid_and_name(payload: &mut Vec<u8>, oid: &GitOid, name: &str) -> Option<()> {
    payload.push(u8::try_from(oid.as_bytes().len()).ok()?);
    payload.extend_from_slice(oid.as_bytes());
    payload.extend_from_slice(&u16::try_from(name.len()).ok()?.to_le_bytes());
    payload.extend_from_slice(name.as_bytes());
    Some(())
}

fn add_record(bytes: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let len = u32::try_from(payload.len() + 1).unwrap_or(u32::MAX);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(payload);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&hasher.finalize().to_le_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(payload);
}

/// Calls `each` with kind, begin and end of every whole record, and returns where the whole ones end.
///
/// - `is_known`: whether the checksums were compared already, or are of this process.
fn records(bytes: &[u8], is_known: bool, mut each: impl FnMut(u8, usize, usize)) -> usize {
    let mut at = MAGIC.len();
    while let Some((head, rest)) = bytes[at..].split_first_chunk::<HEAD_BYTES>() {
        let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let sum = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let Some(record) = rest.get(..len).filter(|record| !record.is_empty()) else { break };
        if !is_known && crc32fast::hash(record) != sum {
            break;
        }
        let from = at + HEAD_BYTES;
        each(record[0], from + 1, from + len);
        at = from + len;
    }
    at
}

/// The file's content, cut to whole records, with the tip of each chain in it.
struct Stored {
    bytes: Vec<u8>,
    tips: HashMap<String, GitOid>,
}

/// The same with what the chains gained; what could be read of broken chains is not stored.
#[derive(Default)]
struct Level {
    bytes: Vec<u8>,
    n_lasting: usize,
    problems: Vec<LedgerProblem>,
}

impl Stored {
    /// `None` for another format, or anything but whole records.
    fn read(bytes: Vec<u8>) -> Option<Stored> {
        if !bytes.starts_with(MAGIC) {
            return None;
        }
        let mut tips = HashMap::new();
        let whole = records(&bytes, false, |kind, from, to| {
            if kind == TIP
                && let Some((tip, rest)) = read_oid(&bytes[from..to])
                && let Some((name, _)) = read_name(rest)
            {
                tips.insert(name.to_owned(), tip);
            }
        });
        (whole == bytes.len()).then_some(Stored { bytes, tips })
    }

    /// `None` when a chain is gone or no longer holds what was read of it.
    fn level_with(mut self, repo: &Repo, chains: &[(String, GitOid)]) -> Option<Level> {
        let names: HashMap<&str, &GitOid> =
            chains.iter().map(|(name, tip)| (name.as_str(), tip)).collect();
        if self.tips.keys().any(|name| !names.contains_key(name.as_str())) {
            return None;
        }
        let mut passing = vec![];
        let mut problems = vec![];
        for (name, tip) in chains {
            let known = self.tips.get(name).copied();
            if known == Some(*tip) {
                continue;
            }
            let mut gained = vec![];
            let mut next = Some(*tip);
            let mut problem = None;
            while next != known {
                let commit = next?;
                match read_event(repo, commit) {
                    Ok(signed) => {
                        next = signed.event.previous;
                        gained.push((commit, signed));
                    }
                    Err(message) => {
                        problem = Some(LedgerProblem { ref_name: name.clone(), commit, message });
                        break;
                    }
                }
            }
            let into = if problem.is_some() { &mut passing } else { &mut self.bytes };
            for (commit, signed) in gained.iter().rev() {
                let event = &signed.event;
                let mut payload = event.at.as_millis().to_le_bytes().to_vec();
                payload.extend_from_slice(event.run.as_bytes());
                payload.push(u8::from(event.event == EventKind::Lock));
                add_oid_and_name(&mut payload, commit, name)?;
                payload.extend_from_slice(signed.line().as_bytes());
                add_record(into, RUN, &payload);
            }
            match problem {
                Some(problem) => problems.push(problem),
                None => {
                    let mut payload = vec![];
                    add_oid_and_name(&mut payload, tip, name)?;
                    add_record(&mut self.bytes, TIP, &payload);
                }
            }
        }
        let n_lasting = self.bytes.len();
        self.bytes.extend_from_slice(&passing);
        Some(Level { bytes: self.bytes, n_lasting, problems })
    }
}

impl Level {
    /// Appends what is new, or writes the whole beside and renames it.
    fn store(&self, path: &Path, kept_from: Option<usize>) -> io::Result<()> {
        let lasting = &self.bytes[..self.n_lasting];
        match kept_from {
            Some(n_stored) if n_stored == self.n_lasting => Ok(()),
            Some(n_stored) => {
                OpenOptions::new().append(true).open(path)?.write_all(&lasting[n_stored..])
            }
            None => {
                let beside = path.with_extension("idx.new");
                fs::write(&beside, lasting)?;
                fs::rename(&beside, path)
            }
        }
    }

    fn index(self) -> Index {
        let mut rows: Vec<Row> = vec![];
        records(&self.bytes, true, |kind, from, to| {
            if kind == RUN
                && let Some(record) = RunRecord::read(&self.bytes[from..to])
            {
                let (run, at, locked) = (record.run, record.at, record.is_lock);
                rows.push(Row { run, at, locked, from, to });
            }
        });
        rows.sort_by_key(|row| row.run);
        rows.dedup_by(|later, first| {
            let same = later.run == first.run;
            first.locked |= same && later.locked;
            same
        });
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_unstable_by_key(|idx| std::cmp::Reverse((rows[*idx].at, rows[*idx].run)));
        Index { bytes: self.bytes, rows, order, problems: self.problems }
    }
}
