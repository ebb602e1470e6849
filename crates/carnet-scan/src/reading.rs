//! Every way a text can be read: as it stands, with split literals joined, and decoded.
//!
//! A secret that stands only in a reading is placed where its encoded form stands in the text. Readings nest:
//! a text in base64 may hold a gzip stream that holds a token split over two literals.
//!
//! Invariants: at most [`DEPTH_MAX`] decodings are undone one inside the other; the bytes inflated are
//! bounded by a multiple of the text's length; regions lie within the text. Decodings that do not inflate are
//! never longer than their run, so all work is linear in the text.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashSet},
    ops::Range,
};

use crate::{
    beside::{self, Aside, Beside},
    container::{self, Budget},
    encoding,
    engine::{self, Match, Work},
    literals, overlap,
    rule::Rule,
    rule_set::RuleSet,
    scan::rank,
    unread::Unread,
};

/// Decodings undone one inside the other.
pub(crate) const DEPTH_MAX: usize = 3;
/// Bytes inflated per byte of the text.
const INFLATE_RATIO_MAX: usize = 64;
/// Bytes inflated for one text, and at least so many for the smallest.
const INFLATE_BYTES: Range<usize> = 64 << 10..64 << 20;

/// One step from a text to a reading of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Step {
    Base64,
    Base64Url,
    Hex,
    Percent,
    Utf16,
    Gzip,
    Zip,
    Tar,
    Joined,
}

impl Step {
    /// Returns the words after "in" in a description.
    fn name(self) -> &'static str {
        match self {
            Step::Base64 => "base64",
            Step::Base64Url => "base64url",
            Step::Hex => "hexadecimal",
            Step::Percent => "percent-encoding",
            Step::Utf16 => "UTF-16",
            Step::Gzip => "gzip",
            Step::Zip => "zip",
            Step::Tar => "tar",
            Step::Joined => "split literals",
        }
    }
}

/// A secret in some reading of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit<'t> {
    pub(crate) rule_idx: usize,
    /// Where it stands in the text: the secret itself, or what encodes it.
    pub(crate) region: Range<usize>,
    /// The secret, decoded.
    pub(crate) secret: Cow<'t, [u8]>,
    /// How the text is read to meet it, the first step first; empty when it stands there as it is.
    pub(crate) steps: Vec<Step>,
}

impl Hit<'_> {
    /// Returns what was found in the rule's words, with the steps: `AWS access key id (in gzip in base64)`.
    pub(crate) fn description(&self, rule: &Rule) -> String {
        described(&rule.description, &self.steps)
    }
}

/// Returns a description with the steps of a reading: `AWS access key id (in gzip in base64)`.
pub(crate) fn described(what: &str, steps: &[Step]) -> String {
    let mut description = what.to_owned();
    for (idx, step) in steps.iter().rev().enumerate() {
        description.push_str(if idx == 0 { " (in " } else { " in " });
        description.push_str(step.name());
    }
    if !steps.is_empty() {
        description.push(')');
    }
    description
}

/// Where a text stands in what is scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the beginning: it may be a container.
    Beginning,
    /// Further on: its first run may have begun earlier.
    Further,
}

/// What the readings of a text came to.
#[derive(Debug)]
pub(crate) struct Readings<'t> {
    /// The secrets, sorted by region and rule.
    pub(crate) hits: Vec<Hit<'t>>,
    /// What was met beside them, sorted by region.
    pub(crate) asides: Vec<Aside>,
    /// What was not read, and why.
    pub(crate) unread: BTreeSet<Unread>,
    /// What it took.
    pub(crate) trace: Trace,
}

/// What the readings of a text took, for those who want to know how far they looked.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trace {
    /// Bytes that regexes looked at.
    pub(crate) n_work: usize,
    /// Whether a regex matched, whatever the rule's filters said of it.
    pub(crate) is_matched: bool,
    /// Whether anything was met that looks further than [`engine::FAR`]: a rule, or something compressed.
    pub(crate) is_far: bool,
}

/// Reads `text` in every way.
pub(crate) fn read<'t>(
    rules: &RuleSet,
    beside: Beside<'_>,
    text: &'t [u8],
    place: Place,
) -> Readings<'t> {
    let inflate_left =
        text.len().saturating_mul(INFLATE_RATIO_MAX).clamp(INFLATE_BYTES.start, INFLATE_BYTES.end);
    let mut reader = Reader::new(rules, beside, text.len(), inflate_left);
    let mut hits = reader.read(text, place, DEPTH_MAX, true);
    hits.sort_by(|a, b| order(a).cmp(&order(b)));
    let mut asides = reader.asides;
    asides.sort_by_key(|it| (it.region.start, it.region.end));
    beside::retain_exact(&mut asides);
    let mut unread = reader.budget.unread;
    let Work { n_done, is_spent, is_far, is_matched, .. } = reader.work;
    if is_spent {
        unread.insert(Unread::Work);
    }
    let is_far = is_far || reader.budget.inflate_left != inflate_left;
    Readings { hits, asides, unread, trace: Trace { n_work: n_done, is_matched, is_far } }
}

