//! The embedded model: a table of words, each a small vector, and how much each word says in each field.
//!
//! A text's vector is the weighted sum of its words' vectors; a unit's is the weighted sum of those of its fields, each
//! brought to length 1 before. Nothing else is computed, so that twenty thousand functions take a second.

use std::{borrow::Cow, collections::HashMap, sync::OnceLock};

use crate::words::tokens::each_word;

/// What a model file begins with.
const MAGIC: &[u8; 20] = b"carnet/embedding/1\n\0";
/// First digits of the digest of the embedded model. Vectors of another model are made anew.
pub(crate) const MODEL_DIGEST: &str = "318acb5533210e70";
/// Largest dimension and number of words that are read.
const DIMENSION_MAX: usize = 4096;
const WORDS_MAX: usize = 1 << 20;
/// Most words of one field that count.
pub const FIELD_WORDS_MAX: usize = 400;
/// Fields with weights of their own.
const N_FIELDS: usize = 4;

/// What a text is to a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// A question, or a comment that describes.
    Prose,
    /// Code.
    Body,
    /// A name with its scopes.
    Name,
    /// A path without its extension.
    Path,
}

/// The texts of a unit.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnitTexts<'a> {
    /// Its code.
    pub body: &'a str,
    /// Its name with its scopes.
    pub name: &'a str,
    /// Its file's path.
    pub path: &'a str,
    /// The comment that describes it; may be empty.
    pub doc: &'a str,
}

/// A table of word vectors.
pub struct Model {
    dimension: usize,
    words: HashMap<&'static str, u32>,
    rows: &'static [u8],
    scales: Vec<f32>,
    /// Weight of each word in each field, field after field.
    weights: Vec<f32>,
    /// Weights of body, name, path and doc.
    fields: [f32; N_FIELDS],
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Model({} words of {})", self.words.len(), self.dimension)
    }
}

impl Model {
    /// Reads a model; `None` when it is none.
    pub fn read(bytes: &'static [u8]) -> Option<Model> {
        let mut input = crate::format::Input(bytes.strip_prefix(MAGIC)?);
        let dimension = input.u32()? as usize;
        let n_words = input.u32()? as usize;
        if dimension == 0 || dimension > DIMENSION_MAX || n_words > WORDS_MAX {
            return None;
        }
        let float = |input: &mut crate::format::Input<'static>| {
            Some(f32::from_bits(input.u32()?)).filter(|it| it.is_finite())
        };
        let mut fields = [0.0; N_FIELDS];
        for field in &mut fields {
            *field = float(&mut input)?;
        }
        let n_text = input.u32()? as usize;
        let text = std::str::from_utf8(input.take(n_text)?).ok()?;
        let words: HashMap<_, _> = text.lines().zip(0..).collect();
        let mut floats = |n: usize| (0..n).map(|_| float(&mut input)).collect::<Option<Vec<_>>>();
        let scales = floats(n_words)?;
        let weights = floats(n_words * N_FIELDS)?;
        let rows = input.take(n_words * dimension)?;
        (words.len() == n_words && input.0.is_empty()).then_some(Model {
            dimension,
            words,
            rows,
            scales,
            weights,
            fields,
        })
    }

    /// Returns the model that carnet brings with it.
    pub fn embedded() -> &'static Model {
        static MODEL: OnceLock<Model> = OnceLock::new();
        MODEL.get_or_init(|| Model::read(EMBEDDED).expect("because a test reads it"))
    }

    /// Returns the length of its vectors.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Returns a unit's vector, of length 1; `None` where no word of it is known.
    pub fn unit(&self, texts: &UnitTexts<'_>) -> Option<Vec<f32>> {
        let path = texts.path.rsplit_once('.').map_or(texts.path, |(stem, _)| stem);
        self.unit_of([
            self.text(Field::Body, texts.body),
            self.text(Field::Name, texts.name),
            self.text(Field::Path, path),
            self.text(Field::Prose, texts.doc),
        ])
    }

    /// Returns the vector of a unit whose texts are cut already.
    pub fn unit_of_words(
        &self,
        body: &[&str],
        name: &[&str],
        path: &[&str],
        doc: &[&str],
    ) -> Option<Vec<f32>> {
        self.unit_of([
            self.words(Field::Body, body),
            self.words(Field::Name, name),
            self.words(Field::Path, path),
            self.words(Field::Prose, doc),
        ])
    }

    fn unit_of(&self, parts: [Option<Vec<f32>>; N_FIELDS]) -> Option<Vec<f32>> {
        let mut sum = vec![0.0; self.dimension];
        for (part, weight) in parts.iter().zip(self.fields) {
            if let Some(part) = part {
                add(&mut sum, part, weight);
            }
        }
        normalised(sum)
    }

    /// Returns the vector of a question, of length 1; `None` where no word of it is known.
    pub fn question(&self, text: &str) -> Option<Vec<f32>> {
        self.text(Field::Prose, text)
    }

    fn text(&self, field: Field, text: &str) -> Option<Vec<f32>> {
        let mut known: Vec<u32> = Vec::with_capacity(FIELD_WORDS_MAX);
        let mut n_words = 0;
        each_word(text, |word| {
            known.extend(self.words.get(lower(word).as_ref()));
            n_words += 1;
            n_words < FIELD_WORDS_MAX
        });
        self.known(field, known)
    }

    /// Returns the vector of words in lower case.
    pub fn words(&self, field: Field, words: &[&str]) -> Option<Vec<f32>> {
        self.known(field, words.iter().filter_map(|word| self.words.get(word).copied()).collect())
    }

    fn known(&self, field: Field, mut known: Vec<u32>) -> Option<Vec<f32>> {
        known.sort_unstable();
        let mut sum = vec![0.0; self.dimension];
        for same in known.chunk_by(|a, b| a == b) {
            let word = same[0] as usize;
            let weight = self.weights[field as usize * self.scales.len() + word];
            let factor = (1.0 + (same.len() as f32).ln()) * weight * self.scales[word];
            let row = &self.rows[word * self.dimension..][..self.dimension];
            for (sum, value) in sum.iter_mut().zip(row) {
                *sum += factor * f32::from(*value as i8);
            }
        }
        normalised(sum)
    }
}

