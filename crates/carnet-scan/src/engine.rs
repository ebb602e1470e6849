//! Keywords first, then windows, then one regex per rule.
//!
//! One pass of an automaton over all keywords finds where a rule may match. Around each hit lies a window: a
//! match is at most `len_max` bytes long and holds the keyword, so it lies within `len_max` bytes of it on
//! both sides. Rules without a bound get the whole content as their window. The regex runs over each window
//! with the bytes around it in view, so that `\b`, `^` and `$` mean the same as on the whole text.
//!
//! A rule of assigned values has no regex: [`crate::generic`] reads the name and the value around each keyword.
//!
//! Invariant: the matches are exactly those of each rule's regex run over the whole text, leftmost first and
//! not overlapping (per rule). Overlapping windows of a rule are joined, a match lies wholly inside one, and
//! [`crate::keyword_proof`] shows that no match is without a keyword.

use std::ops::Range;

use regex_automata::{Anchored, Input, util::captures::Captures};

use crate::{
    generic::{self, Kind},
    pattern::{Compiled, Pattern},
    placeholder,
    rule::{ContentMatcher, Matcher},
    rule_set::{RuleCost, RuleSet},
};

/// A rule met in some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) rule_idx: usize,
    /// Where the secret lies.
    pub(crate) secret: Range<usize>,
}

/// Bytes that regexes may still look at; the whole content is refused when they are spent.
#[derive(Debug)]
pub(crate) struct Work {
    left: usize,
    /// Bytes that regexes looked at.
    pub(crate) n_done: usize,
    pub(crate) is_spent: bool,
    /// Whether a keyword was met of a rule that looks further than [`FAR`].
    pub(crate) is_far: bool,
    /// Whether a regex matched, whatever the rule's filters said of it.
    pub(crate) is_matched: bool,
}

/// Bytes from which on a rule's longest match makes it one that looks far.
pub(crate) const FAR: usize = 2 << 10;

impl Work {
    /// Returns what a text of `len` bytes may cost. Source costs a few bytes for each of its own.
    pub(crate) fn of(len: usize) -> Work {
        let left = Work::granted(len);
        Work { left, n_done: 0, is_spent: false, is_far: false, is_matched: false }
    }

    /// Returns how many bytes regexes may look at for a text of `len` bytes.
    pub(crate) fn granted(len: usize) -> usize {
        const PER_BYTE: usize = 96;
        const LEAST: usize = 4 << 20;
        len.saturating_mul(PER_BYTE).max(LEAST)
    }

    /// Takes what a window costs; tells whether there was so much left.
    fn take(&mut self, window: &Range<usize>) -> bool {
        match self.left.checked_sub(window.len()) {
            Some(left) => (self.left, self.n_done) = (left, self.n_done + window.len()),
            None => self.is_spent = true,
        }
        !self.is_spent
    }
}

/// Returns every match of every content rule, by rule and then by place; fewer when the work is spent.
pub(crate) fn matches(rules: &RuleSet, bytes: &[u8], work: &mut Work) -> Vec<Match> {
    // Most texts hold no keyword, many of them a few bytes long: those cost no allocation.
    let mut windows: Vec<Vec<Range<usize>>> = Vec::new();
    let mut met: Vec<usize> = Vec::new();
    let mut found = Vec::new();
    rules.keywords().each_hit(bytes, &mut |hit| {
        if windows.is_empty() {
            windows.resize(rules.rules().len(), Vec::new());
        }
        for rule_idx in rules.waiting_for(hit.pattern().as_usize()) {
            let rule_idx = *rule_idx as usize;
            match &rules.rules()[rule_idx].matcher {
                Matcher::Content(content) => {
                    let compiled = content.pattern.compiled();
                    work.is_far |= compiled.len_max.is_none_or(|len| len > FAR);
                    let window = window(compiled.len_max, hit.range(), bytes.len());
                    if windows[rule_idx].is_empty() {
                        met.push(rule_idx);
                    }
                    join(&mut windows[rule_idx], window);
                }
                Matcher::Assigned(kind) => {
                    let secret = assigned(bytes, hit.range(), *kind);
                    found.extend(secret.map(|secret| Match { rule_idx, secret }));
                }
                Matcher::Path(_) => {}
            }
        }
    });
    met.sort_unstable();
    for rule_idx in met {
        if let Matcher::Content(content) = &rules.rules()[rule_idx].matcher {
            for window in &windows[rule_idx] {
                if !work.take(window) {
                    break;
                }
                work.is_matched |= search(content, bytes, window.clone(), |secret| {
                    found.push(Match { rule_idx, secret })
                });
            }
        }
    }
    // Two keywords in one name give the same value.
    found.sort_unstable_by_key(|found| (found.rule_idx, found.secret.start, found.secret.end));
    found.dedup();
    found
}

