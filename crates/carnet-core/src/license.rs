//! Licence expressions: `MIT OR Apache-2.0`, parsed.

use std::fmt;

/// Longest expression, in bytes.
const BYTES_MAX: usize = 4096;
/// Deepest nesting of parentheses.
const DEPTH_MAX: usize = 32;

/// An SPDX licence expression. Knows the grammar, not the list: whether an id exists is for others to say.
///
/// # Source
///
/// The SPDX specification 2.3, annex D. Operators are accepted in any case, and `/` for `OR`, as manifests write them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LicenseExpression {
    /// One licence.
    Term(LicenseTerm),
    /// All of these hold at once.
    And(Vec<LicenseExpression>),
    /// One of these may be chosen.
    Or(Vec<LicenseExpression>),
}

/// A licence, perhaps of any later version, perhaps with an exception.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LicenseTerm {
    /// Id such as `MIT`, or a `LicenseRef-…`, without `+`.
    pub id: String,
    /// `+` stood behind the id.
    pub plus: bool,
    /// Id behind `WITH`.
    pub exception: Option<String>,
}

/// Why some text is no licence expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LicenseExpressionError {
    /// More bytes or parentheses than any licence needs.
    #[error("licence expression is too long or too deep")]
    TooLarge,
    /// It ends where a licence should stand.
    #[error("licence expression ends where an id should stand")]
    Ends,
    /// Something stands where it cannot.
    #[error("`{0}` cannot stand there in a licence expression")]
    Unexpected(String),
}

impl LicenseExpression {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// [`LicenseExpressionError`] names the first word that cannot stand where it does.
    pub fn parse(text: &str) -> Result<LicenseExpression, LicenseExpressionError> {
        if text.len() > BYTES_MAX {
            return Err(LicenseExpressionError::TooLarge);
        }
        let words = split(text);
        let mut parser = Parser { words: &words, at: 0, depth: 0 };
        let expression = parser.or()?;
        match parser.next() {
            None => Ok(expression),
            Some(word) => Err(LicenseExpressionError::Unexpected(word.to_owned())),
        }
    }

    /// Returns the licences, from left to right.
    pub fn terms(&self) -> Vec<&LicenseTerm> {
        match self {
            LicenseExpression::Term(term) => vec![term],
            LicenseExpression::And(parts) | LicenseExpression::Or(parts) => {
                parts.iter().flat_map(LicenseExpression::terms).collect()
            }
        }
    }

    /// Returns the same expression with every term put through `change`.
    #[must_use]
    pub fn map(self, change: &mut dyn FnMut(LicenseTerm) -> LicenseTerm) -> LicenseExpression {
        let mut all = |parts: Vec<LicenseExpression>| {
            parts.into_iter().map(|part| part.map(change)).collect()
        };
        match self {
            LicenseExpression::And(parts) => LicenseExpression::And(all(parts)),
            LicenseExpression::Or(parts) => LicenseExpression::Or(all(parts)),
            LicenseExpression::Term(term) => LicenseExpression::Term(change(term)),
        }
    }

    /// Decides by what holds for each licence: all parts of `AND`, some part of `OR`.
    pub fn holds(&self, term_holds: &mut dyn FnMut(&LicenseTerm) -> bool) -> bool {
        match self {
            LicenseExpression::Term(term) => term_holds(term),
            LicenseExpression::And(parts) => parts.iter().all(|part| part.holds(term_holds)),
            LicenseExpression::Or(parts) => parts.iter().any(|part| part.holds(term_holds)),
        }
    }
}

impl fmt::Display for LicenseTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        if self.plus {
            f.write_str("+")?;
        }
        match &self.exception {
            Some(exception) => write!(f, " WITH {exception}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for LicenseExpression {
    /// Parentheses stand only where they are needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, word) = match self {
            LicenseExpression::Term(term) => return term.fmt(f),
            LicenseExpression::And(parts) => (parts, " AND "),
            LicenseExpression::Or(parts) => (parts, " OR "),
        };
        for (idx, part) in parts.iter().enumerate() {
            if idx > 0 {
                f.write_str(word)?;
            }
            match part {
                LicenseExpression::Term(term) => term.fmt(f)?,
                group => write!(f, "({group})")?,
            }
        }
        Ok(())
    }
}

fn split(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for chunk in text.split_whitespace() {
        let mut rest = chunk;
        while let Some(at) = rest.find(['(', ')', '/']) {
            words.extend([&rest[..at], &rest[at..=at]]);
            rest = &rest[at + 1..];
        }
        words.push(rest);
    }
    words.retain(|word| !word.is_empty());
    words
}

