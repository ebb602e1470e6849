//! The disaster drill: a machine is lost, and recovered from its backups on another.
//!
//! Machine A is a clone with its own state and HOME; it makes backups and is deleted. Machine B has nothing but the directory of
//! backups and A's public key, which someone wrote down. Each check is a row of the table that is printed at the end.

use std::path::{Path, PathBuf};

use crate::{
    shell::{Cmd, repository_root},
    system,
};

/// Runs that machine A records before it is lost, and machine B replays.
const MAKEFILE: &str = "\
one:\n\tmkdir -p out && sort -r words >out/sorted\n\
two:\n\tmkdir -p out && tar --sort=name --mtime=@0 --owner=0 --group=0 -cf out/words.tar words\n\
three:\n\tmkdir -p out && seq 1 600000 >out/large\n";

/// Loses a machine and recovers it.
pub fn drill() -> Result<(), String> {
    system::ensure_packages(system::FOR_TESTS)?;
    let carnet = system::built_carnet("dev")?;
    let scratch = Cmd::new("mktemp").args(&["-d", "-t", "carnet-drill-XXXXXX"]).read()?;
    let drill = Drill { carnet, root: PathBuf::from(scratch.trim()), rows: vec![] };
    let root = drill.root.clone();
    let done = drill.walk();
    let _ = std::fs::remove_dir_all(root);
    done
}

struct Drill {
    carnet: PathBuf,
    root: PathBuf,
    rows: Vec<(String, Result<String, String>)>,
}

impl Drill {
    fn walk(mut self) -> Result<(), String> {
        let (a, b, backups) = (self.root.join("a"), self.root.join("b"), self.root.join("backups"));
        let dir = backups.display().to_string();
        let lived = self.live(&a, &dir)?;
        std::fs::remove_dir_all(&a).map_err(|error| format!("lose machine A: {error}"))?;
        println!("\nmachine A is gone: clone, state and key\n");

        let key = lived.key.as_str();
        self.check("backups verified by a real restore", |drill| {
            drill.run(&drill.root, &["backup", "verify", "--in", &dir, "--trust", key])?;
            Ok("all digests, signatures, restores".to_owned())
        });
        let target = b.display().to_string();
        self.check("restored on machine B", |drill| {
            drill.run(&drill.root, &["backup", "restore", &target, "--from", &dir, "--trust", key])
        });
        self.check("carnet init, A's key trusted", |drill| {
            drill.run(&b, &["init"])?;
            drill.git(&b, &["config", "--add", "carnet.trustedKey", key])?;
            Ok("a new key for the new machine".to_owned())
        });
        self.check("the same runs are there", |drill| {
            let runs = run_ids(&drill.run(&b, &["runs", "--json", "-n", "1000"])?);
            if runs == lived.runs {
                Ok(format!("{} runs", runs.len()))
            } else {
                Err(format!("{runs:?} instead of {:?}", lived.runs))
            }
        });
        self.check("the same refs are there", |drill| {
            let refs = drill.refs(&b)?;
            if refs == lived.refs {
                Ok(format!("{} refs", refs.lines().count()))
            } else {
                Err("they differ".to_owned())
            }
        });
        self.check("git fsck --full", |drill| {
            drill.git(&b, &["fsck", "--full", "--no-dangling"]).map(|_| "sound".to_owned())
        });
        self.check("every artifact is what it was", |drill| drill.run(&b, &["artifact", "verify"]));
        for run in &lived.runs {
            self.check(&format!("passport of run {}", &run[..8]), |drill| {
                drill.run(&b, &["passport", "verify", run]).map(|_| "verified".to_owned())
            });
        }
        for run in &lived.runs {
            self.check(&format!("replay of run {}", &run[..8]), |drill| {
                drill.run(&b, &["replay", run])
            });
        }
        self.table()
    }

