//! What macros of Rust define, and how they are invoked where items stand.

use crate::{Handed, Invocation, Language::Rust, Makes, Taken, Takes, parse};

/// Returns each rule as `MACRO TAKES: MAKES`.
fn rules(source: &str) -> Vec<String> {
    let parsed = parse(Rust, source.as_bytes());
    let text = |rule: &crate::MacroRule| {
        let takes = match &rule.takes {
            Takes::NoName => "no name".to_owned(),
            Takes::All => "all".to_owned(),
            Takes::First(taken) => {
                let text = |it: &Taken| match it {
                    Taken::Name(mark) => format!("{mark:?}"),
                    Taken::Word(word) => word.clone(),
                };
                format!("first {}", taken.iter().map(text).collect::<Vec<_>>().join(", "))
            }
            Takes::EachName(mark) => format!("each {mark:?}"),
            Takes::Anything => "anything".to_owned(),
        };
        let makes = rule.makes.iter().map(|makes| match makes {
            Makes::Item { place, kind, visibility } => {
                format!(" {} {} {place}", visibility.name(), kind.name())
            }
            Makes::Through { name, handed, n_arguments } => {
                let text = |it: &Handed| match it {
                    Handed::Argument(place) => place.to_string(),
                    Handed::Word(word) => word.clone(),
                    Handed::All => "all".to_owned(),
                };
                let handed: Vec<String> = handed.iter().map(text).collect();
                let n = n_arguments.map_or("?".to_owned(), |n| n.to_string());
                format!(" {name}!({}) of {n}", handed.join(", "))
            }
        });
        let name = parsed.symbols[rule.symbol as usize].qualified_name();
        let n = rule.n_arguments.map_or("?".to_owned(), |n| n.to_string());
        let sure = if rule.is_sure { " sure" } else { "" };
        format!("{name} {takes} of {n}{sure}:{}", makes.collect::<String>())
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
        let n = it.n_arguments.map_or("?".to_owned(), |n| n.to_string());
        let member = if it.is_member { " member" } else { "" };
        let text = format!(
            "{} in [{}]{member} ({}{rest}) of {n}",
            it.path,
            it.container,
            arguments.join(", ")
        );
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
macro_rules! all {
    (not, $name:ident) => { test!($name, 1); };
    ($($t:tt)*) => { test!(word, $($t)*); };
}
macro_rules! value { ($x:ident) => { $x + 1 }; }
macro_rules! inside { ($x:ident) => { impl X { fn $x() {} } }; }
mod inner { macro_rules! module { ($x:ident) => { mod $x { fn f() {} } }; } }
"#;
    let expected = [
        r#"test first "" of 2 sure: private function 0"#,
        "test no name of 1:",
        r#"types first "", "" of ?: public struct 0 restricted function 1 private variable 0"#,
        r#"many each ":" of ?: public constant 0"#,
        r#"wrapped first "{" of 1: public struct 0"#,
        r#"handed first "" of 1 sure: handed!(0) of 2"#,
        r#"handed first "" of 2 sure: test!(0) of 2"#,
        "handed no name of 1:",
        "handed all of ? sure:",
        r#"all first not, "" of 2 sure: test!(1) of 2"#,
        "all all of ? sure: test!(word, all) of 1",
        r#"inner.module first "" of 1 sure: private module 0"#,
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
tests! {
    // One after the other.
    first { run(1) }
    #[ignore]
    second { run(2); }
}
mixed! { a { f() } + 1 }
cfg! { test!(conditional, || test!(x)); }
"#;
    let expected = [
        "test in [] (first@4 first, …) of ? What it is for.",
        "crate::many in [tests] (one:@6 one: 1, two:@6 two: f(2)) of 2",
        "wrapped in [X] member (Y{@10 Y { a: u8 }) of 1",
        "tests in [] (first{@17 first { run(1) }, second{@19 second { run(2); }) of 2",
        "mixed in [] (a{@21 a { f() } + 1) of 1",
        "test in [] (conditional@22 conditional, …) of ?",
    ];
    assert_eq!(invocations(source), expected);
}

#[test]
fn macros_of_many_names_and_invocations_of_many_arguments_are_bounded() {
    const N: usize = 20_000;
    let repeated = |text: fn(usize) -> String| (0..N).map(text).collect::<String>();
    let names = repeated(|n| format!("$a{n}:ident,"));
    let items = repeated(|n| format!("fn $a{n}() {{}}"));
    let given = repeated(|n| format!("a{n} {{}}"));
    let source = format!("macro_rules! m {{ ({names}) => {{ {items} }} }}\nm!{{ {given} }}\n");
    let parsed = parse(Rust, source.as_bytes());
    assert_eq!((parsed.rules.len(), parsed.invocations.len()), (1, 1));
    assert!(parsed.rules[0].makes.len() < 100);
    assert_eq!(parsed.invocations[0].arguments.len(), N);
}
