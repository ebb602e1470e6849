//! The typed holes of an element: what one argument, or a part of it, may be.
//!
//! Invariant: apart from `{re:…}`, a hole never matches a control character, an option or a way out of
//! the working directory, whatever surrounds it.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use regex_automata::{
    Anchored, Input,
    meta::{Config, Regex},
    nfa::thompson::WhichCaptures,
    util::syntax,
};

use crate::hidden::HiddenFiles;

/// Longest regular expression in a hole, in bytes.
const REGEX_BYTES_MAX: usize = 512;
/// Largest compiled regular expression, in bytes.
const REGEX_SIZE_MAX: usize = 1 << 18;

/// What stands between the braces.
#[derive(Debug, Clone)]
pub(crate) enum Hole {
    Int {
        least: u64,
        most: u64,
    },
    /// A path, and the files that it may not name.
    Path(Arc<HiddenFiles>),
    Ref,
    OneOf(Vec<String>),
    Re(Expression),
}

/// A regular expression with its text.
#[derive(Debug, Clone)]
pub(crate) struct Expression {
    text: String,
    /// Compiled when first asked: of the expressions of a lane, a decision meets a few.
    regex: OnceLock<Option<Regex>>,
}

impl Hole {
    /// Parses the text between the braces.
    pub(crate) fn parse(text: &str) -> Result<Hole, String> {
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind, Some(rest)),
            None => (text, None),
        };
        match (kind, rest) {
            ("path", None) => Ok(Hole::Path(Arc::default())),
            ("ref", None) => Ok(Hole::Ref),
            ("int", Some(range)) => parse_range(range),
            ("one-of", Some(words)) => parse_words(words),
            ("re", Some(expression)) => Expression::parse(expression).map(Hole::Re),
            _ => Err(format!(
                "`{{{text}}}` is no hole; the holes are `{{int:0..20}}`, `{{path}}`, `{{ref}}`, \
                 `{{one-of:a|b}}` and `{{re:…}}`"
            )),
        }
    }

    /// Names the files that a path may not be.
    pub(crate) fn hide(&mut self, hidden: &Arc<HiddenFiles>) {
        if let Hole::Path(hidden_from_it) = self {
            *hidden_from_it = Arc::clone(hidden);
        }
    }

    /// Says what is wrong with a hole that parses and cannot be used: too large an expression.
    pub(crate) fn check_size(&self) -> Result<(), String> {
        match self {
            Hole::Re(expression) => expression.check_size(),
            _ => Ok(()),
        }
    }

    /// Tells whether the hole matches the whole of `text`.
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Hole::Int { least, most } => is_int(text, *least, *most),
            Hole::Path(hidden) => is_path(text) && !hidden.hides_whole(text),
            Hole::Ref => is_ref(text),
            Hole::OneOf(words) => words.iter().any(|word| word == text),
            Hole::Re(expression) => expression.matches(text),
        }
    }

    /// Tells, as far as it is obvious, whether every text that `other` matches is matched by `self`.
    pub(crate) fn covers(&self, other: &Hole) -> bool {
        match (self, other) {
            (Hole::Path(_), Hole::Path(_)) | (Hole::Ref, Hole::Ref) => true,
            (Hole::Int { least, most }, Hole::Int { least: low, most: high }) => {
                least <= low && high <= most
            }
            (Hole::Re(ours), Hole::Re(theirs)) => ours.text == theirs.text,
            (_, Hole::OneOf(words)) => words.iter().all(|word| self.matches(word)),
            _ => false,
        }
    }

    /// Says in words what is expected.
    pub(crate) fn describe(&self) -> String {
        match self {
            Hole::Int { least, most } => format!("a whole number from {least} to {most}"),
            Hole::Path(_) => {
                "a relative path that stays in the workspace and is not hidden".to_owned()
            }
            Hole::Ref => "a branch, tag or commit".to_owned(),
            Hole::OneOf(words) => format!("one of `{}`", words.join("`, `")),
            Hole::Re(expression) => format!("text that matches `{}`", expression.text),
        }
    }
}

