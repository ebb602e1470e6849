//! The `licences` section of `policy/content.toml`: which licences may be where.
//!
//! Lists hold SPDX expressions. A licence is the set of versions that it lets one choose from, so that `GPL-2.0-or-later`
//! meets an allow list of `GPL-2.0-only`, and is denied only when every version of it is. An exception only gives more
//! freedom: where a licence is allowed, so it is with any exception; where it is denied, it may be allowed with one.
//!
//! Without the section nothing is judged. The form is described in `docs/format/licence.md`.

use carnet_core::{
    Decision, LicenseExpression, LicenseTerm, Timestamp, license_family, listed_expression,
};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::{
    problem::Problems,
    reader::{Located, TableReader},
};

const ENTRIES_MAX: usize = 1000;

/// Which licences may be where.
#[derive(Debug, Clone, Default)]
pub struct LicencePolicy {
    lists: Lists,
    modified: Option<Decision>,
    unknown: Option<Decision>,
    classes: Vec<Class>,
    header: Option<HeaderRule>,
    waivers: Vec<Waiver>,
}

/// Licences by what is decided of them. An empty allow list allows what no other list names.
#[derive(Debug, Clone, Default)]
struct Lists {
    allow: Option<Vec<LicenseTerm>>,
    review: Option<Vec<LicenseTerm>>,
    deny: Option<Vec<LicenseTerm>>,
}

/// Paths with lists of their own; a list that is not given is the general one.
#[derive(Debug, Clone)]
struct Class {
    name: String,
    paths: GlobSet,
    lists: Lists,
}

/// Files that must say their licence.
#[derive(Debug, Clone)]
pub struct HeaderRule {
    paths: GlobSet,
    except: GlobSet,
    /// What the header must say.
    pub expression: String,
    /// Who holds the copyright, for headers that carnet writes.
    pub copyright: Option<String>,
}

/// Licences accepted in some paths, with a reason, until a day.
#[derive(Debug, Clone)]
struct Waiver {
    licences: Vec<LicenseTerm>,
    paths: GlobSet,
    reason: String,
    until: String,
    location: String,
}

/// What was found of a licence in one content.
#[derive(Debug, Clone, Copy)]
pub struct LicenceClaim<'c> {
    /// The SPDX expression; what it does not parse as one is unknown.
    pub expression: &'c str,
    /// It is a known text with other words.
    pub is_modified: bool,
    /// It is a tag: what a missing header would be.
    pub is_tag: bool,
}

/// What is wrong with a licence, and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenceFault {
    /// `licence-denied`, `licence-review`, `licence-unlisted`, `licence-modified`, `licence-unknown` or `licence-header`.
    pub rule: &'static str,
    /// Warn or deny.
    pub decision: Decision,
    /// A lowercase fragment saying what was met.
    pub message: String,
    /// Which of the claims; `None` when the file as a whole is meant.
    pub claim_idx: Option<usize>,
}

impl LicencePolicy {
    /// Tells whether nothing is ever at fault.
    pub fn is_empty(&self) -> bool {
        let lists = |lists: &Lists| {
            [&lists.allow, &lists.review, &lists.deny]
                .iter()
                .all(|list| list.as_ref().is_none_or(Vec::is_empty))
        };
        let quiet = |decision: Option<Decision>| {
            decision.is_none_or(|decision| decision == Decision::Allow)
        };
        lists(&self.lists)
            && self.classes.iter().all(|class| lists(&class.lists))
            && quiet(self.modified)
            && quiet(self.unknown)
            && self.header.is_none()
    }

    /// Returns the rule of headers.
    pub fn header(&self) -> Option<&HeaderRule> {
        self.header.as_ref()
    }

    /// Returns the name of the class that a path is in.
    pub fn class_of(&self, path: &str) -> &str {
        self.classes
            .iter()
            .find(|class| class.paths.is_match(path))
            .map_or("own", |class| &class.name)
    }

