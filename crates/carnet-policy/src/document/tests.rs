use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(text: &str, form: DocumentForm) -> (Option<Document>, Vec<String>) {
    let mut faults = Faults::default();
    let document = Document::parse(text, form, &mut faults);
    (document, faults.finish().iter().map(ToString::to_string).collect())
}

#[test]
fn every_value_has_its_place_in_both_forms() {
    let (document, faults) = read("{\n  \"a\": [1, {\"b/c\": true}]\n}", DocumentForm::Json);
    assert_eq!(faults, Vec::<String>::new());
    let document = document.unwrap();
    assert_eq!(document.fault("/a", "x").to_string(), "2:8: /a: x");
    assert_eq!(document.key_fault("/a", "x").to_string(), "2:3: /a: x");
    assert_eq!(document.fault("/a/1/b~1c", "x").to_string(), "2:20: /a/1/b~1c: x");
    assert_eq!(document.fault("/a/9/z", "x").to_string(), "2:8: /a/9/z: x");
    let (document, _) = read("[a]\nb = [1, { c = true }]\n", DocumentForm::Toml);
    let document = document.unwrap();
    assert_eq!(document.value, json!({"a": {"b": [1, {"c": true}]}}));
    assert_eq!(document.fault("/a/b/1/c", "x").to_string(), "2:15: /a/b/1/c: x");
}

#[test]
fn what_stands_twice_is_refused_in_both_forms() {
    let (_, faults) =
        read("{\"a\": 1,\n \"b\": {\"c\": 1, \"\\u0063\": 2}, \"a\": 2}", DocumentForm::Json);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].starts_with("2:16: /b/c: stands twice"), "{faults:?}");
    assert!(faults[1].starts_with("2:30: /a: stands twice"), "{faults:?}");
    let (document, faults) = read("a = 1\na = 2\n", DocumentForm::Toml);
    assert!(document.is_none() && faults[0].starts_with("2:1: duplicate key"), "{faults:?}");
}

#[test]
fn hostile_texts_are_refused_with_their_place() {
    for text in ["", "{", "[1,]", "{\"a\" 1}", "nul", "1e999", "\"\\ud800\"", "{} {}"] {
        let (document, faults) = read(text, DocumentForm::Json);
        assert!(document.is_none() && faults.len() == 1, "{text}: {faults:?}");
    }
    for deep in ["[".repeat(100) + &"]".repeat(100), "[".repeat(200_000)] {
        assert!(read(&deep, DocumentForm::Json).0.is_none());
        assert!(read(&format!("a = {deep}"), DocumentForm::Toml).0.is_none());
    }
    for text in ["a = inf", "a = nan", "a = 99999999999999999999", "a = 2026-01-01", "a ="] {
        let (document, faults) = read(text, DocumentForm::Toml);
        assert!(document.is_none() && !faults.is_empty(), "{text}");
    }
    assert!(read(&" ".repeat(2 << 20), DocumentForm::Json).1[0].contains("larger than"));
}

proptest! {
    /// serde_json is the judge of what is JSON; every pointer that has a place leads to a value, and the place begins it.
    #[test]
    fn places_are_those_of_values(text in "[\\[\\]{}:,\"a\\\\ \n1-9.eE+]{0,40}") {
        let (document, faults) = read(&text, DocumentForm::Json);
        prop_assert_eq!(document.is_some(), serde_json::from_str::<Value>(&text).is_ok());
        prop_assert!(document.is_some() || !faults.is_empty());
        if let Some(document) = document {
            for (pointer, place) in &document.places {
                let value = document.value.pointer(pointer);
                prop_assert!(value.is_some(), "{pointer}");
                let mut rest = serde_json::Deserializer::from_str(&text[place.value..]).into_iter::<Value>();
                let here = rest.next().and_then(Result::ok);
                // Of members that stand twice the last one counts; then places may tell of another.
                prop_assert!(here.as_ref() == value || !faults.is_empty());
            }
        }
    }
}
