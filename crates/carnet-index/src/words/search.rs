//! Searches a snapshot: words, vectors where the query describes something, then rules about names and paths.

use std::{
    collections::{HashMap, HashSet},
    panic::resume_unwind,
    path::Path,
    thread,
};

use carnet_core::{GitOid, RepoPath};
use carnet_parse::{Symbol, SymbolKind};

use super::{
    Citation, SearchQuery, TEXT_FIELDS, UnitCode,
    exact::{self, Matched},
    fuse::{Near, descending, is_question, with_vectors},
    live::Live,
    reader::{Segment, Words},
    rules::Rules,
    scope::{HITS_MAX, Scope, TEXT, language_of},
    score::{Group, Scored, by_words},
    snippet,
    store::guarded,
};
use crate::{BlobSource, IndexError, Snapshot, snapshot::LiveFile};

/// Units that the rules are applied to, best first.
const CANDIDATES: usize = 500;

/// Lines of a file, from 1, both within.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineRange {
    /// The first.
    pub start: u32,
    /// The last.
    pub end: u32,
}

/// Something that answers a query.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The file.
    pub path: RepoPath,
    /// Its content.
    pub blob_id: GitOid,
    /// Its language, or the extension of a text file.
    pub language: String,
    /// The definition; `None` for text outside of definitions.
    pub symbol: Option<Symbol>,
    pub(crate) symbol_idx: Option<u32>,
    /// The lines of the definition with its comment, or of the text that is shown.
    pub lines: LineRange,
    /// The line that [`Hit::snippet`] begins at.
    pub snippet_start: u32,
    /// The lines that say most about the query.
    pub snippet: Vec<String>,
    /// How well it answers; comparable within one answer alone.
    pub score: f32,
    /// What the score is made of: points by field and for exact matches, and the factor of the rules.
    pub parts: Vec<(&'static str, f32)>,
}

impl Hit {
    /// Returns the name of its kind.
    pub fn kind(&self) -> &'static str {
        self.symbol.as_ref().map_or(TEXT, |symbol| symbol.kind.name())
    }

    /// Returns what names these lines for ever.
    pub fn citation(&self) -> Citation {
        Citation::new(&self.path, self.lines, &self.blob_id)
    }
}

/// What a search found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The best, best first.
    pub hits: Vec<Hit>,
    /// How many units match in all.
    pub n_total: u64,
    /// Files of the snapshot that words know nothing of: their blobs could not be read.
    pub n_files_missing: u64,
    /// Files that are not searched: binary, too large, minified, generated.
    pub n_files_left_out: u64,
    /// Files that an expression or a phrase may stand in and that were not looked at, past the bound on text read.
    pub n_files_not_looked_at: u64,
    /// What the words leave out, since the ceiling of memory has no room for it.
    pub left_out: Option<&'static str>,
    /// Whether the graph of neighbours is damaged, so that all vectors were looked through.
    pub is_graph_damaged: bool,
    /// Why the model that was asked for does not answer, or not for all; whoever asked it says so.
    pub degraded: Option<String>,
}

impl Snapshot {
    /// Searches the snapshot's files.
    ///
    /// - `dir`: the index's directory, as for [`Snapshot::open_current`].
    /// - `blobs`: where the text of hits is read.
    ///
    /// # Errors
    ///
    /// [`IndexError::Words`] where the words are damaged, gone or of another version; a refresh after
    /// [`suspect_words`](crate::suspect_words) heals them. [`IndexError::Corrupt`] when what was touched of the snapshot
    /// does not hold.
    pub fn search(
        &self,
        dir: &Path,
        query: &SearchQuery,
        scope: &Scope,
        blobs: &dyn BlobSource,
    ) -> Result<Found, IndexError> {
        guarded(dir, || {
            let words = Words::open(dir)?;
            let segments = words.segments().collect::<Result<Vec<_>, _>>()?;
            search(self, dir, &segments, query, scope, blobs)
        })
    }
}