    /// Judges what was found in one content.
    ///
    /// - `path`: where it lies, or the name of an artifact; decides class, waivers and the header rule.
    /// - `n_unknown`: declarations that name no known licence.
    pub fn judge(
        &self,
        path: &str,
        claims: &[LicenceClaim<'_>],
        n_unknown: usize,
        now: Timestamp,
    ) -> Vec<LicenceFault> {
        let class = self.classes.iter().find(|class| class.paths.is_match(path));
        let mut faults = Vec::new();
        for (idx, claim) in claims.iter().enumerate() {
            let fault = self.fault_of(path, class, claim, now);
            faults.extend(fault.map(|(rule, decision, message)| LicenceFault {
                rule,
                decision,
                message,
                claim_idx: Some(idx),
            }));
        }
        if let Some(decision) = self.unknown.filter(|_| n_unknown > 0)
            && decision != Decision::Allow
        {
            let message = "a manifest names no known licence".to_owned();
            faults.push(LicenceFault {
                rule: "licence-unknown",
                decision,
                message,
                claim_idx: None,
            });
        }
        if let Some(header) = &self.header
            && header.applies(path)
            && !claims.iter().any(|claim| claim.is_tag && header.is_said_by(claim.expression))
        {
            let message = format!("no header says `{}`", header.expression);
            faults.push(LicenceFault {
                rule: "licence-header",
                decision: Decision::Deny,
                message,
                claim_idx: None,
            });
        }
        faults
    }

    fn fault_of(
        &self,
        path: &str,
        class: Option<&Class>,
        claim: &LicenceClaim<'_>,
        now: Timestamp,
    ) -> Option<(&'static str, Decision, String)> {
        let shown = crate::show(claim.expression);
        let Some(expression) = listed_expression(claim.expression) else {
            let decision = self.unknown.filter(|decision| *decision != Decision::Allow)?;
            return Some(("licence-unknown", decision, format!("`{shown}` is no known licence")));
        };
        let of_class = class.map(|class| &class.lists);
        let list = |pick: fn(&Lists) -> &Option<Vec<LicenseTerm>>| -> &[LicenseTerm] {
            of_class
                .and_then(|lists| pick(lists).as_deref())
                .or(pick(&self.lists).as_deref())
                .unwrap_or_default()
        };
        let (allow, review, deny) =
            (list(|lists| &lists.allow), list(|lists| &lists.review), list(|lists| &lists.deny));
        let waived =
            |term: &LicenseTerm| self.waivers.iter().any(|waiver| waiver.holds(path, term, now));
        let denied = |term: &LicenseTerm| {
            !waived(term)
                && deny.iter().any(|entry| denies(entry, term))
                && !allow.iter().any(|entry| is_named(entry, term))
        };
        let reviewed =
            |term: &LicenseTerm| !waived(term) && review.iter().any(|entry| meets(entry, term));
        let listed = |term: &LicenseTerm| {
            waived(term) || allow.is_empty() || allow.iter().any(|entry| meets(entry, term))
        };
        let place = class.map_or(String::new(), |class| format!(" in {} files", class.name));
        let expired = self.waivers.iter().find(|waiver| {
            now.day() > waiver.until
                && waiver.paths.is_match(path)
                && expression
                    .terms()
                    .iter()
                    .any(|term| waiver.licences.iter().any(|entry| meets(entry, term)))
        });
        let more = expired.map_or(String::new(), |waiver| {
            format!("; its waiver ({}) ran out on {}", waiver.location, waiver.until)
        });
        if !expression.holds(&mut |term| !denied(term)) {
            return Some((
                "licence-denied",
                Decision::Deny,
                format!("`{shown}` is denied{place}{more}"),
            ));
        }
        if !expression.holds(&mut |term| !denied(term) && (listed(term) || reviewed(term))) {
            return Some((
                "licence-unlisted",
                Decision::Deny,
                format!("`{shown}` is not on the allow list{place}{more}"),
            ));
        }
        if !expression.holds(&mut |term| !denied(term) && listed(term) && !reviewed(term)) {
            return Some((
                "licence-review",
                Decision::Warn,
                format!("`{shown}` is to be reviewed{place}{more}"),
            ));
        }
        let modified =
            self.modified.filter(|decision| claim.is_modified && *decision != Decision::Allow)?;
        Some((
            "licence-modified",
            modified,
            format!("the text of `{shown}` has other words than the licence"),
        ))
    }

    /// Returns why a waiver lets a licence be, as `reason (file:line)`.
    pub fn waived_by(&self, path: &str, expression: &str, now: Timestamp) -> Option<String> {
        let expression = listed_expression(expression)?;
        let terms = expression.terms();
        let holds = |waiver: &&Waiver| terms.iter().any(|term| waiver.holds(path, term, now));
        self.waivers
            .iter()
            .find(holds)
            .map(|waiver| format!("{} ({})", waiver.reason, waiver.location))
    }

    /// Returns the waivers that ran out, as `file:line` with the day.
    pub fn expired_waivers(&self, now: Timestamp) -> Vec<String> {
        let expired = self.waivers.iter().filter(|waiver| now.day() > waiver.until);
        expired
            .map(|waiver| format!("{}: the waiver ran out on {}", waiver.location, waiver.until))
            .collect()
    }
}

impl HeaderRule {
    /// Tells whether a file must have the header.
    pub fn applies(&self, path: &str) -> bool {
        self.paths.is_match(path) && !self.except.is_match(path)
    }

