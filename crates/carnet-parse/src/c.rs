//! C and C++: functions, methods, types, macros, variables, calls, includes.
//!
//! One extractor, because the grammar of C++ extends that of C. What is declared and not defined (a prototype, `extern`)
//! is no symbol; a method that has no body because it is pure is one.

use tree_sitter::Node;

use crate::{
    CallForm, Imported, Qualifier, SymbolKind, Visibility, bases,
    walk::{Walk, field},
};

/// Most declarators around a name that are looked through, such as those of a pointer to a function.
const DECLARATORS_MAX: usize = 16;

/// Notes what `node` is; returns whether its children are to be visited.
pub(crate) fn enter(walk: &mut Walk<'_>, node: Node<'_>) -> bool {
    match node.kind() {
        "function_definition" => function(walk, node),
        "class_specifier" => define_type(walk, node, SymbolKind::Class),
        "struct_specifier" => define_type(walk, node, SymbolKind::Struct),
        "union_specifier" => define_type(walk, node, SymbolKind::Union),
        "enum_specifier" => define_type(walk, node, SymbolKind::Enum),
        "enumerator" => named(walk, node, SymbolKind::Variant),
        "alias_declaration" | "concept_definition" => named(walk, node, SymbolKind::Type),
        "namespace_definition" => namespace(walk, node),
        "type_definition" => {
            for name in declared(node) {
                if walk.is_top_scope() {
                    walk.define(SymbolKind::Type, name, node, None);
                }
            }
        }
        "preproc_def" | "preproc_function_def" => {
            macro_definition(walk, node);
            return false;
        }
        "preproc_ifdef" if walk.guard.is_none() => {
            walk.guard = field(node, "name").map(|name| walk.text(name));
        }
        "access_specifier" => {
            let is_public = walk.is_text(node, "public");
            let is_private = walk.is_text(node, "private");
            walk.here.access = Some(match (is_public, is_private) {
                (true, _) => Visibility::Public,
                (_, true) => Visibility::Private,
                _ => Visibility::Restricted,
            });
        }
        "declaration" => variables(walk, node),
        "field_declaration" => pure_method(walk, node),
        "parameter_declaration" | "optional_parameter_declaration" | "for_range_loop" => {
            if let Some(declarator) = field(node, "declarator") {
                walk.bind(declarator);
            }
        }
        "lambda_expression" => walk.enter_function_scope(),
        "call_expression" => {
            if let Some(function) = field(node, "function") {
                call(walk, function, CallForm::Function);
            }
        }
        "new_expression" => {
            if let Some(ty) = field(node, "type") {
                call(walk, ty, CallForm::Construct);
            }
        }
        "preproc_include" => include(walk, node),
        "comment" => return false,
        _ => {}
    }
    true
}

fn function(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(name) = declared(node).first().copied() else { return };
    let (scope, name) = split_scope(walk, name);
    let container = &*walk.here.container;
    let is_inside = !container.is_empty() && walk.here.owner.as_deref() == Some(container);
    let is_method = scope.is_some() || is_inside;
    if let Some(scope) = scope {
        walk.enter_container(&scope);
        walk.own_container();
    }
    let kind = if is_method { SymbolKind::Method } else { SymbolKind::Function };
    let end = field(node, "body").map(|body| body.start_byte());
    // `TEST(Suite, name) { … }` is what a macro makes of it, and nothing by that name.
    let is_macro = field(node, "type").is_none() && is_shouted(&walk.text(name));
    let symbol_idx = if is_macro { None } else { walk.define(kind, name, node, end) };
    walk.enter_symbol(symbol_idx);
    walk.enter_function_scope();
}

fn is_shouted(name: &str) -> bool {
    name.chars().any(char::is_uppercase) && !name.chars().any(char::is_lowercase)
}

/// Returns the names that a declaration declares, without pointers, arrays, parameters and values.
fn declared<'t>(node: Node<'t>) -> Vec<Node<'t>> {
    let mut cursor = node.walk();
    let declarators: Vec<_> =
        node.children_by_field_name("declarator", &mut cursor).take(64).collect();
    declarators.into_iter().filter_map(name_of).collect()
}

fn name_of(declarator: Node<'_>) -> Option<Node<'_>> {
    let mut node = declarator;
    for _ in 0..DECLARATORS_MAX {
        match node.kind() {
            "identifier"
            | "field_identifier"
            | "type_identifier"
            | "qualified_identifier"
            | "destructor_name"
            | "operator_name"
            | "template_function" => return Some(node),
            _ => node = field(node, "declarator").or_else(|| node.named_child(0))?,
        }
    }
    None
}

/// Tells whether a declarator declares a function, and no pointer to one.
fn is_function(declarator: Node<'_>) -> bool {
    let mut node = declarator;
    for _ in 0..DECLARATORS_MAX {
        match node.kind() {
            "function_declarator" => {
                let inner = field(node, "declarator").map(|it| it.kind());
                return inner != Some("parenthesized_declarator");
            }
            "pointer_declarator" | "reference_declarator" | "attributed_declarator" => {
                match field(node, "declarator").or_else(|| node.named_child(0)) {
                    Some(inner) => node = inner,
                    None => return false,
                }
            }
            _ => return false,
        }
    }
    false
}

/// Splits `a::b::f` into `a.b` and `f`.
fn split_scope<'t>(walk: &Walk<'_>, name: Node<'t>) -> (Option<String>, Node<'t>) {
    let (mut scope, mut name) = (String::new(), name);
    for _ in 0..DECLARATORS_MAX {
        match name.kind() {
            "template_function" => match field(name, "name") {
                Some(inner) => name = inner,
                None => break,
            },
            "qualified_identifier" => {
                let Some(inner) = field(name, "name") else { break };
                let outer = field(name, "scope");
                let outer = outer.map(|it| match it.kind() {
                    "template_type" => field(it, "name").unwrap_or(it),
                    _ => it,
                });
                if let Some(outer) = outer {
                    scope = if scope.is_empty() { scope } else { scope + "." };
                    scope += &walk.text(outer);
                }
                name = inner;
            }
            _ => break,
        }
    }
    ((!scope.is_empty()).then_some(scope), name)
}

