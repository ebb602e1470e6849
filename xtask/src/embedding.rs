//! Trains the table of word vectors that the index brings with it.
//!
//! The work is done by `crates/carnet-index/examples/train_embedding`.

use std::{fs, path::Path};

use crate::{shell, shell::Cmd, system};

/// The repositories: `OWNER/NAME COMMIT ROLE` a line.
const LIST: &str = "crates/carnet-index/data/embedding-repositories.txt";
const MODEL: &str = "crates/carnet-index/data/embedding.bin";

/// Gathers, trains and measures.
///
/// - `clones`: a directory with a clone of each repository of the list, bare or not, named `OWNER+NAME`.
pub fn train(clones: &str, options: &[&str]) -> Result<(), String> {
    let root = shell::repository_root();
    let list = fs::read_to_string(root.join(LIST)).map_err(|error| format!("{LIST}: {error}"))?;
    let work = system::target_dir().join("embedding");
    let made = |error: std::io::Error| format!("{}: {error}", work.display());
    fs::create_dir_all(&work).map_err(made)?;
    let mut sources = Vec::new();
    for line in list.lines() {
        let [name, commit, role] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("{LIST}: `{line}` is not `OWNER/NAME COMMIT ROLE`"));
        };
        let name = name.replacen('/', "+", 1);
        let dir = work.join(&name);
        if !dir.is_dir() {
            check_out(&Path::new(clones).join(&name), commit, &dir)?;
        }
        let mark = if role == "development" { "+" } else { "" };
        sources.push(format!("{mark}{name}={}", dir.display()));
    }
    let pairs = work.join("pairs.bin").display().to_string();
    let model = root.join(MODEL).display().to_string();
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    example(&[&["pairs", &pairs][..], &sources].concat())?;
    example(&[&["train", &pairs, &model][..], options].concat())?;
    example(&["eval", &pairs, &model])
}

fn check_out(clone: &Path, commit: &str, dir: &Path) -> Result<(), String> {
    let tar = dir.with_extension("tar");
    let (clone, tar) = (clone.display().to_string(), tar.display().to_string());
    Cmd::new("git").args(&["-C", &clone, "archive", "--format=tar", "-o", &tar, commit]).run()?;
    fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    Cmd::new("tar").args(&["-xf", &tar, "-C", &dir.display().to_string()]).run()?;
    fs::remove_file(&tar).map_err(|error| format!("{tar}: {error}"))
}

fn example(args: &[&str]) -> Result<(), String> {
    let cargo =
        ["run", "--quiet", "--release", "-p", "carnet-index", "--example", "train_embedding", "--"];
    Cmd::new("cargo").args(&cargo).args(args).dir(&shell::repository_root()).run()
}
