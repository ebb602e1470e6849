//! Who acts, and how we know: signing keys and signed envelopes, service accounts and their tokens.
//!
//! The crate refuses to keep a private key anywhere but in a file of mode 0600, and never prints one. What decides whether a
//! token counts ([`token`], [`accounts`], [`key_set`]) does no IO and takes the time as an argument.
//!
//! Read [`dsse`] for what a signature covers, [`keys`] for where keys lie; then the modules in the order below.
#![warn(missing_docs)]

pub mod dsse;
pub mod keys;
pub mod private_file;

pub mod accounts;
pub mod key_set;
pub mod scope;
pub mod token;

pub mod sealed;
pub mod single_use;
pub mod token_key;

pub mod secrets;
pub mod vault;