/// A type is defined where its body stands; `struct s *p` names one that is defined elsewhere.
fn define_type(walk: &mut Walk<'_>, node: Node<'_>, kind: SymbolKind) {
    let (Some(body), Some(name)) = (field(node, "body"), field(node, "name")) else { return };
    let name = match name.kind() {
        "template_type" => field(name, "name").unwrap_or(name),
        _ => name,
    };
    let (scope, name) = split_scope(walk, name);
    if let Some(scope) = scope {
        walk.enter_container(&scope);
    }
    let symbol_idx = walk.define(kind, name, node, Some(body.start_byte()));
    walk.enter_symbol(symbol_idx);
    walk.own_container();
    walk.here.access = match kind {
        SymbolKind::Class => Some(Visibility::Private),
        _ => Some(Visibility::Public),
    };
    bases::of_definition(walk, symbol_idx, node);
}

fn named(walk: &mut Walk<'_>, node: Node<'_>, kind: SymbolKind) {
    if let Some(name) = field(node, "name") {
        let symbol_idx = walk.define(kind, name, node, None);
        walk.enter_symbol(symbol_idx);
    }
}

fn namespace(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(name) = field(node, "name") else { return };
    let end = field(node, "body").map(|body| body.start_byte());
    if name.kind() == "nested_namespace_specifier" {
        let path = walk.text(name).replace("::", ".");
        return walk.enter_container(&path);
    }
    let symbol_idx = walk.define(SymbolKind::Module, name, node, end);
    walk.enter_symbol(symbol_idx);
}

/// A macro, unless it only says that its header was read.
fn macro_definition(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(name) = field(node, "name") else { return };
    if field(node, "value").is_none() && walk.guard.as_deref() == Some(&*walk.text(name)) {
        return;
    }
    let end = field(node, "parameters").map_or(name.end_byte(), |it| it.end_byte());
    walk.define(SymbolKind::Macro, name, node, Some(end));
}

/// Variables outside functions are symbols where they are defined; inside a function they are local names.
fn variables(walk: &mut Walk<'_>, node: Node<'_>) {
    let mut cursor = node.walk();
    let is_extern = node
        .children(&mut cursor)
        .any(|it| it.kind() == "storage_class_specifier" && walk.is_text(it, "extern"));
    let mut cursor = node.walk();
    let declarators: Vec<_> =
        node.children_by_field_name("declarator", &mut cursor).take(64).collect();
    let mut first = None;
    for declarator in declarators {
        let has_value = declarator.kind() == "init_declarator";
        if is_function(declarator) {
            continue;
        }
        let Some(name) = name_of(declarator) else { continue };
        if !walk.is_top_scope() {
            walk.bind(name);
        } else if has_value || !is_extern {
            let name = split_scope(walk, name).1;
            let symbol_idx = walk.define(SymbolKind::Variable, name, node, None);
            first = first.or(symbol_idx);
        }
    }
    if first.is_some() {
        walk.enter_symbol(first);
    }
}

/// `virtual void f() = 0;`
fn pure_method(walk: &mut Walk<'_>, node: Node<'_>) {
    let is_pure = field(node, "default_value").is_some_and(|value| walk.is_text(value, "0"));
    let declarator = field(node, "declarator").filter(|it| is_function(*it));
    if let (true, Some(name)) = (is_pure, declarator.and_then(name_of)) {
        let symbol_idx = walk.define(SymbolKind::Method, name, node, None);
        walk.enter_symbol(symbol_idx);
    }
}

fn call(walk: &mut Walk<'_>, callee: Node<'_>, form: CallForm) {
    match callee.kind() {
        "identifier" | "type_identifier" => walk.call(callee, Qualifier::Bare, form),
        "template_function" | "template_type" => {
            if let Some(name) = field(callee, "name") {
                walk.call(name, Qualifier::Bare, form);
            }
        }
        "qualified_identifier" => {
            let (scope, name) = split_scope(walk, callee);
            let qualifier = scope.map_or(Qualifier::Bare, Qualifier::Path);
            walk.call(name, qualifier, form);
        }
        "field_expression" => {
            let (Some(value), Some(name)) = (field(callee, "argument"), field(callee, "field"))
            else {
                return;
            };
            let name = match name.kind() {
                "template_method" => field(name, "name").unwrap_or(name),
                _ => name,
            };
            let qualifier = match (value.kind(), walk.here.owner.clone()) {
                ("this", Some(owner)) => Qualifier::Own(owner.to_string()),
                // A value never names a namespace or type, however plain its text.
                _ => match walk.receiver(value) {
                    Qualifier::Path(text) => Qualifier::Value(text),
                    other => other,
                },
            };
            walk.call(name, qualifier, form);
        }
        _ => {}
    }
}

/// `#include "a/b.h"` is `a/b.h`; `#include <stdio.h>` is `<stdio.h>`.
fn include(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(path) = field(node, "path") else { return };
    let path = walk.text(path);
    walk.import(path.trim_matches('"'), Imported::Glob, None, node);
}
