//! Addresses of machines: IPv4 and IPv6, but for those that name nobody, versions and object identifiers.
use std::{net::Ipv6Addr, ops::Range};

use super::{
    Kind, Met, Profile, Tier,
    context::{Text, contains},
    numbers::run,
};

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
    // A group has up to four digits; most numbers and words end here.
    let group = &bytes[from..bytes.len().min(from + 5)];
    if group.iter().find(|byte| !byte.is_ascii_hexdigit()) != Some(&b':') {
        return;
    }
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
