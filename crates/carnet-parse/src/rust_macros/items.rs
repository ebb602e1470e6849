//! What macros define where items stand: `m!(name, …)` defines `name` where the rules of `m` say `fn $name`.
//!
//! One file does not say which macro an invocation means. So noted are, of a macro, what each of its rules defines by which of
//! its arguments; of an invocation, the names that its arguments begin with. What a rule defines inside a type, a module or
//! a name that it puts together is not seen.

use tree_sitter::Node;

use crate::{
    Argument, MacroRule, Makes, SymbolKind, Takes, Visibility,
    limits::{INVOCATIONS_MAX, MACRO_TOKENS_MAX},
    walk::{Walk, field, region},
};

/// Most arguments kept of an invocation whose arguments are not all alike.
const LEADING_MAX: usize = 8;
/// Most rules looked at of one macro.
const RULES_OF_ONE_MAX: usize = 256;
/// The mark of a name that anything may follow.
const ANY_MARK: &str = "*";

/// Notes the rules of the macro that was defined last, when one of them defines what it is given the name of.
pub(crate) fn note_rules(walk: &mut Walk<'_>, node: Node<'_>) {
    let symbol = walk.here.enclosing.filter(|_| walk.enclosing_kind() == Some(SymbolKind::Macro));
    let Some(symbol) = symbol else { return };
    let mut cursor = node.walk();
    let of_rules = node.named_children(&mut cursor).filter(|child| child.kind() == "macro_rule");
    let rules = of_rules.take(RULES_OF_ONE_MAX).filter_map(|rule| {
        let (takes, names) = takes(walk, field(rule, "left")?);
        let makes = field(rule, "right").map(|right| makes(walk, right, &names));
        Some(MacroRule { symbol, takes, makes: makes.unwrap_or_default() })
    });
    let rules: Vec<MacroRule> = rules.collect();
    if rules.iter().any(|rule| !rule.makes.is_empty()) {
        rules.into_iter().for_each(|rule| walk.rule(rule));
    }
}

/// Notes an invocation where items stand whose first argument begins with a name.
pub(crate) fn note_invocation(
    walk: &mut Walk<'_>,
    node: Node<'_>,
    callee: Node<'_>,
    body: Node<'_>,
) {
    let parent = node.parent();
    let is_item = parent.is_some_and(|parent| match parent.kind() {
        "source_file" | "declaration_list" => true,
        "expression_statement" => parent.parent().is_some_and(|it| it.kind() == "source_file"),
        _ => false,
    });
    if !is_item || !walk.is_top_scope() {
        return;
    }
    let tokens = inner(body);
    let pieces: Vec<_> = pieces(&tokens).take(INVOCATIONS_MAX).collect();
    let arguments = pieces.iter().map_while(|piece| argument(walk, piece));
    let mut arguments: Vec<Argument> = arguments.collect();
    let Some(first) = arguments.first() else { return };
    let is_whole = arguments.len() == pieces.len()
        && arguments.iter().all(|argument| argument.mark == first.mark);
    if !is_whole {
        arguments.truncate(LEADING_MAX);
    }
    walk.invocation(callee, node, arguments, is_whole);
}

fn argument(walk: &Walk<'_>, piece: &[Node<'_>]) -> Option<Argument> {
    let piece = without_attributes(piece);
    let name = piece.first().filter(|token| token.kind() == "identifier")?;
    let last = region(*piece.last()?);
    let name_region = region(*name);
    let whole = carnet_core::Region {
        end: last.end,
        end_line: last.end_line,
        end_column: last.end_column,
        ..name_region
    };
    let mark = piece.get(1).map(|token| mark(walk, *token)).unwrap_or_default();
    if matches!(mark.as_str(), "!" | "::") {
        return None; // A macro or a path.
    }
    Some(Argument { name: walk.text(*name), name_region, region: whole, mark })
}

