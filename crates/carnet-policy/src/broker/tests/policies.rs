use super::*;

const LEAST: &str =
    "version = \"2026-11-22-001\"\n[default_provider]\nprovider = \"openai\"\nmodel = \"gpt-5\"\n";

/// Adds a text to the least policy and compares errors and warnings, each written as `line:column: pointer: message`.
fn check(added: &str, errors: &[&str], warnings: &[&str]) {
    let found = examined(&format!("{LEAST}{added}"));
    let texts = |faults: &[crate::DocumentFault]| -> Vec<String> {
        faults.iter().map(ToString::to_string).collect()
    };
    let fits = |found: &[String], expected: &[&str]| {
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| a.contains(b))
    };
    let (found_errors, found_warnings) = (texts(&found.errors), texts(&found.warnings));
    assert!(fits(&found_errors, errors), "{found_errors:#?}");
    assert!(fits(&found_warnings, warnings), "{found_warnings:#?}");
    assert_eq!(found.policy.is_some(), errors.is_empty());
}

#[test]
fn both_examples_say_the_same_without_a_word_of_complaint() {
    let examples = [EXAMPLE_TOML, EXAMPLE_JSON].map(examined);
    for example in &examples {
        assert_eq!((example.errors.len(), example.warnings.len()), (0, 0), "{example:#?}");
    }
    assert_eq!(examples[0].policy, examples[1].policy);
    let policy = examples[0].policy.as_ref().unwrap();
    assert_eq!((policy.overrides.len(), lanes().len()), (5, 7));
    assert!(policy.overrides.keys().all(|lane| lanes().contains(lane.as_str())));
}

#[test]
fn an_override_has_the_defaults_members_where_it_has_none() {
    let policy = sound(
        "version = \"2026-11-22-001\"\ndefault_provider = { provider = \"openai\", model = \"gpt-5\", temperature = 0.5, constraints = { timeout_seconds = 7, max_tokens_per_task = 9.0 } }\nlane_overrides = { narrative = { temperature = 2, constraints = { timeout_seconds = 8 } } }",
    );
    let (choice, is_override) = policy.choice(&"narrative".to_owned().try_into().unwrap());
    assert!(is_override);
    assert_eq!(choice.target, Target::new("openai", "gpt-5"));
    assert_eq!(choice.temperature, Some(2.0));
    assert_eq!(choice.constraints.timeout_seconds, Some(8.0));
    assert_eq!(choice.constraints.max_tokens_per_task, Some(9));
}

#[test]
fn everything_wrong_is_said_at_once_with_pointer_line_and_column() {
    let text = "{\n  \"version\": \"2026-13-01-1\",\n  \"default_provider\": {\"provider\": \"openai\", \"temperatur\": 3},\n  \"lane_overrides\": {\"Code\": {\"temperature\": 2.5, \"max_tokens\": 1.5}},\n  \"fallback_chain\": [{\"provider\": \"mistral\", \"model\": \"m\"}, 7],\n  \"cost_optimization\": {\"budget_cap_usd\": -1, \"enable_caching\": \"yes\"}\n}";
    let found: Vec<String> = examined(text).errors.iter().map(ToString::to_string).collect();
    for expected in [
        "2:14: /version: `2026-13-01-1` has not the form",
        "3:23: /default_provider: `model` is missing",
        "3:46: /default_provider/temperatur: is not known here; did you mean `temperature`?",
        "4:22: /lane_overrides/Code: `Code` has not the form",
        "4:46: /lane_overrides/Code/temperature: must be 0 to 2, not 2.5",
        "4:65: /lane_overrides/Code/max_tokens: must be a whole number, not `1.5`",
        "5:35: /fallback_chain/0/provider: provider `mistral` is not known here",
        "5:61: /fallback_chain/1: must be a table, not `7`",
        "6:43: /cost_optimization/budget_cap_usd: must be 0 to 1000000000, not -1",
        "6:65: /cost_optimization/enable_caching: must be true or false, not `yes`",
    ] {
        assert!(found.iter().any(|it| it.starts_with(expected)), "{expected}\n{found:#?}");
    }
    assert_eq!(found.len(), 10, "{found:#?}");
}

