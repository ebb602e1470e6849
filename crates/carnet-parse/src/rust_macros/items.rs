//! What macros define where items stand: `m!(name, …)` defines `name` where the rules of `m` say `fn $name`.
//!
//! One file does not say which macro an invocation means. So noted are, of a macro, what each of its rules defines by which of
//! its arguments; of an invocation, the names that its arguments begin with. What a rule defines inside a type, a module or
//! a name that it puts together is not seen.

use tree_sitter::Node;

use crate::{
    Argument, Handed, MacroRule, Makes, SymbolKind, Taken, Takes, Visibility,
    limits::{INVOCATIONS_MAX, MACRO_TOKENS_MAX},
    walk::{Walk, field, region},
};

/// Most arguments kept of an invocation whose arguments are not all alike.
const LEADING_MAX: usize = 8;
/// Most arguments of one rule that are told apart.
const TAKEN_MAX: usize = 64;
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
        let left = inner(field(rule, "left")?);
        let (takes, names) = takes(walk, &left);
        let makes = field(rule, "right").map(|right| makes(walk, right, &takes, &names));
        let n_arguments = n_pieces(&left);
        let is_sure = takes == Takes::All || n_arguments.is_some() && is_sure(walk, &left, &takes);
        Some(MacroRule { symbol, takes, n_arguments, is_sure, makes: makes.unwrap_or_default() })
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
    if is_whole {
        // `m! { a { f() } b { g() } }`: each may be what a function does.
        let bodies = pieces.iter().filter_map(|piece| without_attributes(piece).get(1).copied());
        for body in bodies.filter(|it| is_braced(*it)) {
            walk.queue_macro_body(vec![body.range()], region(body), false);
        }
    }
    walk.invocation(callee, node, arguments, is_whole, n_pieces(&tokens));
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

/// Returns how what a rule takes begins, and the names of its arguments by their places; that of all tokens together.
fn takes<'t>(walk: &Walk<'_>, tokens: &[Node<'t>]) -> (Takes, Vec<Option<Node<'t>>>) {
    let Some(first) = pieces(tokens).next().map(without_attributes) else {
        return (Takes::NoName, vec![]);
    };
    let Some(head) = first.first() else { return (Takes::Anything, vec![]) };
    let (mut taken, mut names) = (vec![], vec![]);
    for piece in pieces(tokens).map(without_attributes).take(TAKEN_MAX) {
        let name = piece.first().and_then(|head| bound(walk, *head, "ident"));
        let (mark, name) = match (name, piece) {
            (Some(name), _) => (mark_of_name(walk, piece), Some(name)),
            (None, [word]) if word.kind() == "identifier" => {
                taken.push(Taken::Word(walk.text(*word)));
                names.push(None);
                continue;
            }
            _ => break,
        };
        let is_plain = mark.is_empty();
        taken.push(Taken::Name(mark));
        names.push(name);
        if !is_plain {
            break;
        }
    }
    if !taken.is_empty() {
        return (Takes::First(taken), names);
    }
    match head.kind() {
        "token_repetition_pattern" => of_repetition(walk, *head, tokens),
        "token_binding_pattern"
            if ["literal", "lifetime"].iter().any(|it| bound(walk, *head, it).is_some()) =>
        {
            (Takes::NoName, vec![])
        }
        "token_binding_pattern" | "identifier" => (Takes::Anything, vec![]),
        _ => (Takes::NoName, vec![]),
    }
}

/// The same for a rule that begins with a repetition.
fn of_repetition<'t>(
    walk: &Walk<'_>,
    head: Node<'t>,
    tokens: &[Node<'t>],
) -> (Takes, Vec<Option<Node<'t>>>) {
    let repeated = inner_of_repetition(head);
    if let ([token], 1) = (&repeated[..], tokens.len())
        && let Some(all) = bound(walk, *token, "tt")
    {
        return (Takes::All, vec![Some(all)]);
    }
    // What follows the repetition is a last comma that may be missing, or not understood.
    let is_rest =
        |token: &Node<'_>| !matches!(token.kind(), "token_repetition_pattern" | "," | ";");
    let repeated = without_attributes(&repeated);
    let name = repeated.first().and_then(|head| bound(walk, *head, "ident"));
    match name.filter(|_| !tokens.iter().any(is_rest)) {
        Some(name) => (Takes::EachName(mark_of_name(walk, repeated)), vec![Some(name)]),
        None => (Takes::Anything, vec![]),
    }
}

/// Tells whether a rule is for whatever begins as it says and has as many arguments: the others are of kinds of which the
/// compiler tries no second rule.
fn is_sure(walk: &Walk<'_>, tokens: &[Node<'_>], takes: &Takes) -> bool {
    const SURE: [&str; 7] = ["expr", "ty", "tt", "pat", "path", "block", "stmt"];
    let Takes::First(taken) = takes else { return false };
    let are_plain = taken.iter().all(|it| match it {
        Taken::Name(mark) => mark.is_empty(),
        Taken::Word(_) => true,
    });
    are_plain
        && pieces(tokens).skip(taken.len()).all(|piece| match piece {
            [token] => SURE.iter().any(|kind| bound(walk, *token, kind).is_some()),
            _ => false,
        })
}

