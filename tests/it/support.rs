//! What the modules share: the binary where everyone can run it, a repository walked as root and as an
//! ordinary user, secrets that are put together at run time.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use carnet_testkit::{Ran, Runner, TestRepo, is_root, readable_copy};
use serde_json::Value;

/// The root of this checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The binary, at a place that every user can reach for as long as the tests run.
pub fn carnet_path() -> &'static Path {
    static COPY: OnceLock<(Box<dyn std::any::Any + Send + Sync>, PathBuf)> = OnceLock::new();
    let (_, path) = COPY.get_or_init(|| {
        // `cargo xtask bench daemon` tests an optimised one.
        let other = std::env::var_os("CARNET_TEST_BINARY").map(PathBuf::from);
        let binary = other.unwrap_or_else(|| env!("CARGO_BIN_EXE_carnet").into());
        let (dir, path) = readable_copy(&binary);
        (Box::new(dir), path)
    });
    path
}

/// An AWS access key id that no one owns.
pub fn aws_key() -> String {
    ["AK", "IA", "QYLPMN5HHHFPZAM2"].concat()
}

/// A line of source with [`aws_key`] in it.
pub fn key_line() -> String {
    format!("key = '{}'\n", aws_key())
}

/// A GitHub token that no one owns.
pub fn github_token() -> String {
    ["gh", "p_", "x7Kd92mQvT4bWz8RfL1nYc6HsJ3gPa5Ue0Xo"].concat()
}

/// A private key block that opens nothing.
pub fn private_key() -> String {
    let body = "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF";
    ["-----BEGIN PRI", "VATE KEY-----\n", body, "\n-----END PRI", "VATE KEY-----\n"].concat()
}

/// Who walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Whoever runs the tests.
    Caller,
    /// An unprivileged user, when root runs the tests.
    Ordinary,
}

/// Both, or the caller alone when the caller is an ordinary user already.
pub fn everyone() -> &'static [Who] {
    if is_root() { &[Who::Caller, Who::Ordinary] } else { &[Who::Caller] }
}

/// A repository and who walks in it.
pub struct Walk {
    /// The repository.
    pub repo: TestRepo,
    who: Who,
}

impl Walk {
    /// Takes a repository that is ready for the walk.
    pub fn new(repo: TestRepo, who: Who) -> Walk {
        if who == Who::Ordinary {
            repo.give_to_ordinary_user();
        }
        Walk { repo, who }
    }

    /// A repository with one commit of a script's making, and carnet in it.
    pub fn initialised(script: &str, who: Who) -> Walk {
        let repo = TestRepo::init();
        repo.script(script);
        repo.commit_all("first");
        let walk = Walk::new(repo, who);
        walk.carnet(&["init"]).expect_code(0);
        walk
    }

    /// Runs carnet at the top of the work tree. No daemon is started.
    pub fn carnet(&self, args: &[&str]) -> Ran {
        self.runner(carnet_path()).args(args).run()
    }

    /// Runs carnet and reads its JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let ran = self.carnet(args);
        serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", ran.stdout, ran.stderr))
    }

    /// Runs git as the one who walks.
    pub fn git(&self, args: &[&str]) -> Ran {
        self.runner(&which("git")).args(args).run()
    }

    /// Runs git as the one who walks and returns what it answered, without the last newline.
    pub fn ask(&self, args: &[&str]) -> String {
        let answer = self.git(args).expect_code(0).stdout;
        answer.strip_suffix('\n').map_or_else(|| answer.clone(), str::to_owned)
    }

    /// Runs a program as the one who walks.
    pub fn runner(&self, program: &Path) -> Runner {
        let runner = Runner::new(program).in_repo(&self.repo).env("CARNET_DAEMON", "off");
        if self.who == Who::Ordinary { runner.as_ordinary_user() } else { runner }
    }

    /// Writes a file as the one who walks would own it.
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        self.repo.write(path, bytes);
        if self.who == Who::Ordinary {
            self.repo.give_to_ordinary_user();
        }
    }

    /// Commits files, or nothing, without asking the hook; returns the commit.
    pub fn commit_round_the_hook(&self, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            self.write(path, text);
        }
        self.git(&["add", "-A"]).expect_code(0);
        self.git(&["commit", "-qn", "--allow-empty", "-m", "next"]).expect_code(0);
        self.ask(&["rev-parse", "HEAD"])
    }

    /// The id of the newest run.
    pub fn newest_run(&self) -> String {
        self.json(&["runs", "--json"])["runs"][0]["run"].as_str().unwrap().to_owned()
    }

    /// Asks git whether every object is sound and connected.
    pub fn assert_sound(&self) {
        self.git(&["fsck", "--full", "--strict", "--no-dangling"]).expect_code(0);
    }
}

/// A walk with its daemon, which is stopped when the test ends.
pub struct Followed(pub Walk);

impl Followed {
    /// Runs carnet with its daemon.
    pub fn carnet(&self, args: &[&str]) -> Ran {
        self.runner(carnet_path()).args(args).run()
    }

    /// Runs a program that may start the daemon.
    pub fn runner(&self, program: &Path) -> Runner {
        self.0.runner(program).env("CARNET_DAEMON", "on")
    }

    /// Runs carnet with its daemon and reads its JSON.
    pub fn json(&self, args: &[&str], code: i32) -> Value {
        serde_json::from_str(&self.carnet(args).expect_code(code).stdout).unwrap()
    }

    /// Asks for the status until it is as wanted; the test ends when it is not within five minutes.
    pub fn status_when(&self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let began = std::time::Instant::now();
        loop {
            // Stale or not: the caller says what is waited for.
            let status = self.0.json(&["status", "--json"]);
            if is_wanted(&status) {
                return status;
            }
            assert!(began.elapsed().as_secs() < 300, "{status:#}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Commits the whole work tree through the hook, which starts the daemon.
    pub fn commit(&self) -> String {
        self.0.git(&["add", "-A"]).expect_code(0);
        let commit = self.runner(&which("git")).args(["commit", "-qm", "next"]);
        commit.run().expect_code(0);
        self.0.ask(&["rev-parse", "HEAD"])
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.carnet(&["daemon", "stop"]);
    }
}

/// A number that a variable sets, where a test is run at another size.
pub fn size(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().map_or(default, |text| text.parse().unwrap())
}

/// The path of a program.
pub fn which(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.is_file()).unwrap()
}
