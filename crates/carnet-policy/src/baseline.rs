//! `allowlists/findings.baseline`: what stood in a repository when carnet came, accepted all at once.
//!
//! One line a finding, and nothing of its value or place: the fingerprint, the day on which someone looked, the last day on
//! which it counts, and who answers for it. The form is described in `docs/format/findings.md`. Lines stand for
//! themselves, in any order and any number of times, so that two versions of the file merge by taking the lines of both.

use std::collections::{BTreeMap, HashMap};

use carnet_core::Timestamp;

use crate::{
    findings::{Suppression, Suppressions, is_fingerprint},
    problem::{PolicyProblem, Problems},
};

const LINES_MAX: usize = 10_000;
const START: &str = "# Findings that stood here when carnet came, by fingerprint; the form is carnet's docs/format/findings.md.\n\
                     # fingerprint                    reviewed   until      owner\n";

/// The lines of a baseline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Baseline {
    /// By fingerprint: where two lines name one, the one that counts longer.
    lines: BTreeMap<String, BaselineLine>,
}

/// One finding of a baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineLine {
    /// The day on which someone looked, `YYYY-MM-DD`.
    pub reviewed: String,
    /// The last day on which it counts, `YYYY-MM-DD` in UTC.
    pub until: String,
    /// Who answers for it.
    pub owner: String,
    /// Where it stands, from 1; 0 for a new one.
    line: u32,
}

impl BaselineLine {
    /// Makes a line that stands nowhere yet.
    pub fn new(reviewed: String, until: String, owner: String) -> BaselineLine {
        BaselineLine { reviewed, until, owner, line: 0 }
    }
}

impl Baseline {
    /// Reads a file; `file` names it in messages. Whether a line ran out is asked of [`Baseline::ran_out`].
    ///
    /// # Errors
    ///
    /// Every [`PolicyProblem`], in the order of their lines; never an empty list.
    pub fn parse(file: &str, text: &str) -> Result<Baseline, Vec<PolicyProblem>> {
        let mut lines: BTreeMap<String, BaselineLine> = BTreeMap::new();
        let mut problems = Problems::new(file, text);
        for (idx, text) in text.lines().enumerate() {
            let line = u32::try_from(idx + 1).unwrap_or(u32::MAX);
            let mut wrong = |field, message| problems.add_at_line(line, field, message);
            if text.trim().is_empty() || text.starts_with('#') {
                continue;
            }
            let fields: Vec<&str> = text.split_whitespace().collect();
            let [fingerprint, reviewed, until, owner] = fields[..] else {
                wrong("", "needs four words: fingerprint, reviewed, until, owner");
                continue;
            };
            if !is_fingerprint(fingerprint) {
                wrong("fingerprint", "must be 32 lowercase hex digits");
            }
            for (field, day) in [("reviewed", reviewed), ("until", until)] {
                if !is_day(day) {
                    wrong(field, "must be a day, YYYY-MM-DD");
                }
            }
            if lines.len() == LINES_MAX {
                wrong("", "more lines than are read: accept by rule and path instead");
                break;
            }
            let read = BaselineLine {
                reviewed: reviewed.to_owned(),
                until: until.to_owned(),
                owner: owner.to_owned(),
                line,
            };
            let is_longer = |other: &BaselineLine| other.until < read.until;
            if lines.get(fingerprint).is_none_or(is_longer) {
                lines.insert(fingerprint.to_owned(), read);
            }
        }
        if problems.is_empty() { Ok(Baseline { lines }) } else { Err(problems.finish()) }
    }

    /// Returns a problem for each line that ran out before `now`; nothing passes while there is one.
    pub fn ran_out(&self, file: &str, now: Timestamp) -> Vec<PolicyProblem> {
        let today = now.day();
        let lines = self.lines.values().filter(|line| line.until < today);
        let problem = |line: &BaselineLine| PolicyProblem {
            file: file.to_owned(),
            line: line.line,
            field: "until".to_owned(),
            message: format!("ran out on {}", line.until),
        };
        let mut problems: Vec<PolicyProblem> = lines.map(problem).collect();
        problems.sort_by_key(|problem| problem.line);
        problems
    }

    /// Returns the line of a fingerprint.
    pub fn get(&self, fingerprint: &str) -> Option<&BaselineLine> {
        self.lines.get(fingerprint)
    }

    /// Adds a line, in place of one for the same fingerprint.
    pub fn insert(&mut self, fingerprint: String, line: BaselineLine) {
        self.lines.insert(fingerprint, line);
    }

