//! What a replay would do, decided from the record alone. Touches nothing.

use carnet_access::keys::PublicKey;
use carnet_core::{
    Digest, GitOid, ModelRecord, RunId,
    passport::{Passport, RunKind, Statement},
};
use carnet_git::Repo;
use carnet_guard::{PolicyInForce, TOOL_LOCK_FILE};

use super::{
    class::Classes,
    compare::files_of,
    environment::{Drift, drift},
};
use crate::{
    artifact::ArtifactError,
    event::describe,
    execute::{Repeat, RunError, RunPlan, RunRequest, plan},
    ledger::{LedgerEntry, LoadError, read_file},
    model,
};

/// What a person may ask for besides the run itself.
#[derive(Debug, Clone, Default)]
pub struct ReplayOptions {
    /// The policy to run under instead of the recorded one.
    pub policy: Option<PolicyInForce>,
    /// The commit to run on instead of the recorded source (`--skip-git`).
    pub commit: Option<GitOid>,
    /// Take the variables of today's lane, and programs as they are without comparing them (`--skip-env`).
    pub skip_env: bool,
    /// Compare logs and outcome alone (`--skip-artifacts`).
    pub skip_artifacts: bool,
}

/// What a replay would do.
#[derive(Debug)]
pub struct ReplayPlan {
    /// The run to repeat.
    pub run: RunId,
    /// Its run commit.
    pub run_commit: GitOid,
    /// Its passport.
    pub passport: Passport,
    /// Programs that are not what they were; empty when they are not compared.
    pub tool_drift: Vec<Drift>,
    /// What is run, and under which policy.
    pub run_plan: RunPlan,
    pub(super) classes: Classes,
    pub(super) with_artifacts: bool,
    /// What answers for the model, where the run could ask one.
    pub(super) model: Option<ModelRecord>,
}

impl ReplayPlan {
    /// Returns the paths of the recorded files that are compared.
    pub fn compared(&self) -> Vec<String> {
        files_of(&self.passport, self.with_artifacts).into_keys().collect()
    }
}

