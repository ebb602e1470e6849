//! Lanes out of a set of files: all of them, or the one that a run needs.

use std::{collections::BTreeMap, sync::Arc};

use carnet_core::{Digest, LaneName};

use crate::{
    lane::{self, DenyList, Lane},
    problem::PolicyProblem,
};

/// The shared list of denials.
const DENY_STEM: &str = "deny";
/// `findings.toml`, which lies beside the lanes and is another format.
const FINDINGS_STEM: &str = "findings";

/// Every lane of a policy.
#[derive(Debug, Clone)]
pub struct LaneSet {
    lanes: BTreeMap<LaneName, Lane>,
}

/// Why there is no such lane.
#[derive(Debug, thiserror::Error)]
pub enum LoadLaneError {
    /// No file has the lane's name.
    #[error("there is no lane `{lane}`; the lanes are {}", join(known))]
    UnknownLane {
        /// The lane that was asked for.
        lane: LaneName,
        /// The lanes that have a file, sorted.
        known: Vec<LaneName>,
    },
    /// Something is wrong with the lane's file or with the shared deny list.
    #[error("lane `{lane}` is closed: {}", lines(problems))]
    Closed {
        /// The lane that was asked for.
        lane: LaneName,
        /// Everything that is wrong; never empty.
        problems: Vec<PolicyProblem>,
    },
}

impl LaneSet {
    /// Reads every lane of a policy, and `deny.toml`.
    ///
    /// - `files`: name and text of each; a name's last component is `<lane>.toml`. Files that do not end in
    ///   `.toml`, and `findings.toml`, are passed over.
    ///
    /// # Errors
    ///
    /// Every problem of every file, in the order of the files; never an empty list.
    pub fn parse(files: &[(&str, &str)]) -> Result<LaneSet, Vec<PolicyProblem>> {
        let mut problems = duplicates(files);
        let deny = find_deny(files).and_then(|(file, text)| DenyList::parse(file, text, false));
        let deny = Arc::new(deny.map_err(|found| problems.extend(found)).unwrap_or_default());
        let mut lanes = BTreeMap::new();
        for (file, text) in files.iter().filter(|(file, _)| is_lane_file(file)) {
            match Lane::parse_with(file, text, Arc::clone(&deny), false) {
                Ok(lane) => drop(lanes.insert(lane.name().clone(), lane)),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(LaneSet { lanes }) } else { Err(problems) }
    }

    /// Returns a lane by its name.
    pub fn lane(&self, name: &LaneName) -> Option<&Lane> {
        self.lanes.get(name)
    }

    /// Returns the names of all lanes, sorted.
    pub fn lane_names(&self) -> impl Iterator<Item = &LaneName> {
        self.lanes.keys()
    }
}

/// Reads one lane and `deny.toml`, and looks at no other file.
///
/// - `is_known_sound`: whether a lane of this digest was loaded before without a problem. Of such a lane, and of one
///   that carnet ships with, examples, shadows and the sizes of expressions are not checked again.
///
/// # Errors
///
/// [`LoadLaneError::UnknownLane`] lists the lanes there are; [`LoadLaneError::Closed`] says what is wrong.
pub fn load_lane(
    files: &[(&str, &str)],
    name: &LaneName,
    is_known_sound: &dyn Fn(&Digest) -> bool,
) -> Result<Lane, LoadLaneError> {
    let mut own = files.iter().filter(|(file, _)| is_lane_file(file));
    let Some((file, text)) = own.find(|(file, _)| lane::stem(file) == Some(name.as_str())) else {
        return Err(LoadLaneError::UnknownLane { lane: name.clone(), known: known(files) });
    };
    let closed = |problems| LoadLaneError::Closed { lane: name.clone(), problems };
    let doubled = duplicates(files);
    if !doubled.is_empty() {
        return Err(closed(doubled));
    }
    let (deny_file, deny_text) = find_deny(files).map_err(closed)?;
    let ships = |file: &str, text: &str| {
        built_in_files()
            .iter()
            .any(|(name, it)| lane::stem(name) == lane::stem(file) && *it == text)
    };
    let is_known = (ships(file, text) && ships(deny_file, deny_text))
        || is_known_sound(&lane::digest_of(text, deny_text));
    let deny = DenyList::parse(deny_file, deny_text, is_known).map_err(closed)?;
    Lane::parse_with(file, text, Arc::new(deny), is_known).map_err(closed)
}

/// Reads a lane that is sound by itself under a deny list that is not its own, as a work tree adds denials.
///
/// The deny list is checked whole; that it takes whole rules of the lane away is its right.
///
/// # Errors
///
/// Every problem of the deny list.
pub fn load_under(
    (file, text): (&str, &str),
    (deny_file, deny_text): (&str, &str),
) -> Result<Lane, Vec<PolicyProblem>> {
    let deny = DenyList::parse(deny_file, deny_text, false)?;
    Lane::parse_with(file, text, Arc::new(deny), true)
}

/// Returns the allowlists that carnet ships with, name and text, for a repository that has none of its own.
pub fn built_in_files() -> &'static [(&'static str, &'static str)] {
    macro_rules! shipped {
        ($($name:literal),* $(,)?) => {
            &[$((
                concat!("allowlists/", $name, ".toml"),
                include_str!(concat!("../../../allowlists/", $name, ".toml")),
            )),*]
        };
    }
    shipped![
        "code-api-design",
        "code-impl",
        "data-loader",
        "data-schema",
        "deny",
        "graph-ops",
        "narrative",
        "vector-ops",
    ]
}

fn is_lane_file(file: &str) -> bool {
    lane::stem(file).is_some_and(|stem| stem != DENY_STEM && stem != FINDINGS_STEM)
}

fn find_deny<'f>(files: &[(&'f str, &'f str)]) -> Result<(&'f str, &'f str), Vec<PolicyProblem>> {
    let deny = files.iter().find(|(file, _)| lane::stem(file) == Some(DENY_STEM));
    deny.copied().ok_or_else(|| {
        vec![PolicyProblem {
            file: format!("{DENY_STEM}.toml"),
            line: 1,
            field: String::new(),
            message: "the shared deny list is absent".to_owned(),
        }]
    })
}

/// Two files for one lane: neither may win by the order of a directory.
fn duplicates(files: &[(&str, &str)]) -> Vec<PolicyProblem> {
    let mut seen = BTreeMap::new();
    let mut problems = Vec::new();
    for (file, _) in files {
        let Some(stem) = lane::stem(file) else { continue };
        if let Some(other) = seen.insert(stem, *file) {
            problems.push(PolicyProblem {
                file: (*file).to_owned(),
                line: 1,
                field: String::new(),
                message: format!("`{}` is the same list", crate::show(other)),
            });
        }
    }
    problems
}

fn known(files: &[(&str, &str)]) -> Vec<LaneName> {
    let files = files.iter().filter(|(file, _)| is_lane_file(file));
    let mut known: Vec<_> = files
        .filter_map(|(file, _)| LaneName::new(lane::stem(file).unwrap_or_default()).ok())
        .collect();
    known.sort();
    known
}

fn join(names: &[LaneName]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

fn lines(problems: &[PolicyProblem]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
