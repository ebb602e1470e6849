//! Numbers as people write them: groups of digits, and what they are when they stand like this.

use std::{ops::Range, sync::OnceLock};

use super::{Kind, Met, Profile, Tier, checks::luhn, context::Text, national::NATIONAL};

/// Most groups of one number.
const GROUPS_MAX: usize = 8;

/// Groups of digits with one or two separators between: `+49 (0)30 1234-567`.
pub(crate) struct Groups {
    groups: [(usize, usize); GROUPS_MAX],
    n: usize,
}

impl Groups {
    /// Reads the groups from the digit at `start` on.
    pub(crate) fn read(bytes: &[u8], start: usize) -> Groups {
        let mut read = Groups { groups: [(0, 0); GROUPS_MAX], n: 0 };
        let mut at = start;
        while read.n < GROUPS_MAX {
            let end = at + bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            read.groups[read.n] = (at, end);
            read.n += 1;
            let next = |n: usize| bytes.get(end + n).copied().unwrap_or(b'\n');
            let is_digit = |n: usize| next(n).is_ascii_digit();
            at = match next(0) {
                b' ' | b'-' | b'.' | b'/' if is_digit(1) => end + 1,
                b' ' if next(1) == b'(' && is_digit(2) => end + 2,
                b'(' | b')' if is_digit(1) => end + 1,
                b')' if matches!(next(1), b' ' | b'-') && is_digit(2) => end + 2,
                _ => break,
            };
        }
        read
    }

    fn lens(&self) -> impl Iterator<Item = usize> {
        self.groups[..self.n].iter().map(|(start, end)| end - start)
    }

    fn n_digits(&self) -> usize {
        self.lens().sum()
    }

    /// Where the first `n` groups end.
    fn end(&self, n: usize) -> usize {
        self.groups[n - 1].1
    }

    fn digits(&self, bytes: &[u8], n: usize) -> Vec<u8> {
        let groups = self.groups[..n].iter();
        groups.flat_map(|(start, end)| &bytes[*start..*end]).map(|byte| byte - b'0').collect()
    }

    /// Whether the first groups have these lengths; then how many they are.
    fn begin_with(&self, lens: &[usize]) -> bool {
        self.n >= lens.len() && self.lens().zip(lens).all(|(len, expect)| len == *expect)
    }

    /// The separator after the group, when it is one byte.
    fn separator(&self, bytes: &[u8], idx: usize) -> Option<u8> {
        let (end, next) = (self.groups[idx].1, self.groups.get(idx + 1)?.0);
        (idx + 1 < self.n && next == end + 1).then(|| bytes[end])
    }
}

/// Whether nothing goes on after `end`: no letter, digit or `_`, and no `.5`, `-5` or `:5`.
pub(crate) fn ends_at(bytes: &[u8], end: usize) -> bool {
    let at = |idx: usize| bytes.get(idx).copied().unwrap_or(b' ');
    let goes_on = at(end).is_ascii_alphanumeric()
        || at(end) == b'_'
        || (matches!(at(end), b'.' | b'-' | b':' | b'/') && at(end + 1).is_ascii_alphanumeric());
    !goes_on
}

/// Whether nothing runs into `start`: no letter, digit or `_`, and no `5.`, `a-` or `a/`.
pub(crate) fn begins_at(bytes: &[u8], start: usize) -> bool {
    let before = |n: usize| start.checked_sub(n).map_or(b' ', |at| bytes[at]);
    let runs_on = before(1).is_ascii_alphanumeric()
        || matches!(before(1), b'_' | b'$')
        || (matches!(before(1), b'.' | b'-' | b'/' | b'%' | b'#')
            && before(2).is_ascii_alphanumeric());
    !runs_on
}

const CARD_WORDS: &[&str] = &[
    "card",
    "cc",
    "credit",
    "debit",
    "visa",
    "mastercard",
    "amex",
    "pan",
    "kreditkarte",
    "carte",
    "tarjeta",
];

