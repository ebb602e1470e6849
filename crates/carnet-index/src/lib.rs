//! Snapshots of the code: graph, words, vectors, and the questions asked of them.
#![warn(missing_docs)]