/// Returns how what a rule takes begins, and its arguments that are names.
fn takes<'t>(walk: &Walk<'_>, pattern: Node<'t>) -> (Takes, Vec<Node<'t>>) {
    let tokens = inner(pattern);
    let pieces: Vec<_> = pieces(&tokens).collect();
    let Some(first) = pieces.first().map(|piece| without_attributes(piece)) else {
        return (Takes::Token(String::new()), vec![]);
    };
    let Some(head) = first.first() else { return (Takes::Anything, vec![]) };
    if let Some(name) = bound_name(walk, *head) {
        let (mut marks, mut names) = (vec![mark_of_name(walk, first)], vec![name]);
        for piece in &pieces[1..] {
            let piece = without_attributes(piece);
            let name = piece.first().and_then(|head| bound_name(walk, *head));
            let (Some(name), Some("")) = (name, marks.last().map(String::as_str)) else { break };
            marks.push(mark_of_name(walk, piece));
            names.push(name);
        }
        return (Takes::Names(marks), names);
    }
    match head.kind() {
        "token_repetition_pattern" => {
            // What follows the repetition is a last comma that may be missing, or not understood.
            let is_rest =
                |token: &&Node<'_>| !matches!(token.kind(), "token_repetition_pattern" | "," | ";");
            let repeated = inner_of_repetition(*head);
            let repeated = without_attributes(&repeated);
            let name = repeated.first().and_then(|head| bound_name(walk, *head));
            match name.filter(|_| !tokens.iter().any(|token| is_rest(&token))) {
                Some(name) => (Takes::EachName(mark_of_name(walk, repeated)), vec![name]),
                None => (Takes::Anything, vec![]),
            }
        }
        "token_binding_pattern" => {
            let fragment = field(*head, "type");
            let is_no_name = fragment.is_some_and(|it| {
                ["literal", "lifetime"].iter().any(|text| walk.is_text(it, text))
            });
            let takes = if is_no_name { Takes::Token(String::new()) } else { Takes::Anything };
            (takes, vec![])
        }
        "token_tree_pattern" => (Takes::Token(String::new()), vec![]),
        _ => (Takes::Token(walk.text(*head)), vec![]),
    }
}

/// Returns the `$x` of `$x:ident`.
fn bound_name<'t>(walk: &Walk<'_>, token: Node<'t>) -> Option<Node<'t>> {
    let fragment = field(token, "type").filter(|_| token.kind() == "token_binding_pattern")?;
    field(token, "name").filter(|_| walk.is_text(fragment, "ident"))
}

/// Returns what follows the name that a piece of a rule begins with.
fn mark_of_name(walk: &Walk<'_>, piece: &[Node<'_>]) -> String {
    match piece.get(1) {
        None => String::new(),
        // Within a repetition the comma that ends the argument is part of it.
        Some(token) if matches!(token.kind(), "," | ";") => String::new(),
        Some(token)
            if matches!(token.kind(), "token_binding_pattern" | "token_repetition_pattern") =>
        {
            ANY_MARK.to_owned()
        }
        Some(token) => mark(walk, *token),
    }
}

/// Returns a token's text; of a group, the parenthesis that opens it; of a longer token, its kind.
fn mark(walk: &Walk<'_>, token: Node<'_>) -> String {
    match token.child(0) {
        Some(opening) => walk.text(opening),
        None if token.end_byte() - token.start_byte() <= 8 => walk.text(token),
        None => token.kind().to_owned(),
    }
}

/// Returns what a rule defines by the names among its arguments.
fn makes(walk: &Walk<'_>, right: Node<'_>, names: &[Node<'_>]) -> Vec<Makes> {
    let name_of = |token: &Node<'_>| {
        let is_same = |name: &&Node<'_>| {
            walk.source.get(name.byte_range()) == walk.source.get(token.byte_range())
        };
        let is_name = token.kind() == "metavariable";
        names.iter().position(|name| is_name && is_same(&name)).map(|place| place as u32)
    };
    let tokens = flattened(right);
    let mut made = vec![];
    for (at, token) in tokens.iter().enumerate() {
        if let Some(kind) = kind_of(token.kind()) {
            let is_mutable = |it: &&Node<'_>| matches!(it.kind(), "mutable_specifier" | "mut");
            let after = at + 1 + usize::from(tokens.get(at + 1).filter(is_mutable).is_some());
            if let Some(place) = tokens.get(after).and_then(name_of) {
                made.push(Makes::Item { place, kind, visibility: visibility(&tokens[..at]) });
            }
        }
        let (Some(name), Some(group)) =
            (at.checked_sub(1).map(|it| tokens[it]), tokens.get(at + 1))
        else {
            continue;
        };
        if token.kind() == "!" && name.kind() == "identifier" && group.kind() == "token_tree" {
            let given = inner(*group);
            let places = pieces(&given).map(|piece| match without_attributes(piece) {
                [token] => name_of(token),
                _ => None,
            });
            let places: Vec<u32> = places.map_while(|place| place).take(LEADING_MAX).collect();
            if !places.is_empty() {
                made.push(Makes::Through { name: walk.text(name), places });
            }
        }
    }
    made
}

