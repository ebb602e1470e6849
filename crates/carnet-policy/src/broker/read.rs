//! From text to policy: the schema first, then what a schema cannot say.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::OnceLock,
};

use carnet_core::{LaneName, Timestamp};
use serde_json::Value;

use super::{
    SCHEMA,
    catalogue::{Catalogue, ModelCard, doubled},
    policy::{BrokerPolicy, Provider, Target, WrittenChoice, built_in_providers},
};
use crate::document::{Document, DocumentFault, DocumentForm, Faults, Schema, below, unknown};

const FORMAT: &str = "carnet/model-broker/";
const FORMAT_VERSION: u64 = 1;

/// What was found in a policy's text.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Examined {
    /// The policy; absent exactly when there are errors.
    pub policy: Option<BrokerPolicy>,
    /// What is wrong, in the order of lines.
    pub errors: Vec<DocumentFault>,
    /// What is worth a look, in the order of lines.
    pub warnings: Vec<DocumentFault>,
}

/// Reads a policy and says everything that is wrong with it, and everything that is worth a look.
///
/// - `catalogue`: models that are known; another one is a warning.
/// - `lanes`: lanes that are known; another one is a warning.
pub fn examine(
    text: &str,
    form: DocumentForm,
    catalogue: &Catalogue,
    lanes: &BTreeSet<String>,
) -> Examined {
    let mut faults = Faults::default();
    let refused =
        |faults: Faults| Examined { policy: None, errors: faults.finish(), warnings: vec![] };
    let Some(document) = Document::parse(text, form, &mut faults) else { return refused(faults) };
    if let Some(fault) = from_the_future(&document) {
        faults.push(fault);
        return refused(faults);
    }
    schema().judge(&document, &mut faults);
    let mut warnings = Faults::default();
    let mut look = Look { document: &document, faults: &mut faults, warnings: &mut warnings };
    look.version();
    look.providers();
    doubled(&document, look.faults);
    let policy = if faults.is_empty() { written(&document, &mut faults) } else { None };
    if let Some(policy) = &policy {
        let mut look = Look { document: &document, faults: &mut faults, warnings: &mut warnings };
        look.lanes(lanes);
        look.models(policy, catalogue);
        look.preferences(policy);
    }
    let is_sound = faults.is_empty();
    Examined {
        policy: policy.filter(|_| is_sound),
        errors: faults.finish(),
        warnings: warnings.finish(),
    }
}

/// A file of a later form means what this version cannot know: nothing else of it is judged.
fn from_the_future(document: &Document) -> Option<DocumentFault> {
    let format = document.value.get("format")?.as_str()?;
    let number: u64 = format.strip_prefix(FORMAT)?.parse().ok()?;
    (number > FORMAT_VERSION).then(|| {
        let shown = crate::show(format);
        let message = format!(
            "`{shown}` is from the future: this carnet reads up to `{FORMAT}{FORMAT_VERSION}`"
        );
        document.fault("/format", message)
    })
}

fn schema() -> &'static Schema {
    static READ: OnceLock<Schema> = OnceLock::new();
    READ.get_or_init(|| Schema::read(SCHEMA))
}

/// Makes a policy of a document that its schema accepts.
fn written(document: &Document, faults: &mut Faults) -> Option<BrokerPolicy> {
    #[derive(serde::Deserialize)]
    struct Written {
        version: String,
        default_provider: WrittenChoice,
        #[serde(default)]
        lane_overrides: BTreeMap<LaneName, WrittenChoice>,
        #[serde(default)]
        fallback_chain: Vec<Target>,
        embeddings: Option<Target>,
        #[serde(default)]
        cost_optimization: super::CostOptimization,
        #[serde(default)]
        providers: BTreeMap<String, Provider>,
        #[serde(default)]
        models: Vec<ModelCard>,
    }
    let written: Written = match serde_json::from_value(document.value.clone()) {
        Ok(written) => written,
        Err(error) => {
            faults.push(document.fault("", error.to_string()));
            return None;
        }
    };
    let mut providers = built_in_providers();
    providers.extend(written.providers);
    for provider in providers.values_mut() {
        provider.base_url.truncate(provider.base_url.trim_end_matches('/').len());
    }
    let default = &written.default_provider;
    let overrides = written.lane_overrides.iter();
    Some(BrokerPolicy {
        version: written.version,
        overrides: overrides.map(|(lane, it)| (lane.clone(), it.over(default))).collect(),
        default: default.over(&WrittenChoice::default()),
        fallback_chain: written.fallback_chain,
        embeddings: written.embeddings,
        cost: written.cost_optimization,
        providers,
        models: written.models,
    })
}