/// Numbers that payment networks publish for tests: real in form, nobody's.
const TEST_CARDS: &[[&str; 2]] = &[
    ["41111111", "11111111"],
    ["42424242", "42424242"],
    ["40128888", "88881881"],
    ["40000566", "55665556"],
    ["55555555", "55554444"],
    ["51051051", "05105100"],
    ["52008282", "82828210"],
    ["22230031", "22003222"],
    ["60111111", "11111117"],
    ["60110009", "90139424"],
    ["35301113", "33300000"],
    ["35660020", "20360505"],
    ["37828224", "6310005"],
    ["37144963", "5398431"],
    ["30569309", "025904"],
    ["38520000", "023237"],
    ["40000000", "00000002"],
    ["49000000", "00000000"],
];

/// A payment card (ISO/IEC 7812): Luhn, a network's range with its lengths, grouped or not.
pub(crate) fn card(text: &Text<'_>, groups: &Groups, profile: Profile) -> Option<Met> {
    let forms: [&[usize]; 4] = [&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]];
    let first = groups.lens().next().unwrap_or(0);
    let (n, is_grouped) = match forms.iter().find(|form| groups.begin_with(form)) {
        Some(form) => (form.len(), true),
        None if (13..=19).contains(&first) => (1, false),
        None => return None,
    };
    let start = groups.groups[0].0;
    let range = start..groups.end(n);
    let separators = |idx: usize| matches!(groups.separator(text.bytes, idx), Some(b' ' | b'-'));
    if !begins_at(text.bytes, start)
        || !ends_at(text.bytes, range.end)
        || !(0..n - 1).all(separators)
    {
        return None;
    }
    let digits = groups.digits(text.bytes, n);
    if !is_of_a_network(&digits) || !luhn(&digits) {
        return None;
    }
    let is_test = TEST_CARDS
        .iter()
        .any(|card| card.concat().bytes().map(|byte| byte - b'0').eq(digits.iter().copied()))
        || digits[6..].windows(2).all(|pair| pair[0] == pair[1]);
    let is_spoken_of = text.nearest(&range, CARD_WORDS).is_some();
    let tier = match profile {
        Profile::Commit if is_test => Tier::Weak,
        _ if is_spoken_of && !is_test => Tier::Certain,
        _ if is_grouped => Tier::Likely,
        Profile::Outbound => Tier::Likely,
        Profile::Commit => Tier::Weak,
    };
    Some(Met::new(Kind::CARD, range, tier, 0))
}

/// Ranges of the networks (ISO/IEC 7812-1 issuer identification numbers) with the lengths they issue.
fn is_of_a_network(digits: &[u8]) -> bool {
    let head = digits.iter().take(4).fold(0, |sum, digit| sum * 10 + u32::from(*digit));
    let lens: &[usize] = match head {
        4000..=4999 => &[13, 16, 19],
        5100..=5599 | 2221..=2720 => &[16],
        3400..=3499 | 3700..=3799 => &[15],
        3000..=3059 | 3600..=3699 | 3800..=3999 => &[14, 16],
        6011 | 6440..=6599 => &[16, 19],
        6200..=6299 => &[16, 17, 18, 19],
        3528..=3589 => &[16],
        5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763 => &[13, 14, 15, 16, 18, 19],
        2200..=2204 | 5061 => &[16, 19],
        _ => &[],
    };
    lens.contains(&digits.len())
}

const PHONE_WORDS: &[&str] = &[
    "phone",
    "tel",
    "mobile",
    "fax",
    "telefon",
    "handy",
    "mobil",
    "whatsapp",
    "sms",
    "téléphone",
    "telephone",
    "teléfono",
    "telefono",
    "celular",
    "rufnummer",
    "msisdn",
    "contact number",
    "text me",
];

