//! Contrastive training: a description and its function are to point in one direction, other functions of the same
//! repository in others. Every gradient is written out; the model is small enough.

use std::{collections::HashMap, error::Error, fs, time::Instant};

use carnet_index::vectors::write_model;
use ndarray::{Array1, Array2, Axis, s};

use crate::{
    data::{Data, Function, Words},
    learnt::{Learnt, Stems},
    random::Random,
};

/// Repositories that are trained on never: they tell which settings are good.
const VALIDATION: [&str; 8] = [
    "image-rs+image",
    "psf+requests",
    "date-fns+date-fns",
    "blevesearch+bleve",
    "iterative+dvc",
    "lit+lit",
    "rustls+rustls",
    "restic+restic",
];
/// Fields by their position in the weights: question, body, name, path.
const QUESTION: usize = 0;
const N_FIELDS: usize = 4;

#[derive(Debug, Clone, Copy)]
struct Settings {
    n_words: usize,
    dimension: usize,
    epochs: f32,
    rate: f32,
    /// Pairs of one repository that stand in a batch together.
    chunk: usize,
    chunks: usize,
    negatives: usize,
    /// Pairs of one repository in an epoch.
    share_max: usize,
    body_dropout: f32,
    question_dropout: f32,
    field_dropout: f32,
    doc: f32,
    /// Share of chunks that hold neighbours, which are harder to tell apart.
    near: f32,
    seed: u64,
}

impl Settings {
    fn new(options: &[&str]) -> Result<Settings, Box<dyn Error>> {
        let mut it = Settings {
            n_words: 30_000,
            dimension: 256,
            epochs: 3.0,
            rate: 0.005,
            chunk: 512,
            chunks: 2,
            negatives: 1_024,
            share_max: 7_000,
            body_dropout: 0.3,
            question_dropout: 0.15,
            field_dropout: 0.15,
            doc: 0.8,
            near: 0.5,
            seed: 1,
        };
        for option in options {
            let (name, value) = option.split_once('=').ok_or("NAME=VALUE")?;
            match name {
                "words" => it.n_words = value.parse()?,
                "dim" => it.dimension = value.parse()?,
                "epochs" => it.epochs = value.parse()?,
                "rate" => it.rate = value.parse()?,
                "chunk" => it.chunk = value.parse()?,
                "chunks" => it.chunks = value.parse()?,
                "negatives" => it.negatives = value.parse()?,
                "share" => it.share_max = value.parse()?,
                "bd" => it.body_dropout = value.parse()?,
                "qd" => it.question_dropout = value.parse()?,
                "fd" => it.field_dropout = value.parse()?,
                "doc" => it.doc = value.parse()?,
                "near" => it.near = value.parse()?,
                "seed" => it.seed = value.parse()?,
                _ => return Err(format!("no option {name}").into()),
            }
        }
        Ok(it)
    }
}

/// Rows of words with their weights.
#[derive(Default)]
struct Bags {
    ends: Vec<usize>,
    words: Vec<u32>,
    counts: Vec<f32>,
}

impl Bags {
    fn push(&mut self, words: &[u32], dropout: f32, random: &mut Random) {
        let mut sorted = words.to_vec();
        sorted.sort_unstable();
        for same in sorted.chunk_by(|a, b| a == b) {
            if dropout > 0.0 && random.unit() < dropout {
                continue;
            }
            self.words.push(same[0]);
            self.counts.push(1.0 + (same.len() as f32).ln());
        }
        self.ends.push(self.words.len());
    }

    fn row(&self, idx: usize) -> std::ops::Range<usize> {
        let start = if idx == 0 { 0 } else { self.ends[idx - 1] };
        start..self.ends[idx]
    }
}

/// Unit vectors, and what they were before.
struct Normed {
    unit: Array2<f32>,
    length: Vec<f32>,
}

fn normed(mut sum: Array2<f32>) -> Normed {
    let mut length = Vec::with_capacity(sum.nrows());
    for mut row in sum.axis_iter_mut(Axis(0)) {
        let norm = row.dot(&row).sqrt().max(1e-6);
        row /= norm;
        length.push(norm);
    }
    Normed { unit: sum, length }
}

