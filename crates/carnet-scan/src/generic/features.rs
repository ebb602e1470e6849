//! What the model sees of a candidate: numbers between 0 and 1, most of them a yes or no.
//!
//! Nothing here is a verdict. A feature is cheap: a pass over the value, or a short list of words.

use super::{After, Candidate, Kind, Separator, model::Trigrams};

/// Names of the features, in order; the file of weights names them too.
pub(crate) const NAMES: &[&str] = &[
    "bias",
    "quoted",
    "name-quoted",
    "equals",
    "typed",
    "colon",
    "arrow",
    "compared",
    "comma",
    "call",
    "blank",
    "tag",
    "attribute",
    "ends-line",
    "more-follows",
    "bare-in-settings",
    "bare-in-code",
    "in-comment",
    "user-before",
    "user-before-quoted",
    "len-4",
    "len-8",
    "len-12",
    "len-16",
    "len-20",
    "len-32",
    "len-48",
    "len-80",
    "digit",
    "upper-and-lower",
    "all-three",
    "special",
    "only-lower",
    "only-upper",
    "only-digits",
    "only-hex-long",
    "not-ascii",
    "blank-inside",
    "blanks-many",
    "surprise-low",
    "surprise-mid",
    "surprise-high",
    "surprise-top",
    "entropy",
    "case-switches",
    "digit-switches",
    "placeholder",
    "word-of-dummies",
    "word-of-name",
    "same-as-name",
    "sequence",
    "repeats",
    "camel-or-snake",
    "shouting",
    "dotted",
    "path",
    "url",
    "expression",
    "format",
    "sentence",
    "name-about",
    "name-strong",
    "name-plain",
    "name-shouting",
    "name-test",
    "name-public",
    "surprise-and-long",
    "word-and-digits",
    "all-words",
    "uuid",
    "bare-word",
    "bare-with-digit",
    "short-and-lower",
    "two-kinds-and-long",
    "mark-between-words",
    "hex-32-and-more",
    "spelled-otherwise",
];

/// Number of features.
pub(crate) const LEN: usize = NAMES.len();

/// Words that stand for a value; a value that is one of them, or holds one, is mostly no secret.
const DUMMIES: [&str; 44] = [
    "example",
    "sample",
    "dummy",
    "fake",
    "placeholder",
    "changeme",
    "change",
    "replace",
    "your",
    "enter",
    "insert",
    "here",
    "todo",
    "none",
    "null",
    "nil",
    "true",
    "false",
    "undefined",
    "default",
    "string",
    "text",
    "value",
    "required",
    "optional",
    "invalid",
    "missing",
    "unknown",
    "redacted",
    "hidden",
    "masked",
    "xxx",
    "foo",
    "bar",
    "baz",
    "some",
    "any",
    "field",
    "input",
    "type",
    "abc",
    "asdf",
    "env",
    "config",
];

/// Words of a name that say it names, finds or describes a secret rather than holding it.
const ABOUT: [&str; 62] = [
    "id",
    "ids",
    "name",
    "names",
    "path",
    "file",
    "url",
    "uri",
    "type",
    "types",
    "length",
    "len",
    "size",
    "hash",
    "field",
    "fields",
    "label",
    "hint",
    "placeholder",
    "error",
    "message",
    "msg",
    "title",
    "prompt",
    "text",
    "desc",
    "description",
    "help",
    "env",
    "var",
    "header",
    "headers",
    "param",
    "prefix",
    "suffix",
    "format",
    "regex",
    "pattern",
    "policy",
    "expiry",
    "expires",
    "ttl",
    "count",
    "index",
    "idx",
    "store",
    "storage",
    "manager",
    "provider",
    "endpoint",
    "column",
    "table",
    "class",
    "style",
    "code",
    "codes",
    "map",
    "board",
    "word",
    "words",
    "ring",
    "event",
];

/// Returns the numbers of one candidate.
pub(crate) fn of(candidate: &Candidate<'_>, trigrams: &Trigrams) -> [f32; LEN] {
    let mut row = Row { numbers: [0.0; LEN], at: 0 };
    let value = Value::new(candidate.value, trigrams);
    row.flag(true);
    row.form(candidate);
    row.shape(&value);
    row.letters(&value);
    row.words(candidate, &value);
    row.name(candidate);
    row.both(candidate, &value);
    row.numbers
}

