//! Python: functions, classes, decorators, module and class variables, calls, imports.

use tree_sitter::Node;

mod values;

use crate::{
    CallForm, Imported, Qualifier, SymbolKind, bases,
    locals::{Step, Value},
    walk::{Walk, field},
};
use values::{expression, values};

/// Most parameters of one function, or names in one pattern, that are looked at.
const PARAMETERS_MAX: usize = 256;
/// Most bytes of a function that are looked through for a use of a parameter.
const BEFORE_BYTES_MAX: usize = 16 << 10;

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
        | "generator_expression" => {
            walk.enter_function_scope();
            // What the first clause binds is read by what stands before it.
        }
        "for_statement" | "for_in_clause" => iteration(walk, node),
        "named_expression" => {
            if let (Some(name), Some(value)) = (field(node, "name"), field(node, "value")) {
                bind_values(walk, name, value);
            }
        }
        "with_item" => with_item(walk, node),
        "except_clause" => except_clause(walk, node),
        "as_pattern_target" if walk.claimed != Some(node.id()) => walk.bind(node),
        "case_pattern" => walk.bind(node),
        "return_statement" => {
            let values = node.named_child(0).map(|it| values(walk, it)).unwrap_or_default();
            values.into_iter().for_each(|value| walk.returns(value));
        }
        "yield" => {
            let yielded = node.named_child(0).and_then(|it| expression(walk, it));
            if let Some(yielded) = yielded {
                walk.returns(Value::From(yielded.then(Step::Sequence)));
            }
        }
        "decorated_definition" => {
            walk.is_property = is_decorated(walk, node, &["property", "cached_property"]);
            walk.is_overload = is_decorated(walk, node, &["overload"]);
        }
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
    let is_property = std::mem::take(&mut walk.is_property);
    let is_overload = std::mem::take(&mut walk.is_overload);
    let Some(name) = field(node, "name") else { return };
    let class = walk.here.enclosing;
    let is_method = walk.enclosing_kind() == Some(SymbolKind::Class);
    let kind = if is_method { SymbolKind::Method } else { SymbolKind::Function };
    let end = field(node, "body").map(|body| body.start_byte());
    let symbol_idx = walk.define(kind, name, node, end);
    if is_overload {
        walk.overload(symbol_idx);
    }
    docstring(walk, symbol_idx, node);
    walk.enter_symbol(symbol_idx);
    walk.enter_scope_of(symbol_idx);
    if let Some(parameters) = field(node, "parameters") {
        bind_parameters(walk, parameters);
    }
    if let Some(ty) = field(node, "return_type") {
        let declared = walk.declared(ty);
        walk.fact(symbol_idx, "", declared);
    }
    // Reading a property calls it.
    if let (true, Some(name)) = (is_property && is_method, walk.str(name)) {
        let own = values::own_member(walk, name);
        walk.fact(class, name, own);
    }
}

fn bind_parameters(walk: &mut Walk<'_>, parameters: Node<'_>) {
    let mut cursor = parameters.walk();
    for parameter in parameters.named_children(&mut cursor).take(PARAMETERS_MAX).collect::<Vec<_>>()
    {
        let name = match parameter.kind() {
            "typed_parameter" => parameter.named_child(0),
            "typed_default_parameter" | "default_parameter" => field(parameter, "name"),
            _ => Some(parameter),
        };
        match (name.filter(|name| name.kind() == "identifier"), field(parameter, "type")) {
            (Some(name), Some(ty)) => {
                let declared = walk.declared(ty);
                walk.bind_as(name, declared);
            }
            (Some(name), None) => walk.bind_parameter(name),
            (None, _) => {
                if let Some(name) = name {
                    walk.bind(name);
                }
            }
        }
    }
}

/// Tells whether one of the decorators of a definition has one of these names.
fn is_decorated(walk: &Walk<'_>, node: Node<'_>, names: &[&str]) -> bool {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).take(16).any(|child| {
        let expression = child.named_child(0).filter(|_| child.kind() == "decorator");
        let last = expression.map(|it| field(it, "attribute").unwrap_or(it));
        last.is_some_and(|it| names.iter().any(|name| walk.is_text(it, name)))
    })
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