/// Returns the `$x` of `$x:KIND`.
fn bound<'t>(walk: &Walk<'_>, token: Node<'t>, kind: &str) -> Option<Node<'t>> {
    let fragment = field(token, "type").filter(|_| token.kind() == "token_binding_pattern")?;
    field(token, "name").filter(|_| walk.is_text(fragment, kind))
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
fn makes(
    walk: &Walk<'_>,
    right: Node<'_>,
    takes: &Takes,
    names: &[Option<Node<'_>>],
) -> Vec<Makes> {
    let name_of = |token: &Node<'_>| {
        let is_same = |name: Node<'_>| {
            walk.source.get(name.byte_range()) == walk.source.get(token.byte_range())
        };
        let is_name = token.kind() == "metavariable";
        let place = names.iter().position(|name| is_name && name.is_some_and(is_same))?;
        Some(place as u32)
    };
    let is_all = |token: &Node<'_>| {
        *takes == Takes::All
            && token.kind() == "token_repetition"
            && matches!(inner_of_repetition(*token)[..], [token] if name_of(&token).is_some())
    };
    let tokens = flattened(right);
    let mut made = vec![];
    for (at, token) in tokens.iter().enumerate() {
        if let Some(kind) = kind_of(token.kind()) {
            let is_mutable = |it: &&Node<'_>| matches!(it.kind(), "mutable_specifier" | "mut");
            let after = at + 1 + usize::from(tokens.get(at + 1).filter(is_mutable).is_some());
            let place = tokens.get(after).and_then(name_of).filter(|_| *takes != Takes::All);
            if let Some(place) = place {
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
            let handed = pieces(&given).map(|piece| match without_attributes(piece) {
                [token] if is_all(token) => Some(Handed::All),
                [token] if token.kind() == "identifier" => Some(Handed::Word(walk.text(*token))),
                [token] => name_of(token).map(Handed::Argument),
                _ => None,
            });
            let handed: Vec<Handed> = handed.map_while(|it| it).take(LEADING_MAX).collect();
            if handed.iter().any(|it| !matches!(it, Handed::Word(_))) {
                let own: Vec<Node<'_>> = given.iter().copied().filter(|it| !is_all(it)).collect();
                let n_arguments = n_pieces(&own);
                made.push(Makes::Through { name: walk.text(name), handed, n_arguments });
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
        let is_wrapped =
            is_braced(token) && tokens.last().is_some_and(|before| before.kind() == "!");
        match token.kind() {
            "token_repetition" => open.extend(inner_of_repetition(token).into_iter().rev()),
            _ if is_wrapped => open.extend(inner(token).into_iter().rev()),
            _ => tokens.push(token),
        }
    }
    tokens
}

/// Counts the pieces of tokens; `None` where one may hold a comma, or be repeated.
fn n_pieces(tokens: &[Node<'_>]) -> Option<u32> {
    let hides = |token: &Node<'_>| {
        matches!(
            token.kind(),
            "|" | "||" | "<" | "<<" | "token_repetition_pattern" | "token_repetition"
        )
    };
    (!tokens.iter().any(hides)).then(|| pieces(tokens).count() as u32)
}

/// Cuts tokens at commas and semicolons, and behind a group in braces that a name or an attribute follows; nothing behind the last
/// is no piece.
fn pieces<'p, 't>(tokens: &'p [Node<'t>]) -> impl Iterator<Item = &'p [Node<'t>]> {
    let is_end = |token: &Node<'_>| matches!(token.kind(), "," | ";");
    let is_between = |before: &Node<'_>, after: &Node<'_>| {
        is_braced(*before) && matches!(after.kind(), "identifier" | "#")
    };
    let mut rest = tokens;
    std::iter::from_fn(move || {
        let next = |at: usize| rest.get(at + 1);
        let ends = |at: &usize| {
            is_end(&rest[*at]) || next(*at).is_some_and(|after| is_between(&rest[*at], after))
        };
        let piece = match (0..rest.len()).find(ends) {
            Some(at) if is_end(&rest[at]) => {
                let piece = &rest[..at];
                rest = &rest[at + 1..];
                piece
            }
            Some(at) => {
                let (piece, after) = rest.split_at(at + 1);
                rest = after;
                piece
            }
            None => std::mem::take(&mut rest),
        };
        let is_last = rest.is_empty() && piece.is_empty();
        (!is_last).then_some(piece)
    })
}

fn is_braced(group: Node<'_>) -> bool {
    let opening = group.child(0).filter(|_| group.kind() == "token_tree");
    opening.is_some_and(|opening| opening.kind() == "{")
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
