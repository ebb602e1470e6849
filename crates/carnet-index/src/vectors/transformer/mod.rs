//! A sentence transformer from a local directory: the model of a BERT, its tokenizer, and how its vectors are pooled.
//!
//! What is read: `config.json` (`model_type` `bert`, `hidden_act` `gelu`), `model.safetensors` (F32, F16 or BF16), `tokenizer.json`
//! (WordPiece with BERT's normalizer), and where they are there `sentence_bert_config.json` and `1_Pooling/config.json`. That is
//! MiniLM, BGE, E5, GTE and their kin; any other model is refused with what it says it is. It is computed here, in 32-bit numbers on
//! one core, with `ndarray`: a framework would bring a hundred crates for these eight operations.

mod tokenizer;
mod weights;

use std::{fs, path::Path};

use ndarray::{Array1, Array2, Axis, s};
use serde::Deserialize;

use tokenizer::Tokenizer;
use weights::Weights;

/// Largest file of settings, and of weights, in bytes.
const SETTINGS_BYTES_MAX: u64 = 64 << 20;
const WEIGHTS_BYTES_MAX: u64 = 4 << 30;
/// Largest numbers of layers, tokens and numbers a token has.
const LAYERS_MAX: usize = 64;
const TOKENS_MAX: usize = 8192;
const HIDDEN_MAX: usize = 4096;

/// Why a directory is no model that can be used.
#[derive(Debug, thiserror::Error)]
pub enum TransformerError {
    /// A file cannot be read.
    #[error("read `{file}`")]
    Read {
        /// Which.
        file: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not of its form.
    #[error("`{file}`: {what}")]
    Form {
        /// Which.
        file: &'static str,
        /// What is wrong.
        what: String,
    },
}

pub(super) fn wrong(file: &'static str, what: impl Into<String>) -> TransformerError {
    TransformerError::Form { file, what: what.into() }
}

/// A sentence transformer.
pub struct Transformer {
    tokenizer: Tokenizer,
    words: Array2<f32>,
    positions: Array2<f32>,
    kind: Array1<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    n_heads: usize,
    n_tokens_max: usize,
    is_first_token: bool,
}

impl std::fmt::Debug for Transformer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Transformer({} layers of {})", self.layers.len(), self.dimension())
    }
}

#[derive(Deserialize)]
struct Config {
    model_type: String,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    hidden_act: String,
    layer_norm_eps: f32,
    max_position_embeddings: usize,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

#[derive(Deserialize, Default)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
}

#[derive(Deserialize, Default)]
struct Pooling {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
}

struct Dense {
    /// One row for each number that comes out.
    weight: Array2<f32>,
    bias: Array1<f32>,
}

impl Dense {
    fn read(weights: &Weights<'_>, name: &str) -> Result<Dense, TransformerError> {
        let weight = weights.matrix(&format!("{name}.weight"))?;
        let bias = weights.vector(&format!("{name}.bias"), weight.nrows())?;
        Ok(Dense { weight, bias })
    }

    fn of(&self, rows: &Array2<f32>) -> Array2<f32> {
        rows.dot(&self.weight.t()) + &self.bias
    }
}

struct Norm {
    weight: Array1<f32>,
    bias: Array1<f32>,
    epsilon: f32,
}

impl Norm {
    fn read(
        weights: &Weights<'_>,
        name: &str,
        n: usize,
        epsilon: f32,
    ) -> Result<Norm, TransformerError> {
        let weight = weights.vector(&format!("{name}.weight"), n)?;
        Ok(Norm { weight, bias: weights.vector(&format!("{name}.bias"), n)?, epsilon })
    }

    fn apply(&self, rows: &mut Array2<f32>) {
        for mut row in rows.rows_mut() {
            let n = row.len() as f32;
            let mean = row.sum() / n;
            row -= mean;
            let spread = row.iter().map(|it| it * it).sum::<f32>() / n;
            row /= (spread + self.epsilon).sqrt();
            row *= &self.weight;
            row += &self.bias;
        }
    }
}

struct Layer {
    query: Dense,
    key: Dense,
    value: Dense,
    joined: Dense,
    joined_norm: Norm,
    wide: Dense,
    narrow: Dense,
    norm: Norm,
}

