//! Licences that are named: by name and version, by address, by a short name where the talk is of licensing.

use std::{collections::BTreeSet, ops::Range};

use super::{Detection, LicenceKind, Words, index::Index};

/// Families that may stand side by side before they are a list.
const LIST_FAMILIES: usize = 4;
/// Words before a name in which something is put under it.
const GRANT_WORDS: usize = 8;
/// Words between the names of a list.
const LIST_GAP_WORDS: usize = 12;
/// Words between a name and its version, at most.
const FILLERS_MAX: usize = 14;
/// Words that may stand there.
const FILLERS: &[&str] = &[
    "license",
    "licenses",
    "as",
    "published",
    "by",
    "the",
    "free",
    "software",
    "foundation",
    "fsf",
    "inc",
    "either",
    "gpl",
    "lgpl",
    "agpl",
    "gfdl",
    "fdl",
    "mpl",
    "epl",
    "cpl",
    "cddl",
    "afl",
    "osl",
    "only",
    "in",
    "general",
    "public",
    "library",
    "lesser",
    "texts",
    "text",
    "html",
    "txt",
    "licence",
    "cc",
    "international",
    "terms",
    "under",
    "unported",
    "generic",
    "this",
];
const VERSION_WORDS: &[&str] = &["version", "versions", "ver", "v", "vers", "revision", "rev"];
const LATER_WORDS: &[&str] = &[
    "later",
    "newer",
    "higher",
    "greater",
    "above",
    "subsequent",
    "latest",
    "superior",
    "up",
    "upper",
];
/// Words between "or" and "later".
const OPTION_WORDS: &[&str] = &[
    "at",
    "your",
    "option",
    "any",
    "its",
    "the",
    "version",
    "versions",
    "if",
    "you",
    "wish",
    "prefer",
    "s",
    "all",
    "choice",
    "opinion",
    "discretion",
    "a",
    "our",
    "their",
    "gnu",
    "gpl",
    "license",
    "of",
    "that",
];
/// Words between a version and "or".
const BEFORE_OR_WORDS: &[&str] = &[
    "of",
    "the",
    "license",
    "gnu",
    "general",
    "public",
    "lesser",
    "library",
    "gpl",
    "lgpl",
    "agpl",
    "affero",
    "this",
    "as",
    "published",
    "by",
    "free",
    "software",
    "foundation",
    "inc",
    "fsf",
    "dated",
    "june",
    "july",
    "1991",
    "2007",
    "fdl",
    "documentation",
    "2",
];
/// Words that make a short name a licence's.
const CONTEXT_WORDS: &[&str] = &[
    "license",
    "licenses",
    "licensed",
    "licensing",
    "licensor",
    "copyleft",
    "relicensed",
    "unlicensed",
    "sublicense",
    "copying",
    "spdx",
];

/// A licence that is named.
pub(super) struct Named {
    pub(super) words: Range<usize>,
    pub(super) detection: Detection,
    /// Neither a version nor a full name stands there.
    pub(super) is_loose: bool,
}

struct Reader<'w> {
    index: Index,
    bytes: &'w [u8],
    words: &'w Words,
}

/// Finds names outside of what is claimed already (ordered ranges of words).
pub(super) fn names(
    index: Index,
    bytes: &[u8],
    words: &Words,
    claimed: &[Range<usize>],
) -> Vec<Named> {
    let reader = Reader { index, bytes, words };
    let mut found = Vec::new();
    let mut claimed = claimed.iter().peekable();
    let mut at = 0;
    while at < words.ids.len() {
        if let Some(range) = claimed.next_if(|range| range.start <= at) {
            at = at.max(range.end);
            continue;
        }
        match reader.name(at, found.last().map_or(0, |named: &Named| named.words.end)) {
            Some(named) => {
                at = named.words.end.max(at + 1);
                found.push(named);
            }
            None => at += 1,
        }
    }
    without_lists(found)
}

/// Takes out lists: names that stand side by side, of more families than any work is under.
fn without_lists(found: Vec<Named>) -> Vec<Named> {
    let mut kept = Vec::new();
    let mut run: Vec<Named> = Vec::new();
    let mut finish = |run: &mut Vec<Named>| {
        let families: BTreeSet<&str> = run
            .iter()
            .map(|named| carnet_core::license_family(&named.detection.expression))
            .collect();
        if families.len() <= LIST_FAMILIES {
            kept.append(run);
        }
        run.clear();
    };
    for named in found {
        let follows =
            run.last().is_none_or(|last| named.words.start <= last.words.end + LIST_GAP_WORDS);
        if !follows {
            finish(&mut run);
        }
        run.push(named);
    }
    finish(&mut run);
    kept
}