/// A variable at the top or of a class is a symbol; inside a function it is a local name; `self.x` is a member.
fn assignment(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(left) = field(node, "left") else { return };
    let (ty, right) = (field(node, "type"), field(node, "right"));
    let is_member = walk.enclosing_kind() == Some(SymbolKind::Class);
    if left.kind() == "attribute" {
        return own_member(walk, left, ty, right);
    }
    if left.kind() != "identifier" || !(walk.is_top_scope() || is_member) {
        return match (ty, right) {
            (Some(ty), _) if left.kind() == "identifier" => {
                let declared = walk.declared(ty);
                walk.bind_as(left, declared);
            }
            (_, Some(right)) => {
                replace_parameter(walk, node, left);
                bind_values(walk, left, right);
            }
            (_, None) => {}
        };
    }
    let name = walk.text(left);
    let is_constant = name.chars().any(char::is_uppercase) && !name.chars().any(char::is_lowercase);
    let kind = if is_constant { SymbolKind::Constant } else { SymbolKind::Variable };
    let symbol_idx = walk.define(kind, left, node, None);
    let values = match (ty, right) {
        (Some(ty), _) => vec![walk.declared(ty)],
        (None, right) => right.map(|right| values(walk, right)).unwrap_or_default(),
    };
    values.into_iter().for_each(|value| walk.fact(symbol_idx, "", value));
    walk.enter_symbol(symbol_idx);
}

/// A parameter that the function gives another value, whatever happens, before it is used, is only that value.
fn replace_parameter(walk: &mut Walk<'_>, assignment: Node<'_>, left: Node<'_>) {
    let Some(name) = walk.str(left).filter(|_| left.kind() == "identifier") else { return };
    // At the first assignment alone, so that many of them do not look through the function many times.
    if !walk.is_parameter(name) {
        return;
    }
    let body = assignment.parent().and_then(|statement| statement.parent());
    let is_body = |it: &Node<'_>| it.parent().is_some_and(|it| it.kind() == "function_definition");
    let Some(body) = body.filter(is_body) else { return };
    let before = walk.source.get(body.start_byte()..assignment.start_byte());
    let Some(before) = before.filter(|it| it.len() <= BEFORE_BYTES_MAX) else { return };
    let is_used = before
        .split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_' && byte.is_ascii())
        .any(|word| word == name.as_bytes());
    if !is_used {
        walk.forget(name);
    }
}

/// `self.x = …` says what the member `x` of the type around is.
fn own_member(walk: &mut Walk<'_>, left: Node<'_>, ty: Option<Node<'_>>, right: Option<Node<'_>>) {
    let own = field(left, "object").is_some_and(|object| values::is_own(walk, object));
    let name = field(left, "attribute").and_then(|name| walk.str(name));
    let (true, Some(name)) = (own && walk.here.owner.is_some(), name) else { return };
    let class = walk.here.owner_symbol;
    let values = match (ty, right) {
        (Some(ty), _) => vec![walk.declared(ty)],
        (None, right) => right.map(|right| values(walk, right)).unwrap_or_default(),
    };
    values.into_iter().for_each(|value| walk.fact(class, name, value));
}

/// Binds the names that a target introduces to what it is given; `a.b` and `a[0]` introduce none.
fn bind_values(walk: &mut Walk<'_>, target: Node<'_>, value: Node<'_>) {
    match target.kind() {
        "identifier" => {
            for value in values(walk, value) {
                walk.bind_as(target, value);
            }
        }
        "pattern_list" | "tuple_pattern" | "list_pattern" => {
            let parts = named_children(target);
            let given = match value.kind() {
                "expression_list" | "tuple" => named_children(value),
                _ => vec![],
            };
            if given.len() == parts.len() {
                for (part, value) in parts.into_iter().zip(given) {
                    bind_values(walk, part, value);
                }
                return;
            }
            let whole = expression(walk, value);
            for (at, part) in parts.into_iter().enumerate() {
                let value = whole.clone().map(|it| it.then(Step::Part(at as u8)));
                bind_target(walk, part, value.map_or(Value::Unknown, Value::From));
            }
        }
        _ => bind_target(walk, target, Value::Unknown),
    }
}

