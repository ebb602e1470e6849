//! JavaScript and TypeScript, with JSX: one extractor, because the grammars share their node names.

use tree_sitter::Node;

mod common_js;
mod values;

use crate::{
    CallForm, Imported, Qualifier, SymbolKind, bases,
    locals::{Step, Value},
    walk::{Walk, field},
};
use values::{declared, expression, values};

/// Most parameters of one function, or names in one pattern, that are looked at.
const PARTS_MAX: usize = 256;

/// Notes what `node` is; returns whether its children are to be visited.
pub(crate) fn enter(walk: &mut Walk<'_>, node: Node<'_>) -> bool {
    match node.kind() {
        "function_declaration" | "generator_function_declaration" | "function_signature" => {
            define_function(walk, SymbolKind::Function, field(node, "name"), node, node);
        }
        "method_definition" | "method_signature" | "abstract_method_signature" => {
            method(walk, node)
        }
        "class_declaration" | "abstract_class_declaration" => {
            define_type(walk, SymbolKind::Class, node)
        }
        "class" if node.child_count() > 0 => define_type(walk, SymbolKind::Class, node),
        "property_signature" => property_signature(walk, node),
        "return_statement" => {
            let values = node.named_child(0).map(|it| values(walk, it)).unwrap_or_default();
            values.into_iter().for_each(|value| walk.returns(value));
            if let Some(function) = node.named_child(0).filter(|it| is_function(*it))
                && let Some(ty) = walk.returned_type()
            {
                walk.callbacks.insert(function.id(), ty);
            }
        }
        "call_signature" => {
            if let Some(parameters) = field(node, "parameters") {
                let interface = walk.here.enclosing;
                named_children(parameters)
                    .into_iter()
                    .for_each(|parameter| given(walk, interface, parameter));
            }
        }
        "interface_declaration" => define_type(walk, SymbolKind::Interface, node),
        "enum_declaration" => define_type(walk, SymbolKind::Enum, node),
        "type_alias_declaration" => define_type(walk, SymbolKind::Type, node),
        "internal_module" | "module" => namespace(walk, node),
        "enum_body" => variants(walk, node),
        "field_definition" | "public_field_definition" => class_field(walk, node),
        "variable_declarator" => declarator(walk, node),
        "assignment_expression" => assignment(walk, node),
        "pair" => pair(walk, node),
        // Entered already, under the name it is bound to.
        _ if walk.claimed == Some(node.id()) => {}
        "arrow_function" => {
            walk.enter_function_scope();
            bind_parameters(walk, node);
        }
        "function_expression" | "generator_function" => {
            walk.enter_function_scope();
            walk.here.owner = None;
            bind_parameters(walk, node);
        }
        "catch_clause" => {
            if let Some(parameter) = field(node, "parameter") {
                walk.bind(parameter);
            }
        }
        "for_in_statement" => {
            if let Some(left) = field(node, "left")
                && field(node, "kind").is_some()
            {
                let is_of = field(node, "operator").is_some_and(|it| walk.is_text(it, "of"));
                let each = field(node, "right").filter(|_| is_of);
                let each = each.and_then(|it| expression(walk, it)).map(|it| it.then(Step::Each));
                bind_pattern(walk, left, each);
            }
        }
        "call_expression" => {
            if let Some(function) = field(node, "function") {
                call(walk, function, CallForm::Function);
                callbacks(walk, node, function);
            }
        }
        "new_expression" => {
            if let Some(constructor) = field(node, "constructor") {
                call(walk, constructor, CallForm::Construct);
            }
        }
        "decorator" => {
            if let Some(expression) = node.named_child(0) {
                call(walk, expression, CallForm::Decorator);
            }
        }
        "jsx_opening_element" | "jsx_self_closing_element" => {
            if let Some(name) = field(node, "name") {
                element(walk, name);
            }
        }
        "import_statement" => import(walk, node),
        "export_statement" => export(walk, node),
        "comment" => return false,
        _ => {}
    }
    true
}