/// Looks for what rules without a bound meet in `text` as it stands.
pub(crate) fn read_unbounded<'t>(rules: &RuleSet, text: &'t [u8]) -> Readings<'t> {
    let mut work = Work::of(text.len());
    let found = engine::matches_of(rules, &rules.reach().unbounded, text, &mut work);
    let hits = found.into_iter().map(|found| direct(text, found)).collect();
    let unread = work.is_spent.then_some(Unread::Work).into_iter().collect();
    Readings { hits, asides: vec![], unread, trace: Trace::default() }
}

fn direct<'t>(text: &'t [u8], found: Match) -> Hit<'t> {
    let secret = Cow::Borrowed(&text[found.secret.clone()]);
    Hit { rule_idx: found.rule_idx, region: found.secret, secret, steps: Vec::new() }
}

fn order<'a>(hit: &'a Hit<'_>) -> (usize, usize, usize, &'a [Step], &'a [u8]) {
    (hit.region.start, hit.region.end, hit.rule_idx, &hit.steps, &hit.secret)
}

struct Reader<'r> {
    rules: &'r RuleSet,
    beside: Beside<'r>,
    asides: Vec<Aside>,
    budget: Budget,
    work: Work,
    /// Bytes read in all readings: the work done.
    n_read_bytes: usize,
}

impl<'r> Reader<'r> {
    fn new(rules: &'r RuleSet, beside: Beside<'r>, len: usize, inflate_left: usize) -> Reader<'r> {
        let (budget, work) = (Budget::new(inflate_left), Work::of(len));
        Reader { rules, beside, asides: vec![], budget, work, n_read_bytes: 0 }
    }

    fn read<'t>(
        &mut self,
        text: &'t [u8],
        place: Place,
        depth: usize,
        joins: bool,
    ) -> Vec<Hit<'t>> {
        self.n_read_bytes += text.len();
        // Joined literals are pieces of code, in which numbers are seldom anyone's.
        let is_read_for_people = joins && (depth == DEPTH_MAX || is_text(text));
        self.beside.look(text, place, is_read_for_people, &mut self.asides);
        let direct = engine::matches(self.rules, text, &mut self.work).into_iter();
        let mut hits: Vec<Hit<'t>> = direct.map(|found| self::direct(text, found)).collect();
        hits.sort_by_key(|hit| hit.region.start);
        let n_direct = hits.len();
        let mut indirect = Vec::new();
        if joins {
            self.read_joined(text, depth, &mut indirect);
        }
        if depth > 0 {
            self.read_decoded(text, place, depth, &mut indirect);
        } else if place == Place::Beginning && goes_deeper(text) {
            self.budget.unread.insert(Unread::Depth);
        }
        indirect.retain(|hit| !stands_as_it_is(&hits[..n_direct], hit));
        hits.extend(indirect);
        hits
    }

    fn read_joined(&mut self, text: &[u8], depth: usize, hits: &mut Vec<Hit<'_>>) {
        literals::each_chain(text, &mut |joined| {
            let n_before = self.asides.len();
            let spanning = self.read(&joined.text, Place::Further, depth, false).into_iter();
            hits.extend(spanning.filter(|hit| joined.is_split(&hit.region)).map(|hit| {
                let region = joined.region(&hit.region);
                further(hit, region, Step::Joined)
            }));
            let inner = self.asides.split_off(n_before).into_iter();
            self.asides.extend(inner.filter(|it| joined.is_split(&it.region)).map(|mut it| {
                let region = joined.region(&it.region);
                it.further(&joined.text, region, Step::Joined);
                it
            }));
        });
    }

    fn read_decoded(&mut self, text: &[u8], place: Place, depth: usize, hits: &mut Vec<Hit<'_>>) {
        encoding::each_run(text, place == Place::Further, &mut |run| {
            let n_before = self.asides.len();
            let inner = self.read(&run.decoded, Place::Beginning, depth - 1, true);
            let is_text = !inner.is_empty() && is_text(&run.decoded);
            let region_of = |inner: &Range<usize>| {
                let exact = |stride: usize| {
                    let at = |offset: usize| run.range.start + offset * stride;
                    at(inner.start)..at(inner.end).min(run.range.end)
                };
                run.stride.map_or(run.range.clone(), exact)
            };
            for aside in &mut self.asides[n_before..] {
                aside.further(&run.decoded, region_of(&aside.region), run.step);
            }
            for hit in most_specific(self.rules, inner) {
                // Noise meets the loose rules now and then, and no others.
                if is_text || !self.rules.rules()[hit.rule_idx].is_generic() {
                    let region = region_of(&hit.region);
                    hits.push(further(hit, region, run.step));
                }
            }
        });
        if let (Place::Beginning, Some(kind)) = (place, container::kind(text)) {
            let mut budget = std::mem::replace(&mut self.budget, Budget::new(0));
            container::each_member(kind, text, &mut budget, &mut |member, budget| {
                std::mem::swap(&mut self.budget, budget);
                let n_before = self.asides.len();
                let inner = self.read(member, Place::Beginning, depth - 1, true);
                let inner = most_specific(self.rules, inner).into_iter();
                hits.extend(inner.map(|hit| further(hit, 0..text.len(), kind)));
                for aside in &mut self.asides[n_before..] {
                    aside.further(member, 0..text.len(), kind);
                }
                std::mem::swap(&mut self.budget, budget);
            });
            self.budget = budget;
        }
    }
}

