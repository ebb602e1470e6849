//! `carnet cite`: what a citation of `search` or `pack` names, from the store of objects, whatever HEAD is.

use carnet_core::{ExitCode, GitOid, RepoPath};
use carnet_git::{Head, Repo};
use carnet_index::Citation;
use clap::Args;
use serde::Serialize;

use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::Workspace,
};

/// Largest blob that lines are taken from, in bytes.
const BLOB_BYTES_MAX: u64 = 64 << 20;

/// Options of `cite`.
#[derive(Debug, Args)]
pub struct CiteArgs {
    /// What `search` or `pack` gave: `path#L10-L32@0123456789ab`.
    #[arg(value_name = "CITATION")]
    citation: String,
    /// Write JSON.
    #[arg(long)]
    json: bool,
}

/// `carnet cite --json`.
#[derive(Serialize)]
struct Cited {
    format: &'static str,
    citation: String,
    path: String,
    start_line: u32,
    end_line: u32,
    blob: String,
    /// Whether HEAD has this content at this path.
    is_in_head: bool,
    text: String,
}

/// Prints the lines that a citation names.
pub fn cite(ui: &Ui, args: &CiteArgs) -> CommandResult {
    let citation: Citation = args
        .citation
        .parse()
        .map_err(|error: carnet_index::CitationError| CommandError::of(ExitCode::Usage, &error))?;
    let repo = Workspace::discover()?.repo;
    let blob = the_blob(&repo, &citation)?;
    let source = repo
        .read_blob(&blob, BLOB_BYTES_MAX)
        .map_err(|error| CommandError::of(ExitCode::Incomplete, &error))?;
    let source = String::from_utf8_lossy(&source);
    let (start, end) = (citation.lines.start, citation.lines.end);
    let lines = source.split_inclusive('\n').skip(start as usize - 1);
    let text: String = lines.take((end - start) as usize + 1).collect();
    if text.is_empty() {
        let message = format!("blob {} has fewer than {start} lines", blob.short());
        return Err(CommandError::new(ExitCode::NothingToLookAt, message));
    }
    let is_in_head = is_in_head(&repo, &citation, &blob)?;
    if args.json {
        ui.json(&Cited {
            format: "carnet/cited/1",
            citation: citation.to_string(),
            path: citation.path,
            start_line: start,
            end_line: end,
            blob: blob.to_string(),
            is_in_head,
            text,
        });
    } else {
        ui.out(&text);
        let since =
            if is_in_head { "as HEAD has it" } else { "HEAD has another content there, or none" };
        ui.err(&format!(
            "{} lines {start} to {end} of blob {}: {since}\n",
            citation.path,
            blob.short()
        ));
    }
    Ok(ExitCode::Done)
}

/// Finds the one blob that a citation means; of several that share its digits the one that HEAD has at its path.
fn the_blob(repo: &Repo, citation: &Citation) -> Result<GitOid, CommandError> {
    let blobs = repo
        .blobs_named(&citation.blob_digits)
        .map_err(|error| CommandError::of(ExitCode::Io, &error))?;
    if let [blob] = blobs.as_slice() {
        return Ok(*blob);
    }
    for blob in &blobs {
        if is_in_head(repo, citation, blob)? {
            return Ok(*blob);
        }
    }
    let digits = &citation.blob_digits;
    Err(match blobs.is_empty() {
        true => CommandError::new(
            ExitCode::NothingToLookAt,
            format!("this clone has no blob that begins with `{digits}`"),
        )
        .hint("Fetch the history that the citation came from: `git fetch --unshallow` or `git fetch --all`."),
        false => CommandError::new(
            ExitCode::NothingToLookAt,
            format!("{} blobs begin with `{digits}`", blobs.len()),
        )
        .hint("Write more digits of the one that is meant."),
    })
}

fn is_in_head(repo: &Repo, citation: &Citation, blob: &GitOid) -> Result<bool, CommandError> {
    let Head::Commit { tree_id, .. } = repo.head()? else { return Ok(false) };
    let Ok(path) = RepoPath::new(citation.path.as_bytes()) else { return Ok(false) };
    let entry = repo.entry_at(&tree_id, &path);
    let entry = entry.map_err(|error| CommandError::of(ExitCode::Io, &error))?;
    Ok(entry.is_some_and(|(_, id)| id == *blob))
}