/// The gradient before the vectors were brought to length 1.
fn unnormed(normed: &Normed, mut gradient: Array2<f32>) -> Array2<f32> {
    for ((mut row, unit), length) in
        gradient.axis_iter_mut(Axis(0)).zip(normed.unit.axis_iter(Axis(0))).zip(&normed.length)
    {
        let along = row.dot(&unit);
        row.scaled_add(-along, &unit);
        row /= *length;
    }
    gradient
}

struct Net {
    dimension: usize,
    n_words: usize,
    table: Learnt,
    /// Logarithms of the weights of words by field.
    weights: Learnt,
    /// Logarithms of the weights of body, name, path; then of the scale.
    fields: Learnt,
}

struct Docs {
    body: Normed,
    name: Normed,
    path: Normed,
    bags: [Bags; 3],
    all: Normed,
    kept: [Vec<f32>; 3],
}

impl Net {
    fn sum(&self, bags: &Bags, field: usize) -> Array2<f32> {
        let dim = self.dimension;
        let mut out = Array2::zeros((bags.ends.len(), dim));
        for idx in 0..bags.ends.len() {
            let mut row = out.row_mut(idx);
            let row = row.as_slice_mut().unwrap();
            for at in bags.row(idx) {
                let word = bags.words[at] as usize;
                let factor =
                    bags.counts[at] * self.weights.value[field * self.n_words + word].exp();
                let vector = &self.table.value[word * dim..][..dim];
                for (out, value) in row.iter_mut().zip(vector) {
                    *out += factor * value;
                }
            }
        }
        out
    }

    fn sum_back(&mut self, bags: &Bags, field: usize, gradient: &Array2<f32>) {
        let dim = self.dimension;
        for idx in 0..bags.ends.len() {
            let row = gradient.row(idx);
            let row = row.as_slice().unwrap();
            for at in bags.row(idx) {
                let word = bags.words[at] as usize;
                let factor =
                    bags.counts[at] * self.weights.value[field * self.n_words + word].exp();
                let vector = &self.table.value[word * dim..][..dim];
                let mut along = 0.0;
                for ((gradient, value), down) in
                    self.table.gradient[word * dim..][..dim].iter_mut().zip(vector).zip(row)
                {
                    *gradient += factor * down;
                    along += value * down;
                }
                self.weights.gradient[field * self.n_words + word] += factor * along;
            }
        }
    }

    fn docs(
        &self,
        functions: &[&Function],
        settings: Option<&Settings>,
        random: &mut Random,
    ) -> Docs {
        let mut bags = [Bags::default(), Bags::default(), Bags::default()];
        let (body_dropout, field_dropout) =
            settings.map_or((0.0, 0.0), |it| (it.body_dropout, it.field_dropout));
        let mut kept = [vec![], vec![], vec![]];
        for function in functions {
            bags[0].push(&function.body, body_dropout, random);
            bags[1].push(&function.name, 0.0, random);
            bags[2].push(&function.path, 0.0, random);
            for (field, kept) in kept.iter_mut().enumerate() {
                kept.push(if field > 0 && random.unit() < field_dropout { 0.0 } else { 1.0 });
            }
        }
        let body = normed(self.sum(&bags[0], 1));
        let name = normed(self.sum(&bags[1], 2));
        let path = normed(self.sum(&bags[2], 3));
        let mut sum = Array2::zeros(body.unit.raw_dim());
        for (field, part) in [&body, &name, &path].into_iter().enumerate() {
            let weight = self.fields.value[field].exp();
            for (idx, mut row) in sum.axis_iter_mut(Axis(0)).enumerate() {
                row.scaled_add(weight * kept[field][idx], &part.unit.row(idx));
            }
        }
        Docs { body, name, path, bags, all: normed(sum), kept }
    }

