//! What a person types: words, `"an exact phrase"`, `/a regular expression/`.

use regex_automata::{meta, util::syntax};
use regex_syntax::hir::{Hir, HirKind};

use super::tokens;
use crate::vectors::{ModelStore, Question};

/// Longest query, in bytes.
pub const QUERY_BYTES_MAX: usize = 2_000;
/// Most words of a query that are looked for; the rest is passed over, and the answer says so.
pub(crate) const WORDS_MAX: usize = 48;
/// Most words that say something beside a phrase or an expression; a query of more is a sentence, and the marks in it are
/// punctuation.
const WORDS_BESIDE_EXACT_MAX: usize = 4;
/// Most phrases and regular expressions of one query.
const EXACT_MAX: usize = 8;
/// Memory that one compiled regular expression may take, in bytes.
const REGEX_BYTES_MAX: usize = 256 << 10;
/// Deepest nesting of a regular expression.
const REGEX_DEPTH_MAX: u32 = 50;
/// A shorter text stands in too many words to narrow anything down.
const FRAGMENT_CHARS_MIN: usize = 3;

/// Words that stand in almost every question and say nothing of what is asked for.
const STOP_WORDS: [&str; 42] = [
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "how",
    "i", "if", "in", "into", "is", "it", "its", "me", "of", "on", "or", "our", "that", "the",
    "their", "then", "there", "this", "to", "we", "what", "when", "where", "which", "why", "will",
    "with", "you",
];

/// A query, understood.
#[derive(Debug, Clone, Default)]
pub struct SearchQuery {
    /// The words as typed, each once, without those that say nothing.
    pub(crate) words: Vec<String>,
    /// All that is neither phrase nor expression, as typed.
    pub(crate) plain: String,
    pub(crate) exact: Vec<Exact>,
    /// Words past the bound, which are not looked for.
    pub(crate) n_words_left: usize,
    /// What a model of git's configuration says, in place of the embedded table.
    pub(crate) model: Option<(ModelStore, Question)>,
}

/// Something that must stand in the text as it is.
#[derive(Debug, Clone)]
pub(crate) struct Exact {
    pub regex: meta::Regex,
    /// Texts that stand inside of words wherever it matches; lower-cased.
    pub fragments: Vec<String>,
}

