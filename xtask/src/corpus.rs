//! The replay corpus: ordinary commands, each run, recorded and replayed in a scratch repository.
//!
//! A case is a directory of `tests/corpus/replay/`: the files the command works on, and a file `case` with lines
//! `needs PROGRAM…`, `needs-module PYTHON-MODULE…`, `run ARGV`, `output GLOB` and `class GLOB=CLASS`. It is run without its classes, then,
//! where that is not exact and it declares some, with them. What this machine lacks is skipped aloud.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use crate::{
    drill::run_ids,
    shell::{Cmd, repository_root},
    system,
};

/// Programs that the cases run, besides those of the tests; javac, npm and cargo are too heavy to be installed for this.
pub const PACKAGES: &[system::Package] = &[
    ("binutils", "ar"),
    ("bzip2", "bzip2"),
    ("g++", "g++"),
    ("gcc", "gcc"),
    ("gzip", "gzip"),
    ("patch", "patch"),
    ("perl", "perl"),
    ("sqlite3", "sqlite3"),
    ("xz-utils", "xz"),
    ("zip", "zip"),
];
/// Cases of 20 that must come out byte for byte with nothing declared.
const EXACT_OF_20: usize = 17;
/// Cases of 20 that must match with their declared classes.
const DECLARED_OF_20: usize = 19;
/// Where runs find programs.
const TOOL_DIRS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];
const LANE: &str = "corpus";

/// Runs and replays every case, or those named.
pub fn replay(names: &[&str]) -> Result<(), String> {
    let cases = cases(names)?;
    let carnet = system::built_carnet("dev")?;
    let scratch = Cmd::new("mktemp").args(&["-d", "-t", "carnet-corpus-XXXXXX"]).read()?;
    let corpus = Corpus { carnet, dir: PathBuf::from(scratch.trim()) };
    let done = corpus.prepare(&cases).and_then(|()| corpus.walk(&cases));
    let _ = fs::remove_dir_all(&corpus.dir);
    done
}

/// One command of the corpus.
#[derive(Default)]
struct Case {
    name: String,
    dir: PathBuf,
    programs: Vec<String>,
    modules: Vec<String>,
    argv: Vec<String>,
    outputs: Vec<String>,
    classes: Vec<String>,
}

/// How a case ended.
enum Ending {
    /// This machine lacks something.
    Skipped(String),
    /// It could not be run, recorded or replayed.
    Failed(String),
    /// Its verdicts without and with its classes.
    Replayed { bare: String, declared: String },
}

/// The scratch repository.
struct Corpus {
    carnet: PathBuf,
    dir: PathBuf,
}

impl Corpus {
    /// A repository whose policy ref has one lane that admits the cases' commands, and the denials that carnet ships with.
    fn prepare(&self, cases: &[Case]) -> Result<(), String> {
        self.git(&["init", "-q", "-b", "main"])?;
        for (key, value) in [
            ("user.name", "carnet corpus"),
            ("user.email", "corpus@example.com"),
            ("commit.gpgSign", "false"),
            ("gc.auto", "0"),
            ("carnet.policyRef", "refs/heads/policy"),
        ] {
            self.git(&["config", key, value])?;
        }
        let root = repository_root();
        for dir in ["allowlists", "policy"] {
            make_dir(&self.dir.join(dir))?;
        }
        for file in ["allowlists/deny.toml", "policy/content.toml"] {
            copy(&root.join(file), &self.dir.join(file))?;
        }
        let lane = self.dir.join(format!("allowlists/{LANE}.toml"));
        fs::write(&lane, lane_text(cases))
            .map_err(|error| format!("{}: {error}", lane.display()))?;
        self.git(&["add", "-A"])?;
        self.git(&["commit", "-qm", "policy"])?;
        self.git(&["branch", "policy"])?;
        self.run(&["init"])?;
        self.run(&["policy", "check"]).map(drop)
    }

    fn walk(&self, cases: &[Case]) -> Result<(), String> {
        let mut rows = vec![];
        for case in cases {
            let start = Instant::now();
            let ending = match case.lacks() {
                Some(what) => Ending::Skipped(what),
                None => self.case(case).unwrap_or_else(Ending::Failed),
            };
            println!(
                "{:<16} {} ({:.1} s)",
                case.name,
                ending.words(),
                start.elapsed().as_secs_f64()
            );
            rows.push((case, ending));
        }
        println!("\n| case | command | without rules | with its classes |\n|---|---|---|---|");
        for (case, ending) in &rows {
            println!("| {} | `{}` | {} |", case.name, case.argv.join(" "), ending.cells(case));
        }
        totals(&rows)
    }

