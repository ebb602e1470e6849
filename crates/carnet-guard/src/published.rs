//! Personal data that a commit does not bring: what its files had before, and what a repository publishes of its people.
//!
//! A commit is refused for what it adds. What stands in the history already is a matter for `carnet scan`.

use std::collections::HashSet;

use carnet_core::{Finding, Origin};

use crate::examine::Met;

/// Files in which the addresses of those who work here are meant to stand.
const ROSTERS: &[&str] = &[
    "AUTHORS",
    "CONTRIBUTORS",
    "MAINTAINERS",
    "CREDITS",
    "THANKS",
    "CODEOWNERS",
    "OWNERS",
    ".mailmap",
    "Cargo.toml",
    "package.json",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "composer.json",
    "CITATION.cff",
    "CODE_OF_CONDUCT",
    "SECURITY",
];

/// Tells whether the finding is an address in a file that publishes such.
pub(crate) fn is_in_roster(finding: &Finding) -> bool {
    finding.rule_id == "pii-email" && is_roster(&finding.origin)
}

/// Tells whether the content is a file that names the people of a project, or a message.
fn is_roster(origin: &Origin) -> bool {
    let path = match origin {
        Origin::Staged(path) | Origin::Committed(path) => path.to_text(),
        Origin::File(name) => name.clone(),
        Origin::Message(_) => return true,
        Origin::Stdin | Origin::Prompt | Origin::Artifact(_) | Origin::Log(_) => return false,
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    ROSTERS.iter().any(|roster| name == *roster || (stem == *roster && !stem.is_empty()))
}

/// Of the findings from `first` on, drops the personal data whose lines stand in `committed` as they are.
pub(crate) fn retain_new(findings: &mut Vec<Met>, first: usize, bytes: &[u8], committed: &[u8]) {
    if committed.is_empty() {
        return;
    }
    let old: HashSet<&[u8]> = lines(committed).collect();
    let new: Vec<&[u8]> = lines(bytes).collect();
    let is_old = |met: &Met| {
        let Some(region) = met.finding.region.filter(|_| met.finding.is_personal()) else {
            return false;
        };
        let (from, to) = (region.start_line as usize - 1, region.end_line as usize);
        new.get(from..to).is_some_and(|lines| lines.iter().all(|line| old.contains(line)))
    };
    let mut idx = 0;
    findings.retain(|met| {
        idx += 1;
        idx <= first || !is_old(met)
    });
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n')
}
