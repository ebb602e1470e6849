//! Trains the table of word vectors that carnet brings with it, and measures it.
//!
//!     cargo run --release -p carnet-index --example train_embedding -- pairs OUT NAME=DIR…
//!     cargo run --release -p carnet-index --example train_embedding -- train PAIRS MODEL
//!     cargo run --release -p carnet-index --example train_embedding -- eval PAIRS MODEL
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "an example speaks to a person")]

mod data;
mod eval;
mod learnt;
mod random;
mod text;
mod train;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["pairs", out, repositories @ ..] => data::gather(out, repositories),
        ["train", pairs, model, options @ ..] => train::train(&data::read(pairs)?, model, options),
        ["eval", pairs, model] => eval::eval(&data::read(pairs)?, model),
        _ => {
            Err("usage: train_embedding pairs OUT NAME=DIR… | train PAIRS MODEL | eval PAIRS MODEL"
                .into())
        }
    }
}