/// Calling codes (ITU-T E.164) with the least and most digits that follow them.
const CALLING_CODES: &[(&str, usize, usize)] = &[
    ("1", 10, 10),
    ("20", 8, 10),
    ("27", 9, 9),
    ("30", 10, 10),
    ("31", 9, 9),
    ("32", 8, 9),
    ("33", 9, 9),
    ("34", 9, 9),
    ("36", 8, 9),
    ("39", 8, 11),
    ("40", 9, 9),
    ("41", 9, 9),
    ("43", 7, 12),
    ("44", 9, 10),
    ("45", 8, 8),
    ("46", 7, 10),
    ("47", 8, 8),
    ("48", 9, 9),
    ("49", 7, 12),
    ("51", 8, 9),
    ("52", 10, 11),
    ("53", 8, 8),
    ("54", 10, 11),
    ("55", 10, 11),
    ("56", 9, 9),
    ("57", 10, 10),
    ("58", 10, 10),
    ("60", 8, 10),
    ("61", 9, 9),
    ("62", 8, 12),
    ("63", 9, 10),
    ("64", 8, 10),
    ("65", 8, 8),
    ("66", 8, 9),
    ("7", 10, 10),
    ("81", 9, 10),
    ("82", 8, 10),
    ("84", 9, 10),
    ("86", 10, 11),
    ("90", 10, 10),
    ("91", 10, 10),
    ("92", 9, 10),
    ("93", 9, 9),
    ("94", 9, 9),
    ("95", 7, 10),
    ("98", 10, 10),
    ("2", 7, 10),
    ("35", 7, 11),
    ("37", 7, 9),
    ("38", 8, 10),
    ("42", 9, 9),
    ("50", 7, 8),
    ("59", 7, 9),
    ("67", 6, 8),
    ("68", 5, 7),
    ("85", 8, 9),
    ("88", 8, 10),
    ("96", 7, 9),
    ("97", 8, 9),
    ("99", 9, 9),
];

/// A telephone number: with its country, or as one country writes its own.
///
/// Lengths and the rules of the North American plan stand in a small table here; the full tables of libphonenumber
/// weigh more than this room, and know nothing of the text around a number.
pub(crate) fn phone(text: &Text<'_>, groups: &Groups, profile: Profile) -> Option<Met> {
    let bytes = text.bytes;
    let digit_start = groups.groups[0].0;
    // Tables of small numbers are none.
    if groups.n_digits() < 7 || groups.lens().filter(|len| *len == 1).count() > 2 {
        return None;
    }
    let before = |n: usize| digit_start.checked_sub(n).map_or(b' ', |at| bytes[at]);
    let (start, is_international) = match (before(1), before(2)) {
        (b'+', _) => (digit_start - 1, true),
        (b'(', b'+') => (digit_start - 2, true),
        (b'(', _) => (digit_start - 1, false),
        _ => (digit_start, false),
    };
    if !begins_at(bytes, start) {
        return None;
    }
    let (n, is_sure) = if is_international {
        (international(bytes, groups)?, true)
    } else {
        national(bytes, groups, start < digit_start)?
    };
    let range = start..groups.end(n);
    if !ends_at(bytes, range.end) {
        return None;
    }
    let digits = groups.digits(bytes, n);
    let is_fiction = digits.windows(5).any(|it| it == [5, 5, 5, 0, 1]);
    let is_dull = digits.windows(7).any(|it| it.windows(2).all(|pair| pair[0] == pair[1]))
        || digits.windows(8).any(|it| it.windows(2).all(|pair| pair[1] == pair[0] + 1));
    let distance = text.nearest(&range, PHONE_WORDS);
    let tier = match (profile, distance) {
        (Profile::Commit, _) if is_fiction || is_dull => Tier::Weak,
        (Profile::Commit, Some(distance)) if n > 1 || is_international || distance < 12 => {
            Tier::Likely
        }
        (Profile::Commit, _) if is_international && n > 2 => Tier::Likely,
        (Profile::Commit, _) => Tier::Weak,
        (Profile::Outbound, Some(_)) => Tier::Certain,
        (Profile::Outbound, None) if is_sure => Tier::Likely,
        (Profile::Outbound, None) => Tier::Weak,
    };
    // Asked last: most numbers are nobody's already.
    let is_public = tier > Tier::Weak
        && profile == Profile::Commit
        && (text.is_tried_out(start) || text.is_of_an_office(&range));
    let tier = if is_public { Tier::Weak } else { tier };
    Some(Met::new(Kind::PHONE, range, tier, distance.unwrap_or(usize::MAX)))
}

