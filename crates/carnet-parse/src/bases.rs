//! What a type extends or implements, by name.

use tree_sitter::Node;

use crate::walk::{Walk, field};

/// Most supertypes taken from one definition.
const OF_ONE_MAX: usize = 256;
/// Most wrappers around a type's own name that are looked through.
const WRAPPERS_MAX: usize = 8;

/// The nodes that list supertypes, in all languages; `argument_list` is Python's.
const LISTS: [&str; 10] = [
    "argument_list",
    "class_heritage",
    "extends_clause",
    "implements_clause",
    "extends_type_clause",
    "superclass",
    "super_interfaces",
    "extends_interfaces",
    "base_class_clause",
    "trait_bounds",
];

/// Notes the supertypes that the definition `node` of `symbol_idx` names; the walk stands inside it.
pub(crate) fn of_definition(walk: &mut Walk<'_>, symbol_idx: Option<u32>, node: Node<'_>) {
    if symbol_idx.is_none() {
        return;
    }
    let subtype = walk.here.container.to_string();
    let mut cursor = node.walk();
    let children: Vec<_> = node.named_children(&mut cursor).take(16).collect();
    for child in children {
        if LISTS.contains(&child.kind()) {
            note_list(walk, &subtype, symbol_idx, child);
        }
    }
}

fn note_list(walk: &mut Walk<'_>, subtype: &str, symbol_idx: Option<u32>, list: Node<'_>) {
    let mut open = vec![list];
    for _ in 0..OF_ONE_MAX {
        let Some(list) = open.pop() else { return };
        let mut cursor = list.walk();
        let mut inner = vec![];
        for child in list.named_children(&mut cursor).take(OF_ONE_MAX).collect::<Vec<_>>() {
            match child.kind() {
                "extends_clause" | "implements_clause" | "type_list" => inner.push(child),
                "keyword_argument" | "access_specifier" | "type_arguments" | "lifetime"
                | "comment" => {}
                _ => note(walk, subtype.to_owned(), symbol_idx, child),
            }
        }
        open.extend(inner.into_iter().rev());
    }
}

/// Notes one supertype by its own name.
pub(crate) fn note(walk: &mut Walk<'_>, subtype: String, symbol: Option<u32>, ty: Node<'_>) {
    let (mut node, mut qualifier) = (ty, None);
    for _ in 0..WRAPPERS_MAX {
        let inner = match node.kind() {
            "identifier" | "type_identifier" | "property_identifier" => {
                return walk.base(subtype, symbol, node, qualifier);
            }
            "attribute" => {
                qualifier = field(node, "object");
                field(node, "attribute")
            }
            "member_expression" => {
                qualifier = field(node, "object");
                field(node, "property")
            }
            "subscript" => field(node, "value"),
            "generic_type" | "higher_ranked_trait_bound" => {
                field(node, "type").or_else(|| field(node, "name")).or(node.named_child(0))
            }
            "nested_type_identifier" => {
                qualifier = field(node, "module");
                field(node, "name")
            }
            "scoped_type_identifier" | "qualified_identifier" | "template_type" => {
                field(node, "name").or_else(|| last_child(node))
            }
            _ => None,
        };
        match inner {
            Some(inner) => node = inner,
            None => return,
        }
    }
}

fn last_child(node: Node<'_>) -> Option<Node<'_>> {
    node.named_child(u32::try_from(node.named_child_count()).ok()?.checked_sub(1)?)
}
