//! Values without a mark of their own: `password = "…"`, `SECRET_KEY: …`, `<token>…</token>`.
//!
//! A name that speaks of a secret, something that gives it a value, and the value. [`candidate`] reads these three
//! around a keyword, in any language and in settings files, without a parser; [`model`] says how likely the value is a
//! secret, by its letters, its name and the way it is given.
//!
//! Invariants: a candidate is looked for within a few hundred bytes of its keyword, on both sides (a name,
//! some blanks and a value have their bounds below), and what is read depends on those bytes alone.

pub(crate) mod features;
pub(crate) mod model;

use std::ops::Range;

/// Bytes of a name on either side of its keyword.
const NAME_BYTES_MAX: usize = 48;
/// Bytes of a value.
const VALUE_BYTES_MAX: usize = 256;
/// Blanks between name, separator and value.
const BLANKS_MAX: usize = 24;
/// Bytes before the name in which a user may be named.
const USER_BYTES_MAX: usize = 96;
/// Bytes of the line before the name that tell how it stands.
const BEFORE_BYTES_MAX: usize = 24;

/// What a name speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A password: often a word that people can remember.
    Password,
    /// A key, token or secret: mostly made by a machine.
    Secret,
}

impl Kind {
    pub(crate) const ALL: [Kind; 2] = [Kind::Password, Kind::Secret];

    /// Returns the name that rule files use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Password => "password",
            Kind::Secret => "secret",
        }
    }

    /// Returns stems, one of which lies in every name of this kind.
    pub(crate) fn stems(self) -> &'static [&'static str] {
        match self {
            Kind::Password => &["pass", "pwd", "pswd"],
            Kind::Secret => &["secret", "token", "key", "auth", "cred", "bearer"],
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What stands between a name and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Separator {
    /// `=`, `:=`
    Equals,
    /// `:`
    Colon,
    /// `: string =`, ` String =`: the value of a language with types, in quotes
    Typed,
    /// `=>`
    Arrow,
    /// `==`, `!=`, `.equals(`
    Compared,
    /// `("password", "…")`
    Comma,
    /// `setPassword("…")`
    Call,
    /// `password "…"`, `--password …`
    Blank,
    /// `<password>…</password>`
    Tag,
    /// `key="password" value="…"`
    Attribute,
}

/// What stands after a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The end of the line, or a comment.
    LineEnd,
    /// `,` `;` `)` `}` `]` `<` `&`
    Punctuation,
    /// Anything else: the value is part of an expression or a sentence.
    More,
}

/// A name and the value given to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate<'t> {
    pub(crate) kind: Kind,
    pub(crate) name: &'t [u8],
    pub(crate) value: &'t [u8],
    /// Where the value stands in the text.
    pub(crate) range: Range<usize>,
    pub(crate) is_quoted: bool,
    /// Whether the name stands in quotes.
    pub(crate) is_name_quoted: bool,
    pub(crate) separator: Separator,
    pub(crate) after: After,
    /// The line before the name, as far as it is looked at.
    pub(crate) before: &'t [u8],
    /// Whether a user is named shortly before.
    pub(crate) has_user: bool,
}

/// Reads the name around the keyword at `hit`, and what it is given.
pub(crate) fn candidate(text: &[u8], hit: Range<usize>, kind: Kind) -> Option<Candidate<'_>> {
    let name = name_around(text, hit);
    let mut at = name.end;
    let is_name_quoted = {
        let n_closing = closing(text, at);
        at += n_closing;
        n_closing > 0
    };
    let (separator, after_separator) = separator(text, at, is_name_quoted)?;
    // Most names are given something that is no literal; the words of the name are looked at last.
    let (range, is_quoted) = value(text, after_separator, separator)?;
    // In `"Password:", "next"` the quote after the colon closes what the name stands in.
    let opened = name.start.checked_sub(1).map(|at| text[at]).filter(|byte| is_quote(*byte));
    if is_quoted && !is_name_quoted && opened == range.start.checked_sub(1).map(|at| text[at]) {
        return None;
    }
    let whole_name = &text[name.clone()];
    (speaks_of(whole_name, kind, separator) && can_be_secret(&text[range.clone()], kind))
        .then_some(())?;
    let line_start = text[name.start.saturating_sub(BEFORE_BYTES_MAX)..name.start]
        .iter()
        .rev()
        .take_while(|byte| !is_line_end(**byte))
        .count();
    let end = range.end + if is_quoted { escaped_quote(text, range.end) } else { 0 };
    Some(Candidate {
        kind,
        name: whole_name,
        value: &text[range.clone()],
        range,
        is_quoted,
        is_name_quoted,
        separator,
        after: after(text, end),
        before: &text[name.start - line_start..name.start],
        has_user: names_user(&text[name.start.saturating_sub(USER_BYTES_MAX)..name.start]),
    })
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn name_around(text: &[u8], hit: Range<usize>) -> Range<usize> {
    let before = &text[hit.start.saturating_sub(NAME_BYTES_MAX)..hit.start];
    let n_before = before.iter().rev().take_while(|byte| is_name_byte(**byte)).count();
    let after = &text[hit.end..text.len().min(hit.end + NAME_BYTES_MAX)];
    let n_after = after.iter().take_while(|byte| is_name_byte(**byte) && **byte != b'.').count();
    hit.start - n_before..hit.end + n_after
}

