//! Proves that every match of a pattern holds one of its keywords.
//!
//! The engine looks only near keywords, so a rule whose pattern can match without one would lose findings in
//! silence. The proof walks the pattern's automaton and the keywords' automaton side by side: if a match is
//! reachable without having passed a keyword, the rule is refused. Assertions such as `\b` are taken as
//! always true, so the proof may refuse a sound rule but never accepts an unsound one.

use std::collections::HashSet;

use aho_corasick::{Anchored, automaton::Automaton, dfa};
use regex_automata::nfa::thompson::{NFA, State};
use regex_syntax::hir::Hir;

use crate::pattern::{self, PatternError};

/// Pairs of states that a proof may visit.
const PAIRS_MAX: usize = 1 << 20;

/// Checks that each match of `hir` holds one of `keywords`, in any ASCII case.
pub(crate) fn prove(hir: &Hir, keywords: &[String]) -> Result<(), PatternError> {
    let nfa = pattern::nfa(hir)?;
    let stems = dfa::Builder::new()
        .ascii_case_insensitive(true)
        .build(keywords)
        .map_err(|_| PatternError::KeywordUnproven)?;
    let start = stems.start_state(Anchored::No).map_err(|_| PatternError::KeywordUnproven)?;
    let mut seen = HashSet::new();
    let mut todo = vec![(nfa.start_anchored(), start)];
    while let Some(pair) = todo.pop() {
        if stems.is_match(pair.1) || !seen.insert(pair) {
            continue;
        }
        if seen.len() > PAIRS_MAX {
            return Err(PatternError::KeywordUnproven);
        }
        if push_successors(&nfa, &stems, pair, &mut todo) {
            return Err(PatternError::KeywordMissing);
        }
    }
    Ok(())
}

type Pair = (regex_automata::util::primitives::StateID, aho_corasick::automaton::StateID);

/// Adds what follows `pair`; returns true when it is a match of the pattern.
fn push_successors(nfa: &NFA, stems: &dfa::DFA, (state, stem): Pair, todo: &mut Vec<Pair>) -> bool {
    let mut step = |first: u8, last: u8, next| {
        let mut previous = None;
        for byte in first..=last {
            let next_stem = stems.next_state(Anchored::No, stem, byte);
            if previous != Some(next_stem) {
                todo.push((next, next_stem));
            }
            previous = Some(next_stem);
        }
    };
    match nfa.state(state) {
        State::ByteRange { trans } => step(trans.start, trans.end, trans.next),
        State::Sparse(sparse) => {
            sparse.transitions.iter().for_each(|trans| step(trans.start, trans.end, trans.next));
        }
        State::Dense(dense) => {
            for byte in 0..=255 {
                dense.matches_byte(byte).into_iter().for_each(|next| step(byte, byte, next));
            }
        }
        State::Look { next, .. } | State::Capture { next, .. } => todo.push((*next, stem)),
        State::Union { alternates } => todo.extend(alternates.iter().map(|next| (*next, stem))),
        State::BinaryUnion { alt1, alt2 } => todo.extend([(*alt1, stem), (*alt2, stem)]),
        State::Fail => {}
        State::Match { .. } => return true,
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Pattern;

    fn check(pattern: &str, keywords: &[&str], expect: bool) {
        let (_, hir) = Pattern::checked(pattern).unwrap();
        let keywords: Vec<String> = keywords.iter().map(|k| (*k).to_owned()).collect();
        assert_eq!(prove(&hir, &keywords).is_ok(), expect, "{pattern} {keywords:?}");
    }

    #[test]
    fn a_literal_prefix_is_proof() {
        check("ghp_[a-z]{4}", &["ghp_"], true);
    }
    #[test]
    fn a_class_needs_each_of_its_branches() {
        check("gh[po]_[a-z]{4}", &["ghp_"], false);
        check("gh[po]_[a-z]{4}", &["ghp_", "gho_"], true);
    }
    #[test]
    fn case_folding_counts() {
        check("(?i)token=[0-9]+", &["token"], true);
    }
    #[test]
    fn an_optional_part_proves_nothing() {
        check("(?:key)?=[0-9]+", &["key"], false);
    }
    #[test]
    fn a_keyword_may_arise_across_parts() {
        check("[0-9]{8}:AA[a-z]{5}", &[":aa"], true);
        check("a(?:b|bc)d", &["abd", "bcd"], true);
    }
    #[test]
    fn assertions_are_transparent() {
        check(r"\bkey\b=x", &["key"], true);
        check(r"\bke\b|y=x", &["key"], false);
    }
}
