//! Rust macros: the call of the macro itself, and what stands inside its body.
//!
//! The grammar leaves a macro's body as loose tokens. The bodies of the macros below are expressions
//! separated by commas, so they are parsed again as such, at their place in the source: `("{}", f(x))` is
//! a tuple, `[f(x); 3]` an array, `{ f(x) }` a block. Any other body is read so too, or as items when it stands in braces outside
//! functions (`cfg_x! { pub fn f() {} }`), but only where all of it can be; the rest is left alone rather than guessed at.

mod items;

use tree_sitter::{Node, Range};

use crate::{
    CallForm, Qualifier,
    rust::path_qualifier,
    walk::{Walk, field, region},
};

pub(crate) use items::note_rules;

/// Macros whose arguments are expressions.
#[rustfmt::skip]
const EXPRESSION_MACROS: [&str; 44] = [
    "anyhow", "assert", "assert_eq", "assert_err", "assert_matches", "assert_ne", "assert_ok",
    "assert_pending", "bail", "dbg", "debug", "debug_assert", "debug_assert_eq", "debug_assert_ne",
    "ensure", "eprint", "eprintln", "error", "format", "format_args", "format_err",
    "info", "join", "log", "matches", "panic", "print", "println",
    "prop_assert", "prop_assert_eq", "prop_assert_ne", "ready", "select", "smallvec", "todo", "trace",
    "trace_span", "try_join", "unimplemented", "unreachable", "vec", "warn", "write",
    "writeln",
];

/// Macros of which only the first argument is an expression; a pattern follows.
const PATTERN_MACROS: [&str; 2] = ["matches", "assert_matches"];

/// Notes a macro's call and queues its body when it holds expressions.
pub(crate) fn invocation(walk: &mut Walk<'_>, node: Node<'_>) {
    let Some(callee) = field(node, "macro") else { return };
    let (name, qualifier) = match callee.kind() {
        "scoped_identifier" => {
            let qualifier = field(callee, "path").map(|path| path_qualifier(walk, path));
            (field(callee, "name").unwrap_or(callee), qualifier.unwrap_or(Qualifier::Bare))
        }
        _ => (callee, Qualifier::Bare),
    };
    walk.call(name, qualifier, CallForm::Macro);
    let macro_name = walk.text(name);
    let is_known = EXPRESSION_MACROS.contains(&macro_name.as_str());
    let mut cursor = node.walk();
    let Some(body) = node.children(&mut cursor).find(|child| child.kind() == "token_tree") else {
        return;
    };
    if body.end_byte() - body.start_byte() <= 2 {
        return;
    }
    items::note_invocation(walk, node, callee, body);
    let holds_items = walk.is_top_scope() && walk.source[body.start_byte()] == b'{';
    let inner = body.child(0).zip(body.child(body.child_count().saturating_sub(1)));
    let ranges = match (first_comma(body), inner) {
        (Some((comma, closing)), _) if PATTERN_MACROS.contains(&macro_name.as_str()) => {
            vec![between(body.range(), comma), closing.range()]
        }
        (_, Some((opening, closing))) if holds_items => vec![between(after(opening), closing)],
        _ => vec![body.range()],
    };
    walk.queue_macro_body(ranges, region(body), is_known);
}

/// Returns the first comma of a token tree and its closing delimiter.
fn first_comma(body: Node<'_>) -> Option<(Node<'_>, Node<'_>)> {
    let mut cursor = body.walk();
    let comma = body.children(&mut cursor).find(|child| child.kind() == ",")?;
    let closing = body.child(body.child_count().checked_sub(1)?)?;
    Some((comma, closing))
}

/// Returns the range from the beginning of `start` to the beginning of `end`.
fn between(start: Range, end: Node<'_>) -> Range {
    Range { end_byte: end.start_byte(), end_point: end.start_position(), ..start }
}

/// Returns the empty range behind a node.
fn after(node: Node<'_>) -> Range {
    Range { start_byte: node.end_byte(), start_point: node.end_position(), ..node.range() }
}
