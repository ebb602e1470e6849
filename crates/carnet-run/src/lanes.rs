//! The lane that decides about a run: the policy in force, as the work tree tightens it.
//!
//! A lane that was once found sound is not examined again: its digest stands under `known-lanes/` of the state
//! directory. Invariant: only a lane without any problem is remembered, and what is remembered decides nothing but
//! how much of the same text is looked at twice.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use carnet_core::{Digest, LaneName, passport};
use carnet_guard::PolicyInForce;
use carnet_policy::{Lane, LoadLaneError, PolicyProblem, ToolLock};

/// Stands in the directory's name: another number forgets all.
const CHECKS: &str = "1";
/// Most digests that are remembered; then all are forgotten.
const KNOWN_MAX: usize = 256;

type PolicyFile = (String, String);

/// Loads a lane of the policy in force, tightened by the work tree's files where they differ.
///
/// - `state_dir`: where lanes that were found sound are remembered; `None` remembers nothing.
///
/// # Errors
///
/// [`LoadLaneError`]: a work tree whose file for the lane, or whose `deny.toml`, is wrong closes the lane.
pub fn load(
    policy: &PolicyInForce,
    name: &LaneName,
    state_dir: Option<&Path>,
) -> Result<Lane, LoadLaneError> {
    let known = Known { dir: state_dir.map(|dir| dir.join(format!("known-lanes-{CHECKS}"))) };
    let lane = known.load(&policy.allowlists, name)?;
    let files = tightening_files(policy, name);
    let tightening = match files.as_slice() {
        [] => return Ok(lane),
        // The lane in force is sound; it is asked again under the work tree's denials.
        [own, deny] if !own.0.starts_with("work-tree:") => {
            carnet_policy::load_under((&own.0, &own.1), (&deny.0, &deny.1))
                .map_err(|problems| LoadLaneError::Closed { lane: name.clone(), problems })?
        }
        _ => known.load(&files, name)?,
    };
    Ok(lane.tightened_by(tightening))
}

