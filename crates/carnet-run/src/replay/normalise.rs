//! What a comparison passes over. No IO: a function of the bytes and the normalisers that were declared.
//!
//! Invariant: two outputs that normalise to the same bytes differ in nothing but what the normalisers name. Text rules
//! look at UTF-8 without NUL only; anything else stays as it is.

use std::borrow::Cow;

use carnet_core::Normaliser;

use super::archive::{self, Budget};

/// Returns `bytes` with everything replaced that the normalisers pass over.
pub(super) fn normalise(bytes: &[u8], normalisers: &[Normaliser]) -> Vec<u8> {
    normalise_within(bytes, normalisers, &mut Budget::OUTPUT.clone())
}

fn normalise_within(bytes: &[u8], normalisers: &[Normaliser], budget: &mut Budget) -> Vec<u8> {
    if normalisers.contains(&Normaliser::Archive)
        && let Some(mut members) = archive::members(bytes, budget)
    {
        budget.depth -= 1;
        for member in &mut members {
            member.bytes = normalise_within(&member.bytes, normalisers, budget);
        }
        budget.depth += 1;
        // By name alone, and stably: two members of one name keep their order, because the last one wins.
        members.sort_by(|a, b| a.name.cmp(&b.name));
        return flatten(&members);
    }
    let Some(text) = as_text(bytes) else { return bytes.to_vec() };
    let mut text = Cow::Borrowed(text);
    for normaliser in Normaliser::ALL.into_iter().filter(|it| normalisers.contains(it)) {
        text = match normaliser {
            Normaliser::Archive => text,
            Normaliser::Dates => replace_words(&text, date_len, "<date>").into(),
            Normaliser::Durations => replace_words(&text, duration_len, "<duration>").into(),
            Normaliser::Addresses => replace_words(&text, address_len, "<address>").into(),
            Normaliser::TempNames => replace_words(&text, temp_len, "<temporary>").into(),
            Normaliser::LineOrder => sorted_lines(&text).into(),
        };
    }
    text.into_owned().into_bytes()
}

/// Lengths first, so that no two lists of members flatten to the same bytes.
fn flatten(members: &[archive::Member]) -> Vec<u8> {
    let mut flat = vec![];
    for member in members {
        for part in [&member.name, &member.facts, &member.bytes] {
            flat.extend((part.len() as u64).to_le_bytes());
            flat.extend_from_slice(part);
        }
    }
    flat
}

/// Returns bytes that a person would read as text.
pub(super) fn as_text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

fn sorted_lines(text: &str) -> String {
    let mut lines: Vec<_> =
        text.split_inclusive('\n').map(|line| line.trim_end_matches('\n')).collect();
    lines.sort_unstable();
    let mut sorted = lines.join("\n");
    if text.ends_with('\n') {
        sorted.push('\n');
    }
    sorted
}

/// Replaces what `len_at` measures wherever it stands as a word of its own.
fn replace_words(text: &str, len_at: fn(&[u8]) -> Option<usize>, with: &str) -> String {
    let bytes = text.as_bytes();
    let is_word =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let (mut replaced, mut kept_to, mut at) = (String::new(), 0, 0);
    while at < bytes.len() {
        let starts = at == 0 || !is_word(bytes.get(at - 1));
        let found = if starts { len_at(&bytes[at..]) } else { None };
        match found.filter(|len| !is_word(bytes.get(at + len))) {
            Some(len) => {
                replaced += &text[kept_to..at];
                replaced += with;
                at += len;
                kept_to = at;
            }
            None => at += 1,
        }
    }
    replaced + &text[kept_to..]
}

/// Reads patterns of a few letters: `9` a digit, `_` a digit or a blank, `A` a letter, anything else itself.
fn matches(bytes: &[u8], pattern: &[u8]) -> bool {
    bytes.len() >= pattern.len()
        && bytes.iter().zip(pattern).all(|(byte, expected)| match expected {
            b'9' => byte.is_ascii_digit(),
            b'_' => byte.is_ascii_digit() || *byte == b' ',
            b'A' => byte.is_ascii_alphabetic(),
            other => byte == other,
        })
}

