//! Rules as they stand in a file: one that allows, one that denies.

use std::sync::Arc;

use crate::{
    element::Element,
    hidden::HiddenFiles,
    pattern::{self, Dashes, Matched, Opt, Pattern},
    problem::Problems,
    reader::{Located, TableReader},
};

/// Most elements in one list of a rule.
const ELEMENTS_MAX: usize = 512;

/// What the rules of one file are read with.
pub(crate) struct Reading<'l> {
    /// The lane, or `deny`.
    pub(crate) lane: &'l str,
    /// What `{path}` does not match.
    pub(crate) hidden: Arc<HiddenFiles>,
    /// Whether this very text was found sound before, so that what costs time is not checked again.
    pub(crate) is_known_sound: bool,
}

/// What is the same in both kinds of rule.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// `code-impl/cargo-test`.
    pub(crate) full_id: String,
    /// `allowlists/code-impl.toml:41`.
    pub(crate) location: String,
    pub(crate) line: u32,
    /// `argv` as it stands in the file.
    pub(crate) command: Vec<String>,
    /// The note, or the reason of a denial.
    pub(crate) note: Option<String>,
    pub(crate) examples: Examples,
}

#[derive(Debug, Clone)]
pub(crate) struct Examples {
    pub(crate) matching: Vec<Vec<String>>,
    pub(crate) not_matching: Vec<Vec<String>>,
}

/// A rule that allows.
#[derive(Debug, Clone)]
pub(crate) struct AllowRule {
    pub(crate) head: Head,
    pub(crate) pattern: Pattern,
    pub(crate) runs_repository_code: bool,
}

/// A rule that denies: a prefix of the argument vector, or all of it, and perhaps one argument behind.
#[derive(Debug, Clone)]
pub(crate) struct DenyRule {
    pub(crate) head: Head,
    pub(crate) prefix: Vec<Element>,
    pub(crate) open: bool,
    pub(crate) with: Vec<Element>,
}

impl AllowRule {
    pub(crate) fn matches(&self, argv: &[String]) -> Matched<'_> {
        self.pattern.matches(argv)
    }

    /// Tells whether the rule is about this tool.
    pub(crate) fn is_for(&self, tool: &str) -> bool {
        self.pattern.lead.first().is_some_and(|element| element.matches(tool))
    }

    /// Returns the names of the tools that the rule is about.
    pub(crate) fn tools(&self) -> Vec<String> {
        self.pattern.lead.first().and_then(Element::words).unwrap_or_default()
    }
}

impl DenyRule {
    /// Tells whether the rule denies; the tool is compared by its last path component.
    pub(crate) fn matches(&self, argv: &[String]) -> bool {
        let n_prefix = self.prefix.len();
        if argv.len() < n_prefix || (!self.open && argv.len() > n_prefix) {
            return false;
        }
        let (compared, rest) = argv.split_at(n_prefix);
        let same =
            self.prefix.iter().zip(compared).enumerate().all(|(idx, (element, argument))| {
                let argument = if idx == 0 { base_name(argument) } else { argument };
                element.matches_dashed(argument)
            });
        let met = |argument: &String| self.with.iter().any(|with| with.matches_dashed(argument));
        same && (self.with.is_empty() || rest.iter().any(met))
    }
}

fn base_name(tool: &str) -> &str {
    tool.rsplit('/').next().unwrap_or(tool)
}

/// Parses one `[[allow]]`; `None`, with problems, when it means nothing.
pub(crate) fn parse_allow(
    reading: &Reading<'_>,
    mut table: TableReader<'_, '_>,
    problems: &mut Problems<'_>,
) -> Option<AllowRule> {
    let (head, argv) = parse_head(reading.lane, &mut table, "note", problems);
    let words = keep(pattern::parse_argv(&argv.value), &argv, "allow.argv", problems);
    let runs_repository_code = table.boolean("runs_repository_code", problems);
    let arguments = parse_arguments(&mut table, problems);
    table.finish(problems);
    let ((lead, fixed, tail), (options, needs, dashes)) = (words?, arguments?);
    let mut pattern = Pattern { lead, fixed, tail, options, needs, dashes };
    for element in pattern.elements_mut() {
        element.hide(&reading.hidden);
        if !reading.is_known_sound {
            keep(element.check_size(), &argv, "allow", problems)?;
        }
    }
    Some(AllowRule { head: head?, pattern, runs_repository_code: runs_repository_code? })
}

