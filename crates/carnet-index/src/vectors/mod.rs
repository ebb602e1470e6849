//! Vectors: what a unit is about, as a direction, from a table of words of our own.
//!
//! A question and the units that answer it point in nearly one direction, even where they share no word. The table is made by
//! `cargo xtask train-embedding`; what it was made from, and how well it does, is in `data/README.md`.

mod halves;
mod model;
mod question;
mod store;

mod build;
mod models;
mod neighbours;
mod transformer;

pub use build::{GraphState, build_graph, graph_state};
pub(crate) use model::MODEL_DIGEST;
pub use model::{FIELD_WORDS_MAX, Field, Model, UnitTexts, words_of, write_model};
pub use models::{ModelCoverage, ModelError, ModelStore};
pub use neighbours::{Nearest, nearest};
pub use question::Question;
pub use store::{Near, VectorWriter, Vectors};
pub use transformer::{Transformer, TransformerError};

#[cfg(test)]
mod tests;
