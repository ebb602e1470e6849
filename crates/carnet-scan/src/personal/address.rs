//! Postal addresses: street and number, before or after, with the town and its code.
use std::ops::Range;

use super::{
    Kind, Met, Profile, Tier,
    context::Text,
    numbers::{begins_at, ends_at, run},
};

const STREETS: &[&str] = &[
    "street",
    "st",
    "avenue",
    "ave",
    "road",
    "rd",
    "boulevard",
    "blvd",
    "lane",
    "ln",
    "drive",
    "dr",
    "court",
    "ct",
    "way",
    "place",
    "pl",
    "square",
    "sq",
    "terrace",
    "parkway",
    "pkwy",
    "highway",
    "hwy",
    "circle",
    "cir",
    "close",
    "crescent",
];
const STREETS_BEFORE: &[&str] =
    &["rue", "avenue", "boulevard", "place", "chemin", "allée", "impasse", "quai", "via"];
const ADDRESS_WORDS: &[&str] = &[
    "address",
    "street",
    "lives at",
    "live at",
    "residence",
    "resides",
    "shipping",
    "billing",
    "ship to",
    "deliver",
    "adresse",
    "anschrift",
    "wohnhaft",
    "wohnt",
    "dirección",
    "direccion",
    "domicile",
    "home",
    "mailing",
];

/// Postal addresses that begin with the number of a house: `221 Baker Street, Springfield, IL 62704`.
pub(crate) fn address(
    text: &Text<'_>,
    number: &Range<usize>,
    profile: Profile,
    add: &mut impl FnMut(Met),
) {
    let bytes = text.bytes;
    if !begins_at(bytes, number.start) || bytes[number.start] == b'0' {
        return;
    }
    let mut at = number.end + 1;
    let mut street = None;
    for idx in 0..6 {
        let len = bytes[at..]
            .iter()
            .take(24)
            .take_while(|it| it.is_ascii_alphabetic() || **it == b'\'' || !it.is_ascii())
            .count();
        let word = &bytes[at..at + len];
        let is_in = |list: &[&str]| list.iter().any(|it| word.eq_ignore_ascii_case(it.as_bytes()));
        let is_name = word.first().is_some_and(|it| it.is_ascii_uppercase() || !it.is_ascii());
        if len == 0 || !(is_name || idx > 0 && len <= 3 || idx == 0 && is_in(STREETS_BEFORE)) {
            break;
        }
        at += len;
        if idx > 0 && is_name && is_in(STREETS) {
            street = Some((at, false));
        } else if idx == 0 && is_in(STREETS_BEFORE) && bytes.get(at) == Some(&b' ') {
            street = Some((at, true));
        } else if let Some((end, true)) = &mut street {
            *end = at;
        }
        at += usize::from(bytes.get(at) == Some(&b'.'));
        if bytes.get(at) != Some(&b' ') {
            break;
        }
        at += 1;
    }
    let Some((end, _)) = street else { return };
    let place = place_after(bytes, end);
    let range = number.start..place.unwrap_or(end);
    let is_spoken_of = text.nearest(&range, ADDRESS_WORDS).is_some();
    let tier = match (place, is_spoken_of, profile) {
        (_, _, Profile::Commit) if text.is_of_an_office(&range) => Tier::Weak,
        (Some(_), true, _) => Tier::Certain,
        (Some(_), false, _) => Tier::Likely,
        (None, true, Profile::Outbound) => Tier::Likely,
        _ => Tier::Weak,
    };
    add(Met::new(Kind::ADDRESS, range, tier, 0));
}

/// Returns where a town with its postal code ends, which stands within 60 bytes after a street.
fn place_after(bytes: &[u8], street_end: usize) -> Option<usize> {
    let tail = &bytes[street_end..(street_end + 64).min(bytes.len())];
    let comma = tail.iter().position(|it| matches!(it, b',' | b'\n')).filter(|at| *at < 16)?;
    let mut at = comma;
    while let Some(n) = tail[at..].iter().position(u8::is_ascii_digit) {
        let code = run(tail, at + n);
        let is_code = code.len() == 5 || (code.len() == 4 && tail[code.end..].starts_with(b" "));
        let between = &tail[comma + 1..code.start];
        let is_town = between
            .iter()
            .all(|it| it.is_ascii_alphabetic() || b" ,.\n'-".contains(it) || !it.is_ascii());
        if is_code && is_town && between.iter().filter(|it| **it == b'\n').count() < 2 {
            let town = &tail[code.end..];
            let has_town_before = between.iter().any(u8::is_ascii_uppercase);
            let name = town.strip_prefix(b" ").map_or(0, |it| {
                it.iter().take_while(|it| it.is_ascii_alphabetic() || !it.is_ascii()).count()
            });
            if has_town_before || (name > 2 && town[1].is_ascii_uppercase()) {
                return Some(street_end + code.end + if has_town_before { 0 } else { 1 + name });
            }
        }
        at = code.end;
    }
    None
}

/// Addresses that end with the number of the house: `Hauptstraße 12, 10115 Berlin`.
pub(crate) fn german_address(
    text: &Text<'_>,
    number: &Range<usize>,
    profile: Profile,
    add: &mut impl FnMut(Met),
) {
    let bytes = text.bytes;
    if number.len() > 4
        || number.start < 7
        || bytes[number.start - 1] != b' '
        || bytes[number.start - 2] <= b' '
    {
        return;
    }
    let endings = [
        "straße", "strasse", "str.", "weg", "platz", "allee", "gasse", "ring", "damm", "ufer",
        "straat", "laan",
    ];
    let before = &bytes[number.start.saturating_sub(40)..number.start - 1];
    let Some(ending) = endings.iter().find(|it| before.ends_with(it.as_bytes())) else { return };
    let name = before[..before.len() - ending.len()]
        .iter()
        .rev()
        .take_while(|it| it.is_ascii_alphabetic() || !it.is_ascii() || **it == b'-')
        .count();
    let start = number.start - 1 - ending.len() - name;
    if name < 2 || !bytes[start].is_ascii_uppercase() && bytes[start].is_ascii() {
        return;
    }
    let mut end = number.end;
    end +=
        usize::from(bytes.get(end).is_some_and(u8::is_ascii_alphabetic) && ends_at(bytes, end + 1));
    if !ends_at(bytes, end) {
        return;
    }
    let place = place_after(bytes, end);
    let is_spoken_of = text.nearest(&(start..end), ADDRESS_WORDS).is_some();
    let tier = match (place.is_some(), is_spoken_of, profile) {
        (_, _, Profile::Commit) if text.is_of_an_office(&(start..end)) => Tier::Weak,
        (true, true, _) => Tier::Certain,
        (true, false, _) | (false, _, Profile::Outbound) => Tier::Likely,
        (false, true, Profile::Commit) => Tier::Likely,
        (false, false, Profile::Commit) => Tier::Weak,
    };
    add(Met::new(Kind::ADDRESS, start..place.unwrap_or(end), tier, 0));
}
