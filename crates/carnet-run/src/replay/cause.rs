//! What probably made two outputs differ. No IO.
//!
//! The causes are found by trying the classes themselves, the strictest first: a hint names a class only where declaring it
//! would have made this very pair match. What none explains is told apart by what the bytes look like.

use carnet_core::{Normaliser, OutputClass};

use super::{normalise::normalise, structural::structure};

/// What probably did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// In words, as a lowercase fragment.
    pub words: &'static str,
    /// The class to declare, as it is typed; `None` where no class would be right.
    pub class: Option<String>,
}

/// Says what probably made `recorded` and `replayed` differ.
pub(super) fn likely_cause(recorded: &[u8], replayed: &[u8]) -> Option<Cause> {
    for (normaliser, words) in [
        (Normaliser::Archive, "times, owners or the order of members in an archive"),
        (Normaliser::Dates, "a date or a time of day"),
        (Normaliser::Durations, "a length of time"),
        (Normaliser::Addresses, "memory addresses"),
        (Normaliser::TempNames, "the name of a temporary file"),
        (
            Normaliser::LineOrder,
            "the order of lines, as parallel work or an unsorted listing makes it",
        ),
    ] {
        if normalise(recorded, &[normaliser]) == normalise(replayed, &[normaliser]) {
            return Some(Cause { words, class: Some(declared(&[normaliser])) });
        }
    }
    if structure(recorded).is_some_and(|then| Some(then) == structure(replayed)) {
        let words = "another writing of the same data";
        return Some(Cause { words, class: Some("structural".to_owned()) });
    }
    for normalisers in [Normaliser::USUAL.as_slice(), &Normaliser::ALL] {
        if normalise(recorded, normalisers) == normalise(replayed, normalisers) {
            let words = "times and orders of several kinds";
            return Some(Cause { words, class: Some(declared(normalisers)) });
        }
    }
    by_looks(recorded, replayed)
}

/// A class as it is typed: `normalised` where that says it all.
fn declared(normalisers: &[Normaliser]) -> String {
    let is_usual = normalisers.iter().all(|it| Normaliser::USUAL.contains(it));
    let normalisers = if is_usual { Normaliser::USUAL.to_vec() } else { normalisers.to_vec() };
    let rule = carnet_core::OutputRule {
        glob: "x".to_owned(),
        class: OutputClass::Normalised,
        normalisers,
    };
    rule.to_string().split_off(2)
}

/// What the differing bytes look like, where no class explains them.
fn by_looks(recorded: &[u8], replayed: &[u8]) -> Option<Cause> {
    let histogram = |bytes: &[u8]| {
        let mut counts = [0_usize; 256];
        bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        counts
    };
    let nondeterministic =
        |words| Some(Cause { words, class: Some("nondeterministic".to_owned()) });
    if recorded.len() == replayed.len() {
        if histogram(recorded) == histogram(replayed) {
            return nondeterministic("the same bytes in another order");
        }
        let n_same = recorded.iter().zip(replayed).filter(|(a, b)| a == b).count();
        // Independent bytes agree in one of 256 places, independent hex digits in one of 16.
        if recorded.len() >= 16 && n_same < recorded.len() / 3 {
            return nondeterministic("random bytes");
        }
    }
    let holds_path = |bytes: &[u8]| bytes.windows(5).any(|window| window == b"/tmp/");
    if holds_path(recorded) && holds_path(replayed) {
        return nondeterministic("the name of a temporary file");
    }
    None
}
