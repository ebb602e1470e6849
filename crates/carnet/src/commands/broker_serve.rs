//! `carnet broker serve`: the gateway with this repository's policy, guard, keys and receipts.
//!
//! Receipts are appended to a file beside the repository before the answer is given, and moved from there into the repository in
//! batches: `refs/carnet/broker/<writer>/<day>`, as `docs/format/broker.md` says. What a crash left in the file is moved by the
//! next gateway; a power loss can take the receipts of the last second. What is replaced on the way is in the audit log, on the disk,
//! before it is sent or answered: calls that come together share a commit.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use carnet_core::{Digest, ExitCode, GitOid, LaneName, ModelExchange, ModelRecord, RepoPath};
use carnet_daemon::broker::{
    CACHE_BYTES_MAX, Hold, Keep, Kept, Log, Names, Receipt, Redact, Setup, serve_models,
};
use carnet_git::{Author, CommitSpec, EntryMode, Repo, TreeSpec};
use carnet_guard::{AuditEvent, AuditKind, BATCH_MAX, append_audit};
use carnet_policy::broker::{BrokerPolicy, Meter, Target};
use carnet_scan::{KnownValue, Redactor, Replaced};
use clap::Args;

use super::{
    approve::{self, Release},
    broker::Source,
    known_values::{Named, known_values_and},
    secret_source::read_secrets,
};
use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, now},
};

/// Where what calls took is kept.
pub const REFS: &str = "refs/carnet/broker/";
const RECEIPTS_FILE: &str = "receipts.jsonl";
const EXCHANGES_FILE: &str = "model/exchanges.jsonl";
/// Largest file of receipts that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Most commits of the record that are read for replies to give again.
const COMMITS_MAX: usize = 1_000;
/// How long receipts wait for others to go with.
const BATCH: Duration = Duration::from_secs(1);

/// Options of `broker serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where to listen, on this machine; port 0 is any free one.
    #[arg(long, default_value = "127.0.0.1:4141", value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// The lane of calls that name none.
    #[arg(long, default_value = "code-impl")]
    lane: String,
    /// A policy instead of the one in force.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Models that are known, instead of the catalogue beside the policy, the one in force, or the built-in one.
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
    /// A provider's key, under the name that the policy has for it; may be repeated.
    #[arg(long = "secret", value_name = "NAME=SOURCE")]
    secrets: Vec<String>,
    /// Ask callers for this one of the keys (`--secret`), as their own.
    #[arg(long, value_name = "NAME")]
    caller_key: Option<String>,
    /// Do without what the secret store holds (`carnet secret list`); its values are known by themselves.
    #[arg(long)]
    no_store: bool,
    /// Let a request in which something was replaced out only after `carnet approve`.
    #[arg(long)]
    hold: bool,
}