struct Parser<'w, 't> {
    words: &'w [&'t str],
    at: usize,
    depth: usize,
}

impl<'t> Parser<'_, 't> {
    fn next(&mut self) -> Option<&'t str> {
        let word = self.words.get(self.at).copied();
        self.at += 1;
        word
    }

    fn takes(&mut self, words: &[&str]) -> bool {
        let next = self.words.get(self.at);
        let is_there =
            next.is_some_and(|next| words.iter().any(|word| next.eq_ignore_ascii_case(word)));
        self.at += usize::from(is_there);
        is_there
    }

    fn or(&mut self) -> Result<LicenseExpression, LicenseExpressionError> {
        let mut parts = vec![self.and()?];
        while self.takes(&["or", "/", "||"]) {
            parts.push(self.and()?);
        }
        Ok(joined(parts, LicenseExpression::Or))
    }

    fn and(&mut self) -> Result<LicenseExpression, LicenseExpressionError> {
        let mut parts = vec![self.one()?];
        while self.takes(&["and", "&&"]) {
            parts.push(self.one()?);
        }
        Ok(joined(parts, LicenseExpression::And))
    }

    fn one(&mut self) -> Result<LicenseExpression, LicenseExpressionError> {
        if self.takes(&["("]) {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err(LicenseExpressionError::TooLarge);
            }
            let inside = self.or()?;
            self.depth -= 1;
            return match self.next() {
                Some(")") => Ok(inside),
                Some(word) => Err(LicenseExpressionError::Unexpected(word.to_owned())),
                None => Err(LicenseExpressionError::Ends),
            };
        }
        let word = self.id()?;
        let exception = if self.takes(&["with"]) { Some(self.id()?.to_owned()) } else { None };
        let id = word.strip_suffix('+');
        Ok(LicenseExpression::Term(LicenseTerm {
            id: id.unwrap_or(word).to_owned(),
            plus: id.is_some(),
            exception,
        }))
    }

    fn id(&mut self) -> Result<&'t str, LicenseExpressionError> {
        let word = self.next().ok_or(LicenseExpressionError::Ends)?;
        let is_operator =
            ["and", "or", "with"].iter().any(|other| word.eq_ignore_ascii_case(other));
        let body = word.strip_suffix('+').unwrap_or(word);
        let is_id = !body.is_empty()
            && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte));
        if is_operator || !is_id {
            return Err(LicenseExpressionError::Unexpected(word.to_owned()));
        }
        Ok(word)
    }
}

/// One part stands for itself.
fn joined(
    mut parts: Vec<LicenseExpression>,
    group: fn(Vec<LicenseExpression>) -> LicenseExpression,
) -> LicenseExpression {
    match parts.len() {
        1 => parts.remove(0),
        _ => group(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let parsed = LicenseExpression::parse(text).unwrap();
        assert_eq!(parsed.to_string(), expect);
        assert_eq!(LicenseExpression::parse(expect).unwrap(), parsed, "it does not come back");
    }

    #[test]
    fn expressions_come_back_as_they_were_meant() {
        check("MIT", "MIT");
        check("mit or  Apache-2.0", "mit OR Apache-2.0");
        check("MIT/Apache-2.0", "MIT OR Apache-2.0");
        check("A AND B OR C", "(A AND B) OR C");
        check("A AND (B OR C)", "A AND (B OR C)");
        check("((A))", "A");
        check("GPL-2.0+ WITH Classpath-exception-2.0", "GPL-2.0+ WITH Classpath-exception-2.0");
        check("DocumentRef-a:LicenseRef-b", "DocumentRef-a:LicenseRef-b");
    }

    #[test]
    fn what_is_no_expression_is_named() {
        let deep = "(".repeat(1000);
        let long = "A AND ".repeat(4000);
        for bad in [
            "",
            "OR",
            "MIT OR",
            "MIT Apache-2.0",
            "(MIT",
            "MIT)",
            "MIT WITH",
            "a b",
            "MIT,",
            "+",
            &deep,
            &long,
        ] {
            assert!(LicenseExpression::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn all_of_and_and_some_of_or_must_hold() {
        let holds =
            |text: &str| LicenseExpression::parse(text).unwrap().holds(&mut |term| term.id == "A");
        assert!(holds("A") && holds("A OR B") && !holds("A AND B") && holds("A AND (B OR A)"));
    }
}