    fn case(&self, case: &Case) -> Result<Ending, String> {
        self.git(&["rm", "-rqf", "--ignore-unmatch", "."])?;
        copy_tree(&case.dir, &self.dir)?;
        self.git(&["add", "-A"])?;
        self.git(&["commit", "-qm", &case.name])?;
        let bare = self.twice(case, &[])?;
        let declared = match case.classes.is_empty() || bare == "MATCH_EXACT" {
            true => bare.clone(),
            false => self.twice(case, &case.classes)?,
        };
        Ok(Ending::Replayed { bare, declared })
    }

    /// Runs a case and replays it; returns the verdict.
    fn twice(&self, case: &Case, classes: &[String]) -> Result<String, String> {
        let mut run = self.carnet(&["run", "--lane", LANE]);
        for output in &case.outputs {
            run = run.args(&["--output", output]);
        }
        for class in classes {
            run = run.args(&["--class", class]);
        }
        let argv: Vec<&str> = case.argv.iter().map(String::as_str).collect();
        let ran = run.arg("--").args(&argv).answer()?;
        let n_artifacts = ran.stderr.matches("carnet: artifact ").count();
        if ran.code != 0 || n_artifacts < case.outputs.len() {
            return Err(format!(
                "`{}` exited with {} and left {n_artifacts} artifacts:\n{}{}",
                argv.join(" "),
                ran.code,
                ran.stdout,
                ran.stderr
            ));
        }
        let runs = self.run(&["runs", "--json", "-n", "1"])?;
        let id = run_ids(&runs).pop().ok_or("the run is not in the ledger")?;
        let replayed = self.carnet(&["replay", &id]).answer()?;
        let verdict = replayed.stdout.split_whitespace().next();
        let verdict = verdict.ok_or(format!("no verdict:\n{}", replayed.stderr))?.to_owned();
        if verdict != "MATCH_EXACT" {
            print!("{}", replayed.stdout);
        }
        Ok(verdict)
    }

    fn run(&self, args: &[&str]) -> Result<String, String> {
        self.carnet(args).read()
    }

    fn carnet(&self, args: &[&str]) -> Cmd {
        Cmd::new(&self.carnet).args(args).dir(&self.dir).env("CARNET_DAEMON", "off")
    }

    fn git(&self, args: &[&str]) -> Result<String, String> {
        Cmd::new("git").args(args).dir(&self.dir).read()
    }
}

impl Case {
    fn read(dir: PathBuf) -> Result<Case, String> {
        let file = dir.join("case");
        let wrong = |what: &str| format!("{}: {what}", file.display());
        let text = fs::read_to_string(&file).map_err(|error| wrong(&error.to_string()))?;
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut case = Case { name, dir, ..Case::default() };
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (key, value) = line.split_once(' ').ok_or_else(|| wrong(line))?;
            let words = value.split(' ').map(str::to_owned);
            match key {
                "needs" => case.programs.extend(words),
                "needs-module" => case.modules.extend(words),
                "run" => case.argv.extend(words),
                "output" => case.outputs.push(value.to_owned()),
                "class" => case.classes.push(value.to_owned()),
                _ => return Err(wrong(line)),
            }
        }
        if case.argv.is_empty() || case.argv.iter().any(|word| word.contains(['"', '\\', '{', '[']))
        {
            return Err(wrong("no `run` line of plain words"));
        }
        Ok(case)
    }

    /// Names what this machine lacks; a program in a home directory is none that a run could see.
    fn lacks(&self) -> Option<String> {
        let is_there =
            |name: &String| TOOL_DIRS.iter().any(|dir| Path::new(dir).join(name).is_file());
        if let Some(name) = self.programs.iter().find(|name| !is_there(name)) {
            return Some(format!("no {name} in {}", TOOL_DIRS.join(", ")));
        }
        let python =
            TOOL_DIRS.iter().map(|dir| Path::new(dir).join("python3")).find(|it| it.is_file());
        self.modules.iter().find_map(|module| {
            let import = format!("import {module}");
            let found = Cmd::new(python.as_ref()?).args(&["-I", "-c", &import]).answer();
            let is_there = found.is_ok_and(|answer| answer.code == 0);
            (!is_there).then(|| format!("python3 has no {module}"))
        })
    }
}