/// Notes a function and enters it. `whole` is what it is defined by, `function` holds parameters and body.
fn define_function(
    walk: &mut Walk<'_>,
    kind: SymbolKind,
    name: Option<Node<'_>>,
    whole: Node<'_>,
    function: Node<'_>,
) {
    let Some(name) = name else { return };
    let end = field(function, "body").map(|body| body.start_byte());
    let symbol_idx = walk.define(kind, name, whole, end);
    if kind == SymbolKind::Function {
        walk.bind_symbol(name, symbol_idx);
    }
    walk.enter_symbol(symbol_idx);
    walk.enter_scope_of(symbol_idx);
    if kind == SymbolKind::Function && !is_arrow(function) {
        walk.here.owner = None;
    }
    bind_parameters(walk, function);
    if let Some(parameters) = field(function, "parameters") {
        named_children(parameters)
            .into_iter()
            .for_each(|parameter| given(walk, symbol_idx, parameter));
    }
    if let Some(ty) = field(function, "return_type") {
        let ty = declared(walk, ty);
        if let Value::Declared(text) = &ty {
            walk.here.returned = Some(std::rc::Rc::from(text.as_str()));
        }
        walk.fact(symbol_idx, "", ty);
    }
    let body = field(function, "body").filter(|body| body.kind() != "statement_block");
    if let Some(body) = body.filter(|_| is_arrow(function)) {
        values(walk, body).into_iter().for_each(|value| walk.returns(value));
    }
    walk.claimed = Some(function.id());
}

fn is_arrow(node: Node<'_>) -> bool {
    node.kind() == "arrow_function"
}

fn is_function(node: Node<'_>) -> bool {
    matches!(node.kind(), "arrow_function" | "function_expression" | "generator_function")
}

fn named_children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).take(PARTS_MAX).collect()
}

/// Remembers of functions without a name what they are given to: that says what their parameters are.
fn callbacks(walk: &mut Walk<'_>, node: Node<'_>, function: Node<'_>) {
    let Some(arguments) = field(node, "arguments") else { return };
    let functions = named_children(arguments).into_iter().filter(|it| is_function(*it));
    let functions: Vec<_> = functions.collect();
    if functions.is_empty() {
        return;
    }
    let Some(callee) = expression(walk, function) else { return };
    for function in functions {
        walk.callbacks.insert(function.id(), callee.clone().then(Step::Callback));
    }
}

/// Notes what a parameter of a function is, if that may be a function.
fn given(walk: &mut Walk<'_>, symbol: Option<u32>, parameter: Node<'_>) {
    let Some(ty) = field(parameter, "type") else { return };
    let Value::Declared(ty) = declared(walk, ty) else { return };
    let ty = match ty.split_once('<') {
        Some((name, _)) if ty.ends_with('>') && !ty.contains("=>") => name.to_owned(),
        _ => ty,
    };
    if ty.contains("=>") || ty.starts_with(char::is_uppercase) {
        walk.fact(symbol, "&", Value::From(crate::locals::Expr::of_type(ty)));
    }
}

fn bind_parameters(walk: &mut Walk<'_>, function: Node<'_>) {
    let parameters = field(function, "parameters").or_else(|| field(function, "parameter"));
    let Some(parameters) = parameters else { return };
    if parameters.kind() != "formal_parameters" {
        return walk.bind(parameters);
    }
    let mut cursor = parameters.walk();
    let parameters: Vec<_> = parameters.named_children(&mut cursor).take(PARTS_MAX).collect();
    let callback = walk.callbacks.remove(&function.id());
    for (at, parameter) in parameters.into_iter().enumerate() {
        let name = field(parameter, "pattern").filter(|name| name.kind() == "identifier");
        let plain = name.or(Some(parameter).filter(|it| it.kind() == "identifier"));
        if let (Some(name), None, Some(callback)) = (plain, field(parameter, "type"), &callback) {
            let value = callback.clone().then(Step::Parameter(at as u8));
            walk.bind_as(name, Value::From(value));
            continue;
        }
        match (name, field(parameter, "type")) {
            (Some(name), Some(ty)) => {
                let ty = declared(walk, ty);
                walk.bind_as(name, ty);
                parameter_property(walk, parameter, name);
            }
            _ => walk.bind(parameter),
        }
    }
}

/// `constructor(private a: T)` declares a member too.
fn parameter_property(walk: &mut Walk<'_>, parameter: Node<'_>, name: Node<'_>) {
    let mut cursor = parameter.walk();
    let is_property = parameter
        .children(&mut cursor)
        .any(|child| matches!(child.kind(), "accessibility_modifier" | "readonly"));
    if let (true, Some(text), Some(ty)) = (is_property, walk.str(name), field(parameter, "type")) {
        let (class, ty) = (walk.here.owner_symbol, declared(walk, ty));
        walk.fact(class, text, ty);
    }
}