/// Returns how many bytes close a quoted or indexed name: `"`, `']`, `\"`.
fn closing(text: &[u8], at: usize) -> usize {
    let rest = &text[at..text.len().min(at + 4)];
    rest.iter().take_while(|byte| matches!(byte, b'"' | b'\'' | b'`' | b']' | b'\\')).count()
}

fn skip_blanks(text: &[u8], at: usize) -> usize {
    let rest = &text[at..text.len().min(at + BLANKS_MAX)];
    at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// Reads what gives the value; returns where the value begins.
fn separator(text: &[u8], name_end: usize, is_quoted: bool) -> Option<(Separator, usize)> {
    let at = skip_blanks(text, name_end);
    let found = |separator, len: usize| Some((separator, skip_blanks(text, at + len)));
    match text.get(at..text.len().min(at + 16))? {
        [b'=', b'=', b'=', ..] | [b'!', b'=', b'=', ..] => found(Separator::Compared, 3),
        [b'=', b'=', ..] | [b'!', b'=', ..] => found(Separator::Compared, 2),
        [b'=', b'>', ..] => found(Separator::Arrow, 2),
        [b':', b'=', ..] => found(Separator::Equals, 2),
        [b'?' | b'+' | b'|', b'=', ..] => found(Separator::Equals, 2),
        [b'=', ..] => found(Separator::Equals, 1),
        [b':', b':', ..] => None,
        [b':', ..] => after_type(text, skip_blanks(text, at + 1))
            .map(|at| (Separator::Typed, at))
            .or_else(|| found(Separator::Colon, 1)),
        [b'>', ..] if !is_quoted && at == name_end => found(Separator::Tag, 1),
        [b',', ..] if is_quoted => found(Separator::Comma, 1),
        rest if rest.starts_with(b".equals(") => found(Separator::Compared, 8),
        rest if rest.starts_with(b"value=") && at > name_end => found(Separator::Attribute, 6),
        [b'(', ..] if !is_quoted && at == name_end => found(Separator::Call, 1),
        [b'"' | b'\'', ..] if at > name_end && !is_quoted => found(Separator::Blank, 0),
        [byte, ..] if at > name_end && byte.is_ascii_alphanumeric() => {
            after_type(text, at).map(|at| (Separator::Typed, at))
        }
        _ => None,
    }
}

/// Reads the name of a type and an equals sign: `: string =`, ` String =`.
fn after_type(text: &[u8], at: usize) -> Option<usize> {
    let rest = &text[at..text.len().min(at + 32)];
    let is_type_byte = |byte: &&u8| {
        byte.is_ascii_alphanumeric()
            || matches!(**byte, b'_' | b'&' | b'*' | b'<' | b'>' | b'.' | b'[' | b']')
    };
    let len = rest.iter().take_while(is_type_byte).count();
    let equals = skip_blanks(text, at + len);
    let is_sign = text.get(equals) == Some(&b'=') && text.get(equals + 1) != Some(&b'=');
    (len > 0 && is_sign).then(|| skip_blanks(text, equals + 1))
}

/// Reads a value in quotes, or one that ends with its line or a blank.
fn value(text: &[u8], at: usize, separator: Separator) -> Option<(Range<usize>, bool)> {
    let at = match text.get(at..text.len().min(at + 2))? {
        [b'b' | b'r' | b'u' | b'f' | b'L' | b'@' | b'$' | b'N', b'"' | b'\''] => at + 1,
        _ => at,
    };
    let (at, is_escaped) = match text.get(at..text.len().min(at + 2))? {
        [b'\\', b'"' | b'\''] => (at + 1, true),
        _ => (at, false),
    };
    let quote = *text.get(at)?;
    let limit = text.len().min(at + VALUE_BYTES_MAX);
    if matches!(quote, b'"' | b'\'' | b'`') {
        let start = at + 1;
        let mut end = start;
        while end < limit && text[end] != quote {
            match text[end] {
                b'\n' | b'\r' => return None,
                b'\\' if is_escaped && text.get(end + 1) == Some(&quote) => break,
                b'\\' => end += 1,
                _ => {}
            }
            end += 1;
        }
        let is_closed = end < limit && (text[end] == quote || is_escaped);
        return (is_closed && end > start).then_some((start..end, true));
    }
    if matches!(
        separator,
        Separator::Typed
            | Separator::Comma
            | Separator::Call
            | Separator::Blank
            | Separator::Compared
            | Separator::Attribute
    ) || matches!(quote, b'(' | b'{' | b'[' | b'<' | b'$' | b'&' | b'|' | b'\\')
    {
        return None;
    }
    let stops = |byte: u8| {
        byte.is_ascii_whitespace()
            || matches!(
                byte,
                b'"' | b'\''
                    | b'`'
                    | b'<'
                    | b'>'
                    | b','
                    | b';'
                    | b'{'
                    | b'}'
                    | b'('
                    | b')'
                    | b'['
                    | b']'
                    | b'&'
                    | b'\\'
                    | b'|'
            )
    };
    let len = text[at..limit].iter().take_while(|byte| !stops(**byte)).count();
    let is_whole = at + len < limit || limit == text.len();
    let is_call = matches!(text.get(at + len), Some(b'(' | b'[' | b'{'));
    (len > 0 && is_whole && !is_call).then_some((at..at + len, false))
}

/// Returns the length of what closes a quoted value: the quote, with its backslash.
fn escaped_quote(text: &[u8], at: usize) -> usize {
    if text.get(at) == Some(&b'\\') { 2 } else { 1 }
}

fn after(text: &[u8], end: usize) -> After {
    let at = skip_blanks(text, end);
    match text.get(at..text.len().min(at + 2)) {
        None | Some([] | [b'\n' | b'\r' | b'#', ..] | [b'/', b'/'] | [b'-', b'-']) => {
            After::LineEnd
        }
        Some([b'\\', b'n'] | [b'\\']) => After::LineEnd,
        Some([b',' | b';' | b')' | b'}' | b']' | b'<' | b'&' | b'/', ..]) => After::Punctuation,
        Some(_) => After::More,
    }
}

/// Tells whether a user is given a name: `user = "app",`, `username: app`.
fn names_user(before: &[u8]) -> bool {
    let lower = before.to_ascii_lowercase();
    ["user", "login", "email", "account", "uid"]
        .iter()
        .any(|word| memchr::memmem::find(&lower, word.as_bytes()).is_some())
}

/// Tells whether a value is worth a closer look.
///
/// Not: other alphabets, hashes of passwords, paths, numbers, words of handbooks, the letters in a row, one letter over
/// and over, bytes written as escapes, and keys that a handbook gives to everyone.
fn can_be_secret(value: &[u8], kind: Kind) -> bool {
    let begins =
        |prefixes: &[&str]| prefixes.iter().any(|prefix| value.starts_with(prefix.as_bytes()));
    let is_path = value[0] == b'/' && value.iter().filter(|byte| **byte == b'/').count() > 1;
    let is_word = WORDS.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()));
    let is_number = kind == Kind::Secret
        && value
            .iter()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b':' | b','));
    let n_escapes = memchr::memmem::find_iter(value, b"\\x").count();
    let is_dull = value.len() >= 16 && features::entropy(value) < 2.5;
    let is_row = features::longest_sequence(value) >= 8
        || memchr::memmem::find(value, b"01020304050607").is_some();
    value.len() >= 3
        && value.is_ascii()
        && !(is_path || is_word || is_number || is_dull || is_row)
        && n_escapes * 6 < value.len()
        && !begins(&HASHES)
        && !begins(&DOCUMENTED)
        && !begins(&["0x"])
}

