//! A proxy in the supervisor: the only way out of a run that may reach named hosts.
//!
//! The run's network namespace stays empty. Its first process binds a listener on its own loopback and hands it to the
//! supervisor, which takes each connection, decides, and dials from the host. Decisions are functions of bytes
//! ([`request`], [`hello`], [`address`]); only [`serve`] touches the network.
//!
//! A [`Door`](crate::Door) is served the same way, by [`direct`]: no host is dialled, the caller answers.
//!
//! What it cannot see is what lies within TLS: whoever serves a host that is named can pass bytes on.

mod address;
mod direct;
mod hello;
mod request;
mod serve;

pub(crate) use address::is_public;
pub(crate) use serve::{Proxy, Traffic};
