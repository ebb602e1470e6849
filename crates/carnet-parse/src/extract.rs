//! From bytes to [`Parsed`]: sets up the parser, walks the tree with a cursor, sorts what came out.

use std::ops::ControlFlow;

use carnet_core::Region;
use tree_sitter::{Node, ParseOptions, ParseState, Parser, Range, Tree};

use crate::{
    Language, Parsed, Problem, ProblemKind, c, ecma, go, java,
    limits::{
        MACRO_BODIES_MAX, MACRO_DEPTH_MAX, PARSER_REPORTS_BASE, PROBLEMS_MAX, SOURCE_BYTES_MAX,
    },
    mend::mended,
    python, rust,
    walk::Walk,
};

/// Returns what `source` defines, calls and imports.
///
/// - `source`: UTF-8 or not, any length in bytes; above [`SOURCE_BYTES_MAX`] nothing is read and the only
///   problem says so.
///
/// Never fails: what was not understood is in [`Parsed::problems`].
pub fn parse(language: Language, source: &[u8]) -> Parsed {
    let whole = Region {
        start: 0,
        end: source.len(),
        start_line: 1,
        start_column: 1,
        end_line: 1,
        end_column: 1,
    };
    if source.len() > SOURCE_BYTES_MAX {
        return only_problem(ProblemKind::TooLarge, whole);
    }
    let mut parser = Parser::new();
    if language.grammar().is_none_or(|grammar| parser.set_language(&grammar).is_err()) {
        return only_problem(ProblemKind::TooHard, whole);
    }
    let Some(tree) = parse_bounded(&mut parser, source, source.len()) else {
        return only_problem(ProblemKind::TooHard, whole);
    };
    let tree = mended(&mut parser, language, source, tree);
    let mut walk = Walk::new(language, source);
    if let Some(at) = std::str::from_utf8(source).err().map(|error| error.valid_up_to()) {
        let region = Region { start: at, end: at + 1, ..line_column(source, at) };
        walk.problem(ProblemKind::NotUtf8, region);
    }
    visit(&mut walk, &tree);
    if language == Language::Rust {
        read_macro_bodies(&mut walk, &mut parser);
    }
    walk.finish()
}

fn only_problem(kind: ProblemKind, region: Region) -> Parsed {
    Parsed { problems: vec![Problem { kind, region }], n_problems: 1, ..Parsed::default() }
}

fn line_column(source: &[u8], at: usize) -> Region {
    let (line, column) = carnet_core::LineIndex::new(&source[..at]).line_column(at);
    Region {
        start: at,
        end: at,
        start_line: line,
        start_column: column,
        end_line: line,
        end_column: column + 1,
    }
}

/// Parses what the parser's included ranges say; `None` when it worked too long.
///
/// The bound is a count of the parser's own progress reports, not a clock, so the answer is the same on
/// every machine.
pub(crate) fn parse_bounded(parser: &mut Parser, source: &[u8], n_bytes: usize) -> Option<Tree> {
    let mut n_reports_left = PARSER_REPORTS_BASE + n_bytes as u64;
    let mut on_report = |_: &ParseState| {
        n_reports_left = n_reports_left.saturating_sub(1);
        if n_reports_left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let options = ParseOptions::new().progress_callback(&mut on_report);
    let tree = parser.parse_with_options(
        &mut |at, _| &source[at.min(source.len())..],
        None,
        Some(options),
    );
    if tree.is_none() {
        parser.reset();
    }
    tree
}

/// Visits every named node, parents first, with a cursor: depth costs heap, never stack.
fn visit(walk: &mut Walk<'_>, tree: &Tree) {
    let mut cursor = tree.walk();
    let mut depth = 0;
    let source = walk.source;
    loop {
        let node = cursor.node();
        note_problem(walk, node);
        walk.depth = depth;
        let wants_children = if node.is_named() {
            walk.doc.note(node, source);
            enter(walk, node)
        } else {
            false
        };
        if wants_children && cursor.goto_first_child() {
            depth += 1;
            continue;
        }
        loop {
            walk.leave(depth);
            if cursor.goto_next_sibling() {
                break;
            }
            if !cursor.goto_parent() {
                return;
            }
            depth -= 1;
        }
    }
}

fn enter<'t>(walk: &mut Walk<'_>, node: Node<'t>) -> bool {
    match walk.language {
        Language::Python => python::enter(walk, node),
        Language::TypeScript | Language::Tsx | Language::JavaScript => ecma::enter(walk, node),
        Language::Rust => rust::enter(walk, node),
        Language::Go => go::enter(walk, node),
        Language::Java => java::enter(walk, node),
        Language::C | Language::Cpp => c::enter(walk, node),
    }
}

fn note_problem(walk: &mut Walk<'_>, node: Node<'_>) {
    if walk.is_macro_body {
        return; // A macro's body need not be an expression.
    }
    if node.is_error() {
        walk.problem(ProblemKind::Syntax, crate::walk::region(node));
    } else if node.is_missing() {
        walk.problem(ProblemKind::Missing, crate::walk::region(node));
    }
}

/// Reads the bodies of macros again, as expressions or items, at their own place in the source.
fn read_macro_bodies(walk: &mut Walk<'_>, parser: &mut Parser) {
    let mut n_read = 0;
    while let Some(body) = walk.macro_bodies.pop() {
        n_read += 1;
        if n_read > MACRO_BODIES_MAX || body.depth > MACRO_DEPTH_MAX {
            walk.problem(ProblemKind::TooMany, body.region);
            return;
        }
        let n_bytes =
            body.ranges.iter().map(|range: &Range| range.end_byte - range.start_byte).sum();
        if parser.set_included_ranges(&body.ranges).is_err() {
            continue;
        }
        let Some(tree) = parse_bounded(parser, walk.source, n_bytes) else { continue };
        if !body.is_known && !is_understood(&tree) {
            continue;
        }
        walk.begin_macro_body(body);
        visit(walk, &tree);
    }
}

/// Tells whether all of a macro's body was understood; an expression misses its semicolon.
fn is_understood(tree: &Tree) -> bool {
    let root = tree.root_node();
    let (Some(statement), 1) = (root.child(0), root.child_count()) else {
        return !root.has_error();
    };
    let mut cursor = statement.walk();
    let mut wrong = statement.children(&mut cursor).filter(|child| child.has_error());
    let is_semicolon = |child: Node<'_>| child.is_missing() && child.kind() == ";";
    !statement.is_error() && wrong.all(is_semicolon)
}

pub(crate) fn push_problem(parsed: &mut Parsed, kind: ProblemKind, region: Region) {
    parsed.n_problems = parsed.n_problems.saturating_add(1);
    if parsed.problems.len() < PROBLEMS_MAX {
        parsed.problems.push(Problem { kind, region });
    }
}
