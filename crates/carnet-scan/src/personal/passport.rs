//! Passports: their numbers beside a word, and their machine readable zones.
use super::{
    Kind, Met, Tier, checks,
    context::Text,
    numbers::{begins_at, ends_at},
};

/// Passport numbers where a word speaks of one: six to nine letters and digits.
pub(crate) fn passport(text: &Text<'_>, start: usize, add: &mut impl FnMut(Met)) {
    let bytes = text.bytes;
    if bytes[start].is_ascii_lowercase() {
        return;
    }
    let len =
        bytes[start..].iter().take(12).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let word = &bytes[start..start + len];
    let n_digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_number = (6..=9).contains(&len)
        && n_digits >= 5
        && !word.iter().any(u8::is_ascii_lowercase)
        && begins_at(bytes, start)
        && ends_at(bytes, start + len);
    let range = start..start + len;
    let words = &["passport", "passeport", "reisepass", "pasaporte", "passaporto", "paspoort"];
    if let Some(distance) = is_number.then(|| text.nearest(&range, words)).flatten() {
        let tier = if distance < 24 { Tier::Certain } else { Tier::Likely };
        add(Met::new(Kind::PASSPORT, range, tier, distance));
    }
}

/// Machine readable zones of passports (ICAO Doc 9303 part 4): two lines of 44, the second with its check digits.
pub(crate) fn machine_readable(text: &Text<'_>, add: &mut impl FnMut(Met)) {
    let bytes = text.bytes;
    for start in memchr::memmem::find_iter(bytes, b"P<") {
        let is_zone = |it: &[u8]| {
            it.len() == 44
                && it.iter().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit() || *it == b'<')
        };
        let Some(first) = bytes.get(start..start + 44).filter(|it| is_zone(it)) else { continue };
        let gap =
            bytes[start + 44..].iter().take(4).take_while(|it| b"\r\n \\".contains(it)).count();
        let gap = gap
            + usize::from(
                bytes.get(start + 44 + gap) == Some(&b'n')
                    && gap == 1
                    && bytes[start + 44] == b'\\',
            );
        let second = start + first.len() + gap;
        let Some(line) = bytes.get(second..second + 44).filter(|it| is_zone(it)) else { continue };
        if [&line[..10], &line[13..20], &line[21..28]].iter().all(|it| checks::machine_readable(it))
        {
            add(Met::new(Kind::PASSPORT, start..second + 44, Tier::Certain, 0));
        }
    }
}