/// How hashes of passwords begin.
const HASHES: [&str; 12] = [
    "$2", "$1$", "$5$", "$6$", "$apr1$", "$argon2", "{SHA}", "{SSHA", "md5$", "sha1$", "pbkdf2",
    "bcrypt",
];

/// How values begin that handbooks give to everyone: the key of Microsoft's storage emulator
/// (<https://learn.microsoft.com/azure/storage/common/storage-use-azurite>), and the passwords of NuGet's reference
/// (<https://learn.microsoft.com/nuget/reference/nuget-config-file>).
const DOCUMENTED: [&str; 3] = ["Eby8vdM02xNOcqFlqUwJPLlm", "33f!!lloppa", "hal+9ooo_da!sY"];

/// Words that stand for a value in every handbook.
const WORDS: [&str; 30] = [
    "root",
    "admin",
    "secret",
    "password",
    "passwd",
    "pass",
    "pwd",
    "test",
    "changeme",
    "passphrase",
    "user",
    "guest",
    "none",
    "null",
    "nil",
    "true",
    "false",
    "yes",
    "string",
    "hidden",
    "prompt",
    "text",
    "bar",
    "foo",
    "baz",
    "testpass",
    "testpassword",
    "wrong",
    "invalid",
    "password1",
];

/// Words of a name that belongs to a dialogue, or to what is known of a secret.
const OTHER: [&str; 60] = [
    "title",
    "label",
    "mandatory",
    "forgot",
    "forgotten",
    "show",
    "hide",
    "tooltip",
    "advice",
    "remove",
    "enter",
    "hint",
    "error",
    "errors",
    "invalid",
    "message",
    "msg",
    "placeholder",
    "desc",
    "description",
    "help",
    "hash",
    "hashed",
    "digest",
    "salt",
    "bcrypt",
    "sha256",
    "sha1",
    "md5",
    "public",
    "pub",
    "csrf",
    "xsrf",
    "regex",
    "length",
    "policy",
    "column",
    "required",
    "scheme",
    "sha2",
    "algorithm",
    "mode",
    "enabled",
    "type",
    "count",
    "file",
    "path",
    "foreign",
    "primary",
    "authenticity",
    "event",
    "source",
    "vault",
    "fingerprint",
    "url",
    "uri",
    "endpoint",
    "prefix",
    "suffix",
    "expires",
];

