//! A server on the run's own loopback whose answers come from the supervisor: how a command reaches what is not a host, such as
//! a model whose replies are recorded.

use std::{fmt, sync::Arc};

/// What a command asked at a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorRequest {
    /// Its method.
    pub method: String,
    /// Its path, with the query.
    pub path: String,
    /// Its header lines, by lower-case name.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// What it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorReply {
    /// The status.
    pub status: u16,
    /// Header lines besides those of the connection.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Answers requests, each on a thread of its own. What it says after the run has ended is heard by no one.
pub type DoorAnswer = Arc<dyn Fn(DoorRequest) -> DoorReply + Send + Sync>;

/// A server at 127.0.0.1, as the run sees it.
#[derive(Clone)]
pub struct Door {
    /// Its port, which is free in a network of its own.
    pub port: u16,
    /// What answers.
    pub answer: DoorAnswer,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("port", &self.port).finish_non_exhaustive()
    }
}
