//! The daemon's process: one loop that takes an event, asks `state` what to do, and does it.

use std::{
    collections::{HashMap, VecDeque},
    env,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use carnet_git::{ProgramError, Repo};
use tokio::{
    net::UnixListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::{Notify, mpsc, oneshot},
};

pub use crate::state::StopReason;
use crate::{
    LockError, SocketError, Worktree,
    connection::{CONNECTIONS_MAX, Inbound, Reply, accept_all},
    lock::{FileLock, Holder},
    log::Log,
    paths::Paths,
    protocol::WatchMode,
    record, socket,
    spawn::local_git_variables,
    state::{Effect, Event, Identity, RequestId, State, Timing},
    watch::{TreeWatch, Watch},
    work::{self, Home},
};

/// How a daemon behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonOptions {
    /// It ends after so long without a request and without a commit.
    pub idle_exit: Duration,
    /// How often HEAD is compared even when nothing was heard.
    pub poll_every: Duration,
    /// Whether the system's notices of changed files are used at all.
    pub is_watching: bool,
}

impl Default for DaemonOptions {
    /// Half an hour, thirty seconds, and yes.
    fn default() -> DaemonOptions {
        let (idle_exit, poll_every) = (Duration::from_secs(30 * 60), Duration::from_secs(30));
        DaemonOptions { idle_exit, poll_every, is_watching: true }
    }
}