/// Tells whether a decoded text holds an archive or an encoded text itself.
fn goes_deeper(text: &[u8]) -> bool {
    let mut is_deeper = container::kind(text).is_some();
    encoding::each_run(text, false, &mut |run| is_deeper |= encoding::is_telling(&run.decoded));
    is_deeper
}

/// Returns the hit of a reading as one of the text that was read.
fn further<'t>(hit: Hit<'_>, region: Range<usize>, step: Step) -> Hit<'t> {
    let mut steps = vec![step];
    steps.extend(hit.steps);
    Hit { rule_idx: hit.rule_idx, region, secret: Cow::Owned(hit.secret.into_owned()), steps }
}

/// Tells whether the same secret stands undisguised inside the region of `hit`.
fn stands_as_it_is(direct: &[Hit<'_>], hit: &Hit<'_>) -> bool {
    let from = direct.partition_point(|other| other.region.start < hit.region.start);
    let inside = direct[from..].iter().take_while(|other| other.region.start < hit.region.end);
    let is_same = |other: &Hit<'_>| other.rule_idx == hit.rule_idx && other.secret == hit.secret;
    inside.take(DIRECT_COMPARED_MAX).any(is_same)
}

/// Undisguised secrets in one region that a disguised one is compared with.
const DIRECT_COMPARED_MAX: usize = 64;

/// Tells whether `decoded` is a text: it holds no control byte but white space.
fn is_text(decoded: &[u8]) -> bool {
    decoded.iter().all(|byte| !byte.is_ascii_control() || matches!(byte, b'\t' | b'\n' | b'\r'))
}

/// Returns the hits that stay, sorted by region and rule.
///
/// The secrets inside one encoded run stand at the same place; they stay or go together, and each of them
/// was the most specific in its reading.
pub(crate) fn most_specific<'t>(rules: &RuleSet, mut hits: Vec<Hit<'t>>) -> Vec<Hit<'t>> {
    if hits.len() < 2 {
        return hits;
    }
    hits.sort_by(|a, b| order(a).cmp(&order(b)));
    let rank = |hit: &Hit<'t>| rank(&rules.rules()[hit.rule_idx], &hit.region, &hit.secret);
    let mut group_of_run: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let mut candidates: Vec<(Range<usize>, overlap::Rank<'_>)> = Vec::new();
    let mut groups = Vec::with_capacity(hits.len());
    for hit in &hits {
        let next = candidates.len();
        let group = if hit.steps.is_empty() {
            next
        } else {
            *group_of_run.entry((hit.region.start, hit.region.end)).or_insert(next)
        };
        match candidates.get_mut(group) {
            Some(candidate) => candidate.1 = candidate.1.min(rank(hit)),
            None => candidates.push((hit.region.clone(), rank(hit))),
        }
        groups.push(group);
    }
    let stays = overlap::survivors(&candidates);
    drop(candidates);
    let mut groups = groups.into_iter();
    hits.retain(|_| groups.next().is_some_and(|group| stays[group]));
    let mut seen: HashSet<(usize, usize, usize, Vec<u8>)> = HashSet::new();
    hits.retain(|hit| {
        hit.steps.is_empty()
            || seen.insert((
                hit.region.start,
                hit.region.end,
                hit.rule_idx,
                hit.secret.clone().into_owned(),
            ))
    });
    hits
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
