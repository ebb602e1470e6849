//! Go: functions, methods with receivers, types, package variables, calls, imports.

use std::rc::Rc;

use tree_sitter::Node;

use crate::{
    CallForm, Imported, Qualifier, SymbolKind,
    walk::{Walk, field},
};

/// Notes what `node` is; returns whether its children are to be visited.
pub(crate) fn enter(walk: &mut Walk<'_>, node: Node<'_>) -> bool {
    match node.kind() {
        "function_declaration" => function(walk, node),
        "method_declaration" => {
            method(walk, node);
            bind_signature(walk, node);
        }
        "func_literal" => {
            walk.enter_function_scope();
            bind_signature(walk, node);
        }
        "type_spec" | "type_alias" => type_spec(walk, node),
        "method_elem" | "method_spec" => {
            if let Some(name) = field(node, "name") {
                let symbol_idx = walk.define(SymbolKind::Method, name, node, None);
                walk.enter_symbol(symbol_idx);
            }
        }
        "const_spec" => variables(walk, node, SymbolKind::Constant),
        "var_spec" => variables(walk, node, SymbolKind::Variable),
        "short_var_declaration" | "range_clause" | "receive_statement" => {
            if let Some(left) = field(node, "left") {
                walk.bind(left);
            }
        }
        "type_switch_statement" => {
            if let Some(alias) = field(node, "alias") {
                walk.bind(alias);
            }
        }
        "call_expression" => {
            if let Some(function) = field(node, "function") {
                call(walk, function);
            }
        }
        // `f[T](x)` reads like the conversion to a generic type.
        "type_conversion_expression" => {
            if let Some(ty) = field(node, "type")
                && ty.kind() == "generic_type"
            {
                call(walk, ty);
            }
        }
        "import_spec" => import(walk, node),
        "comment" => return false,
        _ => {}
    }
    true
}

fn function(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(name) = field(node, "name") else { return };
    let end = field(node, "body").map(|body| body.start_byte());
    let symbol_idx = walk.define(SymbolKind::Function, name, node, end);
    walk.enter_symbol(symbol_idx);
    walk.enter_function_scope();
    bind_signature(walk, node);
}

fn method(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(name) = field(node, "name") else { return };
    let receiver = field(node, "receiver").and_then(|list| list.named_child(0));
    let type_name = receiver.and_then(|receiver| base_type(walk, field(receiver, "type")?));
    if let Some(type_name) = type_name {
        walk.enter_container(&type_name);
        walk.own_container();
    }
    let end = field(node, "body").map(|body| body.start_byte());
    let symbol_idx = walk.define(SymbolKind::Method, name, node, end);
    walk.enter_symbol(symbol_idx);
    walk.enter_function_scope();
    let receiver_name = receiver.and_then(|receiver| field(receiver, "name"));
    walk.here.receiver = receiver_name.map(|name| Rc::from(walk.text(name)));
}

/// Binds parameters and named results; the receiver stays free, it means the own type.
fn bind_signature(walk: &mut Walk<'_>, node: Node<'_>) {
    for part in ["parameters", "result"] {
        let Some(list) = field(node, part) else { continue };
        if list.kind() == "parameter_list" {
            walk.bind(list);
        }
    }
}

/// Returns the name of a receiver's type without pointer and parameters.
fn base_type(walk: &Walk<'_>, node: Node<'_>) -> Option<String> {
    let mut node = node;
    for _ in 0..8 {
        node = match node.kind() {
            "pointer_type" | "parenthesized_type" => node.named_child(0)?,
            "generic_type" => field(node, "type")?,
            _ => return Some(walk.text(node)),
        };
    }
    None
}

fn type_spec(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(name) = field(node, "name") else { return };
    let ty = field(node, "type");
    let kind = match ty.map(|ty| ty.kind()) {
        Some("struct_type") => SymbolKind::Struct,
        Some("interface_type") => SymbolKind::Interface,
        _ => SymbolKind::Type,
    };
    let end = match kind {
        SymbolKind::Type => None,
        _ => ty.map(|ty| ty.start_byte()),
    };
    let symbol_idx = walk.define(kind, name, node, end);
    walk.enter_symbol(symbol_idx);
}

/// Package variables are symbols; inside a function they are local names.
fn variables(walk: &mut Walk<'_>, node: Node<'_>, kind: SymbolKind) {
    let mut cursor = node.walk();
    let names: Vec<_> =
        node.children_by_field_name("name", &mut cursor).filter(|name| name.is_named()).collect();
    let mut first = None;
    for name in names {
        if !walk.is_top_scope() {
            walk.bind(name);
        } else if !walk.is_text(name, "_") {
            let symbol_idx = walk.define(kind, name, node, None);
            first = first.or(symbol_idx);
        }
    }
    if first.is_some() {
        walk.enter_symbol(first);
    }
}

fn call(walk: &mut Walk<'_>, function: Node<'_>) {
    let mut function = function;
    for _ in 0..4 {
        let inner = match function.kind() {
            "index_expression" => field(function, "operand"),
            "generic_type" | "type_instantiation_expression" => field(function, "type"),
            "parenthesized_expression" => function.named_child(0),
            _ => break,
        };
        let Some(inner) = inner else { return };
        function = inner;
    }
    let (qualifier, name) = match function.kind() {
        "identifier" | "type_identifier" => (None, Some(function)),
        "selector_expression" => (field(function, "operand"), field(function, "field")),
        "qualified_type" => (field(function, "package"), field(function, "name")),
        _ => return,
    };
    let Some(name) = name else { return };
    let qualifier = match qualifier {
        None => Qualifier::Bare,
        Some(operand) => match (&walk.here.receiver, &walk.here.owner) {
            (Some(receiver), Some(owner)) if walk.is_text(operand, receiver) => {
                Qualifier::Own(owner.to_string())
            }
            _ => walk.receiver(operand),
        },
    };
    walk.call(name, qualifier, CallForm::Function);
}

fn import(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(path) = field(node, "path") else { return };
    let path = walk.text(path);
    let module = path.trim_matches(['"', '`']);
    match field(node, "name") {
        Some(name) if name.kind() == "dot" => walk.import(module, Imported::Glob, None, node),
        name => {
            let alias = name.map(|name| walk.text(name));
            walk.import(module, Imported::Module, alias, node);
        }
    }
}
