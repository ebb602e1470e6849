//! The model broker's policy: which model answers which lane, at what cost, and what is asked when it does not.
//!
//! The form is `policy/model-broker.schema.json`, described in `docs/format/broker.md`. `read` says everything that is wrong
//! with a policy at once; `route` says what would be asked, in what order and why; `diff` what two policies say differently.
//! Invariants: a policy exists only if nothing at all is wrong with its text; a model whose price is not known is never chosen
//! where a cost is capped; no model below a lane's tier is chosen for it.

mod breaker;
mod catalogue;
mod diff;
mod meter;
mod policy;
mod read;
mod route;
mod translate;

pub use breaker::{Breaker, backoff_ms};
pub use catalogue::{Catalogue, ModelCard};
pub use diff::{Change, diff};
pub use meter::{Meter, Reservation};
pub use policy::{
    Api, BrokerPolicy, BudgetPeriod, Choice, Constraints, CostOptimization, Provider, Target, Tier,
};
pub use read::{Examined, examine};
pub use route::{Candidate, Passed, Route, RouteRequest, Source, Spent, plan_route};
pub use translate::{
    StreamFromAnthropic, StreamToAnthropic, TranslateError, from_anthropic_reply,
    from_anthropic_request, to_anthropic_reply, to_anthropic_request,
};

/// The policy that ships as an example, in TOML.
pub const EXAMPLE_TOML: &str = include_str!("../../../../policy/model-broker.example.toml");
/// The same in JSON.
pub const EXAMPLE_JSON: &str = include_str!("../../../../policy/model-broker.example.json");
/// The schema of broker policies (JSON Schema 2020-12).
pub const SCHEMA: &str = include_str!("../../../../policy/model-broker.schema.json");

#[cfg(test)]
mod tests;
