//! The model that git's configuration names for the index, in place of the embedded table: a sentence transformer in a local
//! directory, or an endpoint of OpenAI's form.
//!
//! | key | what it says |
//! |---|---|
//! | `carnet.embeddingDirectory` | the directory of a model of BERT's kind: `model.safetensors`, `tokenizer.json`, `config.json` |
//! | `carnet.embeddingEndpoint` | where its API begins: `http://127.0.0.1:8080/v1` |
//! | `carnet.embeddingModel` | the model's name as the endpoint writes it |
//! | `carnet.embeddingDimensions` | how many numbers its vectors have |
//! | `carnet.embeddingKey` | where its key is: `env:NAME`, `store:NAME` or `file:PATH`; never the key itself |
//! | `carnet.embeddingBatch` | texts in one request (32) |
//! | `carnet.embeddingTimeout` | seconds that one request may take (60; a question's at most 5) |
//!
//! Every text goes through the redactor before it is sent to an endpoint, and what was replaced is in the audit log before. A search whose
//! question the model cannot embed is answered by words, names and the embedded table, and says so.

use std::{fmt::Display, path::PathBuf, str::FromStr, sync::OnceLock, time::Duration};

use carnet_core::ExitCode;
use carnet_daemon::broker::{EmbedError, Embedder};
use carnet_git::Repo;
use carnet_guard::{AuditEvent, AuditKind, append_audit};
use carnet_index::{
    SearchQuery, Snapshot,
    vectors::{ModelCoverage, ModelError, ModelStore, Transformer},
};
use carnet_scan::Redactor;

use super::{
    known_values::{Named, known_values},
    query::Asked,
    secret_source::read_secrets,
};
use crate::{
    error::CommandError,
    workspace::{Workspace, now},
};

/// What a question may wait for its vector.
const QUESTION_MAX: Duration = Duration::from_secs(5);
/// How often a batch is asked for when the endpoint is busy, and how long is waited at most.
const TRIES: u32 = 6;
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The configured model.
pub struct Model {
    kind: Kind,
    name: String,
    /// Where its vectors are.
    pub store: ModelStore,
    batch: usize,
}

enum Kind {
    Endpoint(Embedder),
    /// Read when it is first needed.
    Directory(PathBuf, OnceLock<Box<Transformer>>),
}

impl Model {
    /// Returns the model that is configured; `None` where none is.
    ///
    /// # Errors
    ///
    /// [`CommandError`] names the key that cannot be used.
    pub fn configured(repo: &Repo) -> Result<Option<Model>, CommandError> {
        if let Some(dir) = repo.config_get("carnet.embeddingDirectory") {
            return Model::in_directory(repo, &dir).map(Some);
        }
        let Some(base_url) = repo.config_get("carnet.embeddingEndpoint") else { return Ok(None) };
        if !base_url.starts_with("http://") && !base_url.starts_with("https://") {
            let message =
                format!("`carnet.embeddingEndpoint` is `{base_url}`, not an http address");
            return Err(CommandError::new(ExitCode::Config, message).hint(
                "Name where its API begins: `git config carnet.embeddingEndpoint http://127.0.0.1:8080/v1`.",
            ));
        }
        let name = repo.config_get("carnet.embeddingModel").ok_or_else(|| {
            CommandError::new(ExitCode::Config, "`carnet.embeddingModel` is not set")
                .hint("Name the model: `git config carnet.embeddingModel NAME`.")
        })?;
        let dimension = number(repo, "carnet.embeddingDimensions", None, 1, 4096)?;
        let batch = number(repo, "carnet.embeddingBatch", Some(32), 1, 1024)?;
        let timeout = number(repo, "carnet.embeddingTimeout", Some(60), 1, 600)?;
        let key = repo.config_get("carnet.embeddingKey").map(|source| key(&source)).transpose()?;
        let store = ModelStore::new(
            &carnet_daemon::index_dir(repo),
            &format!("{name} at {base_url}"),
            dimension,
        );
        let timeout = Duration::from_secs(timeout);
        let embedder = Embedder { base_url, model: name.clone(), key, dimension, timeout };
        Ok(Some(Model { kind: Kind::Endpoint(embedder), name, store, batch }))
    }