/// Serves until it is told to stop.
pub fn serve(ui: &Ui, args: &ServeArgs) -> CommandResult {
    let secrets = read_secrets(&args.secrets)?;
    if !args.listen.ip().is_loopback() {
        let message = format!("`{}` can be reached from other machines", args.listen);
        return Err(CommandError::new(ExitCode::Usage, message)
            .hint("Listen on this machine: `--listen 127.0.0.1:4141`."));
    }
    let lane =
        LaneName::new(&args.lane).map_err(|error| CommandError::of(ExitCode::Usage, &error))?;
    let workspace = Workspace::discover()?;
    let writer = workspace.key()?.public().writer();
    let source = Source::read(args.policy.as_deref(), args.catalogue.as_deref())?;
    let policy = source.sound()?;
    let mut keys = std::collections::BTreeMap::new();
    let mut known = vec![];
    for secret in &secrets {
        let value = std::str::from_utf8(secret.bytes()).map(str::trim_end).unwrap_or_default();
        if value.is_empty() || value.bytes().any(|byte| !byte.is_ascii_graphic()) {
            let message = format!("secret `{}` is no key of one line", secret.name());
            return Err(CommandError::new(ExitCode::Usage, message)
                .hint("Look at what it is read from; its value is shown nowhere."));
        }
        keys.insert(secret.name().to_owned(), value.to_owned());
        known.push(KnownValue {
            name: secret.name().to_owned(),
            value: value.as_bytes().to_vec().into(),
        });
    }
    let caller_key = args.caller_key.as_ref().map(|name| {
        keys.get(name).cloned().ok_or_else(|| {
            CommandError::new(ExitCode::Usage, format!("there is no secret `{name}`"))
                .hint(format!("Give it: `--secret {name}=file:PATH`."))
        })
    });
    let caller_key = caller_key.transpose()?;
    for target in policy.targets() {
        let key = policy.providers.get(&target.provider).and_then(|it| it.key.as_ref());
        if let Some(key) = key.filter(|key| !keys.contains_key(*key)) {
            ui.err(&format!(
                "carnet: {target} cannot answer without its key: --secret {key}=SOURCE\n"
            ));
        }
    }
    let books = Arc::new(Books::open(&workspace, &writer)?);
    books.write(&workspace, ui)?;
    let meter = spent_before(&workspace.repo, &writer, &policy)?;
    let kept = answered_before(&workspace.repo, &writer, &policy)?;
    let named = Named { variables: &[], env_files: &[], secrets: &[], store: !args.no_store };
    let known = known_values_and(Some(&workspace), &named, known)?;
    let at = carnet_guard::content_policy(&workspace.repo)?.redact_personal_at();
    let redactor = Redactor::new(workspace.rules()?).with_known(known).with_personal(at);
    let redact: Redact = Arc::new(move |text| {
        let (bytes, replaced) = redactor.redact(text.as_bytes());
        (String::from_utf8_lossy(&bytes).into_owned(), replaced.by_name)
    });
    let (wake, woken) = mpsc::channel();
    let keeping = Arc::clone(&books);
    let keep: Keep = Arc::new(move |receipt, exchange| {
        keeping.note(receipt, exchange);
        let _ = wake.send(());
    });
    let dir = workspace.repo.git_dir().to_owned();
    let hold_dir = dir.clone();
    let hold: Option<Hold> =
        args.hold.then(|| -> Hold { Arc::new(move |text, names| held(&hold_dir, text, names)) });
    let (log, logging) = log_keeper(&dir);
    let (ui_there, books_there) = (*ui, Arc::clone(&books));
    let writing = thread::spawn(move || keep_books(&ui_there, &books_there, &dir, &woken));
    let setup = Setup {
        policy,
        catalogue: source.catalogue,
        keys,
        lane,
        caller_key,
        meter,
        kept,
        redact,
        hold,
        log,
        keep,
    };
    let on_listen = |at: SocketAddr| {
        ui.out(&format!(
            "serving http://{at}/v1 (OpenAI) and http://{at}/v1/messages (Anthropic); stop with ^C\n"
        ));
    };
    // The gateway drops what it was set up with when it ends; then no one wakes the writer any more.
    let served = serve_models(args.listen, setup, on_listen);
    let _ = (writing.join(), logging.join());
    books.write(&workspace, ui)?;
    served.map_err(|error| {
        CommandError::of(ExitCode::Io, &error).hint("Choose another port, or 0 for any.")
    })?;
    Ok(ExitCode::Done)
}

/// Asks whether a person let this text out; else keeps it for one.
fn held(dir: &Path, text: &[u8], names: &Names) -> Result<(), String> {
    let id = approve::id_of(text);
    let replaced = Replaced { by_name: names.clone() };
    let repo = Repo::discover(dir).map_err(|_| id.clone())?;
    match approve::release(&Workspace { repo }, &id, text, &replaced) {
        Ok(Release::Approved) => Ok(()),
        _ => Err(id),
    }
}

