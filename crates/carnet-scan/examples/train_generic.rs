//! Trains the model for values without a mark of their own; `cargo xtask train-generic` calls it.
//!
//! `train_generic OUT LABELLED SOURCE…`
//!
//! - LABELLED: a directory as Samsung/CredData lays it out: `meta/*.csv` and `data/<repository>/…`;
//! - SOURCE: directories of public source, in which nothing is taken for a secret;
//! - OUT: where `trigrams.bin` and `generic.txt` go.
//!
//! Prints what models that have not seen a repository say of it: five folds, by repository. No randomness but that of a
//! fixed seed: the same input gives the same files.
#![expect(clippy::print_stdout, reason = "a program whose output is its purpose")]
#![expect(dead_code, reason = "of the crate's modules the training needs a part")]

#[path = "../src/generic/mod.rs"]
mod generic;
#[path = "../src/placeholder.rs"]
mod placeholder;

use std::{
    collections::{BTreeMap, HashSet},
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use generic::{
    Candidate, Kind, candidate,
    features::{self, LEN, NAMES},
    model::{N_CLASSES, Trigrams, Weights, index},
};

/// Larger files are data, not source.
const FILE_BYTES_MAX: u64 = 1 << 20;
const N_FOLDS: usize = 5;
/// Weight of a value that nobody labelled, in a file that was looked at, and in clean source.
const UNLABELLED: f64 = 0.2;
const CLEAN: f64 = 0.05;
/// Weight of a value that was made up.
const MADE_UP: f64 = 0.1;
/// Of what held-out models report among labelled values at least so much must be true, by kind. Among labels for
/// passwords those that call the same word true here and an example there are many.
const PRECISION_MIN: [f64; 2] = [0.889, 0.96];
const PENALTY: f64 = 1.0;

struct Sample {
    kind: Kind,
    fold: usize,
    row: [f32; LEN],
    is_secret: bool,
    is_labelled: bool,
    weight: f64,
    /// What it looks like, for people who ask why.
    shown: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [out, labelled, sources @ ..] = args.as_slice() else {
        return Err("usage: train_generic OUT LABELLED SOURCE…".into());
    };
    let mut files = Vec::new();
    for source in sources {
        list(source, &mut files)?;
    }
    files.sort();
    let table = count_trigrams(&files)?;
    let trigrams = Trigrams(&table);
    let mut samples = Vec::new();
    read_labelled(labelled, &trigrams, &mut samples)?;
    let n_labelled = samples.len();
    read_clean(&files, &trigrams, &mut samples)?;
    make_up(&trigrams, &mut samples);
    println!(
        "{} source files, {n_labelled} values in labelled files, {} in all",
        files.len(),
        samples.len()
    );
    let mut weights = Weights { weights: [[0.0; LEN]; 2], thresholds: [0.0; 2] };
    for kind in Kind::ALL {
        let of_kind: Vec<&Sample> = samples.iter().filter(|sample| sample.kind == kind).collect();
        weights.thresholds[kind as usize] = held_out(kind, &of_kind);
        weights.weights[kind as usize] = fit(&of_kind);
    }
    fs::write(out.join("trigrams.bin"), &table)?;
    fs::write(out.join("generic.txt"), written(&weights)?)?;
    Ok(())
}

fn list(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            list(&entry?.path(), files)?;
        }
    } else if meta.is_file() && meta.len() <= FILE_BYTES_MAX {
        files.push(path.to_owned());
    }
    Ok(())
}

/// Returns for each trigram of classes how many sixteenths of a bit the third byte tells.
fn count_trigrams(files: &[PathBuf]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut counts = vec![0_u32; N_CLASSES * N_CLASSES * N_CLASSES];
    for file in files {
        let bytes = fs::read(file)?;
        if !bytes.contains(&0) {
            bytes.windows(3).for_each(|three| counts[index(three[0], three[1], three[2])] += 1);
        }
    }
    let mut table = Vec::with_capacity(counts.len());
    for followers in counts.chunks(N_CLASSES) {
        let total: f64 = followers.iter().map(|count| f64::from(*count)).sum();
        for count in followers {
            let share = (f64::from(*count) + 0.5) / (total + 0.5 * N_CLASSES as f64);
            table.push((-share.log2() * 16.0).clamp(0.0, 255.0) as u8);
        }
    }
    Ok(table)
}