    /// Lets machine A work: three runs, an artifact put by hand, two backups.
    fn live(&self, a: &Path, dir: &str) -> Result<Lived, String> {
        let io = |error: std::io::Error| format!("machine A: {error}");
        std::fs::create_dir(a).map_err(io)?;
        self.git(a, &["init", "-q"])?;
        for (key, value) in [
            ("user.name", "carnet drill"),
            ("user.email", "drill@example.com"),
            ("commit.gpgSign", "false"),
        ] {
            self.git(a, &["config", key, value])?;
        }
        std::fs::write(a.join("Makefile"), MAKEFILE).map_err(io)?;
        std::fs::copy(repository_root().join("GLOSSARY.md"), a.join("words")).map_err(io)?;
        self.git(a, &["add", "-A"])?;
        self.git(a, &["commit", "-qm", "work"])?;
        self.run(a, &["init"])?;
        self.run(a, &["run", "--output", "out/*", "--", "make", "one"])?;
        self.run(a, &["backup", "create", "--to", dir])?;
        for target in ["two", "three"] {
            self.run(a, &["run", "--output", "out/*", "--", "make", target])?;
        }
        self.run(a, &["artifact", "put", "words", "--name", "notes/words"])?;
        self.git(a, &["commit", "-q", "--amend", "-m", "work, reworded"])?;
        // A second has to pass between two backups: their names are times.
        let mut made = self.run(a, &["backup", "create", "--to", dir]);
        while made.as_ref().is_err_and(|error| error.contains("exists already")) {
            made = self.run(a, &["backup", "create", "--to", dir]);
        }
        println!("machine A lived; its last backup: {}", made?);
        let key = self.run(a, &["passport", "key"])?;
        let runs = run_ids(&self.run(a, &["runs", "--json", "-n", "1000"])?);
        if runs.len() != 3 {
            return Err(format!("machine A has {} runs instead of 3", runs.len()));
        }
        Ok(Lived { key, runs, refs: self.refs(a)? })
    }

    fn check(&mut self, what: &str, check: impl FnOnce(&Drill) -> Result<String, String>) {
        let found = check(self);
        let mark = if found.is_ok() { "ok" } else { "FAILED" };
        println!("{mark:<7} {what}");
        self.rows.push((what.to_owned(), found));
    }

    fn table(&self) -> Result<(), String> {
        println!("\n| check on machine B | result |\n|---|---|");
        for (what, found) in &self.rows {
            let (Ok(text) | Err(text)) = found;
            let mark = if found.is_ok() { "" } else { "FAILED: " };
            println!("| {what} | {mark}{} |", text.lines().next().unwrap_or_default());
        }
        let n_failed = self.rows.iter().filter(|(_, found)| found.is_err()).count();
        if n_failed == 0 { Ok(()) } else { Err(format!("{n_failed} checks of the drill failed")) }
    }

    fn run(&self, dir: &Path, args: &[&str]) -> Result<String, String> {
        let command = Cmd::new(&self.carnet).args(args).dir(dir).env("CARNET_DAEMON", "off");
        Ok(command.read()?.trim_end().to_owned())
    }

    fn git(&self, dir: &Path, args: &[&str]) -> Result<String, String> {
        // Its hooks would start a daemon, which writes a receipt after the last backup.
        let command = Cmd::new("git").args(args).dir(dir).env("CARNET_DAEMON", "off");
        Ok(command.read()?.trim_end().to_owned())
    }

    fn refs(&self, dir: &Path) -> Result<String, String> {
        self.git(dir, &["for-each-ref", "--format=%(objectname) %(refname)"])
    }
}

/// What was written down before the machine was lost.
struct Lived {
    key: String,
    runs: Vec<String>,
    refs: String,
}

/// The ids in `carnet runs --json`: its lines `"run": "…"`.
pub fn run_ids(json: &str) -> Vec<String> {
    let ids = json.lines().filter_map(|line| line.trim().strip_prefix("\"run\": \""));
    ids.map(|id| id.trim_end_matches(['"', ',']).to_owned()).collect()
}