    fn docs_back(&mut self, docs: &Docs, gradient: Array2<f32>) {
        let gradient = unnormed(&docs.all, gradient);
        for (field, part) in [&docs.body, &docs.name, &docs.path].into_iter().enumerate() {
            let weight = self.fields.value[field].exp();
            let mut down = gradient.clone();
            for (idx, mut row) in down.axis_iter_mut(Axis(0)).enumerate() {
                row *= weight * docs.kept[field][idx];
                self.fields.gradient[field] += row.dot(&part.unit.row(idx));
            }
            let down = unnormed(part, down);
            self.sum_back(&docs.bags[field], field + 1, &down);
        }
    }

    fn questions(&self, bags: &Bags) -> Normed {
        normed(self.sum(bags, QUESTION))
    }

    fn scale(&self) -> f32 {
        self.fields.value[3].exp().min(100.0)
    }

    /// Learns from one batch; returns its loss.
    fn learn(
        &mut self,
        pairs: &[&Function],
        others: &[&Function],
        settings: &Settings,
        random: &mut Random,
    ) -> f32 {
        let n = pairs.len();
        let mut asked = Bags::default();
        for pair in pairs {
            let kind = match random.unit() {
                it if it < 0.35 => 0,
                it if it < 0.75 => 1,
                _ => 2,
            };
            let question = (0..=kind)
                .rev()
                .map(|kind| &pair.questions[kind])
                .find(|it| it.len() >= 2)
                .unwrap_or(&pair.questions[0]);
            asked.push(question, settings.question_dropout, random);
        }
        let questions = self.questions(&asked);
        let all: Vec<&Function> = pairs.iter().chain(others).copied().collect();
        let docs = self.docs(&all, Some(settings), random);
        let scale = self.scale();
        let cosines = questions.unit.dot(&docs.all.unit.t());
        let mut logits = &cosines * scale;
        for i in 0..n {
            for j in 0..n {
                if i != j && pairs[i].question_hash == pairs[j].question_hash {
                    logits[(i, j)] = -1e4;
                }
            }
        }
        let mut gradient = logits.clone();
        let mut loss = 0.0;
        for (i, mut row) in gradient.axis_iter_mut(Axis(0)).enumerate() {
            loss += soften(row.as_slice_mut().unwrap(), i) / n as f32;
        }
        gradient /= n as f32;
        let mut columns =
            logits.slice(s![.., ..n]).t().to_owned().as_standard_layout().into_owned();
        for (j, mut column) in columns.axis_iter_mut(Axis(0)).enumerate() {
            loss += 0.3 * soften(column.as_slice_mut().unwrap(), j) / n as f32;
        }
        columns *= 0.3 / n as f32;
        let mut part = gradient.slice_mut(s![.., ..n]);
        part += &columns.t();
        self.fields.gradient[3] += (&gradient * &cosines).sum() * scale;
        gradient *= scale;
        let to_questions = unnormed(&questions, gradient.dot(&docs.all.unit));
        let to_docs = gradient.t().dot(&questions.unit);
        self.sum_back(&asked, QUESTION, &to_questions);
        self.docs_back(&docs, to_docs);
        loss
    }

    /// Mean reciprocal ranks for the three kinds of questions, mean over repositories.
    fn measure(&self, repositories: &[Vec<Function>]) -> [f32; 3] {
        let mut random = Random(0);
        let mut sums = [0.0; 3];
        for functions in repositories {
            let all: Vec<&Function> = functions.iter().collect();
            let docs = self.docs(&all, None, &mut random).all.unit;
            for (kind, sum) in sums.iter_mut().enumerate() {
                let mut bags = Bags::default();
                let asked: Vec<usize> = (0..functions.len())
                    .filter(|idx| functions[*idx].questions[kind].len() > 1)
                    .collect();
                for idx in &asked {
                    bags.push(&functions[*idx].questions[kind], 0.0, &mut random);
                }
                let scores = self.questions(&bags).unit.dot(&docs.t());
                let mut points = 0.0;
                for (row, idx) in asked.iter().enumerate() {
                    let score = scores[(row, *idx)];
                    let rank = 1 + scores.row(row).iter().filter(|it| **it > score).count();
                    points += if rank <= 10 { 1.0 / rank as f32 } else { 0.0 };
                }
                *sum += points / asked.len().max(1) as f32 / repositories.len() as f32;
            }
        }
        sums
    }
}

