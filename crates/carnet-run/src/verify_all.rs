//! Is the whole ledger what was recorded? Every chain, signature, manifest and lock, against each other, the checkpoints and
//! the backups, on any clone. Nothing is written.

use std::collections::{BTreeMap, BTreeSet};

use carnet_access::{dsse::VerifyError, keys::PublicKey};
use carnet_core::{Digest, GitOid, RunId};
use carnet_git::{CommitSignature, RefError, Repo};
pub use carnet_guard::audit::{Problem, Severity};

use crate::{
    backup::Manifest,
    checkpoint::{
        AUDIT_CHAINS, ChainState, SignedCheckpoint, chain_name, checkpoints, leaf, merkle_root,
    },
    event::{EventKind, SignedEvent},
    ledger::{LedgerEntry, chains, read_event, read_passport},
    record::describe_chain,
    verify::{TreeDigests, verify_with},
};

/// What was looked at and what does not hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Chains of runs, own and fetched.
    pub n_chains: usize,
    /// Runs, each once.
    pub n_runs: usize,
    /// Runs that are locked.
    pub n_locked: usize,
    /// Run commits that the key of someone whom git's set-up names signed as well.
    pub n_signed: usize,
    /// Checkpoints, the newest of each ref.
    pub n_checkpoints: usize,
    /// Backups that it was held against.
    pub n_backups: usize,
    /// Sorted, worst first.
    pub problems: Vec<Problem>,
    /// Keys of writers that are not trusted here, with what they would be trusted by.
    pub untrusted_keys: BTreeSet<String>,
}

/// Verifies the whole ledger.
///
/// - `own_writer`: this clone's, whose chains must not be behind what others have of them.
/// - `backups`: what a trusted key signed of each backup: what one of them names must still stand.
/// - `on_run`: called for each run with how many were verified and how many there are.
///
/// # Errors
///
/// [`RefError`] when the refs cannot be listed; everything else is in the report.
pub fn verify_all(
    repo: &Repo,
    trusted: &[PublicKey],
    own_writer: Option<&str>,
    backups: &[Manifest],
    on_run: &dyn Fn(usize, usize),
) -> Result<Report, RefError> {
    let report = Report { n_backups: backups.len(), ..Report::default() };
    let mut all = Verification { repo, trusted, report, chains: vec![], checkpoints: vec![] };
    let mut entries = BTreeMap::new();
    for (ref_name, tip) in chains(repo)? {
        all.read_chain(ref_name, tip, &mut entries);
    }
    all.report.n_chains = all.chains.len();
    all.copies_agree(own_writer);
    all.git_signatures(&entries);
    all.runs(&entries, on_run);
    for (ref_name, tip) in checkpoints(repo)? {
        all.checkpoint(&ref_name, tip);
    }
    all.backups(backups);
    all.report.problems.sort();
    all.report.problems.dedup();
    Ok(all.report)
}

/// One chain as it was read, oldest event first.
struct Chain {
    ref_name: String,
    commits: Vec<GitOid>,
    leaves: Vec<Digest>,
}

/// A run with what its chains say of it.
struct Seen {
    entry: LedgerEntry,
    key: Option<PublicKey>,
}

struct Verification<'a> {
    repo: &'a Repo,
    trusted: &'a [PublicKey],
    report: Report,
    chains: Vec<Chain>,
    /// Refs of checkpoints, and their commits as far as they could be read.
    checkpoints: Vec<(String, Vec<GitOid>)>,
}

