//! Fuses what words say of a question with what vectors say.

use std::{cmp::Ordering, collections::HashMap, path::Path};

use super::{
    SearchQuery, UnitCode, live::Live, reader::Segment, rules::looks_like_name, score::Scored,
    store::has_vector, words_dir,
};
use crate::{
    IndexError,
    vectors::{self, Model, ModelStore, Question},
};

/// How many of the best by words, and by vectors, are weighed against each other.
const WINDOW: usize = 200;
/// How much vectors count against words, of 1.
const VECTOR_SHARE: f32 = 0.65;

/// Fuses what words say with what vectors say: both brought to 0..1 over their best, then weighed. Units that share no word with
/// the question join where they are among the best by direction; those without a vector are judged by words alone.
pub(super) fn with_vectors(
    dir: &Path,
    segments: &[Segment<'_>],
    live: &Live,
    query: &SearchQuery,
    mut scored: Vec<Scored>,
    is_wanted: impl Fn(u32, u64) -> bool,
) -> Result<(Vec<Scored>, bool), IndexError> {
    let embedded = Model::embedded().question(&query.plain).map(Question::new);
    let (store, question) = match (&query.model, &embedded) {
        (Some((store, question)), _) => (Some(store), question),
        (None, Some(question)) => (None, question),
        (None, None) => return Ok((scored, false)),
    };
    let (near, is_graph_damaged) = nearest(dir, store, segments, live, question, is_wanted)?;
    let word_window = Window::of(scored.iter().map(|it| it.points));
    let vector_window = Window::of(near.iter().map(|(.., cosine)| *cosine));
    let mut near: HashMap<(usize, u32), f32> =
        near.into_iter().map(|(segment, doc, cosine)| ((segment, doc), cosine)).collect();
    for it in &mut scored {
        it.points = word_window.place(it.points);
        let code = UnitCode::decode(segments[it.segment].unit(it.doc));
        if code.is_some_and(has_vector) {
            it.points *= 1.0 - VECTOR_SHARE;
        }
        if let Some(cosine) = near.remove(&(it.segment, it.doc)) {
            it.cosine = cosine;
            it.points += VECTOR_SHARE * vector_window.place(cosine);
        }
    }
    for ((segment, doc), cosine) in near {
        let points = VECTOR_SHARE * vector_window.place(cosine);
        scored.push(Scored { cosine, points, ..Scored::new(segment, doc, live) });
    }
    Ok((scored, is_graph_damaged))
}

/// Tells whether a query describes something, or only names it: then words alone answer.
pub(super) fn is_question(query: &SearchQuery) -> bool {
    query.exact.is_empty()
        && query.words.len() > 1
        && !query.words.iter().all(|word| looks_like_name(word))
}

/// A document by its segment and number, and the cosine of its angle to the question.
type NearDocument = (usize, u32, f32);

/// Returns the documents of the [`WINDOW`] wanted units nearest to a question, with the cosine of each, and whether the graph of
/// neighbours is damaged.
fn nearest(
    dir: &Path,
    store: Option<&ModelStore>,
    segments: &[Segment<'_>],
    live: &Live,
    question: &Question,
    is_wanted: impl Fn(u32, u64) -> bool,
) -> Result<(Vec<NearDocument>, bool), IndexError> {
    let file_of = |key: u64| live.rows.binary_search_by_key(&key, |row| row.0).ok();
    // Vectors of one file stand together.
    let mut last = None;
    let is_wanted = |key: u64, unit: u64| {
        let file = match last {
            Some((last_key, file)) if last_key == key => file,
            _ => file_of(key),
        };
        last = Some((key, file));
        file.is_some_and(|file| is_wanted(file as u32, unit))
    };
    let near = match store {
        Some(store) => store.nearest(question, WINDOW, is_wanted),
        None => vectors::nearest(&words_dir(dir), question, WINDOW, is_wanted),
    };
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

pub(super) fn descending(a: f32, b: f32) -> Ordering {
    b.total_cmp(&a)
}
