//! Tries one forbidden thing and says how far it came: for this crate's own tests, inside a sandbox and outside.
//!
//! ```text
//! carnet-sandbox-attacks ATTACK [ARGUMENT]
//! carnet-sandbox-attacks without FEATURE PROGRAM [ARGUMENT…]
//! ```
//!
//! The second executes a program on a kernel that answers one of its calls as if a feature were missing or broken.
//!
//! Prints `through`, or the name of the error that stopped it. Nothing it does changes the machine: what it makes
//! is gone when it ends.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

#[cfg(target_os = "linux")]
mod acts;
#[cfg(target_os = "linux")]
mod raw;
#[cfg(target_os = "linux")]
mod without;

#[cfg(target_os = "linux")]
use acts::attempt;

/// There is nothing to attack where nothing is confined.
#[cfg(not(target_os = "linux"))]
fn attempt(_attack: &str, _argument: &str) -> Option<io::Result<()>> {
    None
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    #[cfg(target_os = "linux")]
    if let [verb, feature, program, rest @ ..] = arguments.as_slice()
        && verb == "without"
    {
        let _ = writeln!(io::stderr(), "{}", without::execute(feature, program, rest));
        return ExitCode::FAILURE;
    }
    let word = |idx: usize| arguments.get(idx).map(String::as_str).unwrap_or_default();
    let Some(result) = attempt(word(0), word(1)) else {
        let _ = writeln!(io::stderr(), "usage: carnet-sandbox-attacks ATTACK [ARGUMENT]");
        return ExitCode::from(2);
    };
    let said = match result {
        Ok(()) => "through".to_owned(),
        Err(error) => name(&error),
    };
    match writeln!(io::stdout(), "{said}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The names that tests speak of; numbers differ between systems.
fn name(error: &io::Error) -> String {
    #[cfg(target_os = "linux")]
    for (number, name) in acts::NAMES {
        if error.raw_os_error() == Some(number) {
            return name.to_owned();
        }
    }
    error.to_string()
}
