//! Python: functions, classes, decorators, module and class variables, calls, imports.

use tree_sitter::Node;

use crate::{
    CallForm, Imported, Qualifier, SymbolKind, bases,
    walk::{Walk, field},
};

/// Notes what `node` is; returns whether its children are to be visited.
pub(crate) fn enter(walk: &mut Walk<'_>, node: Node<'_>) -> bool {
    match node.kind() {
        "function_definition" => function(walk, node),
        "class_definition" => class(walk, node),
        "assignment" => assignment(walk, node),
        "type_alias_statement" => {
            if let Some(name) = field(node, "left").and_then(first_identifier) {
                let symbol_idx = walk.define(SymbolKind::Type, name, node, None);
                walk.enter_symbol(symbol_idx);
            }
        }
        "lambda" => {
            walk.enter_function_scope();
            if let Some(parameters) = field(node, "parameters") {
                walk.bind(parameters);
            }
        }
        "list_comprehension"
        | "set_comprehension"
        | "dictionary_comprehension"
        | "generator_expression" => walk.enter_function_scope(),
        "for_statement" | "for_in_clause" => bind_targets(walk, field(node, "left")),
        "named_expression" => bind_targets(walk, field(node, "name")),
        "as_pattern_target" => walk.bind(node),
        "case_pattern" => walk.bind(node),
        "decorator" => decorator(walk, node),
        "call" => {
            if let Some(function) = field(node, "function") {
                call(walk, function, CallForm::Function);
            }
        }
        "import_statement" => import(walk, node),
        "import_from_statement" => import_from(walk, node),
        "comment" => return false,
        _ => {}
    }
    true
}

fn function(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(name) = field(node, "name") else { return };
    let is_method = walk.enclosing_kind() == Some(SymbolKind::Class);
    let kind = if is_method { SymbolKind::Method } else { SymbolKind::Function };
    let end = field(node, "body").map(|body| body.start_byte());
    let symbol_idx = walk.define(kind, name, node, end);
    docstring(walk, symbol_idx, node);
    walk.enter_symbol(symbol_idx);
    walk.enter_function_scope();
    if let Some(parameters) = field(node, "parameters") {
        walk.bind(parameters);
    }
}

fn class(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(name) = field(node, "name") else { return };
    let end = field(node, "body").map(|body| body.start_byte());
    let symbol_idx = walk.define(SymbolKind::Class, name, node, end);
    docstring(walk, symbol_idx, node);
    walk.enter_symbol(symbol_idx);
    walk.own_container();
    bases::of_definition(walk, symbol_idx, node);
}

/// The string that a body begins with says what its definition is for.
fn docstring(walk: &mut Walk<'_>, symbol_idx: Option<u32>, node: Node<'_>) {
    let first = field(node, "body").and_then(|body| body.named_child(0));
    let string = first.filter(|it| it.kind() == "expression_statement");
    let string = string.and_then(|it| it.named_child(0)).filter(|it| it.kind() == "string");
    if let Some(string) = string {
        walk.set_doc(symbol_idx, string);
    }
}

/// A variable at the top or of a class is a symbol; inside a function it is a local name.
fn assignment(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(left) = field(node, "left") else { return };
    let is_member = walk.enclosing_kind() == Some(SymbolKind::Class);
    if left.kind() != "identifier" || !(walk.is_top_scope() || is_member) {
        return bind_targets(walk, Some(left));
    }
    let name = walk.text(left);
    let is_constant = name.chars().any(char::is_uppercase) && !name.chars().any(char::is_lowercase);
    let kind = if is_constant { SymbolKind::Constant } else { SymbolKind::Variable };
    let symbol_idx = walk.define(kind, left, node, None);
    walk.enter_symbol(symbol_idx);
}

/// Binds the names that an assignment's target introduces; `a.b` and `a[0]` introduce none.
fn bind_targets(walk: &mut Walk<'_>, target: Option<Node<'_>>) {
    let Some(target) = target else { return };
    match target.kind() {
        "identifier" => walk.bind(target),
        "pattern_list" | "tuple_pattern" | "list_pattern" | "list_splat_pattern" => {
            let mut cursor = target.walk();
            let parts = target.named_children(&mut cursor).take(256);
            for part in parts.collect::<Vec<_>>() {
                if !matches!(part.kind(), "attribute" | "subscript") {
                    walk.bind(part);
                }
            }
        }
        _ => {}
    }
}

fn first_identifier(node: Node<'_>) -> Option<Node<'_>> {
    let mut node = node;
    for _ in 0..4 {
        if node.kind() == "identifier" {
            return Some(node);
        }
        node = node.named_child(0)?;
    }
    None
}

fn decorator(walk: &mut Walk<'_>, node: Node<'_>) {
    if let Some(expression) = node.named_child(0)
        && matches!(expression.kind(), "identifier" | "attribute")
    {
        call(walk, expression, CallForm::Decorator);
    }
}

fn call(walk: &mut Walk<'_>, function: Node<'_>, form: CallForm) {
    match function.kind() {
        "identifier" => walk.call(function, Qualifier::Bare, form),
        "attribute" => {
            let (Some(object), Some(name)) =
                (field(function, "object"), field(function, "attribute"))
            else {
                return;
            };
            let is_own = walk.is_text(object, "self") || walk.is_text(object, "cls");
            let qualifier = match walk.here.owner.clone() {
                Some(owner) if is_own => Qualifier::Own(owner.to_string()),
                _ => walk.receiver(object),
            };
            walk.call(name, qualifier, form);
        }
        _ => {}
    }
}

fn import(walk: &mut Walk<'_>, node: Node<'_>) {
    let mut cursor = node.walk();
    for part in node.children_by_field_name("name", &mut cursor).collect::<Vec<_>>() {
        let (module, alias) = name_and_alias(walk, part);
        walk.import(&module, Imported::Module, alias, part);
    }
}

fn import_from(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(module) = field(node, "module_name").map(|module| walk.text(module)) else { return };
    let mut cursor = node.walk();
    for part in node.children_by_field_name("name", &mut cursor).collect::<Vec<_>>() {
        let (name, alias) = name_and_alias(walk, part);
        walk.import(&module, Imported::Name(name), alias, part);
    }
    let mut cursor = node.walk();
    if let Some(glob) = node.children(&mut cursor).find(|child| child.kind() == "wildcard_import") {
        walk.import(&module, Imported::Glob, None, glob);
    }
}

fn name_and_alias(walk: &Walk<'_>, node: Node<'_>) -> (String, Option<String>) {
    match node.kind() {
        "aliased_import" => {
            let name = field(node, "name").map(|name| walk.text(name)).unwrap_or_default();
            (name, field(node, "alias").map(|alias| walk.text(alias)))
        }
        _ => (walk.text(node), None),
    }
}
