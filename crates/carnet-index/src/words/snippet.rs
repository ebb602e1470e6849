//! Chooses the lines of a unit that say most about a query.

use std::collections::HashSet;

use super::{LineRange, tokens};

/// Lines of one snippet.
const LINES_MAX: usize = 12;
/// Longest line shown, in characters.
const LINE_CHARS_MAX: usize = 400;
/// Lines of a unit that are looked through for the best ones.
const LINES_LOOKED_AT_MAX: usize = 3_000;

/// Some lines of a file.
pub(crate) struct Window {
    /// The number of the first, from 1.
    pub start: u32,
    pub lines: Vec<String>,
}

/// Returns the lines of a unit that hold most of the words, or its first ones; those that matched exactly before all others.
pub(crate) fn best(
    source: &str,
    unit: LineRange,
    words: &HashSet<String>,
    matched: &[u32],
) -> Window {
    let first = unit.start.max(1) as usize - 1;
    let n_lines = (unit.end as usize).saturating_sub(first);
    let lines: Vec<&str> =
        source.lines().skip(first).take(n_lines.min(LINES_LOOKED_AT_MAX)).collect();
    let at = if lines.len() <= LINES_MAX { 0 } else { best_start(&lines, first, words, matched) };
    let shown = lines.iter().skip(at).take(LINES_MAX).map(|line| cut(line));
    Window { start: (first + at) as u32 + 1, lines: shown.collect() }
}

fn best_start(lines: &[&str], first: usize, words: &HashSet<String>, matched: &[u32]) -> usize {
    let mut analyzer = tokens::code();
    let found: Vec<HashSet<String>> = lines
        .iter()
        .map(|line| {
            let mut found = tokens::words(&mut analyzer, line);
            found.retain(|word| words.contains(word.as_str()));
            found.into_iter().collect()
        })
        .collect();
    let points = |at: usize| {
        let window = &found[at..at + LINES_MAX];
        let different: HashSet<&String> = window.iter().flatten().collect();
        let n_with = window.iter().filter(|line| !line.is_empty()).count();
        let range = (first + at + 1) as u32..=(first + at + LINES_MAX) as u32;
        let n_matched = matched.iter().filter(|line| range.contains(line)).count();
        (n_matched, different.len(), n_with)
    };
    // The first of the best; a line of context before it where it does not begin the unit.
    let starts = 0..=lines.len() - LINES_MAX;
    starts.rev().max_by_key(|at| points(*at)).unwrap_or(0)
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(LINE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
