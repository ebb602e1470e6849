//! What `require` binds and `module.exports` hands on.

use tree_sitter::Node;

use super::{field, is_function, unquoted};
use crate::{Imported, walk::Walk};

/// Most names of one object that are looked at.
const NAMES_MAX: usize = 1_000;

/// Notes `const x = require("m")` and `const { a, b: c } = require("m")` as imports.
pub(super) fn require(walk: &mut Walk<'_>, name: Node<'_>, value: Node<'_>) -> bool {
    let is_require = value.kind() == "call_expression"
        && field(value, "function").is_some_and(|function| walk.is_text(function, "require"));
    let argument = field(value, "arguments").and_then(|arguments| arguments.named_child(0));
    let Some(source) = argument.filter(|argument| is_require && argument.kind() == "string") else {
        return false;
    };
    let module = unquoted(walk, source);
    if name.kind() == "identifier" {
        let alias = Some(walk.text(name));
        walk.import(&module, Imported::Module, alias, name);
        return true;
    }
    let mut cursor = name.walk();
    for part in name.named_children(&mut cursor).take(NAMES_MAX).collect::<Vec<_>>() {
        let (imported, alias) = match part.kind() {
            "shorthand_property_identifier_pattern" => (Some(part), None),
            "pair_pattern" => (field(part, "key"), field(part, "value")),
            _ => (None, None),
        };
        if let Some(imported) = imported {
            let imported = Imported::Name(walk.text(imported));
            let alias = alias.map(|alias| walk.text(alias));
            walk.import(&module, imported, alias, part);
        }
    }
    true
}

/// Notes `module.exports = x` as `export default x`, `exports.f = x` and `module.exports = { x, f: y }` as `export { x, y as f }`.
pub(super) fn hand_on(walk: &mut Walk<'_>, left: Node<'_>, right: Node<'_>) {
    if !walk.is_top_scope() {
        return;
    }
    let (Some(object), Some(property)) = (field(left, "object"), field(left, "property")) else {
        return;
    };
    let is_whole = walk.is_text(left, "module.exports");
    if !is_whole && !walk.is_text(object, "exports") && !walk.is_text(object, "module.exports") {
        return;
    }
    let exported = if is_whole { "default".to_owned() } else { walk.text(property) };
    match right.kind() {
        "identifier" => hand_on_name(walk, right, Some(exported)),
        // The function is defined under the name that it is given to.
        _ if is_whole && is_function(right) => hand_on_name(walk, property, Some(exported)),
        "object" if is_whole => {
            let mut cursor = right.walk();
            for part in right.named_children(&mut cursor).take(NAMES_MAX).collect::<Vec<_>>() {
                match (part.kind(), field(part, "key"), field(part, "value")) {
                    ("shorthand_property_identifier", ..) => hand_on_name(walk, part, None),
                    ("pair", Some(key), Some(value)) if value.kind() == "identifier" => {
                        let key = (key.kind() == "property_identifier").then(|| walk.text(key));
                        if key.is_some() {
                            hand_on_name(walk, value, key);
                        }
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn hand_on_name(walk: &mut Walk<'_>, name: Node<'_>, exported: Option<String>) {
    let imported = Imported::Name(walk.text(name));
    walk.import_as("", imported, exported, name, true, false);
}