/// `2026-11-22`, `2026-11-22T18:31:10.123Z`, `18:31:10`, `Sun Nov 22 18:31:10 2026`, `Sun, 22 Nov 2026 18:31:10 +0000`.
fn date_len(bytes: &[u8]) -> Option<usize> {
    if !bytes.first()?.is_ascii_alphanumeric() {
        return None;
    }
    for named in [
        &b"AAA AAA _9 99:99:99 AAA 9999"[..],
        b"AAA AAA _9 99:99:99 9999",
        b"AAA, 99 AAA 9999 99:99:99",
    ] {
        if matches(bytes, named) && is_month(bytes) {
            return Some(named.len() + zone_len(&bytes[named.len()..]));
        }
    }
    if matches(bytes, b"AAA _9 9999") && is_month(&bytes[..3]) {
        return Some(11 + time_behind(&bytes[11..]));
    }
    if matches(bytes, b"9999-99-99") {
        return Some(10 + time_behind(&bytes[10..]));
    }
    if matches(bytes, b"9999/99/99") {
        return Some(10 + time_behind(&bytes[10..]));
    }
    matches(bytes, b"99:99:99").then(|| time_len(bytes))
}

fn is_month(bytes: &[u8]) -> bool {
    const MONTHS: [&[u8]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    bytes.windows(3).take(9).any(|window| MONTHS.contains(&window))
}

/// `T18:31:10.123Z`, ` 18:31:10 +0200`, or nothing.
fn time_behind(bytes: &[u8]) -> usize {
    let Some(b'T' | b' ') = bytes.first() else { return 0 };
    if matches(&bytes[1..], b"99:99:99") {
        1 + time_len(&bytes[1..])
    } else if matches(&bytes[1..], b"99:99") {
        6 + zone_len(&bytes[6..])
    } else {
        0
    }
}

/// `18:31:10`, with fraction and zone.
fn time_len(bytes: &[u8]) -> usize {
    let mut len = 8;
    if let Some(b'.' | b',') = bytes.get(len) {
        let digits = bytes[len + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        len += if digits > 0 { digits + 1 } else { 0 };
    }
    len + zone_len(&bytes[len..])
}

fn zone_len(bytes: &[u8]) -> usize {
    let zones: [&[u8]; 9] =
        [b"Z", b"+99:99", b"-99:99", b"+9999", b"-9999", b" +9999", b" -9999", b" UTC", b" GMT"];
    zones.iter().find(|zone| matches(bytes, zone)).map_or(0, |zone| zone.len())
}

/// `0.52s`, `12 ms`, `1.2 seconds`, `0m0.012s`.
fn duration_len(bytes: &[u8]) -> Option<usize> {
    const UNITS: [&str; 14] = [
        "milliseconds",
        "seconds",
        "second",
        "minutes",
        "minute",
        "secs",
        "sec",
        "ms",
        "µs",
        "us",
        "ns",
        "min",
        "s",
        "m",
    ];
    let digits = |bytes: &[u8]| {
        bytes.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count()
    };
    let mut len = 0;
    // Minutes, then seconds: at most two parts.
    for _ in 0..2 {
        let number = digits(&bytes[len..]);
        if number == 0 || !bytes[len].is_ascii_digit() {
            break;
        }
        let blank = usize::from(len == 0 && bytes.get(number) == Some(&b' '));
        let rest = &bytes[len + number + blank..];
        let Some(unit) = UNITS.iter().find(|unit| rest.starts_with(unit.as_bytes())) else { break };
        len += number + blank + unit.len();
    }
    (len > 0).then_some(len)
}

/// `0x7f21c0`: four hex digits or more.
fn address_len(bytes: &[u8]) -> Option<usize> {
    let hex = bytes.strip_prefix(b"0x")?.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    (hex >= 4).then_some(hex + 2)
}

/// `/tmp/ccAb12Cd.o`, `/var/tmp/x`, mktemp's `tmp.Ab3dE5fG7h`, Python's `tmpx1y2z3w4`.
fn temp_len(bytes: &[u8]) -> Option<usize> {
    let run = |from: usize, is_part: fn(&u8) -> bool| {
        bytes[from..].iter().take_while(|byte| is_part(byte)).count()
    };
    for dir in [&b"/tmp/"[..], b"/var/tmp/"] {
        if bytes.starts_with(dir) {
            let name = run(dir.len(), |it| it.is_ascii_alphanumeric() || b"._-".contains(it));
            // The point that ends a sentence is none of the name.
            let dots = bytes[dir.len()..dir.len() + name].iter().rev();
            let name = name - dots.take_while(|byte| **byte == b'.').count();
            return (name > 0).then_some(dir.len() + name);
        }
    }
    if bytes.starts_with(b"tmp.") {
        return Some(4 + run(4, u8::is_ascii_alphanumeric)).filter(|len| (10..=16).contains(len));
    }
    let python = |it: &u8| it.is_ascii_lowercase() || it.is_ascii_digit() || *it == b'_';
    (bytes.starts_with(b"tmp") && run(3, python) == 8).then_some(11)
}

#[cfg(test)]
#[path = "normalise_tests.rs"]
mod tests;
