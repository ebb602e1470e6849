//! Rust: items, `impl` blocks, calls in all their forms, `use` trees.

mod values;

use tree_sitter::Node;

use crate::{
    CallForm, Imported, Qualifier, SymbolKind, Visibility, bases, rust_macros,
    walk::{Walk, field},
};

/// Most paths taken from one `use`.
const USE_PATHS_MAX: usize = 1_000;

/// Notes what `node` is; returns whether its children are to be visited.
pub(crate) fn enter(walk: &mut Walk<'_>, node: Node<'_>) -> bool {
    match node.kind() {
        "function_item" | "function_signature_item" => function(walk, node),
        "struct_item" => item(walk, node, SymbolKind::Struct),
        "union_item" => item(walk, node, SymbolKind::Union),
        "enum_item" => item(walk, node, SymbolKind::Enum),
        "enum_variant" => item(walk, node, SymbolKind::Variant),
        "type_item" | "associated_type" => item(walk, node, SymbolKind::Type),
        "const_item" => item(walk, node, SymbolKind::Constant),
        "static_item" => item(walk, node, SymbolKind::Variable),
        "mod_item" => item(walk, node, SymbolKind::Module),
        "macro_definition" => {
            item(walk, node, SymbolKind::Macro);
            rust_macros::note_rules(walk, node);
            return false;
        }
        "trait_item" => {
            item(walk, node, SymbolKind::Trait);
            walk.own_container();
            values::bounds(walk, node);
            bases::of_definition(walk, walk.here.enclosing, node);
        }
        "impl_item" => {
            if let Some(name) = field(node, "type").and_then(|ty| type_name(walk, ty)) {
                walk.enter_container(&name);
                walk.own_container();
                values::bounds(walk, node);
                if let Some(implemented) = field(node, "trait") {
                    walk.here.access = Some(Visibility::Public);
                    let subtype = walk.here.container.to_string();
                    bases::note(walk, subtype, None, implemented);
                }
            }
        }
        "closure_expression" => {
            walk.enter_function_scope();
            values::closure(walk, node);
        }
        "block" | "if_expression" | "while_expression" => walk.enter_block(),
        "for_expression" => {
            walk.enter_block();
            values::for_loop(walk, node);
        }
        "match_expression" => values::subject(walk, node),
        "match_arm" => {
            walk.enter_block();
            values::arm(walk, node);
        }
        "parameter" if !walk.is_top_scope() => values::parameter(walk, node),
        "let_declaration" => values::let_declaration(walk, node),
        "let_condition" => values::let_condition(walk, node),
        "field_declaration" => values::named_field(walk, node),
        "ordered_field_declaration_list" => values::placed_fields(walk, node),
        "call_expression" => {
            if let Some(function) = field(node, "function") {
                call(walk, function);
            }
        }
        "macro_invocation" => {
            rust_macros::invocation(walk, node);
            return false;
        }
        "use_declaration" => {
            use_declaration(walk, node);
            return false;
        }
        "extern_crate_declaration" => {
            if let Some(name) = field(node, "name") {
                let module = walk.text(name);
                let alias = field(node, "alias").map(|alias| walk.text(alias));
                walk.import(&module, Imported::Module, alias, node);
            }
        }
        "attribute_item" | "inner_attribute_item" | "line_comment" | "block_comment" => {
            return false;
        }
        _ => {}
    }
    true
}

fn function(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(name) = field(node, "name") else { return };
    let is_method = walk.here.owner.as_deref() == Some(&*walk.here.container);
    let kind = if is_method { SymbolKind::Method } else { SymbolKind::Function };
    let end = field(node, "body").map(|body| body.start_byte());
    let symbol_idx = walk.define(kind, name, node, end);
    walk.enter_symbol(symbol_idx);
    walk.enter_scope_of(symbol_idx);
    values::bounds(walk, node);
    values::result(walk, symbol_idx, node);
}

fn item(walk: &mut Walk<'_>, node: Node<'_>, kind: SymbolKind) {
    let Some(name) = field(node, "name") else { return };
    let body = field(node, "body").or_else(|| field(node, "value"));
    let end = match kind {
        SymbolKind::Macro => Some(name.end_byte()),
        _ => body.map(|body| body.start_byte()),
    };
    let symbol_idx = walk.define(kind, name, node, end);
    walk.enter_symbol(symbol_idx);
    values::bounds(walk, node);
    if matches!(kind, SymbolKind::Type | SymbolKind::Constant | SymbolKind::Variable) {
        values::typed(walk, symbol_idx, node);
    }
}

/// Returns the name of a type without its path and parameters.
fn type_name(walk: &Walk<'_>, node: Node<'_>) -> Option<String> {
    let mut node = node;
    for _ in 0..8 {
        node = match node.kind() {
            "generic_type" | "reference_type" | "pointer_type" => field(node, "type")?,
            "scoped_type_identifier" => field(node, "name")?,
            "dynamic_type" | "abstract_type" => field(node, "trait")?,
            _ => return Some(walk.text(node)),
        };
    }
    None
}

