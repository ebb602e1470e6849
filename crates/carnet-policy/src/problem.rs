//! What is wrong with a policy file, and where.

use std::{fmt, ops::Range};

use carnet_core::LineIndex;

/// Most problems that are kept for one file; the first ones are the ones to mend.
const PROBLEMS_MAX: usize = 200;

/// One thing that is wrong in a policy file. Any one closes what the file would have opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PolicyProblem {
    /// The file's name, as it was given.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// The key, with its tables: `allow.argv`; empty when the text as a whole is meant.
    pub field: String,
    /// A lowercase fragment.
    pub message: String,
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.field.is_empty() {
            write!(f, "`{}`: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// Collects the problems of one file and knows where its lines start.
pub(crate) struct Problems<'f> {
    file: &'f str,
    lines: LineIndex,
    found: Vec<PolicyProblem>,
}

impl<'f> Problems<'f> {
    pub(crate) fn new(file: &'f str, text: &str) -> Problems<'f> {
        Problems { file, lines: LineIndex::new(text.as_bytes()), found: Vec::new() }
    }

    pub(crate) fn add(&mut self, span: &Range<usize>, field: &str, message: impl Into<String>) {
        let line = self.line(span);
        self.add_at_line(line, field, message);
    }

    pub(crate) fn add_at_line(&mut self, line: u32, field: &str, message: impl Into<String>) {
        if self.found.len() < PROBLEMS_MAX {
            self.found.push(PolicyProblem {
                file: self.file.to_owned(),
                line,
                field: field.to_owned(),
                message: message.into(),
            });
        }
    }

    pub(crate) fn line(&self, span: &Range<usize>) -> u32 {
        self.lines.line_column(span.start).0
    }

    pub(crate) fn file(&self) -> &'f str {
        self.file
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Returns the problems in the order of their lines.
    pub(crate) fn finish(mut self) -> Vec<PolicyProblem> {
        self.found.sort_by_key(|problem| problem.line);
        self.found
    }
}