/// An event, and who waits for it to be on the disk.
type Waiting = (AuditEvent, mpsc::SyncSender<Result<(), String>>);

/// Starts what writes the log: all events that wait go as one commit, and who waits hears what became of it. It ends with the last
/// that could ask it.
fn log_keeper(dir: &Path) -> (Log, thread::JoinHandle<()>) {
    let (sender, waiting) = mpsc::channel::<Waiting>();
    let dir = dir.to_owned();
    let keeper = thread::spawn(move || {
        while let Ok(first) = waiting.recv() {
            let mut batch = vec![first];
            batch.extend(waiting.try_iter().take(BATCH_MAX - 1));
            let (events, waiters): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let kept = log_events(&dir, &events);
            for waiter in waiters {
                // Who waits no more has ended meanwhile.
                let _ = waiter.send(kept.clone());
            }
        }
    });
    let log: Log = Arc::new(move |digest: Digest, way, names: &Names| {
        let mut event = AuditEvent::new(AuditKind::Redaction, "broker", now());
        event.subject = Some(digest.to_string());
        event.reason = Some(format!("on the way {way}"));
        event.findings = names.iter().map(|(name, n)| format!("{name} {n}")).collect();
        let (done, kept) = mpsc::sync_channel(1);
        let ended = |_| "the log is closed".to_owned();
        sender.send((event, done)).map_err(|_| "the log is closed".to_owned())?;
        kept.recv().map_err(ended)?
    });
    (log, keeper)
}

fn log_events(dir: &Path, events: &[AuditEvent]) -> Result<(), String> {
    let repo = Repo::discover(dir).map_err(|error| error.to_string())?;
    let workspace = Workspace { repo };
    let key = workspace.key().map_err(|error| error.message)?;
    append_audit(&workspace.repo, &key, events).map_err(|error| error.to_string())
}

/// Moves receipts into the repository until no one notes any.
fn keep_books(ui: &Ui, books: &Books, dir: &Path, woken: &mpsc::Receiver<()>) {
    while woken.recv().is_ok() {
        let begun = std::time::Instant::now();
        // More may come meanwhile; they go together.
        while let Some(left) = BATCH.checked_sub(begun.elapsed())
            && !matches!(woken.recv_timeout(left), Err(mpsc::RecvTimeoutError::Disconnected))
        {
        }
        let Ok(repo) = Repo::discover(dir) else { continue };
        if let Err(error) = books.write(&Workspace { repo }, ui) {
            ui.err(&format!(
                "carnet: receipts wait in {}: {}\n",
                books.path.display(),
                error.message
            ));
        }
    }
}

/// Receipts that are not in the repository yet, in memory and in a file.
struct Books {
    path: PathBuf,
    writer: String,
    pending: Mutex<Pending>,
}

struct Pending {
    /// Locked while a gateway serves: two would each spend the whole budget.
    file: File,
    receipts: Vec<Receipt>,
    /// What was asked and answered, within its bound; what goes beyond has a receipt alone.
    record: ModelRecord,
    is_broken: bool,
}

impl Books {
    fn open(workspace: &Workspace, writer: &str) -> Result<Books, CommandError> {
        let dir = workspace.repo.state_dir().join("broker");
        let path = dir.join("receipts.jsonl");
        let failed = |error: std::io::Error| {
            CommandError::new(ExitCode::Io, format!("open `{}`: {error}", path.display()))
        };
        fs::create_dir_all(&dir).map_err(failed)?;
        let mut options = OpenOptions::new();
        let file = options.append(true).read(true).create(true).open(&path).map_err(failed)?;
        if file.try_lock().is_err() {
            let message = "another gateway serves this repository";
            return Err(CommandError::new(ExitCode::Refused, message)
                .hint("Ask that one; two would each spend the whole budget."));
        }
        let text = fs::read_to_string(&path).map_err(failed)?;
        // A line that a crash cut short was not answered yet.
        let receipts = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let pending = Pending { file, receipts, record: ModelRecord::default(), is_broken: false };
        Ok(Books { path, writer: writer.to_owned(), pending: Mutex::new(pending) })
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, receipt: Receipt, exchange: Option<ModelExchange>) {
        let mut pending = self.pending();
        let mut line = serde_json::to_vec(&receipt).expect("because a receipt has string keys");
        line.push(b'\n');
        pending.is_broken |= pending.file.write_all(&line).is_err();
        pending.receipts.push(receipt);
        if let Some(exchange) = exchange {
            pending.record.push(exchange);
        }
    }

