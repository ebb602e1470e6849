//! What is more than a number: addresses of mail, machines and houses, account numbers, passports, dates of birth.

use std::{net::Ipv6Addr, ops::Range};

use super::{
    Kind, Met, Profile, Tier,
    checks::{self, is_day},
    context::Text,
    numbers::{begins_at, ends_at, run},
};

/// Domains and endings that belong to nobody (RFC 2606, RFC 6761), and endings of files that look like domains.
const NOBODYS: &[&str] = &[
    "example.com",
    "example.org",
    "example.net",
    "example.edu",
    "example",
    "test",
    "invalid",
    "local",
    "localhost",
    "localdomain",
    "internal",
    "noreply.github.com",
    "png",
    "jpg",
    "jpeg",
    "gif",
    "svg",
    "webp",
    "css",
    "js",
    "ts",
    "json",
    "html",
    "md",
    "rs",
    "py",
    "go",
    "java",
    "domain.com",
    "email.com",
    "yourdomain.com",
    "company.com",
    "foo.com",
    "bar.com",
    "acme.com",
    "mydomain.com",
];
const ROBOTS: &[&str] = &[
    "noreply",
    "no-reply",
    "donotreply",
    "do-not-reply",
    "git",
    "hg",
    "svn",
    "mailer-daemon",
    "postmaster",
    "bot",
    "dependabot",
    "user",
    "username",
    "you",
    "your",
    "name",
    "email",
    "foo",
    "bar",
    "test",
    "someone",
    "root",
];
/// Mailboxes of an office, not of a person.
const OFFICES: &[&str] = &[
    "info",
    "support",
    "security",
    "admin",
    "contact",
    "sales",
    "help",
    "hello",
    "legal",
    "privacy",
    "abuse",
    "webmaster",
    "team",
    "dev",
    "press",
    "jobs",
    "office",
    "mail",
    "list",
    "announce",
    "conduct",
];
/// Lines that publish who wrote something.
const AUTHORSHIP: &[&str] = &[
    "author",
    "maintain",
    "copyright",
    "contributor",
    "credit",
    "-by",
    "license",
    "licence",
    "packager",
    "uploader",
    "submitter",
    "reviewer",
    "contact",
    "report",
    "mailto",
    "(c)",
    "written by",
    "from:",
    "changed by",
    "acked",
];

/// E-mail addresses (RFC 5322 dot-atoms at a domain of two or more labels).
pub(crate) fn emails(text: &Text<'_>, profile: Profile, add: &mut impl FnMut(Met)) {
    let bytes = text.bytes;
    for at in memchr::memchr_iter(b'@', bytes) {
        let is_local = |byte: &u8| {
            byte.is_ascii_alphanumeric() || b"._%+-'".contains(byte) || !byte.is_ascii()
        };
        let local_len =
            bytes[at.saturating_sub(64)..at].iter().rev().take_while(|it| is_local(it)).count();
        let mut start = at - local_len;
        start += bytes[start..at].iter().take_while(|it| b".%+-'_".contains(it)).count();
        let is_domain =
            |byte: &u8| byte.is_ascii_alphanumeric() || b".-".contains(byte) || !byte.is_ascii();
        let domain_len = bytes[at + 1..].iter().take(253).take_while(|it| is_domain(it)).count();
        let mut domain = &bytes[at + 1..at + 1 + domain_len];
        while let [rest @ .., b'.' | b'-'] = domain {
            domain = rest;
        }
        let Some(dot) = memchr::memrchr(b'.', domain) else { continue };
        let ending = &domain[dot + 1..];
        let is_named =
            ending.len() >= 2 && ending.iter().all(|it| it.is_ascii_alphabetic() || !it.is_ascii());
        if start == at
            || dot == 0
            || !is_named
            || bytes[at - 1] == b'.'
            || domain.windows(2).any(|it| it == b"..")
        {
            continue;
        }
        let (local, domain) = (bytes[start..at].to_ascii_lowercase(), domain.to_ascii_lowercase());
        let range = start..at + 1 + domain.len();
        if is_quiet(&local, &domain) {
            continue;
        }
        let tier = match profile {
            Profile::Outbound => Tier::Certain,
            Profile::Commit => committed(text, &range, &local),
        };
        add(Met::new(Kind::EMAIL, range, tier, 0));
    }
}

fn is_quiet(local: &[u8], domain: &[u8]) -> bool {
    let is_of = |name: &&str| {
        domain
            .strip_suffix(name.as_bytes())
            .is_some_and(|rest| rest.is_empty() || rest.ends_with(b"."))
    };
    let is_example =
        domain.starts_with(b"example.") || memchr::memmem::find(domain, b".example.").is_some();
    is_example
        || NOBODYS.iter().any(is_of)
        || ROBOTS.iter().any(|name| local == name.as_bytes())
        || memchr::memmem::find(local, b"noreply").is_some()
}

/// An address in a file is likely someone's when it stands as a value of that name, and nothing publishes it.
fn committed(text: &Text<'_>, range: &Range<usize>, local: &[u8]) -> Tier {
    let line = text.line_before(range.start);
    let is_published = AUTHORSHIP.iter().any(|word| contains(line, word))
        || line.last() == Some(&b'<')
        || line.ends_with(b"://")
        || OFFICES.iter().any(|name| local.starts_with(name.as_bytes()));
    let words = &["email", "e-mail", "mail", "correo", "courriel"];
    let is_value = text.nearest(range, words).is_some_and(|distance| distance < 8);
    if is_value && !is_published { Tier::Likely } else { Tier::Weak }
}

