//! Personal data: numbers, addresses and dates that belong to a person.
//!
//! One pass looks for digits, one for `@`, one for `P<`; where one stands, small readers look at the structure around it,
//! then at check digits, then at the words beside it and the header of its column. There is no regex. What comes of it
//! is a place, a kind and a [`Tier`]; which tiers are refused, warned of or redacted is the policy's to say.
//!
//! Invariants:
//! - Any bytes are fine, and the work is linear: each reader looks at a bounded number of bytes around its digit.
//! - Regions do not overlap, and lie within one line but for postal addresses.
//! - No byte of a value leaves this room: findings hold places, masked forms and keyed fingerprints.
mod checks;
mod context;

mod national;
mod numbers;

mod account;
mod address;
mod birth;
mod machine;
mod mail;
mod passport;

use std::ops::Range;

use carnet_core::{Confidence, Origin, Severity};

use self::{
    context::Text,
    national::{NATIONAL, National},
};

/// What a text is looked at for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Code and documents on their way into history: what is published, made up or no one's is quiet.
    Commit,
    /// Prompts, logs and artifacts on their way out: what may be personal is.
    Outbound,
}

impl Profile {
    /// Returns the profile for what comes from there.
    pub fn of(origin: &Origin) -> Profile {
        match origin {
            Origin::Staged(_)
            | Origin::Committed(_)
            | Origin::File(_)
            | Origin::Message(_)
            | Origin::Stdin => Profile::Commit,
            Origin::Prompt | Origin::Artifact(_) | Origin::Log(_) => Profile::Outbound,
        }
    }
}

/// How sure it is that a value is what it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// The structure holds, and nothing speaks of it.
    Weak,
    /// A structure that little else has.
    Likely,
    /// A structure that nothing else has, or check digits and a word that speaks of them.
    Certain,
}

impl Tier {
    pub(crate) fn of(confidence: Confidence) -> Tier {
        match confidence {
            Confidence::Low => Tier::Weak,
            Confidence::Medium => Tier::Likely,
            Confidence::High => Tier::Certain,
        }
    }

    pub(crate) fn confidence(self) -> Confidence {
        match self {
            Tier::Weak => Confidence::Low,
            Tier::Likely => Confidence::Medium,
            Tier::Certain => Confidence::High,
        }
    }
}

/// A kind of personal data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) id: &'static str,
    pub(crate) description: &'static str,
    pub(crate) severity: Severity,
}

macro_rules! kinds {
    ($($name:ident: $id:literal, $description:literal, $severity:ident;)*) => {
        impl Kind {
            $(pub(crate) const $name: Kind =
                Kind { id: $id, description: $description, severity: Severity::$severity };)*
            const OTHERS: &[Kind] = &[$(Kind::$name),*];
        }
    };
}

kinds! {
    ADDRESS: "pii-address", "postal address", Medium;
    BIRTH: "pii-birth-date", "date of birth", Medium;
    CARD: "pii-card", "payment card number", High;
    EMAIL: "pii-email", "e-mail address", Medium;
    IBAN: "pii-iban", "bank account number (IBAN)", High;
    IP: "pii-ip", "IP address", Medium;
    PASSPORT: "pii-passport", "passport number", High;
    PHONE: "pii-phone", "telephone number", Medium;
}

impl Kind {
    pub(crate) fn national(entry: &National) -> Kind {
        Kind { id: entry.id, description: entry.description, severity: Severity::High }
    }
}

/// A kind of personal data as reports name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PersonalRule {
    /// The rule's id; always begins with `pii-`.
    pub id: &'static str,
    /// What it is, in a few words.
    pub description: &'static str,
    /// The public specification of its form, where it has one.
    pub reference: Option<&'static str>,
}

/// Returns every kind of personal data that is looked for.
pub fn personal_rules() -> impl Iterator<Item = PersonalRule> {
    let others = Kind::OTHERS.iter().map(|kind| PersonalRule {
        id: kind.id,
        description: kind.description,
        reference: None,
    });
    others.chain(NATIONAL.iter().map(|entry| PersonalRule {
        id: entry.id,
        description: entry.description,
        reference: Some(entry.reference),
    }))
}

/// A value met in a text.
#[derive(Debug, Clone)]
pub(crate) struct Met {
    pub(crate) kind: Kind,
    pub(crate) range: Range<usize>,
    pub(crate) tier: Tier,
    /// Bytes to the nearest word that speaks of it.
    distance: usize,
}

impl Met {
    pub(crate) fn new(kind: Kind, range: Range<usize>, tier: Tier, distance: usize) -> Met {
        Met { kind, range, tier, distance }
    }
}