fn call(walk: &mut Walk<'_>, function: Node<'_>) {
    let function = match function.kind() {
        "generic_function" => match field(function, "function") {
            Some(inner) => inner,
            None => return,
        },
        _ => function,
    };
    match function.kind() {
        "identifier" => walk.call(function, Qualifier::Bare, CallForm::Function),
        "scoped_identifier" => {
            let Some(name) = field(function, "name") else { return };
            let qualifier = match field(function, "path") {
                Some(path) => path_qualifier(walk, path),
                None => Qualifier::Bare,
            };
            walk.call(name, qualifier, CallForm::Function);
        }
        "field_expression" => {
            let (Some(value), Some(name)) = (field(function, "value"), field(function, "field"))
            else {
                return;
            };
            if name.kind() != "field_identifier" {
                return; // A tuple's field: the callee has no name.
            }
            let qualifier = match (value.kind(), walk.here.owner.clone()) {
                ("self", Some(owner)) => Qualifier::Own(owner.to_string()),
                // A value never names a module or type, however plain its text.
                _ => match walk.receiver(value) {
                    Qualifier::Path(text) => Qualifier::Value(text),
                    other => other,
                },
            };
            let receiver = values::expression(walk, value);
            walk.call_on(name, qualifier, CallForm::Function, receiver);
        }
        _ => {}
    }
}

/// Returns the qualifier for a path such as `Self`, `a::b` or `Vec::<T>`.
pub(crate) fn path_qualifier(walk: &Walk<'_>, path: Node<'_>) -> Qualifier {
    if walk.is_text(path, "Self")
        && let Some(owner) = &walk.here.owner
    {
        return Qualifier::Own(owner.to_string());
    }
    let path = match path.kind() {
        "generic_type" | "generic_type_with_turbofish" => field(path, "type").unwrap_or(path),
        _ => path,
    };
    let text = walk.text(path);
    let is_plain = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '#')
    };
    let parts = text.strip_prefix("::").unwrap_or(&text);
    if parts.split("::").all(is_plain) { Qualifier::Path(text) } else { Qualifier::Value(text) }
}

/// Flattens a `use` tree with an explicit stack.
fn use_declaration(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(argument) = field(node, "argument") else { return };
    let is_reexport = {
        let mut cursor = node.walk();
        node.children(&mut cursor).any(|child| child.kind() == "visibility_modifier")
    };
    let mut open = vec![(String::new(), argument)];
    for _ in 0..USE_PATHS_MAX {
        let Some((prefix, node)) = open.pop() else { return };
        match node.kind() {
            "scoped_use_list" => {
                let path = field(node, "path").map(|path| walk.text(path)).unwrap_or_default();
                let prefix = join(&prefix, &path);
                if let Some(list) = field(node, "list") {
                    open.push((prefix, list));
                }
            }
            "use_list" => {
                let mut cursor = node.walk();
                let children: Vec<_> =
                    node.named_children(&mut cursor).take(USE_PATHS_MAX).collect();
                open.extend(children.into_iter().rev().map(|child| (prefix.clone(), child)));
            }
            "use_wildcard" => {
                let path = node.named_child(0).map(|path| walk.text(path)).unwrap_or_default();
                let module = join(&prefix, &path);
                walk.import_as(&module, Imported::Glob, None, node, is_reexport, true);
            }
            "use_as_clause" => {
                let Some(path) = field(node, "path") else { continue };
                let alias = field(node, "alias").map(|alias| walk.text(alias));
                use_path(walk, &join(&prefix, &walk.text(path)), alias, node, is_reexport);
            }
            "identifier" | "scoped_identifier" | "self" | "crate" | "super" => {
                use_path(walk, &join(&prefix, &walk.text(node)), None, node, is_reexport);
            }
            _ => {}
        }
    }
}

/// Notes `a::b::c` as the name `c` of module `a::b`; `a::b::self` as the name `b` of module `a`.
fn use_path(
    walk: &mut Walk<'_>,
    path: &str,
    alias: Option<String>,
    at: Node<'_>,
    is_reexport: bool,
) {
    let path = path.strip_suffix("::self").unwrap_or(path);
    match path.rsplit_once("::") {
        Some((module, name)) => {
            let imported = Imported::Name(name.to_owned());
            walk.import_as(module, imported, alias, at, is_reexport, true);
        }
        None => walk.import_as(path, Imported::Module, alias, at, is_reexport, true),
    }
}

fn join(prefix: &str, path: &str) -> String {
    match (prefix, path) {
        ("", path) => path.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, path) => format!("{prefix}::{path}"),
    }
}
