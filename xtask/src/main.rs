//! Every chore of carnet, as Rust.
fn main() {}
