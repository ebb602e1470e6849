//! Decides what may be committed or sent, and writes it to the audit log.
#![warn(missing_docs)]