fn search(
    snapshot: &Snapshot,
    dir: &Path,
    segments: &[Segment<'_>],
    query: &SearchQuery,
    scope: &Scope,
    blobs: &dyn BlobSource,
) -> Result<Found, IndexError> {
    let live = Live::new(snapshot, segments)?;
    let in_scope = files_in_scope(snapshot, &live, scope)?;
    let is_wanted_unit = |file: u32, unit: u64| {
        let kind = match UnitCode::decode(unit) {
            Some(UnitCode::Symbol { kind, .. }) => {
                SymbolKind::from_code(kind).map(SymbolKind::name)
            }
            Some(UnitCode::Text) => Some(TEXT),
            _ => None,
        };
        in_scope[file as usize] && kind.is_some_and(|kind| scope.holds_kind(kind))
    };
    let is_wanted = |segment: usize, doc: u32| {
        let file = live.files_of_documents[segment][doc as usize];
        is_wanted_unit(file, segments[segment].unit(doc))
    };
    let groups = Group::of_query(query);
    let is_question = is_question(query);
    // Words and vectors know nothing of each other.
    let (by_words, near) = thread::scope(|scope| {
        let near = || Near::of_question(dir, segments, &live, query, is_wanted_unit);
        let near = is_question.then(|| scope.spawn(near));
        let by_words = by_words(segments, &live, &groups);
        (by_words, near.map(|it| it.join().unwrap_or_else(|panic| resume_unwind(panic))))
    });
    let (mut scored, words) = by_words?;
    scored.retain(|it| is_wanted(it.segment, it.doc));
    let mut found = Found {
        n_files_missing: live.n_files_missing,
        n_files_left_out: live.n_files_left_out,
        left_out: crate::left_out(dir),
        ..Found::default()
    };
    let mut matched = HashMap::new();
    if !query.exact.is_empty() {
        let looked = exact::look(snapshot, segments, &live, &in_scope, &query.exact, blobs)?;
        found.n_files_not_looked_at = looked.n_files_left;
        matched = looked.matched;
        matched.retain(|(segment, doc), _| is_wanted(*segment, *doc));
        scored = with_exact(scored, &matched, &live);
    }
    if let Some(near) = near.transpose()?.flatten() {
        found.is_graph_damaged = near.is_graph_damaged;
        scored = with_vectors(segments, &live, scored, &near);
    }
    found.n_total = scored.len() as u64;
    let mut rules = Rules::new(snapshot, query, &groups, is_question);
    for (it, factor) in rank(snapshot, segments, &live, &mut rules, scored, scope.limit)? {
        let at = matched.get(&(it.segment, it.doc));
        let lines = at.map_or(&[][..], |matched: &Matched| &matched.lines);
        found.hits.push(hit(
            snapshot,
            &segments[it.segment],
            &live,
            it,
            factor,
            (&words, lines),
            blobs,
        )?);
    }
    Ok(found)
}

fn files_in_scope(
    snapshot: &Snapshot,
    live: &Live,
    scope: &Scope,
) -> Result<Vec<bool>, IndexError> {
    if scope.is_whole() {
        return Ok(vec![true; live.rows.len()]);
    }
    live.rows.iter().map(|(_, row)| Ok(scope.holds_file(&snapshot.live_file(*row)?))).collect()
}

/// Keeps what matches exactly; the words of the query then only rank it.
fn with_exact(
    scored: Vec<Scored>,
    matched: &HashMap<(usize, u32), Matched>,
    live: &Live,
) -> Vec<Scored> {
    let mut by_place: HashMap<_, _> =
        scored.into_iter().map(|it| ((it.segment, it.doc), it)).collect();
    let with = matched.iter().map(|((segment, doc), matched)| {
        let key = (*segment, *doc);
        let mut it = by_place.remove(&key).unwrap_or_else(|| Scored::new(*segment, *doc, live));
        it.exact = 1.0 + (matched.lines.len() as f32).ln_1p();
        it.points += it.exact;
        it
    });
    with.collect()
}

/// Applies the rules to the best, and orders them; equal scores by path and line.
///
/// - `n_wanted`: how many to return at most.
fn rank(
    snapshot: &Snapshot,
    segments: &[Segment<'_>],
    live: &Live,
    rules: &mut Rules<'_>,
    mut scored: Vec<Scored>,
    n_wanted: usize,
) -> Result<Vec<(Scored, f32)>, IndexError> {
    // What is cut off is the same whatever the segments are.
    let place = |it: &Scored| {
        (it.file, segments[it.segment].lines(it.doc), segments[it.segment].unit(it.doc))
    };
    let by_points = |a: &Scored, b: &Scored| descending(a.points, b.points);
    let n = CANDIDATES.max(HITS_MAX);
    let mut last = Vec::new();
    if scored.len() > n {
        let least = scored.select_nth_unstable_by(n - 1, by_points).1.points;
        scored.retain(|it| it.points >= least);
        // Often very many have no points left, and none of them is looked at.
        last = scored.extract_if(.., |it| it.points == least).collect();
    }
    let n_last = n.saturating_sub(scored.len());
    scored.sort_by(|a, b| by_points(a, b).then_with(|| place(a).cmp(&place(b))));
    let (mut ranked, mut best) = (Vec::new(), Best::new(n_wanted));
    // Adds until no rule lifts what follows above the best; tells whether that came.
    let mut add = |scored: Vec<Scored>| {
        for it in scored {
            if best.is_above(it.points * rules.factor_max(true)) {
                return Ok(true);
            }
            if best.is_above(it.points * rules.factor_max(it.may_be_named)) {
                continue;
            }
            let file = snapshot.live_file(live.rows[it.file as usize].1)?;
            let symbol = symbol_of(snapshot, &segments[it.segment], it.doc, &file)?;
            let mut factor = rules.factor(&file, symbol.as_ref(), it.may_be_named);
            if best.is_above(it.points * factor * rules.factor_of_words_max()) {
                continue;
            }
            factor *= rules.factor_of_words(symbol.as_ref())?;
            best.add(it.points * factor);
            ranked.push((it, factor, file.path));
        }
        Ok::<_, IndexError>(false)
    };
    if !add(scored)? {
        last.sort_by_cached_key(place);
        last.truncate(n_last);
        add(last)?;
    }
    ranked.sort_by(|(a, a_factor, a_path), (b, b_factor, b_path)| {
        descending(a.points * a_factor, b.points * b_factor)
            .then_with(|| a_path.cmp(b_path))
            .then_with(|| place(a).cmp(&place(b)))
    });
    ranked.truncate(n_wanted);
    Ok(ranked.into_iter().map(|(it, factor, _)| (it, factor)).collect())
}

/// The highest scores so far.
struct Best {
    n_wanted: usize,
    /// Ascending.
    scores: Vec<f32>,
}

impl Best {
    fn new(n_wanted: usize) -> Best {
        Best { n_wanted, scores: Vec::new() }
    }

    /// Tells whether there are as many as wanted, all higher than a score.
    fn is_above(&self, score: f32) -> bool {
        self.scores.len() == self.n_wanted && self.scores.first().is_none_or(|it| *it > score)
    }

    fn add(&mut self, score: f32) {
        let at = self.scores.partition_point(|it| *it < score);
        self.scores.insert(at, score);
        if self.scores.len() > self.n_wanted {
            self.scores.remove(0);
        }
    }
}

fn symbol_of(
    snapshot: &Snapshot,
    segment: &Segment<'_>,
    doc: u32,
    file: &LiveFile,
) -> Result<Option<Symbol>, IndexError> {
    match UnitCode::decode(segment.unit(doc)) {
        Some(UnitCode::Symbol { position, .. }) => snapshot.symbol_in(file, position).map(Some),
        _ => Ok(None),
    }
}

fn hit(
    snapshot: &Snapshot,
    segment: &Segment<'_>,
    live: &Live,
    it: Scored,
    factor: f32,
    (words, matched): (&HashSet<String>, &[u32]),
    blobs: &dyn BlobSource,
) -> Result<Hit, IndexError> {
    let file = snapshot.live_file(live.rows[it.file as usize].1)?;
    let symbol = symbol_of(snapshot, segment, it.doc, &file)?;
    let symbol_idx = match UnitCode::decode(segment.unit(it.doc)) {
        Some(UnitCode::Symbol { position, .. }) => Some(file.symbol_idx(position)),
        _ => None,
    };
    let (start, end) = segment.lines(it.doc);
    // A blob that is gone by now leaves the place without its text.
    let source = blobs.read(&file.blob_id).unwrap_or_default();
    let source = String::from_utf8_lossy(&source);
    // What a type holds has lines and hits of its own, unless that is where it matched.
    let own_end = match symbol_idx.filter(|_| matched.is_empty()) {
        Some(idx) => snapshot.own_end(idx)?.clamp(start, end),
        None => end,
    };
    let window = snippet::best(&source, LineRange { start, end: own_end }, words, matched);
    let lines = match symbol {
        Some(_) => LineRange { start, end },
        None => LineRange {
            start: window.start,
            end: window.start + (window.lines.len() as u32).max(1) - 1,
        },
    };
    let fields = TEXT_FIELDS.into_iter().zip(it.parts);
    let parts = fields
        .chain([("exact", it.exact), ("vector", it.cosine)])
        .filter(|(_, points)| *points > 0.0);
    Ok(Hit {
        language: language_of(&file),
        symbol_idx,
        path: file.path,
        blob_id: file.blob_id,
        symbol,
        lines,
        snippet_start: window.start,
        snippet: window.lines,
        score: it.points * factor,
        parts: parts.chain([("rules", factor)]).collect(),
    })
}
