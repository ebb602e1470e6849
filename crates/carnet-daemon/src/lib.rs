//! One process per repository, shared by its worktrees, that keeps the code index fresh.
//!
//! The daemon is one loop over one closed `enum Event`. What it decides is a pure function of its state and
//! an event (`state`); what it does, reading HEAD or refreshing the index, happens on another thread
//! and comes back as an event. It answers on a Unix socket (`protocol`), but it does not answer questions
//! about code: readers open the snapshot themselves (`carnet_index::Snapshot::open_current` on
//! [`index_dir`]), so that answers do not depend on a process being alive.
//!
//! [`http`] serves what others ask over HTTP; it knows nothing of the loop.
//!
//! This is the only crate that names `notify` and `hyper`; the client half ([`Client`], [`ensure_running`],
//! [`status()`], [`refresh_once`]) is plain blocking code and starts no runtime.
//!
//! It refuses to serve another user, to follow a symbolic link to its socket or lock, to take a lock that
//! is held, and to write source text to its log.
//!
//! Invariants:
//! - At most one process refreshes one repository: it holds `<common dir>/carnet/daemon/lock`.
//! - At most one job (a look at HEAD or a refresh) is under way; whatever stirs meanwhile is looked at next.
//! - No event is trusted for more than "compare HEAD now": a lost, doubled or false one costs time alone.
//! - Once nothing happens any more, the index is at the HEAD of the worktree that asked last.
//! - A panic in a request or a refresh costs one answer.
//!
//! Read the modules in the order below.
#![warn(missing_docs)]

mod paths;
mod worktree;

pub mod protocol;
mod state;

mod lock;
mod log;
mod record;
mod socket;

mod connection;
mod run;
mod watch;
mod work;

pub mod http;

pub mod broker;

mod client;
mod once;
mod overlay;
mod published;
mod spawn;
mod status;

pub use client::{Client, ClientError, Waited};
pub use lock::{Holder, LockError};
pub use once::{Once, OnceError, refresh_once};
pub use overlay::{Overlay, OverlayError, overlay};
pub use paths::{index_dir, log_path};
pub use published::{
    Fetched, Publication, PublishError, Published, fetch_published, publish, published,
};
pub use record::RefreshRecord;
pub use run::{DaemonOptions, RunError, StopReason, run};
pub use socket::SocketError;
pub use spawn::{ALLOCATOR, Running, SpawnError, connect_within, ensure_running};
pub use status::{DaemonState, Freshness, Indexed, Sizes, Status, StatusError, freshness, status};
pub use work::{RefreshError, blobs, graph_state};
pub use worktree::Worktree;