    fn in_directory(repo: &Repo, dir: &str) -> Result<Model, CommandError> {
        let refused = |error: &dyn std::error::Error| {
            let message = format!("`carnet.embeddingDirectory` is `{dir}`: {error}");
            CommandError::new(ExitCode::Config, message).hint(
                "Name the directory of a sentence transformer, with `model.safetensors`, `tokenizer.json` and `config.json`.",
            )
        };
        let path = PathBuf::from(dir);
        let weights =
            std::fs::metadata(path.join("model.safetensors")).map_err(|it| refused(&it))?;
        let modified = weights.modified().map_err(|it| refused(&it))?;
        let modified = carnet_core::Timestamp::from_system_time(modified);
        let dimension = Transformer::dimension_in(&path).map_err(|it| refused(&it))?;
        // Another file of weights in the same place is another model.
        let id = format!("{dir} {} {modified}", weights.len());
        let store = ModelStore::new(&carnet_daemon::index_dir(repo), &id, dimension);
        let kind = Kind::Directory(path, OnceLock::new());
        Ok(Model { kind, name: dir.to_owned(), store, batch: 32 })
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Embeds what of the current snapshot has no vectors yet; returns how much has them then.
    ///
    /// - `told`: how far it is.
    pub fn update(
        &self,
        workspace: &Workspace,
        mut told: impl FnMut(ModelCoverage),
    ) -> Result<ModelCoverage, CommandError> {
        let dir = carnet_daemon::index_dir(&workspace.repo);
        let Some(snapshot) = Snapshot::open_current(&dir)? else {
            return Ok(ModelCoverage::default());
        };
        if self.store.coverage(&snapshot).is_ok_and(|it| it.is_whole()) {
            return Ok(self.store.coverage(&snapshot)?);
        }
        let outbound = Outbound::new(workspace)?;
        let embed = |texts: &[String]| match &self.kind {
            Kind::Endpoint(embedder) => {
                let texts = outbound.redacted(texts)?;
                patiently(embedder, &texts).map_err(|error| self.error(error))
            }
            Kind::Directory(..) => self.computed(texts),
        };
        let blobs = carnet_daemon::blobs(&workspace.repo);
        match self.store.update(&snapshot, &blobs, self.batch, embed, &mut told) {
            Ok(()) | Err(ModelError::Busy) => Ok(self.store.coverage(&snapshot)?),
            Err(ModelError::Index(error)) => Err(error.into()),
            Err(ModelError::Model(error)) => Err(error),
        }
    }

    fn computed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, CommandError> {
        let Kind::Directory(dir, read) = &self.kind else { return Ok(Vec::new()) };
        if read.get().is_none() {
            let model = Transformer::open(dir);
            let model = model.map_err(|it| self.error(it))?;
            let _ = read.set(Box::new(model));
        }
        let model = read.get().expect("because it was just read");
        Ok(texts.iter().map(|text| model.embed(text)).collect())
    }

    fn error(&self, error: impl Display) -> CommandError {
        let message = format!("embed with `{}`: {error}", self.name());
        CommandError::new(ExitCode::Incomplete, message).hint(
            "Until it answers, searches use the embedded table. Look at `git config --get-regexp '^carnet.embedding'`.",
        )
    }

    fn question(&self, workspace: &Workspace, text: String) -> Result<Vec<f32>, CommandError> {
        let vectors = match &self.kind {
            Kind::Endpoint(embedder) => {
                let texts = Outbound::new(workspace)?.redacted(&[text])?;
                let timeout = embedder.timeout.min(QUESTION_MAX);
                let embedder = Embedder { timeout, ..embedder.clone() };
                embedder.embed(&texts).map_err(|error| self.error(error))?
            }
            Kind::Directory(..) => self.computed(&[text])?,
        };
        vectors.into_iter().next().ok_or_else(|| self.error(EmbedError::NoVector))
    }
}

/// Asks again where the endpoint is busy or away for a moment, as long as it says.
fn patiently(embedder: &Embedder, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
    let mut wait = Duration::from_millis(500);
    for _ in 1..TRIES {
        match embedder.embed(texts) {
            Err(EmbedError::Away { retry_after_ms, is_passing: true, .. }) => {
                let asked = retry_after_ms.map_or(wait, Duration::from_millis);
                std::thread::sleep(asked.min(WAIT_MAX));
                wait *= 2;
            }
            other => return other,
        }
    }
    embedder.embed(texts)
}

/// Has the configured model embed a query, where there is one; returns why it does not answer, or not for all files.
pub fn ask(asked: &Asked, query: &mut SearchQuery) -> Option<String> {
    let question = query.question()?;
    let put = || -> Result<Option<String>, CommandError> {
        let Some(model) = Model::configured(&asked.repo)? else { return Ok(None) };
        let coverage = model.store.coverage(&asked.snapshot)?;
        let ModelCoverage { n_files_done, n_files } = coverage;
        let far = format!("`{}` has embedded {n_files_done} of {n_files} files", model.name());
        if !coverage.is_enough() {
            return Ok(Some(format!("{far} so far")));
        }
        let vector = model.question(&Workspace::discover()?, question)?;
        query.ask_model(model.store, vector);
        Ok((!coverage.is_whole()).then_some(far))
    };
    put().unwrap_or_else(|error| Some(error.message))
}

/// What texts go through before they leave.
struct Outbound<'w> {
    workspace: &'w Workspace,
    redactor: Redactor<'w>,
}