impl Ending {
    fn words(&self) -> String {
        match self {
            Ending::Skipped(why) => format!("SKIPPED: {why}"),
            Ending::Failed(why) => format!("FAILED: {why}"),
            Ending::Replayed { bare, declared } if bare == declared => bare.clone(),
            Ending::Replayed { bare, declared } => format!("{bare}, with its classes {declared}"),
        }
    }

    fn cells(&self, case: &Case) -> String {
        match self {
            Ending::Skipped(why) => format!("skipped: {why} |"),
            Ending::Failed(_) => "failed |".to_owned(),
            Ending::Replayed { bare, declared } if bare == declared => format!("{bare} |"),
            Ending::Replayed { bare, declared } => {
                format!("{bare} | {declared}: `{}`", case.classes.join("`, `"))
            }
        }
    }
}

/// Prints the totals; an error when they are below the targets.
fn totals(rows: &[(&Case, Ending)]) -> Result<(), String> {
    let verdicts: Vec<(&str, &str)> = rows
        .iter()
        .filter_map(|(_, ending)| match ending {
            Ending::Replayed { bare, declared } => Some((bare.as_str(), declared.as_str())),
            _ => None,
        })
        .collect();
    let n_failed = rows.iter().filter(|(_, ending)| matches!(ending, Ending::Failed(_))).count();
    let n = verdicts.len();
    let n_exact = verdicts.iter().filter(|(bare, _)| *bare == "MATCH_EXACT").count();
    let n_declared = verdicts.iter().filter(|(_, it)| it.starts_with("MATCH_")).count();
    let skipped = rows.len() - n - n_failed;
    println!(
        "\n{n} cases replayed, {skipped} skipped, {n_failed} failed: {n_exact} exact without rules, {n_declared} match with their classes"
    );
    if n == 0
        || n_failed > 0
        || n_exact * 20 < n * EXACT_OF_20
        || n_declared * 20 < n * DECLARED_OF_20
    {
        return Err(format!(
            "the targets are {EXACT_OF_20} of 20 exact, {DECLARED_OF_20} of 20 with classes, none failed"
        ));
    }
    Ok(())
}

fn cases(names: &[&str]) -> Result<Vec<Case>, String> {
    let root = repository_root().join("tests/corpus/replay");
    let mut dirs = vec![];
    if names.is_empty() {
        let entries =
            fs::read_dir(&root).map_err(|error| format!("{}: {error}", root.display()))?;
        dirs.extend(entries.filter_map(Result::ok).map(|entry| entry.path()));
        dirs.sort();
    } else {
        dirs.extend(names.iter().map(|name| root.join(name)));
    }
    dirs.into_iter().map(Case::read).collect()
}

/// The lane: each command, word for word, and nothing else.
fn lane_text(cases: &[Case]) -> String {
    let mut text = format!(
        "format = \"carnet/allowlist/1\"\nlane = \"{LANE}\"\ndescription = \"The commands of the replay corpus.\"\n\n\
         [limits]\nmax_cpu_pct = 100\nmax_mem_mb = 4096\nmax_exec_seconds = 300\nmax_parallel = 2\nmax_processes = 512\n\
         max_disk_mb = 2048\nmax_output_mb = 16\n\n[sandbox]\nrequired = [\"landlock:2\", \"seccomp\"]\n\n\
         [changes]\nwritable = [\"**\"]\npatch_only = false\nbackups = true\n"
    );
    let mut known = vec![];
    for case in cases {
        if known.contains(&&case.argv) {
            continue;
        }
        known.push(&case.argv);
        let argv = format!("{:?}", case.argv);
        text += &format!(
            "\n[[allow]]\nid = \"{}\"\nargv = {argv}\nruns_repository_code = true\nmatch = [{argv}]\nnot_match = [[\"{}\", \"--not-in-the-corpus\"]]\n",
            case.name, case.argv[0]
        );
    }
    text
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), String> {
    make_dir(to)?;
    let entries = fs::read_dir(from).map_err(|error| format!("{}: {error}", from.display()))?;
    for entry in entries {
        let entry = entry.map_err(|error| format!("{}: {error}", from.display()))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() { copy_tree(&path, &target)? } else { copy(&path, &target)? }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(drop).map_err(|error| format!("{}: {error}", from.display()))
}

fn make_dir(dir: &Path) -> Result<(), String> {
    fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))
}