/// What is counted in one pass over a value.
struct Value<'t> {
    bytes: &'t [u8],
    lower: Vec<u8>,
    n_upper: usize,
    n_lower: usize,
    n_digit: usize,
    n_blank: usize,
    n_other: usize,
    n_not_ascii: usize,
    n_case_switches: usize,
    n_digit_switches: usize,
    /// Mean surprise in bits per byte, under the trigrams of source.
    surprise: f32,
    entropy: f32,
}

impl<'t> Value<'t> {
    fn new(bytes: &'t [u8], trigrams: &Trigrams) -> Value<'t> {
        let count = |is: fn(&u8) -> bool| bytes.iter().filter(|byte| is(byte)).count();
        let switches = |is: fn(&u8) -> bool| {
            bytes.windows(2).filter(|pair| is(&pair[0]) != is(&pair[1])).count()
        };
        Value {
            bytes,
            lower: bytes.to_ascii_lowercase(),
            n_upper: count(u8::is_ascii_uppercase),
            n_lower: count(u8::is_ascii_lowercase),
            n_digit: count(u8::is_ascii_digit),
            n_blank: count(|byte| matches!(byte, b' ' | b'\t')),
            n_other: count(|byte| byte.is_ascii_punctuation()),
            n_not_ascii: count(|byte| !byte.is_ascii()),
            n_case_switches: switches(u8::is_ascii_uppercase),
            n_digit_switches: switches(u8::is_ascii_digit),
            surprise: trigrams.surprise(bytes),
            entropy: entropy(bytes),
        }
    }

    fn holds(&self, word: &str) -> bool {
        memchr::memmem::find(&self.lower, word.as_bytes()).is_some()
    }

    fn is_all(&self, is: impl Fn(u8) -> bool) -> bool {
        self.bytes.iter().all(|byte| is(*byte))
    }
}

/// The numbers while they are written, in the order of [`NAMES`].
struct Row {
    numbers: [f32; LEN],
    at: usize,
}

impl Row {
    fn number(&mut self, number: f32) {
        self.numbers[self.at] = number.clamp(0.0, 1.0);
        self.at += 1;
    }

    fn flag(&mut self, is: bool) {
        self.number(if is { 1.0 } else { 0.0 });
    }

    fn form(&mut self, candidate: &Candidate<'_>) {
        self.flag(candidate.is_quoted);
        self.flag(candidate.is_name_quoted);
        for separator in [
            Separator::Equals,
            Separator::Typed,
            Separator::Colon,
            Separator::Arrow,
            Separator::Compared,
            Separator::Comma,
            Separator::Call,
            Separator::Blank,
            Separator::Tag,
            Separator::Attribute,
        ] {
            let is = candidate.separator == separator;
            // Of some there are few to learn from; they are like an equals sign.
            let is_like = separator == Separator::Equals
                && matches!(candidate.separator, Separator::Attribute | Separator::Blank);
            self.flag(is || is_like);
        }
        self.flag(candidate.after == After::LineEnd);
        self.flag(candidate.after == After::More);
        let before = candidate.before.trim_ascii();
        let is_settings = before.is_empty()
            || matches!(
                before,
                b"export" | b"set" | b"ENV" | b"-" | b"#" | b"-e" | b"ARG" | b"env"
            )
            || before.ends_with(b" -e")
            || before.ends_with(b"--");
        let is_bare = !candidate.is_quoted;
        self.flag(is_bare && is_settings && candidate.after == After::LineEnd);
        self.flag(is_bare && !(is_settings && candidate.after == After::LineEnd));
        self.flag(
            before.starts_with(b"#") || before.starts_with(b"//") || before.starts_with(b"*"),
        );
        self.flag(candidate.has_user);
        self.flag(candidate.has_user && candidate.is_quoted);
    }

