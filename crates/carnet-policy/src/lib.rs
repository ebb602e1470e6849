//! Text in, decisions out: may this command run in this lane, may this content leave?
//!
//! - [`Lane`] and [`LaneSet`]: allowlists, read from text as `docs/format/allowlist.md` says. Everything wrong
//!   is reported with file, line and field, and closes the lane.
//! - [`Lane::admit`]: one argument vector against one lane. Deny wins; what no rule allows is denied.
//! - [`judge()`]: findings of a scan against a [`ContentPolicy`].
//! - [`LicencePolicy`]: which licences may be where, by SPDX expressions, as `docs/format/licence.md` says.
//! - [`ToolLock`]: which file a tool's name means, by its bytes, as `docs/format/tools-lock.md` says.
//! - [`broker`]: which model answers which lane, at what cost, as `docs/format/broker.md` says.
//! - [`calibration`]: what runs take, learnt from those that may teach, as `docs/format/calibration.md` says.
//! - [`Suppressions`]: findings that someone accepted, as `docs/format/findings.md` says.
//!
//! This crate does no IO: it opens no file, starts no process, reads no variable, asks no clock. Where policy
//! text comes from, and that a work tree may only tighten it, is decided by its callers.
//!
//! Read the modules in the order below.
#![warn(missing_docs)]
#![warn(clippy::disallowed_methods)]

mod document;
mod problem;
mod reader;

mod element;
mod hidden;
mod hole;
mod pattern;
mod rule;
mod shadow;

mod admit;
mod caches;
mod changes;
mod environment;
mod floor;
mod lane;
mod load;
mod network;
mod outputs;

pub mod broker;
pub mod calibration;

mod baseline;
mod content;
mod findings;
mod judge;
mod licence;
mod tool_lock;

pub use admit::{ARGUMENTS_MAX, ARGV_BYTES_MAX, Admission, Nearest, RuleRef, too_long};
pub use baseline::{Baseline, BaselineLine};
pub use caches::LaneCache;
pub use changes::Changes;
pub use content::ContentPolicy;
pub use document::{DocumentFault, DocumentForm};
pub use findings::{NewEntry, Suppression, Suppressions, empty_findings, with_entry};
pub use hidden::HiddenFiles;
pub use judge::judge;
pub use lane::{Lane, RuleOutline};
pub use licence::{HeaderRule, LicenceClaim, LicenceFault, LicencePolicy};
pub use load::{LaneSet, LoadLaneError, built_in_files, load_lane, load_under};
pub use problem::PolicyProblem;
pub use tool_lock::{LockedTool, ToolLock};

/// Returns text that is safe to print in a message: control characters escaped, cut after 120 characters.
pub(crate) fn show(text: &str) -> String {
    const CHARS_MAX: usize = 120;
    let mut shown = String::new();
    for (n_chars, char) in text.chars().enumerate() {
        if n_chars == CHARS_MAX {
            shown.push('…');
            break;
        }
        match char {
            char if char.is_control() || is_invisible(char) => shown.extend(char.escape_unicode()),
            char => shown.push(char),
        }
    }
    shown
}

/// Characters that show as another: what looks like a dot, slash, colon or nothing at all, and what reorders its
/// neighbours. A name that has one is made to be misread.
pub(crate) fn deceives(char: char) -> bool {
    is_invisible(char)
        || matches!(
            char,
            '\u{2024}'
                ..='\u{2026}'
                    | '\u{2044}'
                    | '\u{2215}'
                    | '\u{2216}'
                    | '\u{29f5}'
                    | '\u{29f8}'
                    | '\u{29f9}'
                    | '\u{fe52}'
                    | '\u{fe68}'
                    | '\u{ff0e}'
                    | '\u{ff0f}'
                    | '\u{ff1a}'
                    | '\u{ff1d}'
                    | '\u{ff3c}'
                    | '\u{ff5e}'
                    | '\u{a789}'
                    | '\u{a78a}'
                    | '\u{2236}'
                    | '\u{a0}'
                    | '\u{ad}'
                    | '\u{2028}'
                    | '\u{2029}'
                    | '\u{3000}'
        )
}

/// Tells whether a character shows as the dash that begins an option.
pub(crate) fn looks_like_a_dash(char: char) -> bool {
    matches!(
        char,
        '\u{2010}'
            ..='\u{2015}'
                | '\u{2212}'
                | '\u{2500}'
                | '\u{30fc}'
                | '\u{fe58}'
                | '\u{fe63}'
                | '\u{ff0d}'
    )
}

/// Characters that hide or reorder what stands beside them on a terminal.
fn is_invisible(char: char) -> bool {
    matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests;
