//! What macros of Rust define: found, listed and called like what is written out; nothing is made up.

use super::{check_callers, current, path, refresh, snapshot_of};
use crate::{IndexStore, Snapshot};

const MACROS: &str = "macro_rules! check {
    ($name:ident, $run:expr) => { check!($name, $run, 1); };
    ($name:ident, $run:expr, $n:expr) => { #[test] fn $name() { $run($n); } };
}
";

/// Returns where a name is defined, as `PATH:LINE KIND QUALIFIED.NAME`.
fn found(snapshot: &Snapshot, name: &str) -> Vec<String> {
    let definitions = snapshot.where_defined(name).unwrap();
    let text = |it: &crate::Definition| {
        let (line, kind) = (it.symbol.name_region.start_line, it.symbol.kind.name());
        format!("{}:{line} {kind} {}", it.path, it.symbol.qualified_name())
    };
    definitions.iter().map(text).collect()
}

#[test]
fn a_macro_of_another_file_of_the_crate_defines_what_it_is_given_the_name_of() {
    let user = "// Says why.\ncheck!(first, |n: u8| helper(n));\nfn helper(n: u8) {}\nmod inner {\n    check!(second, crate::helper);\n}\n";
    let (_dir, snapshot) = snapshot_of(&[
        ("src/lib.rs", "#[macro_use]\nmod macros;\nmod user;\n"),
        ("src/macros.rs", MACROS),
        ("src/user.rs", user),
        ("src/z.py", "def first(): pass\n"),
    ]);
    assert_eq!(
        found(&snapshot, "first"),
        ["src/user.rs:2 function first", "src/z.py:1 function first"]
    );
    assert_eq!(found(&snapshot, "inner::second"), ["src/user.rs:5 function inner.second"]);
    let outline = snapshot.outline(&path("src/user.rs")).unwrap().unwrap();
    let listed: Vec<_> = outline
        .iter()
        .map(|it| (it.symbol.signature.as_str(), it.symbol.doc.as_str(), it.symbol.parent))
        .collect();
    let expected = [
        ("check!(first, …)", "Says why.", None),
        ("fn helper(n: u8)", "", None),
        ("mod inner", "", None),
        ("check!(second, …)", "", Some(2)),
    ];
    assert_eq!(listed, expected);
    assert_eq!(snapshot.coverage().n_symbols, 8);
    let callers = snapshot.who_calls("helper").unwrap();
    assert_eq!(
        super::callers_text(&callers),
        ["src/user.rs:2 in first same-scope -> src/user.rs:helper"]
    );
    let impact = snapshot
        .impact(&[crate::Change { path: path("src/user.rs"), lines: Some(vec![(3, 3)]) }], 2);
    let reached: Vec<_> = impact.unwrap().into_iter().filter_map(|it| it.caller).collect();
    assert_eq!(reached[0].qualified_name, "first");
    let calls = snapshot.calls("first").unwrap();
    assert_eq!(calls.resolved.len(), 1);
}

#[test]
fn what_a_macro_defines_is_called_like_what_is_written_out() {
    let source = "macro_rules! make {\n    ($($name:ident = $n:expr),*) => { $(pub fn $name() -> u8 { $n })* };\n}\nmake!(one = 1, two = other());\nfn other() -> u8 { one() }\n";
    check_callers(
        &[("src/lib.rs", source)],
        "one",
        &["src/lib.rs:5 in other same-scope -> src/lib.rs:one"],
    );
    check_callers(
        &[("src/lib.rs", source)],
        "other",
        &["src/lib.rs:4 in two same-scope -> src/lib.rs:other"],
    );
}

#[test]
fn an_invocation_defines_nothing_where_its_macro_is_not_known_for_sure() {
    let nothing = |files: &[(&str, &str)]| {
        let (_dir, snapshot) = snapshot_of(files);
        assert_eq!(found(&snapshot, "name"), Vec::<String>::new(), "{files:?}");
    };
    let make = |body: &str| format!("macro_rules! m {{ ($x:ident) => {{ {body} }}; }}\n");
    let (function, expression) = (make("fn $x() {}"), make("$x + 1"));
    // Not found at all; of another crate that is not here; in a crate that nothing names.
    nothing(&[("src/lib.rs", "m!(name);\n")]);
    nothing(&[("src/lib.rs", "use away::m;\nm!(name);\n"), ("src/m.rs", &function)]);
    nothing(&[("a/src/lib.rs", &function), ("b/src/lib.rs", "m!(name);\nother::m!(name);\n")]);
    // Defined behind the invocation and in a module that it does not stand in.
    nothing(&[("src/lib.rs", &format!("mod a {{ fn f() {{ {function} }} }}\nm!(name);\n"))]);
    // Two of one name that do not agree; a rule that may fit and defines nothing.
    nothing(&[("src/lib.rs", "m!(name);\n"), ("src/a.rs", &function), ("src/b.rs", &expression)]);
    nothing(&[(
        "src/lib.rs",
        "macro_rules! m { ($($t:tt)*) => {}; ($x:ident) => { fn $x() {} }; }\nm!(name);\n",
    )]);
    // A token that the macro knows, a mark that is missing, an expression.
    nothing(&[(
        "src/lib.rs",
        "macro_rules! m { (name) => {}; ($x:ident) => { fn $x() {} }; }\nm!(name);\n",
    )]);
    nothing(&[("src/lib.rs", "macro_rules! m { ($x:ident: u8) => { fn $x() {} }; }\nm!(name);\n")]);
    nothing(&[(
        "src/lib.rs",
        &format!("{function}static X: u8 = m!(name);\nfn f() {{ m!(name); }}\n"),
    )]);
    // A macro that hands the name round in a circle.
    nothing(&[(
        "src/lib.rs",
        "macro_rules! m { ($x:ident) => { n!($x); }; }\nmacro_rules! n { ($x:ident) => { m!($x); }; }\nm!(name);\n",
    )]);
}

