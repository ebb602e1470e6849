//! Python: what an expression says about the value it gives.

use tree_sitter::Node;

use crate::{
    limits::{STEPS_MAX, VALUES_MAX},
    locals::{Chain, Expr, Head, Step, Value, type_text},
    walk::{Walk, field},
};

/// Tells whether a node is `self` or `cls`.
pub(super) fn is_own(walk: &Walk<'_>, node: Node<'_>) -> bool {
    walk.is_text(node, "self") || walk.is_text(node, "cls")
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

/// Returns what a value may be: one for each alternative of `a or b` and `a if b else c`, `None` left out.
pub(super) fn values<'s>(walk: &Walk<'s>, node: Node<'_>) -> Vec<Value<'s>> {
    let (mut open, mut found) = (vec![node], vec![]);
    for _ in 0..STEPS_MAX {
        let Some(node) = open.pop() else { break };
        match node.kind() {
            "parenthesized_expression" => open.extend(node.named_child(0)),
            "conditional_expression" => {
                open.extend(node.named_child(2));
                open.extend(node.named_child(0));
            }
            "boolean_operator" => {
                open.extend(field(node, "right"));
                open.extend(field(node, "left"));
            }
            "assignment" => open.extend(field(node, "right")),
            "none" => found.push(Value::Nothing),
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
                let head = match (walk.str(node)?, walk.here.owner.clone()) {
                    ("self", Some(owner)) => Head::Own(owner),
                    ("cls", Some(owner)) => Head::OwnType(owner),
                    (name, _) => Head::Name(name),
                };
                return Some(chain.of(head, walk.here.scope));
            }
            "attribute" => {
                chain.push(Step::Member(walk.str(field(node, "attribute")?)?))?;
                field(node, "object")?
            }
            "call" => match builtin(walk, &mut chain, node)? {
                Builtin::Is(head) => return Some(chain.of(head, walk.here.scope)),
                Builtin::Like(inner) => inner,
                Builtin::No(function) => {
                    chain.push(Step::Call)?;
                    function
                }
            },
            "subscript" => {
                let is_slice = field(node, "subscript").is_some_and(|it| it.kind() == "slice");
                if !is_slice {
                    chain.push(Step::Index)?;
                }
                field(node, "value")?
            }
            "await" => {
                chain.push(Step::Awaited)?;
                node.named_child(0)?
            }
            "parenthesized_expression" => node.named_child(0)?,
            "list" | "set" | "tuple" if node.named_child_count() == 1 || node.kind() != "tuple" => {
                chain.push(Step::Sequence)?;
                node.named_child(0)?
            }
            _ => return None,
        };
    }
    None
}

enum Builtin<'s, 't> {
    /// It is this.
    Is(Head<'s>),
    /// It gives what its argument gives.
    Like(Node<'t>),
    /// A call of any other function.
    No(Node<'t>),
}

/// Reads calls of functions that Python itself has.
fn builtin<'s, 't>(
    walk: &Walk<'s>,
    chain: &mut Chain<'s>,
    call: Node<'t>,
) -> Option<Builtin<'s, 't>> {
    let function = field(call, "function")?;
    let argument = field(call, "arguments").and_then(|arguments| arguments.named_child(0));
    let argument = argument.filter(|it| !matches!(it.kind(), "keyword_argument" | "comment"));
    let name = match function.kind() {
        "identifier" => walk.str(function)?,
        _ => return Some(Builtin::No(function)),
    };
    Some(match (name, argument, walk.here.owner.clone()) {
        ("super", _, Some(owner)) => Builtin::Is(Head::Super(owner)),
        ("cast", Some(ty), _) => Builtin::Is(Head::Declared(type_text(walk.source, ty)?)),
        ("type", Some(value), Some(owner)) if is_own(walk, value) => {
            Builtin::Is(Head::OwnType(owner))
        }
        (
            "list" | "sorted" | "reversed" | "iter" | "set" | "tuple" | "copy" | "deepcopy",
            Some(inner),
            _,
        ) => Builtin::Like(inner),
        ("next", Some(inner), _) => {
            chain.push(Step::Each)?;
            Builtin::Like(inner)
        }
        _ => Builtin::No(function),
    })
}

/// Returns what `enumerate(xs)` counts.
pub(super) fn enumerated<'s>(walk: &Walk<'s>, node: Node<'_>) -> Option<Expr<'s>> {
    let function = field(node, "function").filter(|_| node.kind() == "call")?;
    let argument = field(node, "arguments").and_then(|arguments| arguments.named_child(0))?;
    let expr = walk.is_text(function, "enumerate").then(|| expression(walk, argument))??;
    Some(expr.then(Step::Each))
}