    fn is_said_by(&self, expression: &str) -> bool {
        listed_expression(expression) == listed_expression(&self.expression)
    }
}

impl Waiver {
    fn holds(&self, path: &str, term: &LicenseTerm, now: Timestamp) -> bool {
        now.day() <= self.until
            && self.paths.is_match(path)
            && self.licences.iter().any(|entry| meets(entry, term))
    }
}

/// The versions that a licence lets one choose from.
struct Versions<'t> {
    family: &'t str,
    version: Vec<u32>,
    later: bool,
}

fn versions(term: &LicenseTerm) -> Versions<'_> {
    let later = term.plus || term.id.ends_with("-or-later");
    let id = term
        .id
        .strip_suffix("-or-later")
        .or_else(|| term.id.strip_suffix("-only"))
        .unwrap_or(&term.id);
    let family = license_family(id);
    let rest = id[family.len()..].trim_start_matches('-');
    let numbers: Option<Vec<u32>> = rest.split('.').map(|number| number.parse().ok()).collect();
    match numbers {
        // Trailing zeros say nothing: 2 is 2.0.
        Some(mut version) if !rest.is_empty() => {
            while version.last() == Some(&0) {
                version.pop();
            }
            Versions { family, version, later }
        }
        // What has no plain version number stands for itself: `BSD-3-Clause`, `LPPL-1.3c`.
        _ => Versions { family: id, version: Vec::new(), later },
    }
}

/// Tells whether one of the versions that `term` offers is one that `entry` names.
fn meets(entry: &LicenseTerm, term: &LicenseTerm) -> bool {
    if entry.exception.is_some() && entry.exception != term.exception {
        return false;
    }
    let (a, b) = (versions(entry), versions(term));
    a.family == b.family
        && match (a.later, b.later) {
            (true, true) => true,
            (true, false) => b.version >= a.version,
            (false, true) => a.version >= b.version,
            (false, false) => a.version == b.version,
        }
}

/// Tells whether every version that `term` offers is one that `entry` names.
fn denies(entry: &LicenseTerm, term: &LicenseTerm) -> bool {
    if entry.exception.is_some() && entry.exception != term.exception {
        return false;
    }
    let (a, b) = (versions(entry), versions(term));
    a.family == b.family
        && match (a.later, b.later) {
            (true, _) => b.version >= a.version,
            (false, true) => false,
            (false, false) => a.version == b.version,
        }
}

/// Tells whether `entry` allows just this exception.
fn is_named(entry: &LicenseTerm, term: &LicenseTerm) -> bool {
    entry.exception.is_some() && meets(entry, term)
}

/// Reads the section.
pub(crate) fn read(
    mut table: TableReader<'_, '_>,
    problems: &mut Problems<'_>,
) -> Option<LicencePolicy> {
    let lists = read_lists(&mut table, problems);
    let modified = decision(&mut table, "modified", problems);
    let unknown = decision(&mut table, "unknown", problems);
    let header =
        table.table_if_any("header", problems).and_then(|table| read_header(table, problems));
    let classes = bounded(&mut table, "class", problems).into_iter();
    let classes: Vec<Class> = classes.filter_map(|table| read_class(table, problems)).collect();
    let waivers = bounded(&mut table, "waiver", problems).into_iter();
    let waivers: Vec<Waiver> = waivers.filter_map(|table| read_waiver(table, problems)).collect();
    table.finish(problems);
    Some(LicencePolicy { lists, modified, unknown, classes, header, waivers })
}

fn bounded<'t, 'i>(
    table: &mut TableReader<'t, 'i>,
    key: &'static str,
    problems: &mut Problems<'_>,
) -> Vec<TableReader<'t, 'i>> {
    let mut tables = table.tables(key, problems);
    if let Some(first_over) = tables.get(ENTRIES_MAX) {
        problems.add(first_over.span(), &table.field(key), format!("more than {ENTRIES_MAX}"));
        tables.truncate(ENTRIES_MAX);
    }
    tables
}

fn read_lists(table: &mut TableReader<'_, '_>, problems: &mut Problems<'_>) -> Lists {
    let mut list = |key| {
        let is_given = table.take(key).is_some();
        let entries = table.strings(key, problems);
        is_given.then(|| terms(&entries, &table.field(key), problems))
    };
    Lists { allow: list("allow"), review: list("review"), deny: list("deny") }
}