/// Binds the names of a pattern to the parts of what it is given.
fn bind_pattern<'s>(
    walk: &mut Walk<'s>,
    pattern: Node<'_>,
    given: Option<crate::locals::Expr<'s>>,
) {
    let Some(given) = given else { return walk.bind(pattern) };
    match pattern.kind() {
        "identifier" => walk.bind_as(pattern, Value::From(given)),
        "object_pattern" => {
            let mut cursor = pattern.walk();
            for part in pattern.named_children(&mut cursor).take(PARTS_MAX).collect::<Vec<_>>() {
                let (key, name) = match part.kind() {
                    "shorthand_property_identifier_pattern" => (Some(part), Some(part)),
                    "pair_pattern" => (field(part, "key"), field(part, "value")),
                    _ => (None, None),
                };
                let name =
                    name.filter(|it| it.kind() != "object_pattern" && it.kind() != "array_pattern");
                match (key.and_then(|key| walk.str(key)), name) {
                    (Some(key), Some(name)) => {
                        walk.bind_as(name, Value::From(given.clone().then(Step::Member(key))));
                    }
                    _ => walk.bind(part),
                }
            }
        }
        "array_pattern" => {
            let mut cursor = pattern.walk();
            for (at, part) in
                pattern.named_children(&mut cursor).take(PARTS_MAX).enumerate().collect::<Vec<_>>()
            {
                match part.kind() {
                    "identifier" => {
                        walk.bind_as(part, Value::From(given.clone().then(Step::Part(at as u8))))
                    }
                    _ => walk.bind(part),
                }
            }
        }
        _ => walk.bind(pattern),
    }
}

fn method(walk: &mut Walk<'_>, node: Node<'_>) {
    let (owner, class) = (walk.here.container.clone(), walk.here.enclosing);
    let mut cursor = node.walk();
    let is_getter = node.children(&mut cursor).take(4).any(|child| child.kind() == "get");
    define_function(walk, SymbolKind::Method, field(node, "name"), node, node);
    let Some(name) = field(node, "name") else { return };
    walk.here.owner = Some(owner);
    if let (true, Some(name)) = (is_getter, walk.str(name)) {
        let own = values::own_member(walk, name);
        walk.fact(class, name, own);
    }
}

/// `a: T` in an interface.
fn property_signature(walk: &mut Walk<'_>, node: Node<'_>) {
    let is_direct = walk.enclosing_kind() == Some(SymbolKind::Interface);
    let name = field(node, "name").and_then(|name| walk.str(name));
    if let (true, Some(name), Some(ty)) = (is_direct, name, field(node, "type")) {
        let (interface, ty) = (walk.here.enclosing, declared(walk, ty));
        walk.fact(interface, name, ty);
    }
}

fn define_type(walk: &mut Walk<'_>, kind: SymbolKind, node: Node<'_>) {
    let Some(name) = field(node, "name") else { return };
    let end = match kind {
        SymbolKind::Type => None,
        _ => field(node, "body").map(|body| body.start_byte()),
    };
    let symbol_idx = walk.define(kind, name, node, end);
    if kind == SymbolKind::Class {
        walk.bind_symbol(name, symbol_idx);
    }
    walk.enter_symbol(symbol_idx);
    walk.own_container();
    if let Some(value) = field(node, "value").filter(|_| kind == SymbolKind::Type) {
        let ty = walk.declared(value);
        walk.fact(symbol_idx, "", ty);
    }
    bases::of_definition(walk, symbol_idx, node);
}

fn namespace(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(name) = field(node, "name") else { return };
    let end = field(node, "body").map(|body| body.start_byte());
    let symbol_idx = walk.define(SymbolKind::Module, name, node, end);
    walk.enter_symbol(symbol_idx);
}

fn variants(walk: &mut Walk<'_>, body: Node<'_>) {
    let mut cursor = body.walk();
    for member in body.named_children(&mut cursor).collect::<Vec<_>>() {
        let name = match member.kind() {
            "enum_assignment" => field(member, "name"),
            "property_identifier" => Some(member),
            _ => None,
        };
        if let Some(name) = name {
            walk.define(SymbolKind::Variant, name, member, None);
        }
    }
}

/// A class field that holds a function is a method; any other opens no scope.
fn class_field(walk: &mut Walk<'_>, node: Node<'_>) {
    let name = field(node, "property").or_else(|| field(node, "name"));
    if let Some(value) = field(node, "value").filter(|value| is_function(*value)) {
        let owner = walk.here.container.clone();
        define_function(walk, SymbolKind::Method, name, node, value);
        walk.here.owner = Some(owner);
        return;
    }
    let class = walk.here.owner_symbol;
    let Some(name) = name.and_then(|name| walk.str(name)) else { return };
    if let Some(ty) = field(node, "type") {
        let ty = declared(walk, ty);
        return walk.fact(class, name, ty);
    }
    let values = field(node, "value").map(|it| values(walk, it)).unwrap_or_default();
    values.into_iter().for_each(|value| walk.fact(class, name, value));
}

