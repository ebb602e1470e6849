//! A broker policy that was read: nothing is wrong with it, and what is absent has its default.

use std::{collections::BTreeMap, fmt};

use carnet_core::LaneName;
use serde::{Deserialize, Serialize};

use super::catalogue::ModelCard;

/// A provider and one of its models.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Target {
    /// The provider's name in the policy.
    pub provider: String,
    /// The model's name as the provider writes it.
    pub model: String,
}

impl Target {
    /// Makes a target.
    pub fn new(provider: &str, model: &str) -> Target {
        Target { provider: provider.to_owned(), model: model.to_owned() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

/// What a model is capable of, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Small and quick.
    Basic,
    /// What most work needs.
    Standard,
    /// The most capable.
    Advanced,
}

impl Tier {
    /// Returns the tier's name.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Basic => "basic",
            Tier::Standard => "standard",
            Tier::Advanced => "advanced",
        }
    }
}

/// What one task may take.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Constraints {
    /// USD of all calls of the task.
    pub max_cost_per_task_usd: Option<f64>,
    /// Tokens in and out of all calls of the task.
    pub max_tokens_per_task: Option<u64>,
    /// Seconds that one call may take, from the request to the last byte.
    pub timeout_seconds: Option<f64>,
}

/// What answers a lane.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Choice {
    /// The model.
    pub target: Target,
    /// Sampling temperature, 0 to 2; the caller's, or the provider's own, where absent.
    pub temperature: Option<f64>,
    /// Most tokens of one answer.
    pub max_tokens: Option<u64>,
    /// The least capable tier that may answer.
    pub min_tier: Option<Tier>,
    /// What one task may take.
    pub constraints: Constraints,
}

/// A choice as a policy writes it; in an override every member may be absent.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct WrittenChoice {
    pub(super) provider: Option<String>,
    pub(super) model: Option<String>,
    temperature: Option<f64>,
    max_tokens: Option<f64>,
    min_tier: Option<Tier>,
    #[serde(default)]
    constraints: WrittenConstraints,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct WrittenConstraints {
    max_cost_per_task_usd: Option<f64>,
    max_tokens_per_task: Option<f64>,
    timeout_seconds: Option<f64>,
}

impl WrittenChoice {
    /// This choice where it says something, else the other.
    pub(super) fn over(&self, default: &WrittenChoice) -> Choice {
        let (own, other) = (&self.constraints, &default.constraints);
        let text = |own: &Option<String>, other: &Option<String>| {
            own.clone().or_else(|| other.clone()).unwrap_or_default()
        };
        Choice {
            target: Target {
                provider: text(&self.provider, &default.provider),
                model: text(&self.model, &default.model),
            },
            temperature: self.temperature.or(default.temperature),
            max_tokens: whole(self.max_tokens.or(default.max_tokens)),
            min_tier: self.min_tier.or(default.min_tier),
            constraints: Constraints {
                max_cost_per_task_usd: own.max_cost_per_task_usd.or(other.max_cost_per_task_usd),
                max_tokens_per_task: whole(own.max_tokens_per_task.or(other.max_tokens_per_task)),
                timeout_seconds: own.timeout_seconds.or(other.timeout_seconds),
            },
        }
    }
}

/// The schema lets whole numbers through alone, of which 1.0 is one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the schema bounds it")]
fn whole(number: Option<f64>) -> Option<u64> {
    number.map(|number| number as u64)
}

/// How long a budget lasts before it begins anew, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BudgetPeriod {
    /// A day.
    Day,
    /// A calendar month.
    #[default]
    Month,
    /// For ever.
    Total,
}

impl BudgetPeriod {
    /// Returns the period's name.
    pub fn name(self) -> &'static str {
        match self {
            BudgetPeriod::Day => "day",
            BudgetPeriod::Month => "month",
            BudgetPeriod::Total => "total",
        }
    }

    /// Returns what the days (`YYYY-MM-DD`) of one period begin with.
    pub fn prefix(self, day: &str) -> &str {
        let n_bytes = match self {
            BudgetPeriod::Day => 10,
            BudgetPeriod::Month => 7,
            BudgetPeriod::Total => 0,
        };
        day.get(..n_bytes).unwrap_or(day)
    }
}

/// What calls may cost together, and how cost is spared.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CostOptimization {
    /// USD of all calls of one period.
    pub budget_cap_usd: Option<f64>,
    /// The period.
    pub budget_period: BudgetPeriod,
    /// Whether a request that was answered before is answered from the record.
    pub enable_caching: bool,
    /// Whether a local model of the tier asked for goes before all others.
    pub prefer_local: bool,
}

/// Which form of requests an endpoint reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// OpenAI's chat completions and embeddings.
    #[default]
    Openai,
    /// Anthropic's messages.
    Anthropic,
}

/// Where models are asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Provider {
    /// The form of its requests.
    #[serde(default)]
    pub api: Api,
    /// Where its API begins, without a slash at the end.
    pub base_url: String,
    /// The name of the secret that holds its key; none where it asks for none.
    pub key: Option<String>,
    /// Whether it runs on this machine.
    #[serde(default)]
    pub local: bool,
}

/// A whole policy, with nothing wrong.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BrokerPolicy {
    /// `YYYY-MM-DD-NNN`.
    pub version: String,
    /// What answers a lane that has no override.
    pub default: Choice,
    /// What answers a lane instead, with the default's members where it has none of its own.
    pub overrides: BTreeMap<LaneName, Choice>,
    /// What is asked next, in this order.
    pub fallback_chain: Vec<Target>,
    /// What answers requests for embeddings.
    pub embeddings: Option<Target>,
    /// Budget, caching, preference.
    pub cost: CostOptimization,
    /// Endpoints by name, the built-in ones among them.
    pub providers: BTreeMap<String, Provider>,
    /// Tiers and prices that go before the catalogue's.
    pub models: Vec<ModelCard>,
}

impl BrokerPolicy {
    /// Returns the choice of a lane, and whether the lane has an override.
    pub fn choice(&self, lane: &LaneName) -> (&Choice, bool) {
        self.overrides.get(lane).map_or((&self.default, false), |choice| (choice, true))
    }

    /// Returns every model that the policy names as an answer, each once, in order of their names.
    pub fn targets(&self) -> Vec<&Target> {
        let choices = self.overrides.values().map(|choice| &choice.target);
        let mut targets: Vec<&Target> =
            choices.chain([&self.default.target]).chain(&self.fallback_chain).collect();
        targets.extend(&self.embeddings);
        targets.sort();
        targets.dedup();
        targets
    }
}

/// Endpoints that are known without a policy that names them.
pub(super) fn built_in_providers() -> BTreeMap<String, Provider> {
    let remote = |api, base_url: &str, key: &str| Provider {
        api,
        base_url: base_url.to_owned(),
        key: Some(key.to_owned()),
        local: false,
    };
    let local = Provider {
        api: Api::Openai,
        base_url: "http://127.0.0.1:11434/v1".to_owned(),
        key: None,
        local: true,
    };
    BTreeMap::from([
        (
            "anthropic".to_owned(),
            remote(Api::Anthropic, "https://api.anthropic.com", "ANTHROPIC_API_KEY"),
        ),
        ("openai".to_owned(), remote(Api::Openai, "https://api.openai.com/v1", "OPENAI_API_KEY")),
        ("local".to_owned(), local),
    ])
}