impl<'w> Outbound<'w> {
    fn new(workspace: &'w Workspace) -> Result<Outbound<'w>, CommandError> {
        let named = Named { variables: &[], env_files: &[], secrets: &[], store: true };
        let known = known_values(Some(workspace), &named)?;
        let at = carnet_guard::content_policy(&workspace.repo)?.redact_personal_at();
        let redactor = Redactor::new(workspace.rules()?).with_known(known).with_personal(at);
        Ok(Outbound { workspace, redactor })
    }

    /// Replaces what may not leave; where something was, that is in the audit log before the texts are returned.
    fn redacted(&self, texts: &[String]) -> Result<Vec<String>, CommandError> {
        let mut names = std::collections::BTreeMap::<String, usize>::new();
        let texts = texts.iter().map(|text| {
            let (bytes, replaced) = self.redactor.redact(text.as_bytes());
            for (name, n) in replaced.by_name {
                *names.entry(name).or_default() += n;
            }
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let texts: Vec<String> = texts.collect();
        if !names.is_empty() {
            let mut event = AuditEvent::new(AuditKind::Redaction, "embedding", now());
            event.reason = Some("on the way out".to_owned());
            event.findings = names.iter().map(|(name, n)| format!("{name} {n}")).collect();
            append_audit(&self.workspace.repo, &self.workspace.key()?, &[event])
                .map_err(|error| CommandError::of(ExitCode::Refused, &error))?;
        }
        Ok(texts)
    }
}

fn key(source: &str) -> Result<String, CommandError> {
    let wrong = |message: &str| {
        CommandError::new(ExitCode::Config, message).hint(
            "Say where the key is: `git config carnet.embeddingKey env:NAME`, `store:NAME` or `file:PATH`.",
        )
    };
    let value = match source.split_once(':') {
        Some(("env", name)) => std::env::var(name).map_err(|_| {
            wrong(&format!("`carnet.embeddingKey` names a variable that is not set: `{name}`"))
        })?,
        Some(("store" | "file", _)) => {
            let secrets = read_secrets(&[format!("EMBEDDING_KEY={source}")])?;
            let bytes = secrets.first().map(|secret| secret.bytes().to_vec()).unwrap_or_default();
            String::from_utf8(bytes).unwrap_or_default()
        }
        // It may be the key itself: it is not repeated.
        _ => {
            return Err(wrong(
                "`carnet.embeddingKey` is none of `env:NAME`, `store:NAME`, `file:PATH`",
            ));
        }
    };
    let value = value.trim_end();
    match value.is_empty() || value.bytes().any(|byte| !byte.is_ascii_graphic()) {
        true => Err(wrong("what `carnet.embeddingKey` names is no key of one line")),
        false => Ok(value.to_owned()),
    }
}

fn number<N: FromStr + PartialOrd + Display + Copy>(
    repo: &Repo,
    key: &str,
    otherwise: Option<N>,
    min: N,
    max: N,
) -> Result<N, CommandError> {
    let text = repo.config_get(key);
    let found = match &text {
        Some(text) => text.parse().ok().filter(|it| *it >= min && *it <= max),
        None => otherwise,
    };
    found.ok_or_else(|| {
        let message = match text {
            Some(text) => format!("`{key}` is `{text}`, not a number from {min} to {max}"),
            None => format!("`{key}` is not set"),
        };
        CommandError::new(ExitCode::Config, message).hint(format!("Set it: `git config {key} N`."))
    })
}