impl fmt::Display for Hole {
    /// Writes the hole as it stands in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hole::Int { least, most } => write!(f, "{{int:{least}..{most}}}"),
            Hole::Path(_) => f.write_str("{path}"),
            Hole::Ref => f.write_str("{ref}"),
            Hole::OneOf(words) => write!(f, "{{one-of:{}}}", words.join("|")),
            Hole::Re(expression) => write!(f, "{{re:{}}}", expression.text),
        }
    }
}

impl Expression {
    fn parse(text: &str) -> Result<Expression, String> {
        if text.is_empty() || text.len() > REGEX_BYTES_MAX {
            return Err(format!("a regular expression has 1 to {REGEX_BYTES_MAX} bytes"));
        }
        // By itself first: `a)|(b` is well formed only inside the group that anchors it, and escapes it.
        syntax::parse_with(text, &syntax_config()).map_err(|error| {
            let cause = error.to_string();
            let last = cause.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("`{}` is no regular expression: {last}", crate::show(text))
        })?;
        Ok(Expression { text: text.to_owned(), regex: OnceLock::new() })
    }

    /// Says what is wrong with an expression that parses and cannot be compiled within its bounds.
    fn check_size(&self) -> Result<(), String> {
        match self.regex() {
            Some(_) => Ok(()),
            None => Err(format!("`{}` is too large an expression", crate::show(&self.text))),
        }
    }

    /// An expression that cannot be compiled matches nothing.
    fn matches(&self, text: &str) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(Input::new(text).anchored(Anchored::Yes)))
    }

    fn regex(&self) -> Option<&Regex> {
        self.regex.get_or_init(|| compile(&self.text)).as_ref()
    }
}

/// Compiles with both ends anchored, over bytes, and with bounded size.
fn compile(text: &str) -> Option<Regex> {
    let config = Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(REGEX_SIZE_MAX))
        .hybrid(false)
        .dfa(false)
        .onepass(false)
        .which_captures(WhichCaptures::None)
        .auto_prefilter(false);
    // `\z` outside the group: an alternative cannot escape the anchor.
    Regex::builder().configure(config).syntax(syntax_config()).build(&format!("(?:{text})\\z")).ok()
}

fn syntax_config() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false).nest_limit(50)
}

fn parse_range(range: &str) -> Result<Hole, String> {
    let bounds = range.split_once("..").and_then(|(least, most)| {
        let plain = |text: &str| is_int(text, 0, u64::MAX).then(|| text.parse().ok()).flatten();
        Some((plain(least)?, plain(most)?))
    });
    match bounds {
        Some((least, most)) if least <= most => Ok(Hole::Int { least, most }),
        _ => Err(format!("`{{int:{}}}` is no range such as `{{int:0..20}}`", crate::show(range))),
    }
}

fn parse_words(words: &str) -> Result<Hole, String> {
    let words: Vec<String> = words.split('|').map(str::to_owned).collect();
    let control = |word: &String| word.chars().any(char::is_control);
    if words.iter().any(|word| word.is_empty() || control(word)) {
        return Err("a word of `{one-of:…}` is empty or has a control character".to_owned());
    }
    for (idx, word) in words.iter().enumerate() {
        if words[..idx].contains(word) {
            return Err(format!("`{word}` stands twice in `{{one-of:…}}`"));
        }
    }
    Ok(Hole::OneOf(words))
}

fn is_int(text: &str, least: u64, most: u64) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (text == "0" || !text.starts_with('0'));
    plain && text.parse::<u64>().is_ok_and(|number| (least..=most).contains(&number))
}

/// See `docs/format/allowlist.md` for the reason behind each refusal.
fn is_path(text: &str) -> bool {
    if text.starts_with(['-', '~', '@', '+', '/']) || text.starts_with(crate::looks_like_a_dash) {
        return false;
    }
    let refused =
        |char: char| char.is_control() || matches!(char, ':' | '=') || crate::deceives(char);
    if text.chars().any(refused) {
        return false;
    }
    let body = text.strip_suffix('/').unwrap_or(text);
    let inside = |component: &str| {
        !component.is_empty() && component != ".." && !component.eq_ignore_ascii_case(".git")
    };
    body.split('/').all(inside)
}

