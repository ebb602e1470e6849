//! Hermetic git for tests.
#![warn(missing_docs)]
