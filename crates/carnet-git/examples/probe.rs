//! Asks this room a question from a process of its own: what hooks see, what happens when many write.
//!
//! The tests put it into hooks and start several at once. Usage:
//!
//! ```text
//! probe staged                          the staged paths, as `git diff --cached --raw -z` would list them
//! probe blob ID                         the bytes of a blob
//! probe append REF N WORD               append N commits to a chain, each named `WORD k`
//! probe note REF TARGET N WORD          add N lines `WORD k` to the note of TARGET
//! probe create PREFIX N WORD            create N refs, PREFIX/WORD-k
//! ```
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is its whole purpose")]

use std::{error::Error, io::Write, path::Path, process::ExitCode};

use carnet_core::{GitOid, Timestamp};
use carnet_git::{Author, CommitSpec, Repo, TreeSpec};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match answer(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            let mut text = err.to_string();
            let mut cause = err.source();
            while let Some(err) = cause {
                text.push_str(&format!(": {err}"));
                cause = err.source();
            }
            eprintln!("probe: {text}");
            ExitCode::FAILURE
        }
    }
}

fn answer(args: &[&str]) -> Result<(), Box<dyn Error>> {
    let repo = Repo::discover(Path::new("."))?;
    match *args {
        ["open"] => {}
        ["staged"] => staged(&repo)?,
        ["blob", id] => {
            let bytes = repo.read_blob(&GitOid::from_hex(id)?, 1 << 30)?;
            std::io::stdout().write_all(&bytes)?;
        }
        ["append", name, n, word] => append(&repo, name, n.parse()?, word)?,
        ["note", notes_ref, target, n, word] => {
            let target = GitOid::from_hex(target)?;
            for k in 0..n.parse()? {
                repo.append_note(notes_ref, &target, &format!("{word} {k}"), &author(), now())?;
            }
        }
        ["create", prefix, n, word] => create(&repo, prefix, n.parse()?, word)?,
        _ => return Err("no such question".into()),
    }
    Ok(())
}

fn staged(repo: &Repo) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for entry in repo.staged()? {
        write!(out, "{} {}\0", entry.mode.octal(), entry.blob_id)?;
        out.write_all(entry.path.as_bytes())?;
        out.write_all(b"\0")?;
    }
    Ok(())
}

fn append(repo: &Repo, name: &str, n: u32, word: &str) -> Result<(), Box<dyn Error>> {
    for k in 0..n {
        let commit_id = repo.append_chain(name, &|previous| {
            Ok(CommitSpec {
                tree: repo.write_tree(&TreeSpec::new())?,
                parents: previous.into_iter().collect(),
                message: format!("{word} {k}"),
                author: author(),
                time: now(),
            })
        })?;
        println!("{commit_id}");
    }
    Ok(())
}

fn create(repo: &Repo, prefix: &str, n: u32, word: &str) -> Result<(), Box<dyn Error>> {
    let blob_id = repo.write_blob(word.as_bytes())?;
    for k in 0..n {
        repo.update_ref(&format!("{prefix}/{word}-{k}"), &blob_id, None, "probe")?;
    }
    Ok(())
}

fn author() -> Author {
    Author { name: "Probe".to_owned(), email: "probe@example.com".to_owned() }
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_767_323_045_000)
}