impl Layer {
    fn read(weights: &Weights<'_>, at: usize, config: &Config) -> Result<Layer, TransformerError> {
        let dense = |name: &str| Dense::read(weights, &format!("encoder.layer.{at}.{name}"));
        let norm = |name: &str| {
            let name = format!("encoder.layer.{at}.{name}");
            Norm::read(weights, &name, config.hidden_size, config.layer_norm_eps)
        };
        let layer = Layer {
            query: dense("attention.self.query")?,
            key: dense("attention.self.key")?,
            value: dense("attention.self.value")?,
            joined: dense("attention.output.dense")?,
            joined_norm: norm("attention.output.LayerNorm")?,
            wide: dense("intermediate.dense")?,
            narrow: dense("output.dense")?,
            norm: norm("output.LayerNorm")?,
        };
        let n = config.hidden_size;
        let inner = layer.wide.weight.nrows();
        let square = [&layer.query, &layer.key, &layer.value, &layer.joined];
        let fits = square.iter().all(|it| it.weight.dim() == (n, n))
            && layer.wide.weight.ncols() == n
            && layer.narrow.weight.dim() == (n, inner);
        match fits {
            true => Ok(layer),
            false => Err(wrong(weights::FILE, format!("the sizes of layer {at} do not fit"))),
        }
    }

    fn apply(&self, rows: Array2<f32>, n_heads: usize) -> Array2<f32> {
        let (queries, keys, values) =
            (self.query.of(&rows), self.key.of(&rows), self.value.of(&rows));
        let n_each = rows.ncols() / n_heads;
        let mut joined = Array2::zeros(rows.dim());
        for head in 0..n_heads {
            let part = s![.., head * n_each..(head + 1) * n_each];
            let mut scores = queries.slice(part).dot(&keys.slice(part).t());
            scores /= (n_each as f32).sqrt();
            scores.rows_mut().into_iter().for_each(soften);
            joined.slice_mut(part).assign(&scores.dot(&values.slice(part)));
        }
        let mut rows = rows + self.joined.of(&joined);
        self.joined_norm.apply(&mut rows);
        let mut wide = self.wide.of(&rows);
        wide.mapv_inplace(gelu);
        let mut rows = rows + self.narrow.of(&wide);
        self.norm.apply(&mut rows);
        rows
    }
}

impl Transformer {
    /// Reads a model from its directory.
    ///
    /// # Errors
    ///
    /// [`TransformerError`] names the file that cannot be read or used.
    pub fn open(dir: &Path) -> Result<Transformer, TransformerError> {
        let config: Config = json(dir, "config.json")?;
        let refused = |what: String| Err(wrong("config.json", what));
        if config.model_type != "bert" {
            return refused(format!("a model of type `{}`; `bert` is known", config.model_type));
        }
        if config.hidden_act != "gelu" {
            return refused(format!("`hidden_act` is `{}`; `gelu` is known", config.hidden_act));
        }
        if config.position_embedding_type.as_deref().is_some_and(|it| it != "absolute") {
            return refused("`position_embedding_type` is not `absolute`".to_owned());
        }
        let (n, n_heads) = (config.hidden_size, config.num_attention_heads);
        if n == 0 || n > HIDDEN_MAX || n_heads == 0 || n % n_heads != 0 {
            return refused(format!("{n} numbers in {n_heads} heads"));
        }
        if config.num_hidden_layers > LAYERS_MAX {
            return refused(format!("{} layers", config.num_hidden_layers));
        }
        let bytes = read(dir, weights::FILE, WEIGHTS_BYTES_MAX)?;
        let weights = Weights::new(&bytes)?;
        let words = weights.matrix("embeddings.word_embeddings.weight")?;
        let positions = weights.matrix("embeddings.position_embeddings.weight")?;
        let kinds = weights.matrix("embeddings.token_type_embeddings.weight")?;
        if [&words, &positions, &kinds].iter().any(|it| it.ncols() != n || it.nrows() == 0) {
            return Err(wrong(weights::FILE, "the sizes of the embeddings do not fit"));
        }
        let epsilon = config.layer_norm_eps;
        let norm = Norm::read(&weights, "embeddings.LayerNorm", n, epsilon)?;
        let layers = (0..config.num_hidden_layers).map(|at| Layer::read(&weights, at, &config));
        let layers = layers.collect::<Result<_, _>>()?;
        let sentence: SentenceConfig = optional(dir, "sentence_bert_config.json")?;
        let pooling: Pooling = optional(dir, "1_Pooling/config.json")?;
        let n_tokens_max = sentence.max_seq_length.unwrap_or(TOKENS_MAX);
        let n_tokens_max =
            n_tokens_max.min(config.max_position_embeddings).min(positions.nrows()).min(TOKENS_MAX);
        let tokenizer = Tokenizer::read(&read(dir, tokenizer::FILE, SETTINGS_BYTES_MAX)?)?;
        if tokenizer.largest_id() as usize >= words.nrows() || n_tokens_max < 3 {
            return Err(wrong(tokenizer::FILE, "it has words that the model has not"));
        }
        Ok(Transformer {
            tokenizer,
            kind: kinds.row(0).to_owned(),
            words,
            positions,
            norm,
            layers,
            n_heads,
            n_tokens_max,
            is_first_token: pooling.pooling_mode_cls_token && !pooling.pooling_mode_mean_tokens,
        })
    }