struct Look<'l> {
    document: &'l Document,
    faults: &'l mut Faults,
    warnings: &'l mut Faults,
}

impl Look<'_> {
    /// The day of the version is one that there is.
    fn version(&mut self) {
        let version = self.document.value.get("version").and_then(Value::as_str);
        let day = version.and_then(|it| it.get(..10));
        if let Some(day) = day.filter(|day| Timestamp::parse(day).is_none())
            && !self.faults.has("/version")
        {
            let message = format!("there is no day `{}`", crate::show(day));
            self.faults.push(self.document.fault("/version", message));
        }
    }

    /// Every provider that is named has an endpoint, and no key goes over the network in the clear.
    fn providers(&mut self) {
        let value = &self.document.value;
        let built_in = built_in_providers();
        let own = value.get("providers").and_then(Value::as_object);
        let own_names = || own.into_iter().flat_map(|own| own.keys().map(String::as_str));
        let known: BTreeSet<&str> =
            built_in.keys().map(String::as_str).chain(own_names()).collect();
        for (pointer, name) in provider_names(value) {
            if !known.contains(name) {
                let what = unknown(name, known.iter().copied());
                let message = format!(
                    "provider `{}` {what} (`providers` says where it is asked)",
                    crate::show(name)
                );
                self.faults.push(self.document.fault(&pointer, message));
            }
        }
        for (name, provider) in own.into_iter().flatten() {
            let pointer = below(&below("/providers", name), "base_url");
            let url = provider.get("base_url").and_then(Value::as_str).unwrap_or_default();
            let is_local = provider.get("local") == Some(&Value::Bool(true));
            let Some(host) = host_of(url).filter(|_| !self.faults.has(&pointer)) else { continue };
            if url.starts_with("http://") && !is_loopback(host) {
                let message = "is not encrypted and not of this machine: prompts and the key could be read on their way; write `https://`";
                self.faults.push(self.document.fault(&pointer, message));
            }
            if is_local && !is_loopback(host) {
                let message =
                    format!("`local` is of this machine, and `{}` is not", crate::show(host));
                self.warnings.push(self.document.fault(&pointer, message));
            }
        }
    }

    fn lanes(&mut self, lanes: &BTreeSet<String>) {
        let overrides = self.document.value.get("lane_overrides").and_then(Value::as_object);
        for name in overrides.into_iter().flat_map(|it| it.keys()) {
            if !lanes.contains(name) {
                let what = unknown(name, lanes.iter().map(String::as_str));
                let message = format!("lane `{}` {what}", crate::show(name));
                let pointer = below("/lane_overrides", name);
                self.warnings.push(self.document.key_fault(&pointer, message));
            }
        }
    }

    fn models(&mut self, policy: &BrokerPolicy, catalogue: &Catalogue) {
        let is_capped = policy.cost.budget_cap_usd.is_some();
        for (pointer, target) in self.targets(policy) {
            match catalogue.card(&policy.models, &target) {
                None => {
                    let others = policy.models.iter().chain(catalogue.cards());
                    let others = others.filter(|card| card.target.provider == target.provider);
                    let what = unknown(&target.model, others.map(|it| it.target.model.as_str()));
                    let message = format!(
                        "model `{target}` {what} (neither `models` nor the catalogue has it)"
                    );
                    self.warnings.push(self.document.fault(&pointer, message));
                }
                Some(card) if is_capped && card.cost_usd(1, 1).is_none() => {
                    let message =
                        format!("`{target}` has no price, so it is never called under a budget");
                    self.warnings.push(self.document.fault(&pointer, message));
                }
                Some(_) => {}
            }
        }
        let default = ("/default_provider".to_owned(), &policy.default);
        let overrides = policy.overrides.iter();
        let overrides = overrides.map(|(lane, it)| (below("/lane_overrides", lane), it));
        for (pointer, choice) in overrides.chain([default]) {
            let card = catalogue.card(&policy.models, &choice.target);
            if let (Some(least), Some(tier)) = (choice.min_tier, card.and_then(|card| card.tier))
                && tier < least
            {
                let message = format!(
                    "`{}` is of tier {}, below the {} that is asked for: it would never answer",
                    choice.target,
                    tier.name(),
                    least.name()
                );
                self.faults.push(self.document.fault(&below(&pointer, "min_tier"), message));
            }
            if let (Some(answer), Some(task)) =
                (choice.max_tokens, choice.constraints.max_tokens_per_task)
                && answer > task
            {
                let message = format!("an answer may have {answer} tokens, its whole task {task}");
                self.warnings.push(self.document.fault(&below(&pointer, "max_tokens"), message));
            }
        }
    }

    /// Every model that the policy names, with the place of its name.
    fn targets(&self, policy: &BrokerPolicy) -> Vec<(String, Target)> {
        let mut targets =
            vec![("/default_provider/model".to_owned(), policy.default.target.clone())];
        for (lane, choice) in &policy.overrides {
            let pointer = below("/lane_overrides", lane);
            let own = self.document.value.pointer(&pointer);
            let names = |key: &str| own.is_some_and(|own| own.get(key).is_some());
            if names("model") || names("provider") {
                let key = if names("model") { "model" } else { "provider" };
                targets.push((below(&pointer, key), choice.target.clone()));
            }
        }
        for (idx, target) in policy.fallback_chain.iter().enumerate() {
            targets.push((format!("/fallback_chain/{idx}/model"), target.clone()));
        }
        let embeddings = policy.embeddings.iter();
        targets.extend(embeddings.map(|it| ("/embeddings/model".to_owned(), it.clone())));
        targets
    }

    fn preferences(&mut self, policy: &BrokerPolicy) {
        let is_local = |target: &&Target| {
            policy.providers.get(&target.provider).is_some_and(|provider| provider.local)
        };
        if policy.cost.prefer_local && !policy.targets().iter().any(is_local) {
            let message = "there is no local model in the policy";
            self.warnings.push(self.document.fault("/cost_optimization/prefer_local", message));
        }
    }
}

/// Every `provider` member that speaks of one, with its pointer.
fn provider_names(value: &Value) -> Vec<(String, &str)> {
    let mut owners = vec!["/default_provider".to_owned(), "/embeddings".to_owned()];
    let overrides = value.get("lane_overrides").and_then(Value::as_object);
    owners.extend(overrides.into_iter().flatten().map(|(lane, _)| below("/lane_overrides", lane)));
    for list in ["fallback_chain", "models"] {
        let n = value.get(list).and_then(Value::as_array).map_or(0, Vec::len);
        owners.extend((0..n).map(|idx| format!("/{list}/{idx}")));
    }
    let named = owners.into_iter().map(|owner| below(&owner, "provider"));
    named
        .filter_map(|at| Some((value.pointer(&at)?.as_str()?, at)).map(|(name, at)| (at, name)))
        .collect()
}

/// The host of a URL, without port and brackets.
fn host_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split('/').next().unwrap_or(rest);
    if let Some(bracketed) = authority.strip_prefix('[') {
        return bracketed.split(']').next();
    }
    authority.split(':').next()
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
