//! Go: functions, methods with receivers, types, package variables, calls, imports.

mod values;

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
                values::result(walk, symbol_idx, node);
                walk.enter_symbol(symbol_idx);
            }
        }
        "field_declaration" => values::fields(walk, node),
        "type_elem" => values::embedded(walk, node),
        "const_spec" => variables(walk, node, SymbolKind::Constant),
        "var_spec" => variables(walk, node, SymbolKind::Variable),
        "block"
        | "if_statement"
        | "for_statement"
        | "expression_case"
        | "default_case"
        | "communication_case"
        | "expression_switch_statement" => walk.enter_block(),
        "short_var_declaration" | "receive_statement" => values::short_variables(walk, node),
        "range_clause" => values::range(walk, node),
        "type_switch_statement" => {
            walk.enter_block();
            values::type_switch(walk, node);
        }
        "type_case" => {
            walk.enter_block();
            values::type_case(walk, node);
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
    values::result(walk, symbol_idx, node);
    walk.enter_symbol(symbol_idx);
    walk.enter_scope_of(symbol_idx);
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
    values::result(walk, symbol_idx, node);
    walk.enter_symbol(symbol_idx);
    walk.enter_scope_of(symbol_idx);
    let name = receiver.and_then(|receiver| field(receiver, "name"));
    if let (Some(name), Some(ty)) = (name, receiver.and_then(|it| field(it, "type"))) {
        let ty = walk.declared(ty);
        walk.bind_as(name, ty);
        walk.here.receiver = Some((Rc::from(walk.text(name)), walk.here.scope));
    }
}

/// Binds parameters and named results.
fn bind_signature(walk: &mut Walk<'_>, node: Node<'_>) {
    for part in ["parameters", "result"] {
        let Some(list) = field(node, part) else { continue };
        if list.kind() == "parameter_list" {
            values::parameters(walk, list);
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
    if let (SymbolKind::Type, Some(ty)) = (kind, ty) {
        let ty = walk.declared(ty);
        // A type that is not only another name for one has none of its methods.
        walk.fact(symbol_idx, if node.kind() == "type_alias" { "" } else { "=" }, ty);
    }
    walk.enter_symbol(symbol_idx);
}

/// Package variables are symbols; inside a function they are local names.
fn variables(walk: &mut Walk<'_>, node: Node<'_>, kind: SymbolKind) {
    let names = values::all(node, "name");
    let mut first = None;
    for (at, name) in names.iter().enumerate() {
        let value = values::variable(walk, node, at, names.len());
        if !walk.is_top_scope() {
            if let Some(name) = walk.str(*name) {
                walk.bind_after(name, value);
            }
        } else if !walk.is_text(*name, "_") {
            let symbol_idx = walk.define(kind, *name, node, None);
            walk.fact(symbol_idx, "", value);
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
    let Some(operand) = qualifier else {
        return walk.call(name, Qualifier::Bare, CallForm::Function);
    };
    let qualifier = match &walk.here.owner {
        Some(owner) if values::is_receiver(walk, operand) => Qualifier::Own(owner.to_string()),
        _ => walk.receiver(operand),
    };
    let receiver = values::expression(walk, operand);
    walk.call_on(name, qualifier, CallForm::Function, receiver);
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