/// Why a daemon could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another one does, or the lock cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is no private place for the socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The `git` program, asked which variables tie it to a repository, is missing.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The system refused something.
    #[error("{deed}")]
    Io {
        /// What was tried.
        deed: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

fn io(deed: &'static str) -> impl FnOnce(std::io::Error) -> RunError {
    move |source| RunError::Io { deed, source }
}

/// Runs the daemon of a repository in this process until it is stopped, idle, or the repository is gone.
///
/// - `repo`: opened anywhere in the repository; the index follows the HEAD of its worktree at first.
///
/// It changes this whole process: new session where possible, umask 077, lowest priority, working directory
/// in the common directory, panics written to the log and nowhere else. When the environment ties git to a
/// repository (as in a hook), the process first replaces itself by the same command without those
/// variables. Call it from `main` and end the process when it returns: a refresh that is under way is left
/// behind, unfinished and harmless.
///
/// # Errors
///
/// [`RunError::Lock`] with [`LockError::Held`] when another process keeps this repository's index; the
/// others say what the system refused.
pub fn run(repo: &Repo, options: &DaemonOptions) -> Result<StopReason, RunError> {
    leave_the_hook_environment(repo)?;
    let (paths, worktree) = (Paths::of(repo), Worktree::of(repo));
    become_a_daemon(&paths.common_dir)?;
    let socket = socket::socket_path(&paths.common_dir);
    let holder = Holder {
        pid: std::process::id(),
        started_at: work::now(),
        socket: socket.to_str().map(str::to_owned),
    };
    let lock = take_lock(&paths, &holder)?;
    work::remember_panics();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(io("start the loop"))?;
    let home = Home::new(paths);
    let ended = runtime.block_on(serve(home, worktree, &socket, holder, options));
    // In this order: who sees the connection end may start the next daemon at once.
    let _ = std::fs::remove_file(&socket);
    match &ended {
        Ok(Ended { is_working: true, .. }) => lock.keep_until_exit(),
        _ => drop(lock),
    }
    runtime.shutdown_background();
    ended.map(|ended| ended.reason)
}

/// Replaces this process by itself without the variables that git sets for hooks.
fn leave_the_hook_environment(repo: &Repo) -> Result<(), RunError> {
    let variables = local_git_variables()?;
    if variables.iter().all(|name| env::var_os(name).is_none()) {
        return Ok(());
    }
    let mut command = Command::new(env::current_exe().map_err(io("find this program"))?);
    command.args(env::args_os().skip(1)).current_dir(repo.work_tree().unwrap_or(repo.git_dir()));
    for name in variables {
        command.env_remove(name);
    }
    Err(io("start again in a clean environment")(command.exec()))
}

fn become_a_daemon(common_dir: &Path) -> Result<(), RunError> {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    // Both may be refused, to a leader of its group and by a strict system; neither is needed to be right.
    let _ = rustix::process::setsid();
    let _ = rustix::process::nice(10);
    env::set_current_dir(common_dir).map_err(io("change to the git directory"))
}

/// How long a lock that is held by a process which does not answer is tried again.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// How often.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Takes the lock. A holder that does not answer is starting or ending: it is given a moment.
fn take_lock(paths: &Paths, holder: &Holder) -> Result<FileLock, RunError> {
    let began = Instant::now();
    loop {
        match FileLock::take(&paths.lock(), holder) {
            Err(LockError::Held { holder: held_by }) => {
                let answers = socket::connect(&socket::socket_path(&paths.common_dir));
                if matches!(answers, Ok(Some(_))) || began.elapsed() >= LOCK_PATIENCE {
                    return Err(LockError::Held { holder: held_by }.into());
                }
                std::thread::sleep(LOCK_PAUSE);
            }
            taken => return Ok(taken?),
        }
    }
}

/// How long the last answers may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

struct Ended {
    reason: StopReason,
    /// A refresh may still be writing.
    is_working: bool,
}

async fn serve(
    home: Home,
    worktree: Worktree,
    socket: &Path,
    holder: Holder,
    options: &DaemonOptions,
) -> Result<Ended, RunError> {
    let signals = Signals::new().map_err(io("hear signals"))?;
    let listener = bind(socket)?;
    let (inbox_sender, inbox) = mpsc::channel(CONNECTIONS_MAX);
    tokio::spawn(accept_all(listener, inbox_sender));
    let timing =
        Timing { idle_exit_ms: millis(options.idle_exit), poll_ms: millis(options.poll_every) };
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let identity = Identity { pid: holder.pid, version, started_at: holder.started_at };
    let last_refresh = record::read(&home.paths.history()).pop();
    let stirred = Arc::new(Notify::new());
    let watch =
        Watch::new(home.paths.common_dir.clone(), Arc::clone(&stirred), options.is_watching);
    let edited = Arc::new(Notify::new());
    let tree_watch = TreeWatch::new(Arc::clone(&edited), options.is_watching);
    let mut log = Log::new(home.paths.log());
    log.line(&format!("carnet {} started, pid {}", identity.version, identity.pid));
    let (done_sender, done) = mpsc::channel(1);
    let (writing, written) = mpsc::channel(1);
    let shell = Shell {
        state: State::new(timing, identity, worktree, last_refresh, 0),
        began: Instant::now(),
        home,
        watch,
        tree_watch,
        log,
        done_sender,
        writing,
        mode: WatchMode::Polling { reason: String::new() },
        replies: HashMap::new(),
        next_request: 0,
        is_refreshing: false,
    };
    Ok(shell.run([stirred, edited], inbox, done, signals, written).await)
}

fn bind(path: &Path) -> Result<UnixListener, RunError> {
    socket::prepare(path)?;
    let refused = |source| SocketError::Io { path: path.to_owned(), source };
    let listener = UnixListener::bind(path).map_err(refused)?;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, private).map_err(refused)?;
    Ok(listener)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What the loop holds besides its state: all that touches the world.
struct Shell {
    state: State,
    began: Instant,
    home: Home,
    watch: Watch,
    tree_watch: TreeWatch,
    log: Log,
    done_sender: mpsc::Sender<Event>,
    /// Cloned for each answer that is being written.
    writing: mpsc::Sender<()>,
    mode: WatchMode,
    replies: HashMap<RequestId, oneshot::Sender<Reply>>,
    next_request: RequestId,
    is_refreshing: bool,
}

impl Shell {
    async fn run(
        mut self,
        [stirred, edited]: [Arc<Notify>; 2],
        mut inbox: mpsc::Receiver<Inbound>,
        mut done: mpsc::Receiver<Event>,
        mut signals: Signals,
        mut written: mpsc::Receiver<()>,
    ) -> Ended {
        // First the watches, then the look: what moves between the two is heard.
        let mut effects = self.rewatch();
        effects.extend(self.state.step(self.now_ms(), Event::Started));
        loop {
            if let Some(reason) = self.perform(effects) {
                self.log.line(&format!("ended: {reason:?}"));
                drop(self.writing);
                // Nobody sends: it ends when the last answer is written, or with the time for it.
                let _ = tokio::time::timeout(LAST_WORDS, written.recv()).await;
                return Ended { reason, is_working: self.is_refreshing };
            }
            let wake = self.wake();
            let event = tokio::select! {
                Some(event) = done.recv() => {
                    // One job at a time; a backup, a rotation, an examination, a look at edits and the vectors beside it.
                    self.is_refreshing &= matches!(
                        event,
                        Event::BackupEnded(_)
                            | Event::RotateEnded(_)
                            | Event::Examined(..)
                            | Event::EditsLooked(..)
                            | Event::VectorsEnded(..)
                    );
                    event
                }
                Some(inbound) = inbox.recv() => self.admit(inbound),
                () = stirred.notified() => Event::Stirred,
                () = edited.notified() => Event::EditsStirred,
                () = signals.heard() => Event::Signalled,
                () = tokio::time::sleep_until(wake) => Event::Tick,
            };
            effects = self.state.step(self.now_ms(), event);
        }
    }

    fn now_ms(&self) -> u64 {
        millis(self.began.elapsed())
    }

    fn wake(&self) -> tokio::time::Instant {
        let now_ms = self.now_ms();
        let wait_ms = self.state.next_wake_ms(now_ms).saturating_sub(now_ms);
        // An hour at most: a longer one may not fit the system's clock.
        tokio::time::Instant::now() + Duration::from_millis(wait_ms.min(3_600_000))
    }

    fn admit(&mut self, inbound: Inbound) -> Event {
        self.next_request += 1;
        self.replies.insert(self.next_request, inbound.reply);
        Event::Asked(self.next_request, inbound.request)
    }

    /// Does what was decided, and what is decided meanwhile; no effect may be lost.
    fn perform(&mut self, effects: Vec<Effect>) -> Option<StopReason> {
        let mut stop = None;
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Look(worktree) => {
                    self.start(move |home| Event::Looked(work::look(home, &worktree)));
                }
                Effect::Refresh { worktree, commit, tree } => {
                    self.is_refreshing = true;
                    self.start(move |home| {
                        Event::RefreshEnded(work::refresh_for_daemon(home, &worktree, commit, tree))
                    });
                }
                Effect::Backup => {
                    self.start(|home| Event::BackupEnded(work::back_up(home)));
                }
                Effect::Rotate => {
                    self.start(|home| Event::RotateEnded(work::rotate(home)));
                }
                Effect::Vectors(commit) => {
                    self.start(move |home| Event::VectorsEnded(commit, work::vectors(home)));
                }
                Effect::Examine(refs) => {
                    self.start(move |home| Event::Examined(refs, work::examine(home)));
                }
                Effect::LookAtEdits(worktree) => self.start(move |home| {
                    let look = work::look_at_edits(home, &worktree);
                    Event::EditsLooked(worktree, look)
                }),
                Effect::WatchEdits(None) => self.tree_watch.end(),
                Effect::WatchEdits(Some(dirs)) => {
                    let (mode, has_new) = self.tree_watch.sync(dirs);
                    let watched = Event::EditsWatched(mode, has_new);
                    effects.extend(self.state.step(self.now_ms(), watched));
                }
                Effect::Answer(id, answer) => {
                    if let Some(reply) = self.replies.remove(&id) {
                        let _ = reply.send((answer, self.writing.clone())); // It may have left.
                    }
                }
                Effect::Rewatch => effects.extend(self.rewatch()),
                Effect::Note(text) => self.log.line(&text),
                Effect::Exit(reason) => stop = Some(reason),
            }
        }
        stop
    }

    /// Starts a job on another thread; its event comes back through `done`.
    fn start(&mut self, job: impl FnOnce(&Home) -> Event + Send + 'static) {
        let (home, done) = (self.home.clone(), self.done_sender.clone());
        tokio::task::spawn_blocking(move || {
            let _ = done.blocking_send(job(&home));
        });
    }

    /// Brings the watches up to date; returns what follows from that.
    #[must_use]
    fn rewatch(&mut self) -> Vec<Effect> {
        let mode = self.watch.sync();
        if mode == self.mode {
            return Vec::new();
        }
        self.log.line(&format!("{mode:?}"));
        self.mode = mode.clone();
        self.state.step(self.now_ms(), Event::WatchChanged(mode))
    }
}

/// The signals that end a daemon.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> std::io::Result<Signals> {
        let [terminate, interrupt, hangup] =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        Ok(Signals([terminate?, interrupt?, hangup?]))
    }

    async fn heard(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