/// Returns every match of the given content rules, each looked for in the whole text.
pub(crate) fn matches_of(
    rules: &RuleSet,
    rule_idxs: &[usize],
    bytes: &[u8],
    work: &mut Work,
) -> Vec<Match> {
    let mut found = Vec::new();
    for rule_idx in rule_idxs {
        if let Matcher::Content(content) = &rules.rules()[*rule_idx].matcher
            && work.take(&(0..bytes.len()))
        {
            let report = |secret| found.push(Match { rule_idx: *rule_idx, secret });
            search(content, bytes, 0..bytes.len(), report);
        }
    }
    found
}

/// Hands the cost of each rule that meets a keyword to `visit`.
pub(crate) fn each_cost(rules: &RuleSet, bytes: &[u8], visit: &mut dyn FnMut(RuleCost<'_>)) {
    let mut hits: Vec<Vec<Range<usize>>> = vec![Vec::new(); rules.rules().len()];
    rules.keywords().each_hit(bytes, &mut |hit| {
        for rule_idx in rules.waiting_for(hit.pattern().as_usize()) {
            hits[*rule_idx as usize].push(hit.range());
        }
    });
    for (rule, hits) in rules.rules().iter().zip(hits).filter(|(_, hits)| !hits.is_empty()) {
        match &rule.matcher {
            Matcher::Content(content) => {
                let len_max = content.pattern.compiled().len_max;
                let mut windows = Vec::new();
                for hit in &hits {
                    join(&mut windows, window(len_max, hit.clone(), bytes.len()));
                }
                let n_bytes = windows.iter().map(ExactSizeIterator::len).sum();
                let mut look = || {
                    let mut n_met = 0;
                    for window in &windows {
                        search(content, bytes, window.clone(), |_| n_met += 1);
                    }
                    n_met
                };
                visit(RuleCost { rule, n_keywords: hits.len(), n_bytes, look: &mut look });
            }
            Matcher::Assigned(kind) => {
                let n_bytes = hits.iter().map(ExactSizeIterator::len).sum();
                let mut look =
                    || hits.iter().filter_map(|hit| assigned(bytes, hit.clone(), *kind)).count();
                visit(RuleCost { rule, n_keywords: hits.len(), n_bytes, look: &mut look });
            }
            Matcher::Path(_) => {}
        }
    }
}

/// Returns where the value stands that a name around the keyword at `hit` is given, if it is likely a secret.
fn assigned(bytes: &[u8], hit: Range<usize>, kind: Kind) -> Option<Range<usize>> {
    let candidate = generic::candidate(bytes, hit, kind)?;
    let is_nothing = is_redacted(candidate.value) || placeholder::is_placeholder(candidate.value);
    (!is_nothing && generic::model::is_likely(&candidate)).then_some(candidate.range)
}

/// Tells whether a value in `bytes` is met that a name of this kind is given.
pub(crate) fn is_assigned_in(kind: Kind, bytes: &[u8]) -> bool {
    each_stem(kind, bytes).any(|hit| assigned(bytes, hit, kind).is_some())
}

/// Returns where the stems of names of this kind stand, in any ASCII case.
fn each_stem(kind: Kind, bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    kind.stems().iter().flat_map(move |stem| {
        let is_at =
            move |at: &usize| bytes[*at..][..stem.len()].eq_ignore_ascii_case(stem.as_bytes());
        let n_places = (bytes.len() + 1).saturating_sub(stem.len());
        (0..n_places).filter(is_at).map(move |at| at..at + stem.len())
    })
}

/// Tells whether the rule is met in `bytes`, looked at whole.
pub(crate) fn meets(content: &ContentMatcher, bytes: &[u8]) -> bool {
    let mut is_met = false;
    search(content, bytes, 0..bytes.len(), |_| is_met = true);
    is_met
}

/// Returns where a match that holds the keyword at `hit` can lie.
fn window(len_max: Option<usize>, hit: Range<usize>, len: usize) -> Range<usize> {
    match len_max {
        None => 0..len,
        Some(reach) => hit.end.saturating_sub(reach)..hit.start.saturating_add(reach).min(len),
    }
}

/// Adds a window, joined with the last when they touch. Hits come by their end, so starts never decrease.
fn join(windows: &mut Vec<Range<usize>>, window: Range<usize>) {
    match windows.last_mut() {
        Some(last) if window.start <= last.end => last.end = last.end.max(window.end),
        _ => windows.push(window),
    }
}

/// Reports each secret in the window that passes the rule's filters; tells whether the regex matched at all.
fn search(
    content: &ContentMatcher,
    bytes: &[u8],
    window: Range<usize>,
    mut report: impl FnMut(Range<usize>),
) -> bool {
    let mut is_matched = false;
    let Compiled { regex, secret_group, .. } = content.pattern.compiled();
    // Most windows hold no match, and cost no captures.
    let mut captures: Option<Captures> = None;
    let mut at = window.start;
    while at < window.end {
        let input = Input::new(bytes).span(at..window.end);
        let Some(whole) = regex.search(&input) else { break };
        is_matched = true;
        let group = secret_group.and_then(|idx| {
            let captures = captures.get_or_insert_with(|| regex.create_captures());
            // The leftmost match is the one that begins where it was found to.
            let input = input.span(whole.start()..window.end).anchored(Anchored::Yes);
            regex.search_captures(&input, captures);
            captures.get_group(idx)
        });
        let secret = group.map_or(whole.range(), |span| span.start..span.end);
        if is_secret(content, &bytes[secret.clone()], &bytes[whole.range()]) {
            report(secret);
        }
        // Patterns never match the empty text, so this always moves on.
        at = whole.end().max(at + 1);
    }
    is_matched
}

/// Applies the rule's filters to a secret and the whole match around it.
fn is_secret(content: &ContentMatcher, secret: &[u8], whole: &[u8]) -> bool {
    let is_nothing = secret.is_empty() || is_redacted(secret);
    let is_placeholder = || content.drops_placeholders && placeholder::is_placeholder(secret);
    let is_too_plain = || content.entropy.is_some_and(|floor| entropy(secret) < floor);
    let holds = |exception: &Option<Pattern>, bytes: &[u8]| {
        let exception = exception.as_ref();
        exception.is_some_and(|pattern| pattern.compiled().regex.is_match(Input::new(bytes)))
    };
    let is_excepted =
        || holds(&content.unless_secret, secret) || holds(&content.unless_match, whole);
    !(is_nothing || is_too_plain() || is_placeholder() || is_excepted())
}

/// Tells whether `secret` is `[REDACTED:NAME]` and nothing else.
fn is_redacted(secret: &[u8]) -> bool {
    secret
        .strip_prefix(b"[REDACTED:")
        .and_then(|rest| rest.strip_suffix(b"]"))
        .is_some_and(|name| !name.contains(&b']'))
}

/// Returns the Shannon entropy of `bytes`, in bits per byte (0 to 8).
fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let total = bytes.len() as f64;
    let bits = |count: &u32| {
        let share = f64::from(*count) / total;
        -share * share.log2()
    };
    counts.iter().filter(|count| **count > 0).map(bits).sum()
}

/// The slow twin: each rule's regex over the whole text.
#[cfg(test)]
pub(crate) fn oracle(rules: &RuleSet, bytes: &[u8]) -> Vec<Match> {
    let mut found = Vec::new();
    for (rule_idx, rule) in rules.rules().iter().enumerate() {
        match &rule.matcher {
            Matcher::Content(content) => {
                let report = |secret| found.push(Match { rule_idx, secret });
                search(content, bytes, 0..bytes.len(), report);
            }
            Matcher::Assigned(kind) => {
                let secrets = each_stem(*kind, bytes).filter_map(|hit| assigned(bytes, hit, *kind));
                found.extend(secrets.map(|secret| Match { rule_idx, secret }));
            }
            Matcher::Path(_) => {}
        }
    }
    found.sort_unstable_by_key(|found| (found.rule_idx, found.secret.start, found.secret.end));
    found.dedup();
    found
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
