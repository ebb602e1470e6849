//! `carnet daemon vectors`: what belongs to the vectors and takes longer than a refresh may. The daemon has it done after a commit,
//! in a process of its own, and `carnet daemon --once` does it after the snapshot is current.

use std::io::{self, IsTerminal as _};

use carnet_core::ExitCode;
use carnet_git::Repo;
use carnet_index::vectors::{GraphState, build_graph};

use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
};

/// Does what is due and says what it was.
pub fn vectors(ui: &Ui, repo: &Repo) -> CommandResult {
    let said = match bring_up_to_date(ui, repo)? {
        Some(said) => said,
        None => match carnet_daemon::graph_state(repo)? {
            GraphState::NotNeeded => "few enough to look through all of them; no graph is needed",
            GraphState::Fresh => "the graph of neighbours is up to date",
            GraphState::Due => "another process makes the graph of neighbours",
            GraphState::NoRoom => NO_ROOM,
        }
        .to_owned(),
    };
    ui.out(&format!("vectors: {said}\n"));
    Ok(ExitCode::Done)
}

/// What is said where the ceiling of memory has no room for the making of a graph.
pub const NO_ROOM: &str = "all are looked through: making a graph of neighbours would take more memory than \
     git config carnet.memoryMiB allows (600 unless set)";

/// Does what is due; returns what was done.
pub fn bring_up_to_date(ui: &Ui, repo: &Repo) -> Result<Option<String>, CommandError> {
    if carnet_daemon::graph_state(repo)? != GraphState::Due {
        return Ok(None);
    }
    let is_shown = io::stderr().is_terminal();
    let mut shown = None;
    let built = build_graph(&carnet_daemon::index_dir(repo), |n_done, n_all| {
        let percent = n_done * 100 / n_all.max(1);
        if is_shown && shown != Some(percent) {
            shown = Some(percent);
            ui.err(&format!("\r\x1b[Kgraph of neighbours: {percent} %"));
        }
        true
    });
    if shown.is_some() {
        ui.err("\r\x1b[K");
    }
    Ok(built?.map(|n_nodes| format!("graph of {n_nodes} neighbours made")))
}
