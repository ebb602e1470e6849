//! One call: looked through, set aside, made, tried elsewhere, settled, kept.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use carnet_core::{Body, Digest, ModelExchange, ModelReply, ModelRequest};
use carnet_policy::broker::{Candidate, Reservation, RouteRequest, Target, backoff_ms, plan_route};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    Gateway, Kept, Names, Receipt,
    door::{Asked, Door, Problem, in_form_of, json_answer},
    lines::redacted,
    now, relay,
    upstream::{Attempt, Failure, Upstream, attempt, request_for},
};
use crate::http::Streamed;

/// A call under way, and what is known of it by now.
pub(super) struct Call {
    pub(super) gateway: Arc<Gateway>,
    pub(super) door: Door,
    is_embedding: bool,
    route: RouteRequest,
    task: Option<String>,
    /// What was asked in OpenAI's form, redacted.
    body: Value,
    named: ModelRequest,
    replaced_out: Names,
    pub(super) replaced_back: Names,
    /// How many of those stand in the log.
    n_logged: usize,
    pub(super) failures: Vec<String>,
    begun: Instant,
}

/// A candidate whose cost is set aside.
pub(super) struct Chosen {
    pub(super) candidate: Candidate,
    reserved: Reservation,
    temperature: Option<f64>,
    timeout: Duration,
}

/// What a call came to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Took {
    pub(super) tokens_in: u64,
    pub(super) tokens_out: u64,
    pub(super) is_estimated: bool,
}

/// Makes a call.
pub(super) async fn make(gateway: Arc<Gateway>, asked: Asked) -> Streamed {
    let door = asked.door;
    match Call::begin(gateway, asked).await {
        // On its own: what was set aside is settled though the caller goes away meanwhile.
        Ok(call) => match tokio::spawn(call.carry_out()).await {
            Ok(answer) => answer,
            Err(_) => Problem::new(500, "carnet_bug", "the call failed").answer(door),
        },
        Err(problem) => problem.answer(door),
    }
}

