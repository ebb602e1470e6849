//! The whole walk on a real repository, each step shown with its result.
//!
//! Everything happens in a clone in a scratch directory; the repository that was named is only read.

use std::path::PathBuf;

use crate::{
    shell::{Answer, Cmd, repository_root},
    system,
};

/// Builds and installs carnet, then walks.
pub fn walk(repo: Option<&str>) -> Result<(), String> {
    system::ensure_packages(system::FOR_USE)?;
    heading("Build and install carnet");
    let root = repository_root();
    let install = ["install", "--path", "crates/carnet", "--locked", "--force", "--quiet"];
    system::cargo()
        .args(&install)
        .arg("--target-dir")
        .arg(system::target_dir())
        .dir(&root)
        .run()?;
    let carnet = installed()?;
    println!("installed {} and git-carnet beside it", carnet.display());

    let source = repo.map_or_else(|| root.display().to_string(), str::to_owned);
    let scratch = Scratch::new()?;
    let mut demo = Demo { carnet, dir: scratch.0.join("clone"), done: vec![] };
    demo.clone_of(&source)?;
    let walked = demo.steps();
    // The clone goes; so must the daemon that keeps its index.
    let _ = demo.carnet(&["daemon", "stop"]);
    walked?;
    println!("\nAll {} steps held. Try it in a repository of yours: carnet init", demo.done.len());
    Ok(())
}

/// Where `cargo install` puts binaries.
fn installed() -> Result<PathBuf, String> {
    let home = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let root = home("CARGO_INSTALL_ROOT")
        .or_else(|| home("CARGO_HOME"))
        .or_else(|| home("HOME").map(|home| home.join(".cargo")))
        .ok_or("HOME is not set")?;
    let carnet = root.join("bin/carnet");
    if carnet.is_file() {
        Ok(carnet)
    } else {
        Err(format!("cargo did not install {}", carnet.display()))
    }
}

