//! Ranks units against a query: BM25 over weighted fields, then rules about names and paths.
//!
//! Words and vectors each give a list of units with scores; both are fused before the rules.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    path::Path,
};

use carnet_core::{GitOid, RepoPath};
use carnet_parse::{Symbol, SymbolKind};

use super::{
    Citation, DOC, LeftOut, SearchQuery, TEXT_FIELDS, UnitCode,
    exact::{self, Matched},
    reader::{Segment, Words},
    rules::Rules,
    scope::{HITS_MAX, Scope, TEXT, language_of},
    snippet,
    store::{guarded, has_vector},
    tokens, words_dir,
};
use crate::{
    BlobSource, IndexError, Snapshot,
    snapshot::LiveFile,
    vectors::{self, Model, Question},
};

/// Weight of each field, and how much its length counts (BM25's `b`).
const WEIGHTS: [f32; TEXT_FIELDS.len()] = [5.0, 1.5, 2.0, 2.5, 1.0];
const LENGTH_SHARES: [f32; TEXT_FIELDS.len()] = [0.3, 0.3, 0.5, 0.5, 0.75];
/// BM25's `k1`.
const SATURATION: f32 = 1.2;
/// Weight of another form of a word: `parsing` for `parse`.
const FORM_WEIGHT: f32 = 0.7;
/// How many of the best by words, and by vectors, are weighed against each other.
const WINDOW: usize = 200;
/// How much vectors count against words, of 1.
const VECTOR_SHARE: f32 = 0.65;
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
}

/// A document that may answer.
#[derive(Debug, Clone, Copy)]
struct Scored {
    segment: usize,
    doc: u32,
    /// Position among the live files.
    file: u32,
    parts: [f32; TEXT_FIELDS.len()],
    exact: f32,
    /// The share of the query's words, by their weight, that it has.
    coverage: f32,
    /// The cosine of its angle to the question; 0 where it has no vector or the question none.
    cosine: f32,
    /// What it is ranked by, before the rules.
    points: f32,
}

impl Scored {
    fn new(segment: usize, doc: u32, live: &Live) -> Scored {
        Scored {
            segment,
            doc,
            file: live.files_of_documents[segment][doc as usize],
            parts: [0.0; TEXT_FIELDS.len()],
            exact: 0.0,
            coverage: 0.0,
            cosine: 0.0,
            points: 0.0,
        }
    }

