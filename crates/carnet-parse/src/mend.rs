//! TypeScript that the grammar does not know, changed so that it does; no byte and no line moves.

use tree_sitter::{Node, Parser, Tree};

use crate::{Language, extract::parse_bounded};

/// Most nodes looked at for what a tree did not understand.
const NODES_MAX: usize = 1_000_000;

/// Returns a better tree of a source that `tree` understands in part; the same one when there is none.
pub(crate) fn mended(parser: &mut Parser, language: Language, source: &[u8], tree: Tree) -> Tree {
    let is_typescript = matches!(language, Language::TypeScript | Language::Tsx);
    if !is_typescript || !tree.root_node().has_error() {
        return tree;
    }
    let Some(changed) = changed(language, source) else { return tree };
    match parse_bounded(parser, &changed, changed.len()) {
        Some(other) if n_wrong_bytes(&other) < n_wrong_bytes(&tree) => other,
        _ => tree,
    }
}

/// Ends the line before a call signature that begins with its type parameters, and takes the `type` out of `export type *`.
fn changed(language: Language, source: &[u8]) -> Option<Vec<u8>> {
    let mut text = source.to_vec();
    let mut at = 0;
    for line in source.split_inclusive(|byte| *byte == b'\n') {
        let n_blanks = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if n_blanks > 0 && line.get(n_blanks) == Some(&b'<') && language == Language::TypeScript {
            text[at + n_blanks - 1] = b';';
        }
        if let Some(rest) = line.strip_prefix(b"export type ")
            && rest.trim_ascii_start().starts_with(b"*")
        {
            text[at + 7..at + 11].fill(b' ');
        }
        at += line.len();
    }
    (text != source).then_some(text)
}

/// Returns how many bytes a tree did not understand; one for what it misses.
fn n_wrong_bytes(tree: &Tree) -> usize {
    let (mut n_bytes, mut cursor) = (0, tree.walk());
    for _ in 0..NODES_MAX {
        let node = cursor.node();
        let is_wrong = node.is_error() || node.is_missing();
        if is_wrong {
            n_bytes += width(node);
        }
        if !is_wrong && node.has_error() && cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return n_bytes;
            }
        }
    }
    n_bytes
}

fn width(node: Node<'_>) -> usize {
    (node.end_byte() - node.start_byte()).max(1)
}
