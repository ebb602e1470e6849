//! A request becomes a run, artifacts, a passport, and later a replay.
#![warn(missing_docs)]
