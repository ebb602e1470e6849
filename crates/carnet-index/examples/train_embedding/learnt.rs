//! Numbers that are learnt, step by step: Adam, and vectors that words of one stem share.

use std::collections::HashMap;

use crate::{data::Data, text};

/// Numbers that are learnt, with Adam's two moments.
pub struct Learnt {
    pub value: Vec<f32>,
    pub gradient: Vec<f32>,
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl Learnt {
    pub fn new(value: Vec<f32>) -> Learnt {
        let zeros = vec![0.0; value.len()];
        Learnt { value, gradient: zeros.clone(), mean: zeros.clone(), square: zeros }
    }

    pub fn step(&mut self, rate: f32, n_steps: i32) {
        const FIRST: f32 = 0.9;
        const SECOND: f32 = 0.99;
        let (first, second) = (1.0 - FIRST.powi(n_steps), 1.0 - SECOND.powi(n_steps));
        let all = self
            .value
            .iter_mut()
            .zip(&mut self.gradient)
            .zip(self.mean.iter_mut().zip(&mut self.square));
        for ((value, gradient), (mean, square)) in all {
            *mean = FIRST * *mean + (1.0 - FIRST) * *gradient;
            *square = SECOND * *square + (1.0 - SECOND) * *gradient * *gradient;
            *value -= rate * (*mean / first) / ((*square / second).sqrt() + 1e-8);
            *gradient = 0.0;
        }
    }
}

/// The part of a vector that words of one stem share.
pub struct Stems {
    of_word: Vec<u32>,
    dimension: usize,
    shared: Learnt,
}

impl Stems {
    pub fn new(data: &Data, words: &[u32], dimension: usize) -> Stems {
        let mut ids: HashMap<String, u32> = HashMap::new();
        let mut of_word = Vec::new();
        for word in words {
            let next = ids.len() as u32;
            of_word.push(*ids.entry(text::stem(&data.words[*word as usize])).or_insert(next));
        }
        Stems { of_word, dimension, shared: Learnt::new(vec![0.0; ids.len() * dimension]) }
    }

    /// Learns from what the words are about to learn, and moves them together.
    pub fn step(&mut self, table: &mut Learnt, rate: f32, n_steps: i32) {
        let dim = self.dimension;
        for (word, stem) in self.of_word.iter().enumerate() {
            let from = &table.gradient[word * dim..][..dim];
            let to = &mut self.shared.gradient[*stem as usize * dim..][..dim];
            to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        }
        let before = self.shared.value.clone();
        self.shared.step(rate, n_steps);
        for (word, stem) in self.of_word.iter().enumerate() {
            let at = *stem as usize * dim;
            let moved = self.shared.value[at..].iter().zip(&before[at..]);
            let to = &mut table.value[word * dim..][..dim];
            to.iter_mut().zip(moved).for_each(|(to, (new, old))| *to += new - old);
        }
    }
}
