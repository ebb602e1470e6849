//! Snapshots of the code, and the questions asked of them.
//!
//! Two things live under the one directory this crate is given: the *facts*, what each blob says, parsed
//! once ever and kept by (extractor version, language, blob id); and the *snapshots*, each the code index
//! as of one commit, an immutable file. [`IndexStore`] is the one writer; [`Snapshot`] is a reader, and any
//! number of them may be open while the writer works.
//!
//! This crate does not know git: it is told which blobs a commit holds, and asks a [`BlobSource`] for their
//! bytes. It opens nothing outside its directory and never asks the clock.
//!
//! Invariants:
//! - A refresh equals a clean rebuild: the content of a snapshot depends on the files, the commit and the
//!   extractor version alone, never on what was indexed before.
//! - A *resolved* call has unambiguous evidence; everything else of the same name is a *candidate*; the two
//!   are never mixed in one count.
//! - Every byte that answers a question was verified against the snapshot's digests first.
//! - Readers see the old snapshot or the new one, whole.
#![warn(missing_docs)]

mod answer;
mod error;

mod facts;
mod frames;
mod manifest;
mod parsing;
mod store;

mod link;
mod words;

mod blocks;
mod format;
mod rows;
mod section_writer;
mod sections;

mod graph;
mod name;
mod network;
mod pointer;
mod snapshot;
mod travel;
mod write;

pub mod vectors;

#[cfg(test)]
mod tests;

pub use answer::{
    CallSite, Callers, Change, Coverage, Definition, Evidence, Implementation, Neighbour, Place,
    Reached,
};
pub use error::{BlobError, IndexError};
pub use format::FORMAT_NUMBER;
pub use graph::chain;
pub use network::{Edge, Link, Network, Node, NodeDefinition};
pub use snapshot::Snapshot;
pub use store::{
    BlobSource, IndexStore, RefreshReport, RefreshRequest, SourceFile, UnreadFile, is_source,
};
pub use travel::{
    MANIFEST_FORMAT, Manifest, PART_BYTES_MAX, PackedFile, Part, PartSink, PartSource, Unpacked,
};
pub use words::{
    Citation, CitationError, Extent, Found, Hit, LineRange, QUERY_BYTES_MAX, QueryError, Scope,
    SearchQuery, left_out, suspect_words,
};
