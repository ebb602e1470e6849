//! Numbers of half a byte each, which is how vectors are stored.
//!
//! A number is one of the odd ones from -15 to 15, times the scale. What is further out than three times the root of the mean
//! square is cut: few numbers are, and the steps between the others are smaller for it. Of 600 comments each of three Python
//! repositories the mean reciprocal rank of their functions was .4345 with whole bytes and .4354 with halves; the cut was chosen
//! on those same comments, so no more is said than that halves lose little.

/// Numbers further out than so many times the root of the mean square are cut.
const CUT: f32 = 3.0;

/// Returns how many bytes so many numbers take.
pub(super) fn n_bytes(dimension: usize) -> usize {
    dimension.div_ceil(2)
}

/// Returns the scale of a vector, and its numbers: of the first half in the low bits of each byte, of the second in the high.
pub(super) fn pack(vector: &[f32]) -> (f32, Vec<u8>) {
    let squares: f32 = vector.iter().map(|it| it * it).sum();
    let cut = CUT * (squares / vector.len().max(1) as f32).sqrt();
    let most = vector.iter().fold(0.0f32, |most, it| most.max(it.abs())).min(cut);
    let scale = if most > 0.0 { most / 15.0 } else { 1.0 };
    let step = |it: f32| ((it / scale / 2.0).floor().clamp(-8.0, 7.0) + 8.0) as u8;
    let (low, high) = vector.split_at(n_bytes(vector.len()));
    let high = high.iter().copied().chain([0.0]);
    (scale, low.iter().zip(high).map(|(low, high)| step(*low) | step(high) << 4).collect())
}

/// Returns the sum of products of stored numbers and those of a question, of which there are twice as many as bytes.
///
/// - `question`: numbers that fit in a byte.
pub(super) fn dot(halves: &[u8], question: &[i16]) -> i32 {
    let (low, high) = question.split_at(halves.len().min(question.len()));
    let product = |half: u8, number: i16| i32::from(i16::from(half) * 2 - 15) * i32::from(number);
    // Two sums of products of pairs, which processors have an instruction for.
    let lows: i32 = halves.iter().zip(low).map(|(both, it)| product(both & 15, *it)).sum();
    let highs: i32 = halves.iter().zip(high).map(|(both, it)| product(both >> 4, *it)).sum();
    lows + highs
}

/// The same with a question in whole numbers.
pub(super) fn exact_dot(halves: &[u8], question: &[f32]) -> f32 {
    let (low, high) = question.split_at(halves.len().min(question.len()));
    // Eight sums at once, so that the compiler keeps them side by side.
    let mut sums = [0.0f32; 8];
    let rows = halves.chunks(8).zip(low.chunks(8).zip(high.chunks(8)));
    for (halves, (low, high)) in rows {
        for ((sum, both), (low, high)) in sums.iter_mut().zip(halves).zip(low.iter().zip(high)) {
            let (a, b) = (i16::from(both & 15) * 2 - 15, i16::from(both >> 4) * 2 - 15);
            *sum += f32::from(a) * low + f32::from(b) * high;
        }
    }
    sums.iter().sum()
}

/// Returns the sum of products of two lists of stored numbers.
pub(super) fn dot_of_stored(a: &[u8], b: &[u8]) -> i32 {
    let number = |half: u8| i16::from(half) * 2 - 15;
    let products = a.iter().zip(b).map(|(a, b)| {
        let (low, high) = (number(a & 15) * number(b & 15), number(a >> 4) * number(b >> 4));
        i32::from(low + high)
    });
    products.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(scale: f32, halves: &[u8], n: usize) -> Vec<f32> {
        let number = |half: u8| (f32::from(half) * 2.0 - 15.0) * scale;
        let low = halves.iter().map(|both| number(both & 15));
        let high = halves.iter().map(|both| number(both >> 4));
        low.chain(high).take(n).collect()
    }

    #[test]
    fn a_vector_of_nothing_and_one_of_one_number_are_packed() {
        assert!(pack(&[]).1.is_empty());
        assert_eq!(pack(&[0.0, 0.0]).0, 1.0);
        let (scale, halves) = pack(&[0.5]);
        assert_eq!(halves.len(), n_bytes(1));
        assert!((unpacked(scale, &halves, 1)[0] - 0.5).abs() < 0.04);
    }

    proptest::proptest! {
        #[test]
        fn numbers_come_back_within_a_step(vector in proptest::collection::vec(-1.0f32..1.0, 1..40)) {
            let (scale, halves) = pack(&vector);
            proptest::prop_assert_eq!(halves.len(), n_bytes(vector.len()));
            let most = 15.0 * scale;
            for (was, is) in vector.iter().zip(unpacked(scale, &halves, vector.len())) {
                let cut = was.clamp(-most, most);
                proptest::prop_assert!((cut - is).abs() <= scale * 1.001, "{} {}", was, is);
            }
        }

        #[test]
        fn products_are_those_of_the_numbers(
            pairs in proptest::collection::vec((-1.0f32..1.0, -127i16..=127), 1..40)
        ) {
            let (vector, mut question): (Vec<f32>, Vec<i16>) = pairs.into_iter().unzip();
            let (_, halves) = pack(&vector);
            let numbers = unpacked(1.0, &halves, vector.len());
            let expected: f32 = numbers.iter().zip(&question).map(|(a, b)| a * f32::from(*b)).sum();
            question.resize(halves.len() * 2, 0);
            proptest::prop_assert_eq!(dot(&halves, &question), expected as i32);
            let exact: Vec<f32> = question.iter().map(|it| f32::from(*it)).collect();
            proptest::prop_assert!((exact_dot(&halves, &exact) - expected).abs() < 0.5);
            let all = unpacked(1.0, &halves, halves.len() * 2);
            let squares: f32 = all.iter().map(|it| it * it).sum();
            proptest::prop_assert_eq!(dot_of_stored(&halves, &halves), squares as i32);
        }
    }
}