    fn shape(&mut self, value: &Value<'_>) {
        for len in [4, 8, 12, 16, 20, 32, 48, 80] {
            self.flag(value.bytes.len() >= len);
        }
        let Value { n_upper, n_lower, n_digit, n_other, .. } = *value;
        self.flag(n_digit > 0);
        self.flag(n_upper > 0 && n_lower > 0);
        self.flag(n_upper > 0 && n_lower > 0 && n_digit > 0);
        self.flag(n_other > 0);
        self.flag(n_lower == value.bytes.len());
        self.flag(n_upper == value.bytes.len());
        self.flag(n_digit == value.bytes.len());
        self.flag(value.bytes.len() >= 16 && value.is_all(|byte| byte.is_ascii_hexdigit()));
        self.flag(value.n_not_ascii > 0);
        self.flag(value.n_blank > 0);
        self.flag(value.n_blank > 2);
    }

    fn letters(&mut self, value: &Value<'_>) {
        for floor in [3.5, 4.5, 5.5, 6.5] {
            self.number((value.surprise - floor) / 1.5);
        }
        self.number(value.entropy / 5.0);
        let len = value.bytes.len().max(1) as f32;
        self.number(value.n_case_switches as f32 / len * 2.0);
        self.number(value.n_digit_switches as f32 / len * 2.0);
    }

    fn words(&mut self, candidate: &Candidate<'_>, value: &Value<'_>) {
        self.flag(crate::placeholder::is_placeholder(value.bytes));
        self.flag(DUMMIES.iter().any(|word| value.holds(word)));
        self.flag(["passw", "pwd", "secret", "token", "key"].iter().any(|word| value.holds(word)));
        self.flag(value.lower == candidate.name.to_ascii_lowercase());
        self.flag(longest_sequence(value.bytes) >= 5);
        self.flag(longest_repeat(value.bytes) >= 4);
        let mut parts = [&value.bytes[..0]; 12];
        let n_parts = words(value.bytes, &mut parts);
        let is_identifier =
            value.is_all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        self.flag(is_identifier && value.n_digit == 0 && n_parts >= 2);
        self.flag(value.n_lower == 0 && value.n_upper > 2 && value.bytes.contains(&b'_'));
        self.flag(is_identifier_with(value, b'.'));
        self.flag(
            value.bytes.contains(&b'/')
                && !value.holds("//")
                && value.n_digit * 4 < value.bytes.len(),
        );
        self.flag(value.holds("://"));
        self.flag(is_expression(value));
        self.flag(value.holds("%s") || value.holds("%d") || value.holds("{}") || value.holds("{0"));
        self.flag(value.n_blank >= 1 && value.n_digit == 0 && value.n_other <= 2);
    }

    fn name(&mut self, candidate: &Candidate<'_>) {
        let mut parts = [&candidate.name[..0]; 12];
        let n_parts = words(candidate.name, &mut parts);
        let parts = &parts[..n_parts];
        let is_one = |set: &[&str]| {
            parts
                .iter()
                .any(|part| set.iter().any(|word| part.eq_ignore_ascii_case(word.as_bytes())))
        };
        let is_last = |set: &[&str]| {
            parts.last().is_some_and(|part| {
                set.iter().any(|word| part.eq_ignore_ascii_case(word.as_bytes()))
            })
        };
        self.flag(
            is_last(&ABOUT)
                || is_one(&["label", "error", "invalid", "placeholder", "forgot", "reset", "hint"]),
        );
        self.flag(
            is_one(&["secret", "password", "passwd", "token", "private", "access", "api"])
                && n_parts > 1,
        );
        self.flag(n_parts == 1);
        self.flag(candidate.name.iter().all(|byte| !byte.is_ascii_lowercase()));
        self.flag(is_one(&["test", "mock", "fake", "dummy", "example"]));
        self.flag(is_one(&[
            "public", "pub", "primary", "foreign", "cache", "sort", "hot", "csrf", "next", "page",
        ]));
    }

