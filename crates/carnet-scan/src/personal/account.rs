//! Bank account numbers (IBAN).
use super::{
    Kind, Met, Profile, Tier, checks,
    context::Text,
    numbers::{begins_at, ends_at},
};

/// Lengths of account numbers by country (SWIFT IBAN registry).
const IBAN_LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// Account numbers of the registry's own examples and of textbooks.
const TEXTBOOK_IBANS: &[[&str; 2]] = &[
    ["GB82WEST", "12345698765432"],
    ["DE89370400", "440532013000"],
    ["GB29NWBK", "60161331926819"],
    ["FR14200410", "10050500013M02606"],
    ["NL91ABNA", "0417164300"],
    ["CH93007620", "11623852957"],
    ["AT61190430", "0234573201"],
    ["BE685390", "07547034"],
    ["ES91210004", "18450200051332"],
    ["IT60X05428", "11101000000123456"],
    ["GB33BUKB", "20201555555555"],
    ["DE75512108", "001245126199"],
];

/// Bank account numbers (ISO 13616): country, length, MOD 97-10; in one piece or in groups of four.
pub(crate) fn iban(text: &Text<'_>, start: usize, profile: Profile, add: &mut impl FnMut(Met)) {
    let bytes = text.bytes;
    let Some(country) = bytes.get(start..start + 4) else { return };
    if !country[2..].iter().all(u8::is_ascii_digit) || !begins_at(bytes, start) {
        return;
    }
    let length = IBAN_LENGTHS.iter().find(|(code, _)| code[..] == country[..2]);
    let Some((_, length)) = length else { return };
    let mut compact = Vec::with_capacity(*length);
    let mut end = start;
    while compact.len() < *length {
        match bytes.get(end) {
            Some(byte) if byte.is_ascii_digit() || byte.is_ascii_uppercase() => compact.push(*byte),
            Some(b' ' | b'-') if compact.len().is_multiple_of(4) => {}
            _ => return,
        }
        end += 1;
    }
    if ends_at(bytes, end) && checks::iban(&compact) {
        let is_textbook = TEXTBOOK_IBANS.iter().any(|it| it.concat().as_bytes() == compact);
        let is_made_up = profile == Profile::Commit && is_textbook;
        let tier = if is_made_up { Tier::Weak } else { Tier::Certain };
        add(Met::new(Kind::IBAN, start..end, tier, 0));
    }
}
