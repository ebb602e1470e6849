//! Go: what declarations and expressions say about the values they give.

use tree_sitter::Node;

use crate::{
    limits::STEPS_MAX,
    locals::{Chain, Expr, Head, Step, Value, type_text},
    walk::{EMBEDDED, Walk, field},
};

/// Most names declared at once that are looked at.
const NAMES_MAX: usize = 255;

/// Returns all children in a field.
pub(super) fn all<'t>(node: Node<'t>, name: &str) -> Vec<Node<'t>> {
    let mut cursor = node.walk();
    let children = node.children_by_field_name(name, &mut cursor);
    children.filter(Node::is_named).take(NAMES_MAX).collect()
}

/// Tells whether a node names the receiver of the method around.
pub(super) fn is_receiver(walk: &Walk<'_>, node: Node<'_>) -> bool {
    let (Some((receiver, scope)), Some(name)) = (&walk.here.receiver, walk.str(node)) else {
        return false;
    };
    node.kind() == "identifier" && **receiver == *name && walk.name_here(name).1 == *scope
}

/// Notes what a function or method gives back.
pub(super) fn result(walk: &mut Walk<'_>, symbol: Option<u32>, node: Node<'_>) {
    if let Some(ty) = field(node, "result") {
        let ty = walk.declared(ty);
        walk.fact(symbol, "", ty);
    }
}

/// Binds the parameters of a list.
pub(super) fn parameters(walk: &mut Walk<'_>, list: Node<'_>) {
    let mut cursor = list.walk();
    for parameter in list.named_children(&mut cursor).take(NAMES_MAX) {
        let Some(ty) = field(parameter, "type") else { continue };
        let is_variadic = parameter.kind() == "variadic_parameter_declaration";
        for name in all(parameter, "name") {
            let value = match type_text(walk.source, ty) {
                Some(ty) if is_variadic => Value::Declared(format!("[]{ty}")),
                Some(ty) => Value::Declared(ty),
                None => Value::Unknown,
            };
            walk.bind_as(name, value);
        }
    }
}

/// Notes the fields of a struct, and what it embeds.
pub(super) fn fields(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(ty) = field(node, "type") else { return };
    let names = all(node, "name");
    let symbol = walk.here.enclosing;
    for name in &names {
        if let Some(name) = walk.str(*name) {
            let ty = walk.declared(ty);
            walk.fact(symbol, name, ty);
        }
    }
    if names.is_empty() {
        embed(walk, ty);
    }
}

/// Notes what an interface embeds.
pub(super) fn embedded(walk: &mut Walk<'_>, node: Node<'_>) {
    if let (Some(ty), 1) = (node.named_child(0), node.named_child_count()) {
        embed(walk, ty);
    }
}

/// An embedded type is a field of its own name, and lends its methods.
fn embed<'s>(walk: &mut Walk<'s>, ty: Node<'_>) {
    let symbol = walk.here.enclosing;
    let Some(text) = walk.str(ty) else { return };
    let name = text.trim_start_matches('*').split('[').next().unwrap_or(text);
    let name: &'s str = name.rsplit('.').next().unwrap_or(name);
    let (field, lent) = (walk.declared(ty), walk.declared(ty));
    walk.fact(symbol, name, field);
    walk.fact(symbol, EMBEDDED, lent);
}

/// Returns what the variable `at` of `n` of a declaration is: by its type, or by its value.
pub(super) fn variable<'s>(walk: &Walk<'s>, node: Node<'_>, at: usize, n: usize) -> Value<'s> {
    match (field(node, "type"), field(node, "value")) {
        (Some(ty), _) => walk.declared(ty),
        (None, Some(values)) => value(walk, values, at, n),
        (None, None) => Value::Unknown,
    }
}

/// Binds what `:=` declares, as soon as it is left; a name that the block has already keeps its type.
pub(super) fn short_variables(walk: &mut Walk<'_>, node: Node<'_>) {
    let (Some(left), Some(right)) = (field(node, "left"), field(node, "right")) else { return };
    let names = listed(left);
    for (at, name) in names.iter().enumerate() {
        let value = value(walk, right, at, names.len());
        if let Some(name) = walk.str(*name).filter(|_| name.kind() == "identifier") {
            walk.bind_first_after(name, value);
        }
    }
}