    fn both(&mut self, candidate: &Candidate<'_>, value: &Value<'_>) {
        let len = value.bytes.len();
        self.flag(value.surprise >= 5.0 && len >= 16);
        let letters = value.bytes.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let is_word_and_digits =
            letters >= 3 && letters < len && value.bytes[letters..].iter().all(u8::is_ascii_digit);
        self.flag(is_word_and_digits);
        self.flag(value.n_digit == 0 && value.surprise < 4.0);
        self.flag(is_uuid(value.bytes));
        let is_bare = !candidate.is_quoted && candidate.kind == Kind::Password;
        self.flag(is_bare && value.n_lower == len);
        self.flag(is_bare && value.n_digit > 0 && value.n_digit < len);
        self.flag(len < 8 && value.n_lower == len);
        self.flag(len >= 16 && value.n_digit > 1 && value.n_lower + value.n_upper > 1);
        let marks = value.bytes.iter().filter(|byte| matches!(byte, b'_' | b'-')).count();
        self.flag(marks > 0 && value.n_digit == 0 && value.surprise < 5.0);
        let is_one_case = value.n_upper == 0 || value.n_lower == 0;
        self.flag(len >= 32 && is_one_case && value.is_all(|byte| byte.is_ascii_hexdigit()));
        self.flag(is_spelled_otherwise(value));
    }
}

fn is_identifier_with(value: &Value<'_>, joint: u8) -> bool {
    value.n_digit == 0
        && value.bytes.contains(&joint)
        && value.is_all(|byte| {
            byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' || byte == joint
        })
}

fn is_expression(value: &Value<'_>) -> bool {
    let bytes = value.bytes;
    bytes.starts_with(b"$")
        || bytes.starts_with(b"%") && bytes.ends_with(b"%")
        || bytes.starts_with(b"@")
        || ["${", "{{", "$(", "#{", "<%", "()", "->", "::", "[\"", "['", "\" +", "' +"]
            .iter()
            .any(|part| value.holds(part))
        || bytes.starts_with(b"<") && bytes.ends_with(b">")
        || bytes.starts_with(b"{") && bytes.ends_with(b"}")
        || bytes.starts_with(b"[") && bytes.ends_with(b"]")
}

/// Tells whether a word for a secret is written with other letters, as people do: `p4ssw0rd`, `s3cr3t`.
fn is_spelled_otherwise(value: &Value<'_>) -> bool {
    let plain: Vec<u8> = value
        .lower
        .iter()
        .map(|byte| match byte {
            b'0' => b'o',
            b'1' | b'!' => b'i',
            b'3' => b'e',
            b'4' | b'@' => b'a',
            b'5' | b'$' => b's',
            other => *other,
        })
        .collect();
    let holds = |text: &[u8]| {
        ["passw", "secret", "admin", "welcome"]
            .iter()
            .any(|word| memchr::memmem::find(text, word.as_bytes()).is_some())
    };
    holds(&plain) && !holds(&value.lower)
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Returns the length of the longest run in which each byte is the next of the one before: `abcd`, `4321`.
pub(crate) fn longest_sequence(bytes: &[u8]) -> usize {
    longest(bytes, |a, b| b == a.wrapping_add(1) || b == a.wrapping_sub(1))
}

fn longest_repeat(bytes: &[u8]) -> usize {
    longest(bytes, |a, b| a == b)
}

fn longest(bytes: &[u8], goes_on: impl Fn(u8, u8) -> bool) -> usize {
    let (mut best, mut len) = (0, 1);
    for pair in bytes.windows(2) {
        len = if goes_on(pair[0], pair[1]) { len + 1 } else { 1 };
        best = best.max(len);
    }
    best
}

/// Returns the Shannon entropy of a value, in bits per byte.
pub(crate) fn entropy(bytes: &[u8]) -> f32 {
    let mut counts = [0_u16; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let total = bytes.len() as f32;
    let bits = |count: &u16| {
        let share = f32::from(*count) / total;
        -share * share.log2()
    };
    counts.iter().filter(|count| **count > 0).map(bits).sum()
}

/// Splits a name into its words, at marks and where a capital begins one; returns how many there are, at most as many
/// as `words` has room for.
pub(crate) fn words<'t>(name: &'t [u8], words: &mut [&'t [u8]]) -> usize {
    let (mut n_words, mut start) = (0, 0);
    let mut add = |word: &'t [u8]| {
        if !word.is_empty() && n_words < words.len() {
            words[n_words] = word;
            n_words += 1;
        }
    };
    for at in 0..name.len() {
        if !name[at].is_ascii_alphanumeric() {
            add(&name[start..at]);
            start = at + 1;
        } else if at > start && name[at].is_ascii_uppercase() {
            let begins = name[at - 1].is_ascii_lowercase()
                || name[at - 1].is_ascii_digit()
                || name.get(at + 1).is_some_and(u8::is_ascii_lowercase);
            if begins {
                add(&name[start..at]);
                start = at;
            }
        }
    }
    add(&name[start..]);
    n_words
}