#[test]
fn what_a_schema_cannot_say_is_looked_at() {
    check("", &[], &[]);
    check(
        "[lane_overrides.code-imp]\n",
        &[],
        &[
            "5:17: /lane_overrides/code-imp: lane `code-imp` is not known here; did you mean `code-impl`?",
        ],
    );
    check(
        "[lane_overrides.narrative]\nmodel = \"gpt-5-min\"",
        &[],
        &[
            "6:9: /lane_overrides/narrative/model: model `openai/gpt-5-min` is not known here; did you mean `gpt-5-mini`?",
        ],
    );
    check(
        "[lane_overrides.narrative]\nmodel = \"gpt-5-mini\"\nmin_tier = \"advanced\"",
        &[
            "7:12: /lane_overrides/narrative/min_tier: `openai/gpt-5-mini` is of tier standard, below the advanced",
        ],
        &[],
    );
    check(
        "max_tokens = 10\nconstraints = { max_tokens_per_task = 9 }",
        &[],
        &["5:14: /default_provider/max_tokens: an answer may have 10 tokens, its whole task 9"],
    );
    check(
        "[cost_optimization]\nprefer_local = true",
        &[],
        &["/cost_optimization/prefer_local: there is no local model"],
    );
    check(
        "[cost_optimization]\nbudget_cap_usd = 1\n[[models]]\nprovider = \"openai\"\nmodel = \"gpt-5\"",
        &[],
        &["has no price, so it is never called under a budget"],
    );
    check(
        "[[models]]\nprovider = \"openai\"\nmodel = \"x\"\n[[models]]\nprovider = \"openai\"\nmodel = \"x\"",
        &["8:1: /models/1: `openai/x` stands twice"],
        &[],
    );
}

#[test]
fn a_key_goes_nowhere_in_the_clear_and_never_into_the_policy() {
    let provider = |members: &str| format!("[providers.x]\n{members}");
    check(
        &provider("base_url = \"http://models.example.com/v1\""),
        &["is not encrypted and not of this machine"],
        &[],
    );
    check(&provider("base_url = \"http://127.0.0.1.example.com/v1\""), &["is not encrypted"], &[]);
    check(&provider("base_url = \"http://user@10.0.0.1/v1\""), &["has not the form"], &[]);
    check(&provider("base_url = \"http://[::1]:8080/v1\"\nlocal = true"), &[], &[]);
    check(
        &provider("base_url = \"https://10.1.2.3/v1\"\nlocal = true"),
        &[],
        &["`local` is of this machine, and `10.1.2.3` is not"],
    );
    let key = ["sk", "-ant-x"].concat();
    check(
        &provider(&format!("base_url = \"https://a.example/v1\"\nkey = \"{key}\"")),
        &["the name of the secret that holds its key"],
        &[],
    );
}

#[test]
fn a_version_is_a_day_that_there_is() {
    for (version, is_sound) in [
        ("2026-11-22-001", true),
        ("2028-02-29-999", true),
        ("2027-02-29-001", false),
        ("2026-11-22-1", false),
        ("2026-11-22", false),
        ("26-11-22-001", false),
        ("2026-11-22-001 ", false),
        ("２026-11-22-001", false),
    ] {
        let text = LEAST.replace("2026-11-22-001", version);
        assert_eq!(examined(&text).policy.is_some(), is_sound, "{version}");
    }
}

#[test]
fn a_form_from_the_future_is_refused_as_such_and_judged_no_further() {
    let found = examined("{\"format\": \"carnet/model-broker/2\", \"lanes\": 7}").errors;
    assert_eq!(found.len(), 1);
    assert!(found[0].message.contains("is from the future"), "{found:?}");
    let found = examined(&format!("format = \"carnet/other/1\"\n{LEAST}")).errors;
    assert!(found[0].message.contains("must be `carnet/model-broker/1`"), "{found:?}");
    assert!(examined(&format!("format = \"carnet/model-broker/1\"\n{LEAST}")).policy.is_some());
}

#[test]
fn the_catalogue_that_ships_is_sound_and_a_wrong_one_is_refused() {
    let cards = Catalogue::built_in();
    assert!(cards.cards().len() > 8);
    let card = cards.card(&[], &Target::new("anthropic", "claude-sonnet-4-5")).unwrap();
    assert_eq!(card.cost_usd(1_000_000, 100_000), Some(4.5));
    for bad in [
        "models = 7",
        "",
        "[[models]]\nprovider = \"a\"",
        "[[models]]\nprovider = \"a\"\nmodel = \"b\"\nprice = 1",
    ] {
        assert!(Catalogue::parse(bad, DocumentForm::Toml).is_err(), "{bad}");
    }
}

#[test]
fn a_diff_tells_what_a_changed_default_changes_and_nothing_of_order() {
    let all = lanes().into_iter().map(|lane| lane.try_into().unwrap()).collect();
    let old = sound(EXAMPLE_TOML);
    assert_eq!(diff(&old, &sound(EXAMPLE_JSON), &all), vec![]);
    let new = EXAMPLE_TOML
        .replace("-001\"", "-002\"")
        .replace("temperature = 0.2", "temperature = 0.4")
        .replace("budget_cap_usd = 500.0", "budget_cap_usd = 50.0");
    let changes = diff(&old, &sound(&new), &all);
    let what: Vec<&str> = changes.iter().map(|it| it.what.as_str()).collect();
    assert_eq!(
        what,
        [
            "version",
            "default: temperature",
            "lane data-schema: temperature",
            "lane graph-ops: temperature",
            "lane vector-ops: temperature",
            "budget"
        ]
    );
    assert_eq!((changes[1].old.as_deref(), changes[1].new.as_deref()), (Some("0.2"), Some("0.4")));
}