impl Reader<'_> {
    fn word(&self, at: usize) -> &'static str {
        self.words.ids.get(at).map_or("", |id| self.index.word(*id))
    }

    /// Bytes between a word and the next.
    fn between(&self, at: usize) -> &[u8] {
        let (Some((_, end)), Some((start, _))) =
            (self.words.spans.get(at), self.words.spans.get(at + 1))
        else {
            return &[];
        };
        self.bytes.get(*end as usize..*start as usize).unwrap_or_default()
    }

    fn name(&self, at: usize, last_end: usize) -> Option<Named> {
        if let Some(commons) = self.commons(at) {
            return Some(commons);
        }
        let (n, meaning) = self.index.phrase(&self.words.ids[at..])?;
        let bare = meaning.trim_start_matches(['?', '!']);
        let weak = bare.len() < meaning.len();
        // "the GPL or LGPL": what is joined to a licence is one.
        let is_joined =
            last_end > 0 && at == last_end + 1 && matches!(self.word(last_end), "or" | "and");
        let is_named = if meaning.starts_with('!') {
            self.is_labelled(at)
        } else {
            self.speaks_of_licensing(at, at + n)
        };
        if weak && !is_named && !is_joined || self.is_denied(at, at + n) {
            return None;
        }
        // `doc/LICENSE` and `COPYING.gplv3` are paths.
        let is_path = n == 2 && self.between(at) == b"/"
            || n == 1 && at > 0 && self.between(at - 1) == b"." && self.word(at - 1) == "copying";
        if weak && is_path {
            return None;
        }
        let meaning = bare;
        let parts: Vec<&str> = meaning.split(' ').collect();
        match parts.as_slice() {
            ["L", id] => Some(self.named(at..at + n, id.replace('_', " "), weak || n < 3)),
            ["X", id] => Some(self.named(at..at + n, (*id).to_owned(), false)),
            ["F", family, default, gnu, version @ ..] => self.family(
                at..at + n,
                family,
                default,
                *gnu == "gnu",
                version.first().copied(),
                weak,
            ),
            _ => None,
        }
    }

    fn named(&self, words: Range<usize>, expression: String, is_loose: bool) -> Named {
        // The list's old ids (`GPL-2.0+`) in the form that it gives them today.
        let current = carnet_core::current_license(&expression);
        let listed = carnet_core::listed_expression(current).map(|listed| listed.to_string());
        let detection = Detection {
            expression: listed.unwrap_or_else(|| current.to_owned()),
            kind: if self.grants(words.start) { LicenceKind::Notice } else { LicenceKind::Mention },
            span: self.words.bytes(&words),
            coverage: 1.0,
            deviations: Vec::new(),
        };
        Named { words, detection, is_loose }
    }

    fn family(
        &self,
        name: Range<usize>,
        family: &str,
        default: &str,
        gnu: bool,
        version: Option<&str>,
        weak: bool,
    ) -> Option<Named> {
        let (mut start, mut end) = (name.start, name.end);
        let mut version = version.map(str::to_owned);
        if let Some(digits) = &mut version
            && digits.len() == 1
            && let Some(minor) = self.minor(end - 1)
        {
            *digits = format!("{digits}.{minor}");
            end += 1;
        }
        if version.is_none() {
            if let Some((found, to)) = self.version_after(end) {
                (version, end) = (Some(found), to);
            } else if let Some((found, from)) = self.version_before(start) {
                (version, start) = (Some(found), from);
            }
        }
        let Some(version) = version else {
            return Some(self.named(start..end, default.to_owned(), true));
        };
        let later = self.later(end);
        let later = later.or_else(|| {
            (start < name.start).then(|| self.later_within(start, name.start)).flatten()
        });
        let id = version_id(family, &version, gnu).unwrap_or_else(|| default.to_owned());
        let id = if gnu { carnet_core::gnu_or_later(&id, later.is_some(), None).id } else { id };
        end = end.max(later.unwrap_or(end));
        let _ = weak;
        Some(self.named(start..end, id, false))
    }

    fn number(&self, at: usize) -> Option<&'static str> {
        let word = self.word(at);
        (!word.is_empty() && word.len() <= 2 && word.bytes().all(|byte| byte.is_ascii_digit()))
            .then_some(word)
    }

    /// Number that follows the word at `at` after a single point.
    fn minor(&self, at: usize) -> Option<&'static str> {
        let (_, end) = *self.words.spans.get(at)?;
        let (start, _) = *self.words.spans.get(at + 1)?;
        let is_point =
            start == end + 1 && matches!(self.bytes.get(end as usize), Some(b'.' | b',' | b'-'));
        if is_point { self.number(at + 1) } else { None }
    }

    /// A version at `at` (`2`, `2.1`, `v2`), and where it ends.
    fn version_at(&self, at: usize) -> Option<(String, usize)> {
        let word = self.word(at);
        let major = match word.strip_prefix('v') {
            Some(digits)
                if !digits.is_empty()
                    && digits.len() <= 2
                    && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                digits
            }
            _ => self.number(at)?,
        };
        Some(match self.minor(at) {
            Some(minor) => {
                let mut version = format!("{major}.{minor}");
                let mut end = at + 2;
                if let Some(patch) = self.minor(at + 1) {
                    version = format!("{version}.{patch}");
                    end += 1;
                }
                (version, end)
            }
            None => (major.to_owned(), at + 1),
        })
    }

    fn version_after(&self, from: usize) -> Option<(String, usize)> {
        for at in from..from + FILLERS_MAX {
            let word = self.word(at);
            if VERSION_WORDS.contains(&word) {
                return self.version_at(at + 1);
            }
            let is_bare =
                at == from || at == from + 1 && matches!(self.word(from), "license" | "public");
            if let Some(found) = self.version_at(at)
                && (is_bare || word.starts_with('v'))
            {
                return Some(found);
            }
            if !FILLERS.contains(&word) {
                return None;
            }
        }
        None
    }

    /// `version 2 of the`, `v2 or later of the`: read from its end.
    fn version_before(&self, to: usize) -> Option<(String, usize)> {
        let least = to.saturating_sub(12);
        let is_link = |word: &str| {
            OPTION_WORDS.contains(&word)
                || LATER_WORDS.contains(&word)
                || matches!(word, "or" | "and" | "under" | "terms")
        };
        let mut at = to;
        while at > least && is_link(self.word(at - 1)) {
            at -= 1;
        }
        for start in (least..at).rev().take(3) {
            if let Some((version, end)) = self.version_at(start)
                && end == at
                && (self.word(start).starts_with('v')
                    || start > 0 && VERSION_WORDS.contains(&self.word(start - 1)))
            {
                return Some((version, start));
            }
        }
        None
    }

    fn later(&self, from: usize) -> Option<usize> {
        if self.word(from) == "+" {
            return Some(from + 1);
        }
        let mut at = from;
        while at < from + 16 && BEFORE_OR_WORDS.contains(&self.word(at)) {
            at += 1;
        }
        if !matches!(self.word(at), "or" | "and") {
            return None;
        }
        let mut end = at + 1;
        while end < at + 8 && OPTION_WORDS.contains(&self.word(end)) {
            end += 1;
        }
        LATER_WORDS.contains(&self.word(end)).then_some(end + 1)
    }

    fn later_within(&self, from: usize, to: usize) -> Option<usize> {
        (from..to).any(|at| LATER_WORDS.contains(&self.word(at))).then_some(to)
    }

    fn speaks_of_licensing(&self, start: usize, end: usize) -> bool {
        let near = |at: usize| CONTEXT_WORDS.contains(&self.word(at));
        let before = (start.saturating_sub(4)..start).any(near);
        let after = (end..end + 3).any(near);
        let back = |n: usize| start.checked_sub(n).map_or("", |at| self.word(at));
        let under = matches!(back(1), "under")
            || matches!(back(2), "under") && matches!(back(1), "the" | "a" | "an" | "gnu");
        let terms =
            matches!((back(3), back(2), back(1)), ("terms", "of", "the") | (_, "terms", "of"));
        before || after || under || terms
    }

    /// Tells whether words before the name put something under the licence.
    fn grants(&self, start: usize) -> bool {
        let near = |at: usize| {
            matches!(
                self.word(at),
                "licensed"
                    | "under"
                    | "license"
                    | "licenses"
                    | "released"
                    | "distributed"
                    | "redistribute"
                    | "subject"
                    | "terms"
                    | "module"
            )
        };
        (start.saturating_sub(GRANT_WORDS)..start).any(near)
    }

    /// `License: X`, `<license><name>X`.
    fn is_labelled(&self, at: usize) -> bool {
        let back = |n: usize| at.checked_sub(n).map_or("", |at| self.word(at));
        if back(1) == "license" {
            let between = self.between(at - 1);
            return between.iter().any(|byte| b":=>(\"'".contains(byte))
                && !between.iter().any(|byte| b"./".contains(byte))
                && memchr::memmem::find(between, b"-->").is_none();
        }
        back(2) == "license"
            && matches!(back(1), "name" | "type" | "id" | "expression" | "identifier")
    }

    /// Tells whether the licence is only spoken of: `unlike the GPL`, `use the LGPL instead`, `alum.mit.edu`,
    /// `doesn't mean that we distribute under the GPL`, `not available under the GPL`, `that use the same license as X`.
    fn is_denied(&self, start: usize, end: usize) -> bool {
        let far = start.saturating_sub(12)..start;
        let is_said = |words: &[&str], range: &Range<usize>| {
            range
                .clone()
                .any(|at| words.iter().enumerate().all(|(idx, word)| self.word(at + idx) == *word))
        };
        if is_said(&["t", "mean"], &far)
            || is_said(&["not", "mean"], &far)
            || is_said(&["not", "available", "under"], &far)
            || is_said(&["use", "the", "same", "license", "as"], &(start.saturating_sub(6)..start))
            || is_said(&["based", "upon"], &(start.saturating_sub(2)..start))
            || is_said(&["with", "other", "software"], &far)
            || is_said(&["style", "open", "source", "licenses"], &(end - 1..end + 1))
        {
            return true;
        }
        let near = |at: usize| {
            matches!(
                self.word(at),
                "unlike" | "not" | "incompatible" | "compatible" | "isn" | "than" | "non"
            )
        };
        let before = (start.saturating_sub(3)..start).any(near);
        let after = (end..end + 2).any(|at| {
            matches!(self.word(at), "instead" | "incompatible" | "compatible" | "compatibility")
        });
        before || after || self.word(end) == "edu"
    }

    /// Creative Commons: `creativecommons.org/licenses/by-sa/3.0`, `CC-BY-SA 3.0`, `Creative Commons Attribution 4.0`.
    fn commons(&self, at: usize) -> Option<Named> {
        let from = match (self.word(at), self.word(at + 1), self.word(at + 2)) {
            ("creativecommons", "org", "licenses") => at + 3,
            ("creative", "commons", _) => at + 2,
            ("cc", "by" | "attribution", _) => at + 1,
            _ => return None,
        };
        let (mut by, mut nc, mut nd, mut sa) = (false, false, false, false);
        let mut version = None;
        let mut end = from;
        for at in from..from + 14 {
            match self.word(at) {
                "by" | "attribution" => by = true,
                "nc" | "noncommercial" => nc = true,
                "commercial" if self.word(at.saturating_sub(1)) == "non" => nc = true,
                "nd" | "noderivs" | "noderivatives" | "noderiv" => nd = true,
                "derivatives" | "derivs" | "derivative"
                    if self.word(at.saturating_sub(1)) == "no" =>
                {
                    nd = true
                }
                "sa" | "sharealike" => sa = true,
                "alike" if self.word(at.saturating_sub(1)) == "share" => sa = true,
                "non" | "no" | "share" | "license" | "licenses" | "the" | "works" | "v"
                | "version" | "under" | "a" | "terms" | "cc" => {}
                "international" | "unported" | "generic" | "deed" | "legal" | "code"
                    if version.is_some() =>
                {
                    break;
                }
                _ => match self.version_at(at) {
                    Some((found, to)) => {
                        (version, end) = (Some(found), to);
                        break;
                    }
                    None => break,
                },
            }
            end = at + 1;
        }
        if !by && !sa && !nc {
            return None;
        }
        let parts: String = [(nc, "-NC"), (nd, "-ND"), (sa, "-SA")]
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, part)| *part)
            .collect();
        let is_loose = version.is_none();
        let version = version.unwrap_or_else(|| "4.0".to_owned());
        let wanted = format!("CC-BY{parts}-{version}");
        let id = carnet_core::listed_license(&wanted)
            .or_else(|| carnet_core::listed_license(&format!("{wanted}.0")));
        let id = id.or_else(|| carnet_core::listed_license(&format!("CC-BY{parts}-3.0")))?;
        Some(self.named(at..end, id, is_loose))
    }
}

/// The list's id of a family's version.
fn version_id(family: &str, version: &str, gnu: bool) -> Option<String> {
    let short = version.strip_suffix(".0").unwrap_or(version);
    let wanted = [
        format!("{family}-{version}"),
        format!("{family}-{version}.0"),
        format!("{family}-{short}"),
    ];
    let suffixes: &[&str] = if gnu { &["-only", ""] } else { &[""] };
    let exact =
        wanted.iter().flat_map(|id| suffixes.iter().map(move |suffix| format!("{id}{suffix}")));
    let found = exact.into_iter().find_map(|id| spdx::license_id(&id));
    let prefixed = || {
        let prefix = format!("{family}-{version}");
        spdx::identifiers::LICENSES
            .iter()
            .find(|known| known.name.starts_with(&prefix))
            .map(|known| known.name)
    };
    found.map(|known| known.name).or_else(prefixed).map(str::to_owned)
}