/// Calls `visit` with every candidate of a text.
fn each_candidate(text: &[u8], visit: &mut dyn FnMut(Candidate<'_>)) {
    let lower = text.to_ascii_lowercase();
    for kind in Kind::ALL {
        let mut seen = HashSet::new();
        for stem in kind.stems() {
            for at in memchr::memmem::find_iter(&lower, stem.as_bytes()) {
                if let Some(found) = candidate(text, at..at + stem.len(), kind)
                    && seen.insert(found.range.clone())
                {
                    visit(found);
                }
            }
        }
    }
}

struct Label {
    lines: std::ops::RangeInclusive<usize>,
    columns: Option<std::ops::Range<usize>>,
    is_secret: bool,
}

fn read_labelled(
    dir: &Path,
    trigrams: &Trigrams<'_>,
    samples: &mut Vec<Sample>,
) -> Result<(), Box<dyn Error>> {
    let mut metas = Vec::new();
    list(&dir.join("meta"), &mut metas)?;
    metas.sort();
    for (repo_idx, meta) in metas.iter().enumerate() {
        let mut labels: BTreeMap<String, Vec<Label>> = BTreeMap::new();
        for line in fs::read_to_string(meta)?.lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let [_, _, _, _, path, start, end, truth, from, to, ..] = fields.as_slice() else {
                continue;
            };
            let columns = match (from.parse(), to.parse()) {
                (Ok(from), Ok(to)) if from < to && start == end => Some(from..to),
                _ => None,
            };
            let lines = start.parse()?..=end.parse()?;
            let is_secret = *truth == "T";
            labels.entry((*path).to_owned()).or_default().push(Label { lines, columns, is_secret });
        }
        for (path, labels) in labels {
            let Ok(text) = fs::read(dir.join(&path)) else { continue };
            let starts: Vec<usize> = std::iter::once(0)
                .chain(memchr::memchr_iter(b'\n', &text).map(|at| at + 1))
                .collect();
            each_candidate(&text, &mut |found| {
                let line = starts.partition_point(|start| *start <= found.range.start);
                let column = found.range.start - starts[line - 1];
                let columns = column..column + found.range.len();
                let mut truth = None;
                for label in labels.iter().filter(|label| label.lines.contains(&line)) {
                    let overlaps = |at: &std::ops::Range<usize>| {
                        at.start < columns.end && columns.start < at.end
                    };
                    if label.columns.as_ref().is_none_or(overlaps) {
                        truth = Some(truth.unwrap_or(false) || label.is_secret);
                    }
                }
                samples.push(Sample {
                    kind: found.kind,
                    fold: repo_idx % N_FOLDS,
                    row: features::of(&found, trigrams),
                    is_secret: truth.unwrap_or(false),
                    is_labelled: truth.is_some(),
                    weight: if truth.is_some() { 1.0 } else { UNLABELLED },
                    shown: format!(
                        "{path}:{line} {} {}",
                        String::from_utf8_lossy(found.name),
                        String::from_utf8_lossy(found.value)
                    ),
                });
            });
        }
    }
    Ok(())
}

fn read_clean(
    files: &[PathBuf],
    trigrams: &Trigrams<'_>,
    samples: &mut Vec<Sample>,
) -> Result<(), Box<dyn Error>> {
    let mut seen: HashSet<(Vec<u8>, Vec<u8>)> = HashSet::new();
    for (file_idx, file) in files.iter().enumerate() {
        each_candidate(&fs::read(file)?, &mut |found| {
            if seen.insert((found.name.to_vec(), found.value.to_vec())) {
                samples.push(Sample {
                    kind: found.kind,
                    fold: file_idx % N_FOLDS,
                    row: features::of(&found, trigrams),
                    is_secret: false,
                    is_labelled: false,
                    weight: CLEAN,
                    shown: String::new(),
                });
            }
        });
    }
    Ok(())
}

