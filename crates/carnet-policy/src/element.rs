//! One element: literal text with at most one hole, matched against one whole argument.

use std::{fmt, sync::Arc};

use crate::{hidden::HiddenFiles, hole::Hole};

/// Literal text before the hole, the hole, literal text behind it.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    prefix: String,
    hole: Option<Hole>,
    suffix: String,
}

impl Element {
    /// Parses an element as it stands in a file.
    pub(crate) fn parse(text: &str) -> Result<Element, String> {
        let Some(open) = text.find('{') else {
            return Element::literal(text);
        };
        let Some(len) = hole_len(&text[open..]) else {
            return Err(format!("`{}` has a brace that is not closed", crate::show(text)));
        };
        let (prefix, suffix) = (&text[..open], &text[open + len..]);
        check_literal(prefix)?;
        check_literal(suffix)?;
        let hole = Hole::parse(&text[open + 1..open + len - 1])?;
        Ok(Element { prefix: prefix.to_owned(), hole: Some(hole), suffix: suffix.to_owned() })
    }

    fn literal(text: &str) -> Result<Element, String> {
        if text.is_empty() {
            return Err("an element is empty".to_owned());
        }
        check_literal(text)?;
        Ok(Element { prefix: text.to_owned(), hole: None, suffix: String::new() })
    }

    /// Names the files that a `{path}` may not be.
    pub(crate) fn hide(&mut self, hidden: &Arc<HiddenFiles>) {
        if let Some(hole) = &mut self.hole {
            hole.hide(hidden);
        }
    }

    /// As [`Hole::check_size`].
    pub(crate) fn check_size(&self) -> Result<(), String> {
        self.hole.as_ref().map_or(Ok(()), Hole::check_size)
    }

    /// Tells whether the element matches the whole argument, never an option through a leading hole.
    pub(crate) fn matches(&self, argument: &str) -> bool {
        let dashed = self.prefix.is_empty() && argument.starts_with('-');
        !dashed && self.matches_dashed(argument)
    }

    /// As [`Element::matches`], but a leading hole may match a leading `-`: for deny rules.
    pub(crate) fn matches_dashed(&self, argument: &str) -> bool {
        let Some(hole) = &self.hole else { return self.prefix == argument };
        let middle = argument.strip_prefix(self.prefix.as_str());
        let middle = middle.and_then(|rest| rest.strip_suffix(self.suffix.as_str()));
        middle.is_some_and(|middle| hole.matches(middle))
    }

    /// Returns the text when there is no hole.
    pub(crate) fn as_literal(&self) -> Option<&str> {
        self.hole.is_none().then_some(self.prefix.as_str())
    }

    /// Returns every text that the element can match, when they are listed: a literal or a `{one-of:…}`.
    pub(crate) fn words(&self) -> Option<Vec<String>> {
        match &self.hole {
            None => Some(vec![self.prefix.clone()]),
            Some(Hole::OneOf(words)) => {
                let whole = |word: &String| format!("{}{word}{}", self.prefix, self.suffix);
                Some(words.iter().map(whole).collect())
            }
            Some(_) => None,
        }
    }

    pub(crate) fn starts_with_dash(&self) -> bool {
        self.prefix.starts_with('-')
    }

    /// Tells, as far as it is obvious, whether every argument that `other` matches is matched by `self`.
    pub(crate) fn covers(&self, other: &Element) -> bool {
        if let Some(literal) = other.as_literal() {
            return self.matches(literal);
        }
        if let Some(words) = other.words() {
            return words.iter().all(|word| self.matches(word));
        }
        match (&self.hole, &other.hole) {
            (Some(ours), Some(theirs)) => {
                self.prefix == other.prefix && self.suffix == other.suffix && ours.covers(theirs)
            }
            _ => false,
        }
    }

    /// Says in words what is expected.
    pub(crate) fn describe(&self) -> String {
        match &self.hole {
            None => format!("`{}`", self.prefix),
            Some(hole) if self.prefix.is_empty() && self.suffix.is_empty() => hole.describe(),
            Some(hole) => format!("`{self}`, where the hole is {}", hole.describe()),
        }
    }
}

impl fmt::Display for Element {
    /// Writes the element as it stands in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prefix)?;
        self.hole.as_ref().map_or(Ok(()), |hole| hole.fmt(f))?;
        f.write_str(&self.suffix)
    }
}

/// Returns the length of the hole that `text` begins with, its braces included.
fn hole_len(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut escaped = false;
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'{' => depth += 1,
            b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(offset + 1);
                }
            }
            _ => {}
        }
    }
    None
}

fn check_literal(text: &str) -> Result<(), String> {
    if text.contains(['{', '}']) {
        return Err(format!(
            "`{}` has a brace outside a hole, or a second hole",
            crate::show(text)
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("`{}` has a control character", crate::show(text)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(element: &str, yes: &[&str], no: &[&str]) {
        let parsed = Element::parse(element).unwrap();
        assert_eq!(parsed.to_string(), element);
        for argument in yes {
            assert!(parsed.matches(argument), "{element} should match {argument:?}");
        }
        for argument in no {
            assert!(!parsed.matches(argument), "{element} should not match {argument:?}");
        }
    }

    #[test]
    fn literals_match_themselves_only() {
        check("test", &["test"], &["", "tes", "tests", "Test", "-test"]);
    }

    #[test]
    fn a_hole_between_literals_takes_what_is_left() {
        check("--jobs={int:1..8}", &["--jobs=8"], &["--jobs", "--jobs=", "--jobs=9", "--job=1"]);
        check("{path}.js", &["a.js", "x/y.js"], &[".js", "/a.js", "a.jsx", "-a.js", "../a.js"]);
        check("a{re:.*}a", &["aa", "aba"], &["a", "ab"]);
    }

    #[test]
    fn a_leading_hole_never_matches_an_option() {
        check("{re:.*}", &["x", ""], &["-x", "-", "--"]);
        check("{one-of:-c|x}", &["x"], &["-c"]);
        assert!(Element::parse("{re:.*}").unwrap().matches_dashed("-x"));
    }

    #[test]
    fn counted_repetition_is_inside_the_hole() {
        check("{re:[a-z]{2}}!", &["ab!"], &["a!", "abc!"]);
        check("{re:\\{}", &["{"], &["{{"]);
    }

    #[test]
    fn unbalanced_double_and_empty_elements_are_refused() {
        for bad in ["", "{", "}", "a}", "{path", "{path}{path}", "a\nb", "{{path}}", "{}"] {
            assert!(Element::parse(bad).is_err(), "{bad:?}");
        }
    }
}
