//! The index against others' answers: call edges against jedi, searches against what a docstring describes.
//!
//! The comparing is done by two Python programs beside this file, in an environment of their own; carnet is asked through its
//! verbs alone.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    shell::{Cmd, repository_root},
    system,
};

/// Compares resolved calls with jedi's answers, in each repository.
///
/// - `args`: directories of git repositories with Python sources; `--carnet FILE`, `--sites N` (calls looked at in each).
pub fn eval_graph(args: &[&str]) -> Result<(), String> {
    let asked = Asked::read(args, "--sites")?;
    let python = python()?;
    for dir in &asked.dirs {
        let clone = scratch("graph", dir)?;
        Cmd::new("git").args(&["clone", "-q"]).arg(dir).arg(&clone).run()?;
        let carnet = Cmd::new(&asked.carnet).args(&["graph", "export", "--format", "json"]);
        let graph = carnet.dir(&clone).env("CARNET_DAEMON", "off").read()?;
        let file = clone.with_extension("json");
        fs::write(&file, graph).map_err(|error| format!("{}: {error}", file.display()))?;
        let script = Cmd::new(&python).arg(repository_root().join("xtask/src/eval_graph.py"));
        println!("{dir}\n  {}", script.arg(&clone).arg(file).arg(&asked.n).read()?.trim());
    }
    Ok(())
}

/// Measures how well descriptions find their functions through `carnet search`, in each repository.
///
/// - `args`: directories with Python sources; `--carnet FILE`, `--questions N` (asked in each).
pub fn eval_search(args: &[&str]) -> Result<(), String> {
    let asked = Asked::read(args, "--questions")?;
    for dir in &asked.dirs {
        let bare = scratch("search", dir)?;
        fs::create_dir_all(&bare).map_err(|error| format!("{}: {error}", bare.display()))?;
        let script = Cmd::new("python3").arg(repository_root().join("xtask/src/eval_search.py"));
        let script = script.arg(&asked.carnet).arg(dir).arg(&bare).arg(&asked.n);
        println!("{dir}\n  {}", script.read()?.trim());
    }
    Ok(())
}

struct Asked<'a> {
    dirs: Vec<&'a str>,
    carnet: PathBuf,
    n: String,
}

impl<'a> Asked<'a> {
    fn read(args: &[&'a str], count: &str) -> Result<Asked<'a>, String> {
        let (mut dirs, mut carnet, mut n) = (Vec::new(), None, "");
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().copied().ok_or_else(|| format!("{arg} what?"));
            match *arg {
                "--carnet" => carnet = Some(PathBuf::from(value()?)),
                arg if arg == count => n = value()?,
                dir => dirs.push(dir),
            }
        }
        if dirs.is_empty() {
            return Err("name the repositories to look at".to_owned());
        }
        let carnet = carnet.map_or_else(|| system::built_carnet("release"), Ok)?;
        let n = if n.is_empty() { if count == "--sites" { "3000" } else { "200" } } else { n };
        Ok(Asked { dirs, carnet, n: n.to_owned() })
    }
}

/// An empty place for what is made of a repository.
fn scratch(purpose: &str, dir: &str) -> Result<PathBuf, String> {
    let name = Path::new(dir).canonicalize().map_err(|error| format!("{dir}: {error}"))?;
    let name = name.display().to_string().replace('/', "_");
    let place = system::target_dir().join("eval-index").join(purpose).join(name);
    let _ = fs::remove_dir_all(&place);
    let parent = place.parent().unwrap_or(&place);
    fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    Ok(place)
}

/// A Python with jedi, made once.
fn python() -> Result<PathBuf, String> {
    let venv = system::target_dir().join("eval-index/python");
    let python = venv.join("bin/python");
    if Cmd::new(&python).args(&["-c", "import jedi"]).answer().is_ok_and(|it| it.code == 0) {
        return Ok(python);
    }
    Cmd::new("python3").args(&["-m", "venv"]).arg(&venv).run()?;
    Cmd::new(venv.join("bin/pip")).args(&["install", "-q", "jedi==0.19.2"]).run()?;
    Ok(python)
}