/// Reads tool locks, name and text.
///
/// # Errors
///
/// Every problem of every lock.
pub fn tool_locks(files: &[(String, String)]) -> Result<Vec<ToolLock>, Vec<PolicyProblem>> {
    let (mut locks, mut problems) = (vec![], vec![]);
    for (name, text) in files {
        match ToolLock::parse(name, text) {
            Ok(lock) => locks.push(lock),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(locks) } else { Err(problems) }
}

/// Returns the policy files that decide about a lane's commands, under the names that a run commit has for them, and those of them
/// by which the work tree tightened it.
pub(crate) fn deciding_files(
    policy: &PolicyInForce,
    lane: &LaneName,
    tool_locks: &[PolicyFile],
) -> (Vec<PolicyFile>, Vec<passport::PolicyFile>) {
    let base_of = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    let decides = [format!("{lane}.toml"), "deny.toml".to_owned()];
    let in_force = policy.allowlists.iter().map(|(name, text)| (base_of(name), text.clone()));
    let mut files: Vec<_> = in_force.filter(|(name, _)| decides.contains(name)).collect();
    let tightening = tightening_files(policy, lane);
    files.extend(
        tightening
            .iter()
            .map(|(name, text)| (format!("work-tree/{}", base_of(name)), text.clone())),
    );
    files.extend(tool_locks.iter().map(|(name, text)| {
        let dir = if name.starts_with("work-tree:") { "work-tree/" } else { "" };
        (format!("{dir}tools.lock"), text.clone())
    }));
    let own = tightening.iter().chain(tool_locks).filter_map(|(name, text)| {
        let path = name.strip_prefix("work-tree:")?.to_owned();
        Some(passport::PolicyFile { path, sha256: Digest::of(text.as_bytes()) })
    });
    (files, own.collect())
}

/// Returns the two files by which a work tree tightens a lane, under their names; none where it changes nothing.
pub(crate) fn tightening_files(policy: &PolicyInForce, name: &LaneName) -> Vec<PolicyFile> {
    let find = |files: &[PolicyFile], wanted: &str| {
        let wanted = format!("{wanted}.toml");
        files.iter().find(|(name, _)| name.rsplit('/').next() == Some(&wanted)).cloned()
    };
    let pairs = [name.as_str(), "deny"].map(|stem| {
        let in_force = find(&policy.allowlists, stem);
        let own = find(&policy.work_tree, stem)
            .filter(|own| in_force.as_ref().is_none_or(|in_force| in_force.1 != own.1));
        (own, in_force)
    });
    if pairs.iter().all(|(own, _)| own.is_none()) {
        return vec![];
    }
    pairs.into_iter().filter_map(|(own, in_force)| own.or(in_force)).collect()
}

/// Lanes that were found sound before.
struct Known {
    dir: Option<PathBuf>,
}

impl Known {
    fn load(&self, files: &[PolicyFile], name: &LaneName) -> Result<Lane, LoadLaneError> {
        let files: Vec<_> =
            files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let is_known = |digest: &Digest| self.path(digest).is_some_and(|path| path.is_file());
        let lane = carnet_policy::load_lane(&files, name, &is_known)?;
        self.remember(&lane.digest());
        Ok(lane)
    }

    /// Remembering may fail: the next run then looks again.
    fn remember(&self, digest: &Digest) {
        let (Some(dir), Some(path)) = (&self.dir, self.path(digest)) else { return };
        if path.is_file() {
            return;
        }
        if fs::read_dir(dir).is_ok_and(|entries| entries.count() >= KNOWN_MAX) {
            let _ = fs::remove_dir_all(dir);
        }
        let _ = fs::create_dir_all(dir).and_then(|()| File::create(path));
    }

    fn path(&self, digest: &Digest) -> Option<PathBuf> {
        Some(self.dir.as_ref()?.join(digest.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_impl() -> LaneName {
        LaneName::new("code-impl").unwrap()
    }

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// The policy that carnet ships with, where the work tree has one file with something replaced.
    fn tightened(file: &str, from: &str, to: &str) -> PolicyInForce {
        let mut policy = PolicyInForce::built_in();
        let (name, text) = policy.allowlists.iter().find(|(name, _)| name.ends_with(file)).unwrap();
        assert!(text.contains(from), "{from}");
        policy.work_tree = vec![(format!("work-tree:{name}"), text.replacen(from, to, 1))];
        policy
    }

    #[test]
    fn a_work_tree_that_says_the_same_changes_nothing() {
        let policy = tightened("code-impl.toml", "", "");
        let lane = load(&policy, &code_impl(), None).unwrap();
        assert!(lane.tightening().is_none());
        assert_eq!(
            lane.digest(),
            load(&PolicyInForce::built_in(), &code_impl(), None).unwrap().digest()
        );
    }

    #[test]
    fn a_work_tree_takes_away_and_cannot_add() {
        let policy = tightened("code-impl.toml", "max_mem_mb = 8192", "max_mem_mb = 64");
        let lane = load(&policy, &code_impl(), None).unwrap();
        assert_eq!(lane.quota().memory_bytes, 64 << 20);
        let looser =
            tightened("code-impl.toml", "\"{one-of:true|false}\"", "\"{one-of:true|false|evil}\"");
        let lane = load(&looser, &code_impl(), None).unwrap();
        assert!(!lane.admit(&argv(&["evil"])).verdict.is_allowed());
        assert!(lane.admit(&argv(&["true"])).verdict.is_allowed());
        let larger = tightened("code-impl.toml", "max_mem_mb = 8192", "max_mem_mb = 9000");
        assert_eq!(load(&larger, &code_impl(), None).unwrap().quota().memory_bytes, 8192 << 20);
    }

    #[test]
    fn a_denial_of_the_work_tree_counts_and_says_where_it_stands() {
        let rule = "[[deny]]\nid = \"no-make\"\nargv = [\"make\", \"...\"]\nreason = \"not now\"\nmatch = [[\"make\"]]\nnot_match = [[\"x\"]]\n\n[[deny]]\nid = \"raw-shell\"";
        let policy = tightened("deny.toml", "[[deny]]\nid = \"raw-shell\"", rule);
        let lane = load(&policy, &code_impl(), None).unwrap();
        let refused = lane.admit(&argv(&["make", "test"]));
        assert!(refused.by_work_tree);
        assert!(refused.rule.unwrap().location.starts_with("work-tree:allowlists/deny.toml:"));
        assert_ne!(
            lane.digest(),
            load(&PolicyInForce::built_in(), &code_impl(), None).unwrap().digest()
        );
    }

    #[test]
    fn a_broken_file_of_the_work_tree_closes_the_lane() {
        let policy = tightened("code-impl.toml", "[limits]", "[limits");
        let error = load(&policy, &code_impl(), None).unwrap_err().to_string();
        assert!(error.contains("work-tree:allowlists/code-impl.toml:"), "{error}");
    }

    #[test]
    fn sound_lanes_are_remembered_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut policy = PolicyInForce::built_in();
        for (_, text) in &mut policy.allowlists {
            text.push_str("# mine\n");
        }
        let known = dir.path().join(format!("known-lanes-{CHECKS}"));
        let first = load(&policy, &code_impl(), Some(dir.path())).unwrap();
        assert!(known.join(first.digest().to_string()).is_file());
        let again = load(&policy, &code_impl(), Some(dir.path())).unwrap();
        assert_eq!(first.digest(), again.digest());
        policy.allowlists.iter_mut().for_each(|(_, text)| text.push_str("[[allow]]\n"));
        assert!(load(&policy, &code_impl(), Some(dir.path())).is_err());
        assert_eq!(fs::read_dir(&known).unwrap().count(), 1);
    }
}
