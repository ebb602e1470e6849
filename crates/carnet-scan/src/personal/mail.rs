//! E-mail addresses: those of persons, and not of robots, offices, examples and authors.
use std::ops::Range;

use super::{
    Kind, Met, Profile, Tier,
    context::{Text, contains},
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