fn declarator(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(name) = field(node, "name") else { return };
    let value = field(node, "value");
    if let Some(value) = value
        && common_js::require(walk, name, value)
    {
        return;
    }
    if let (Some(value), Some(ty)) = (value.filter(|it| is_function(*it)), field(node, "type"))
        && let Value::Declared(ty) = declared(walk, ty)
    {
        walk.callbacks.insert(value.id(), crate::locals::Expr::of_type(ty));
    }
    match value {
        Some(value) if is_function(value) && name.kind() == "identifier" => {
            define_function(walk, SymbolKind::Function, Some(name), node, value);
        }
        _ if name.kind() == "identifier" && walk.is_top_scope() => {
            let text = walk.text(name);
            let is_constant =
                text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase);
            let is_class = value.is_some_and(|value| value.kind() == "class");
            let kind = match () {
                () if is_class => SymbolKind::Class,
                () if is_constant => SymbolKind::Constant,
                () => SymbolKind::Variable,
            };
            let end = value.filter(|value| matches!(value.kind(), "object" | "class"));
            let symbol_idx = walk.define(kind, name, node, end.map(|value| value.start_byte()));
            let values = match (field(node, "type"), value) {
                (Some(ty), _) => vec![declared(walk, ty)],
                (None, Some(value)) => values(walk, value),
                (None, None) => vec![],
            };
            values.into_iter().for_each(|value| walk.fact(symbol_idx, "", value));
            walk.variable(name, symbol_idx);
            walk.enter_symbol(symbol_idx);
            if let Some(class) = value.filter(|_| is_class) {
                walk.own_container();
                bases::of_definition(walk, symbol_idx, class);
            }
        }
        _ => bind_declared(walk, node, name, value),
    }
}

/// A variable of a function is a local name; so are those of a pattern.
fn bind_declared(walk: &mut Walk<'_>, node: Node<'_>, name: Node<'_>, value: Option<Node<'_>>) {
    match (field(node, "type").filter(|_| name.kind() == "identifier"), value) {
        (Some(ty), _) => {
            let ty = declared(walk, ty);
            walk.bind_as(name, ty);
        }
        (None, Some(value)) if name.kind() == "identifier" => {
            for value in values(walk, value) {
                walk.bind_as(name, value);
            }
        }
        (None, None) if name.kind() == "identifier" => walk.bind_as(name, Value::Nothing),
        (None, value) => {
            let given = value.and_then(|value| expression(walk, value));
            bind_pattern(walk, name, given);
        }
    }
}

/// `Foo.prototype.bar = function () {}` and `exports.bar = () => {}` define what they look like.
fn assignment(walk: &mut Walk<'_>, node: Node<'_>) {
    let (Some(left), Some(right)) = (field(node, "left"), field(node, "right")) else { return };
    if left.kind() == "identifier" {
        for value in values(walk, right) {
            walk.bind_again(left, value);
        }
        return;
    }
    if left.kind() != "member_expression" {
        return;
    }
    let is_own = field(left, "object").is_some_and(|object| object.kind() == "this");
    if is_own && walk.here.owner.is_some() {
        let name = field(left, "property").and_then(|name| walk.str(name));
        let class = walk.here.owner_symbol;
        for value in values(walk, right) {
            walk.fact(class, name.unwrap_or_default(), value);
        }
        return;
    }
    common_js::hand_on(walk, left, right);
    if !is_function(right) {
        return;
    }
    let (Some(object), Some(property)) = (field(left, "object"), field(left, "property")) else {
        return;
    };
    let Qualifier::Path(object) = walk.receiver(object) else { return };
    let owner = object.strip_suffix(".prototype").unwrap_or(&object);
    if matches!(owner, "this") {
        return;
    }
    if matches!(owner, "exports" | "module.exports" | "module") {
        return define_function(walk, SymbolKind::Function, Some(property), node, right);
    }
    walk.enter_container(owner);
    let container = walk.here.container.clone();
    define_function(walk, SymbolKind::Method, Some(property), node, right);
    walk.here.owner = Some(container);
}

/// `{ key: () => {} }` defines a method of the object when the object has a name.
fn pair(walk: &mut Walk<'_>, node: Node<'_>) {
    let (Some(key), Some(value)) = (field(node, "key"), field(node, "value")) else { return };
    let is_named_object =
        matches!(walk.enclosing_kind(), Some(SymbolKind::Variable | SymbolKind::Constant));
    if is_function(value) && is_named_object && key.kind() == "property_identifier" {
        define_function(walk, SymbolKind::Method, Some(key), node, value);
    }
}

