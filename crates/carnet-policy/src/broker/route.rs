//! What would be asked for a lane, in what order, and why: override, then default, then the fallback chain, each held against
//! tier, task and budget before a byte leaves.

use std::fmt;

use carnet_core::LaneName;

use super::{
    catalogue::{Catalogue, ModelCard},
    policy::{BrokerPolicy, Provider, Target},
};

/// What is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRequest {
    /// The lane that the call is for.
    pub lane: LaneName,
    /// The model that the caller names, as `MODEL` or `PROVIDER/MODEL`; it must be one that the policy names.
    pub model: Option<String>,
    /// Tokens of the request, estimated from above.
    pub tokens_in: u64,
    /// Most tokens of the answer that the caller asks for.
    pub max_tokens: Option<u64>,
    /// Whether vectors are asked for.
    pub embeddings: bool,
}

/// What was spent before.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spent {
    /// USD of the budget's period, reservations among them.
    pub period_usd: f64,
    /// USD of the task.
    pub task_usd: f64,
    /// Tokens of the task, in and out.
    pub task_tokens: u64,
}

/// Where a candidate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The caller named it.
    Asked,
    /// The lane's override.
    Override,
    /// The policy's default.
    Default,
    /// The fallback chain, at this place from 1.
    Fallback(usize),
    /// The policy's model of embeddings.
    Embeddings,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Asked => f.write_str("asked for by name"),
            Source::Override => f.write_str("override of the lane"),
            Source::Default => f.write_str("default"),
            Source::Fallback(place) => write!(f, "fallback {place}"),
            Source::Embeddings => f.write_str("embeddings"),
        }
    }
}

/// Why a candidate is not asked.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Passed {
    /// Less capable than the lane asks for, or of no known tier.
    Tier(String),
    /// The task's tokens do not suffice.
    TaskTokens(String),
    /// The task's cost does not suffice.
    TaskCost(String),
    /// The budget does not suffice.
    Budget(String),
    /// A cost is capped and the model's price is not known.
    Price,
    /// The model takes fewer tokens.
    Context(String),
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Passed::Price => f.write_str("its price is not known, and a cost is capped"),
            Passed::Tier(why)
            | Passed::TaskTokens(why)
            | Passed::TaskCost(why)
            | Passed::Budget(why)
            | Passed::Context(why) => f.write_str(why),
        }
    }
}

/// One model that may answer, and what it would take.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Candidate {
    /// The model.
    pub target: Target,
    /// Why it is a candidate.
    pub source: Source,
    /// Where it is asked.
    pub provider: Provider,
    /// Its prices and tier, where they are known.
    pub card: Option<ModelCard>,
    /// Most tokens of its answer: what the caller asks for, within lane, task and context.
    pub max_tokens: u64,
    /// What the call costs at most, in USD; `None` where the price is not known.
    pub cost_usd_max: Option<f64>,
    /// Why it is not asked; `None` for one that is.
    pub passed: Option<Passed>,
}

/// What would be asked, in order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Route {
    /// Every candidate; the first that is not passed over is asked first, the others after it when it is away.
    pub candidates: Vec<Candidate>,
    /// Sampling temperature that the policy sets.
    pub temperature: Option<f64>,
    /// Seconds that one call may take.
    pub timeout_seconds: f64,
    /// What the caller asked for and may not have; then there are no candidates.
    pub refused: Option<String>,
}

/// Seconds that a call may take where the policy does not say.
const TIMEOUT_SECONDS: f64 = 600.0;
/// Tokens of an answer where neither policy nor caller says: what is reserved must have a bound.
const MAX_TOKENS: u64 = 4096;

impl Route {
    /// Returns the candidates that are asked, in order.
    pub fn asked(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().filter(|candidate| candidate.passed.is_none())
    }
}