fn kind_of(keyword: &str) -> Option<SymbolKind> {
    Some(match keyword {
        "fn" => SymbolKind::Function,
        "struct" => SymbolKind::Struct,
        "enum" => SymbolKind::Enum,
        "trait" => SymbolKind::Trait,
        "type" => SymbolKind::Type,
        "const" => SymbolKind::Constant,
        "static" => SymbolKind::Variable,
        "mod" => SymbolKind::Module,
        _ => return None,
    })
}

/// Returns from where an item can be used, by the tokens before its keyword.
fn visibility(before: &[Node<'_>]) -> Visibility {
    let is_modifier = |kind: &str| {
        matches!(kind, "async" | "unsafe" | "const" | "extern" | "default" | "string_literal")
    };
    let mut before = before.iter().rev().skip_while(|token| is_modifier(token.kind()));
    match before.next().map(Node::kind) {
        Some("pub") => Visibility::Public,
        Some("token_tree") if before.next().is_some_and(|it| it.kind() == "pub") => {
            Visibility::Restricted
        }
        _ => Visibility::Private,
    }
}

/// Returns the tokens between the parentheses of a group.
fn inner(group: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = group.walk();
    let mut tokens: Vec<Node<'_>> = group
        .children(&mut cursor)
        .filter(|token| !token.is_extra())
        .take(MACRO_TOKENS_MAX)
        .skip(1)
        .collect();
    tokens.pop();
    tokens
}

/// Returns the tokens that a repetition repeats: those between `$(` and `)`.
fn inner_of_repetition(repetition: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = repetition.walk();
    let tokens = repetition.children(&mut cursor).filter(|token| !token.is_extra());
    let tokens: Vec<Node<'_>> = tokens.take(MACRO_TOKENS_MAX).collect();
    let end = tokens.iter().rposition(|token| token.kind() == ")").unwrap_or(tokens.len());
    tokens.get(2..end).unwrap_or_default().to_vec()
}

/// Returns the tokens of what a rule gives, in their place those that it repeats, and those that it wraps in a macro's braces.
fn flattened(group: Node<'_>) -> Vec<Node<'_>> {
    let mut open: Vec<Node<'_>> = inner(group).into_iter().rev().collect();
    let mut tokens: Vec<Node<'_>> = vec![];
    for _ in 0..MACRO_TOKENS_MAX {
        let Some(token) = open.pop() else { break };
        let is_wrapped = token.kind() == "token_tree"
            && token.child(0).is_some_and(|opening| opening.kind() == "{")
            && tokens.last().is_some_and(|before| before.kind() == "!");
        match token.kind() {
            "token_repetition" => open.extend(inner_of_repetition(token).into_iter().rev()),
            _ if is_wrapped => open.extend(inner(token).into_iter().rev()),
            _ => tokens.push(token),
        }
    }
    tokens
}

/// Cuts tokens at commas and semicolons; nothing behind the last is no piece.
fn pieces<'p, 't>(tokens: &'p [Node<'t>]) -> impl Iterator<Item = &'p [Node<'t>]> {
    let is_end = |token: &Node<'_>| matches!(token.kind(), "," | ";");
    let n_pieces = tokens.split(is_end).count();
    let is_last = move |at: usize| at + 1 == n_pieces;
    let numbered = tokens.split(is_end).enumerate();
    numbered.filter(move |(at, piece)| !(piece.is_empty() && is_last(*at))).map(|(_, piece)| piece)
}

/// Returns a piece without the attributes that it begins with: `#[…]`, or `$(#[$x:meta])*` in a rule.
fn without_attributes<'p, 't>(mut piece: &'p [Node<'t>]) -> &'p [Node<'t>] {
    loop {
        piece = match piece {
            [hash, group, rest @ ..] if hash.kind() == "#" && group.child_count() > 0 => rest,
            [repetition, rest @ ..]
                if repetition.kind() == "token_repetition_pattern"
                    && repetition.child(2).is_some_and(|first| first.kind() == "#") =>
            {
                rest
            }
            rest => return rest,
        }
    }
}
