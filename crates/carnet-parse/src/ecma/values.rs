//! JavaScript and TypeScript: what an expression says about the value it gives.

use tree_sitter::Node;

use crate::{
    limits::{STEPS_MAX, VALUES_MAX},
    locals::{Chain, Expr, Head, Step, Value, type_text},
    walk::{Walk, field},
};

/// Returns the type that a `: T` declares; a type that says of an argument what it is (`x is T`) declares none.
pub(super) fn declared<'s>(walk: &Walk<'s>, annotation: Node<'_>) -> Value<'s> {
    match annotation.named_child(0).filter(|_| annotation.kind() == "type_annotation") {
        Some(ty) => walk.declared(ty),
        None => Value::Unknown,
    }
}

/// Returns what calling the own method `name` gives.
pub(super) fn own_member<'s>(walk: &Walk<'s>, name: &'s str) -> Value<'s> {
    let Some(owner) = walk.here.owner.clone() else { return Value::Unknown };
    let mut chain = Chain::new();
    let steps = chain.push(Step::Call).and_then(|()| chain.push(Step::Member(name)));
    match steps {
        Some(()) => Value::From(chain.of(Head::Own(owner), walk.here.scope)),
        None => Value::Unknown,
    }
}

/// Returns what a value may be: one for each alternative of `a || b`, `a ?? b` and `c ? a : b`, `null` left out.
pub(super) fn values<'s>(walk: &Walk<'s>, node: Node<'_>) -> Vec<Value<'s>> {
    let (mut open, mut found) = (vec![node], vec![]);
    for _ in 0..STEPS_MAX {
        let Some(node) = open.pop() else { break };
        match node.kind() {
            "parenthesized_expression" => open.extend(node.named_child(0)),
            "ternary_expression" => {
                open.extend(field(node, "alternative"));
                open.extend(field(node, "consequence"));
            }
            "binary_expression" => {
                let operator = field(node, "operator");
                if operator.is_some_and(|it| walk.is_text(it, "||") || walk.is_text(it, "??")) {
                    open.extend(field(node, "right"));
                    open.extend(field(node, "left"));
                } else {
                    found.push(Value::Unknown);
                }
            }
            "assignment_expression" => open.extend(field(node, "right")),
            "null" | "undefined" => found.push(Value::Nothing),
            _ => found.push(expression(walk, node).map_or(Value::Unknown, Value::From)),
        }
        if found.len() > VALUES_MAX {
            return vec![Value::Unknown];
        }
    }
    found
}

/// Returns an expression without its arguments; `None` for one that is no chain of names, calls and the like.
pub(super) fn expression<'s>(walk: &Walk<'s>, node: Node<'_>) -> Option<Expr<'s>> {
    let mut chain = Chain::new();
    let mut node = node;
    for _ in 0..STEPS_MAX * 2 {
        node = match node.kind() {
            "identifier" => {
                return Some(chain.of(Head::Name(walk.str(node)?), walk.here.scope));
            }
            "this" => return Some(chain.of(Head::Own(walk.here.owner.clone()?), walk.here.scope)),
            "super" => {
                return Some(chain.of(Head::Super(walk.here.owner.clone()?), walk.here.scope));
            }
            "member_expression" => {
                chain.push(Step::Member(walk.str(field(node, "property")?)?))?;
                field(node, "object")?
            }
            "call_expression" => {
                chain.push(Step::Call)?;
                field(node, "function")?
            }
            "new_expression" => {
                chain.push(Step::Call)?;
                field(node, "constructor")?
            }
            "subscript_expression" => {
                chain.push(Step::Index)?;
                field(node, "object")?
            }
            "await_expression" => {
                chain.push(Step::Awaited)?;
                node.named_child(0)?
            }
            "as_expression" | "type_assertion" => {
                let ty = node.named_child(u32::from(node.kind() == "as_expression"))?;
                if !walk.is_text(ty, "const") {
                    let head = Head::Declared(type_text(walk.source, ty)?);
                    return Some(chain.of(head, walk.here.scope));
                }
                node.named_child(0)?
            }
            "array" => {
                chain.push(Step::Sequence)?;
                node.named_child(0)?
            }
            "parenthesized_expression"
            | "non_null_expression"
            | "satisfies_expression"
            | "instantiation_expression" => node.named_child(0)?,
            _ => return None,
        };
    }
    None
}
