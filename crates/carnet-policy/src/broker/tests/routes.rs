use carnet_core::LaneName;

use super::*;

fn request(lane: &str) -> RouteRequest {
    RouteRequest {
        lane: LaneName::new(lane).unwrap(),
        model: None,
        tokens_in: 1000,
        max_tokens: None,
        embeddings: false,
    }
}

/// The route as one line a candidate: target, source, tokens of the answer, why not.
fn check(policy: &str, request: &RouteRequest, spent: Spent, expected: &[&str]) {
    let route = plan_route(&sound(policy), &Catalogue::built_in(), request, &spent);
    let lines: Vec<String> = route
        .candidates
        .iter()
        .map(|it| {
            let passed = it.passed.as_ref().map(|why| format!(" – {why}")).unwrap_or_default();
            format!("{} ({}) {}{passed}", it.target, it.source, it.max_tokens)
        })
        .collect();
    let fits = lines.len() == expected.len()
        && lines.iter().zip(expected).all(|(line, expected)| line.starts_with(expected));
    assert!(fits, "{lines:#?}");
}

#[test]
fn an_override_goes_before_the_default_and_the_chain_follows_each_model_once() {
    check(
        EXAMPLE_TOML,
        &request("graph-ops"),
        Spent::default(),
        &[
            "anthropic/claude-sonnet-4-5 (default) 8192",
            "openai/gpt-5 (fallback 2) 8192",
            "local/qwen2.5-coder:32b (fallback 3) 8192",
        ],
    );
    check(
        EXAMPLE_TOML,
        &request("narrative"),
        Spent::default(),
        &[
            "openai/gpt-5 (override of the lane) 4096",
            "anthropic/claude-sonnet-4-5 (fallback 1) 4096",
            "local/qwen2.5-coder:32b (fallback 3) 4096",
        ],
    );
    // A lane that no one knows goes by the default.
    check(EXAMPLE_TOML, &request("mine"), Spent::default(), &["anthropic", "openai", "local"]);
}

#[test]
fn local_models_go_first_where_they_are_preferred_but_not_below_the_tier() {
    let policy = EXAMPLE_TOML.replace("prefer_local = false", "prefer_local = true");
    check(&policy, &request("graph-ops"), Spent::default(), &["local/", "anthropic/", "openai/"]);
    check(
        &policy,
        &request("code-api-design"),
        Spent::default(),
        &[
            "local/qwen2.5-coder:32b (fallback 3) 8192 – is of tier standard, and the lane asks for advanced",
            "anthropic/claude-opus-4-1 (override of the lane) 8192",
            "anthropic/claude-sonnet-4-5 (fallback 1) 8192",
            "openai/gpt-5 (fallback 2) 8192",
        ],
    );
}

#[test]
fn what_the_task_or_the_budget_cannot_pay_is_not_asked() {
    let graph = request("graph-ops");
    let spent = Spent { task_usd: 1.95, ..Spent::default() };
    // 1000 tokens in at 3, 8192 out at 15 USD a million are 0.12588; the local one is free.
    check(
        EXAMPLE_TOML,
        &graph,
        spent,
        &[
            "anthropic/claude-sonnet-4-5 (default) 8192 – may cost 0.125880 USD; the task may have 2 USD and had 1.950000",
            "openai/gpt-5 (fallback 2) 8192 – may cost",
            "local/qwen2.5-coder:32b (fallback 3) 8192",
        ],
    );
    let spent = Spent { period_usd: 499.9, ..Spent::default() };
    check(
        EXAMPLE_TOML,
        &graph,
        spent,
        &[
            "anthropic/claude-sonnet-4-5 (default) 8192 – may cost 0.125880 USD; the budget (month) is 500 USD, of which 499.9",
            "openai/gpt-5 (fallback 2) 8192",
            "local/qwen2.5-coder:32b (fallback 3) 8192",
        ],
    );
    let spent = Spent { task_tokens: 398_000, ..Spent::default() };
    check(
        EXAMPLE_TOML,
        &graph,
        spent,
        &["anthropic/claude-sonnet-4-5 (default) 1000", "openai/gpt-5 (fallback 2) 1000", "local/"],
    );
    let spent = Spent { task_tokens: 399_000, ..Spent::default() };
    check(
        EXAMPLE_TOML,
        &graph,
        spent,
        &[
            "anthropic/claude-sonnet-4-5 (default) 0 – the task may have 400000 tokens",
            "openai/gpt-5 (fallback 2) 0 – the task may have",
            "local/qwen2.5-coder:32b (fallback 3) 0 – the task may have",
        ],
    );
    let mut large = request("graph-ops");
    large.tokens_in = 190_000;
    large.max_tokens = Some(100_000);
    check(
        EXAMPLE_TOML,
        &large,
        Spent::default(),
        &[
            "anthropic/claude-sonnet-4-5 (default) 8192",
            "openai/gpt-5 (fallback 2) 8192",
            "local/qwen2.5-coder:32b (fallback 3) 0 – takes 32768 tokens, the request has about 190000",
        ],
    );
}

#[test]
fn a_model_without_a_price_is_not_asked_where_a_cost_is_capped() {
    let policy = "version = \"2026-11-22-001\"\n[default_provider]\nprovider = \"openai\"\nmodel = \"new\"\n";
    check(policy, &request("narrative"), Spent::default(), &["openai/new (default) 4096"]);
    let capped = format!("{policy}[cost_optimization]\nbudget_cap_usd = 1000");
    check(
        &capped,
        &request("narrative"),
        Spent::default(),
        &["openai/new (default) 4096 – its price is not known"],
    );
    let nothing = format!(
        "{policy}[cost_optimization]\nbudget_cap_usd = 0\n[[models]]\nprovider = \"openai\"\nmodel = \"new\"\ninput_usd_per_million_tokens = 0\noutput_usd_per_million_tokens = 1e-3"
    );
    check(
        &nothing,
        &request("narrative"),
        Spent::default(),
        &["openai/new (default) 4096 – may cost 0.000004 USD; the budget (month) is 0 USD"],
    );
}

#[test]
fn a_model_that_is_asked_for_by_name_is_one_of_the_policy() {
    let mut named = request("graph-ops");
    for name in ["gpt-5", "openai/gpt-5"] {
        named.model = Some(name.to_owned());
        check(
            EXAMPLE_TOML,
            &named,
            Spent::default(),
            &["openai/gpt-5 (asked for by name)", "anthropic/", "local/"],
        );
    }
    named.model = Some("gpt-4.1".to_owned());
    let route = plan_route(&sound(EXAMPLE_TOML), &Catalogue::built_in(), &named, &Spent::default());
    assert!(
        route.candidates.is_empty()
            && route
                .refused
                .unwrap()
                .contains("no model `gpt-4.1`; it has anthropic/claude-sonnet-4-5, openai/gpt-5")
    );
}

#[test]
fn vectors_come_of_one_model() {
    let mut vectors = request("code-api-design");
    vectors.embeddings = true;
    check(
        EXAMPLE_TOML,
        &vectors,
        Spent::default(),
        &["openai/text-embedding-3-small (embeddings) 0"],
    );
    let none = "version = \"2026-11-22-001\"\n[default_provider]\nprovider = \"openai\"\nmodel = \"gpt-5\"\n";
    let route = plan_route(&sound(none), &Catalogue::built_in(), &vectors, &Spent::default());
    assert!(route.refused.unwrap().contains("names no model of `embeddings`"));
}