/// The rules of `git check-ref-format`, stricter, with `~N` and `^N` allowed at the end.
fn is_ref(text: &str) -> bool {
    let (name, suffix) = text.split_at(text.find(['~', '^']).unwrap_or(text.len()));
    if !suffix.bytes().all(|byte| matches!(byte, b'~' | b'^' | b'0'..=b'9')) {
        return false;
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/+".contains(&byte) || byte >= 0x80;
    if !name.bytes().all(plain) || name.contains("..") || name.starts_with(['-', '+']) {
        return false;
    }
    if name.chars().any(|char| char.is_control() || crate::deceives(char)) {
        return false;
    }
    if name.starts_with(crate::looks_like_a_dash) {
        return false;
    }
    name.split('/').all(|component| {
        let dots = component.starts_with('.') || component.ends_with('.');
        !component.is_empty() && !dots && !component.ends_with(".lock")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hole: &str, yes: &[&str], no: &[&str]) {
        let hole = Hole::parse(hole).unwrap();
        for text in yes {
            assert!(hole.matches(text), "{hole} should match {text:?}");
        }
        for text in no {
            assert!(!hole.matches(text), "{hole} should not match {text:?}");
        }
    }

    #[test]
    fn numbers_are_plain_and_in_range() {
        let no =
            &["", "21", "-1", "+1", "01", "1 ", " 1", "0x1", "1e1", "99999999999999999999999", "١"];
        check("int:0..20", &["0", "7", "20"], no);
    }

    #[test]
    fn paths_stay_below_the_working_directory() {
        let yes = &["a", ".", "./a", "a/b.c", "a/", ".github/x", "a/...", "..a", "é/ü", "a b"];
        let no = &[
            "",
            "/",
            "/a",
            "..",
            "../a",
            "a/..",
            "a/../b",
            "a//b",
            "-a",
            "~",
            "~/a",
            "@a",
            "+a",
            "host:a",
            "A=b",
            "a\nb",
            "a\0",
            "./..",
            "a//",
            "//",
            "a\u{85}b",
            "\u{2024}\u{2024}/a",
            "a\u{2215}b",
            "\u{2212}f",
            "\u{2014}all",
            "a\u{202e}b",
            "\u{ff0e}\u{ff0e}\u{ff0f}a",
            "a\u{200b}",
        ];
        check("path", yes, no);
    }

    #[test]
    fn refs_name_one_thing_without_options_ranges_or_magic() {
        let yes = &["main", "feature/x", "v1.2.3", "HEAD~3", "HEAD^", "HEAD^2~1", "0123abcd"];
        let no = &[
            "",
            "-x",
            "a..b",
            "a:b",
            "+a",
            "a b",
            "@{1}",
            ".a",
            "a/.b",
            "a.lock",
            "a//b",
            "/a",
            "\u{2212}f",
            "a\u{ff0f}b",
            "a/",
            "~1",
            "a^{tree}",
            "a~x",
            "a\n",
            "a*",
            "a?",
            "a[",
            "a\\b",
        ];
        check("ref", yes, no);
    }

    #[test]
    fn expressions_are_anchored_at_both_ends_even_with_alternatives() {
        check("re:a|b", &["a", "b"], &["", "xa", "ax", "ab", "a\n", "b\nx"]);
        check("re:[a-z]{2,3}", &["ab", "abc"], &["a", "abcd"]);
        check("re:x$", &["x"], &["x\n"]);
        check("re:(?m)x$", &["x"], &["x\ny"]);
        check("re:.*", &["", "a", "é"], &["a\nb"]);
    }

    #[test]
    fn holes_that_mean_nothing_are_refused() {
        for bad in [
            "",
            "int",
            "int:",
            "int:5..1",
            "int:-1..5",
            "int:1",
            "path:x",
            "ref:",
            "one-of:",
            "one-of:a||b",
            "one-of:a|a",
            "re:",
            "re:(",
            "re:a)",
            "re:a)|(b",
            "any",
            "Path",
            "re:(?=a)",
        ] {
            assert!(Hole::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Hole::parse(&format!("re:{}", "a".repeat(513))).is_err());
        assert!(Hole::parse("re:((a{100}){100}){100}").unwrap().check_size().is_err());
    }
}
