//! A repository and the daemon of it, which ends with the test.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use carnet_core::GitOid;
use carnet_daemon::{Client, Waited, connect_within, index_dir, protocol::DaemonStatus};
use carnet_git::Repo;
use carnet_index::Snapshot;
use carnet_testkit::{Format, TestRepo};

/// Long enough for the slowest machine; no test passes by reaching it.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// A poll that never comes while a test runs.
pub const NO_POLL: (&str, &str) = ("HARNESS_POLL_MS", "86400000");
/// No watches.
pub const NO_WATCH: (&str, &str) = ("HARNESS_NO_WATCH", "1");

pub fn harness() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_carnet-daemon-harness"))
}

pub struct Home {
    pub git: TestRepo,
    children: Vec<Child>,
}

impl Home {
    /// A repository with one commit, which defines `first`.
    pub fn new() -> Home {
        Home::with(Format::Plain)
    }

    pub fn with(format: Format) -> Home {
        let home = Home { git: TestRepo::with(format), children: Vec::new() };
        home.commit("first");
        home
    }

    /// Commits a file that defines a function.
    pub fn commit(&self, name: &str) -> GitOid {
        self.git.write(&format!("{name}.py"), format!("def {name}():\n    return 1\n"));
        GitOid::from_hex(&self.git.commit_all(name)).unwrap()
    }

    pub fn head(&self) -> GitOid {
        GitOid::from_hex(&self.git.git(&["rev-parse", "HEAD"])).unwrap()
    }

    pub fn repo(&self) -> Repo {
        Repo::discover(self.git.path()).unwrap()
    }

    /// A daemon that has not said anything yet; its standard streams are pipes.
    pub fn command(&self, variables: &[(&str, &str)]) -> Command {
        let mut command = self.git.command(harness());
        command.args(["daemon", "run"]).envs(variables.iter().copied());
        // The client in this process looks where its own environment says.
        match std::env::var_os("XDG_RUNTIME_DIR") {
            Some(dir) => command.env("XDG_RUNTIME_DIR", dir),
            None => command.env_remove("XDG_RUNTIME_DIR"),
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a daemon and returns a client of it.
    pub fn start(&mut self, variables: &[(&str, &str)]) -> Client {
        self.children.push(self.command(variables).spawn().unwrap());
        self.client()
    }

    /// Takes the daemon that was started last.
    pub fn child(&mut self) -> Child {
        self.children.pop().unwrap()
    }

    #[track_caller]
    pub fn client(&self) -> Client {
        connect_within(&self.repo(), PATIENCE).unwrap().expect("no daemon answers")
    }

    pub fn status(&self) -> DaemonStatus {
        self.client().status().unwrap()
    }

    /// Waits until the daemon has indexed a commit by itself; status asks for nothing.
    #[track_caller]
    pub fn until_indexed(&self, commit: &GitOid) {
        until(|| self.status().indexed == Some(*commit));
    }

    pub fn snapshot(&self) -> Option<Snapshot> {
        Snapshot::open_current(&index_dir(&self.repo())).unwrap()
    }

    /// The files in which the current snapshot has a definition of a name.
    pub fn defined(&self, name: &str) -> Vec<String> {
        let definitions = self.snapshot().unwrap().where_defined(name).unwrap();
        definitions.iter().map(|definition| definition.path.to_text()).collect()
    }

    pub fn daemon_file(&self, name: &str) -> PathBuf {
        self.git.path().join(".git/carnet/daemon").join(name)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Ok(repo) = Repo::discover(self.git.path())
            && let Ok(Some(client)) = Client::connect(&repo)
        {
            let _ = client.stop();
        }
        for mut child in self.children.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits for a condition.
#[track_caller]
pub fn until(mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "it never came true");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[track_caller]
pub fn assert_fresh(client: &mut Client, commit: &GitOid) {
    let waited = client.wait_fresh(commit, PATIENCE).unwrap();
    assert_eq!(waited, Waited::Fresh { commit: *commit });
}