/// Binds what `for … := range` declares.
pub(super) fn range(walk: &mut Walk<'_>, node: Node<'_>) {
    let (Some(left), Some(right)) = (field(node, "left"), field(node, "right")) else { return };
    let names = listed(left);
    for (at, name) in names.iter().enumerate() {
        let step = if at == 1 { Step::Index } else { Step::Each };
        let value = match expression(walk, right) {
            Some(expr) if at + 1 == names.len() => Value::From(expr.then(step)),
            _ => Value::Unknown,
        };
        if let Some(name) = walk.str(*name).filter(|_| name.kind() == "identifier") {
            walk.bind_here(name, value);
        }
    }
}

/// Binds the name of `switch x := y.(type)` for where no case says more.
pub(super) fn type_switch(walk: &mut Walk<'_>, node: Node<'_>) {
    let alias = field(node, "alias").and_then(|alias| listed(alias).first().copied());
    if let Some(name) = alias.and_then(|alias| walk.str(alias)) {
        walk.bind_here(name, Value::Unknown);
    }
}

/// Binds that name to the one type of a case.
pub(super) fn type_case(walk: &mut Walk<'_>, node: Node<'_>) {
    let alias = node.parent().and_then(|switch| field(switch, "alias"));
    let alias = alias.and_then(|alias| listed(alias).first().copied());
    let types = all(node, "type");
    if let (Some(name), [ty]) = (alias.and_then(|alias| walk.str(alias)), &types[..]) {
        let ty = walk.declared(*ty);
        walk.bind_here(name, ty);
    }
}

/// Returns what the name `at` of `n` gets of an expression list: its own one, or a part of the only one.
fn value<'s>(walk: &Walk<'s>, values: Node<'_>, at: usize, n: usize) -> Value<'s> {
    let values = listed(values);
    let expr = match (values.get(at), values.first()) {
        (Some(value), _) if values.len() == n => expression(walk, *value),
        (_, Some(value)) if values.len() == 1 => {
            let is_asked = matches!(
                value.kind(),
                "index_expression" | "type_assertion_expression" | "unary_expression"
            );
            match (is_asked, at) {
                (true, 0) => expression(walk, *value),
                (true, _) => None,
                (false, _) => expression(walk, *value).map(|expr| expr.then(Step::Part(at as u8))),
            }
        }
        _ => None,
    };
    expr.map_or(Value::Unknown, Value::From)
}

/// Returns the parts of a list of expressions, or the one that stands alone.
fn listed(node: Node<'_>) -> Vec<Node<'_>> {
    if node.kind() != "expression_list" {
        return vec![node];
    }
    let mut cursor = node.walk();
    node.named_children(&mut cursor).take(NAMES_MAX).collect()
}

/// Returns an expression without its arguments; `None` for one that is no chain of names, calls and the like.
pub(super) fn expression<'s>(walk: &Walk<'s>, node: Node<'_>) -> Option<Expr<'s>> {
    let mut chain = Chain::new();
    let mut node = node;
    let declared = |chain: &Chain<'s>, ty: Node<'_>| {
        Some(chain.of(Head::Declared(type_text(walk.source, ty)?), walk.here.scope))
    };
    for _ in 0..STEPS_MAX * 2 {
        node = match node.kind() {
            "identifier" | "type_identifier" | "package_identifier" => {
                let (head, scope) = walk.name_here(walk.str(node)?);
                return Some(chain.of(head, scope));
            }
            "selector_expression" => {
                chain.push(Step::Member(walk.str(field(node, "field")?)?))?;
                field(node, "operand")?
            }
            "call_expression" => {
                let function = field(node, "function")?;
                let argument = field(node, "arguments").and_then(|it| it.named_child(0));
                match (walk.str(function)?, argument) {
                    ("new" | "make", Some(ty)) => return declared(&chain, ty),
                    ("append", Some(first)) => first,
                    _ => {
                        chain.push(Step::Call)?;
                        function
                    }
                }
            }
            "index_expression" => {
                chain.push(Step::Index)?;
                field(node, "operand")?
            }
            "slice_expression" => field(node, "operand")?,
            "parenthesized_expression" => node.named_child(0)?,
            "unary_expression" => {
                if field(node, "operator").is_some_and(|it| it.kind() == "<-") {
                    chain.push(Step::Each)?;
                }
                field(node, "operand")?
            }
            "type_assertion_expression" | "composite_literal" | "type_conversion_expression" => {
                return declared(&chain, field(node, "type")?);
            }
            "func_literal" => {
                let ty = type_text(walk.source, field(node, "result")?)?;
                let ty = format!("func() {ty}");
                return Some(chain.of(Head::Declared(ty), walk.here.scope));
            }
            _ => return None,
        };
    }
    None
}