impl Call {
    /// Looks the request through, on a thread of its own: a long one takes its time.
    async fn begin(gateway: Arc<Gateway>, asked: Asked) -> Result<Call, Problem> {
        let begun = Instant::now();
        let Asked { door, lane, task, model, is_embedding, path, mut body } = asked;
        let lent = Arc::clone(&gateway);
        let looked = tokio::task::spawn_blocking(move || {
            let mut names = Names::new();
            redact_strings(&mut body, &lent, &mut names);
            let text = body.to_string();
            let n = u32::try_from(names.values().sum::<usize>()).unwrap_or(u32::MAX);
            let named = ModelRequest::new("POST", path, text.as_bytes(), n);
            let may_leave = match n {
                0 => Ok(()),
                _ => may_leave(&lent, &text, &names, named.sha256),
            };
            (body, names, named, text.len(), may_leave)
        });
        let (body, replaced_out, named, n_bytes, may_leave) = looked
            .await
            .map_err(|_| Problem::new(500, "carnet_bug", "looking the request through failed"))?;
        let asked_tokens = body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64());
        let route = RouteRequest {
            lane,
            model,
            // Two bytes a token is more tokens than any text of a language has.
            tokens_in: (n_bytes as u64).div_ceil(2),
            max_tokens: asked_tokens,
            embeddings: is_embedding,
        };
        let call = Call {
            gateway,
            door,
            is_embedding,
            route,
            task,
            body,
            named,
            replaced_out,
            replaced_back: Names::new(),
            n_logged: 0,
            failures: vec![],
            begun,
        };
        match may_leave {
            Ok(()) => Ok(call),
            Err(problem) => Err(call.refused(problem)),
        }
    }

    async fn carry_out(mut self) -> Streamed {
        if let Some(kept) = self.kept() {
            return self.answer_again(kept);
        }
        let mut tried = vec![];
        let mut last_status = 503;
        loop {
            let chosen = match self.choose(&tried) {
                Ok(Some(chosen)) => chosen,
                Ok(None) => break,
                Err(problem) => return self.refused(problem).answer(self.door),
            };
            let target = chosen.candidate.target.clone();
            match self.ask(&chosen).await {
                Attempt::Reply(reply) => return self.answered(chosen, reply).await,
                Attempt::Stream(upstream) => return self.relayed(chosen, upstream),
                Attempt::Wrong(status, why) => {
                    self.settle(chosen.reserved, 0.0, 0);
                    let message = format!("{target}: {why}");
                    let problem = Problem::new(status, "invalid_request_error", message);
                    return self.refused(problem).answer(self.door);
                }
                Attempt::Failed(failure) => {
                    self.settle(chosen.reserved, 0.0, 0);
                    self.failures.push(format!("{target}: {}", failure.why));
                    last_status = failure.status;
                }
            }
            tried.push(target);
        }
        let message = if self.failures.is_empty() {
            "every model of the lane is left alone for a while, for it failed too often".to_owned()
        } else {
            format!("no model answered: {}", self.failures.join("; "))
        };
        self.refused(Problem::new(last_status, "carnet_no_answer", message)).answer(self.door)
    }

    /// Asks one candidate, again where that may help.
    async fn ask(&mut self, chosen: &Chosen) -> Attempt {
        let Chosen { candidate, temperature, timeout, .. } = chosen;
        let body = request_for(&self.body, candidate, *temperature, self.is_embedding);
        let setup = &self.gateway.setup;
        let key = candidate.provider.key.as_ref();
        if let Some(name) = key.filter(|name| !setup.keys.contains_key(*name)) {
            return Attempt::Failed(Failure {
                why: format!("its key `{name}` was not given to the gateway"),
                status: 502,
                retry_after_ms: None,
                is_passing: false,
            });
        }
        let key = key.and_then(|name| setup.keys.get(name)).map(String::as_str);
        let mut n_attempts = 0;
        loop {
            n_attempts += 1;
            let clients = &self.gateway.clients;
            let came =
                attempt(clients, &candidate.provider, key, &body, self.is_embedding, *timeout)
                    .await;
            let Attempt::Failed(failure) = &came else {
                self.heard(&candidate.target, true);
                return came;
            };
            if failure.status != 501 {
                self.heard(&candidate.target, false);
            }
            let wait =
                backoff_ms(n_attempts, failure.retry_after_ms, RandomState::new().hash_one(0));
            // Whoever took all the time that a call may take is not asked for it twice.
            let wait = wait.filter(|_| failure.is_passing && failure.status != 504);
            let Some(wait) = wait else { return came };
            self.failures.push(format!("{}: {}", candidate.target, failure.why));
            sleep(Duration::from_millis(wait)).await;
        }
    }

    /// Tells an endpoint's breaker what became of a call.
    fn heard(&self, target: &Target, is_answered: bool) {
        let mut state = self.gateway.state();
        let breaker = state.breakers.entry(target.clone()).or_default();
        if is_answered { breaker.succeeded() } else { breaker.failed(now()) }
    }

    /// Chooses whom to ask next and sets aside what that can cost; `None` where everyone was tried or is left alone.
    fn choose(&self, tried: &[Target]) -> Result<Option<Chosen>, Problem> {
        let setup = &self.gateway.setup;
        let (period, day) = (setup.policy.cost.budget_period, now().day());
        let mut state = self.gateway.state();
        let spent = state.meter.spent(period, &day, self.task.as_deref());
        let route = plan_route(&setup.policy, &setup.catalogue, &self.route, &spent);
        if let Some(why) = route.refused {
            return Err(Problem::new(404, "model_not_found", why));
        }
        if tried.is_empty() && route.asked().next().is_none() {
            let reasons = route.candidates.iter().filter_map(|candidate| {
                Some(format!("{}: {}", candidate.target, candidate.passed.as_ref()?))
            });
            let reasons: Vec<String> = reasons.collect();
            let message = format!("no model may be asked: {}", reasons.join("; "));
            return Err(Problem::new(403, "carnet_budget", message));
        }
        let at = now();
        for candidate in route.asked().filter(|it| !tried.contains(&it.target)) {
            if !state.breakers.entry(candidate.target.clone()).or_default().admit(at) {
                continue;
            }
            let tokens = self.route.tokens_in + candidate.max_tokens;
            let usd = candidate.cost_usd_max.unwrap_or(0.0);
            let reserved = state.meter.reserve(period, &day, self.task.as_deref(), usd, tokens);
            return Ok(Some(Chosen {
                candidate: candidate.clone(),
                reserved,
                temperature: route.temperature,
                timeout: Duration::from_secs_f64(route.timeout_seconds),
            }));
        }
        Ok(None)
    }

    fn settle(&self, reserved: Reservation, usd: f64, tokens: u64) {
        self.gateway.state().meter.settle(reserved, usd, tokens);
    }

    /// A reply that came whole.
    async fn answered(mut self, chosen: Chosen, mut reply: Value) -> Streamed {
        let gateway = Arc::clone(&self.gateway);
        if let Some(choices) = reply["choices"].as_array_mut() {
            for choice in choices {
                redact_strings(&mut choice["message"], &gateway, &mut self.replaced_back);
            }
        }
        let took = self.took(&reply["usage"], reply["choices"].to_string().len());
        let target = chosen.candidate.target.clone();
        if let Err(problem) = self.log_back().await {
            self.finish(chosen, took, vec![], "", problem.status);
            return problem.answer(self.door);
        }
        let usd = self.cost(&chosen.candidate, took);
        reply["carnet"] = self.note(&target, usd, false);
        let reply = in_form_of(self.door, reply);
        self.finish(chosen, took, reply.to_string().into_bytes(), "application/json", 200);
        json_answer(200, &reply, headers(&target, usd, false))
    }

    /// Puts what was replaced on the way back since the last time into the log, before a caller sees it.
    pub(super) async fn log_back(&mut self) -> Result<(), Problem> {
        let n = self.replaced_back.values().sum();
        if n == self.n_logged {
            return Ok(());
        }
        self.n_logged = n;
        let (log, names) = (Arc::clone(&self.gateway.setup.log), self.replaced_back.clone());
        let digest = self.digest();
        let logged = tokio::task::spawn_blocking(move || log(digest, "back", &names)).await;
        logged.unwrap_or_else(|_| Err("logging failed".to_owned())).map_err(unlogged)
    }

    fn relayed(self, chosen: Chosen, upstream: Box<Upstream>) -> Streamed {
        relay::begin(self, chosen, upstream)
    }

    /// What a call took, as the endpoint counts it, or estimated from above.
    pub(super) fn took(&self, usage: &Value, n_bytes_out: usize) -> Took {
        let count = |name: &str| usage[name].as_u64();
        match (
            count("prompt_tokens"),
            count("completion_tokens").or(self.is_embedding.then_some(0)),
        ) {
            (Some(tokens_in), Some(tokens_out)) => {
                Took { tokens_in, tokens_out, is_estimated: false }
            }
            _ => Took {
                tokens_in: self.route.tokens_in,
                tokens_out: if self.is_embedding { 0 } else { (n_bytes_out as u64).div_ceil(2) },
                is_estimated: true,
            },
        }
    }

    pub(super) fn cost(&self, candidate: &Candidate, took: Took) -> f64 {
        let card = candidate.card.as_ref();
        card.and_then(|card| card.cost_usd(took.tokens_in, took.tokens_out)).unwrap_or(0.0)
    }

    /// What replies say of how they came to be.
    pub(super) fn note(&self, target: &Target, usd: f64, cached: bool) -> Value {
        json!({"provider": target.provider, "model": target.model, "lane": self.route.lane,
            "cost_usd": usd, "cached": cached, "failures": self.failures})
    }

    /// Settles a call that was answered, and keeps what it was.
    ///
    /// - `body`: what the caller saw; empty where it is too long to be kept.
    pub(super) fn finish(
        &mut self,
        chosen: Chosen,
        took: Took,
        body: Vec<u8>,
        media: &str,
        status: u16,
    ) {
        let usd = self.cost(&chosen.candidate, took);
        self.settle(chosen.reserved, usd, took.tokens_in + took.tokens_out);
        let target = chosen.candidate.target;
        let mut receipt = self.receipt(status);
        (receipt.provider, receipt.model) =
            (Some(target.provider.clone()), Some(target.model.clone()));
        (receipt.tokens_in, receipt.tokens_out) = (took.tokens_in, took.tokens_out);
        (receipt.estimated, receipt.cost_usd) = (took.is_estimated, usd);
        let n_back = u32::try_from(self.replaced_back.values().sum::<usize>()).unwrap_or(u32::MAX);
        let exchange = (!body.is_empty()).then(|| {
            let reply = ModelReply {
                status,
                headers: BTreeMap::from([("content-type".to_owned(), media.to_owned())]),
                body: Body::verbatim(&body),
                n_redactions: n_back,
            };
            ModelExchange::new(self.named.clone(), reply)
        });
        (self.gateway.setup.keep)(receipt, exchange);
        if self.gateway.setup.policy.cost.enable_caching && status == 200 && !body.is_empty() {
            let kept = Kept { target, body };
            self.gateway.state().cache.put(&self.route.lane, self.digest(), kept);
        }
    }

    fn digest(&self) -> Digest {
        self.named.sha256
    }

    fn receipt(&self, status: u16) -> Receipt {
        Receipt {
            format: "carnet/broker-receipt/1".to_owned(),
            at: now(),
            lane: self.route.lane.clone(),
            task: self.task.clone(),
            policy_version: self.gateway.setup.policy.version.clone(),
            request_sha256: self.digest(),
            provider: None,
            model: None,
            status,
            tokens_in: 0,
            tokens_out: 0,
            estimated: false,
            cost_usd: 0.0,
            ms: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            cached: false,
            failures: self.failures.clone(),
            replaced_out: self.replaced_out.clone(),
            replaced_back: self.replaced_back.clone(),
        }
    }

    /// Keeps that nothing was answered, and hands the problem on.
    fn refused(&self, problem: Problem) -> Problem {
        (self.gateway.setup.keep)(self.receipt(problem.status), None);
        problem
    }

    fn kept(&self) -> Option<Kept> {
        let is_on = self.gateway.setup.policy.cost.enable_caching;
        is_on.then(|| self.gateway.state().cache.get(&self.route.lane, self.digest())).flatten()
    }

    fn answer_again(self, kept: Kept) -> Streamed {
        let mut receipt = self.receipt(200);
        (receipt.provider, receipt.model) =
            (Some(kept.target.provider.clone()), Some(kept.target.model.clone()));
        receipt.cached = true;
        (self.gateway.setup.keep)(receipt, None);
        if self.body["stream"] == true {
            return relay::again(kept.body, headers(&kept.target, 0.0, true));
        }
        let mut reply: Value = serde_json::from_slice(&kept.body).unwrap_or_default();
        reply["carnet"] = self.note(&kept.target, 0.0, true);
        json_answer(200, &reply, headers(&kept.target, 0.0, true))
    }

    /// Tells whether the caller asked for usage at the end of a stream.
    pub(super) fn wants_usage(&self) -> bool {
        self.body["stream_options"]["include_usage"] == true
    }
}

