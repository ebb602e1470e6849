//! Chores of the scanner: its score on labelled snippets, the training of its model.
//!
//! The work is done by programs of `carnet-scan/examples`, so that this crate needs none of its dependencies.

use std::{fs::File, path::Path, process::Stdio};

use crate::{shell, shell::Cmd};

/// Scores the scanner on a file of labelled snippets: JSON lines, plain or compressed with xz.
pub fn eval(file: &str, rest: &[&str]) -> Result<(), String> {
    let unpacked;
    let mut snippets = Path::new(file).to_owned();
    if file.ends_with(".xz") {
        unpacked = crate::system::target_dir().join("suite.jsonl");
        let into = File::create(&unpacked).map_err(|error| error.to_string())?;
        Cmd::new("xz").args(&["-dc", file]).stdout(Stdio::from(into)).run()?;
        snippets = unpacked;
    }
    let input = File::open(&snippets).map_err(|error| format!("cannot open `{file}`: {error}"))?;
    example("measure", &["suite"], rest)?.stdin(Stdio::from(input)).run()
}

/// Trains the model for values without a mark: `LABELLED SOURCE…`, see `docs/design/generic-model.md`.
pub fn train_generic(dirs: &[&str]) -> Result<(), String> {
    let models = shell::repository_root().join("crates/carnet-scan/models");
    let models = models.to_str().ok_or("the checkout's path is not UTF-8")?;
    example("train_generic", &[models], dirs)?.run()
}

/// A program of the scanner's crate, built for speed.
fn example(name: &str, first: &[&str], rest: &[&str]) -> Result<Cmd, String> {
    Cmd::new("cargo")
        .args(&["build", "--release", "--quiet", "-p", "carnet-scan", "--example", name])
        .dir(&shell::repository_root())
        .run()?;
    let program = crate::system::target_dir().join("release/examples").join(name);
    Ok(Cmd::new(program).args(first).args(rest))
}
