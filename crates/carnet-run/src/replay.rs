//! Doing a run again from its own record, and saying whether the same came out.
//!
//! The plan is made of the run commit alone: its source tree, its policy files, its request. [`plan_replay`]
//! touches nothing; [`replay`] runs, records a run of kind `replay`, and compares.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Read},
};

use carnet_core::{
    Digest, GitOid, RunId,
    passport::{Passport, RunKind},
};
use carnet_git::Repo;
use carnet_guard::PolicyInForce;

use crate::{
    artifact::{self, ArtifactError},
    event::describe,
    execute::{ExecutedRun, RunContext, RunError, RunPlan, RunRequest, execute, plan},
    ledger::{LedgerEntry, LoadError, read_file, read_passport},
    tools,
};

/// What a replay would do.
#[derive(Debug)]
pub struct ReplayPlan {
    /// The run to repeat.
    pub run: RunId,
    /// Its run commit.
    pub run_commit: GitOid,
    /// Its passport.
    pub passport: Passport,
    /// Programs that are not what they were: (name, what changed).
    pub tool_drift: Vec<(String, String)>,
    run_plan: RunPlan,
}

/// Why a run cannot be repeated.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The record is damaged.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The run never started, so there is nothing to repeat.
    #[error("run `{run}` was not run to an end ({outcome}); there is nothing to compare with")]
    NotReplayable {
        /// Which one.
        run: RunId,
        /// How it ended.
        outcome: String,
    },
    /// The recorded policy files do not have the recorded digest.
    #[error(
        "the policy recorded with run `{run}` does not have the digest that its passport names"
    )]
    PolicyDigest {
        /// Which one.
        run: RunId,
    },
    /// The source tree recorded does not have the recorded digest.
    #[error(
        "the source recorded with run `{run}` does not have the digest that its passport names"
    )]
    SourceDigest {
        /// Which one.
        run: RunId,
    },
    /// An artifact of the record cannot be read.
    #[error(transparent)]
    Artifact(#[from] Box<ArtifactError>),
    /// The repeated run could not be done.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Makes the plan of a replay. Touches nothing.
///
/// # Errors
///
/// [`ReplayError`] when the record is damaged or the run never ran.
pub fn plan_replay(repo: &Repo, entry: &LedgerEntry) -> Result<ReplayPlan, ReplayError> {
    let run_commit = entry.event().commit;
    let passport = read_passport(repo, run_commit)?.predicate;
    let run = passport.run.id;
    if !passport.outcome.has_ended() {
        return Err(ReplayError::NotReplayable { run, outcome: describe(&passport.outcome) });
    }
    let policy = recorded_policy(repo, run_commit, &passport)?;
    let request = RunRequest {
        lane: passport.lane.clone(),
        argv: passport.request.argv.clone(),
        outputs: passport.request.outputs.clone(),
        commit: passport.source.commit,
        kind: RunKind::Replay,
        replay_of: Some(run),
        validate: false,
    };
    let mut run_plan = plan(repo, &policy, request)?;
    if passport.source.dirty {
        run_plan = run_plan.on_uncommitted(passport.source.tree);
    }
    if run_plan.lane.digest() != passport.policy.lane_sha256 {
        return Err(ReplayError::PolicyDigest { run });
    }
    if run_plan.tree != passport.source.tree {
        return Err(ReplayError::SourceDigest { run });
    }
    let tool_drift = tool_drift(&passport);
    Ok(ReplayPlan { run, run_commit, passport, tool_drift, run_plan })
}

fn recorded_policy(
    repo: &Repo,
    run_commit: GitOid,
    passport: &Passport,
) -> Result<PolicyInForce, LoadError> {
    let read = |dir: &str, as_dir: &str| {
        let names = [format!("{}.toml", passport.lane), "deny.toml".to_owned()].into_iter();
        let files = names.map(|name| {
            let text = read_file(repo, run_commit, &format!("{dir}/{name}"))?;
            Ok((format!("{as_dir}/{name}"), String::from_utf8_lossy(&text).into_owned()))
        });
        files.collect::<Result<Vec<_>, LoadError>>()
    };
    let allowlists = read("policy", "allowlists")?;
    // A work tree that tightened nothing left nothing; its digest would give an absent file away.
    let work_tree = read("policy/work-tree", "work-tree:allowlists").unwrap_or_default();
    Ok(PolicyInForce { origin: passport.policy.origin.clone(), allowlists, work_tree })
}

fn tool_drift(passport: &Passport) -> Vec<(String, String)> {
    let mut drift = vec![];
    for recorded in &passport.environment.tools {
        let change = match tools::resolve(&recorded.name) {
            Err(error) => error.to_string(),
            Ok(now) if now.path != recorded.path => {
                format!("{} is now {}", recorded.path, now.path)
            }
            Ok(now) if now.sha256 != recorded.sha256 => {
                format!("{} had sha256 {}, has {}", now.path, recorded.sha256, now.sha256)
            }
            Ok(_) => continue,
        };
        drift.push((recorded.name.clone(), change));
    }
    drift
}

/// What a replay came to.
pub struct Replayed {
    /// The new run.
    pub executed: ExecutedRun,
    /// Where it differs; empty for MATCH_EXACT.
    pub differences: Vec<Difference>,
}

/// One place where a replay differs from the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `artifacts/…`, `logs/…` or `outcome`.
    pub path: String,
    /// How.
    pub how: How,
}

