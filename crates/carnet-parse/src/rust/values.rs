//! Rust: what patterns, declarations and expressions say about the values they give.

use tree_sitter::Node;

use crate::{
    limits::{PATTERN_NODES_MAX, STEPS_MAX},
    locals::{Chain, Expr, Head, Step, Value, type_text},
    walk::{Walk, field},
};

/// Patterns that take a value out of what may hold none.
const OPENING: [&str; 3] = ["Some", "Ok", "Ready"];
/// Functions that give back what they are given, as far as its methods go.
#[rustfmt::skip]
const LIKE_ARGUMENT: [&str; 22] = [
    "Some", "Ok", "Box::new", "Box::pin", "Arc::new", "Rc::new", "RefCell::new", "Cell::new", "Mutex::new", "RwLock::new",
    "Pin::new", "Arc::clone", "Rc::clone", "Cow::Borrowed", "Cow::Owned", "Poll::Ready", "Ready", "Mutex::from", "Arc::from",
    "Box::from", "ManuallyDrop::new", "UnsafeCell::new",
];
/// Methods whose first type argument is what they give.
const TYPED: [&str; 5] = ["parse", "collect", "downcast_ref", "downcast_mut", "downcast"];
/// Methods that hand what they hold to a closure, one by one.
#[rustfmt::skip]
const HANDING: [&str; 26] = [
    "map", "for_each", "filter", "filter_map", "and_then", "any", "all", "flat_map", "find", "find_map", "position", "inspect",
    "take_while", "skip_while", "map_or", "is_some_and", "is_ok_and", "retain", "sort_by_key", "max_by_key", "min_by_key",
    "partition", "map_while", "try_for_each", "with", "map_or_else",
];
const PLACES: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];

/// Returns a type's text, a type parameter replaced by what bounds it.
fn declared_text(walk: &Walk<'_>, ty: Node<'_>) -> Option<String> {
    let text = type_text(walk.source, ty)?;
    let mut core = text.as_str();
    loop {
        let inner = core.trim_start_matches('&').trim_start();
        let inner = match inner.strip_prefix('\'') {
            Some(rest) => rest.split_once(' ').map_or("", |(_, rest)| rest),
            None => inner.strip_prefix("mut ").unwrap_or(inner),
        };
        if inner == core {
            break;
        }
        core = inner;
    }
    let bound = walk.here.bounds.iter().rev().find(|(name, _)| name == core);
    Some(bound.map_or(text.clone(), |(_, bound)| bound.clone()))
}

/// Returns a declared type as a value.
pub(super) fn declared<'s>(walk: &Walk<'s>, ty: Node<'_>) -> Value<'s> {
    declared_text(walk, ty).map_or(Value::Unknown, Value::Declared)
}

/// Remembers what bounds the type parameters of an item, until it is left.
pub(super) fn bounds(walk: &mut Walk<'_>, item: Node<'_>) {
    let mut found: Vec<(String, String)> = walk.here.bounds.to_vec();
    let n_before = found.len();
    let mut note = |walk: &Walk<'_>, name: Option<Node<'_>>, bounds: Option<Node<'_>>| {
        if let (Some(name), Some(bounds)) = (name, bounds)
            && let (Some(name), Some(bounds)) = (walk.str(name), type_text(walk.source, bounds))
        {
            found.push((name.to_owned(), bounds.trim_start_matches(':').trim().to_owned()));
        }
    };
    let mut cursor = item.walk();
    for part in item.named_children(&mut cursor) {
        if !matches!(part.kind(), "type_parameters" | "where_clause") {
            continue;
        }
        let mut inner = part.walk();
        for parameter in part.named_children(&mut inner).take(PATTERN_NODES_MAX) {
            let name = field(parameter, "name").or_else(|| field(parameter, "left"));
            note(walk, name, field(parameter, "bounds"));
        }
    }
    if found.len() > n_before {
        walk.here.bounds = found.into();
    }
}

/// Notes what a function gives back.
pub(super) fn result(walk: &mut Walk<'_>, symbol: Option<u32>, node: Node<'_>) {
    if let Some(ty) = field(node, "return_type") {
        let ty = declared(walk, ty);
        walk.fact(symbol, "", ty);
    }
}

/// Notes the type of a constant, a static or an alias.
pub(super) fn typed(walk: &mut Walk<'_>, symbol: Option<u32>, node: Node<'_>) {
    if let Some(ty) = field(node, "type") {
        let ty = declared(walk, ty);
        walk.fact(symbol, "", ty);
    }
}

/// Notes a field of a struct or variant.
pub(super) fn named_field(walk: &mut Walk<'_>, node: Node<'_>) {
    if let (Some(name), Some(ty)) = (field(node, "name"), field(node, "type"))
        && let Some(name) = walk.str(name)
    {
        let ty = declared(walk, ty);
        walk.fact(walk.here.enclosing, name, ty);
    }
}