    /// Returns how many numbers the vectors of the model in a directory have, without reading its weights.
    ///
    /// # Errors
    ///
    /// [`TransformerError`] where its `config.json` cannot be read.
    pub fn dimension_in(dir: &Path) -> Result<usize, TransformerError> {
        Ok(json::<Config>(dir, "config.json")?.hidden_size)
    }

    /// Returns how many numbers its vectors have.
    pub fn dimension(&self) -> usize {
        self.words.ncols()
    }

    /// Returns the vector of a text, of length 1.
    pub fn embed(&self, text: &str) -> Vec<f32> {
        let tokens = self.tokenizer.tokens(text, self.n_tokens_max);
        let mut rows = Array2::zeros((tokens.len(), self.dimension()));
        for (at, (mut row, token)) in rows.rows_mut().into_iter().zip(&tokens).enumerate() {
            row += &self.words.row(*token as usize);
            row += &self.positions.row(at);
            row += &self.kind;
        }
        self.norm.apply(&mut rows);
        let rows = self.layers.iter().fold(rows, |rows, layer| layer.apply(rows, self.n_heads));
        let pooled = match self.is_first_token {
            true => rows.row(0).to_owned(),
            false => rows.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(self.dimension())),
        };
        let length = pooled.dot(&pooled).sqrt().max(1e-12);
        pooled.iter().map(|it| it / length).collect()
    }
}

fn soften(mut row: ndarray::ArrayViewMut1<'_, f32>) {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.mapv_inplace(|it| (it - most).exp());
    let sum = row.sum();
    row /= sum;
}

fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// The error function, to 1.5 · 10⁻⁷: Abramowitz and Stegun, 7.1.26.
fn erf(x: f32) -> f32 {
    let x = f64::from(x);
    let t = 1.0 / (1.0 + 0.3275911 * x.abs());
    let sum = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592]
        .iter()
        .fold(0.0, |sum, it| sum * t + it);
    (1.0 - sum * t * (-x * x).exp()).copysign(x) as f32
}

fn read(dir: &Path, file: &'static str, bytes_max: u64) -> Result<Vec<u8>, TransformerError> {
    let path = dir.join(file);
    let failed = |source| TransformerError::Read { file, source };
    let n_bytes = fs::metadata(&path).map_err(failed)?.len();
    match n_bytes <= bytes_max {
        true => fs::read(&path).map_err(failed),
        false => Err(wrong(file, format!("{n_bytes} bytes; at most {bytes_max} are read"))),
    }
}

fn json<T: for<'d> Deserialize<'d>>(dir: &Path, file: &'static str) -> Result<T, TransformerError> {
    let bytes = read(dir, file, SETTINGS_BYTES_MAX)?;
    serde_json::from_slice(&bytes).map_err(|error| wrong(file, error.to_string()))
}

fn optional<T: for<'d> Deserialize<'d> + Default>(
    dir: &Path,
    file: &'static str,
) -> Result<T, TransformerError> {
    if dir.join(file).exists() { json(dir, file) } else { Ok(T::default()) }
}

#[cfg(test)]
mod tests;