/// Writes a model.
///
/// - `words`: sorted, without line ends.
/// - `rows`: one row of `dimension` numbers for each word.
/// - `weights`: of each word in each field, field after field.
/// - `fields`: weights of body, name, path and doc.
pub fn write_model(
    dimension: usize,
    words: &[String],
    rows: &[f32],
    weights: &[f32],
    fields: [f32; N_FIELDS],
) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    let number =
        |out: &mut Vec<u8>, number: usize| out.extend_from_slice(&(number as u32).to_le_bytes());
    number(&mut out, dimension);
    number(&mut out, words.len());
    let floats = |out: &mut Vec<u8>, floats: &[f32]| {
        out.extend(floats.iter().flat_map(|it| it.to_le_bytes()));
    };
    floats(&mut out, &fields);
    let text: String = words.iter().map(|word| format!("{word}\n")).collect();
    number(&mut out, text.len());
    out.extend_from_slice(text.as_bytes());
    let scales: Vec<f32> = rows.chunks_exact(dimension).map(scale_of).collect();
    floats(&mut out, &scales);
    floats(&mut out, weights);
    for (row, scale) in rows.chunks_exact(dimension).zip(&scales) {
        out.extend(row.iter().map(|it| (it / scale).round() as i8 as u8));
    }
    out
}

/// Returns what one step of a quantised vector is worth.
pub(super) fn scale_of(row: &[f32]) -> f32 {
    let max = row.iter().fold(0.0f32, |max, it| max.max(it.abs()));
    if max > 0.0 { max / 127.0 } else { 1.0 }
}

/// Returns the words of a text in lower case, identifiers whole and in parts; at most [`FIELD_WORDS_MAX`].
pub fn words_of(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    each_word(text, |word| {
        words.push(lower(word).into_owned());
        words.len() < FIELD_WORDS_MAX
    });
    words
}

/// Returns a word in lower case; most are already.
fn lower(word: &str) -> Cow<'_, str> {
    match word.chars().any(char::is_uppercase) {
        true => word.to_lowercase().into(),
        false => word.into(),
    }
}

fn add(sum: &mut [f32], part: &[f32], weight: f32) {
    for (sum, value) in sum.iter_mut().zip(part) {
        *sum += weight * value;
    }
}

fn normalised(mut sum: Vec<f32>) -> Option<Vec<f32>> {
    let length = sum.iter().map(|it| it * it).sum::<f32>().sqrt();
    (length > 1e-6).then(|| {
        sum.iter_mut().for_each(|it| *it /= length);
        sum
    })
}

const EMBEDDED: &[u8] = include_bytes!("../../data/embedding.bin");

#[cfg(test)]
mod tests {
    use carnet_core::Digest;

    use super::*;

    #[test]
    fn the_embedded_model_is_the_one_that_is_named() {
        assert_eq!(Digest::of(EMBEDDED).to_string()[..16], *MODEL_DIGEST);
        assert_eq!(Model::embedded().dimension(), 256);
    }

    #[test]
    fn what_is_near_in_meaning_is_near_in_direction() {
        let model = Model::embedded();
        let unit = |name: &str, body: &str| {
            model.unit(&UnitTexts { body, name, path: "src/x.py", doc: "" }).unwrap()
        };
        let remove = unit("remove_file", "def remove_file(path): os.unlink(path)");
        let date = unit("parse_date", "def parse_date(text): return strptime(text)");
        let question = model.question("delete something from disk").unwrap();
        let cosine = |unit: &[f32]| unit.iter().zip(&question).map(|(a, b)| a * b).sum::<f32>();
        assert!(cosine(&remove) > cosine(&date) + 0.1, "{} {}", cosine(&remove), cosine(&date));
        let length: f32 = remove.iter().map(|it| it * it).sum();
        assert!((length - 1.0).abs() < 1e-3);
        assert_eq!(model.question("?!"), None);
    }

    #[test]
    fn a_model_that_is_cut_or_stretched_is_none() {
        let words = ["a".to_owned(), "b".to_owned()];
        let whole = write_model(2, &words, &[1.0, 0.0, 0.0, 1.0], &[1.0; 8], [1.0; 4]);
        assert!(Model::read(whole.clone().leak()).is_some());
        for n in 0..whole.len() {
            assert!(Model::read(whole[..n].to_vec().leak()).is_none(), "{n} bytes");
        }
        assert!(Model::read([&whole[..], b"x"].concat().leak()).is_none());
    }
}
