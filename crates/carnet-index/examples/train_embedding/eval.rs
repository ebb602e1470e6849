//! Measures a model on repositories that it was not trained on (those whose name begins with `+`): which function does a
//! description lead to, among all functions of the repository? Beside it BM25 over weighted fields, and both fused.

use std::{collections::HashMap, error::Error, fs};

use carnet_index::vectors::{Field, Model};

use crate::{
    data::{Data, Function, Words},
    text,
};

/// Weights of body, name and path in BM25.
const WEIGHTS: [f32; 3] = [1.0, 1.0, 0.3];
/// Points of the best by words beside the cosine, as in a search.
const WORD_POINTS: f32 = 0.2;

pub fn eval(data: &Data, path: &str) -> Result<(), Box<dyn Error>> {
    let model = Model::read(fs::read(path)?.leak()).ok_or("not a model")?;
    let stems = stems(data);
    println!(
        "{:<26} {:>7} {:>7} | bm25f, vectors, fused: as written / without identifiers / without the name's words",
        "repository", "functions", "asked"
    );
    let mut means = [[0.0; 3]; 3];
    let measured: Vec<_> = data.repositories.iter().filter(|it| it.name.starts_with('+')).collect();
    for repository in &measured {
        let functions = &repository.functions;
        let bm25 = Bm25::new(functions, &stems);
        let texts = |it: &Words| {
            it.iter().map(|word| data.words[*word as usize].as_str()).collect::<Vec<_>>()
        };
        let units: Vec<_> = functions
            .iter()
            .map(|it| {
                model
                    .unit_of_words(&texts(&it.body), &texts(&it.name), &texts(&it.path), &[])
                    .unwrap_or_default()
            })
            .collect();
        let mut n_asked = 0;
        let mut line = [[0.0; 3]; 3];
        for kind in 0..3 {
            // One question may have several right answers; more than five are none.
            let mut right: HashMap<u64, Vec<usize>> = HashMap::new();
            for (idx, function) in
                functions.iter().enumerate().filter(|(_, it)| it.questions[kind].len() > 1)
            {
                right.entry(function.question_hash).or_default().push(idx);
            }
            let mut points = [0.0; 3];
            let mut n = 0;
            for answers in right.values().filter(|it| it.len() <= 5) {
                let question = &functions[answers[0]].questions[kind];
                let words = bm25.scores(question, &stems);
                let direction = model
                    .words(Field::Prose, &texts(question))
                    .unwrap_or_else(|| vec![0.0; model.dimension()]);
                let vectors: Vec<f32> = units
                    .iter()
                    .map(|unit| unit.iter().zip(&direction).map(|(a, b)| a * b).sum())
                    .collect();
                let by_words = window(&words);
                let fused = by_words.iter().zip(&vectors);
                let fused: Vec<f32> =
                    fused.map(|(words, cosine)| WORD_POINTS * words + cosine.max(0.0)).collect();
                for (points, scores) in points.iter_mut().zip([&words, &vectors, &fused]) {
                    *points += reciprocal(scores, answers);
                }
                n += 1;
            }
            if kind == 0 {
                n_asked = n;
            }
            for (system, points) in points.into_iter().enumerate() {
                line[system][kind] = points / n.max(1) as f32;
                means[system][kind] += line[system][kind] / measured.len() as f32;
            }
        }
        println!(
            "{:<26} {:>7} {n_asked:>7} | {:.3?} {:.3?} {:.3?}",
            repository.name,
            functions.len(),
            line[0],
            line[1],
            line[2]
        );
    }
    println!("mean | {:.4?} {:.4?} {:.4?}", means[0], means[1], means[2]);
    Ok(())
}

fn stems(data: &Data) -> Vec<u32> {
    let mut ids: HashMap<String, u32> = HashMap::new();
    data.words
        .iter()
        .map(|word| {
            let next = ids.len() as u32;
            *ids.entry(text::stem(word)).or_insert(next)
        })
        .collect()
}

fn reciprocal(scores: &[f32], answers: &[usize]) -> f32 {
    let best = answers.iter().map(|idx| scores[*idx]).fold(f32::MIN, f32::max);
    let n_above = scores.iter().filter(|it| **it > best).count();
    let n_equal = scores.iter().filter(|it| **it == best).count();
    let rank = 1 + n_above + n_equal.saturating_sub(1) / 2;
    if rank <= 10 { 1.0 / rank as f32 } else { 0.0 }
}

/// Scores from 0 to 1 over the best two hundred.
fn window(scores: &[f32]) -> Vec<f32> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let (high, low) = (sorted[0], sorted[sorted.len().min(200) - 1]);
    scores.iter().map(|it| ((it - low) / (high - low).max(1e-9)).max(0.0)).collect()
}

struct Bm25 {
    postings: [HashMap<u32, Vec<(u32, f32)>>; 3],
    n: usize,
}

impl Bm25 {
    fn new(functions: &[Function], stems: &[u32]) -> Bm25 {
        let fields: [fn(&Function) -> &Words; 3] = [|it| &it.body, |it| &it.name, |it| &it.path];
        let postings = fields.map(|field| {
            let mean = functions.iter().map(|it| field(it).len()).sum::<usize>() as f32
                / functions.len() as f32;
            let mut postings: HashMap<u32, Vec<(u32, f32)>> = HashMap::new();
            for (idx, function) in functions.iter().enumerate() {
                let mut counts: HashMap<u32, f32> = HashMap::new();
                field(function)
                    .iter()
                    .for_each(|word| *counts.entry(stems[*word as usize]).or_default() += 1.0);
                let norm = 1.2 * (0.25 + 0.75 * field(function).len() as f32 / mean.max(1e-9));
                for (word, count) in counts {
                    postings
                        .entry(word)
                        .or_default()
                        .push((idx as u32, count * 2.2 / (count + norm)));
                }
            }
            postings
        });
        Bm25 { postings, n: functions.len() }
    }

    fn scores(&self, question: &Words, stems: &[u32]) -> Vec<f32> {
        let mut words: Vec<u32> = question.iter().map(|word| stems[*word as usize]).collect();
        words.sort_unstable();
        words.dedup();
        let mut scores = vec![0.0; self.n];
        for (postings, weight) in self.postings.iter().zip(WEIGHTS) {
            for list in words.iter().filter_map(|word| postings.get(word)) {
                let df = list.len() as f32;
                let rarity = (1.0 + (self.n as f32 - df + 0.5) / (df + 0.5)).ln();
                list.iter()
                    .for_each(|(idx, score)| scores[*idx as usize] += weight * rarity * score);
            }
        }
        scores
    }
}