/// Returns what is met in a text of at least `tier`, in order and without overlaps.
///
/// `is_beginning` tells that `bytes` are the beginning of a text: its first line may be the header of a table.
pub(crate) fn find(bytes: &[u8], is_beginning: bool, profile: Profile, tier: Tier) -> Vec<Met> {
    let text = Text::new(bytes, is_beginning);
    let mut met = Vec::new();
    let mut add = |it: Met| {
        if it.tier >= tier {
            met.push(it);
        }
    };
    at_digits(&text, profile, &mut add);
    mail::emails(&text, profile, &mut add);
    passport::machine_readable(&text, &mut add);
    survivors(met)
}

/// Tells whether the first line of a text is the header of a table, which speaks for all cells below.
pub(crate) fn begins_table(bytes: &[u8]) -> bool {
    Text::new(bytes, true).has_header()
}

/// Returns the kind and the place of the personal data in a text of at least `tier`, in order and without overlaps.
pub fn personal_data(
    text: &[u8],
    profile: Profile,
    tier: Tier,
) -> impl Iterator<Item = (&'static str, Range<usize>)> {
    find(text, true, profile, tier).into_iter().map(|met| (met.kind.id, met.range))
}

fn at_digits(text: &Text<'_>, profile: Profile, add: &mut impl FnMut(Met)) {
    let bytes = text.bytes;
    let mut at = 0;
    while let Some(start) = next_digit(bytes, at) {
        let run = numbers::run(bytes, start);
        at = run.end;
        let word = numbers::word_start(bytes, start);
        if start - word > 6 {
            continue;
        }
        if word < start {
            if bytes[word..start].iter().all(u8::is_ascii_uppercase) {
                account::iban(text, word, profile, add);
                numbers::identifiers(text, word, start - word, profile, add);
            }
            passport::passport(text, word, add);
            machine::ipv6(text, word, profile, add);
            continue;
        }
        let next = |n: usize| bytes.get(run.end + n).copied().unwrap_or(b'\n');
        if run.len() <= 5 && next(0) == b' ' && next(1).is_ascii_alphabetic() {
            address::address(text, &run, profile, add);
        }
        address::german_address(text, &run, profile, add);
        if run.len() <= 4
            && matches!(next(0), b'-' | b'/' | b'.' | b' ' | b',' | b't' | b's' | b'n' | b'r')
        {
            birth::birth(text, start, profile, add);
        }
        if run.len() <= 4 && (next(0) == b':' || next(0).is_ascii_hexdigit()) {
            machine::ipv6(text, start, profile, add);
        }
        if run.len() <= 3 && next(0) == b'.' && next(1).is_ascii_digit() {
            machine::ipv4(text, start, profile, add);
        }
        let could_be_long = run.len() >= 7
            || (matches!(next(0), b' ' | b'-' | b'.' | b'/' | b')' | b'(' | b'+')
                && (next(1).is_ascii_digit() || matches!(next(1), b' ' | b'-' | b'(')));
        if could_be_long {
            numbers::identifiers(text, start, run.len(), profile, add);
            passport::passport(text, start, add);
            let groups = numbers::Groups::read(bytes, start);
            if let Some(card) = numbers::card(text, &groups, profile) {
                add(card);
            }
            if let Some(phone) = numbers::phone(text, &groups, profile) {
                add(phone);
            }
        }
    }
}

/// Returns where the next digit stands. Whole blocks without any are passed over at once.
fn next_digit(bytes: &[u8], from: usize) -> Option<usize> {
    const BLOCK: usize = 32;
    let holds_any = |block: &[u8]| {
        block.iter().fold(0, |any, byte| any | u8::from(byte.wrapping_sub(b'0') < 10)) != 0
    };
    let mut at = from;
    while bytes.get(at..at + BLOCK).is_some_and(|block| !holds_any(block)) {
        at += BLOCK;
    }
    bytes[at..].iter().position(u8::is_ascii_digit).map(|n| at + n)
}

/// Of those that share bytes the surer stays, then the one whose word is nearer, then the longer, then the earlier.
fn survivors(mut met: Vec<Met>) -> Vec<Met> {
    met.sort_by_key(|it| {
        let order = (std::cmp::Reverse(it.tier), it.distance, std::cmp::Reverse(it.range.len()));
        (order, it.range.start, it.kind.id)
    });
    let mut taken = std::collections::BTreeMap::new();
    let mut stay = Vec::new();
    for it in met {
        let before = taken.range(..it.range.end).next_back();
        if before.is_none_or(|(_, end)| *end <= it.range.start) {
            taken.insert(it.range.start, it.range.end);
            stay.push(it);
        }
    }
    stay.sort_by_key(|it| it.range.start);
    stay
}

#[cfg(test)]
mod tests;