fn contains(text: &[u8], word: &str) -> bool {
    text.windows(word.len()).any(|it| it.eq_ignore_ascii_case(word.as_bytes()))
}

const IP_WORDS: &[&str] = &[
    "ip",
    "client",
    "remote",
    "addr",
    "address",
    "visitor",
    "peer",
    "source",
    "login",
    "x-forwarded-for",
    "ipaddr",
];

/// IPv4 addresses (RFC 791), but for those that name nobody: RFC 5737, loopback, broadcast; versions and OIDs.
pub(crate) fn ipv4(text: &Text<'_>, start: usize, profile: Profile, add: &mut impl FnMut(Met)) {
    let bytes = text.bytes;
    let mut parts = [0_u32; 4];
    let mut end = start;
    for (idx, part) in parts.iter_mut().enumerate() {
        let digits = run(bytes, end);
        let has_zero = digits.len() > 1 && bytes[digits.start] == b'0';
        if digits.is_empty() || digits.len() > 3 || has_zero {
            return;
        }
        *part = bytes[digits.clone()].iter().fold(0, |sum, it| sum * 10 + u32::from(it - b'0'));
        end = digits.end;
        if *part > 255 || (idx < 3 && bytes.get(end) != Some(&b'.')) {
            return;
        }
        end += usize::from(idx < 3);
    }
    let next = |n: usize| bytes.get(end + n).copied().unwrap_or(b' ');
    // A port, a path or the end of a sentence may follow.
    let goes_on = next(0).is_ascii_alphanumeric()
        || next(0) == b'_'
        || (matches!(next(0), b'.' | b'-') && next(1).is_ascii_alphanumeric());
    let before = |n: usize| start.checked_sub(n).map_or(b' ', |at| bytes[at]);
    let runs_on = before(1).is_ascii_alphanumeric() || matches!(before(1), b'_' | b'.' | b'-');
    let is_nobodys = matches!(
        parts,
        [0 | 127 | 224..=255, ..]
            | [192, 0, 2, _]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [1, 2, 3, 4]
    );
    if goes_on || runs_on || is_nobodys {
        return;
    }
    let range = start..end;
    let is_private = matches!(
        parts,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [169, 254, ..] | [100, 64..=127, ..]
    );
    // Resolvers and the like that everyone knows, networks, and versions.
    let is_public =
        matches!(parts, [8, 8, 8 | 4, 8 | 4] | [1, 1 | 0, 1 | 0, 1] | [9, 9, 9, 9] | [.., 0])
            || next(0) == b'/';
    let is_version = parts.iter().all(|part| *part < 30)
        || text.nearest(&range, &["version", "ver", "release", "v", "oid", "since"]).is_some();
    let is_spoken_of = text.nearest(&range, IP_WORDS).is_some();
    let tier = match profile {
        Profile::Outbound if is_private => Tier::Weak,
        Profile::Outbound if is_version && !is_spoken_of => Tier::Weak,
        Profile::Outbound if is_spoken_of => Tier::Certain,
        Profile::Outbound => Tier::Likely,
        Profile::Commit
            if is_private || is_public || is_version || is_public_code(text, &range) =>
        {
            Tier::Weak
        }
        Profile::Commit
            if text
                .nearest(
                    &range,
                    &["client ip", "client_ip", "remote_addr", "ip address", "visitor"],
                )
                .is_some() =>
        {
            Tier::Likely
        }
        Profile::Commit => Tier::Weak,
    };
    add(Met::new(Kind::IP, range, tier, 0));
}

/// Whether the line reads like a test or an example of code.
fn is_public_code(text: &Text<'_>, range: &Range<usize>) -> bool {
    let line = text.line_before(range.start);
    ["assert", "test", "example", "parse", "//", "#"].iter().any(|word| contains(line, word))
}

/// IPv6 addresses (RFC 4291) of the global unicast space, but for documentation (RFC 3849, RFC 9637).
pub(crate) fn ipv6(text: &Text<'_>, from: usize, profile: Profile, add: &mut impl FnMut(Met)) {
    let bytes = text.bytes;
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b':';
    if from > 0 && (is_part(&bytes[from - 1]) || bytes[from - 1].is_ascii_alphanumeric()) {
        return;
    }
    let len = bytes[from..].iter().take(40).take_while(|byte| is_part(byte)).count();
    let candidate = bytes[from..from + len].strip_suffix(b":").unwrap_or(&bytes[from..from + len]);
    let n_colons = candidate.iter().filter(|byte| **byte == b':').count();
    let goes_on = bytes.get(from + len).is_some_and(|it| it.is_ascii_alphanumeric() || *it == b'_');
    if n_colons < 3 || goes_on {
        return;
    }
    let parsed = std::str::from_utf8(candidate).ok().and_then(|it| it.parse::<Ipv6Addr>().ok());
    let Some(segments) = parsed.map(|it| it.segments()) else { return };
    let is_global = (0x2000..0x4000).contains(&segments[0]);
    let is_nobodys =
        (segments[0] == 0x2001 && segments[1] == 0xdb8) || (segments[0] & 0xfff0) == 0x3ff0;
    if is_global && !is_nobodys {
        let tier = match profile {
            Profile::Outbound => Tier::Certain,
            Profile::Commit => Tier::Weak,
        };
        add(Met::new(Kind::IP, from..from + candidate.len(), tier, 0));
    }
}

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

/// Passport numbers where a word speaks of one: six to nine letters and digits.
pub(crate) fn passport(text: &Text<'_>, start: usize, add: &mut impl FnMut(Met)) {
    let bytes = text.bytes;
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