/// A directory that goes when the demo ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch, String> {
        let path = Cmd::new("mktemp").args(&["-d", "-t", "carnet-demo-XXXXXX"]).read()?;
        Ok(Scratch(PathBuf::from(path.trim())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Demo {
    carnet: PathBuf,
    dir: PathBuf,
    done: Vec<&'static str>,
}

impl Demo {
    fn clone_of(&self, source: &str) -> Result<(), String> {
        heading(&format!("A fresh clone of {source}"));
        Cmd::new("git").args(&["clone", "--quiet", "--", source]).arg(&self.dir).run()?;
        // A repository that another user owns can be cloned; what we commit is nobody's.
        for (key, value) in [
            ("user.name", "carnet demo"),
            ("user.email", "demo@example.com"),
            ("commit.gpgSign", "false"),
        ] {
            self.git(&["config", key, value])?;
        }
        let head = self.git(&["log", "-1", "--format=%h %s"])?;
        let n_files = self.git(&["ls-files"])?.lines().count();
        println!("{} ({n_files} files)", head.trim());
        Ok(())
    }

    fn steps(&mut self) -> Result<(), String> {
        self.step("What this machine has", Demo::doctor)?;
        self.step("Set up the repository", Demo::init)?;
        self.step("A commit with a secret is refused, the cleaned one passes", Demo::guard)?;
        self.step("The index follows the commit", Demo::index)?;
        self.step("A command in its lane", Demo::run)?;
        self.step("Failures and refusals are outcomes", Demo::outcomes)?;
        self.step("The same with git alone", Demo::git_alone)?;
        self.step("The run again", Demo::replay)?;
        self.step("The repository is sound, and carnet leaves as it came", Demo::leave)
    }

    fn step(
        &mut self,
        title: &'static str,
        step: fn(&Demo) -> Result<(), String>,
    ) -> Result<(), String> {
        heading(&format!("{}. {title}", self.done.len() + 1));
        step(self).map_err(|error| format!("step \"{title}\": {error}"))?;
        self.done.push(title);
        Ok(())
    }

    fn doctor(&self) -> Result<(), String> {
        // Before `init`, hooks and key are missing; that is what it says.
        self.expect(0, &["doctor"]).map(drop)
    }

    fn init(&self) -> Result<(), String> {
        self.expect(0, &["init", "--dry-run"])?;
        self.expect(0, &["init"])?;
        Ok(())
    }

    fn guard(&self) -> Result<(), String> {
        // Put together here, so that no scanner alarms on this source.
        let key = ["AK", "IA", "QYLPMN5HHHFPZAM2"].concat();
        self.write("carnet_demo.py", &format!("KEY = '{key}'\n"))?;
        self.git(&["add", "carnet_demo.py"])?;
        let before = self.git(&["rev-parse", "HEAD"])?;
        let refused = self.show(Cmd::new("git").args(&["commit", "-m", "with a key"]))?;
        expect_code(&refused, 1)?;
        expect(self.git(&["rev-parse", "HEAD"])? == before, "HEAD must not move")?;
        expect(!refused.stderr.contains(&key), "the key must be masked")?;
        self.write("carnet_demo.py", DEMO_SOURCE)?;
        self.git(&["add", "carnet_demo.py"])?;
        expect_code(&self.show(Cmd::new("git").args(&["commit", "-q", "-m", "cleaned"]))?, 0)
    }

    fn index(&self) -> Result<(), String> {
        let defined = self.expect(0, &["where-defined", "carnet_demo_greet"])?;
        expect(defined.stdout.starts_with("carnet_demo.py:1:"), "the new function must be found")?;
        let callers = self.expect(0, &["who-calls", "carnet_demo_greet"])?;
        expect(callers.stdout.contains("carnet_demo.py:6:"), "its caller must be found")?;
        if let Some(name) = self.some_symbol()? {
            self.expect(0, &["where-defined", &name])?;
            self.show(Cmd::new(&self.carnet).args(&["who-calls", &name]))?;
        }
        self.expect(0, &["status"]).map(drop)
    }

    /// The name of a function of this repository, found by text alone.
    fn some_symbol(&self) -> Result<Option<String>, String> {
        let pattern =
            r"^(pub(\([a-z]+\))? )?(fn|def|func|function|export function) [A-Za-z_]{6,}[(<]";
        let files = ["*.rs", "*.py", "*.go", "*.ts", "*.js"];
        let grep =
            Cmd::new("git").args(&["grep", "-hIE", "--max-count=1", pattern, "--"]).args(&files);
        let found = grep.dir(&self.dir).answer()?.stdout;
        let line =
            found.lines().find(|line| !line.contains("carnet_demo") && !line.contains("main"));
        Ok(line.and_then(|line| {
            let head = line.split(['(', '<']).next()?;
            head.split_whitespace().next_back().map(str::to_owned)
        }))
    }

    fn run(&self) -> Result<(), String> {
        let files = self.git(&["ls-files"])?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let is_plain = |dir: &&str| dir.chars().all(plain) && !dir.starts_with(['-', '.']);
        let mut dirs = files.lines().filter_map(|path| path.split_once('/')).map(|(dir, _)| dir);
        let part = dirs.find(is_plain).unwrap_or("carnet_demo.py");
        let argv = [
            "run",
            "--lane",
            "code-impl",
            "--output",
            "source.tar",
            "--",
            "tar",
            "-cf",
            "source.tar",
            part,
        ];
        let ran = self.expect(0, &argv)?;
        expect(ran.stderr.contains("artifact source.tar"), "the archive must be collected")?;
        let run = self.newest_run()?;
        self.expect(0, &["show", &run])?;
        self.expect(0, &["passport", "verify", &run]).map(drop)
    }

    fn outcomes(&self) -> Result<(), String> {
        self.expect(10, &["run", "--", "false"])?;
        self.expect(1, &["run", "--", "curl", "https://example.com"])?;
        self.expect(0, &["runs"]).map(drop)
    }

    fn git_alone(&self) -> Result<(), String> {
        let run = self.archive_run()?;
        let git = |args: &[&str]| {
            let answer = self.show(Cmd::new("git").args(args))?;
            expect_code(&answer, 0).map(|()| answer.stdout)
        };
        git(&["for-each-ref", "refs/carnet", "refs/notes"])?;
        let notes = git(&["notes", "--ref=carnet/passports", "show", "HEAD"])?;
        expect(notes.contains(&run), "the note must name the run")?;
        let commit = self.run_commit(&run)?;
        let passport = git(&["show", &format!("{commit}:passport.json")])?;
        expect(
            passport.contains("https://in-toto.io/Statement/v1"),
            "the passport must be a statement",
        )?;
        git(&["worktree", "add", "--quiet", "--detach", "../run", &commit])?;
        let check = Cmd::new("sha256sum").args(&["-c", "--strict", "MANIFEST.sha256"]);
        let there = self.dir.with_file_name("run");
        println!("$ cd ../run && {}", check.name());
        let answer = check.dir(&there).answer()?;
        print!("{}{}", answer.stdout, answer.stderr);
        expect_code(&answer, 0)?;
        git(&["worktree", "remove", "--force", "../run"]).map(drop)
    }

    fn replay(&self) -> Result<(), String> {
        let run = self.archive_run()?;
        self.expect(0, &["replay", &run, "--dry-run"])?;
        let replayed = self.expect(0, &["replay", &run])?;
        expect(replayed.stdout.starts_with("MATCH_EXACT"), "the archive must come out the same")
    }

    fn leave(&self) -> Result<(), String> {
        let fsck = self.show(Cmd::new("git").args(&["fsck", "--full", "--no-dangling"]))?;
        expect_code(&fsck, 0)?;
        self.expect(0, &["uninstall"])?;
        let hooks = self.git(&["rev-parse", "--git-path", "hooks"])?;
        let hook = self.dir.join(hooks.trim()).join("pre-commit");
        expect(!hook.exists(), "the hook must be gone")
    }

    fn newest_run(&self) -> Result<String, String> {
        self.runs()?
            .into_iter()
            .next()
            .map(|run| run.0)
            .ok_or_else(|| "no run is recorded".to_owned())
    }

    /// The run that made the archive: the oldest.
    fn archive_run(&self) -> Result<String, String> {
        self.runs()?
            .into_iter()
            .last()
            .map(|run| run.0)
            .ok_or_else(|| "no run is recorded".to_owned())
    }

    fn run_commit(&self, run: &str) -> Result<String, String> {
        let found = self.runs()?.into_iter().find(|(id, _)| id == run);
        found.map(|run| run.1).ok_or_else(|| format!("run {run} is not recorded"))
    }

    /// Ids and run commits, newest first, from `carnet runs --json` (`carnet/runs/1`, one member a line).
    fn runs(&self) -> Result<Vec<(String, String)>, String> {
        let json = Cmd::new(&self.carnet).args(&["runs", "--json"]).dir(&self.dir).read()?;
        let member = |name: &str| -> Vec<String> {
            let key = format!("\"{name}\": \"");
            let lines = json.lines().filter_map(|line| line.trim().strip_prefix(&key));
            lines.map(|rest| rest.trim_end_matches(['"', ',']).to_owned()).collect()
        };
        Ok(member("run").into_iter().zip(member("commit")).collect())
    }

    fn carnet(&self, args: &[&str]) -> Result<Answer, String> {
        Cmd::new(&self.carnet).args(args).dir(&self.dir).answer()
    }

    fn git(&self, args: &[&str]) -> Result<String, String> {
        Cmd::new("git").args(args).dir(&self.dir).read()
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        std::fs::write(self.dir.join(name), text).map_err(|error| format!("write {name}: {error}"))
    }

    /// Runs carnet, shows it, and checks its exit code.
    fn expect(&self, code: i32, args: &[&str]) -> Result<Answer, String> {
        let answer = self.show(Cmd::new(&self.carnet).args(args))?;
        expect_code(&answer, code)?;
        Ok(answer)
    }

    /// Runs a command in the clone and shows it with what it printed, long output cut.
    fn show(&self, cmd: Cmd) -> Result<Answer, String> {
        println!("$ {}", cmd.name());
        let answer = cmd.dir(&self.dir).answer()?;
        for text in [&answer.stdout, &answer.stderr] {
            let lines: Vec<&str> = text.lines().collect();
            lines.iter().take(LINES_SHOWN).for_each(|line| println!("{}", cut(line)));
            if lines.len() > LINES_SHOWN {
                println!("… {} lines more", lines.len() - LINES_SHOWN);
            }
        }
        if answer.code != 0 {
            println!("(exit code {})", answer.code);
        }
        Ok(answer)
    }
}

const LINES_SHOWN: usize = 40;

const DEMO_SOURCE: &str = "\
def carnet_demo_greet(name):
    return f'hello {name}'


def carnet_demo_main():
    print(carnet_demo_greet('world'))
";

fn cut(line: &str) -> String {
    if line.chars().count() > 160 {
        line.chars().take(159).chain(['…']).collect()
    } else {
        line.to_owned()
    }
}

fn heading(title: &str) {
    println!("\n== {title}");
}

fn expect_code(answer: &Answer, code: i32) -> Result<(), String> {
    if answer.code == code {
        return Ok(());
    }
    Err(format!("exit code {} instead of {code}\n{}{}", answer.code, answer.stdout, answer.stderr))
}

fn expect(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}