/// Reads `options`, `needs` and `after_dashes`.
fn parse_arguments(
    table: &mut TableReader<'_, '_>,
    problems: &mut Problems<'_>,
) -> Option<(Vec<Opt>, Vec<Opt>, Dashes)> {
    let options = located_list(table, "options", problems);
    let needs = located_list(table, "needs", problems);
    let after = located_list(table, "after_dashes", problems);
    let before_dashes = pattern::parse_options(&options.value);
    let before_dashes = keep(before_dashes, &options, "allow.options", problems);
    let needed = pattern::parse_needs(&needs.value, &options.value);
    let needed = keep(needed, &needs, "allow.needs", problems);
    let after_dashes = pattern::parse_after_dashes(&after.value);
    let after_dashes = keep(after_dashes, &after, "allow.after_dashes", problems);
    let ((options, ends), (after_options, elements)) = (before_dashes?, after_dashes?);
    let dashes = match (after.value.is_empty(), ends) {
        (true, true) => Dashes::EndOptions,
        (true, false) => Dashes::Refused,
        (false, false) => Dashes::HandOver { options: after_options, elements },
        (false, true) => {
            let message = "a rule has `after_dashes` or the option `--`, not both";
            problems.add(&after.span, "allow.after_dashes", message);
            return None;
        }
    };
    Some((options, needed?, dashes))
}

/// Parses one `[[deny]]`; `None`, with problems, when it means nothing.
pub(crate) fn parse_deny(
    reading: &Reading<'_>,
    mut table: TableReader<'_, '_>,
    problems: &mut Problems<'_>,
) -> Option<DenyRule> {
    let (head, argv) = parse_head(reading.lane, &mut table, "reason", problems);
    let (prefix, open) = match argv.value.split_last() {
        Some((last, before)) if last == "..." => (before, true),
        _ => (argv.value.as_slice(), false),
    };
    if prefix.is_empty() && head.is_some() {
        problems.add(&argv.span, "deny.argv", "has no element before `...`");
    }
    let prefix = elements(prefix, &argv, "deny.argv", problems);
    let with = located_list(&mut table, "with", problems);
    if !with.value.is_empty() && !open {
        problems.add(&with.span, "deny.with", "needs `...` at the end of `argv`");
    }
    let with = elements(&with.value, &with, "deny.with", problems);
    if !reading.is_known_sound {
        for element in prefix.iter().chain(&with).flatten() {
            keep(element.check_size(), &argv, "deny", problems)?;
        }
    }
    table.finish(problems);
    let prefix = prefix.filter(|prefix| !prefix.is_empty())?;
    Some(DenyRule { head: head?, prefix, open, with: with? })
}

/// Reads id, `argv`, examples and the note, which only a denial must have.
fn parse_head(
    lane: &str,
    table: &mut TableReader<'_, '_>,
    note_key: &'static str,
    problems: &mut Problems<'_>,
) -> (Option<Head>, Located<Vec<String>>) {
    let id = table.string("id", problems);
    let argv = located_list(table, "argv", problems);
    if argv.value.is_empty() {
        problems.add(&argv.span, &table.field("argv"), "is missing or empty");
    }
    let mut examples = |key| {
        let lists = table.lists(key, problems);
        if lists.is_empty() {
            problems.add(table.span(), &table.field(key), "needs an example");
        }
        lists.into_iter().map(|list| list.value).collect()
    };
    let matching = examples("match");
    let not_matching = examples("not_match");
    let note = match note_key {
        "reason" => table.string(note_key, problems),
        _ => table.string_if_any(note_key, problems),
    };
    let Some(id) = id else { return (None, argv) };
    if carnet_core::LaneName::new(&id.value).is_err() {
        let message = format!("must be 1 to 64 of `a-z`, `0-9` and inner `-`, not `{}`", id.value);
        problems.add(&id.span, &table.field("id"), message);
        return (None, argv);
    }
    let line = problems.line(&id.span);
    let head = Head {
        full_id: format!("{lane}/{}", id.value),
        location: format!("{}:{line}", problems.file()),
        line,
        command: argv.value.clone(),
        note: note.map(|note| note.value),
        examples: Examples { matching, not_matching },
    };
    (Some(head), argv)
}

/// Reads a list of strings together with the place of its first item.
fn located_list(
    table: &mut TableReader<'_, '_>,
    key: &'static str,
    problems: &mut Problems<'_>,
) -> Located<Vec<String>> {
    let items = table.strings(key, problems);
    let span = items.first().map_or_else(|| table.span().clone(), |item| item.span.clone());
    let mut value: Vec<String> = items.into_iter().map(|item| item.value).collect();
    if value.len() > ELEMENTS_MAX {
        problems.add(&span, &table.field(key), format!("has more than {ELEMENTS_MAX} entries"));
        value.truncate(ELEMENTS_MAX);
    }
    Located { value, span }
}

fn elements(
    texts: &[String],
    list: &Located<Vec<String>>,
    field: &str,
    problems: &mut Problems<'_>,
) -> Option<Vec<Element>> {
    let parsed = texts.iter().map(|text| Element::parse(text)).collect::<Result<Vec<_>, _>>();
    keep(parsed, list, field, problems)
}

/// Turns an error into a problem at the list's place.
fn keep<T>(
    parsed: Result<T, String>,
    list: &Located<Vec<String>>,
    field: &str,
    problems: &mut Problems<'_>,
) -> Option<T> {
    // An empty `argv` was reported already, by name.
    let empty = list.value.is_empty();
    parsed
        .map_err(|message| {
            if !empty {
                problems.add(&list.span, field, message)
            }
        })
        .ok()
}