/// Adds values as machines make them, under names as people give them.
fn make_up(trigrams: &Trigrams<'_>, samples: &mut Vec<Sample>) {
    const ALPHABETS: [&[u8]; 5] = [
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
        b"0123456789abcdef",
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        b"abcdefghijklmnopqrstuvwxyz0123456789",
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!@#%^*_-",
    ];
    const NAMES: [(&str, Kind); 8] = [
        ("api_key", Kind::Secret),
        ("SECRET_KEY", Kind::Secret),
        ("clientSecret", Kind::Secret),
        ("auth_token", Kind::Secret),
        ("ACCESS_TOKEN", Kind::Secret),
        ("password", Kind::Password),
        ("DB_PASSWORD", Kind::Password),
        ("dbPassword", Kind::Password),
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for sample_idx in 0..4000 {
        let (name, kind) = NAMES[random(NAMES.len())];
        let alphabet = ALPHABETS[random(ALPHABETS.len())];
        let shortest = if kind == Kind::Password { 10 } else { 20 };
        let len = shortest + random(30);
        let value: String =
            (0..len).map(|_| char::from(alphabet[random(alphabet.len())])).collect();
        let text = match random(4) {
            0 => format!("{name} = \"{value}\"\n"),
            1 => format!("{name}: '{value}',\n"),
            2 => format!("\"{name}\": \"{value}\"\n"),
            _ => format!("{name}={value}\n"),
        };
        each_candidate(text.as_bytes(), &mut |found| {
            if found.kind == kind {
                samples.push(Sample {
                    kind,
                    fold: sample_idx % N_FOLDS,
                    row: features::of(&found, trigrams),
                    is_secret: true,
                    is_labelled: false,
                    weight: MADE_UP,
                    shown: String::new(),
                });
            }
        });
    }
}

/// Scores every value by a model that has not seen its repository; prints a table and returns the threshold.
fn held_out(kind: Kind, samples: &[&Sample]) -> f32 {
    let mut scored: Vec<(f32, &Sample)> = Vec::new();
    for fold in 0..N_FOLDS {
        let (test, train): (Vec<&Sample>, Vec<&Sample>) =
            samples.iter().partition(|sample| sample.fold == fold);
        let weights = fit(&train);
        let score = |sample: &Sample| {
            weights.iter().zip(&sample.row).map(|(weight, number)| weight * number).sum()
        };
        scored.extend(test.into_iter().map(|sample| (score(sample), sample)));
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let n_secret = samples.iter().filter(|sample| sample.is_labelled && sample.is_secret).count();
    println!(
        "\n{}: {n_secret} labelled secrets, held out by repository\nlog-odds  precision  recall  of clean source",
        kind.name()
    );
    let (mut n_true, mut n_false, mut n_clean) = (0_usize, 0_usize, 0_usize);
    let mut threshold = f32::INFINITY;
    let mut next = 3.0_f32;
    for (score, sample) in &scored {
        while *score < next && next > -4.0 {
            let precision = n_true as f64 / (n_true + n_false).max(1) as f64;
            let recall = n_true as f64 / n_secret.max(1) as f64;
            println!("{next:>8.2}  {precision:>9.3}  {recall:>6.3}  {n_clean}");
            if precision >= PRECISION_MIN[kind as usize] {
                threshold = next;
            }
            next -= 0.25;
        }
        match (sample.is_labelled, sample.is_secret) {
            (true, true) => n_true += 1,
            (true, false) => n_false += 1,
            (false, false) if sample.weight <= CLEAN => n_clean += 1,
            _ => {}
        }
    }
    println!("threshold {threshold}");
    if std::env::var_os("SHOW").is_some() {
        for (score, sample) in scored.iter().filter(|(_, sample)| sample.is_labelled) {
            println!("{}\t{score:.2}\t{}\t{}", kind.name(), sample.is_secret, sample.shown);
        }
    }
    threshold
}

/// Fits a logistic model by Newton's method, with a penalty on every weight but the bias.
fn fit(samples: &[&Sample]) -> [f32; LEN] {
    let mut weights = [0.0_f64; LEN];
    for _ in 0..12 {
        let mut gradient = [0.0_f64; LEN];
        let mut hessian = vec![[0.0_f64; LEN]; LEN];
        for at in 0..LEN {
            let penalty = if at == 0 { 1e-6 } else { PENALTY };
            gradient[at] = penalty * weights[at];
            hessian[at][at] = penalty;
        }
        for sample in samples {
            let set: Vec<(usize, f64)> = (0..LEN)
                .filter(|at| sample.row[*at] != 0.0)
                .map(|at| (at, f64::from(sample.row[at])))
                .collect();
            let odds: f64 = set.iter().map(|(at, number)| weights[*at] * number).sum();
            let share = 1.0 / (1.0 + (-odds).exp());
            let truth = if sample.is_secret { 1.0 } else { 0.0 };
            let curve = (share * (1.0 - share)).max(1e-6) * sample.weight;
            for (a, x) in &set {
                gradient[*a] += (share - truth) * x * sample.weight;
                for (b, y) in &set {
                    hessian[*a][*b] += curve * x * y;
                }
            }
        }
        let step = solved(hessian, gradient);
        (0..LEN).for_each(|at| weights[at] -= step[at]);
    }
    weights.map(|weight| weight as f32)
}

/// Solves `matrix · x = right` for a positive matrix, by elimination.
fn solved(mut matrix: Vec<[f64; LEN]>, mut right: [f64; LEN]) -> [f64; LEN] {
    for pivot in 0..LEN {
        let (above, below) = matrix.split_at_mut(pivot + 1);
        for (row, numbers) in below.iter_mut().enumerate() {
            let factor = numbers[pivot] / above[pivot][pivot];
            if factor != 0.0 {
                let of_pivot = above[pivot].iter().skip(pivot);
                numbers.iter_mut().skip(pivot).zip(of_pivot).for_each(|(a, b)| *a -= factor * b);
                right[pivot + 1 + row] -= factor * right[pivot];
            }
        }
    }
    let mut solution = [0.0; LEN];
    for row in (0..LEN).rev() {
        let known: f64 = (row + 1..LEN).map(|column| matrix[row][column] * solution[column]).sum();
        solution[row] = (right[row] - known) / matrix[row][row];
    }
    solution
}

fn written(weights: &Weights) -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "# Written by `cargo xtask train-generic`; see docs/design/generic-model.md.\n# feature, password, secret\n",
    );
    for (at, name) in NAMES.iter().enumerate() {
        writeln!(text, "{name} {:.3} {:.3}", weights.weights[0][at], weights.weights[1][at])?;
    }
    writeln!(text, "threshold {:.3} {:.3}", weights.thresholds[0], weights.thresholds[1])?;
    Ok(text)
}