/// Returns how many groups belong to a number with its calling code.
fn international(bytes: &[u8], groups: &Groups) -> Option<usize> {
    (1..=groups.n).rev().find(|n| {
        let mut digits: Vec<u8> =
            groups.digits(bytes, *n).iter().map(|digit| digit + b'0').collect();
        // `+49 (0)30`: the trunk prefix is written and not dialled.
        if *n > 2
            && groups.groups[1].1 - groups.groups[1].0 == 1
            && bytes[groups.groups[1].0] == b'0'
        {
            digits.remove(groups.groups[0].1 - groups.groups[0].0);
        }
        CALLING_CODES.iter().any(|(code, least, most)| {
            let rest = digits.strip_prefix(code.as_bytes());
            rest.is_some_and(|rest| {
                (*least..=*most + 1).contains(
                    &(rest.len() + usize::from(code.len() == 1 && !["1", "7"].contains(code))),
                ) && (*code != "1" || is_north_american(rest))
            })
        }) && ends_at(bytes, groups.end(*n))
    })
}

/// Returns how many groups are a number as a country writes its own, and whether the form alone says so.
fn national(bytes: &[u8], groups: &Groups, is_in_parentheses: bool) -> Option<(usize, bool)> {
    let digits =
        |n: usize| -> Vec<u8> { groups.digits(bytes, n).iter().map(|it| it + b'0').collect() };
    let is_dotted = groups.separator(bytes, 0) == Some(b'.');
    for (form, skipped) in [(&[3, 3, 4][..], 0), (&[1, 3, 3, 4], 1)] {
        if groups.begin_with(form)
            && is_north_american(&digits(form.len())[skipped..])
            && (skipped == 0 || digits(1) == b"1")
        {
            return Some((form.len(), true));
        }
    }
    let forms: [&[usize]; 7] =
        [&[5, 5], &[3, 4, 4], &[2, 5, 4], &[2, 4, 4], &[4, 3, 3], &[4, 6], &[3, 8]];
    let is_separated = |n: usize| (0..n - 1).all(|idx| groups.separator(bytes, idx) != Some(b'/'));
    if let Some(form) = forms.iter().find(|form| groups.begin_with(form))
        && is_separated(form.len())
        && !is_dotted
        && (is_in_parentheses || matches!(bytes[groups.groups[0].0], b'0' | b'1' | b'6'..=b'9'))
    {
        return Some((
            form.len(),
            is_in_parentheses || groups.begin_with(&[5, 5]) || bytes[groups.groups[0].0] == b'0',
        ));
    }
    let first = bytes[groups.groups[0].0];
    // A trunk prefix and an area code: `030 1234567`, `0171/1234567`, `01 23 45 67 89`.
    let n = (1..=groups.n)
        .rev()
        .find(|n| (8..=12).contains(&digits(*n).len()) && ends_at(bytes, groups.end(*n)))?;
    let is_area = n > 1 && groups.lens().next().is_some_and(|len| len <= 6);
    let is_date = groups.begin_with(&[2, 2, 4]) || groups.begin_with(&[4, 2, 2]);
    if (first == b'0' || is_in_parentheses) && is_area && !is_date && !is_dotted {
        return Some((n, true));
    }
    let is_plain = n == 1 || (is_area && !is_date);
    (is_plain && digits(n).len() >= 9).then_some((n, false))
}

/// NPA-NXX-XXXX: area and exchange begin with 2 to 9, and neither is N11.
fn is_north_american(digits: &[u8]) -> bool {
    let is_code = |it: &[u8]| (b'2'..=b'9').contains(&it[0]) && &it[1..3] != b"11";
    digits.len() == 10 && is_code(&digits[..3]) && is_code(&digits[3..6])
}

