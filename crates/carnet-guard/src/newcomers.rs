//! Commits that no hook looked at: made with `--no-verify`, by plumbing, by a cherry-pick or a rebase, or fetched.
//!
//! A clone remembers what its refs named when it looked last; what they name besides is examined by and by, and a commit with a
//! finding that a gate would refuse is flagged until it is gone, mended or accepted. Nothing is blocked here: the push is.
//!
//! What is remembered lies in the state directory. Whoever can write there can make this forget; gates never read it.

use std::{collections::HashSet, fs, io, path::PathBuf};

use carnet_core::{Decision, GitOid, Timestamp};
use carnet_git::Repo;
use serde::{Deserialize, Serialize};

use crate::{
    examine::{Examination, ExamineError, Guard, Told},
    examine_history::Progress,
    history::{self, CommitTree, Revisions},
    receipts::GuardReceipt,
};

const FORMAT: &str = "carnet/looked-over/1";
/// Most commits that stay flagged; the oldest of more are forgotten here, and met at the push.
const FLAGGED_MAX: usize = 1000;
/// Most receipts of one look.
const RECEIPTS_MAX: usize = 1000;

/// Up to where this clone looked, and which commits it flagged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookedOver {
    path: PathBuf,
    stored: Option<Stored>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: String,
    tips: Vec<GitOid>,
    flagged: Vec<GitOid>,
}

/// What a look at the newcomers came to.
#[derive(Debug)]
pub struct Newcomers {
    /// The commits flagged now, old and new, examined under the rules and acceptances of today.
    pub examination: Examination,
    /// Those that were not flagged before.
    pub newly_flagged: Vec<GitOid>,
    /// Receipts for the newest 1,000 new commits at most in which nothing was met, to be signed. What other repositories have
    /// already needs none.
    pub receipts: Vec<GuardReceipt>,
}

impl LookedOver {
    /// Reads what this clone remembers; nothing when there is no sound file.
    pub fn load(repo: &Repo) -> LookedOver {
        let path = repo.state_dir().join("looked-over.json");
        let read = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        LookedOver { path, stored: read.filter(|stored: &Stored| stored.format == FORMAT) }
    }

    /// Returns the flagged commits.
    pub fn flagged(&self) -> &[GitOid] {
        self.stored.as_ref().map_or(&[], |stored| &stored.flagged)
    }

    /// Begins with what refs name now, unless something is remembered; what was there before is the history's matter.
    ///
    /// # Errors
    ///
    /// [`ExamineError`] when the refs cannot be read.
    pub fn begin(&mut self, repo: &Repo) -> Result<(), ExamineError> {
        if self.stored.is_none() {
            self.remember(history::tips_of_others(repo)?, vec![]);
        }
        Ok(())
    }

    /// Writes what is remembered, beside the old file and then in its place.
    ///
    /// # Errors
    ///
    /// What the system said; the old file is then as it was.
    pub fn save(&self) -> io::Result<()> {
        let Some(stored) = &self.stored else { return Ok(()) };
        let beside = self.path.with_extension(format!("{}.new", std::process::id()));
        fs::write(&beside, serde_json::to_vec(stored)?)?;
        fs::rename(&beside, &self.path)
    }

    fn remember(&mut self, tips: Vec<GitOid>, flagged: Vec<GitOid>) {
        self.stored = Some(Stored { format: FORMAT.to_owned(), tips, flagged });
    }
}

impl Guard<'_> {
    /// Examines what commits brought since the clone looked last, flags and unflags, and remembers; the caller saves.
    ///
    /// # Errors
    ///
    /// [`ExamineError`] when anything could not be read; nothing is remembered then, and it is looked at again.
    pub fn examine_newcomers(
        &self,
        repo: &Repo,
        looked_over: &mut LookedOver,
        now: Timestamp,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Newcomers, ExamineError> {
        looked_over.begin(repo)?;
        let Some(before) = looked_over.stored.clone() else { unreachable!("because it has begun") };
        let tips = history::tips_of_others(repo)?;
        let mut revisions: Vec<_> = tips.iter().map(ToString::to_string).collect();
        let old = before.tips.iter().filter(|tip| repo.has_object(tip));
        revisions.extend(old.map(|tip| format!("^{tip}")));
        let new = Revisions { options: vec![], revisions };
        let nothing = (&[][..], &HashSet::new());
        let brought =
            self.examine_uncovered(repo, &new, nothing, Told::ByCommit, now, on_progress)?;
        let receipts = self.receipts(&clean_commits(repo, &new, &brought)?, now);
        let mut again: Vec<GitOid> = vec![];
        for commit_id in &before.flagged {
            if history::are_reachable(repo, &[*commit_id])? {
                again.push(*commit_id);
            }
        }
        again.extend(refused_commits(&brought));
        let revisions = again.iter().map(ToString::to_string).collect();
        let alone = Revisions { options: vec!["--no-walk".to_owned()], revisions };
        let examination =
            self.examine_uncovered(repo, &alone, nothing, Told::ByCommit, now, on_progress)?;
        let mut flagged = refused_commits(&examination);
        let known: HashSet<_> = before.flagged.iter().collect();
        let newly_flagged = flagged.iter().filter(|id| !known.contains(id)).copied().collect();
        flagged.drain(..flagged.len().saturating_sub(FLAGGED_MAX));
        looked_over.remember(tips, flagged);
        Ok(Newcomers { examination, newly_flagged, receipts })
    }
}

/// The new commits of this clone in which nothing was met, not even what was accepted: another clone may not accept it.
fn clean_commits(
    repo: &Repo,
    new: &Revisions,
    examination: &Examination,
) -> Result<Vec<CommitTree>, ExamineError> {
    let options = ["--not", "--remotes", "--not"].map(str::to_owned).to_vec();
    let revisions = Revisions { options, revisions: new.revisions.clone() };
    let accepted = examination.suppressed.iter().map(|suppressed| &suppressed.met);
    let met = examination.findings.iter().chain(accepted);
    let unclean: HashSet<_> = met.filter_map(|met| met.commit_id).collect();
    let mut commits = history::commit_trees(repo, &revisions, Some(RECEIPTS_MAX))?;
    commits.retain(|commit| !unclean.contains(&commit.id));
    Ok(commits)
}

/// The commits with a finding that a gate would refuse, each once, in order.
fn refused_commits(examination: &Examination) -> Vec<GitOid> {
    let mut seen = HashSet::new();
    let refused = examination.findings.iter().filter(|met| met.decision == Decision::Deny);
    refused.filter_map(|met| met.commit_id).filter(|id| seen.insert(*id)).collect()
}
