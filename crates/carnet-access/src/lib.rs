//! Who acts, and how we know: signing keys and signed envelopes.
//!
//! Service accounts, tokens and the vault move in here as they are built. The crate refuses to keep a
//! private key anywhere but in a file of mode 0600, and never prints one.
//!
//! Read [`dsse`] for what a signature covers, [`keys`] for where keys lie.
#![warn(missing_docs)]

pub mod dsse;
pub mod keys;
