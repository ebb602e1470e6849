//! Source in, symbols, calls and imports out.
#![warn(missing_docs)]
