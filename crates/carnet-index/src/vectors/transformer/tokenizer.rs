//! BERT's tokens: text is cleaned and cut at spaces and marks, and each word cut into the longest pieces that are known.

use std::collections::HashMap;

use serde::Deserialize;
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use super::{TransformerError, wrong};

/// The file.
pub(super) const FILE: &str = "tokenizer.json";

/// Cuts text into the numbers of tokens.
pub(super) struct Tokenizer {
    words: HashMap<String, u32>,
    prefix: String,
    word_chars_max: usize,
    is_lower: bool,
    strips_accents: bool,
    cleans: bool,
    parts_chinese: bool,
    unknown: u32,
    first: u32,
    last: u32,
}

#[derive(Deserialize)]
struct File {
    normalizer: Option<Normalizer>,
    pre_tokenizer: Option<Named>,
    model: Model,
}

#[derive(Deserialize)]
struct Normalizer {
    r#type: String,
    clean_text: Option<bool>,
    handle_chinese_chars: Option<bool>,
    strip_accents: Option<bool>,
    lowercase: Option<bool>,
}

#[derive(Deserialize)]
struct Named {
    r#type: String,
}

#[derive(Deserialize)]
struct Model {
    r#type: Option<String>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    max_input_chars_per_word: Option<usize>,
    vocab: HashMap<String, u32>,
}

impl Tokenizer {
    pub fn read(bytes: &[u8]) -> Result<Tokenizer, TransformerError> {
        let file: File =
            serde_json::from_slice(bytes).map_err(|error| wrong(FILE, error.to_string()))?;
        if let Some(kind) = file.model.r#type.filter(|it| it != "WordPiece") {
            return Err(wrong(FILE, format!("a tokenizer of type `{kind}`; `WordPiece` is known")));
        }
        let normalizer = file.normalizer.filter(|it| it.r#type == "BertNormalizer");
        let normalizer = normalizer.ok_or_else(|| wrong(FILE, "no `BertNormalizer`"))?;
        if file.pre_tokenizer.is_none_or(|it| it.r#type != "BertPreTokenizer") {
            return Err(wrong(FILE, "no `BertPreTokenizer`"));
        }
        let words = file.model.vocab;
        let id = |word: &str| {
            words.get(word).copied().ok_or_else(|| wrong(FILE, format!("no token `{word}`")))
        };
        let unknown = id(file.model.unk_token.as_deref().unwrap_or("[UNK]"))?;
        let (first, last) = (id("[CLS]")?, id("[SEP]")?);
        let is_lower = normalizer.lowercase.unwrap_or(true);
        Ok(Tokenizer {
            prefix: file.model.continuing_subword_prefix.unwrap_or_else(|| "##".to_owned()),
            word_chars_max: file.model.max_input_chars_per_word.unwrap_or(100),
            is_lower,
            strips_accents: normalizer.strip_accents.unwrap_or(is_lower),
            cleans: normalizer.clean_text.unwrap_or(true),
            parts_chinese: normalizer.handle_chinese_chars.unwrap_or(true),
            unknown,
            first,
            last,
            words,
        })
    }

    /// Returns the largest number of a token.
    pub fn largest_id(&self) -> u32 {
        self.words.values().copied().max().unwrap_or_default()
    }

    /// Returns the tokens of a text, one that begins and one that ends it among them.
    ///
    /// - `n_max`: how many at most; what is longer is cut.
    pub fn tokens(&self, text: &str, n_max: usize) -> Vec<u32> {
        let mut tokens = vec![self.first];
        let text = self.normalised(text);
        let mut word = String::new();
        for c in text.chars().chain([' ']) {
            if c.is_whitespace() || is_mark(c) {
                self.push_word(&word, &mut tokens);
                word.clear();
                if !c.is_whitespace() {
                    self.push_word(c.encode_utf8(&mut [0; 4]), &mut tokens);
                }
            } else {
                word.push(c);
            }
            if tokens.len() >= n_max {
                break;
            }
        }
        tokens.truncate(n_max.saturating_sub(1));
        tokens.push(self.last);
        tokens
    }

    fn normalised(&self, text: &str) -> String {
        let mut cleaned = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '\0' | '\u{fffd}' if self.cleans => {}
                '\t' | '\n' | '\r' if self.cleans => cleaned.push(' '),
                _ if self.cleans && is_control(c) => {}
                _ if self.cleans && c.is_whitespace() => cleaned.push(' '),
                _ if self.parts_chinese && is_chinese(c) => cleaned.extend([' ', c, ' ']),
                _ => cleaned.push(c),
            }
        }
        if self.strips_accents {
            cleaned = cleaned.nfd().filter(|c| !is_combining_mark(*c)).collect();
        }
        if self.is_lower { cleaned.to_lowercase() } else { cleaned }
    }

    fn push_word(&self, word: &str, tokens: &mut Vec<u32>) {
        if word.is_empty() {
            return;
        }
        if word.chars().count() > self.word_chars_max {
            tokens.push(self.unknown);
            return;
        }
        let (n_before, mut rest, mut piece) = (tokens.len(), word, String::new());
        while !rest.is_empty() {
            let mut ends = rest.char_indices().map(|(at, c)| at + c.len_utf8()).rev();
            let known = ends.find_map(|end| {
                piece.clear();
                if rest.len() < word.len() {
                    piece.push_str(&self.prefix);
                }
                piece.push_str(&rest[..end]);
                Some((end, *self.words.get(&piece)?))
            });
            let Some((end, id)) = known else {
                tokens.truncate(n_before);
                tokens.push(self.unknown);
                return;
            };
            tokens.push(id);
            rest = &rest[end..];
        }
    }
}

