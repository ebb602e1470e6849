//! The catalogue: models that are known, their tiers and prices. A file that people edit; `policy/models.toml` ships.

use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{SCHEMA, policy::Target, policy::Tier};
use crate::document::{Document, DocumentFault, DocumentForm, Faults, Schema};

const FORMAT: &str = "carnet/model-catalogue/1";

/// What is known of one model.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct ModelCard {
    /// The model.
    #[serde(flatten)]
    pub target: Target,
    /// What it is capable of; a model of embeddings has none.
    pub tier: Option<Tier>,
    /// USD for a million tokens of the request.
    pub input_usd_per_million_tokens: Option<f64>,
    /// USD for a million tokens of the answer.
    pub output_usd_per_million_tokens: Option<f64>,
    /// Tokens of request and answer together that it takes.
    #[serde(default, deserialize_with = "whole")]
    pub context_tokens: Option<u64>,
}

impl ModelCard {
    /// Returns the cost of a call in USD; `None` where a price is not known.
    #[expect(clippy::cast_precision_loss, reason = "tokens are far fewer than 2^53")]
    pub fn cost_usd(&self, tokens_in: u64, tokens_out: u64) -> Option<f64> {
        let input = self.input_usd_per_million_tokens?;
        let output = self.output_usd_per_million_tokens?;
        Some((tokens_in as f64 * input + tokens_out as f64 * output) / 1e6)
    }
}

/// Models by provider and name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Catalogue {
    cards: Vec<ModelCard>,
}

impl Catalogue {
    /// Returns the catalogue that ships.
    pub fn built_in() -> Catalogue {
        let text = include_str!("../../../../policy/models.toml");
        Catalogue::parse(text, DocumentForm::Toml)
            .expect("because a test reads the catalogue that ships")
    }

    /// Reads a catalogue.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in the order of lines; never an empty list.
    pub fn parse(text: &str, form: DocumentForm) -> Result<Catalogue, Vec<DocumentFault>> {
        let mut faults = Faults::default();
        let document = Document::parse(text, form, &mut faults);
        let Some(document) = document else { return Err(faults.finish()) };
        schema().judge(&document, &mut faults);
        doubled(&document, &mut faults);
        if !faults.is_empty() {
            return Err(faults.finish());
        }
        let models = document.value.get("models").cloned().unwrap_or_default();
        match serde_json::from_value(models) {
            Ok(cards) => Ok(Catalogue { cards }),
            Err(error) => Err(vec![document.fault("/models", error.to_string())]),
        }
    }

    /// Returns what is known of a model: by a policy's own cards first.
    pub fn card<'c>(&'c self, own: &'c [ModelCard], target: &Target) -> Option<&'c ModelCard> {
        own.iter().chain(&self.cards).find(|card| card.target == *target)
    }

    /// Returns every card, in the file's order.
    pub fn cards(&self) -> &[ModelCard] {
        &self.cards
    }
}

/// Reports models that stand twice in `/models`.
pub(super) fn doubled(document: &Document, faults: &mut Faults) {
    let models = document.value.get("models").and_then(Value::as_array);
    let mut seen = std::collections::BTreeSet::new();
    for (idx, model) in models.into_iter().flatten().enumerate() {
        let name = (model.get("provider"), model.get("model"));
        if let (Some(Value::String(provider)), Some(Value::String(model))) = name
            && !seen.insert((provider, model))
        {
            let shown = crate::show(&format!("{provider}/{model}"));
            faults
                .push(document.fault(&format!("/models/{idx}"), format!("`{shown}` stands twice")));
        }
    }
}

/// The schema of a catalogue: its models are those of a policy.
fn schema() -> &'static Schema {
    static READ: OnceLock<Schema> = OnceLock::new();
    READ.get_or_init(|| {
        let policy: Value = serde_json::from_str(SCHEMA).expect("because it ships");
        let schema = json!({
            "type": "object",
            "required": ["models"],
            "additionalProperties": false,
            "properties": {
                "format": { "const": FORMAT },
                "models": policy["properties"]["models"],
            },
            "$defs": policy["$defs"],
        });
        Schema::read(&schema.to_string())
    })
}

/// Reads a whole number that may be written as `1.0`.
fn whole<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the schema bounds it"
    )]
    Option::<f64>::deserialize(deserializer).map(|it| it.map(|number| number as u64))
}