#[test]
fn a_macro_of_another_crate_of_the_repository_defines_when_it_is_imported() {
    let (_dir, snapshot) = snapshot_of(&[
        ("a/Cargo.toml", "[package]\nname = \"a\"\n"),
        ("a/src/lib.rs", "mod deep;\n"),
        (
            "a/src/deep.rs",
            "#[macro_export]\nmacro_rules! m { ($x:ident) => { pub struct $x; }; }\n",
        ),
        ("b/src/lib.rs", "use a::m;\nm!(First);\na::m!(Second);\nimpl First { a::m!(Third); }\n"),
    ]);
    assert_eq!(found(&snapshot, "First"), ["b/src/lib.rs:2 struct First"]);
    assert_eq!(found(&snapshot, "Second"), ["b/src/lib.rs:3 struct Second"]);
}

#[test]
fn a_macro_that_changes_in_another_file_changes_what_is_defined_as_a_clean_rebuild_does() {
    let user = "check!(first, |n: u8| helper(n));\nfn helper(n: u8) {}\n";
    let lib = "mod macros;\nmod user;\n";
    let versions = [
        MACROS.to_owned(),
        MACROS.replace("fn $name()", "mod $name"),
        MACROS.replace("check", "other"),
        MACROS.replace("$name:ident, $run:expr)", "$name:expr, $run:expr)"),
        MACROS.to_owned(),
    ];
    let expected: [&[&str]; 5] =
        [&["function first"], &["module first"], &[], &[], &["function first"]];
    let grown = tempfile::tempdir().unwrap();
    let mut store = IndexStore::open(grown.path()).unwrap();
    for (commit, (macros, expected)) in (1..).zip(versions.iter().zip(expected)) {
        let files = [("src/lib.rs", lib), ("src/macros.rs", macros), ("src/user.rs", user)];
        let refreshed = refresh(&mut store, commit, &files);
        let clean = tempfile::tempdir().unwrap();
        let rebuilt = refresh(&mut IndexStore::open(clean.path()).unwrap(), commit, &files);
        assert_eq!(refreshed.content_digest, rebuilt.content_digest);
        assert!(commit == 1 || refreshed.n_parsed <= 1);
        let snapshot = current(grown.path());
        snapshot.verify().unwrap();
        let kinds = found(&snapshot, "first");
        let kinds: Vec<_> =
            kinds.iter().filter_map(|it| it.split_once(' ')).map(|it| it.1).collect();
        assert_eq!(kinds, expected);
    }
}

#[test]
fn rules_are_tried_in_their_order_and_hand_on_to_others() {
    let source = "macro_rules! m {
    ($name:ident, $n:expr) => { m!($name, $n, 1); };
    (not, $name:ident, $n:expr) => { m!($name, $n, 2); };
    ($name:ident, $n:expr, $m:expr) => { fn $name() { $n; } };
}
macro_rules! all { ($($tt:tt)*) => { extract!(which, $($tt)*); } }
macro_rules! extract {
    ($which:ident, $name:ident, $n:expr) => { extract!($which, $name, $n, 0); };
    ($which:ident, $name:ident, $n:expr, $m:expr) => { fn $name() { $which($n); } };
}
m!(one, 1);
m!(not, two, 2);
m!(three, 3, 4);
all!(four, 4);
all!(five, 5, 6);
extract!(which, six, 6);
m!(seven, |a, b| a);
";
    let (_dir, snapshot) = snapshot_of(&[("src/lib.rs", source)]);
    for (name, line) in [
        ("one", 11),
        ("two", 12),
        ("three", 13),
        ("four", 14),
        ("five", 15),
        ("six", 16),
        ("seven", 17),
    ] {
        assert_eq!(found(&snapshot, name), [format!("src/lib.rs:{line} function {name}")]);
    }
    assert!(found(&snapshot, "not").is_empty() && found(&snapshot, "which").is_empty());
}

#[test]
fn functions_in_braces_one_after_the_other_are_defined_with_their_calls() {
    let source = "macro_rules! tests {
    ($($(#[$m:meta])* $name:ident $body:block)*) => { $(#[test] $(#[$m])* fn $name() $body)* };
}
tests! {
    first { let x = run(); x }
    #[ignore]
    second { run() }
}
fn run() {}
";
    let files = [("src/lib.rs", source)];
    let expected = [
        "src/lib.rs:5 in first same-scope -> src/lib.rs:run",
        "src/lib.rs:7 in second same-scope -> src/lib.rs:run",
    ];
    check_callers(&files, "run", &expected);
}