    /// Commits what is pending, day by day.
    fn write(&self, workspace: &Workspace, ui: &Ui) -> Result<(), CommandError> {
        let (receipts, record) = {
            let mut pending = self.pending();
            (std::mem::take(&mut pending.receipts), std::mem::take(&mut pending.record))
        };
        if receipts.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.commit(workspace, &receipts, &record) {
            let mut pending = self.pending();
            pending.receipts.splice(0..0, receipts);
            let newer = std::mem::replace(&mut pending.record, record);
            newer.exchanges().iter().for_each(|exchange| pending.record.push(exchange.clone()));
            return Err(error);
        }
        let mut pending = self.pending();
        let rest = pending.receipts.iter().map(|receipt| {
            serde_json::to_string(receipt).expect("because a receipt has string keys") + "\n"
        });
        let rest: String = rest.collect();
        let emptied =
            pending.file.set_len(0).and_then(|()| pending.file.write_all(rest.as_bytes()));
        if emptied.is_err() || pending.is_broken {
            ui.err(&format!("carnet: `{}` cannot be written\n", self.path.display()));
        }
        drop(pending);
        Ok(())
    }

    fn commit(
        &self,
        workspace: &Workspace,
        receipts: &[Receipt],
        record: &ModelRecord,
    ) -> Result<(), CommandError> {
        let repo = &workspace.repo;
        let failed =
            |error: &(dyn std::error::Error + 'static)| CommandError::of(ExitCode::Io, error);
        let mut rest = receipts;
        let mut record = Some(record).filter(|record| !record.exchanges().is_empty());
        while let Some(first) = rest.first() {
            let day = first.at.day();
            let n = rest.iter().take_while(|receipt| receipt.at.day() == day).count();
            let (today, later) = rest.split_at(n);
            rest = later;
            let lines: String = today
                .iter()
                .map(|it| serde_json::to_string(it).expect("because keys are strings") + "\n")
                .collect();
            let blob = |bytes: &[u8]| repo.write_blob(bytes).map_err(|error| failed(&error));
            let mut tree =
                TreeSpec::new().file(path(RECEIPTS_FILE), EntryMode::File, blob(lines.as_bytes())?);
            if let Some(record) = record.take() {
                tree = tree.file(path(EXCHANGES_FILE), EntryMode::File, blob(&record.to_lines())?);
            }
            let tree = repo.write_tree(&tree).map_err(|error| failed(&error))?;
            let usd: f64 = today.iter().map(|receipt| receipt.cost_usd).sum();
            let message = format!("broker: {n} calls, {usd:.6} USD");
            let make = |previous: Option<GitOid>| {
                Ok(CommitSpec {
                    tree,
                    parents: previous.into_iter().collect(),
                    message: message.clone(),
                    author: Author {
                        name: "carnet".to_owned(),
                        email: format!("{}@carnet.invalid", self.writer),
                    },
                    time: now(),
                })
            };
            let name = format!("{REFS}{}/{day}", self.writer);
            repo.append_chain(&name, &make).map_err(|error| failed(&error))?;
        }
        Ok(())
    }
}

fn path(name: &str) -> RepoPath {
    RepoPath::new(name.as_bytes()).expect("because carnet's own paths are well formed")
}

/// Reads what calls took, of the days that begin with `prefix`, in no order that says anything.
pub fn receipts(repo: &Repo, refs: &str, prefix: &str) -> Result<Vec<Receipt>, CommandError> {
    let mut found = vec![];
    for (name, tip) in repo.list_refs(refs).map_err(|error| damaged(&error))? {
        if !name.rsplit('/').next().is_some_and(|day| day.starts_with(prefix)) {
            continue;
        }
        for commit in repo.first_parents(&tip) {
            found.extend(receipts_of(repo, &commit.map_err(|error| damaged(&error))?.tree)?);
        }
    }
    Ok(found)
}

fn damaged(error: &(dyn std::error::Error + 'static)) -> CommandError {
    CommandError::of(ExitCode::Incomplete, error).hint("Ask git what it thinks: `git fsck`.")
}

fn receipts_of(repo: &Repo, tree: &GitOid) -> Result<Vec<Receipt>, CommandError> {
    let bytes = repo.read_path(tree, &path(RECEIPTS_FILE), FILE_BYTES_MAX);
    let bytes = bytes.map_err(|error| damaged(&error))?.unwrap_or_default();
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(|error| damaged(&error))).collect()
}

/// What this clone's gateways answered under the same version of the policy, newest of each, oldest first: as much as is kept.
fn answered_before(
    repo: &Repo,
    writer: &str,
    policy: &BrokerPolicy,
) -> Result<Vec<(LaneName, Digest, Kept)>, CommandError> {
    let mut kept = vec![];
    if !policy.cost.enable_caching {
        return Ok(kept);
    }
    let (mut known, mut n_bytes) = (HashSet::new(), 0);
    let days = repo.list_refs(&format!("{REFS}{writer}/")).map_err(|error| damaged(&error))?;
    let commits = days.iter().rev().flat_map(|(_, tip)| repo.first_parents(tip));
    for commit in commits.take(COMMITS_MAX) {
        let tree = commit.map_err(|error| damaged(&error))?.tree;
        let record = repo.read_path(&tree, &path(EXCHANGES_FILE), FILE_BYTES_MAX);
        let record = record.map_err(|error| damaged(&error))?.unwrap_or_default();
        let record = ModelRecord::from_lines(&record).map_err(|error| damaged(&error))?;
        for receipt in receipts_of(repo, &tree)?.into_iter().rev() {
            let (Some(provider), Some(model)) = (&receipt.provider, &receipt.model) else {
                continue;
            };
            let is_one = receipt.status == 200
                && !receipt.cached
                && receipt.policy_version == policy.version
                && known.insert((receipt.lane.clone(), receipt.request_sha256));
            let mut exchanges = record.exchanges().iter().rev();
            let said = exchanges.find(|it| it.request.sha256 == receipt.request_sha256);
            let Some(said) = said.filter(|_| is_one) else { continue };
            let reply =
                Kept { target: Target::new(provider, model), body: said.reply.body.to_bytes() };
            n_bytes += reply.body.len();
            if n_bytes > CACHE_BYTES_MAX {
                kept.reverse();
                return Ok(kept);
            }
            kept.push((receipt.lane.clone(), receipt.request_sha256, reply));
        }
    }
    kept.reverse();
    Ok(kept)
}

/// What this clone's calls took in the period, and its tasks of today at least.
fn spent_before(repo: &Repo, writer: &str, policy: &BrokerPolicy) -> Result<Meter, CommandError> {
    let period = policy.cost.budget_period;
    let day = now().day();
    let mut meter = Meter::default();
    for receipt in receipts(repo, &format!("{REFS}{writer}/"), period.prefix(&day))? {
        let (usd, tokens) = (receipt.cost_usd, receipt.tokens_in + receipt.tokens_out);
        let task = receipt.task.as_deref();
        let reserved = meter.reserve(period, &day, task, usd, tokens);
        meter.settle(reserved, usd, tokens);
    }
    Ok(meter)
}
