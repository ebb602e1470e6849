//! JSON Schema 2020-12, as much of it as carnet's own schemas use, over a document with places.
//!
//! One text is then both what editors and other validators read and what carnet judges by. A keyword that is not known here
//! is refused when the schema is read, so that nothing a schema says is passed over in silence. Source:
//! <https://json-schema.org/draft/2020-12/json-schema-validation>.

use std::collections::BTreeMap;

use regex_automata::meta::Regex;
use serde_json::{Map, Value};

use super::{Document, DocumentFault, Faults, below};

/// Keywords that say something to people alone.
const ANNOTATIONS: [&str; 8] =
    ["$schema", "$id", "$defs", "$comment", "title", "description", "default", "examples"];

/// A schema that was read.
pub(crate) struct Schema {
    root: Value,
    patterns: BTreeMap<String, Regex>,
}

impl Schema {
    /// Reads a schema of carnet's own.
    ///
    /// # Panics
    ///
    /// Where the text is no schema, or has a keyword that is not known here: a test reads every one that ships.
    pub(crate) fn read(text: &str) -> Schema {
        let root: Value = serde_json::from_str(text).expect("because a schema that ships is JSON");
        let mut patterns = BTreeMap::new();
        examine(&root, &mut patterns);
        Schema { root, patterns }
    }

    /// Adds everything that is wrong with a document.
    pub(crate) fn judge(&self, document: &Document, faults: &mut Faults) {
        Judging { schema: self, document, faults }.value(&self.root, &document.value, "");
    }
}

/// Walks a schema: every keyword is known, every pattern compiles.
fn examine(schema: &Value, patterns: &mut BTreeMap<String, Regex>) {
    let Some(object) = schema.as_object() else { return };
    for (keyword, value) in object {
        match keyword.as_str() {
            "$defs" | "properties" => {
                value.as_object().into_iter().flatten().for_each(|(_, it)| examine(it, patterns));
            }
            "items" | "additionalProperties" | "propertyNames" => examine(value, patterns),
            "pattern" => {
                let text = value.as_str().unwrap_or_default();
                let pattern = Regex::new(text).expect("because a pattern that ships compiles");
                patterns.insert(text.to_owned(), pattern);
            }
            "$ref" | "type" | "const" | "enum" | "minimum" | "exclusiveMinimum" | "maximum"
            | "minLength" | "maxLength" | "minItems" | "maxItems" | "uniqueItems" | "required"
            | "maxProperties" => {}
            other => assert!(ANNOTATIONS.contains(&other), "unknown keyword `{other}`"),
        }
    }
}

struct Judging<'j> {
    schema: &'j Schema,
    document: &'j Document,
    faults: &'j mut Faults,
}

