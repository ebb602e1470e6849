//! Source in; symbols, calls and imports out.
//!
//! [`parse`] takes the bytes of one blob and its [`Language`] and returns what it understood as
//! [`Parsed`]: where things are defined, what is called where, what is imported. Broken source is not an
//! error: what was understood comes back with a list of [`Problem`]s.
//!
//! This crate does no IO, and it refuses to guess: it says what stands in one file and in which scope, and
//! leaves it to `carnet-index` to say which definition a call means.
//!
//! Invariants:
//! - `parse` never panics and never recurses over the syntax tree; every list and text is bounded by the
//!   constants in [`limits`].
//! - The result depends on the language, the bytes and [`EXTRACTOR_VERSION`] alone; symbols and calls are
//!   sorted by where they begin.
#![warn(missing_docs)]
#![warn(clippy::disallowed_methods)]

mod language;
pub mod limits;
mod parsed;

mod bases;
mod comments;
mod doc;
mod extract;
mod locals;
mod visibility;
mod walk;

mod c;
mod ecma;
mod go;
mod java;
mod mend;
mod python;
mod rust;
mod rust_macros;

#[cfg(test)]
mod tests;

pub use comments::without_comments;
pub use extract::parse;
pub use language::Language;
pub use parsed::{
    Argument, Base, Call, CallForm, Handed, Import, Imported, Invocation, MacroRule, Makes, Parsed,
    Problem, ProblemKind, Qualifier, Symbol, SymbolKind, Taken, Takes, TypeFact, Visibility,
};

/// Version of what is extracted: grows whenever the same source, or the same manifest of modules,
/// would give other facts.
pub const EXTRACTOR_VERSION: u32 = 16;
