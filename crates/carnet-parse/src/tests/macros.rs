//! What macros of Rust define, and how they are invoked where items stand.

use crate::{Invocation, Language::Rust, Makes, Takes, parse};

/// Returns each rule as `MACRO TAKES: MAKES`.
fn rules(source: &str) -> Vec<String> {
    let parsed = parse(Rust, source.as_bytes());
    let text = |rule: &crate::MacroRule| {
        let takes = match &rule.takes {
            Takes::Token(token) => format!("token [{token}]"),
            Takes::Names(marks) => format!("names {marks:?}"),
            Takes::EachName(mark) => format!("each {mark:?}"),
            Takes::Anything => "anything".to_owned(),
        };
        let makes = rule.makes.iter().map(|makes| match makes {
            Makes::Item { place, kind, visibility } => {
                format!(" {} {} {place}", visibility.name(), kind.name())
            }
            Makes::Through { name, places } => format!(" {name}!{places:?}"),
        });
        let name = parsed.symbols[rule.symbol as usize].qualified_name();
        format!("{name} {takes}:{}", makes.collect::<String>())
    };
    parsed.rules.iter().map(text).collect()
}

/// Returns each invocation as `PATH in CONTAINER (ARGUMENTS) DOC`.
fn invocations(source: &str) -> Vec<String> {
    let parsed = parse(Rust, source.as_bytes());
    let text = |it: &Invocation| {
        let arguments = it.arguments.iter().map(|it| {
            assert_eq!(&source[it.name_region.start..it.name_region.end], it.name);
            let line = it.name_region.start_line;
            format!("{}{}@{line} {}", it.name, it.mark, &source[it.region.start..it.region.end])
        });
        let arguments: Vec<String> = arguments.collect();
        let rest = if it.is_whole { "" } else { ", …" };
        let member = if it.is_member { " member" } else { "" };
        let text =
            format!("{} in [{}]{member} ({}{rest})", it.path, it.container, arguments.join(", "));
        format!("{text} {}", it.doc).trim().to_owned()
    };
    parsed.invocations.iter().map(text).collect()
}

#[test]
fn rules_say_which_argument_becomes_what() {
    let source = r#"
macro_rules! test {
    ($name:ident, $run:expr) => { #[test] fn $name() { $run(); } };
    (@two $a:ident) => { fn $a() {} };
}
macro_rules! types {
    ($(#[$m:meta])* $ty:ident, $make:ident, $n:literal) => {
        $(#[$m])* pub struct $ty;
        pub(crate) async unsafe fn $make() -> $ty { const $n: u8 = 1; $ty }
        static mut $ty: u8 = 0;
    };
}
macro_rules! many {
    ($($(#[$m:meta])* $name:ident: $value:expr),* $(,)?) => { $(pub const $name: u8 = $value;)* };
}
macro_rules! wrapped {
    ($name:ident { $($rest:tt)* }) => { pin_project! { pub struct $name { $($rest)* } } };
}
macro_rules! handed {
    ($name:ident) => { handed!($name, 1); };
    ($name:ident, $n:expr) => { $crate::test!($name, $n); other!(1, $name); };
    ($n:literal) => {};
    ($($t:tt)*) => { compile_error!("no"); };
}
macro_rules! value { ($x:ident) => { $x + 1 }; }
macro_rules! inside { ($x:ident) => { impl X { fn $x() {} } }; }
mod inner { macro_rules! module { ($x:ident) => { mod $x { fn f() {} } }; } }
"#;
    let expected = [
        r#"test names [""]: private function 0"#,
        "test token [@]:",
        r#"types names ["", ""]: public struct 0 restricted function 1 private variable 0"#,
        r#"many each ":": public constant 0"#,
        r#"wrapped names ["{"]: public struct 0"#,
        r#"handed names [""]: handed![0]"#,
        r#"handed names [""]: test![0]"#,
        "handed token []:",
        "handed anything:",
        r#"inner.module names [""]: private module 0"#,
    ];
    assert_eq!(rules(source), expected);
}

#[test]
fn an_invocation_where_items_stand_says_which_names_it_begins_with() {
    let source = r#"
// What it is for.
#[cfg(unix)]
test!(first, |a, b| run(a, b));
mod tests {
    crate::many! { #[x] one: 1, two: f(2), }
    test!(not::a::name);
    fn f() { test!(inner, 1); }
}
impl X { wrapped!(Y { a: u8 }); }
static Z: u8 = test!(z);
test!(1, x);
test!();
test!(vec![a, b]);
cfg! { test!(conditional, || test!(x)); }
"#;
    let expected = [
        "test in [] (first@4 first, …) What it is for.",
        "crate::many in [tests] (one:@6 one: 1, two:@6 two: f(2))",
        "wrapped in [X] member (Y{@10 Y { a: u8 })",
        "test in [] (conditional@15 conditional, …)",
    ];
    assert_eq!(invocations(source), expected);
}