    /// Returns the points for words; of several words, having all counts twice as much as having next to none.
    fn word_points(&self, query: &SearchQuery) -> f32 {
        let points = self.parts.iter().sum::<f32>() + self.exact;
        if query.words.len() > 1 { points * (0.5 + 0.5 * self.coverage) } else { points }
    }
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
    let mut scored = by_words(segments, &live, &groups)?;
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
    for it in &mut scored {
        it.points = it.word_points(query);
    }
    if is_question(query) {
        (scored, found.is_graph_damaged) =
            with_vectors(dir, segments, &live, query, scored, is_wanted_unit)?;
    }
    found.n_total = scored.len() as u64;
    let ranked = rank(snapshot, segments, &live, query, scored)?;
    let words = Group::all_words(&groups);
    for (it, factor) in ranked.into_iter().take(scope.limit) {
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

/// Which documents are live, and what is counted over them.
pub(crate) struct Live {
    /// The files of the snapshot, sorted by key.
    pub rows: Vec<(u64, u32)>,
    /// For each segment and document the position of its file in [`Live::rows`], or [`NOT_LIVE`].
    pub files_of_documents: Vec<Vec<u32>>,
    n_documents: u64,
    mean_lengths: [f32; TEXT_FIELDS.len()],
    n_files_missing: u64,
    n_files_left_out: u64,
}

pub(crate) const NOT_LIVE: u32 = u32::MAX;

impl Live {
    fn new(snapshot: &Snapshot, segments: &[Segment<'_>]) -> Result<Live, IndexError> {
        let rows = snapshot.live_rows()?;
        let mut live = Live {
            files_of_documents: Vec::new(),
            n_documents: 0,
            mean_lengths: [1.0; TEXT_FIELDS.len()],
            n_files_missing: 0,
            n_files_left_out: 0,
            rows,
        };
        let mut is_seen = vec![false; live.rows.len()];
        let mut sums = [0_u64; TEXT_FIELDS.len()];
        for segment in segments {
            let mut files = vec![NOT_LIVE; segment.n_documents() as usize];
            // Documents of one file stand together.
            let mut last = (0, NOT_LIVE);
            for doc in 0..segment.n_documents() {
                let key = segment.file(doc);
                if key != last.0 || doc == 0 {
                    let at = live.rows.binary_search_by_key(&key, |row| row.0);
                    last = (key, at.map_or(NOT_LIVE, |at| at as u32));
                }
                if last.1 == NOT_LIVE || segment.is_deleted(doc) {
                    continue;
                }
                is_seen[last.1 as usize] = true;
                match UnitCode::decode(segment.unit(doc)) {
                    Some(UnitCode::Nothing(reason)) => {
                        live.n_files_left_out += u64::from(reason != LeftOut::Empty);
                    }
                    Some(_) => {
                        files[doc as usize] = last.1;
                        live.n_documents += 1;
                        for (sum, lengths) in sums.iter_mut().zip(&segment.lengths) {
                            *sum += u64::from(lengths.fieldnorm(doc));
                        }
                    }
                    None => {}
                }
            }
            live.files_of_documents.push(files);
        }
        live.n_files_missing = is_seen.iter().filter(|seen| !**seen).count() as u64;
        for (mean, sum) in live.mean_lengths.iter_mut().zip(sums) {
            *mean = (sum as f32 / live.n_documents.max(1) as f32).max(1.0);
        }
        Ok(live)
    }
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

/// What is looked for as one: a word and its other forms.
struct Group {
    /// Forms in code, with their weights.
    forms: Vec<(String, f32)>,
    /// The stem in prose.
    stem: Option<String>,
}

impl Group {
    fn of_query(query: &SearchQuery) -> Vec<Group> {
        let (mut code, mut prose) = (tokens::code(), tokens::prose());
        let mut known = HashSet::new();
        let mut groups = Vec::new();
        for word in &query.words {
            for token in tokens::words(&mut code, word) {
                if known.insert(token.clone()) {
                    let stem = tokens::words(&mut prose, &token).into_iter().next();
                    let others = other_forms(&token).into_iter().map(|form| (form, FORM_WEIGHT));
                    let forms = std::iter::once((token, 1.0)).chain(others).collect();
                    groups.push(Group { forms, stem });
                }
            }
        }
        groups
    }

    fn all_words(groups: &[Group]) -> HashSet<&str> {
        groups.iter().flat_map(|group| &group.forms).map(|(form, _)| form.as_str()).collect()
    }
}

/// Returns other forms that a word of English may have in the name of something.
fn other_forms(word: &str) -> Vec<String> {
    if word.len() < 4 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Vec::new();
    }
    let mut bases = vec![word.to_owned()];
    for (ending, instead) in
        [("ies", "y"), ("es", ""), ("s", ""), ("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e")]
    {
        if let Some(base) =
            word.strip_suffix(ending).filter(|base| base.len() >= 3 && !base.ends_with('s'))
        {
            bases.push(format!("{base}{instead}"));
        }
    }
    let mut forms = Vec::new();
    for base in &bases {
        let stem = base.strip_suffix('e').unwrap_or(base);
        forms.extend([base.clone(), format!("{base}s"), format!("{stem}ing"), format!("{stem}ed")]);
    }
    forms.sort();
    forms.dedup();
    forms.retain(|form| form != word);
    forms
}

/// Scores every live document that has a word of the query: BM25F, with all counts over live documents.
fn by_words(
    segments: &[Segment<'_>],
    live: &Live,
    groups: &[Group],
) -> Result<Vec<Scored>, IndexError> {
    let mut scored: HashMap<(usize, u32), Scored> = HashMap::new();
    let mut total = 0.0;
    for group in groups {
        let weights = weights_of(segments, live, group)?;
        let n_with: usize = weights.iter().map(HashMap::len).sum();
        if n_with == 0 {
            continue;
        }
        let (n, n_with) = (live.n_documents as f32, n_with as f32);
        let rarity = (1.0 + (n - n_with + 0.5) / (n_with + 0.5)).ln();
        total += rarity;
        for (segment, weights) in weights.into_iter().enumerate() {
            for (doc, weights) in weights {
                let sum: f32 = weights.iter().sum();
                let points = rarity * sum * (SATURATION + 1.0) / (SATURATION + sum);
                let key = (segment, doc);
                let it = scored.entry(key).or_insert_with(|| Scored::new(segment, doc, live));
                for (part, weight) in it.parts.iter_mut().zip(weights) {
                    *part += points * weight / sum;
                }
                it.coverage += rarity;
            }
        }
    }
    let mut scored: Vec<_> = scored.into_values().collect();
    scored.iter_mut().for_each(|it| it.coverage /= total);
    Ok(scored)
}

/// Returns for each segment the documents that have a word of the group, and its weight in each field.
fn weights_of(
    segments: &[Segment<'_>],
    live: &Live,
    group: &Group,
) -> Result<Vec<HashMap<u32, [f32; TEXT_FIELDS.len()]>>, IndexError> {
    let mut all = Vec::new();
    for (segment, files) in segments.iter().zip(&live.files_of_documents) {
        let mut weights: HashMap<u32, [f32; TEXT_FIELDS.len()]> = HashMap::new();
        for field in 0..TEXT_FIELDS.len() {
            let stem = group.stem.iter().map(|stem| (stem.as_str(), 1.0));
            let forms = group.forms.iter().map(|(form, weight)| (form.as_str(), *weight));
            let forms: Vec<_> = if field == DOC { stem.collect() } else { forms.collect() };
            for (form, form_weight) in forms {
                segment.each_document(field, form, |doc, n_times| {
                    if files[doc as usize] == NOT_LIVE {
                        return;
                    }
                    let length = segment.lengths[field].fieldnorm(doc) as f32;
                    let share = LENGTH_SHARES[field];
                    let norm = 1.0 - share + share * length / live.mean_lengths[field];
                    weights.entry(doc).or_default()[field] +=
                        form_weight * WEIGHTS[field] * n_times as f32 / norm;
                })?;
            }
        }
        all.push(weights);
    }
    Ok(all)
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
        it
    });
    with.collect()
}

/// Fuses what words say with what vectors say: both brought to 0..1 over their best, then weighed. Units that share no word with
/// the question join where they are among the best by direction; those without a vector are judged by words alone.
fn with_vectors(
    dir: &Path,
    segments: &[Segment<'_>],
    live: &Live,
    query: &SearchQuery,
    scored: Vec<Scored>,
    is_wanted: impl Fn(u32, u64) -> bool,
) -> Result<(Vec<Scored>, bool), IndexError> {
    let Some(question) = Model::embedded().question(&query.words.join(" ")) else {
        return Ok((scored, false));
    };
    let (near, is_graph_damaged) =
        nearest(dir, segments, live, &Question::new(question), is_wanted)?;
    let mut all: HashMap<(usize, u32), Scored> =
        scored.into_iter().map(|it| ((it.segment, it.doc), it)).collect();
    let word_window = Window::of(all.values().map(|it| it.points));
    let vector_window = Window::of(near.iter().map(|(.., cosine)| *cosine));
    for it in all.values_mut() {
        it.points = word_window.place(it.points);
        let code = UnitCode::decode(segments[it.segment].unit(it.doc));
        if code.is_some_and(has_vector) {
            it.points *= 1.0 - VECTOR_SHARE;
        }
    }
    for (segment, doc, cosine) in near {
        let it = all.entry((segment, doc)).or_insert_with(|| Scored::new(segment, doc, live));
        it.cosine = cosine;
        it.points += VECTOR_SHARE * vector_window.place(cosine);
    }
    Ok((all.into_values().collect(), is_graph_damaged))
}

/// Tells whether a query describes something, or only names it: then words alone answer.
fn is_question(query: &SearchQuery) -> bool {
    let is_name = |word: &String| {
        word.contains(['_', ':', '.', '(']) || word.chars().skip(1).any(char::is_uppercase)
    };
    query.exact.is_empty() && query.words.len() > 1 && !query.words.iter().all(is_name)
}

/// Returns the documents of the [`WINDOW`] wanted units nearest to a question, with the cosine of each, and whether the graph of
/// neighbours is damaged.
fn nearest(
    dir: &Path,
    segments: &[Segment<'_>],
    live: &Live,
    question: &Question,
    is_wanted: impl Fn(u32, u64) -> bool,
) -> Result<(Vec<(usize, u32, f32)>, bool), IndexError> {
    let file_of = |key: u64| live.rows.binary_search_by_key(&key, |row| row.0).ok();
    // Vectors of one file stand together.
    let mut last = None;
    let near = vectors::nearest(&words_dir(dir), question, WINDOW, |key, unit| {
        let file = match last {
            Some((last_key, file)) if last_key == key => file,
            _ => file_of(key),
        };
        last = Some((key, file));
        file.is_some_and(|file| is_wanted(file as u32, unit))
    });
    let near =
        near.map_err(|error| IndexError::damaged_words(dir, &format!("their vectors: {error}")))?;
    let mut cosines: HashMap<u32, Vec<(u64, f32)>> = HashMap::new();
    for it in near.units {
        let file = file_of(it.file).map(|file| cosines.entry(file as u32).or_default());
        file.into_iter().for_each(|units| units.push((it.unit, it.cosine)));
    }
    let mut documents = Vec::new();
    for (segment, files) in live.files_of_documents.iter().enumerate() {
        for (doc, file) in (0..).zip(files) {
            if let Some(units) = cosines.get(file) {
                let unit = segments[segment].unit(doc);
                let cosine = units.iter().find(|(it, _)| *it == unit);
                documents.extend(cosine.map(|(_, cosine)| (segment, doc, *cosine)));
            }
        }
    }
    Ok((documents, near.is_graph_damaged))
}

/// The best of a list, brought to 0..1.
struct Window {
    low: f32,
    high: f32,
}

impl Window {
    fn of(values: impl Iterator<Item = f32>) -> Window {
        let mut values: Vec<f32> = values.collect();
        if values.len() > WINDOW {
            values.select_nth_unstable_by(WINDOW - 1, |a, b| descending(*a, *b));
            values.truncate(WINDOW);
        }
        let low = values.iter().copied().fold(f32::INFINITY, f32::min);
        let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        Window { low, high }
    }

    fn place(&self, value: f32) -> f32 {
        match self.high > self.low {
            true => ((value - self.low) / (self.high - self.low)).max(0.0),
            // All alike.
            false => f32::from(u8::from(value >= self.high)),
        }
    }
}

/// Applies the rules to the best, and orders them; equal scores by path and line.
fn rank(
    snapshot: &Snapshot,
    segments: &[Segment<'_>],
    live: &Live,
    query: &SearchQuery,
    mut scored: Vec<Scored>,
) -> Result<Vec<(Scored, f32)>, IndexError> {
    // What is cut off is the same whatever the segments are.
    let place = |it: &Scored| {
        (it.file, segments[it.segment].lines(it.doc), segments[it.segment].unit(it.doc))
    };
    scored.sort_by(|a, b| descending(a.points, b.points).then_with(|| place(a).cmp(&place(b))));
    scored.truncate(CANDIDATES.max(HITS_MAX));
    let rules = Rules::new(query);
    let mut ranked = Vec::new();
    for it in scored {
        let file = snapshot.live_file(live.rows[it.file as usize].1)?;
        let symbol = symbol_of(snapshot, &segments[it.segment], it.doc, &file)?;
        let factor = rules.factor(&file, symbol.as_ref());
        ranked.push((it, factor, file.path));
    }
    ranked.sort_by(|(a, a_factor, a_path), (b, b_factor, b_path)| {
        descending(a.points * a_factor, b.points * b_factor)
            .then_with(|| a_path.cmp(b_path))
            .then_with(|| place(a).cmp(&place(b)))
    });
    Ok(ranked.into_iter().map(|(it, factor, _)| (it, factor)).collect())
}

fn descending(a: f32, b: f32) -> Ordering {
    b.total_cmp(&a)
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
    (words, matched): (&HashSet<&str>, &[u32]),
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