/// Which entries of [`NATIONAL`] begin with a run of so many digits, or letters.
struct Index {
    digits: [Vec<(u8, &'static str)>; 20],
    letters: [Vec<(u8, &'static str)>; 20],
}

fn index() -> &'static Index {
    static INDEX: OnceLock<Index> = OnceLock::new();
    INDEX.get_or_init(|| {
        let mut index = Index { digits: Default::default(), letters: Default::default() };
        for (idx, entry) in NATIONAL.iter().enumerate() {
            for form in entry.forms {
                let kind = form.as_bytes()[0];
                let len = form.bytes().take_while(|byte| *byte == kind).count();
                let lists = if kind == b'9' { &mut index.digits } else { &mut index.letters };
                lists[len].push((idx as u8, form));
                // `*` may be one more of the same kind.
                if form.as_bytes().get(len) == Some(&b'*') {
                    lists[len + 1].push((idx as u8, form));
                }
            }
        }
        index
    })
}

/// Looks for national identifiers that begin at `start`, whose first run of digits or letters is `len` bytes long.
pub(crate) fn identifiers(
    text: &Text<'_>,
    start: usize,
    len: usize,
    profile: Profile,
    add: &mut impl FnMut(Met),
) {
    let bytes = text.bytes;
    let index = index();
    let lists = if bytes[start].is_ascii_digit() { &index.digits } else { &index.letters };
    let Some(list) = lists.get(len).filter(|list| !list.is_empty()) else { return };
    if !begins_at(bytes, start) {
        return;
    }
    let mut compact = [0; 24];
    for (idx, form) in list {
        let entry = &NATIONAL[usize::from(*idx)];
        let Some((end, n, separators)) = fit(bytes, start, form, &mut compact) else { continue };
        if !ends_at(bytes, end) || !(entry.holds)(&compact[..n]) {
            continue;
        }
        let range = start..end;
        let nearest = text.nearest(&range, entry.words);
        let is_grouped = separators > 0 || compact[..n].iter().any(u8::is_ascii_uppercase);
        let tier = match (nearest, entry.speaks_for_itself && is_grouped, profile) {
            (Some(_), _, _) => Tier::Certain,
            (None, true, _) => Tier::Likely,
            (None, false, _) => Tier::Weak,
        };
        add(Met::new(Kind::national(entry), range, tier, nearest.unwrap_or(usize::MAX)));
    }
}

/// Lays `form` on the text: where it ends, how many characters it has without separators, and how many separators.
fn fit(
    bytes: &[u8],
    start: usize,
    form: &str,
    compact: &mut [u8; 24],
) -> Option<(usize, usize, usize)> {
    let (mut at, mut n, mut n_separators) = (start, 0, 0);
    for kind in form.bytes() {
        let byte = *bytes.get(at)?;
        let fits = match kind {
            b'9' => byte.is_ascii_digit(),
            b'A' => byte.is_ascii_uppercase(),
            b'*' => {
                byte.is_ascii_digit() || byte.is_ascii_uppercase() || matches!(byte, b'x' | b'k')
            }
            _ => matches!(byte, b' ' | b'-' | b'.' | b'/' | b'+' | b'('),
        };
        if !fits {
            return None;
        }
        at += 1;
        if kind == b' ' {
            n_separators += 1;
        } else {
            compact[n] = byte.to_ascii_uppercase();
            n += 1;
        }
    }
    Some((at, n, n_separators))
}

/// Where a candidate of letters and digits begins: the letters before the digit at `digit`, at most seven.
pub(crate) fn word_start(bytes: &[u8], digit: usize) -> usize {
    let letters = bytes[digit.saturating_sub(7)..digit].iter().rev();
    digit - letters.take_while(|byte| byte.is_ascii_alphanumeric()).count()
}

/// A range for tests of place alone.
pub(crate) fn run(bytes: &[u8], start: usize) -> Range<usize> {
    start..start + bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}
