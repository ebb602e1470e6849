//! Annotated sources: what is expected stands under the line that says it.
//!
//! A line whose first visible character is `^` is no source: the run of carets points at the name above,
//! and the text after it is the fact expected there. Every fact must be annotated and every annotation
//! met, so an invented call fails as loudly as a lost one.
//!
//! - `def KIND QUALIFIED.NAME`, with ` in PARENT` when another symbol holds it;
//! - `call NAME`, then ` own TYPE`, ` path TEXT` or ` value TEXT`, then ` new`, ` macro`, ` element` or
//!   ` decorator`, then ` local`, then ` from SYMBOL`.

mod c;
mod ecma;
mod facts;
mod go;
mod hostile;
mod java;
mod macros;
mod python;
mod rust;
mod types;

use crate::{CallForm, Imported, Language, Parsed, Qualifier, parse};

/// Checks every definition and call of an annotated source.
#[track_caller]
fn check(language: Language, annotated: &str) {
    let (source, mut expected) = read_annotations(annotated);
    let parsed = parse(language, source.as_bytes());
    let mut actual = facts(&parsed);
    actual.sort();
    expected.sort();
    assert_eq!(render(&actual), render(&expected), "left is what was parsed of\n{source}");
}

/// Checks the imports of a source, one per line.
#[track_caller]
fn check_imports(language: Language, source: &str, expected: &[&str]) {
    let parsed = parse(language, source.as_bytes());
    let actual: Vec<String> = parsed.imports.iter().map(import_text).collect();
    assert_eq!(actual, expected);
}

type Fact = (u32, u32, u32, String);

fn read_annotations(annotated: &str) -> (String, Vec<Fact>) {
    let (mut source, mut expected, mut n_lines) = (String::new(), Vec::new(), 0);
    for line in annotated.lines() {
        let text = line.trim_start();
        if !text.starts_with('^') {
            source.push_str(line);
            source.push('\n');
            n_lines += 1;
            continue;
        }
        let column = (line.len() - text.len()) as u32 + 1;
        let fact = text.trim_start_matches('^');
        let width = (text.len() - fact.len()) as u32;
        expected.push((n_lines, column, width, fact.trim().to_owned()));
    }
    (source, expected)
}

fn facts(parsed: &Parsed) -> Vec<Fact> {
    let qualified = |idx: u32| parsed.symbols[idx as usize].qualified_name();
    let mut facts = Vec::new();
    for symbol in &parsed.symbols {
        let parent = symbol.parent.map(|idx| format!(" in {}", qualified(idx))).unwrap_or_default();
        let text = format!("def {} {}{parent}", symbol.kind.name(), symbol.qualified_name());
        facts.push(fact(symbol.name_region, text));
    }
    for call in &parsed.calls {
        let qualifier = match &call.qualifier {
            Qualifier::Bare => String::new(),
            Qualifier::Own(owner) => format!(" own {owner}"),
            Qualifier::Path(text) => format!(" path {text}"),
            Qualifier::Value(text) => format!(" value {text}"),
        };
        let form = match call.form {
            CallForm::Function => "",
            CallForm::Construct => " new",
            CallForm::Macro => " macro",
            CallForm::Element => " element",
            CallForm::Decorator => " decorator",
        };
        let local = if call.is_local { " local" } else { "" };
        let from =
            call.enclosing.map(|idx| format!(" from {}", qualified(idx))).unwrap_or_default();
        let text = format!("call {}{qualifier}{form}{local}{from}", call.name);
        facts.push(fact(call.region, text));
    }
    facts
}

fn fact(region: carnet_core::Region, text: String) -> Fact {
    (region.start_line, region.start_column, (region.end - region.start) as u32, text)
}

fn render(facts: &[Fact]) -> String {
    let line = |(line, column, width, text): &Fact| format!("{line}:{column}+{width} {text}\n");
    facts.iter().map(line).collect()
}

fn import_text(import: &crate::Import) -> String {
    let imported = match &import.imported {
        Imported::Module => String::new(),
        Imported::Name(name) => format!(" name {name}"),
        Imported::Glob => " glob".to_owned(),
    };
    let alias = import.alias.as_ref().map(|alias| format!(" as {alias}")).unwrap_or_default();
    let container = match import.container.as_str() {
        "" => String::new(),
        container => format!(" inside {container}"),
    };
    let reexport = if import.is_reexport { " reexport" } else { "" };
    let unusable = if import.is_local { "" } else { " unusable" };
    format!("{}{imported}{alias}{container}{reexport}{unusable}", import.module)
}