/// Why a query cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Nothing to look for.
    #[error("the query has no word to look for")]
    Empty,
    /// Too long.
    #[error("the query has {0} bytes; at most {QUERY_BYTES_MAX} are taken")]
    TooLong(usize),
    /// A quotation mark without its second.
    #[error("the phrase that begins at byte {0} has no closing `\"`")]
    OpenPhrase(usize),
    /// Too many phrases and regular expressions.
    #[error("the query has more than {EXACT_MAX} phrases and regular expressions")]
    TooMany,
    /// A regular expression that does not compile within its bounds.
    #[error("the regular expression `{pattern}` cannot be used: {reason}")]
    Regex {
        /// What was typed between the slashes.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl SearchQuery {
    /// Reads a query.
    ///
    /// # Errors
    ///
    /// [`QueryError`] where nothing could be looked for, or only beyond the bounds.
    pub fn parse(text: &str) -> Result<SearchQuery, QueryError> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(QueryError::TooLong(text.len()));
        }
        let mut query = SearchQuery::default();
        let cut = cut(text);
        let plain = cut.as_ref().map_or(text.to_owned(), |pieces| {
            let plain = pieces.iter().filter(|(kind, _)| *kind == Kind::Plain);
            plain.map(|(_, piece)| *piece).collect()
        });
        query.add_words(&plain);
        if query.words.len() > WORDS_BESIDE_EXACT_MAX {
            // Marks in a sentence are punctuation.
            query.add_words(text);
            text.clone_into(&mut query.plain);
            return Ok(query);
        }
        for (kind, piece) in cut? {
            match kind {
                Kind::Plain => {}
                Kind::Phrase => query.add_phrase(piece)?,
                Kind::Regex => query.add_regex(&piece.replace("\\/", "/"))?,
            }
        }
        query.plain = plain;
        if query.words.is_empty() && query.exact.is_empty() {
            return Err(QueryError::Empty);
        }
        Ok(query)
    }

    /// Returns what is asked about, as a model is to embed it; `None` where vectors say nothing to the query.
    pub fn question(&self) -> Option<String> {
        super::fuse::is_question(self).then(|| self.plain.trim().to_owned())
    }

    /// Has vectors of a model answer.
    ///
    /// - `vector`: the model's vector of [`SearchQuery::question`], of length 1.
    pub fn ask_model(&mut self, store: ModelStore, vector: Vec<f32>) {
        self.model = Some((store, Question::new(vector)));
    }

    /// Returns how many words are past the bound and not looked for.
    pub fn n_words_left(&self) -> usize {
        self.n_words_left
    }

    fn add_words(&mut self, plain: &str) {
        let mut words: Vec<String> = Vec::new();
        for word in plain.split(|c| !tokens::is_word(c)) {
            let has_word = word.contains(|c| c != '_') && word.len() <= tokens::WORD_BYTES_MAX;
            if has_word && !words.iter().any(|it| it == word) {
                words.push(word.to_owned());
            }
        }
        let says_something = |word: &String| !STOP_WORDS.contains(&word.to_lowercase().as_str());
        if words.iter().any(says_something) {
            words.retain(says_something);
        }
        self.n_words_left = words.len().saturating_sub(WORDS_MAX);
        words.truncate(WORDS_MAX);
        self.words = words;
    }

    fn add_phrase(&mut self, phrase: &str) -> Result<(), QueryError> {
        let words: Vec<String> = phrase.split_whitespace().map(regex_syntax::escape).collect();
        match words.is_empty() {
            true => Ok(()),
            // A phrase that a line break divides is the same phrase.
            false => self.add_regex(&words.join(r"\s+")),
        }
    }

    fn add_regex(&mut self, pattern: &str) -> Result<(), QueryError> {
        if self.exact.len() == EXACT_MAX {
            return Err(QueryError::TooMany);
        }
        let refused = |reason: String| QueryError::Regex { pattern: pattern.to_owned(), reason };
        let syntax = syntax::Config::new().multi_line(true).nest_limit(REGEX_DEPTH_MAX).utf8(false);
        let hir = syntax::parse_with(pattern, &syntax)
            .map_err(|error| refused(last_line(&error.to_string())))?;
        if hir.properties().minimum_len() == Some(0) {
            return Err(refused("it matches the empty text".to_owned()));
        }
        let config = meta::Config::new()
            .utf8_empty(false)
            .nfa_size_limit(Some(REGEX_BYTES_MAX))
            .hybrid_cache_capacity(REGEX_BYTES_MAX);
        let built = meta::Builder::new().configure(config).build_from_hir(&hir);
        let regex = built.map_err(|error| {
            refused(match error.size_limit() {
                Some(_) => format!("compiled it takes more than {REGEX_BYTES_MAX} bytes"),
                None => error.to_string(),
            })
        })?;
        let mut fragments = Vec::new();
        collect_fragments(&hir, &mut fragments);
        fragments.sort();
        fragments.dedup();
        self.exact.push(Exact { regex, fragments });
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Phrase,
    Regex,
}

/// Cuts a query into words, phrases and expressions, without their marks.
fn cut(text: &str) -> Result<Vec<(Kind, &str)>, QueryError> {
    let (mut pieces, mut at, mut plain) = (Vec::new(), 0, 0);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let is_at_start = text[..at].chars().next_back().is_none_or(char::is_whitespace);
        let regex = if c == '/' && is_at_start { regex_end(rest) } else { None };
        let end = match regex {
            None if c == '"' => Some(1 + rest[1..].find('"').ok_or(QueryError::OpenPhrase(at))?),
            end => end,
        };
        let Some(end) = end else {
            at += c.len_utf8();
            continue;
        };
        pieces.push((Kind::Plain, &text[plain..at]));
        pieces.push((if c == '"' { Kind::Phrase } else { Kind::Regex }, &rest[1..end]));
        at += end + 1;
        plain = at;
    }
    pieces.push((Kind::Plain, &text[plain..]));
    Ok(pieces)
}