/// How two runs differ at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// The bytes differ, first at this offset.
    Content {
        /// Offset of the first differing byte; the shorter length when one is a prefix of the other.
        first_byte: u64,
        /// Length of the recorded bytes.
        recorded_bytes: u64,
        /// Length of the new bytes.
        replayed_bytes: u64,
    },
    /// Recorded, and not there now.
    Missing,
    /// There now, and not recorded.
    Extra,
    /// Another mode or another outcome, in words.
    Other {
        /// As recorded.
        recorded: String,
        /// As it is now.
        replayed: String,
    },
}

/// Runs the plan, records the run, and compares outputs, logs and outcome byte for byte.
///
/// # Errors
///
/// [`ReplayError`]; a difference is no error.
pub fn replay(ctx: &RunContext<'_>, plan: &ReplayPlan) -> Result<Replayed, ReplayError> {
    let executed = execute(ctx, &plan.run_plan)?;
    let now = &executed.recorded.statement.predicate;
    if now.source.tree_sha256 != plan.passport.source.tree_sha256 {
        return Err(ReplayError::SourceDigest { run: plan.run });
    }
    let sides =
        Sides { repo: ctx.repo, recorded: plan.run_commit, replayed: executed.recorded.commit };
    let mut differences = vec![];
    if now.outcome != plan.passport.outcome {
        let how = How::Other {
            recorded: describe(&plan.passport.outcome),
            replayed: describe(&now.outcome),
        };
        differences.push(Difference { path: "outcome".to_owned(), how });
    }
    sides.compare(&files(&plan.passport), &files(now), &mut differences)?;
    Ok(Replayed { executed, differences })
}

/// Files of a run by path, with digest and executable bit.
fn files(passport: &Passport) -> BTreeMap<String, (Digest, bool)> {
    let logs = passport.logs.iter().map(|log| (format!("logs/{}", log.name), (log.sha256, false)));
    let artifacts = passport.artifacts.iter().map(|artifact| {
        (format!("artifacts/{}", artifact.name), (artifact.sha256, artifact.executable))
    });
    logs.chain(artifacts).collect()
}

struct Sides<'a> {
    repo: &'a Repo,
    recorded: GitOid,
    replayed: GitOid,
}

impl Sides<'_> {
    fn compare(
        &self,
        recorded: &BTreeMap<String, (Digest, bool)>,
        replayed: &BTreeMap<String, (Digest, bool)>,
        differences: &mut Vec<Difference>,
    ) -> Result<(), ReplayError> {
        let mut add = |path: &String, how| differences.push(Difference { path: path.clone(), how });
        for (path, (digest, executable)) in recorded {
            match replayed.get(path) {
                None => add(path, How::Missing),
                Some((now, _)) if now != digest => {
                    add(path, self.content(path, [*digest, *now])?);
                }
                Some((_, now)) if now != executable => add(path, mode_change(*executable, *now)),
                Some(_) => {}
            }
        }
        let extra = replayed.keys().filter(|path| !recorded.contains_key(*path));
        extra.for_each(|path| add(path, How::Extra));
        Ok(())
    }

    fn content(&self, path: &str, sha256: [Digest; 2]) -> Result<How, ReplayError> {
        self.compared(path, sha256).map_err(|error| Box::new(error).into())
    }

    fn compared(&self, path: &str, sha256: [Digest; 2]) -> Result<How, ArtifactError> {
        let stores = artifact::stores(self.repo)?;
        let open = |commit, sha256| {
            let place = artifact::find(self.repo, commit, path, sha256)?;
            artifact::read(self.repo, &stores, &place)
        };
        let mut recorded = open(self.recorded, sha256[0])?;
        let mut replayed = open(self.replayed, sha256[1])?;
        let compared = first_difference(&mut *recorded, &mut *replayed);
        let (first_byte, recorded_bytes, replayed_bytes) =
            compared.map_err(artifact::unwrap_content)?;
        Ok(How::Content { first_byte, recorded_bytes, replayed_bytes })
    }
}

fn mode_change(recorded: bool, replayed: bool) -> How {
    let word = |executable| if executable { "executable" } else { "not executable" }.to_owned();
    How::Other { recorded: word(recorded), replayed: word(replayed) }
}

/// Offset of the first byte that differs, or the shorter length; and both lengths.
fn first_difference(a: &mut dyn Read, b: &mut dyn Read) -> io::Result<(u64, u64, u64)> {
    let (mut a, mut b) = (BufReader::new(a), BufReader::new(b));
    let mut same = 0;
    loop {
        let (ours, theirs) = (a.fill_buf()?, b.fill_buf()?);
        let n_both = ours.len().min(theirs.len());
        let n_same = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
        a.consume(n_same);
        b.consume(n_same);
        same += n_same as u64;
        if n_same < n_both || n_both == 0 {
            let rest = |reader: &mut dyn Read| io::copy(reader, &mut io::sink());
            return Ok((same, same + rest(&mut a)?, same + rest(&mut b)?));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_differing_byte_is_found() {
        let check = |a: &[u8], b: &[u8]| first_difference(&mut &*a, &mut &*b).unwrap();
        assert_eq!(check(b"abc", b"abd"), (2, 3, 3));
        assert_eq!(check(b"abc", b"abcd"), (3, 3, 4));
        assert_eq!(check(b"", b"x"), (0, 0, 1));
        let (long, mut other) = (vec![7; 100_000], vec![7; 100_001]);
        other[65_536] = 8;
        assert_eq!(check(&long, &other), (65_536, 100_000, 100_001));
    }
}
