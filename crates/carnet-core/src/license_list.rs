//! Licence expressions in the ids of the SPDX list.

use crate::{LicenseExpression, LicenseTerm};

/// Reads an expression as people write it (`GPL-2.0+`, `mit`, `MIT/Apache-2.0`) and returns it with the list's ids.
///
/// `None` when it is no expression, or names what the SPDX list does not know; a `LicenseRef-…` is known by itself.
pub fn listed_expression(text: &str) -> Option<LicenseExpression> {
    let parsed = LicenseExpression::parse(text).ok()?;
    let mut is_known = true;
    let known = parsed.map(&mut |term| {
        term_of(&term).unwrap_or_else(|| {
            is_known = false;
            term
        })
    });
    is_known.then_some(known)
}

fn term_of(term: &LicenseTerm) -> Option<LicenseTerm> {
    let exception = match &term.exception {
        Some(exception) => Some(exception_id(exception)?),
        None => None,
    };
    let id = listed_license(&term.id)?;
    Some(gnu_or_later(&id, term.plus, exception))
}

/// Returns the list's id, whatever its case, or of a name that is commonly written for it.
pub fn listed_license(id: &str) -> Option<String> {
    if id.starts_with("LicenseRef-") || id.starts_with("DocumentRef-") {
        return Some(id.to_owned());
    }
    if let Some(known) = spdx::license_id(id) {
        return Some(known.name.to_owned());
    }
    let same = spdx::identifiers::LICENSES.iter().find(|known| known.name.eq_ignore_ascii_case(id));
    if let Some(known) = same {
        return Some(known.name.to_owned());
    }
    let (known, len) = spdx::imprecise_license_id(id)?;
    (len == id.len()).then(|| known.name.to_owned())
}

fn exception_id(id: &str) -> Option<String> {
    if id.starts_with("AdditionRef-") {
        return Some(id.to_owned());
    }
    let same =
        spdx::identifiers::EXCEPTIONS.iter().find(|known| known.name.eq_ignore_ascii_case(id));
    same.map(|known| known.name.to_owned())
}

/// Makes a term: GNU licences say "or later" in their ids, all others by `+`. A GNU id that says neither is `-only`.
pub fn gnu_or_later(id: &str, plus: bool, exception: Option<String>) -> LicenseTerm {
    let is_gnu = ["GPL-", "LGPL-", "AGPL-", "GFDL-"].iter().any(|family| id.starts_with(family));
    if !is_gnu {
        return LicenseTerm { id: id.to_owned(), plus, exception };
    }
    let base = id.strip_suffix("-only").or_else(|| id.strip_suffix("-or-later")).unwrap_or(id);
    let later = plus || id.ends_with("-or-later");
    let made = format!("{base}-{}", if later { "or-later" } else { "only" });
    let id = if spdx::license_id(&made).is_some() { made } else { id.to_owned() };
    LicenseTerm { id, plus: false, exception }
}

/// What deprecated ids mean today.
const DEPRECATED: &[(&str, &str)] = &[
    ("AGPL-1.0", "AGPL-1.0-only"),
    ("AGPL-3.0", "AGPL-3.0-only"),
    ("BSD-2-Clause-FreeBSD", "BSD-2-Clause"),
    ("BSD-2-Clause-NetBSD", "BSD-2-Clause"),
    ("bzip2-1.0.5", "bzip2-1.0.6"),
    ("eCos-2.0", "GPL-2.0-or-later WITH eCos-exception-2.0"),
    ("GPL-2.0-with-autoconf-exception", "GPL-2.0-only WITH Autoconf-exception-2.0"),
    ("GPL-2.0-with-bison-exception", "GPL-2.0-only WITH Bison-exception-2.2"),
    ("GPL-2.0-with-classpath-exception", "GPL-2.0-only WITH Classpath-exception-2.0"),
    ("GPL-2.0-with-font-exception", "GPL-2.0-only WITH Font-exception-2.0"),
    ("GPL-2.0-with-GCC-exception", "GPL-2.0-only WITH GCC-exception-2.0"),
    ("GPL-3.0-with-autoconf-exception", "GPL-3.0-only WITH Autoconf-exception-3.0"),
    ("GPL-3.0-with-GCC-exception", "GPL-3.0-only WITH GCC-exception-3.1"),
    ("Net-SNMP", "Net-SNMP"),
    ("StandardML-NJ", "SMLNJ"),
    ("wxWindows", "LGPL-2.0-or-later WITH WxWindows-exception-3.1"),
];

/// Returns what an id of the list means today, where the list has deprecated it.
pub fn current_license(id: &str) -> &str {
    DEPRECATED.iter().find(|(old, _)| *old == id).map_or(id, |(_, new)| new)
}

/// Returns the id without its version: `GPL` of `GPL-2.0-only`, `CC-BY-SA` of `CC-BY-SA-3.0`.
pub fn license_family(id: &str) -> &str {
    let end = id
        .match_indices('-')
        .find(|(at, _)| id[at + 1..].starts_with(|first: char| first.is_ascii_digit()));
    end.map_or(id, |(at, _)| &id[..at])
}
