//! The computation against one of another hand: numbers that a reference in numpy gave for the same weights, and, where
//! `CARNET_MINILM` names a directory of `all-MiniLM-L6-v2` with `reference.json`, against the real model's.

use std::{env, fs, path::Path};

use super::*;

/// Names and shapes of a model with 4 numbers a token, 2 heads and one layer, in the order that its numbers are counted in.
const SHAPES: [(&str, &[usize]); 21] = [
    ("embeddings.word_embeddings.weight", &[6, 4]),
    ("embeddings.position_embeddings.weight", &[8, 4]),
    ("embeddings.token_type_embeddings.weight", &[2, 4]),
    ("embeddings.LayerNorm.weight", &[4]),
    ("embeddings.LayerNorm.bias", &[4]),
    ("encoder.layer.0.attention.self.query.weight", &[4, 4]),
    ("encoder.layer.0.attention.self.query.bias", &[4]),
    ("encoder.layer.0.attention.self.key.weight", &[4, 4]),
    ("encoder.layer.0.attention.self.key.bias", &[4]),
    ("encoder.layer.0.attention.self.value.weight", &[4, 4]),
    ("encoder.layer.0.attention.self.value.bias", &[4]),
    ("encoder.layer.0.attention.output.dense.weight", &[4, 4]),
    ("encoder.layer.0.attention.output.dense.bias", &[4]),
    ("encoder.layer.0.attention.output.LayerNorm.weight", &[4]),
    ("encoder.layer.0.attention.output.LayerNorm.bias", &[4]),
    ("encoder.layer.0.intermediate.dense.weight", &[8, 4]),
    ("encoder.layer.0.intermediate.dense.bias", &[8]),
    ("encoder.layer.0.output.dense.weight", &[4, 8]),
    ("encoder.layer.0.output.dense.bias", &[4]),
    ("encoder.layer.0.output.LayerNorm.weight", &[4]),
    ("encoder.layer.0.output.LayerNorm.bias", &[4]),
];

fn write_tiny(dir: &Path, model_type: &str, is_first_token: bool) {
    let (mut list, mut numbers) = (serde_json::Map::new(), Vec::new());
    for (name, shape) in SHAPES {
        let start = numbers.len();
        for _ in 0..shape.iter().product::<usize>() {
            let at = (numbers.len() / 4) as f64;
            numbers.extend(((1.3 * at + 0.7).sin() as f32).to_le_bytes());
        }
        let entry = serde_json::json!({
            "dtype": "F32", "shape": shape, "data_offsets": [start, numbers.len()],
        });
        list.insert(format!("bert.{name}"), entry);
    }
    let list = serde_json::Value::Object(list).to_string();
    let file = [&(list.len() as u64).to_le_bytes(), list.as_bytes(), &numbers].concat();
    fs::write(dir.join("model.safetensors"), file).unwrap();
    let config = serde_json::json!({
        "model_type": model_type, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2,
        "hidden_act": "gelu", "layer_norm_eps": 1e-12, "max_position_embeddings": 8,
    });
    fs::write(dir.join("config.json"), config.to_string()).unwrap();
    let tokenizer = serde_json::json!({
        "normalizer": { "type": "BertNormalizer", "lowercase": true },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "model": {
            "type": "WordPiece",
            "vocab": { "[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "read": 3, "a": 4, "file": 5 },
        },
    });
    fs::write(dir.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    fs::create_dir_all(dir.join("1_Pooling")).unwrap();
    let pooling = serde_json::json!({ "pooling_mode_cls_token": is_first_token });
    fs::write(dir.join("1_Pooling/config.json"), pooling.to_string()).unwrap();
}

#[track_caller]
fn near(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let far = found.iter().zip(expected).any(|(a, b)| (a - b).abs() > 1e-4);
    assert!(!far, "{found:?} is not {expected:?}");
}

#[test]
fn a_small_model_gives_what_the_reference_gives() {
    let dir = tempfile::tempdir().unwrap();
    for (is_first_token, expected) in [
        (false, [-0.702_938, 0.506_319, -0.079_509, 0.493_151]),
        (true, [-0.733_794, 0.465_138, -0.122_37, 0.479_812]),
    ] {
        write_tiny(dir.path(), "bert", is_first_token);
        let model = Transformer::open(dir.path()).unwrap();
        assert_eq!(model.dimension(), 4);
        near(&model.embed("Read a FILE"), &expected);
        assert!(model.embed(&"file ".repeat(100)).iter().all(|it| it.is_finite()));
    }
}

#[test]
fn a_directory_that_is_no_model_is_refused_with_the_file_that_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let refused = || Transformer::open(dir.path()).map(drop).unwrap_err().to_string();
    assert_eq!(refused(), "read `config.json`");
    write_tiny(dir.path(), "mpnet", false);
    assert_eq!(refused(), "`config.json`: a model of type `mpnet`; `bert` is known");
    write_tiny(dir.path(), "bert", false);
    let weights = dir.path().join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() - 1]).unwrap();
    assert!(refused().starts_with("`model.safetensors`"), "{}", refused());
    fs::write(&weights, &whole).unwrap();
    fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    assert_eq!(refused(), "read `tokenizer.json`");
}

#[test]
fn minilm_gives_what_the_reference_gives() {
    let Some(dir) = env::var_os("CARNET_MINILM") else { return };
    let dir = Path::new(&dir);
    let model = Transformer::open(dir).unwrap();
    let reference = fs::read(dir.join("reference.json")).unwrap();
    let reference: serde_json::Value = serde_json::from_slice(&reference).unwrap();
    let reference = reference.as_array().unwrap();
    assert!(!reference.is_empty());
    for it in reference {
        let expected = it["vector"].as_array().unwrap().iter().map(|it| it.as_f64().unwrap());
        let found = model.embed(it["text"].as_str().unwrap());
        let cosine: f64 = expected.zip(&found).map(|(a, b)| a * f64::from(*b)).sum();
        assert!(cosine >= 0.999, "{cosine} for {}", it["text"]);
    }
}