/// Controls and what has no picture of its own, as the categories Cc, Cf and Co of Unicode name them.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}'
            | '\u{f0000}'..='\u{10ffff}')
}

/// Marks of ASCII, and those that Unicode counts as punctuation in the blocks that hold most of them.
fn is_mark(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(c, '\u{a1}' | '\u{a7}' | '\u{ab}' | '\u{b6}' | '\u{b7}' | '\u{bb}' | '\u{bf}' | '\u{37e}' | '\u{387}'
            | '\u{589}' | '\u{58a}' | '\u{5be}' | '\u{5c0}' | '\u{5c3}' | '\u{60c}' | '\u{60d}' | '\u{61b}' | '\u{61f}'
            | '\u{66a}'..='\u{66d}' | '\u{6d4}' | '\u{964}' | '\u{965}' | '\u{e4f}' | '\u{2010}'..='\u{2027}'
            | '\u{2030}'..='\u{2043}' | '\u{2045}'..='\u{2051}' | '\u{2053}'..='\u{205e}' | '\u{207d}' | '\u{207e}'
            | '\u{208d}' | '\u{208e}' | '\u{2308}'..='\u{230b}' | '\u{2329}' | '\u{232a}' | '\u{2768}'..='\u{2775}'
            | '\u{27c5}' | '\u{27c6}' | '\u{27e6}'..='\u{27ef}' | '\u{2983}'..='\u{2998}' | '\u{29d8}'..='\u{29db}'
            | '\u{29fc}' | '\u{29fd}' | '\u{2e00}'..='\u{2e2e}' | '\u{2e30}'..='\u{2e4f}' | '\u{3001}'..='\u{3003}'
            | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}' | '\u{3030}' | '\u{303d}' | '\u{30a0}' | '\u{30fb}'
            | '\u{fe10}'..='\u{fe19}' | '\u{fe30}'..='\u{fe52}' | '\u{fe54}'..='\u{fe61}' | '\u{fe63}' | '\u{fe68}'
            | '\u{fe6a}' | '\u{fe6b}' | '\u{ff01}'..='\u{ff03}' | '\u{ff05}'..='\u{ff0a}' | '\u{ff0c}'..='\u{ff0f}'
            | '\u{ff1a}' | '\u{ff1b}' | '\u{ff1f}' | '\u{ff20}' | '\u{ff3b}'..='\u{ff3d}' | '\u{ff3f}' | '\u{ff5b}'
            | '\u{ff5d}' | '\u{ff5f}'..='\u{ff65}')
}

fn is_chinese(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '\u{20000}'..='\u{2a6df}' | '\u{2a700}'..='\u{2b73f}'
        | '\u{2b740}'..='\u{2b81f}' | '\u{2b920}'..='\u{2ceaf}' | '\u{f900}'..='\u{faff}' | '\u{2f800}'..='\u{2fa1f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words by number: 0 `[UNK]`, 1 `[CLS]`, 2 `[SEP]`, then these.
    fn tokens(words: &[&str], text: &str, n_max: usize) -> Vec<u32> {
        let all = ["[UNK]", "[CLS]", "[SEP]"].iter().chain(words).enumerate();
        let vocab: serde_json::Map<_, _> =
            all.map(|(at, word)| ((*word).to_owned(), at.into())).collect();
        let file = serde_json::json!({
            "normalizer": { "type": "BertNormalizer", "lowercase": true },
            "pre_tokenizer": { "type": "BertPreTokenizer" },
            "model": { "type": "WordPiece", "vocab": vocab },
        });
        Tokenizer::read(file.to_string().as_bytes()).unwrap().tokens(text, n_max)
    }

    #[test]
    fn words_are_cut_into_the_longest_pieces() {
        let words = ["un", "##aff", "##able", "read", "##er", "(", "cafe", "世"];
        assert_eq!(tokens(&words, "unaffable Reader(", 9), [1, 3, 4, 5, 6, 7, 8, 2]);
        assert_eq!(tokens(&words, "unaffablex", 9), [1, 0, 2]);
        assert_eq!(tokens(&words, "Café\u{200b} 世世", 9), [1, 9, 10, 10, 2]);
        assert_eq!(tokens(&words, "", 9), [1, 2]);
        assert_eq!(tokens(&words, &"read ".repeat(50), 4), [1, 6, 6, 2]);
        assert_eq!(tokens(&words, &"a".repeat(101), 9), [1, 0, 2]);
    }

    #[test]
    fn other_tokenizers_are_refused() {
        let read = |text: &str| Tokenizer::read(text.as_bytes()).map(drop).unwrap_err().to_string();
        assert!(read(r#"{"model":{"type":"BPE","vocab":{}}}"#).contains("`BPE`"));
        assert!(read(r#"{"model":{"type":"WordPiece","vocab":{}}}"#).contains("BertNormalizer"));
        assert!(read("{").contains("tokenizer.json"));
    }
}