/// Why a run is not repeated. [`ReplayError::verdict`](super::ReplayError) says what that comes to.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Nothing was run, so there is nothing to do again.
    #[error("run `{run}` {why}; there is nothing to compare with")]
    NothingRan {
        /// Which one.
        run: RunId,
        /// How it ended, or what it was.
        why: String,
    },
    /// It was handed secrets, of which nothing but names is kept, and these are not they.
    #[error("run `{run}` was handed {}; now it would be {}", words(.names), words(.given))]
    Secrets {
        /// Which one.
        run: RunId,
        /// What it was handed.
        names: Vec<String>,
        /// What it would be handed now.
        given: Vec<String>,
    },
    /// Something that the record names is not here.
    #[error("the record of run `{run}` is incomplete here")]
    Incomplete {
        /// Which one.
        run: RunId,
        /// What is missing.
        #[source]
        source: Box<LoadError>,
    },
    /// The source that was recorded is not here.
    #[error("the source of run `{run}` is not here: object `{missing}` is missing")]
    NoSource {
        /// Which one.
        run: RunId,
        /// The object.
        missing: GitOid,
    },
    /// No key that this clone trusts signed the record: its command and policy are anyone's.
    #[error("the record of run `{run}` is not signed by a key that this clone trusts: {why}")]
    Untrusted {
        /// Which one.
        run: RunId,
        /// What does not hold.
        why: String,
    },
    /// The recorded policy files do not have the recorded digest.
    #[error(
        "the policy recorded with run `{run}` does not have the digest that its passport names"
    )]
    PolicyDigest {
        /// Which one.
        run: RunId,
    },
    /// The policy asked for does not admit the command.
    #[error("the policy in force does not admit the command of run `{run}`: {message}")]
    NotAdmitted {
        /// Which one.
        run: RunId,
        /// What the lane says.
        message: String,
    },
    /// The repeated run could not be done.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Another process repeats the same run, and the person did not want to wait.
    #[error("interrupted while another replay of run `{0}` was going on")]
    Interrupted(RunId),
    /// The lock under the run's idempotency key could not be taken.
    #[error("lock the replays of run `{run}`")]
    Lock {
        /// Which one.
        run: RunId,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The artifact stores are configured wrongly.
    #[error(transparent)]
    Artifact(#[from] Box<ArtifactError>),
}

fn words(names: &[String]) -> String {
    match names {
        [] => "no secrets".to_owned(),
        names => format!("secrets ({})", names.join(", ")),
    }
}

/// Makes the plan of a replay. Touches nothing.
///
/// - `trusted`: keys whose records are repeated; a record brings its own command and policy.
///
/// # Errors
///
/// [`ReplayError`] when the record is damaged, not trusted, or there is nothing to repeat.
pub fn plan_replay(
    repo: &Repo,
    entry: &LedgerEntry,
    trusted: &[PublicKey],
    options: &ReplayOptions,
) -> Result<ReplayPlan, ReplayError> {
    let run = entry.event().run;
    let run_commit = entry.event().commit;
    let passport = trusted_passport(repo, entry, trusted)?;
    if !passport.outcome.has_ended() {
        return Err(ReplayError::NothingRan { run, why: describe(&passport.outcome) });
    }
    if let Some(why) = &passport.incomplete {
        return Err(ReplayError::NothingRan {
            run,
            why: format!("is recorded incompletely ({why})"),
        });
    }
    if passport.run.kind == RunKind::Sandbox {
        let why = "was a try of the confinement, outside every allowlist".to_owned();
        return Err(ReplayError::NothingRan { run, why });
    }
    if options.commit.is_none() && !repo.has_object(&passport.source.tree) {
        return Err(ReplayError::NoSource { run, missing: passport.source.tree });
    }
    let classes = Classes::compile(&passport.request.classes).map_err(RunError::from)?;
    let model = model::read_record(repo, run_commit, &passport)
        .map_err(|source| ReplayError::Incomplete { run, source: Box::new(source) })?;
    if passport.model.as_ref().is_some_and(|model| model.truncated) {
        let why = "asked a model for more than is recorded".to_owned();
        return Err(ReplayError::NothingRan { run, why });
    }
    let policy = match &options.policy {
        Some(policy) => policy.clone(),
        None => recorded_policy(repo, run_commit, &passport)
            .map_err(|source| ReplayError::Incomplete { run, source: Box::new(source) })?,
    };
    let source = &passport.source;
    let repeat = Repeat {
        run,
        run_commit,
        source: options.commit.is_none().then(|| source.clone()),
        variables: (!options.skip_env).then(|| passport.environment.variables.clone()),
    };
    let request = RunRequest {
        lane: passport.lane.clone(),
        argv: passport.request.argv.clone(),
        outputs: passport.request.outputs.clone(),
        classes: passport.request.classes.clone(),
        patch: passport.request.patch,
        directory: None,
        model: passport.request.model.clone(),
        commit: options.commit.unwrap_or(source.commit),
        kind: RunKind::Replay,
        repeats: Some(repeat),
        validate: false,
    };
    let run_plan = plan(repo, &policy, request)?;
    if options.policy.is_none() && run_plan.lane.digest() != passport.policy.lane_sha256 {
        return Err(ReplayError::PolicyDigest { run });
    }
    if !run_plan.admission.verdict.is_allowed() {
        let reason = run_plan.admission.verdict.reasons.first();
        let message = reason.map_or_else(String::new, |reason| reason.message.clone());
        return Err(ReplayError::NotAdmitted { run, message });
    }
    let tool_drift = if options.skip_env {
        vec![]
    } else {
        drift(&passport, &run_plan.tool_locks, &run_plan.toolchains)
    };
    let with_artifacts = !options.skip_artifacts;
    Ok(ReplayPlan {
        run,
        run_commit,
        passport,
        tool_drift,
        run_plan,
        classes,
        with_artifacts,
        model,
    })
}

/// Reads the passport that the signed ledger event names.
///
/// The event binds the passport by its digest, and the passport binds command, source and policy.
fn trusted_passport(
    repo: &Repo,
    entry: &LedgerEntry,
    trusted: &[PublicKey],
) -> Result<Passport, ReplayError> {
    let run = entry.event().run;
    let untrusted = |why: String| ReplayError::Untrusted { run, why };
    entry.signed.verify(trusted).map_err(|error| untrusted(error.to_string()))?;
    let commit = entry.event().commit;
    let bytes = read_file(repo, commit, "passport.json")
        .map_err(|source| ReplayError::Incomplete { run, source: Box::new(source) })?;
    if Digest::of(&bytes) != entry.event().passport_sha256 {
        return Err(untrusted("the passport is not the one that the ledger recorded".to_owned()));
    }
    let statement = Statement::from_json(&bytes).map_err(|source| ReplayError::Incomplete {
        run,
        source: Box::new(LoadError::Passport { commit, source }),
    })?;
    if statement.predicate.run.id != run {
        return Err(untrusted(format!("it is the passport of run {}", statement.predicate.run.id)));
    }
    Ok(statement.predicate)
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
    let mut tool_locks = vec![];
    for (file, name) in [
        ("policy/tools.lock", TOOL_LOCK_FILE.to_owned()),
        ("policy/work-tree/tools.lock", format!("work-tree:{TOOL_LOCK_FILE}")),
    ] {
        match read_file(repo, run_commit, file) {
            Ok(text) => tool_locks.push((name, String::from_utf8_lossy(&text).into_owned())),
            Err(LoadError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(PolicyInForce { origin: passport.policy.origin.clone(), allowlists, work_tree, tool_locks })
}
