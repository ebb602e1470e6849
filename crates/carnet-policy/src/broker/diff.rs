//! What two policies say differently, lane by lane and member by member, defaults filled in: a reordered file is no change, and
//! a changed default shows at every lane that it decides.

use std::collections::{BTreeMap, BTreeSet};

use carnet_core::LaneName;

use super::policy::{Api, BrokerPolicy, Choice};

/// One thing that two policies say differently.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// What it is about, such as `lane code-impl: model`.
    pub what: String,
    /// What the old policy says; `None` where it says nothing.
    pub old: Option<String>,
    /// What the new policy says.
    pub new: Option<String>,
}

/// Returns what `new` says differently than `old`, for `lanes` and those that either names.
pub fn diff(old: &BrokerPolicy, new: &BrokerPolicy, lanes: &BTreeSet<LaneName>) -> Vec<Change> {
    let mut named = lanes.clone();
    named.extend(old.overrides.keys().chain(new.overrides.keys()).cloned());
    let (old, new) = (facts(old, &named), facts(new, &named));
    let mut keys: Vec<&Key> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    let changed = keys.into_iter().filter(|key| old.get(key) != new.get(key));
    let change = |key: &Key| Change {
        what: key.1.clone(),
        old: old.get(key).cloned(),
        new: new.get(key).cloned(),
    };
    changed.map(change).collect()
}

/// Order of the listing, and what it is about.
type Key = (u8, String);

fn facts(policy: &BrokerPolicy, lanes: &BTreeSet<LaneName>) -> BTreeMap<Key, String> {
    let mut facts = BTreeMap::new();
    let mut say = |order: u8, what: String, value: Option<String>| {
        if let Some(value) = value {
            facts.insert((order, what), value);
        }
    };
    say(0, "version".to_owned(), Some(policy.version.clone()));
    let default = ("default".to_owned(), &policy.default);
    let choices = lanes.iter().map(|lane| (format!("lane {lane}"), policy.choice(lane).0));
    for (owner, choice) in choices.chain([default]) {
        for (member, value) in members(choice) {
            say(u8::from(owner != "default") + 1, format!("{owner}: {member}"), value);
        }
    }
    let chain: Vec<String> = policy.fallback_chain.iter().map(ToString::to_string).collect();
    say(3, "fallback chain".to_owned(), (!chain.is_empty()).then(|| chain.join(" → ")));
    say(3, "embeddings".to_owned(), policy.embeddings.as_ref().map(ToString::to_string));
    let cost = &policy.cost;
    let budget = cost.budget_cap_usd;
    let budget = budget.map(|cap| format!("{cap} USD ({})", cost.budget_period.name()));
    say(4, "budget".to_owned(), budget);
    say(4, "caching".to_owned(), Some(cost.enable_caching.to_string()));
    say(4, "local models first".to_owned(), Some(cost.prefer_local.to_string()));
    for (name, provider) in &policy.providers {
        let api = match provider.api {
            Api::Openai => "openai",
            Api::Anthropic => "anthropic",
        };
        let key = provider.key.as_deref().unwrap_or("none");
        let place = if provider.local { ", local" } else { "" };
        let said = format!("{} ({api}, key {key}{place})", provider.base_url);
        say(5, format!("provider {name}"), Some(said));
    }
    for card in &policy.models {
        let price = |usd: Option<f64>| usd.map_or("unknown".to_owned(), |usd| usd.to_string());
        let said = format!(
            "tier {}, {} in and {} out USD for a million tokens, context {}",
            card.tier.map_or("none", super::Tier::name),
            price(card.input_usd_per_million_tokens),
            price(card.output_usd_per_million_tokens),
            card.context_tokens.map_or("unknown".to_owned(), |tokens| tokens.to_string())
        );
        say(6, format!("model {}", card.target), Some(said));
    }
    facts
}

fn members(choice: &Choice) -> [(&'static str, Option<String>); 7] {
    let Choice { target, temperature, max_tokens, min_tier, constraints } = choice;
    [
        ("model", Some(target.to_string())),
        ("temperature", temperature.map(|it| it.to_string())),
        ("max_tokens", max_tokens.map(|it| it.to_string())),
        ("min_tier", min_tier.map(|it| it.name().to_owned())),
        ("max_cost_per_task_usd", constraints.max_cost_per_task_usd.map(|it| it.to_string())),
        ("max_tokens_per_task", constraints.max_tokens_per_task.map(|it| it.to_string())),
        ("timeout_seconds", constraints.timeout_seconds.map(|it| it.to_string())),
    ]
}