impl Verification<'_> {
    fn add(&mut self, severity: Severity, subject: &str, message: impl Into<String>) {
        let (subject, message) = (subject.to_owned(), message.into());
        self.report.problems.push(Problem { severity, subject, message });
    }

    fn read_chain(&mut self, ref_name: String, tip: GitOid, runs: &mut BTreeMap<RunId, Seen>) {
        let mut events: Vec<(GitOid, SignedEvent)> = vec![];
        let mut next = Some(tip);
        while let Some(commit) = next {
            match read_event(self.repo, commit) {
                Ok(signed) => {
                    next = signed.event.previous;
                    events.push((commit, signed));
                }
                Err(message) => {
                    self.add(Severity::Wrong, &ref_name, format!("commit {commit}: {message}"));
                    break;
                }
            }
        }
        events.reverse();
        let declared = events.first().and_then(|(_, first)| first.event.public_key.clone());
        let declared = declared.and_then(|text| PublicKey::parse(&text).ok());
        let key = self.key_of(&ref_name, declared);
        for (commit, signed) in &events {
            self.event(&ref_name, *commit, signed, key.as_ref());
            let locked = signed.event.event == EventKind::Lock;
            let seen = runs.entry(signed.event.run).or_insert_with(|| {
                let (ref_name, signed) = (ref_name.clone(), signed.clone());
                let entry = LedgerEntry { signed, event_commit: *commit, ref_name, locked };
                Seen { entry, key: key.clone() }
            });
            seen.entry.locked |= locked;
            if seen.entry.event().passport_sha256 != signed.event.passport_sha256 {
                let run = signed.event.run.to_string();
                self.add(Severity::Wrong, &run, format!("{ref_name} names another passport of it"));
            }
        }
        let leaves = events.iter().map(|(_, signed)| leaf(signed.line())).collect();
        let commits = events.into_iter().map(|(commit, _)| commit).collect();
        self.chains.push(Chain { ref_name, commits, leaves });
    }

    /// The key of the writer that a ref is named for: a trusted one, else the one that the chain itself declares.
    fn key_of(&mut self, ref_name: &str, declared: Option<PublicKey>) -> Option<PublicKey> {
        let writer = chain_name(ref_name).split('/').nth(1).unwrap_or_default().to_owned();
        let trusted = self.trusted.iter().find(|key| key.writer() == writer).cloned();
        if trusted.is_some() {
            return trusted;
        }
        let declared = declared.filter(|key| key.writer() == writer);
        match &declared {
            Some(key) => {
                self.report.untrusted_keys.insert(key.to_string());
                let message = format!("signed by writer {writer}, whose key is not trusted here");
                self.add(Severity::Untrusted, ref_name, message);
            }
            None => {
                let message = format!("no key of writer {writer} is trusted here, or in the chain");
                self.add(Severity::Untrusted, ref_name, message);
            }
        }
        declared
    }

    fn event(
        &mut self,
        ref_name: &str,
        commit: GitOid,
        signed: &SignedEvent,
        key: Option<&PublicKey>,
    ) {
        let wanted = if chain_name(ref_name).starts_with("locked/") {
            EventKind::Lock
        } else {
            EventKind::Run
        };
        let subject = format!("{ref_name} commit {}", commit.short());
        if signed.event.event != wanted {
            self.add(Severity::Wrong, &subject, "an event of another kind stands here");
        }
        let Some(key) = key else { return };
        if signed.event.writer != key.writer() {
            let message = format!("it is by writer {}, in another's chain", signed.event.writer);
            self.add(Severity::Wrong, &subject, message);
        }
        if let Err(error) = signed.verify(std::slice::from_ref(key)) {
            self.add(Severity::Wrong, &subject, error.to_string());
        }
    }

    /// Of a chain that stands here twice, one copy holds the other, and this clone's own is the longest.
    fn copies_agree(&mut self, own_writer: Option<&str>) {
        let mut by_name: BTreeMap<&str, Vec<&Chain>> = BTreeMap::new();
        for chain in &self.chains {
            by_name.entry(chain_name(&chain.ref_name)).or_default().push(chain);
        }
        let mut found = vec![];
        for (name, copies) in by_name {
            let Some(longest) = copies.iter().max_by_key(|chain| chain.commits.len()) else {
                continue;
            };
            for copy in &copies {
                if !longest.commits.starts_with(&copy.commits) {
                    let message =
                        format!("it went apart from {}: one was rewritten", longest.ref_name);
                    found.push((copy.ref_name.clone(), message));
                }
                let own = copy.ref_name == format!("refs/carnet/{name}");
                let n_lost = longest.commits.len() - copy.commits.len();
                if own && n_lost > 0 && own_writer == name.split('/').nth(1) {
                    let message = format!("it lacks {n_lost} events that {} has", longest.ref_name);
                    found.push((copy.ref_name.clone(), message));
                }
            }
        }
        for (subject, message) in found {
            self.add(Severity::Wrong, &subject, message);
        }
    }

    /// Signatures of users' own keys, by git's own set-up. A writer all of whose events someone signed whom git names is vouched for.
    fn git_signatures(&mut self, runs: &BTreeMap<RunId, Seen>) {
        let run_commits: Vec<GitOid> =
            runs.values().map(|seen| seen.entry.event().commit).collect();
        let events = self.chains.iter().flat_map(|chain| chain.commits.iter());
        let asked: BTreeSet<GitOid> = events.chain(&run_commits).copied().collect();
        // A run commit that is gone is told with its run.
        let asked: Vec<GitOid> = asked.into_iter().filter(|id| self.repo.has_object(id)).collect();
        let found = match self.repo.commit_signatures(&asked) {
            Ok(found) => found,
            Err(error) => {
                let message = format!("not examined: {}", describe_chain(&error));
                self.add(Severity::Wrong, "signatures of users' own keys", message);
                return;
            }
        };
        let is_good = |id: &GitOid| matches!(found.get(id), Some(CommitSignature::Good { .. }));
        self.report.n_signed = run_commits.iter().filter(|id| is_good(id)).count();
        let mut unknown: BTreeMap<&str, usize> = BTreeMap::new();
        for (id, signature) in &found {
            match signature {
                CommitSignature::Good { .. } => {}
                CommitSignature::Unknown(what) => *unknown.entry(what).or_default() += 1,
                CommitSignature::Bad(what) => {
                    self.add(
                        Severity::Wrong,
                        &format!("commit {id}"),
                        format!("its signature: {what}"),
                    );
                }
            }
        }
        for (what, count) in unknown {
            self.add(Severity::Note, "git signatures", format!("{count} not counted: {what}"));
        }
        let vouched =
            |chain: &&Chain| !chain.commits.is_empty() && chain.commits.iter().all(is_good);
        let vouched: BTreeSet<&str> =
            self.chains.iter().filter(vouched).map(|chain| &*chain.ref_name).collect();
        self.report.problems.retain(|problem| {
            problem.severity != Severity::Untrusted || !vouched.contains(&*problem.subject)
        });
        let untrusted = |problem: &Problem| problem.severity == Severity::Untrusted;
        if !self.report.problems.iter().any(untrusted) {
            self.report.untrusted_keys.clear();
        }
    }

    fn runs(&mut self, runs: &BTreeMap<RunId, Seen>, on_run: &dyn Fn(usize, usize)) {
        let mut trees = TreeDigests::new();
        self.report.n_runs = runs.len();
        for (run_idx, (run, seen)) in runs.iter().enumerate() {
            on_run(run_idx, runs.len());
            let run = run.to_string();
            self.report.n_locked += usize::from(seen.entry.locked);
            // Who is not trusted was said of the chain; here only whether it holds together.
            if let Some(key) = &seen.key {
                let keys = std::slice::from_ref(key);
                for check in verify_with(self.repo, &seen.entry, keys, &mut trees) {
                    if let Err(message) = check.result {
                        self.add(Severity::Wrong, &run, format!("{}: {message}", check.name));
                    }
                }
            }
            let Ok(statement) = read_passport(self.repo, seen.entry.event().commit) else {
                if seen.key.is_none() {
                    self.add(Severity::Wrong, &run, "its passport cannot be read");
                }
                continue;
            };
            let passport = statement.predicate;
            let validated = passport.validation_pass && passport.incomplete.is_none();
            if validated && !seen.entry.locked {
                self.add(Severity::Wrong, &run, "it was validated, and no locked ref keeps it");
            }
            if seen.entry.locked && !validated {
                self.add(
                    Severity::Wrong,
                    &run,
                    "it is locked, and its passport says it was not validated",
                );
            }
        }
    }

    fn checkpoint(&mut self, ref_name: &str, tip: GitOid) {
        self.report.n_checkpoints += 1;
        self.checkpoints.push((ref_name.to_owned(), vec![]));
        let mut newest = None;
        let mut next = Some(tip);
        while let Some(commit) = next {
            self.checkpoints.last_mut().expect("because it was pushed above").1.push(commit);
            let signed = match SignedCheckpoint::read(self.repo, commit) {
                Ok(signed) => signed,
                Err(message) => {
                    self.add(Severity::Wrong, ref_name, format!("commit {commit}: {message}"));
                    return;
                }
            };
            next = signed.checkpoint.previous;
            match self.checkpoint_signer(&signed) {
                Ok(()) => {}
                Err((severity, message)) => {
                    self.add(severity, ref_name, message);
                    if severity == Severity::Wrong {
                        return;
                    }
                }
            }
            newest.get_or_insert(signed);
        }
        let Some(newest) = newest else { return };
        // What it says of audit logs is held by their own verification.
        let runs = |state: &&ChainState| !state.name.starts_with(AUDIT_CHAINS);
        for state in newest.checkpoint.chains.iter().filter(runs) {
            self.stands(ref_name, &newest, state);
        }
    }

    /// What backups name of chains still stands: more may have followed, none may be gone or changed, but days that expired.
    fn backups(&mut self, backups: &[Manifest]) {
        let mut told = BTreeSet::new();
        let mut days = BTreeSet::new();
        for (backup, (ref_name, tip)) in
            backups.iter().rev().flat_map(|it| it.refs.iter().map(move |named| (it, named)))
        {
            let name = chain_name(ref_name);
            let kind = name.split('/').next().unwrap_or_default();
            let copies: Vec<&[GitOid]> = match kind {
                "ledger" | "locked" => {
                    let chains = self.chains.iter();
                    let chains = chains.filter(|chain| chain_name(&chain.ref_name) == name);
                    chains.map(|chain| chain.commits.as_slice()).collect()
                }
                "checkpoint" => {
                    let refs = self.checkpoints.iter();
                    let refs = refs.filter(|(ref_name, _)| chain_name(ref_name) == name);
                    refs.map(|(_, commits)| commits.as_slice()).collect()
                }
                _ => continue,
            };
            if copies.iter().any(|commits| commits.contains(tip)) {
                continue;
            }
            if copies.is_empty() && kind == "ledger" {
                days.insert(name);
            } else if told.insert((name.to_owned(), *tip)) {
                let what = if copies.is_empty() { "it is gone" } else { "it was rewritten" };
                let (id, tip) = (&backup.id, tip.short());
                let message =
                    format!("{what} since backup {id}, which has it up to {tip}: restore that one");
                self.add(Severity::Wrong, name, message);
            }
        }
        if !days.is_empty() {
            let message = format!("{} are there alone: expired, or deleted", days.len());
            self.add(Severity::Note, "days of runs in backups", message);
        }
    }

    fn checkpoint_signer(&self, signed: &SignedCheckpoint) -> Result<(), (Severity, String)> {
        match signed.verify(self.trusted) {
            Ok(_) => Ok(()),
            Err(VerifyError::UnknownKey(_)) => {
                let declared = PublicKey::parse(&signed.checkpoint.public_key).ok();
                let holds = declared.is_some_and(|key| {
                    key.writer() == signed.checkpoint.writer && signed.verify(&[key]).is_ok()
                });
                Err(if holds {
                    let writer = &signed.checkpoint.writer;
                    (
                        Severity::Untrusted,
                        format!("signed by writer {writer}, who is not trusted here"),
                    )
                } else {
                    (Severity::Wrong, "its signature is not by the key it names".to_owned())
                })
            }
            Err(error) => Err((Severity::Wrong, error.to_string())),
        }
    }

    /// What a checkpoint says of a chain still holds: events may follow, none may be gone or changed.
    fn stands(&mut self, ref_name: &str, signed: &SignedCheckpoint, state: &ChainState) {
        let at = signed.checkpoint.at;
        let n_events = usize::try_from(state.n_events).unwrap_or(usize::MAX);
        let copies: Vec<&Chain> =
            self.chains.iter().filter(|chain| chain_name(&chain.ref_name) == state.name).collect();
        let holds = |chain: &&&Chain| {
            chain.commits.get(n_events.wrapping_sub(1)) == Some(&state.tip)
                && merkle_root(&chain.leaves[..n_events]) == state.root
        };
        if copies.iter().any(|chain| holds(&chain)) {
            return;
        }
        let (severity, what) = match (copies.is_empty(), state.name.starts_with("locked/")) {
            (false, _) => (Severity::Wrong, "was rewritten"),
            (true, true) => (Severity::Wrong, "is gone"),
            (true, false) => (Severity::Note, "is gone: expired, or deleted"),
        };
        let message = format!(
            "{n_events} events up to {} {what} since {ref_name} of {at}",
            state.tip.short()
        );
        self.add(severity, &state.name, message);
    }
}
