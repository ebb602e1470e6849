//! HTTP: [`ask`] asks a server on this machine; the rest is
//! serving: one accept loop with bounds, for everything of carnet's that others ask over HTTP.
//!
//! A handler is a function of a request, read whole and within bounds, to an answer. It refuses more connections than
//! [`CONNECTIONS_MAX`], heads and bodies beyond theirs, and clients that are slow to ask. Where to listen is the caller's to decide.

mod client;
mod key_set;
mod server;

pub use client::{Answered, AskError, Outgoing, ask};
pub use key_set::serve_key_set;
pub use server::{
    Answer, BODY_BYTES_MAX, Bounds, CONNECTIONS_MAX, Handler, HttpError, Request, StreamHandler,
    Streamed, StreamedBody, run_server, run_stream_server,
};
