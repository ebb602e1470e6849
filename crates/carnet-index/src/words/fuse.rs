//! Fuses what words say of a question with what vectors say.

use std::{cmp::Ordering, path::Path};

use super::{
    SearchQuery, TEXT_FIELDS, UnitCode, live::Live, reader::Segment, rules::looks_like_name,
    score::Scored, store::has_vector, words_dir,
};
use crate::{
    IndexError,
    vectors::{self, Model, Question},
};

/// How many of the best by words, and by vectors, are weighed against each other.
const WINDOW: usize = 200;
/// How much more or less each field counts for a question than for a name: a description has words of the type or the file around
/// what it describes as often as words of its name.
const FIELD_FACTORS: [f32; TEXT_FIELDS.len()] = [0.7, 2.0, 1.0, 1.0, 1.0];
/// Points of the best by words; those of a direction are the cosine itself.
const WORD_POINTS: f32 = 0.2;
/// Cosines of the last and the best in the window, as our own vectors mostly have them: what other models say is brought there.
const COSINES: (f32, f32) = (0.17, 0.56);

/// The documents of the [`WINDOW`] wanted units nearest to a question.
pub(super) struct Near {
    /// Segment, document and the cosine of its angle to the question; in order.
    documents: Vec<(usize, u32, f32)>,
    /// Whether the vectors are those of another model.
    is_of_other: bool,
    /// Whether the graph of neighbours is damaged, so that all vectors were looked through.
    pub is_graph_damaged: bool,
}

/// Adds what words say, brought to 0..1 over their best, and the cosine, which also says how sure the vectors are of their best.
/// Units that share no word with the question join where they are among the best by direction; the others are as far off as the
/// last of these; those without a vector are judged by words alone.
pub(super) fn with_vectors(
    segments: &[Segment<'_>],
    live: &Live,
    mut scored: Vec<Scored>,
    near: &Near,
) -> Vec<Scored> {
    for it in &mut scored {
        it.parts.iter_mut().zip(FIELD_FACTORS).for_each(|(part, factor)| *part *= factor);
        it.points = it.parts.iter().sum();
    }
    let word_window = Window::of(scored.iter().map(|it| it.points));
    let vector_window = Window::of(near.documents.iter().map(|(.., cosine)| *cosine));
    let direction = |cosine: f32| match near.is_of_other {
        true => COSINES.0 + (COSINES.1 - COSINES.0) * vector_window.place(cosine),
        false => cosine.max(0.0),
    };
    let (last, best) = match near.documents.is_empty() {
        true => (0.0, COSINES.1),
        false => (direction(vector_window.low), direction(vector_window.high)),
    };
    let mut is_scored = vec![false; near.documents.len()];
    for it in &mut scored {
        let by_words = word_window.place(it.points);
        let code = UnitCode::decode(segments[it.segment].unit(it.doc));
        let place = (it.segment, it.doc);
        let near_at = near.documents.binary_search_by_key(&place, |near| (near.0, near.1));
        it.points = match near_at {
            Ok(at) => {
                is_scored[at] = true;
                it.cosine = near.documents[at].2;
                WORD_POINTS * by_words + direction(it.cosine)
            }
            Err(_) if code.is_some_and(has_vector) => WORD_POINTS * by_words + last,
            Err(_) => (WORD_POINTS + best) * by_words,
        };
    }
    for ((segment, doc, cosine), _) in near.documents.iter().zip(is_scored).filter(|it| !it.1) {
        let points = direction(*cosine);
        scored.push(Scored { cosine: *cosine, points, ..Scored::new(*segment, *doc, live) });
    }
    scored
}

/// Tells whether a query describes something, or only names it: then words alone answer.
pub(super) fn is_question(query: &SearchQuery) -> bool {
    query.exact.is_empty()
        && query.words.len() > 1
        && !query.words.iter().all(|word| looks_like_name(word))
}

impl Near {
    /// Looks for them, in the vectors of the model that was asked or else in our own; `None` where neither knows a word of the
    /// question.
    pub fn of_question(
        dir: &Path,
        segments: &[Segment<'_>],
        live: &Live,
        query: &SearchQuery,
        is_wanted: impl Fn(u32, u64) -> bool,
    ) -> Result<Option<Near>, IndexError> {
        let embedded = Model::embedded().question(&query.plain).map(Question::new);
        let (store, question) = match (&query.model, &embedded) {
            (Some((store, question)), _) => (Some(store), question),
            (None, Some(question)) => (None, question),
            (None, None) => return Ok(None),
        };
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
        let near = near
            .map_err(|error| IndexError::damaged_words(dir, &format!("their vectors: {error}")))?;
        let mut cosines: Vec<Vec<(u64, f32)>> = vec![Vec::new(); live.rows.len()];
        for it in near.units {
            let units = file_of(it.file).map(|file| &mut cosines[file]);
            units.into_iter().for_each(|units| units.push((it.unit, it.cosine)));
        }
        let mut documents = Vec::new();
        for (segment, files) in live.files_of_documents.iter().enumerate() {
            for (doc, file) in (0..).zip(files) {
                if let Some(units) = cosines.get(*file as usize).filter(|it| !it.is_empty()) {
                    let unit = segments[segment].unit(doc);
                    let cosine = units.iter().find(|(it, _)| *it == unit);
                    documents.extend(cosine.map(|(_, cosine)| (segment, doc, *cosine)));
                }
            }
        }
        let is_graph_damaged = near.is_graph_damaged;
        Ok(Some(Near { documents, is_of_other: store.is_some(), is_graph_damaged }))
    }
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
