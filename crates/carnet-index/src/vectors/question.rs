//! A question's vector, and how near a stored vector is to it.

use super::{halves, model::scale_of};

/// A vector of length 1 in two precisions: one byte a number to look through many, and as it is to order the best of them.
#[derive(Debug, Clone)]
pub struct Question {
    dimension: usize,
    /// Twice as many numbers as a stored vector has bytes, the last 0 where that is one more.
    exact: Vec<f32>,
    /// Each fits in a byte.
    rough: Vec<i16>,
    rough_scale: f32,
}

impl Question {
    /// Takes a vector of length 1.
    pub fn new(mut vector: Vec<f32>) -> Question {
        let dimension = vector.len();
        vector.resize(halves::n_bytes(dimension) * 2, 0.0);
        let rough_scale = scale_of(&vector);
        let rough = vector.iter().map(|it| (it / rough_scale).round() as i16).collect();
        Question { dimension, exact: vector, rough, rough_scale }
    }

    /// Returns how many numbers it has.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Returns about the cosine of the angle to a stored vector.
    pub(super) fn rough_cosine(&self, numbers: &[u8], scale: f32) -> f32 {
        halves::dot(numbers, &self.rough) as f32 * self.rough_scale * scale
    }

    /// Returns the cosine of the angle to a stored vector.
    pub(super) fn cosine(&self, numbers: &[u8], scale: f32) -> f32 {
        halves::exact_dot(numbers, &self.exact) * scale
    }
}