/// Turns logits into the gradient of the cross entropy against `right`; returns the loss.
fn soften(row: &mut [f32], right: usize) -> f32 {
    let max = row.iter().fold(f32::MIN, |max, it| max.max(*it));
    let logit = row[right];
    let mut sum = 0.0;
    for it in row.iter_mut() {
        *it = (*it - max).exp();
        sum += *it;
    }
    row.iter_mut().for_each(|it| *it /= sum);
    row[right] -= 1.0;
    sum.ln() + max - logit
}

pub fn train(data: &Data, out: &str, options: &[&str]) -> Result<(), Box<dyn Error>> {
    let settings = Settings::new(options)?;
    let began = Instant::now();
    let is_training = |name: &str| !name.starts_with('+') && !VALIDATION.contains(&name);
    let (words, shares) = vocabulary(data, settings.n_words, &is_training);
    let position: HashMap<u32, u32> = words.iter().copied().zip(0..).collect();
    let known =
        |it: &Words| it.iter().filter_map(|word| position.get(word).copied()).collect::<Words>();
    let translate = |functions: &[Function]| -> Vec<Function> {
        functions
            .iter()
            .map(|it| Function {
                body: known(&it.body),
                name: known(&it.name),
                path: known(&it.path),
                questions: [
                    known(&it.questions[0]),
                    known(&it.questions[1]),
                    known(&it.questions[2]),
                ],
                question_hash: it.question_hash,
            })
            .collect()
    };
    let training: Vec<Vec<Function>> = data
        .repositories
        .iter()
        .filter(|it| is_training(&it.name))
        .map(|it| translate(&it.functions))
        .collect();
    let validation: Vec<Vec<Function>> = data
        .repositories
        .iter()
        .filter(|it| VALIDATION.contains(&it.name.as_str()))
        .map(|it| translate(&it.functions))
        .collect();
    let mut random = Random(settings.seed);
    let (dim, n_words) = (settings.dimension, words.len());
    let deviation = (dim as f32).sqrt().recip();
    let table = (0..n_words * dim).map(|_| random.normal() * deviation).collect();
    let rarity: Vec<f32> = shares.iter().map(|share| (1.0 + 1.0 / (share + 1e-3)).ln()).collect();
    let mean = rarity.iter().sum::<f32>() / n_words as f32;
    let weights = (0..N_FIELDS).flat_map(|_| rarity.iter().map(|it| (it / mean).ln())).collect();
    let mut net = Net {
        dimension: dim,
        n_words,
        table: Learnt::new(table),
        weights: Learnt::new(weights),
        fields: Learnt::new(vec![0.0, 0.0, 0.5f32.ln(), 20.0f32.ln()]),
    };
    let mut stems = Stems::new(data, &words, dim);
    let documented: Vec<Vec<&Function>> = training
        .iter()
        .map(|it| it.iter().filter(|it| it.questions[0].len() >= 2).collect())
        .collect();
    let others: Vec<Vec<&Function>> = training
        .iter()
        .map(|it| it.iter().filter(|it| it.questions[0].is_empty()).collect())
        .collect();
    let n_pairs: usize = documented.iter().map(Vec::len).sum();
    let per_epoch: usize = documented.iter().map(|it| it.len().min(settings.share_max)).sum();
    let n_steps =
        (per_epoch as f32 / (settings.chunk * settings.chunks) as f32 * settings.epochs) as usize;
    println!(
        "{settings:?}\n{n_pairs} pairs, {per_epoch} an epoch, {n_words} words, {n_steps} steps"
    );
    let (mut step, mut losses) = (0, 0.0);
    while step < n_steps {
        let mut chunks: Vec<(usize, Vec<&Function>)> = Vec::new();
        for (repository, documented) in documented.iter().enumerate() {
            let mut list = documented.clone();
            if !list.is_empty() && random.unit() < settings.near {
                // Neighbours stand together in the list.
                let first = random.below(list.len());
                list.rotate_left(first);
            } else {
                random.shuffle(&mut list);
            }
            list.truncate(settings.share_max);
            chunks.extend(
                list.chunks(settings.chunk)
                    .filter(|it| it.len() > 16)
                    .map(|it| (repository, it.to_vec())),
            );
        }
        random.shuffle(&mut chunks);
        for batch in chunks.chunks(settings.chunks) {
            if step >= n_steps {
                break;
            }
            let pairs: Vec<&Function> =
                batch.iter().flat_map(|(_, it)| it.iter().copied()).collect();
            let mut negatives = Vec::new();
            for (repository, pairs_of_it) in batch {
                let others = &others[*repository];
                let wanted = settings.negatives * pairs_of_it.len() / pairs.len();
                for _ in 0..wanted.min(others.len()) {
                    negatives.push(others[random.below(others.len())]);
                }
            }
            losses += net.learn(&pairs, &negatives, &settings, &mut random);
            step += 1;
            let warm = (step as f32 / 50.0).min(1.0)
                * (1.0 - (step - 1) as f32 / n_steps as f32).powf(0.8);
            stems.step(&mut net.table, settings.rate * warm, step as i32);
            net.table.step(settings.rate * warm, step as i32);
            net.weights.step(settings.rate * 2.0 * warm, step as i32);
            net.fields.step(5e-3 * warm, step as i32);
            if step % 50 == 0 {
                println!(
                    "step {step} loss {:.4} scale {:.1} fields {:?} {} s",
                    losses / 50.0,
                    net.scale(),
                    net.fields.value[..3].iter().map(|it| it.exp()).collect::<Array1<f32>>(),
                    began.elapsed().as_secs()
                );
                losses = 0.0;
            }
            if step % 200 == 0 {
                println!("  validation {:?}", net.measure(&validation));
            }
        }
    }
    println!("validation {:?} after {} s", net.measure(&validation), began.elapsed().as_secs());
    write(data, &words, &net, settings.doc, out)
}

