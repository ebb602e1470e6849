//! Java: types, methods, constructors, fields, calls, imports.

use tree_sitter::Node;

use crate::{
    CallForm, Imported, Qualifier, SymbolKind, bases,
    walk::{Walk, field},
};

/// Notes what `node` is; returns whether its children are to be visited.
pub(crate) fn enter(walk: &mut Walk<'_>, node: Node<'_>) -> bool {
    match node.kind() {
        "class_declaration" | "record_declaration" => define_type(walk, node, SymbolKind::Class),
        "interface_declaration" | "annotation_type_declaration" => {
            define_type(walk, node, SymbolKind::Interface);
        }
        "enum_declaration" => define_type(walk, node, SymbolKind::Enum),
        "enum_constant" => {
            if let Some(name) = field(node, "name") {
                let symbol_idx = walk.define(SymbolKind::Variant, name, node, None);
                walk.enter_symbol(symbol_idx);
                walk.here.owner = None;
            }
        }
        "method_declaration"
        | "constructor_declaration"
        | "compact_constructor_declaration"
        | "annotation_type_element_declaration" => method(walk, node),
        "class_body" => anonymous_body(walk, node),
        "field_declaration" | "constant_declaration" => fields(walk, node),
        "lambda_expression" => {
            walk.enter_function_scope();
            if let Some(parameters) = field(node, "parameters") {
                walk.bind(parameters);
            }
        }
        "formal_parameter"
        | "catch_formal_parameter"
        | "resource"
        | "enhanced_for_statement"
        | "instanceof_expression" => {
            if let Some(name) = field(node, "name") {
                walk.bind(name);
            }
        }
        "type_pattern" | "record_pattern_component" | "spread_parameter" => {
            let mut cursor = node.walk();
            let names: Vec<_> = node.named_children(&mut cursor).take(8).collect();
            names.into_iter().filter(|it| it.kind() == "identifier").for_each(|it| walk.bind(it));
        }
        "variable_declarator" if !walk.is_top_scope() => {
            if let Some(name) = field(node, "name") {
                walk.bind(name);
            }
        }
        "method_invocation" => invocation(walk, node),
        "object_creation_expression" => {
            if let Some(ty) = field(node, "type") {
                construct(walk, ty);
            }
            let mut cursor = node.walk();
            let body = node.named_children(&mut cursor).find(|it| it.kind() == "class_body");
            walk.anonymous_bodies.extend(body.map(|body| body.start_byte()));
        }
        "import_declaration" => {
            import(walk, node);
            return false;
        }
        "line_comment" | "block_comment" | "package_declaration" => return false,
        _ => {}
    }
    true
}

fn define_type(walk: &mut Walk<'_>, node: Node<'_>, kind: SymbolKind) {
    let Some(name) = field(node, "name") else { return };
    let end = field(node, "body").map(|body| body.start_byte());
    let symbol_idx = walk.define(kind, name, node, end);
    walk.enter_symbol(symbol_idx);
    walk.own_container();
    bases::of_definition(walk, symbol_idx, node);
}

fn method(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(name) = field(node, "name") else { return };
    let end = field(node, "body").map(|body| body.start_byte());
    let symbol_idx = walk.define(SymbolKind::Method, name, node, end);
    walk.enter_symbol(symbol_idx);
    walk.enter_function_scope();
}

/// The body of a class without a name: what is called bare in it may be its own, or of the classes around.
fn anonymous_body(walk: &mut Walk<'_>, node: Node<'_>) {
    if walk.anonymous_bodies.last() == Some(&node.start_byte()) {
        walk.anonymous_bodies.pop();
        walk.enter_function_scope();
        walk.here.owner = None;
    }
}

/// Fields are symbols where they stand in a type outside every method.
fn fields(walk: &mut Walk<'_>, node: Node<'_>) {
    if !walk.is_top_scope() {
        return;
    }
    let is_constant = node.kind() == "constant_declaration" || is_static_final(walk, node);
    let kind = if is_constant { SymbolKind::Constant } else { SymbolKind::Variable };
    let mut cursor = node.walk();
    let declarators: Vec<_> = node.children_by_field_name("declarator", &mut cursor).collect();
    let mut first = None;
    for declarator in declarators {
        if let Some(name) = field(declarator, "name") {
            let symbol_idx = walk.define(kind, name, node, None);
            first = first.or(symbol_idx);
        }
    }
    walk.enter_symbol(first);
}

fn is_static_final(walk: &Walk<'_>, node: Node<'_>) -> bool {
    let Some(modifiers) = node.named_child(0).filter(|it| it.kind() == "modifiers") else {
        return false;
    };
    let text = walk.text(modifiers);
    ["static", "final"].iter().all(|word| text.split_whitespace().any(|it| it == *word))
}

/// `f()` means a method of the type around it; what a method of a type without a name means is open.
fn invocation(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(name) = field(node, "name") else { return };
    let own = walk.here.owner.as_deref().map(str::to_owned);
    let qualifier = match (field(node, "object"), own) {
        (None, Some(owner)) => Qualifier::Own(owner),
        (None, None) => Qualifier::Bare,
        (Some(object), Some(owner)) if object.kind() == "this" => Qualifier::Own(owner),
        (Some(object), _) => walk.receiver(object),
    };
    walk.call(name, qualifier, CallForm::Function);
}

fn construct(walk: &mut Walk<'_>, ty: Node<'_>) {
    let ty = match ty.kind() {
        "generic_type" => ty.named_child(0).unwrap_or(ty),
        _ => ty,
    };
    if ty.kind() != "scoped_type_identifier" {
        return walk.call(ty, Qualifier::Bare, CallForm::Construct);
    }
    let n = ty.named_child_count();
    let last = u32::try_from(n).ok().and_then(|n| ty.named_child(n.checked_sub(1)?));
    if let (Some(scope), Some(name)) = (ty.named_child(0), last) {
        walk.call(name, walk.receiver(scope), CallForm::Construct);
    }
}

/// `import a.b.C;`, `import a.b.*;`, `import static a.b.C.f;`.
fn import(walk: &mut Walk<'_>, node: Node<'_>) {
    let mut cursor = node.walk();
    let children: Vec<_> = node.children(&mut cursor).collect();
    let path = children.iter().find(|it| matches!(it.kind(), "scoped_identifier" | "identifier"));
    let Some(path) = path.map(|path| walk.text(*path)) else { return };
    if children.iter().any(|it| it.kind() == "asterisk") {
        return walk.import(&path, Imported::Glob, None, node);
    }
    if let Some((module, name)) = path.rsplit_once('.') {
        walk.import(module, Imported::Name(name.to_owned()), None, node);
    }
}
