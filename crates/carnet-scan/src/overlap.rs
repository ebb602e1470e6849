//! One finding for the same bytes.
//!
//! When secrets of two rules share a byte, the more specific one stays. The order, first difference decides:
//! 1. a rule of a provider before one of the family `generic`;
//! 2. higher confidence (a checksum that holds counts);
//! 3. higher severity;
//! 4. the longer region;
//! 5. the earlier region, then the rule id in alphabetical order.

use std::{cmp::Reverse, collections::BTreeMap, ops::Range};

use carnet_core::{Confidence, Severity};

/// What decides between two candidates; the smaller wins.
pub(crate) type Rank<'a> =
    (bool, Reverse<Confidence>, Reverse<Severity>, Reverse<usize>, usize, &'a str);

/// Returns for each candidate whether it stays.
///
/// Candidates are taken in order of rank, each unless it overlaps one already taken.
pub(crate) fn survivors(candidates: &[(Range<usize>, Rank<'_>)]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|a, b| candidates[*a].1.cmp(&candidates[*b].1));
    let mut stays = vec![false; candidates.len()];
    let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
    for idx in order {
        let region = &candidates[idx].0;
        let before = taken.range(..region.end).next_back();
        if before.is_none_or(|(_, end)| *end <= region.start) {
            taken.insert(region.start, region.end);
            stays[idx] = true;
        }
    }
    stays
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rank(
        generic: bool,
        confidence: Confidence,
        region: &Range<usize>,
        id: &'static str,
    ) -> Rank<'static> {
        (
            generic,
            Reverse(confidence),
            Reverse(Severity::High),
            Reverse(region.len()),
            region.start,
            id,
        )
    }

    fn check(candidates: &[(Range<usize>, bool, Confidence, &'static str)], expect: &[&str]) {
        let ranked: Vec<_> =
            candidates.iter().map(|(r, g, c, id)| (r.clone(), rank(*g, *c, r, id))).collect();
        let stays = survivors(&ranked);
        let ids: Vec<&str> =
            candidates.iter().zip(stays).filter(|(_, stays)| *stays).map(|(c, _)| c.3).collect();
        assert_eq!(ids, expect);
    }

    use Confidence::{High, Low, Medium};

    #[test]
    fn a_provider_beats_the_generic() {
        check(&[(0..9, true, High, "generic-x"), (2..5, false, Low, "aws-y")], &["aws-y"]);
    }
    #[test]
    fn confidence_beats_length() {
        check(&[(0..9, false, Medium, "a"), (2..5, false, High, "b")], &["b"]);
    }
    #[test]
    fn the_longer_region_beats_the_shorter() {
        check(&[(0..9, false, High, "b"), (2..5, false, High, "a")], &["b"]);
    }
    #[test]
    fn the_id_decides_at_last() {
        check(&[(0..9, false, High, "b"), (0..9, false, High, "a")], &["a"]);
    }
    #[test]
    fn neighbours_both_stay() {
        check(&[(0..3, false, High, "a"), (3..5, false, High, "b")], &["a", "b"]);
    }
    #[test]
    fn a_loser_frees_what_only_it_overlapped() {
        check(
            &[(0..4, false, High, "a"), (3..8, false, Medium, "b"), (7..9, false, Low, "c")],
            &["a", "c"],
        );
    }

    proptest! {
        #[test]
        fn survivors_equal_the_quadratic_oracle(
            raw in prop::collection::vec((0_usize..40, 1_usize..10, any::<bool>(), 0_u8..3), 0..25)
        ) {
            let candidates: Vec<_> = raw.iter().map(|(start, len, generic, level)| {
                let region = *start..start + len;
                let confidence = [Low, Medium, High][usize::from(*level)];
                (region.clone(), rank(*generic, confidence, &region, "r"))
            }).collect();
            let mut order: Vec<usize> = (0..candidates.len()).collect();
            order.sort_by(|a, b| candidates[*a].1.cmp(&candidates[*b].1));
            let mut taken: Vec<usize> = Vec::new();
            for idx in order {
                let (region, _) = &candidates[idx];
                let free = taken.iter().all(|other: &usize| {
                    let other = &candidates[*other].0;
                    region.end <= other.start || other.end <= region.start
                });
                if free {
                    taken.push(idx);
                }
            }
            let expect: Vec<bool> = (0..candidates.len()).map(|idx| taken.contains(&idx)).collect();
            prop_assert_eq!(survivors(&candidates), expect);
        }
    }
}