impl<'j> Judging<'j> {
    fn value(&mut self, schema: &'j Value, value: &Value, pointer: &str) {
        let Some(schema) = schema.as_object() else { return };
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let target = self.schema.root.pointer(reference.trim_start_matches('#'));
            self.value(
                target.expect("because references that ship lead somewhere"),
                value,
                pointer,
            );
        }
        if let Some(expected) = schema.get("type")
            && !has_type(value, expected.as_str().unwrap_or_default())
        {
            let name = expected.as_str().unwrap_or_default();
            let message = format!("must be {}, not {}", with_article(name), shown(value));
            self.fault(pointer, message);
            return;
        }
        self.exact(schema, value, pointer);
        match value {
            Value::Number(number) => {
                self.number(schema, number.as_f64().unwrap_or(f64::NAN), pointer)
            }
            Value::String(text) => self.string(schema, text, pointer),
            Value::Array(list) => self.list(schema, list, pointer),
            Value::Object(members) => self.object(schema, members, pointer),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn exact(&mut self, schema: &Map<String, Value>, value: &Value, pointer: &str) {
        if let Some(expected) = schema.get("const")
            && !same(expected, value)
        {
            self.fault(pointer, format!("must be {}, not {}", shown(expected), shown(value)));
        }
        if let Some(Value::Array(allowed)) = schema.get("enum")
            && !allowed.iter().any(|it| same(it, value))
        {
            let allowed: Vec<String> = allowed.iter().map(shown).collect();
            let message = format!("must be one of {}, not {}", allowed.join(", "), shown(value));
            self.fault(pointer, message);
        }
    }

    fn number(&mut self, schema: &Map<String, Value>, number: f64, pointer: &str) {
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        let (least, most) = (bound("minimum"), bound("maximum"));
        if least.is_some_and(|least| number < least) || most.is_some_and(|most| number > most) {
            let message = match (least, most) {
                (Some(least), Some(most)) => format!("must be {least} to {most}, not {number}"),
                (Some(least), None) => format!("must be {least} or more, not {number}"),
                (_, most) => format!("must be at most {}, not {number}", most.unwrap_or_default()),
            };
            self.fault(pointer, message);
        }
        if let Some(under) = bound("exclusiveMinimum")
            && number <= under
        {
            self.fault(pointer, format!("must be more than {under}, not {number}"));
        }
    }

    fn string(&mut self, schema: &Map<String, Value>, text: &str, pointer: &str) {
        let n_chars = text.chars().count() as u64;
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        if bound("minLength").is_some_and(|least| n_chars < least) {
            self.fault(pointer, "is empty");
        }
        if let Some(most) = bound("maxLength").filter(|most| n_chars > *most) {
            self.fault(pointer, format!("has more than {most} characters"));
        }
        let pattern = schema.get("pattern").and_then(Value::as_str);
        let pattern = pattern.and_then(|it| self.schema.patterns.get(it));
        if pattern.is_some_and(|pattern| !pattern.is_match(text)) {
            let meaning = schema.get("description").and_then(Value::as_str).unwrap_or_default();
            let text = crate::show(text);
            self.fault(pointer, format!("`{text}` has not the form of this member: {meaning}"));
        }
    }

    fn list(&mut self, schema: &'j Map<String, Value>, list: &[Value], pointer: &str) {
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        if bound("minItems").is_some_and(|least| (list.len() as u64) < least) {
            self.fault(pointer, "is empty");
        }
        if let Some(most) = bound("maxItems").filter(|most| list.len() as u64 > *most) {
            self.fault(pointer, format!("has more than {most} elements"));
            return;
        }
        if schema.get("uniqueItems") == Some(&Value::Bool(true)) {
            for (idx, element) in list.iter().enumerate() {
                if list[..idx].iter().any(|earlier| same(earlier, element)) {
                    self.fault(&below(pointer, idx), "stands in the list before");
                }
            }
        }
        if let Some(items) = schema.get("items") {
            for (idx, element) in list.iter().enumerate() {
                self.value(items, element, &below(pointer, idx));
            }
        }
    }

    fn object(&mut self, schema: &'j Map<String, Value>, members: &Map<String, Value>, at: &str) {
        let properties = schema.get("properties").and_then(Value::as_object);
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            if !members.contains_key(name) {
                self.fault(at, format!("`{name}` is missing"));
            }
        }
        let most = schema.get("maxProperties").and_then(Value::as_u64);
        if let Some(most) = most.filter(|most| members.len() as u64 > *most) {
            self.fault(at, format!("has more than {most} members"));
            return;
        }
        for (name, value) in members {
            let pointer = below(at, name);
            if let Some(names) = schema.get("propertyNames") {
                let n_before = self.faults.0.len();
                self.value(names, &Value::String(name.clone()), &pointer);
                for fault in &mut self.faults.0[n_before..] {
                    *fault = self.document.key_fault(&pointer, fault.message.clone());
                }
            }
            match (properties.and_then(|it| it.get(name)), schema.get("additionalProperties")) {
                (Some(property), _) => self.value(property, value, &pointer),
                (None, Some(Value::Bool(false))) => {
                    let known = properties.into_iter().flat_map(|it| it.keys());
                    let message = unknown(name, known.map(String::as_str));
                    self.push(self.document.key_fault(&pointer, message));
                }
                (None, Some(others)) => self.value(others, value, &pointer),
                (None, None) => {}
            }
        }
    }

    fn fault(&mut self, pointer: &str, message: impl Into<String>) {
        self.push(self.document.fault(pointer, message));
    }

    fn push(&mut self, fault: DocumentFault) {
        self.faults.push(fault);
    }
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => false,
    }
}

/// Equality as JSON Schema means it: 1 is 1.0.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

fn with_article(name: &str) -> &'static str {
    match name {
        "object" => "a table",
        "array" => "a list",
        "string" => "a string",
        "boolean" => "true or false",
        "integer" => "a whole number",
        _ => "a number",
    }
}

/// A value as a message shows it: never more of it than a line.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => format!("`{truth}`"),
        Value::Number(number) => format!("`{number}`"),
        Value::String(text) => format!("`{}`", crate::show(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
    }
}

/// Names the known word that is nearest, where one is near.
pub(crate) fn unknown<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> String {
    let nearest = known.map(|it| (distance(name, it), it)).min();
    match nearest {
        Some((edits, it)) if edits <= 2.max(it.len() / 3) => {
            format!("is not known here; did you mean `{it}`?")
        }
        _ => "is not known here".to_owned(),
    }
}

/// Levenshtein distance; names longer than 64 bytes are far from all.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
