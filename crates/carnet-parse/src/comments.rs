//! Source without its comments: what is left when only the code may speak.

use std::ops::Range;

use tree_sitter::{Node, Parser};

use crate::{Language, extract::parse_bounded, limits::SOURCE_BYTES_MAX};

/// Returns `source` with every comment and docstring blanked: the same length, the same lines, every definition where it was.
///
/// A docstring becomes the number 0, so that a body of nothing else still is one. What cannot be parsed comes back as it is.
pub fn without_comments(language: Language, source: &[u8]) -> Vec<u8> {
    let mut text = source.to_vec();
    let mut parser = Parser::new();
    let is_ready = language.grammar().is_some_and(|grammar| parser.set_language(&grammar).is_ok());
    if !is_ready || source.len() > SOURCE_BYTES_MAX {
        return text;
    }
    let Some(tree) = parse_bounded(&mut parser, source, source.len()) else { return text };
    let mut cursor = tree.walk();
    loop {
        let node = cursor.node();
        let is_docstring = language == Language::Python && is_docstring(node);
        let is_cut =
            is_docstring || matches!(node.kind(), "comment" | "line_comment" | "block_comment");
        if is_cut {
            blank(&mut text, node.byte_range());
        }
        if is_docstring {
            text[node.start_byte()] = b'0';
        }
        if !is_cut && cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return text;
            }
        }
    }
}

fn blank(text: &mut [u8], range: Range<usize>) {
    for byte in text[range].iter_mut().filter(|byte| **byte != b'\n') {
        *byte = b' ';
    }
}

/// Tells whether a node is the string that a module, class or function of Python begins with.
fn is_docstring(node: Node<'_>) -> bool {
    let is_text = node.kind() == "expression_statement"
        && node.named_child_count() == 1
        && node
            .named_child(0)
            .is_some_and(|child| matches!(child.kind(), "string" | "concatenated_string"));
    let is_first = || {
        let mut before = node.prev_named_sibling();
        while let Some(sibling) = before.filter(|it| it.kind() == "comment") {
            before = sibling.prev_named_sibling();
        }
        before.is_none()
    };
    is_text
        && is_first()
        && node.parent().is_some_and(|parent| matches!(parent.kind(), "block" | "module"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(language: Language, source: &str, expected: &str) {
        let text = without_comments(language, source.as_bytes());
        assert_eq!(text.len(), source.len());
        let lines =
            |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(lines(std::str::from_utf8(&text).unwrap()), lines(expected));
    }

    #[test]
    fn comments_go_and_code_stays_where_it_was() {
        check(
            Language::Rust,
            "/// Adds.\nfn add() { /* one */ 1 } // two\n",
            "\nfn add() {           1 }\n",
        );
        check(
            Language::Go,
            "// Add adds.\nfunc Add() { s := \"// no\" }\n",
            "\nfunc Add() { s := \"// no\" }\n",
        );
        check(Language::TypeScript, "/** a\n * b */\nlet x = `# no`;\n", "\n\nlet x = `# no`;\n");
    }

    #[test]
    fn a_docstring_leaves_a_body() {
        let source = "def f():\n    \"\"\"Says\n    so.\"\"\"\n\ndef g():\n    # why\n    'x'\n    return 'y'\n";
        check(Language::Python, source, "def f():\n    0\n\n\ndef g():\n\n    0\n    return 'y'\n");
        let text = without_comments(Language::Python, source.as_bytes());
        let names = |source: &[u8]| {
            let symbols = crate::parse(Language::Python, source).symbols;
            symbols.into_iter().map(|it| (it.name, it.region)).collect::<Vec<_>>()
        };
        assert_eq!(names(&text).len(), 2);
        assert_eq!(names(&text)[0].0, "f");
    }

    #[test]
    fn a_string_that_says_nothing_of_its_place_stays() {
        check(Language::Python, "x = 1\n'not the first'\n", "x = 1\n'not the first'\n");
    }
}
