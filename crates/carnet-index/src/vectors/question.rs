//! A question's vector, and how near a stored vector is to it.

use super::model::scale_of;

/// A vector of length 1 in two precisions: one byte a number to look through many, and as it is to order the best of them.
#[derive(Debug, Clone)]
pub struct Question {
    exact: Vec<f32>,
    rough: Vec<u8>,
    rough_scale: f32,
}

impl Question {
    /// Takes a vector of length 1.
    pub fn new(vector: Vec<f32>) -> Question {
        let rough_scale = scale_of(&vector);
        let rough = vector.iter().map(|it| (it / rough_scale).round() as i8 as u8).collect();
        Question { exact: vector, rough, rough_scale }
    }

    /// Returns how many numbers it has.
    pub fn dimension(&self) -> usize {
        self.exact.len()
    }

    /// Returns about the cosine of the angle to a stored vector.
    pub(super) fn rough_cosine(&self, numbers: &[u8], scale: f32) -> f32 {
        dot(numbers, &self.rough) as f32 * self.rough_scale * scale
    }

    /// Returns the cosine of the angle to a stored vector.
    pub(super) fn cosine(&self, numbers: &[u8], scale: f32) -> f32 {
        // Eight sums at once, so that the compiler keeps them side by side.
        let mut sums = [0.0f32; 8];
        let (theirs, ours) = (numbers.chunks_exact(8), self.exact.chunks_exact(8));
        let rest = theirs.remainder().iter().zip(ours.remainder());
        let rest: f32 = rest.map(|(a, b)| f32::from(*a as i8) * b).sum();
        for (theirs, ours) in theirs.zip(ours) {
            for lane in 0..8 {
                sums[lane] += f32::from(theirs[lane] as i8) * ours[lane];
            }
        }
        (sums.iter().sum::<f32>() + rest) * scale
    }
}

/// The sum of products of two lists of signed bytes.
pub(super) fn dot(a: &[u8], b: &[u8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(i16::from(*a as i8) * i16::from(*b as i8))).sum()
}