/// Returns where the slash stands that closes the expression at the beginning of `text`: the end or a space follows it.
fn regex_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'/' if at > 1 && bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace) => {
                return Some(at);
            }
            _ => {}
        }
        at += 1;
    }
    None
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Collects texts of word characters that stand wherever the expression matches.
fn collect_fragments(hir: &Hir, out: &mut Vec<String>) {
    match hir.kind() {
        HirKind::Literal(literal) => {
            let text = String::from_utf8_lossy(&literal.0);
            for word in text.split(|c| !tokens::is_word(c)) {
                // A word past the bound is not in the index.
                if word.chars().count() >= FRAGMENT_CHARS_MIN
                    && word.len() <= tokens::WORD_BYTES_MAX
                {
                    // Letter by letter, as the words of the index are.
                    out.push(word.chars().flat_map(char::to_lowercase).collect());
                }
            }
        }
        HirKind::Capture(capture) => collect_fragments(&capture.sub, out),
        HirKind::Repetition(repetition) if repetition.min > 0 => {
            collect_fragments(&repetition.sub, out);
        }
        HirKind::Concat(parts) => parts.iter().for_each(|part| collect_fragments(part, out)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a query; returns words, then for each exact part its fragments.
    #[track_caller]
    fn check(text: &str, words: &str, fragments: &[&str]) {
        let query = SearchQuery::parse(text).unwrap();
        assert_eq!(query.words.join(" "), words);
        let found: Vec<_> = query.exact.iter().map(|it| it.fragments.join(" ")).collect();
        assert_eq!(found, fragments);
    }

    #[track_caller]
    fn refused(text: &str) -> String {
        SearchQuery::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn words_phrases_and_expressions_are_told_apart() {
        check("parse the config", "parse config", &[]);
        check("parse_config parseConfig parse_config", "parse_config parseConfig", &[]);
        check(r#"open "exact  phrase" file"#, "open file", &["exact phrase"]);
        check(r"/pars\w+_conf/", "", &["_conf pars"]);
        check(r"/a\/bcd/ x", "x", &["bcd"]);
        check("/usr/local/bin config", "usr local bin config", &[]);
        check("a/b/ c", "b c", &[]);
        check("/(foo|bar)bazz+/", "", &["baz"]);
        check("/x{3}yes_/", "", &["yes_"]);
        check("the of", "the of", &[]);
        check("\"\" x", "x", &[]);
    }

    #[test]
    fn marks_in_a_sentence_are_punctuation() {
        check(
            "Renames the property to \"_id\" in each object of a query",
            "Renames property _id each object query",
            &[],
        );
        check("one two three four five six 5\" and /a/", "one two three four five six 5", &[]);
        check("one two three four \"six\"", "one two three four", &["six"]);
    }

    #[test]
    fn what_cannot_be_asked_is_refused_with_the_reason() {
        assert_eq!(refused(""), "the query has no word to look for");
        assert_eq!(refused(" ?! ___ "), "the query has no word to look for");
        assert_eq!(refused("a \"b"), "the phrase that begins at byte 2 has no closing `\"`");
        assert!(refused("/(/").contains("unclosed group"), "{}", refused("/(/"));
        assert!(refused("/a*/").contains("empty text"));
        assert!(refused(r"/(\w{500}){500}/").contains("takes more than"));
        assert!(refused(&format!("/{}a{}/", "(".repeat(200), ")".repeat(200))).contains("nest"));
        assert!(refused(&"\"a\" ".repeat(EXACT_MAX + 1)).contains("more than"));
        assert!(refused(&"x".repeat(QUERY_BYTES_MAX + 1)).contains("at most"));
    }

    #[test]
    fn words_past_the_bound_are_counted() {
        let text: String = (0..WORDS_MAX + 3).map(|at| format!("word{at} ")).collect();
        let query = SearchQuery::parse(&text).unwrap();
        assert_eq!((query.words.len(), query.n_words_left()), (WORDS_MAX, 3));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_understood_or_refused(text in "[ab\"/\\\\(|*) ]{0,40}") {
            let _ = SearchQuery::parse(&text);
        }
    }
}
