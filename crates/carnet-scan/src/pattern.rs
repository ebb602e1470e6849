//! Byte patterns: checked when a rule set is loaded, compiled when first needed.
//!
//! Patterns are byte regexes without Unicode tables: `.` is any byte but a line feed, `\w` and `\b` are ASCII,
//! and invalid UTF-8 is ordinary input. Invariant: a `Pattern` that exists compiles within [`NFA_BYTES_MAX`].

use std::{borrow::Cow, sync::OnceLock};

use regex_automata::{PatternID, meta, nfa::thompson};
use regex_syntax::hir::Hir;

/// Bytes that one compiled pattern may take; larger ones are refused at load.
pub(crate) const NFA_BYTES_MAX: usize = 1 << 20;
/// Bytes of a pattern's text.
const TEXT_BYTES_MAX: usize = 8 << 10;
/// Depth to which groups may nest.
const NEST_MAX: u32 = 50;

/// Why a text is no pattern of a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Longer than a pattern may be.
    #[error("the pattern has {0} bytes, more than the {TEXT_BYTES_MAX} allowed")]
    TooLong(usize),
    /// Not a regular expression; the field says what is wrong and where.
    #[error("not a regular expression: {0}")]
    Syntax(String),
    /// The pattern needs more memory than allowed, mostly by a large counted repetition.
    #[error("the compiled pattern is larger than {NFA_BYTES_MAX} bytes")]
    TooLarge,
    /// The pattern matches nothing, or the empty text.
    #[error("the pattern matches the empty text or nothing at all")]
    Empty,
    /// A match exists that holds none of the keywords.
    #[error("the pattern has matches that hold none of the keywords")]
    KeywordMissing,
    /// The proof that each match holds a keyword would take too long.
    #[error("the pattern is too large to prove that each match holds a keyword")]
    KeywordUnproven,
}

/// A byte regex and, once it has been used, its compiled form.
#[derive(Debug)]
pub(crate) struct Pattern {
    text: Cow<'static, str>,
    compiled: OnceLock<Compiled>,
}

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) regex: meta::Regex,
    /// Index of the group named `secret`.
    pub(crate) secret_group: Option<usize>,
    /// Length of the longest match in bytes; `None` when there is no bound.
    pub(crate) len_max: Option<usize>,
}

impl Pattern {
    /// Checks `text` by compiling it, and returns the pattern with its syntax tree.
    pub(crate) fn checked(text: &str) -> Result<(Pattern, Hir), PatternError> {
        let hir = parse(text)?;
        if hir.properties().minimum_len().is_none_or(|len| len == 0) {
            return Err(PatternError::Empty);
        }
        let compiled = OnceLock::from(compile(&hir)?);
        Ok((Pattern { text: Cow::Owned(text.to_owned()), compiled }, hir))
    }

    /// Takes a pattern of the built-in rules, which the build checks; it is compiled when first needed.
    pub(crate) fn trusted(text: impl Into<Cow<'static, str>>) -> Pattern {
        Pattern { text: text.into(), compiled: OnceLock::new() }
    }

    /// Returns the text it was made from.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the length of the longest match in bytes, without compiling the pattern; `None` when there is no bound.
    pub(crate) fn len_max(&self) -> Option<usize> {
        match self.compiled.get() {
            Some(compiled) => compiled.len_max,
            None => parse(&self.text).ok()?.properties().maximum_len(),
        }
    }

    /// Returns the compiled form, made at the first call.
    pub(crate) fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| {
            parse(&self.text).and_then(|hir| compile(&hir)).expect(
                "because a pattern is checked when loaded, or built in and checked by the build",
            )
        })
    }
}

/// Parses `text` as a byte regex.
fn parse(text: &str) -> Result<Hir, PatternError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(PatternError::TooLong(text.len()));
    }
    regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .nest_limit(NEST_MAX)
        .build()
        .parse(text)
        .map_err(|error| PatternError::Syntax(syntax_message(&error)))
}

/// Returns what is wrong in one line; the library's own text draws the pattern over several.
fn syntax_message(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => {
            format!("{} at byte {}", error.kind(), error.span().start.offset)
        }
        regex_syntax::Error::Translate(error) => {
            format!("{} at byte {}", error.kind(), error.span().start.offset)
        }
        other => other.to_string(),
    }
}

fn compile(hir: &Hir) -> Result<Compiled, PatternError> {
    let config = meta::Config::new().utf8_empty(false).nfa_size_limit(Some(NFA_BYTES_MAX));
    let regex = meta::Builder::new()
        .configure(config)
        .build_from_hir(hir)
        .map_err(|_| PatternError::TooLarge)?;
    let secret_group = regex.group_info().to_index(PatternID::ZERO, "secret");
    Ok(Compiled { regex, secret_group, len_max: hir.properties().maximum_len() })
}

/// Compiles the automaton that [`crate::keyword_proof`] walks.
pub(crate) fn nfa(hir: &Hir) -> Result<thompson::NFA, PatternError> {
    let config = thompson::Config::new()
        .utf8(false)
        .nfa_size_limit(Some(NFA_BYTES_MAX))
        .which_captures(thompson::WhichCaptures::None);
    thompson::Compiler::new()
        .configure(config)
        .build_from_hir(hir)
        .map_err(|_| PatternError::TooLarge)
}
