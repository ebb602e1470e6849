//! What people see: data on standard output, everything else on standard error, colour only on a terminal, and on a
//! terminal nothing that it obeys (`terminal`).

use std::{
    borrow::Cow,
    io::{self, IsTerminal as _, Write as _},
};

use serde::Serialize;

use crate::terminal::harmless;

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Writes to standard output and standard error.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    out_color: bool,
    err_color: bool,
    out_terminal: bool,
    err_terminal: bool,
}

impl Ui {
    /// Decides about colour once.
    pub fn new(choice: ColorChoice) -> Ui {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let on = |terminal: bool| match choice {
            ColorChoice::Auto => terminal && !no_color,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        let (out_terminal, err_terminal) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let (out_color, err_color) = (on(out_terminal), on(err_terminal));
        Ui { out_color, err_color, out_terminal, err_terminal }
    }

    /// Writes text to standard output. A closed pipe is not an error.
    pub fn out(&self, text: &str) {
        self.out_bytes(text.as_bytes());
    }

    /// Writes bytes to standard output. A closed pipe is not an error.
    pub fn out_bytes(&self, bytes: &[u8]) {
        let mut out = io::stdout().lock();
        if out.write_all(&shown(self.out_terminal, bytes)).and_then(|()| out.flush()).is_err() {
            std::process::exit(0);
        }
    }

    /// Writes text to standard error.
    pub fn err(&self, text: &str) {
        self.err_bytes(text.as_bytes());
    }

    /// Writes text to standard error when that is a terminal: news of work that goes on.
    pub fn progress(&self, text: &str) {
        if self.err_terminal {
            self.err(text);
        }
    }

    /// Writes bytes to standard error; there is no one to tell when that fails.
    pub fn err_bytes(&self, bytes: &[u8]) {
        let _ = io::stderr().lock().write_all(&shown(self.err_terminal, bytes));
    }

    /// Passes on what a command that runs just now has written.
    pub fn tell(&self, is_stdout: bool, bytes: &[u8]) {
        if is_stdout {
            // Whoever listened is gone: the run goes on, and its log is kept.
            let mut out = io::stdout().lock();
            let _ = out.write_all(&shown(self.out_terminal, bytes)).and_then(|()| out.flush());
        } else {
            self.err_bytes(bytes);
        }
    }

    /// Writes one JSON document, indented, to standard output.
    pub fn json(&self, value: &impl Serialize) {
        let text = serde_json::to_string_pretty(value);
        self.out(&format!("{}\n", text.expect("because the output types have string keys")));
    }

    /// Red on standard error.
    pub fn red(&self, text: &str) -> String {
        painted(self.err_color, "1;31", text)
    }

    /// Cyan on standard error.
    pub fn cyan(&self, text: &str) -> String {
        painted(self.err_color, "36", text)
    }

    /// Green on standard output.
    pub fn green_out(&self, text: &str) -> String {
        painted(self.out_color, "32", text)
    }

    /// Red on standard output.
    pub fn red_out(&self, text: &str) -> String {
        painted(self.out_color, "1;31", text)
    }

    /// Yellow on standard output.
    pub fn yellow_out(&self, text: &str) -> String {
        painted(self.out_color, "33", text)
    }

    /// Bold on standard output.
    pub fn bold_out(&self, text: &str) -> String {
        painted(self.out_color, "1", text)
    }

    /// Dim on standard output.
    pub fn dim_out(&self, text: &str) -> String {
        painted(self.out_color, "2", text)
    }
}

/// Returns what is written: on a terminal, nothing that it would obey.
fn shown(is_terminal: bool, bytes: &[u8]) -> Cow<'_, [u8]> {
    if is_terminal { harmless(bytes) } else { Cow::Borrowed(bytes) }
}

fn painted(on: bool, code: &str, text: &str) -> String {
    if on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}
