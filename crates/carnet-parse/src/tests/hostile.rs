use proptest::prelude::*;

use crate::{Language, ProblemKind, limits, parse};

fn problem_kinds(language: Language, source: &[u8]) -> Vec<ProblemKind> {
    parse(language, source).problems.iter().map(|problem| problem.kind).collect()
}

#[test]
fn broken_source_still_yields_what_was_understood() {
    let sources = [
        (Language::Python, "def good(): call()\ndef bad(:\n  ]]\ndef after(): pass\n"),
        (Language::Rust, "fn good() { call(); }\nfn bad( { ]\nfn after() {}\n"),
        (Language::Go, "package p\nfunc good() { call() }\nfunc bad( { ]\nfunc after() {}\n"),
        (
            Language::TypeScript,
            "function good() { call(); }\nfunction bad( { ]\nfunction after() {}\n",
        ),
        (Language::JavaScript, "function good() { call(); }\nclass { ((\n"),
    ];
    for (language, source) in sources {
        let parsed = parse(language, source.as_bytes());
        assert!(parsed.symbols.iter().any(|symbol| symbol.name == "good"), "{language:?}");
        assert!(parsed.calls.iter().any(|call| call.name == "call"), "{language:?}");
        assert!(!parsed.problems.is_empty(), "{language:?}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_a_problem_and_the_rest_is_read() {
    let parsed = parse(Language::Python, b"def a(): pass\n# \xff\xfe\ndef b(): a()\n");
    assert_eq!(parsed.symbols.len(), 2);
    assert_eq!(parsed.calls.len(), 1);
    let problem = parsed.problems[0];
    assert_eq!(problem.kind, ProblemKind::NotUtf8);
    assert_eq!((problem.region.start_line, problem.region.start_column), (2, 3));
}

#[test]
fn a_megabyte_on_one_line_is_read() {
    let source = "f(1);".repeat(200_000);
    let parsed = parse(Language::JavaScript, source.as_bytes());
    assert_eq!(parsed.calls.len(), 200_000);
    assert!(parsed.calls.iter().all(|call| call.region.start_line == 1));
}

#[test]
fn a_hundred_thousand_nested_parentheses_end_without_overflow() {
    let source = format!("x = {}{}\ndef after(): pass\n", "(".repeat(100_000), ")".repeat(100_000));
    for language in Language::ALL {
        // The parser may stop early; what counts is that it comes back and says so if it did.
        let parsed = parse(language, source.as_bytes());
        assert!(parsed.n_problems > 0 || !parsed.symbols.is_empty(), "{language:?}");
    }
}

#[test]
fn deeply_nested_calls_blocks_and_scopes_end_without_overflow() {
    let n = 20_000;
    let calls = format!("x = {}1{}\n", "f(".repeat(n), ")".repeat(n));
    assert_eq!(parse(Language::Python, calls.as_bytes()).calls.len(), n);
    let lambdas = format!("x = {}y()\n", "lambda y: ".repeat(n));
    let parsed = parse(Language::Python, lambdas.as_bytes());
    assert!(parsed.calls[0].is_local);
    let macros = format!("fn f() {{ {}g(){} }}", "vec![".repeat(n), "]".repeat(n));
    assert!(!parse(Language::Rust, macros.as_bytes()).calls.is_empty());
    let modules = format!("{}{}", "mod deeper {".repeat(n), "}".repeat(n));
    let parsed = parse(Language::Rust, modules.as_bytes());
    assert!(
        parsed.symbols.iter().all(|symbol| symbol.container.len() <= limits::CONTAINER_BYTES_MAX)
    );
    let chain = format!("a{};", ".b()".repeat(n));
    let parsed = parse(Language::TypeScript, chain.as_bytes());
    assert_eq!(parsed.calls.len(), n);
}

#[test]
fn a_source_above_the_limit_is_refused_whole() {
    let source = vec![b' '; limits::SOURCE_BYTES_MAX + 1];
    assert_eq!(problem_kinds(Language::Rust, &source), [ProblemKind::TooLarge]);
    assert!(problem_kinds(Language::Rust, &source[1..]).is_empty());
}

#[test]
fn long_names_and_signatures_are_cut_at_a_character() {
    let source = format!("def {}(x={:?}): pass\n", "é".repeat(1_000), "y".repeat(1_000));
    let parsed = parse(Language::Python, source.as_bytes());
    assert_eq!(parsed.symbols[0].name, "é".repeat(limits::NAME_BYTES_MAX / 2));
    assert!(parsed.symbols[0].signature.len() <= limits::SIGNATURE_BYTES_MAX);
}

#[test]
fn an_empty_source_says_nothing() {
    for language in Language::ALL {
        assert_eq!(parse(language, b""), crate::Parsed::default());
    }
}

/// Text that looks enough like a program to reach the extractors' corners.
fn program() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "fn ",
        "def ",
        "class ",
        "func ",
        "impl ",
        "use ",
        "import ",
        "from ",
        "const ",
        "let ",
        "x",
        "self",
        "this",
        ".",
        "::",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "<",
        ">",
        "=>",
        "=",
        ",",
        ";",
        ":",
        "\n",
        "  ",
        "!",
        "vec",
        "println",
        "new ",
        "@",
        "\"",
        "'",
        "#",
        "/*",
        "*/",
        "//",
        "|",
        "&",
        "*",
        "é",
        "type ",
        "struct ",
        "enum ",
        "lambda ",
        "async ",
        "export ",
        "require",
        "0",
        "\0",
        "macro_rules",
        "macro_rules! m {",
        "($x:ident",
        "$(",
        ")*",
        "=> { fn $x",
        "m!(",
    ]);
    let noise = prop::collection::vec(any::<u8>(), 0..4);
    let part = prop_oneof![12 => words.prop_map(|word| word.as_bytes().to_vec()), 1 => noise];
    prop::collection::vec(part, 0..120).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_program_makes_the_parser_panic_or_leave_its_source(source in program()) {
        for language in Language::ALL {
            let parsed = parse(language, &source);
            let n_symbols = parsed.symbols.len() as u32;
            prop_assert!(parsed.symbols.windows(2).all(|pair| pair[0].region.start <= pair[1].region.start));
            prop_assert!(parsed.calls.windows(2).all(|pair| pair[0].region.start <= pair[1].region.start));
            for (idx, symbol) in parsed.symbols.iter().enumerate() {
                prop_assert!(symbol.region.end <= source.len());
                prop_assert!(symbol.parent.is_none_or(|parent| (parent as usize) < idx));
            }
            for call in &parsed.calls {
                prop_assert!(call.region.end <= source.len());
                prop_assert!(call.enclosing.is_none_or(|idx| idx < n_symbols));
            }
            prop_assert!(parsed.rules.iter().all(|rule| rule.symbol < n_symbols));
            for invocation in &parsed.invocations {
                prop_assert!(invocation.region.end <= source.len());
                prop_assert!(invocation.parent.is_none_or(|idx| idx < n_symbols));
                for argument in &invocation.arguments {
                    prop_assert!(argument.region.end <= invocation.region.end);
                    prop_assert!(argument.name_region.end <= argument.region.end);
                }
            }
        }
    }

    #[test]
    fn the_same_source_gives_the_same_answer(source in program()) {
        for language in Language::ALL {
            prop_assert_eq!(parse(language, &source), parse(language, &source));
        }
    }
}
