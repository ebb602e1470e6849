//! A logistic model over [`super::features`], and the trigrams of source code that one feature needs.
//!
//! Both are data, trained by `cargo xtask train-generic` from public source; `docs/design/generic-model.md` says from
//! what, and how well it does on repositories that it has not seen. Invariant: the score depends on the candidate alone.

use std::sync::OnceLock;

use super::{
    Candidate, Kind,
    features::{self, LEN, NAMES},
};

/// Bits per trigram, in sixteenths; by the classes of two bytes and of the one that follows.
static TRIGRAMS: &[u8] = include_bytes!("../../models/trigrams.bin");
/// A line for each feature, with a weight for each kind; the last line is the threshold of each.
static WEIGHTS: &str = include_str!("../../models/generic.txt");

/// Classes of bytes: 26 letters without case, 10 digits, marks within names, other marks, anything else.
pub(crate) const N_CLASSES: usize = 39;

/// How much a text surprises one who has read much source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trigrams<'t>(pub(crate) &'t [u8]);

impl Trigrams<'_> {
    /// Returns the mean surprise in bits per byte, 0 for a text shorter than three bytes.
    pub(crate) fn surprise(&self, bytes: &[u8]) -> f32 {
        let bits = |window: &[u8]| {
            let at = index(window[0], window[1], window[2]);
            f32::from(self.0.get(at).copied().unwrap_or(0)) / 16.0
        };
        let n_windows = bytes.len().saturating_sub(2).max(1);
        bytes.windows(3).map(bits).sum::<f32>() / n_windows as f32
    }
}

/// Returns where the table holds the bits of `c` after `a` and `b`.
pub(crate) fn index(a: u8, b: u8, c: u8) -> usize {
    (class(a) * N_CLASSES + class(b)) * N_CLASSES + class(c)
}

fn class(byte: u8) -> usize {
    match byte {
        b'a'..=b'z' => usize::from(byte - b'a'),
        b'A'..=b'Z' => usize::from(byte - b'A'),
        b'0'..=b'9' => 26 + usize::from(byte - b'0'),
        b'_' | b'-' | b'.' | b'/' => 36,
        _ if byte.is_ascii() => 37,
        _ => 38,
    }
}

/// The weights of both kinds.
#[derive(Debug)]
pub(crate) struct Weights {
    /// By kind, then by feature.
    pub(crate) weights: [[f32; LEN]; 2],
    pub(crate) thresholds: [f32; 2],
}

impl Weights {
    /// Reads the file of weights; a line that is none is passed over, which a test forbids.
    pub(crate) fn parse(text: &str) -> Weights {
        let mut read = Weights { weights: [[0.0; LEN]; 2], thresholds: [0.0; 2] };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut fields = line.split_ascii_whitespace();
            let name = fields.next().unwrap_or_default();
            let mut number = || fields.next().and_then(|field| field.parse().ok()).unwrap_or(0.0);
            let pair = [number(), number()];
            match NAMES.iter().position(|other| *other == name) {
                Some(at) => (0..2).for_each(|kind| read.weights[kind][at] = pair[kind]),
                None if name == "threshold" => read.thresholds = pair,
                None => {}
            }
        }
        read
    }

    /// Returns the log-odds of a row of features.
    pub(crate) fn log_odds(&self, kind: Kind, row: &[f32; LEN]) -> f32 {
        self.weights[kind as usize].iter().zip(row).map(|(weight, number)| weight * number).sum()
    }
}

/// Tells whether a candidate is likely a secret.
pub(crate) fn is_likely(candidate: &Candidate<'_>) -> bool {
    static READ: OnceLock<Weights> = OnceLock::new();
    let weights = READ.get_or_init(|| Weights::parse(WEIGHTS));
    let row = features::of(candidate, &Trigrams(TRIGRAMS));
    weights.log_odds(candidate.kind, &row) >= weights.thresholds[candidate.kind as usize]
}