/// Notes the fields of a tuple struct or variant.
pub(super) fn placed_fields(walk: &mut Walk<'_>, list: Node<'_>) {
    let mut cursor = list.walk();
    let types = list.children_by_field_name("type", &mut cursor);
    let types: Vec<_> = types.zip(PLACES).collect();
    for (ty, place) in types {
        let ty = declared(walk, ty);
        walk.fact(walk.here.enclosing, place, ty);
    }
}

/// Binds a parameter.
pub(super) fn parameter(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(pattern) = field(node, "pattern") else { return };
    let ty = field(node, "type").and_then(|ty| declared_expr(walk, ty));
    bind(walk, pattern, ty, false);
}

/// Binds what `let` declares, as soon as it is left.
pub(super) fn let_declaration(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(pattern) = field(node, "pattern") else { return };
    let ty = field(node, "type").and_then(|ty| declared_expr(walk, ty));
    let value = || field(node, "value").and_then(|value| expression(walk, value));
    let value = ty.or_else(value);
    bind(walk, pattern, value, true);
}

/// Binds what `if let` declares, as soon as the condition is left.
pub(super) fn let_condition(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(pattern) = field(node, "pattern") else { return };
    let value = field(node, "value").and_then(|value| expression(walk, value));
    bind(walk, pattern, value, true);
}

/// Binds what a loop declares.
pub(super) fn for_loop(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(pattern) = field(node, "pattern") else { return };
    let value = field(node, "value").and_then(|value| expression(walk, value));
    bind(walk, pattern, value.map(|value| value.then(Step::Each)), false);
}

/// Remembers what a match looks at.
pub(super) fn subject(walk: &mut Walk<'_>, node: Node<'_>) {
    let value = field(node, "value").and_then(|value| expression(walk, value));
    walk.subjects.push((walk.depth, value));
}

/// Binds what an arm of a match declares.
pub(super) fn arm(walk: &mut Walk<'_>, node: Node<'_>) {
    let pattern = field(node, "pattern").and_then(|pattern| pattern.named_child(0));
    let subject = walk.subjects.last().and_then(|(_, subject)| subject.clone());
    if let Some(pattern) = pattern {
        bind(walk, pattern, subject, false);
    }
}

/// Binds the parameters of a closure.
pub(super) fn closure(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(parameters) = field(node, "parameters") else { return };
    let handed = handed(walk, node);
    let mut cursor = parameters.walk();
    let parameters: Vec<_> = parameters.named_children(&mut cursor).collect();
    for (at, parameter) in parameters.into_iter().enumerate() {
        if parameter.kind() == "parameter" {
            self::parameter(walk, parameter);
        } else {
            bind(walk, parameter, handed.clone().filter(|_| at == 0), false);
        }
    }
}

/// Returns what the method that a closure is given to hands to it.
fn handed<'s>(walk: &Walk<'s>, closure: Node<'_>) -> Option<Expr<'s>> {
    let call = closure.parent()?.parent().filter(|it| it.kind() == "call_expression")?;
    let method = field(call, "function").filter(|it| it.kind() == "field_expression")?;
    let name = walk.str(field(method, "field")?)?;
    let value = field(method, "value").filter(|_| HANDING.contains(&name))?;
    Some(expression(walk, value)?.then(Step::Each))
}

fn declared_expr<'s>(walk: &Walk<'s>, ty: Node<'_>) -> Option<Expr<'s>> {
    let text = declared_text(walk, ty).filter(|text| text != "_" && !text.contains("<_"))?;
    Some(Chain::new().of(Head::Declared(text), walk.here.scope))
}

/// Binds the names of a pattern to what they take of a value; `later`: when the current node is left.
fn bind<'s>(walk: &mut Walk<'s>, pattern: Node<'_>, value: Option<Expr<'s>>, later: bool) {
    let mut open = vec![(pattern, value)];
    for _ in 0..PATTERN_NODES_MAX {
        let Some((node, value)) = open.pop() else { return };
        let mut cursor = node.walk();
        let children: Vec<_> = node.named_children(&mut cursor).collect();
        match node.kind() {
            "identifier" | "shorthand_field_identifier" => {
                let Some(name) = walk.str(node) else { continue };
                if name.starts_with(char::is_uppercase) {
                    continue; // A constant or a variant.
                }
                let value = value.map_or(Value::Unknown, Value::From);
                if later {
                    walk.bind_after(name, value);
                } else {
                    walk.bind_here(name, value);
                }
            }
            "tuple_pattern" => {
                for (at, child) in children.into_iter().enumerate() {
                    open.push((child, value.clone().map(|it| it.then(Step::Part(at as u8)))));
                }
            }
            "tuple_struct_pattern" => {
                let ty = field(node, "type");
                let path = ty.and_then(|ty| walk.str(ty)).unwrap_or_default();
                let last = path.rsplit("::").next().unwrap_or(path);
                let parts = children.into_iter().filter(|child| Some(*child) != ty);
                for (child, place) in parts.zip(PLACES) {
                    let part = match last {
                        it if OPENING.contains(&it) => {
                            value.clone().map(|it| it.then(Step::Awaited))
                        }
                        "Err" | "" => None,
                        _ => ty.and_then(|ty| of_type(walk, ty, place)),
                    };
                    open.push((child, part));
                }
            }
            "struct_pattern" => {
                let ty = field(node, "type");
                for part in children.into_iter().filter(|it| it.kind() == "field_pattern") {
                    let Some(name) = field(part, "name") else { continue };
                    let text = walk.str(name);
                    let value = ty.zip(text).and_then(|(ty, text)| of_type(walk, ty, text));
                    open.push((field(part, "pattern").unwrap_or(name), value));
                }
            }
            "slice_pattern" => {
                let each = value.map(|it| it.then(Step::Each));
                open.extend(children.into_iter().map(|child| (child, each.clone())));
            }
            "mut_pattern" | "ref_pattern" | "reference_pattern" | "captured_pattern"
            | "or_pattern" | "match_pattern" => {
                open.extend(children.into_iter().map(|child| (child, value.clone())));
            }
            _ => open.extend(children.into_iter().map(|child| (child, None))),
        }
    }
}