/// Binds a target's names: a plain name to what is known of it, the names of a pattern to nothing.
fn bind_target<'s>(walk: &mut Walk<'s>, target: Node<'_>, value: Value<'s>) {
    match target.kind() {
        "identifier" => walk.bind_as(target, value),
        "pattern_list" | "tuple_pattern" | "list_pattern" | "list_splat_pattern" => {
            for part in named_children(target) {
                if !matches!(part.kind(), "attribute" | "subscript") {
                    walk.bind(part);
                }
            }
        }
        _ => {}
    }
}

fn named_children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).take(PARAMETERS_MAX).collect()
}

/// `for a in b`, `for a, b in c`, as a statement or in a comprehension.
fn iteration(walk: &mut Walk<'_>, node: Node<'_>) {
    let (Some(left), Some(right)) = (field(node, "left"), field(node, "right")) else { return };
    if left.kind() == "identifier" {
        let each = expression(walk, right).map(|it| it.then(Step::Each));
        return walk.bind_as(left, each.map_or(Value::Unknown, Value::From));
    }
    let counted = values::enumerated(walk, right);
    let each = match counted {
        Some(_) => None,
        None => expression(walk, right).map(|it| it.then(Step::Each)),
    };
    if !matches!(left.kind(), "pattern_list" | "tuple_pattern" | "list_pattern") {
        return bind_target(walk, left, Value::Unknown);
    }
    for (at, part) in named_children(left).into_iter().enumerate() {
        let value = match (&counted, &each) {
            (Some(value), _) if at == 1 => Some(value.clone()),
            (_, Some(each)) => Some(each.clone().then(Step::Part(at as u8))),
            _ => None,
        };
        bind_target(walk, part, value.map_or(Value::Unknown, Value::From));
    }
}

/// `with a as b`
fn with_item(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(pattern) = field(node, "value").filter(|it| it.kind() == "as_pattern") else { return };
    let entered = pattern.named_child(0).and_then(|it| expression(walk, it));
    bind_alias(walk, pattern, entered.map(|it| it.then(Step::Entered)));
}

/// `except A as b`
fn except_clause(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(pattern) = node.named_child(0).filter(|it| it.kind() == "as_pattern") else { return };
    let class = pattern.named_child(0).and_then(|it| expression(walk, it));
    bind_alias(walk, pattern, class.map(|it| it.then(Step::Call)));
}

fn bind_alias<'s>(walk: &mut Walk<'s>, pattern: Node<'_>, value: Option<crate::locals::Expr<'s>>) {
    let Some(target) = field(pattern, "alias") else { return };
    let name = target.named_child(0).filter(|name| name.kind() == "identifier");
    if let (Some(name), Some(value)) = (name, value) {
        walk.claimed = Some(target.id());
        walk.bind_as(name, Value::From(value));
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
            match walk.here.owner.clone() {
                Some(owner) if values::is_own(walk, object) => {
                    walk.call(name, Qualifier::Own(owner.to_string()), form);
                }
                _ => {
                    let receiver = expression(walk, object);
                    walk.call_on(name, walk.receiver(object), form, receiver);
                }
            }
        }
        _ => {}
    }
}

fn import(walk: &mut Walk<'_>, node: Node<'_>) {
    let mut cursor = node.walk();
    for part in node.children_by_field_name("name", &mut cursor).collect::<Vec<_>>() {
        let (module, alias) = name_and_alias(walk, part);
        // `import a.b` binds `a`.
        if let (None, Some((outer, _))) = (&alias, module.split_once('.')) {
            walk.import(outer, Imported::Module, None, part);
        }
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
