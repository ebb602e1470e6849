//! The shipped lanes, decisions one line each, and properties with an oracle.

mod decisions;
mod files;
mod properties;