/// Returns a field of the type or variant that a pattern names.
fn of_type<'s>(walk: &Walk<'s>, ty: Node<'_>, field: &'s str) -> Option<Expr<'s>> {
    let mut chain = Chain::new();
    chain.push(Step::Member(field))?;
    head(walk, chain, ty)
}

/// Returns the path of names that a value begins with.
fn head<'s>(walk: &Walk<'s>, mut chain: Chain<'s>, node: Node<'_>) -> Option<Expr<'s>> {
    let text = walk.str(node)?;
    let scope = walk.here.scope;
    if text == "Self" {
        return Some(chain.of(Head::OwnType(walk.here.owner.clone()?), scope));
    }
    if let Some(member) = text.strip_prefix("Self::") {
        chain.push(Step::Member(member))?;
        return Some(chain.of(Head::OwnType(walk.here.owner.clone()?), scope));
    }
    if let Some(path) = field(node, "path").filter(|path| path.kind().starts_with("generic_type")) {
        chain.push(Step::Member(walk.str(field(node, "name")?)?))?;
        return head(walk, chain, field(path, "type")?);
    }
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
    if !text.chars().all(is_plain) {
        return None;
    }
    let (head, scope) = walk.name_here(text);
    Some(chain.of(head, scope))
}

/// Returns an expression without its arguments; `None` for one that is no chain of names, calls and the like.
pub(super) fn expression<'s>(walk: &Walk<'s>, node: Node<'_>) -> Option<Expr<'s>> {
    let mut chain = Chain::new();
    let mut node = node;
    let declared = |chain: &Chain<'s>, ty: Node<'_>| {
        Some(chain.of(Head::Declared(declared_text(walk, ty)?), walk.here.scope))
    };
    for _ in 0..STEPS_MAX * 2 {
        node = match node.kind() {
            "self" => return Some(chain.of(Head::Own(walk.here.owner.clone()?), walk.here.scope)),
            "identifier" | "scoped_identifier" | "type_identifier" | "scoped_type_identifier" => {
                return head(walk, chain, node);
            }
            "field_expression" => {
                let name = field(node, "field")?;
                let text = walk.str(name)?;
                match (name.kind(), text.parse()) {
                    ("integer_literal", Ok(part)) => chain.push(Step::Part(part))?,
                    _ => chain.push(Step::Member(text))?,
                }
                field(node, "value")?
            }
            "call_expression" => {
                let function = field(node, "function")?;
                let argument = field(node, "arguments").and_then(|it| it.named_child(0));
                let text = walk.str(function)?;
                match argument {
                    Some(argument) if LIKE_ARGUMENT.contains(&text) => argument,
                    _ if function.kind() == "generic_function" => {
                        let inner = field(function, "function")?;
                        let name = field(inner, "field").and_then(|name| walk.str(name));
                        let ty = field(function, "type_arguments")?.named_child(0)?;
                        if name.is_some_and(|name| TYPED.contains(&name)) {
                            return declared(&chain, ty).filter(|_| !text.contains("<_"));
                        }
                        chain.push(Step::Call)?;
                        inner
                    }
                    _ => {
                        chain.push(Step::Call)?;
                        function
                    }
                }
            }
            "try_expression" => {
                chain.push(Step::Awaited)?;
                node.named_child(0)?
            }
            "await_expression" | "parenthesized_expression" => node.named_child(0)?,
            "reference_expression" => field(node, "value")?,
            "unary_expression" => node.named_child(0)?,
            "index_expression" => {
                if node.named_child(1).is_some_and(|it| it.kind() != "range_expression") {
                    chain.push(Step::Index)?;
                }
                node.named_child(0)?
            }
            "unsafe_block" | "block" => {
                let last = node.named_child_count().checked_sub(1)?;
                node.named_child(last as _)?
            }
            "type_cast_expression" => return declared(&chain, field(node, "type")?),
            "struct_expression" => {
                let name = field(node, "name")?;
                if walk.is_text(name, "Self") {
                    chain.push(Step::Call)?;
                    return head(walk, chain, name);
                }
                return declared(&chain, name);
            }
            _ => return None,
        };
    }
    None
}