/// Header lines that tell a caller who answered, and for how much.
pub(super) fn headers(target: &Target, usd: f64, cached: bool) -> Vec<(&'static str, String)> {
    vec![
        ("x-carnet-provider", target.provider.clone()),
        ("x-carnet-model", target.model.clone()),
        ("x-carnet-cost-usd", format!("{usd:.9}")),
        ("x-carnet-cached", cached.to_string()),
    ]
}

/// Whether a request in which something was replaced may leave: a person let it out where one is asked, and the log has it.
fn may_leave(gateway: &Gateway, text: &str, names: &Names, digest: Digest) -> Result<(), Problem> {
    if let Some(hold) = &gateway.setup.hold {
        hold(text.as_bytes(), names).map_err(|id| {
            let message = format!("the request waits for a person: carnet approve {id}");
            Problem::new(403, "carnet_held", message)
        })?;
    }
    (gateway.setup.log)(digest, "out", names).map_err(unlogged)
}

fn unlogged(why: String) -> Problem {
    let message = format!("something was replaced, and the audit log cannot say so: {why}");
    Problem::new(500, "carnet_audit", message)
}

/// Redacts every string of a value; keys are names that a program gave.
fn redact_strings(value: &mut Value, gateway: &Gateway, names: &mut Names) {
    match value {
        Value::String(text) => *text = redacted(text, &gateway.setup.redact, names),
        Value::Array(values) => {
            values.iter_mut().for_each(|value| redact_strings(value, gateway, names));
        }
        Value::Object(members) => {
            members.values_mut().for_each(|value| redact_strings(value, gateway, names));
        }
        _ => {}
    }
}