/// Plans a call: decides without doing.
pub fn plan_route(
    policy: &BrokerPolicy,
    catalogue: &Catalogue,
    request: &RouteRequest,
    spent: &Spent,
) -> Route {
    let (choice, is_override) = policy.choice(&request.lane);
    let mut route = Route {
        candidates: vec![],
        temperature: choice.temperature,
        timeout_seconds: choice.constraints.timeout_seconds.unwrap_or(TIMEOUT_SECONDS),
        refused: None,
    };
    let mut targets: Vec<(Target, Source)> = if request.embeddings {
        policy.embeddings.iter().map(|it| (it.clone(), Source::Embeddings)).collect()
    } else {
        let first = if is_override { Source::Override } else { Source::Default };
        let chain = policy.fallback_chain.iter().enumerate();
        let chain = chain.map(|(idx, it)| (it.clone(), Source::Fallback(idx + 1)));
        let mut targets = vec![(choice.target.clone(), first)];
        targets.extend(chain.filter(|(target, _)| *target != choice.target));
        targets
    };
    if request.embeddings && targets.is_empty() {
        route.refused = Some("the policy names no model of `embeddings`".to_owned());
        return route;
    }
    let is_local =
        |target: &Target| policy.providers.get(&target.provider).is_some_and(|it| it.local);
    if policy.cost.prefer_local {
        // A stable sort: among local ones, and among the others, the order stays.
        targets.sort_by_key(|(target, _)| !is_local(target));
    }
    if let Some(name) = &request.model {
        let named = |target: &Target| target.model == *name || target.to_string() == *name;
        match targets.iter().position(|(target, _)| named(target)) {
            Some(idx) => {
                let (target, _) = targets.remove(idx);
                targets.insert(0, (target, Source::Asked));
            }
            None => {
                let known: Vec<String> = targets.iter().map(|(it, _)| it.to_string()).collect();
                route.refused = Some(format!(
                    "the policy gives lane `{}` no model `{}`; it has {}",
                    request.lane,
                    crate::show(name),
                    known.join(", ")
                ));
                return route;
            }
        }
    }
    let weigh = Weigh { policy, catalogue, request, spent };
    route.candidates = targets
        .into_iter()
        .filter_map(|(target, source)| weigh.candidate(target, source))
        .collect();
    route
}

struct Weigh<'w> {
    policy: &'w BrokerPolicy,
    catalogue: &'w Catalogue,
    request: &'w RouteRequest,
    spent: &'w Spent,
}

impl Weigh<'_> {
    /// A target's provider is known in every policy that was read.
    fn candidate(&self, target: Target, source: Source) -> Option<Candidate> {
        let provider = self.policy.providers.get(&target.provider)?.clone();
        let card = self.catalogue.card(&self.policy.models, &target).cloned();
        let (choice, _) = self.policy.choice(&self.request.lane);
        let wanted = [self.request.max_tokens, choice.max_tokens];
        let mut max_tokens = wanted.into_iter().flatten().min().unwrap_or(MAX_TOKENS);
        if self.request.embeddings {
            max_tokens = 0;
        }
        let mut passed = self.tier(card.as_ref());
        let context = card.as_ref().and_then(|card| card.context_tokens);
        if let Some(context) = context {
            let left = context.saturating_sub(self.request.tokens_in);
            if left == 0 {
                let message = format!(
                    "takes {context} tokens, the request has about {}",
                    self.request.tokens_in
                );
                passed = passed.or(Some(Passed::Context(message)));
            }
            max_tokens = max_tokens.min(left);
        }
        let task_tokens = choice.constraints.max_tokens_per_task;
        if let Some(most) = task_tokens {
            let left = most.saturating_sub(self.spent.task_tokens);
            let left = left.saturating_sub(self.request.tokens_in);
            if left == 0 {
                let message = format!(
                    "the task may have {most} tokens, had {}, and this request has about {}",
                    self.spent.task_tokens, self.request.tokens_in
                );
                passed = passed.or(Some(Passed::TaskTokens(message)));
            }
            max_tokens = max_tokens.min(left);
        }
        let cost = card.as_ref().and_then(|card| card.cost_usd(self.request.tokens_in, max_tokens));
        passed = passed.or_else(|| self.cost(cost));
        Some(Candidate { target, source, provider, card, max_tokens, cost_usd_max: cost, passed })
    }

    fn tier(&self, card: Option<&ModelCard>) -> Option<Passed> {
        let least = self.policy.choice(&self.request.lane).0.min_tier?;
        if self.request.embeddings {
            return None;
        }
        match card.and_then(|card| card.tier) {
            Some(tier) if tier >= least => None,
            Some(tier) => Some(Passed::Tier(format!(
                "is of tier {}, and the lane asks for {}",
                tier.name(),
                least.name()
            ))),
            None => Some(Passed::Tier(format!(
                "is of no known tier, and the lane asks for {}",
                least.name()
            ))),
        }
    }

    fn cost(&self, cost: Option<f64>) -> Option<Passed> {
        let task = self.policy.choice(&self.request.lane).0.constraints.max_cost_per_task_usd;
        let budget = self.policy.cost.budget_cap_usd;
        if task.is_none() && budget.is_none() {
            return None;
        }
        let Some(cost) = cost else { return Some(Passed::Price) };
        if let Some(most) = task.filter(|most| self.spent.task_usd + cost > *most) {
            let spent = self.spent.task_usd;
            return Some(Passed::TaskCost(format!(
                "may cost {cost:.6} USD; the task may have {most} USD and had {spent:.6}"
            )));
        }
        if let Some(most) = budget.filter(|most| self.spent.period_usd + cost > *most) {
            let (spent, period) = (self.spent.period_usd, self.policy.cost.budget_period.name());
            return Some(Passed::Budget(format!(
                "may cost {cost:.6} USD; the budget ({period}) is {most} USD, of which {spent:.6} are spent or reserved"
            )));
        }
        None
    }
}