/// Last words of a name that say it names or finds a secret.
const LAST: [&str; 22] = [
    "id", "ids", "name", "names", "types", "len", "size", "field", "fields", "prompt", "env",
    "var", "header", "headers", "param", "format", "pattern", "ttl", "index", "class", "provider",
    "map",
];

/// Tells whether the words of a name speak of a secret of this kind, and not of something about it.
fn speaks_of(name: &[u8], kind: Kind, separator: Separator) -> bool {
    let mut words = [&name[..0]; 12];
    let n_words = features::words(name, &mut words);
    let words = &words[..n_words];
    let is_in = |word: &[u8], set: &[&str]| {
        set.iter().any(|other| word.eq_ignore_ascii_case(other.as_bytes()))
    };
    let has = |set: &[&str]| words.iter().any(|word| is_in(word, set));
    let Some(last) = words.last() else { return false };
    let ends_with = |stems: &[&str]| {
        words.iter().any(|word| {
            let lower = word.to_ascii_lowercase();
            stems.iter().any(|stem| lower.ends_with(stem.as_bytes()))
        })
    };
    if has(&OTHER) || is_in(last, &LAST) {
        return false;
    }
    match kind {
        Kind::Password => {
            // `pass` is a verb too.
            let is_pass = is_in(last, &["pass"]) && separator != Separator::Blank;
            is_pass
                || has(&["pwd", "pswd", "passphrase", "passcode"])
                || ends_with(&[
                    "passwd",
                    "password",
                    "passwort",
                    "passw",
                    "pwd",
                    "pswd",
                    "password1",
                    "password2",
                    "passphrase",
                ])
        }
        Kind::Secret => {
            is_in(last, &["key", "keys", "auth", "creds", "cred", "credential", "credentials"])
                || ends_with(&[
                    "secret",
                    "token",
                    "apikey",
                    "authkey",
                    "accesskey",
                    "secretkey",
                    "privatekey",
                    "authorization",
                    "bearer",
                ])
        }
    }
}

#[cfg(test)]
mod tests;
