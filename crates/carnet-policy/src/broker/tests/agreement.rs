//! The schema that ships says to other validators what carnet says: `boon` judges thousands of mutated documents beside it.

use boon::{Compiler, Schemas};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::{Map, Value, json};

use super::*;
use crate::document::{Document, Faults, Schema};

fn own(schema: &Schema, value: &Value) -> bool {
    let mut faults = Faults::default();
    let text = value.to_string();
    let document = Document::parse(&text, DocumentForm::Json, &mut faults).unwrap();
    schema.judge(&document, &mut faults);
    faults.is_empty()
}

/// What is put in a place: values of every type, at and beyond bounds.
fn intruder() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(2),
        json!(2.0),
        json!(2.000001),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(10_000_000),
        json!(10_000_001),
        json!(""),
        json!("x"),
        json!("openai"),
        json!("Open AI"),
        json!("2026-11-22-001"),
        json!("2026-11-22-0010"),
        json!("month"),
        json!("advanced"),
        json!("a".repeat(70)),
        json!("é".repeat(64)),
        json!("carnet/model-broker/1"),
        json!("https://a.example/v1"),
        json!("https://a b"),
        json!([]),
        json!([1, 1.0]),
        json!([{"provider": "a", "model": "b"}, {"model": "b", "provider": "a"}]),
        json!({}),
        json!({"provider": "a", "model": "b"}),
        json!({"x": 1}),
        json!({"A b": {}}),
        json!({"a-b": {}}),
    ])
}

/// Replaces, removes or adds at one place, chosen by `pick`.
fn mutate(value: &mut Value, pick: usize, how: u8, intruder: &Value) {
    let mut pointers = vec![];
    collect(value, "", &mut pointers);
    let pointer = &pointers[pick % pointers.len()];
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        *value = intruder.clone();
        return;
    };
    let parent = value.pointer_mut(parent).unwrap();
    match (how % 3, parent) {
        (0, parent) => *parent.pointer_mut(&format!("/{last}")).unwrap() = intruder.clone(),
        (1, Value::Object(members)) => drop(members.remove(last)),
        (1, Value::Array(list)) => drop(list.pop()),
        (_, Value::Object(members)) => {
            let key = if how > 100 { "extra".to_owned() } else { format!("{last}x") };
            members.insert(key, intruder.clone());
        }
        (_, Value::Array(list)) => list.push(intruder.clone()),
        _ => {}
    }
}

fn collect(value: &Value, pointer: &str, pointers: &mut Vec<String>) {
    pointers.push(pointer.to_owned());
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                collect(member, &format!("{pointer}/{name}"), pointers);
            }
        }
        Value::Array(list) => {
            for (idx, element) in list.iter().enumerate() {
                collect(element, &format!("{pointer}/{idx}"), pointers);
            }
        }
        _ => {}
    }
}

#[test]
fn another_validator_agrees_on_every_mutated_document() {
    let mut schemas = Schemas::new();
    let mut compiler = Compiler::new();
    let id = "https://carnet.dev/schemas/model-broker-1.schema.json";
    compiler.add_resource(id, serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let schema = compiler.compile(id, &mut schemas).unwrap();
    let read = Schema::read(SCHEMA);
    let mut n_sound = 0;
    let bases: [Value; 3] = [
        serde_json::from_str(EXAMPLE_JSON).unwrap(),
        json!({"version": "2026-11-22-001", "default_provider": {"provider": "a", "model": "b"}}),
        json!({"version": "2026-11-22-001", "format": "carnet/model-broker/1",
            "default_provider": {"provider": "a", "model": "b", "min_tier": "basic", "constraints": {"timeout_seconds": 1}},
            "models": [{"provider": "a", "model": "b", "tier": "basic", "context_tokens": 7.0}],
            "providers": {"a": {"api": "openai", "base_url": "https://a.example/v1", "key": "A_KEY", "local": false}}}),
    ];
    let mutations = prop::collection::vec((any::<usize>(), any::<u8>(), intruder()), 0..4);
    let mut runner = TestRunner::deterministic();
    for _ in 0..3000 {
        let (base, mutations) =
            (0..bases.len(), &mutations).new_tree(&mut runner).unwrap().current();
        let mut value = bases[base].clone();
        for (pick, how, intruder) in &mutations {
            mutate(&mut value, *pick, *how, intruder);
        }
        let theirs = schemas.validate(&value, schema);
        n_sound += usize::from(theirs.is_ok());
        assert_eq!(
            own(&read, &value),
            theirs.is_ok(),
            "{value:#}\n{:?}",
            theirs.err().map(|it| it.to_string())
        );
    }
    assert!((300..2700).contains(&n_sound), "{n_sound} of 3000 are sound: too one-sided to tell");
    assert_eq!(
        own(&read, &Value::Object(Map::new())),
        schemas.validate(&json!({}), schema).is_ok()
    );
}