    /// Returns how many findings it accepts.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Tells whether it accepts nothing.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Returns the fingerprints, in order.
    pub fn fingerprints(&self) -> impl Iterator<Item = &str> {
        self.lines.keys().map(String::as_str)
    }

    /// Returns the file, sorted, ended by a newline.
    pub fn to_text(&self) -> String {
        let line = |(fingerprint, line): (&String, &BaselineLine)| {
            format!("{fingerprint} {} {} {}\n", line.reviewed, line.until, line.owner)
        };
        START.to_owned() + &self.lines.iter().map(line).collect::<String>()
    }

    /// Returns the lines as suppressions of `file`, by fingerprint.
    fn suppressions(self, file: &str) -> impl Iterator<Item = (String, Suppression)> {
        self.lines.into_iter().map(move |(fingerprint, line)| {
            let suppression = Suppression::in_baseline(
                fingerprint.clone(),
                format!("stood here when carnet came; reviewed on {}", line.reviewed),
                (line.owner, line.until),
                format!("{file}:{}", line.line),
            );
            (fingerprint, suppression)
        })
    }
}

impl Suppressions {
    /// Accepts what a baseline does besides; `file` names it in reports.
    #[must_use]
    pub fn with_baseline(mut self, file: &str, baseline: Baseline) -> Suppressions {
        for (fingerprint, suppression) in baseline.suppressions(file) {
            self.add(fingerprint, suppression);
        }
        self
    }
}

/// The places of entries, by fingerprint.
pub(crate) type ByFingerprint = HashMap<String, usize>;

fn is_day(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        let digits = bytes.get(range)?;
        digits.iter().all(u8::is_ascii_digit).then_some(())?;
        std::str::from_utf8(digits).ok()?.parse::<u32>().ok()
    };
    let is_separated = bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-';
    is_separated
        && digits(0..4).is_some()
        && digits(5..7).is_some_and(|month| (1..=12).contains(&month))
        && digits(8..10).is_some_and(|day| (1..=31).contains(&day))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "allowlists/findings.baseline";

    fn line(digit: char, until: &str) -> String {
        format!("{} 2026-11-22 {until} ada@example.com\n", digit.to_string().repeat(32))
    }

    #[test]
    fn lines_stand_for_themselves_so_that_merges_take_both() {
        let text = format!("# x\n\n{}{}", line('b', "2027-01-01"), line('a', "2027-01-01"));
        let merged = format!("{text}{}{}", line('c', "2027-01-01"), line('a', "2027-06-01"));
        let baseline = Baseline::parse(FILE, &merged).unwrap();
        assert_eq!(baseline.len(), 3);
        assert_eq!(baseline.get(&"a".repeat(32)).unwrap().until, "2027-06-01");
        let again = Baseline::parse(FILE, &baseline.to_text()).unwrap();
        assert_eq!(again.to_text(), baseline.to_text());
        assert!(again.fingerprints().is_sorted());
    }

    #[test]
    fn what_is_wrong_is_named_by_line_and_field() {
        let told = |text: &str| {
            let problems = Baseline::parse(FILE, text).unwrap_err();
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        let good = line('a', "2027-01-01");
        let check = |text: String, expect: &str| assert!(told(&text).contains(expect), "{text}");
        check(format!("{good}<<<<<<< ours\n"), "findings.baseline:2: needs four words");
        check(good.replace("aaaa", "AAAA"), "baseline:1: `fingerprint`: must be 32");
        check(good.replace("2026-11-22", "soon"), "baseline:1: `reviewed`: must be a day");
        check(good.replace("2027-01-01", "2027-13-01"), "baseline:1: `until`: must be a day");
        check(good.replace("ada@example.com", ""), "baseline:1: needs four words");
        let long: String =
            (0..=LINES_MAX).map(|n| format!("{n:032x} 2026-11-22 2027-01-01 a\n")).collect();
        check(long, "baseline:10001: more lines than are read");
    }

    #[test]
    fn a_line_that_ran_out_is_named() {
        let text = line('a', "2026-01-01") + &line('b', "2027-01-01");
        let baseline = Baseline::parse(FILE, &text).unwrap();
        let now = Timestamp::from_millis(1_795_300_000_000);
        let told: Vec<String> =
            baseline.ran_out(FILE, now).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["allowlists/findings.baseline:1: `until`: ran out on 2026-01-01"]);
    }
}