/// The most frequent words, with the share of functions that have them.
fn vocabulary(
    data: &Data,
    n_words: usize,
    is_training: &impl Fn(&str) -> bool,
) -> (Words, Vec<f32>) {
    let mut counts = vec![0u32; data.words.len()];
    let mut n_functions = 0;
    for function in
        data.repositories.iter().filter(|it| is_training(&it.name)).flat_map(|it| &it.functions)
    {
        let mut words: Words = [&function.body, &function.name, &function.questions[0]]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        words.sort_unstable();
        words.dedup();
        words.into_iter().for_each(|word| counts[word as usize] += 1);
        n_functions += 1;
    }
    let mut words: Words =
        (0..counts.len() as u32).filter(|word| counts[*word as usize] >= 3).collect();
    words.sort_by_key(|word| {
        (std::cmp::Reverse(counts[*word as usize]), data.words[*word as usize].clone())
    });
    words.truncate(n_words);
    words.sort_by_key(|word| data.words[*word as usize].clone());
    let shares =
        words.iter().map(|word| counts[*word as usize] as f32 / n_functions as f32).collect();
    (words, shares)
}

fn write(data: &Data, words: &[u32], net: &Net, doc: f32, out: &str) -> Result<(), Box<dyn Error>> {
    let texts: Vec<String> = words.iter().map(|word| data.words[*word as usize].clone()).collect();
    let weights: Vec<f32> = net.weights.value.iter().map(|it| it.exp()).collect();
    let fields =
        [net.fields.value[0].exp(), net.fields.value[1].exp(), net.fields.value[2].exp(), doc];
    let bytes = write_model(net.dimension, &texts, &net.table.value, &weights, fields);
    println!("{} bytes", bytes.len());
    Ok(fs::write(out, bytes)?)
}
