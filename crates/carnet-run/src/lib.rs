//! A request becomes a run, artifacts, a passport, and later a replay.
//!
//! The room composes: policy admits, git checks out, the sandbox confines, the guard examines, git records. It refuses
//! to store what the guard did not see, and to call a run recorded before its ledger event is durable.
//!
//! Read the modules in the order below: a run's way from request to record, then back.
#![warn(missing_docs)]

pub mod execute;

pub mod artifact;
pub mod caches;
pub mod changes;
pub mod checkouts;
pub mod collect;
mod confine;
pub mod copied;
pub mod environment;
mod handed;
mod held_back;
pub mod lanes;
pub mod live;
mod locked_dir;
pub mod model;
pub mod planted;
pub mod scratch;
pub mod slots;
pub mod snapshot;
pub mod toolchains;
pub mod tools;

pub mod event;
pub mod journal;
pub mod manifest;
pub mod record;

pub mod attest;
pub mod backup;
pub mod checkpoint;
pub mod filter;
pub mod index;
pub mod ledger;
pub mod replay;
pub mod retention;
pub mod shelf;
#[doc(hidden)]
pub mod stored_forms;
pub mod sync;
pub mod verify;
pub mod verify_all;
