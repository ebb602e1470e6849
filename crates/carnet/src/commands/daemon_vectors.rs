//! `carnet daemon vectors`: what belongs to the vectors and takes longer than a refresh may. The daemon has it done after a commit,
//! in a process of its own, and `carnet daemon --once` does it after the snapshot is current.

use std::io::{self, IsTerminal as _};

use carnet_core::ExitCode;
use carnet_git::Repo;
use carnet_index::vectors::{GraphState, ModelCoverage, build_graph};

use super::embedding::Model;
use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::Workspace,
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
    let graph = bring_graph_up_to_date(ui, repo)?;
    let model = embed(ui, repo)?;
    Ok(match (graph, model) {
        (Some(graph), Some(model)) => Some(format!("{graph}; {model}")),
        (graph, model) => graph.or(model),
    })
}

/// Has the configured model embed what is new.
fn embed(ui: &Ui, repo: &Repo) -> Result<Option<String>, CommandError> {
    let Some(model) = Model::configured(repo)? else { return Ok(None) };
    let mut line = Line::new(ui);
    let coverage = model.update(&Workspace::discover()?, |at| {
        line.show("files embedded", at.n_files_done as usize, at.n_files as usize);
    })?;
    let ModelCoverage { n_files_done, n_files } = coverage;
    Ok(Some(format!("`{}` has embedded {n_files_done} of {n_files} files", model.name())))
}

/// A line on a terminal that says how far something is.
struct Line<'u> {
    ui: &'u Ui,
    is_on: bool,
    shown: Option<usize>,
}

impl<'u> Line<'u> {
    fn new(ui: &'u Ui) -> Line<'u> {
        Line { ui, is_on: io::stderr().is_terminal(), shown: None }
    }

    fn show(&mut self, what: &str, n_done: usize, n_all: usize) {
        let percent = n_done * 100 / n_all.max(1);
        if self.is_on && self.shown != Some(percent) {
            self.shown = Some(percent);
            self.ui.err(&format!("\r\x1b[K{what}: {percent} %"));
        }
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self.shown.is_some() {
            self.ui.err("\r\x1b[K");
        }
    }
}

fn bring_graph_up_to_date(ui: &Ui, repo: &Repo) -> Result<Option<String>, CommandError> {
    if carnet_daemon::graph_state(repo)? != GraphState::Due {
        return Ok(None);
    }
    let mut line = Line::new(ui);
    let built = build_graph(&carnet_daemon::index_dir(repo), |n_done, n_all| {
        line.show("graph of neighbours", n_done, n_all);
        true
    });
    Ok(built?.map(|n_nodes| format!("graph of {n_nodes} neighbours made")))
}
