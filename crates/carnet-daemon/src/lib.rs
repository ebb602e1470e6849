//! One process per workspace that keeps the snapshot fresh and answers.
#![warn(missing_docs)]
