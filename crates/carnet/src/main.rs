//! The `carnet` binary.
fn main() {}
