//! Dates of birth.
use std::ops::Range;

use super::{
    Kind, Met, Profile, Tier,
    checks::is_day,
    context::Text,
    numbers::{begins_at, ends_at, run},
};

const BIRTH_WORDS: &[&str] = &[
    "dob",
    "date of birth",
    "birth",
    "born",
    "birthday",
    "geburtsdatum",
    "geboren",
    "geb.",
    "né le",
    "née le",
    "naissance",
    "nacimiento",
    "nascita",
    "nato",
    "nascimento",
    "geboortedatum",
];
const MONTHS: &[&str] =
    &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Dates of birth: a day of 1900 to 2025 beside a word that speaks of birth.
pub(crate) fn birth(text: &Text<'_>, start: usize, profile: Profile, add: &mut impl FnMut(Met)) {
    let bytes = text.bytes;
    let Some(range) =
        date(bytes, start).filter(|range| ends_at(bytes, range.end) || bytes[range.end] == b'T')
    else {
        return;
    };
    let Some(distance) = text.nearest(&range, BIRTH_WORDS) else { return };
    let tier = match profile {
        Profile::Outbound => Tier::Certain,
        Profile::Commit if distance < 16 => Tier::Likely,
        Profile::Commit => Tier::Weak,
    };
    add(Met::new(Kind::BIRTH, range, tier, distance));
}

/// Reads a date whose first digit stands at `start`; a month's name may stand before it.
fn date(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let first = run(bytes, start);
    let separator = *bytes.get(first.end)?;
    let year = |it: &Range<usize>| {
        it.len() == 4
            && (1900..=2025).contains(
                &bytes[it.clone()].iter().fold(0, |sum, it| sum * 10 + u32::from(it - b'0')),
            )
    };
    let number =
        |it: &Range<usize>| bytes[it.clone()].iter().map(|it| it - b'0').collect::<Vec<u8>>();
    let is_short = |it: &Range<usize>| (1..=2).contains(&it.len());
    if !begins_at(bytes, start) {
        return None;
    }
    if matches!(separator, b'-' | b'/' | b'.') {
        let second = run(bytes, first.end + 1);
        let third =
            (bytes.get(second.end) == Some(&separator)).then(|| run(bytes, second.end + 1))?;
        let is_date = if year(&first) {
            is_short(&third) && is_short(&second) && is_day(&number(&second), &number(&third))
        } else {
            let (a, b) = (number(&first), number(&second));
            let is_year = year(&third) || third.len() == 2;
            is_short(&first) && is_short(&second) && is_year && (is_day(&a, &b) || is_day(&b, &a))
        };
        return is_date.then_some(start..third.end);
    }
    // `12 March 1985`, `12th of March 1985`; `March 12, 1985`.
    let mut at = first.end;
    if is_short(&first) {
        let suffix =
            bytes.get(at..at + 2).is_some_and(|it| [&b"st"[..], b"nd", b"rd", b"th"].contains(&it));
        at += if suffix { 2 } else { 0 };
        let before = &bytes[start.saturating_sub(12)..start];
        if let Some(name) = before.strip_suffix(b" ").and_then(month_ending) {
            let gap = bytes[at..].iter().take(2).take_while(|it| b", ".contains(it)).count();
            let last = run(bytes, at + gap);
            return (gap > 0 && year(&last)).then_some(start - 1 - name..last.end);
        }
        at += usize::from(bytes.get(at) == Some(&b'.'));
        at += usize::from(bytes.get(at) == Some(&b' '));
        at += if bytes[at..].starts_with(b"of ") { 3 } else { 0 };
        let name = bytes[at..].iter().take(10).take_while(|it| it.is_ascii_alphabetic()).count();
        let is_month = name >= 3
            && MONTHS.iter().any(|it| bytes[at..at + 3].eq_ignore_ascii_case(it.as_bytes()));
        at += name;
        let gap = bytes[at..].iter().take(2).take_while(|it| b"., ".contains(it)).count();
        let last = run(bytes, at + gap);
        return (is_month && gap > 0 && year(&last)).then_some(start..last.end);
    }
    None
}

/// Returns how long the name of a month is that `text` ends with.
fn month_ending(text: &[u8]) -> Option<usize> {
    let len = text.iter().rev().take_while(|it| it.is_ascii_alphabetic() || **it == b'.').count();
    let name = &text[text.len() - len..];
    (len >= 3 && MONTHS.iter().any(|it| name[..3].eq_ignore_ascii_case(it.as_bytes())))
        .then_some(len)
}
