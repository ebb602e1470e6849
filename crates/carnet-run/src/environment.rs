//! What surrounds a command, held still so that ordinary commands make the same bytes twice.
//!
//! No IO. A variable that the lane names wins over a pin of the same name; a replay takes what was recorded. What no
//! pin holds: the clock, randomness, the order in which parallel work ends.

use std::collections::BTreeMap;

use carnet_core::{
    Timestamp,
    passport::{EnvSnapshot, Pins, Tool},
};

/// Variables that every run gets besides [`carnet_sandbox::BASE_ENVIRONMENT`] and `SOURCE_DATE_EPOCH`.
const PINNED: [(&str, &str); 4] = [
    ("LC_ALL", "C.UTF-8"),
    ("PERL_HASH_SEED", "0"),
    ("PYTHONHASHSEED", "0"),
    ("ZERO_AR_DATE", "1"),
];

/// The time that every file of a workspace has, so that archives made in a replay are the same bytes.
pub fn pinned_mtime() -> Timestamp {
    Timestamp::from_millis(1_000_000_000_000)
}

/// Returns all variables of a run.
///
/// - `committed`: when its commit was made, for `SOURCE_DATE_EPOCH`
///   (<https://reproducible-builds.org/specs/source-date-epoch/>).
/// - `lane`: what the lane names.
/// - `toolchains`: directories of programs, for `PATH`, behind the system's.
pub fn variables(
    committed: Timestamp,
    lane: &BTreeMap<String, String>,
    toolchains: impl Iterator<Item = String>,
) -> BTreeMap<String, String> {
    let fixed = carnet_sandbox::BASE_ENVIRONMENT.iter().chain(&PINNED);
    let mut variables: BTreeMap<String, String> =
        fixed.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let epoch = committed.as_secs().max(0);
    variables.insert("SOURCE_DATE_EPOCH".to_owned(), epoch.to_string());
    if let Some(path) = variables.get_mut("PATH") {
        toolchains.for_each(|dir| path.extend([":", dir.as_str()]));
    }
    variables.extend(lane.clone());
    variables
}

/// Returns what a passport says of the surroundings.
pub fn snapshot(tools: Vec<Tool>, variables: BTreeMap<String, String>) -> EnvSnapshot {
    EnvSnapshot {
        tools,
        platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        variables,
        pins: Some(Pins {
            mtime_seconds: pinned_mtime().as_secs(),
            workspace: carnet_sandbox::WORKSPACE.to_owned(),
            hostname: carnet_sandbox::HOSTNAME.to_owned(),
            uid: carnet_sandbox::INNER_ID,
            umask: format!("{:04o}", carnet_sandbox::UMASK),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_wins_over_a_pin_and_the_commit_sets_the_epoch() {
        let lane = BTreeMap::from([("LC_ALL".to_owned(), "C".to_owned())]);
        let variables = variables(
            Timestamp::from_millis(1_767_323_045_000),
            &lane,
            ["/toolchain/rust/bin".to_owned()].into_iter(),
        );
        assert_eq!(variables["LC_ALL"], "C");
        assert_eq!(variables["SOURCE_DATE_EPOCH"], "1767323045");
        assert_eq!(variables["TZ"], "UTC");
        assert_eq!(variables["PATH"], "/usr/local/bin:/usr/bin:/bin:/toolchain/rust/bin");
        assert_eq!(variables["PYTHONHASHSEED"], "0");
    }

    #[test]
    fn a_commit_from_before_1970_has_the_earliest_epoch_there_is() {
        let variables = variables(Timestamp::from_millis(-1), &BTreeMap::new(), std::iter::empty());
        assert_eq!(variables["SOURCE_DATE_EPOCH"], "0");
    }
}