fn call(walk: &mut Walk<'_>, function: Node<'_>, form: CallForm) {
    let mut function = function;
    for _ in 0..4 {
        function = match function.kind() {
            "parenthesized_expression" | "non_null_expression" | "instantiation_expression" => {
                match function.named_child(0) {
                    Some(inner) => inner,
                    None => return,
                }
            }
            _ => break,
        };
    }
    match function.kind() {
        "identifier" => walk.call(function, Qualifier::Bare, form),
        "member_expression" => {
            let (Some(object), Some(name)) =
                (field(function, "object"), field(function, "property"))
            else {
                return;
            };
            match (object.kind(), walk.here.owner.clone()) {
                ("this", Some(owner)) => walk.call(name, Qualifier::Own(owner.to_string()), form),
                _ => {
                    let receiver = expression(walk, object);
                    walk.call_on(name, walk.receiver(object), form, receiver);
                }
            }
        }
        _ => {}
    }
}

/// A capitalised element is a component, and using it calls it; the others are the browser's own.
fn element(walk: &mut Walk<'_>, name: Node<'_>) {
    let is_component = walk.text(name).starts_with(char::is_uppercase);
    if name.kind() == "member_expression" || is_component {
        call(walk, name, CallForm::Element);
    }
}

fn import(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(module) = field(node, "source").map(|source| unquoted(walk, source)) else { return };
    let mut cursor = node.walk();
    let clause = node.named_children(&mut cursor).find(|child| child.kind() == "import_clause");
    let Some(clause) = clause else {
        return walk.import(&module, Imported::Module, Some(String::new()), node);
    };
    let mut cursor = clause.walk();
    for part in clause.named_children(&mut cursor).collect::<Vec<_>>() {
        match part.kind() {
            "identifier" => {
                let alias = Some(walk.text(part));
                walk.import(&module, Imported::Name("default".to_owned()), alias, part);
            }
            "namespace_import" => {
                let alias = part.named_child(0).map(|name| walk.text(name));
                walk.import(&module, Imported::Module, alias, part);
            }
            "named_imports" => specifiers(walk, part, &module, (false, true)),
            _ => {}
        }
    }
}

/// `export { a as b } from "m"` and `export * from "m"` hand names on without using them here; `export { a as b }` and
/// `export default a` hand on what this file has, which is written as a module without a name.
fn export(walk: &mut Walk<'_>, node: Node<'_>) {
    walk.export_end = node.end_byte();
    let module = field(node, "source").map(|source| unquoted(walk, source));
    let mut cursor = node.walk();
    let parts = node.named_children(&mut cursor).collect::<Vec<_>>();
    let mut cursor = node.walk();
    if node.children(&mut cursor).take(4).any(|child| child.kind() == "default") {
        let value = field(node, "value").filter(|value| value.kind() == "identifier");
        let declared = field(node, "declaration").and_then(|it| field(it, "name"));
        if let Some(name) = value.or(declared) {
            let imported = Imported::Name(walk.text(name));
            walk.import_as("", imported, Some("default".to_owned()), name, true, false);
        }
        return;
    }
    let Some(module) = module else {
        let clause = parts.into_iter().find(|part| part.kind() == "export_clause");
        if let Some(clause) = clause {
            specifiers(walk, clause, "", (true, false));
        }
        return;
    };
    let mut is_glob = true;
    for part in parts {
        match part.kind() {
            "export_clause" => {
                is_glob = false;
                specifiers(walk, part, &module, (true, false));
            }
            "namespace_export" => {
                is_glob = false;
                let alias = part.named_child(0).map(|name| walk.text(name));
                walk.import_as(&module, Imported::Module, alias, part, true, false);
            }
            _ => {}
        }
    }
    if is_glob {
        walk.import_as(&module, Imported::Glob, None, node, true, false);
    }
}

fn specifiers(walk: &mut Walk<'_>, clause: Node<'_>, module: &str, flags: (bool, bool)) {
    let mut cursor = clause.walk();
    for part in clause.named_children(&mut cursor).collect::<Vec<_>>() {
        let Some(name) = field(part, "name") else { continue };
        let imported = Imported::Name(walk.text(name));
        let alias = field(part, "alias").map(|alias| walk.text(alias));
        walk.import_as(module, imported, alias, part, flags.0, flags.1);
    }
}

fn unquoted(walk: &Walk<'_>, node: Node<'_>) -> String {
    walk.text(node).trim_matches(['"', '\'', '`']).to_owned()
}