/// Reads entries of a list; `A OR B` is two of them.
fn terms(
    entries: &[Located<String>],
    field: &str,
    problems: &mut Problems<'_>,
) -> Vec<LicenseTerm> {
    let mut all = Vec::new();
    for entry in entries {
        match listed_expression(&entry.value) {
            Some(LicenseExpression::And(_)) => {
                problems.add(
                    &entry.span,
                    field,
                    "`AND` has no meaning in a list: name the licences one by one",
                );
            }
            Some(expression) => all.extend(expression.terms().into_iter().cloned()),
            None => {
                let message = format!(
                    "`{}` is no licence expression of the SPDX list",
                    crate::show(&entry.value)
                );
                problems.add(&entry.span, field, message);
            }
        }
    }
    all
}

fn decision(
    table: &mut TableReader<'_, '_>,
    key: &'static str,
    problems: &mut Problems<'_>,
) -> Option<Decision> {
    let word = table.string_if_any(key, problems)?;
    let decision = match word.value.as_str() {
        "allow" => Decision::Allow,
        "warn" => Decision::Warn,
        "deny" => Decision::Deny,
        other => {
            let message =
                format!("must be one of `allow`, `warn`, `deny`, not `{}`", crate::show(other));
            problems.add(&word.span, &table.field(key), message);
            return None;
        }
    };
    Some(decision)
}

fn read_header(mut table: TableReader<'_, '_>, problems: &mut Problems<'_>) -> Option<HeaderRule> {
    let expression = table.string("expression", problems);
    let copyright = table.string_if_any("copyright", problems).map(|copyright| copyright.value);
    let paths = read_paths(&mut table, "paths", problems);
    let except = table.strings("except", problems);
    let except = globs(&except, &table.field("except"), problems);
    table.finish(problems);
    let expression = expression?;
    let Some(known) = listed_expression(&expression.value) else {
        let message = format!(
            "`{}` is no licence expression of the SPDX list",
            crate::show(&expression.value)
        );
        problems.add(&expression.span, "licences.header.expression", message);
        return None;
    };
    Some(HeaderRule { paths: paths?, except: except?, expression: known.to_string(), copyright })
}

fn read_class(mut table: TableReader<'_, '_>, problems: &mut Problems<'_>) -> Option<Class> {
    let name = table.string("name", problems);
    let paths = read_paths(&mut table, "paths", problems);
    let lists = read_lists(&mut table, problems);
    table.finish(problems);
    let name = name?;
    if !["own", "vendored", "generated", "docs"].contains(&name.value.as_str()) {
        let message = format!(
            "must be one of `own`, `vendored`, `generated`, `docs`, not `{}`",
            crate::show(&name.value)
        );
        problems.add(&name.span, "licences.class.name", message);
        return None;
    }
    Some(Class { name: name.value, paths: paths?, lists })
}

fn read_waiver(mut table: TableReader<'_, '_>, problems: &mut Problems<'_>) -> Option<Waiver> {
    let licences = table.strings("licences", problems);
    if licences.is_empty() {
        problems.add(table.span(), &table.field("licences"), "is missing or empty");
    }
    let licences = terms(&licences, &table.field("licences"), problems);
    let paths = read_paths(&mut table, "paths", problems);
    let reason = table.string("reason", problems);
    let until = table.day("until", problems);
    let line = problems.line(table.span());
    table.finish(problems);
    let location = format!("{}:{line}", problems.file());
    Some(Waiver { licences, paths: paths?, reason: reason?.value, until: until?, location })
}

fn read_paths(
    table: &mut TableReader<'_, '_>,
    key: &'static str,
    problems: &mut Problems<'_>,
) -> Option<GlobSet> {
    let paths = table.strings(key, problems);
    if paths.is_empty() {
        problems.add(table.span(), &table.field(key), "is missing or empty");
    }
    globs(&paths, &table.field(key), problems)
}

fn globs(globs: &[Located<String>], field: &str, problems: &mut Problems<'_>) -> Option<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        match GlobBuilder::new(&glob.value).literal_separator(true).build() {
            Ok(built) => drop(set.add(built)),
            Err(error) => {
                problems.add(&glob.span, field, format!("no glob: {}", error.kind()));
                return None;
            }
        }
    }
    set.build().ok()
}

#[cfg(test)]
#[path = "licence_tests.rs"]
mod tests;
