//! Cuts text into words: identifiers whole and in parts, lower-cased; prose stemmed as well.

use tantivy::tokenizer::{
    Language, LowerCaser, Stemmer, TextAnalyzer, Token, TokenStream, Tokenizer, TokenizerManager,
};

/// Names of the two ways to cut text, as the schema stores them.
pub(crate) const CODE: &str = "carnet_code";
pub(crate) const PROSE: &str = "carnet_prose";
/// Longest word kept, in bytes; what is longer is data, and is left out.
pub(crate) const WORD_BYTES_MAX: usize = 128;

/// Returns the analyzer of code: the identifier as it stands, then its parts.
pub(crate) fn code() -> TextAnalyzer {
    TextAnalyzer::builder(CodeTokenizer::default()).filter(LowerCaser).build()
}

/// Returns the analyzer of prose: as for code, then stemmed as English.
pub(crate) fn prose() -> TextAnalyzer {
    TextAnalyzer::builder(CodeTokenizer::default())
        .filter(LowerCaser)
        .filter(Stemmer::new(Language::English))
        .build()
}

pub(crate) fn manager() -> TokenizerManager {
    let manager = TokenizerManager::default();
    manager.register(CODE, code());
    manager.register(PROSE, prose());
    manager
}

/// Returns all words of a text.
pub(crate) fn words(analyzer: &mut TextAnalyzer, text: &str) -> Vec<String> {
    let mut words = Vec::new();
    analyzer.token_stream(text).process(&mut |token| words.push(token.text.clone()));
    words
}

/// Calls `then` with each word of a text, as it is written, until it says stop.
pub(crate) fn each_word(text: &str, mut then: impl FnMut(&str) -> bool) {
    let mut tokenizer = CodeTokenizer::default();
    let mut stream = tokenizer.token_stream(text);
    while stream.advance() && then(&stream.token().text) {}
}

/// Tells whether a character belongs to a word.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `parseHTTPConfig2` gives itself, `parse`, `HTTP`, `Config`, `2`; `snake_case` gives itself, `snake`, `case`.
#[derive(Debug, Clone, Default)]
pub(crate) struct CodeTokenizer {
    token: Token,
    parts: Vec<(usize, usize)>,
}

pub(crate) struct CodeTokens<'a> {
    text: &'a str,
    /// Where the next word is looked for.
    at: usize,
    /// The parts of the last word that are still to come, the next one last.
    parts: &'a mut Vec<(usize, usize)>,
    token: &'a mut Token,
}

impl Tokenizer for CodeTokenizer {
    type TokenStream<'a> = CodeTokens<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> CodeTokens<'a> {
        self.token.reset();
        self.parts.clear();
        CodeTokens { text, at: 0, parts: &mut self.parts, token: &mut self.token }
    }
}

impl TokenStream for CodeTokens<'_> {
    fn advance(&mut self) -> bool {
        let (start, end) = match self.parts.pop() {
            Some(part) => part,
            None => match self.next_word() {
                Some(word) => word,
                None => return false,
            },
        };
        self.token.text.clear();
        self.token.text.push_str(&self.text[start..end]);
        self.token.offset_from = start;
        self.token.offset_to = end;
        self.token.position = self.token.position.wrapping_add(1);
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

impl CodeTokens<'_> {
    /// Finds the next word that is not too long, and its parts where it has several.
    fn next_word(&mut self) -> Option<(usize, usize)> {
        loop {
            let rest = &self.text[self.at..];
            let start = self.at + rest.find(is_word)?;
            let rest = &self.text[start..];
            let end = start + rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            self.at = end;
            let has_word = self.text[start..end].contains(|c| c != '_');
            if has_word && end - start <= WORD_BYTES_MAX {
                self.cut(start, end);
                return Some((start, end));
            }
        }
    }

    fn cut(&mut self, start: usize, end: usize) {
        let word = &self.text[start..end];
        let mut begin = None;
        let mut chars = word.char_indices().peekable();
        let mut before = Class::Mark;
        while let Some((at, c)) = chars.next() {
            let class = Class::of(c);
            let next = chars.peek().map(|(_, c)| Class::of(*c));
            let is_border = match (before, class) {
                (Class::Lower, Class::Upper) | (_, Class::Mark) | (Class::Mark, _) => true,
                (Class::Upper, Class::Upper) => next == Some(Class::Lower),
                (Class::Digit, other) => other != Class::Digit,
                (_, Class::Digit) => true,
                _ => false,
            };
            if is_border {
                self.parts.extend(begin.take().map(|begin| (start + begin, start + at)));
                begin = (class != Class::Mark).then_some(at);
            }
            before = class;
        }
        self.parts.extend(begin.map(|begin| (start + begin, end)));
        // One letter says nothing by itself, and the word itself has been given.
        let text = self.text;
        self.parts.retain(|(from, to)| {
            (*from, *to) != (start, end) && text[*from..*to].chars().nth(1).is_some()
        });
        self.parts.reverse();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Lower,
    Upper,
    Digit,
    Mark,
}

impl Class {
    fn of(c: char) -> Class {
        match c {
            '_' => Class::Mark,
            _ if c.is_numeric() => Class::Digit,
            _ if c.is_uppercase() => Class::Upper,
            _ => Class::Lower,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(words(&mut code(), text).join(" "), expected);
    }

    #[test]
    fn identifiers_stand_whole_and_in_parts() {
        check("parse", "parse");
        check("parse_config", "parse_config parse config");
        check("parseConfig", "parseconfig parse config");
        check("ParseHTTPRequest", "parsehttprequest parse http request");
        check("IOError", "ioerror io error");
        check("HTTP", "http");
        check("MAX_BYTES", "max_bytes max bytes");
        check("sha256_of", "sha256_of sha 256 of");
        check("utf8", "utf8 utf");
        check("x1", "x1");
        check("_private", "_private private");
        check("__init__", "__init__ init");
        check("a_b", "a_b");
        check("vec2D", "vec2d vec");
        check("Ünïcode ΣΑΣ", "ünïcode σασ");
        check("名前_変数", "名前_変数 名前 変数");
    }

    #[test]
    fn what_is_no_word_divides() {
        check("a.b::c->d(e, \"f g\")", "a b c d e f g");
        check("___ -- !? ", "");
        check("", "");
        check("don't", "don t");
        check("x-forwarded-for", "x forwarded for");
        check("caf\u{e9}s", "cafés");
    }

    #[test]
    fn words_past_the_bound_are_left_out() {
        let longest = "x".repeat(WORD_BYTES_MAX);
        check(&format!("a {longest} b {longest}y c"), &format!("a {longest} b c"));
    }

    #[test]
    fn prose_is_stemmed() {
        let stems = |text| words(&mut prose(), text);
        assert_eq!(stems("parses the configurations"), stems("parsing the configuration"));
        assert_eq!(stems("connections"), stems("connected"));
        assert_ne!(stems("parse"), stems("parser_of"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_cut_at_its_characters(text in ".{0,60}") {
            let mut analyzer = code();
            let mut stream = analyzer.token_stream(&text);
            let mut n_tokens = 0;
            while stream.advance() {
                let token = stream.token();
                proptest::prop_assert!(text.get(token.offset_from..token.offset_to).is_some());
                proptest::prop_assert!(!token.text.is_empty());
                n_tokens += 1;
            }
            // A word and its parts are never more than twice its characters.
            proptest::prop_assert!(n_tokens <= text.chars().count() * 2);
        }
    }
}
