use super::{check_callers, path, snapshot_of};

#[test]
fn definitions_are_found_by_name_and_by_container() {
    let (_dir, snapshot) = snapshot_of(&[
        (
            "src/lib.rs",
            "pub struct A; impl A { pub fn go(&self) {} }\nmod m { struct B; impl B { fn go() {} } }",
        ),
        ("tool.py", "class A:\n    def go(self): pass\n"),
    ]);
    let found = |name: &str| -> Vec<String> {
        let definitions = snapshot.where_defined(name).unwrap();
        let text = |definition: &crate::Definition| {
            format!("{}:{}", definition.path, definition.symbol.qualified_name())
        };
        definitions.iter().map(text).collect()
    };
    assert_eq!(found("go"), ["src/lib.rs:A.go", "src/lib.rs:m.B.go", "tool.py:A.go"]);
    assert_eq!(found("A.go"), ["src/lib.rs:A.go", "tool.py:A.go"]);
    assert_eq!(found("m::B::go"), ["src/lib.rs:m.B.go"]);
    assert_eq!(found("B::go"), ["src/lib.rs:m.B.go"]);
    assert!(found("X.go").is_empty());
    assert!(found("nothing").is_empty());
    assert!(found("").is_empty());
    assert!(found("go.").is_empty());
}

#[test]
fn an_outline_lists_a_file_in_source_order() {
    let (_dir, snapshot) = snapshot_of(&[
        ("a.py", "x = 1\n"),
        ("b.py", "class C:\n    def m(self): pass\ndef f(): pass\n"),
        ("c.txt", "not code"),
    ]);
    let outline = snapshot.outline(&path("b.py")).unwrap().unwrap();
    let names: Vec<_> =
        outline.iter().map(|definition| definition.symbol.qualified_name()).collect();
    assert_eq!(names, ["C", "C.m", "f"]);
    assert_eq!(outline[1].symbol.parent, Some(0));
    assert_eq!(outline[1].symbol.signature, "def m(self):");
    assert!(snapshot.outline(&path("c.txt")).unwrap().is_none());
    assert!(snapshot.outline(&path("d.py")).unwrap().is_none());
}

#[test]
fn a_free_function_of_the_same_file_is_resolved_and_a_shadowed_one_is_not() {
    check_callers(
        &[
            (
                "a.py",
                "def f(): pass\ndef g(): f()\ndef h(f): f()\nclass C:\n    def m(self): f()\n",
            ),
            ("b.py", "f()\n"),
        ],
        "f",
        &[
            "a.py:2 in g same-scope -> a.py:f",
            "a.py:5 in C.m same-scope -> a.py:f",
            "a.py:3 in h local-name",
            "b.py:1 in - name-only",
        ],
    );
}

#[test]
fn a_name_defined_twice_in_a_scope_is_ambiguous() {
    check_callers(
        &[("a.py", "if x:\n    def f(): pass\nelse:\n    def f(): pass\nf()\n")],
        "f",
        &["a.py:5 in - ambiguous"],
    );
    check_callers(
        &[("a.py", "from b import f\ndef f(): pass\nf()\n"), ("b.py", "def f(): pass\n")],
        "f",
        &["a.py:3 in - ambiguous"],
    );
}

#[test]
fn python_imports_are_followed_to_their_module() {
    check_callers(
        &[
            ("pkg/__init__.py", ""),
            ("pkg/m.py", "def f(): pass\nclass C:\n    def make(): pass\n"),
            ("pkg/n.py", "from .m import f\nfrom . import m\nf()\nm.f()\n"),
            (
                "top.py",
                "import pkg.m\nimport pkg.m as q\nfrom pkg.m import f as g\npkg.m.f()\nq.f()\ng()\n",
            ),
            ("wild.py", "from pkg.m import *\nf()\n"),
            ("other.py", "from elsewhere import f\nf()\n"),
        ],
        "f",
        &[
            "pkg/n.py:3 in - import -> pkg/m.py:f",
            "pkg/n.py:4 in - path -> pkg/m.py:f",
            "top.py:4 in - path -> pkg/m.py:f",
            "top.py:5 in - path -> pkg/m.py:f",
            "top.py:6 in - import -> pkg/m.py:f",
            "other.py:2 in - name-only",
            "wild.py:2 in - name-only",
        ],
    );
}

#[test]
fn own_methods_are_resolved_and_other_receivers_are_candidates() {
    check_callers(
        &[(
            "src/lib.rs",
            "struct A; struct B;\nimpl A { fn f(&self) { self.f(); Self::f(&A); self.b.f(); } }\nimpl B { fn f(&self) { self.f(); } }\n",
        )],
        "A::f",
        &[
            "src/lib.rs:2 in A.f own-type -> src/lib.rs:A.f",
            "src/lib.rs:2 in A.f own-type -> src/lib.rs:A.f",
            "src/lib.rs:2 in A.f name-only",
        ],
    );
}

#[test]
fn rust_paths_and_uses_are_followed_inside_the_crate_and_to_named_crates() {
    check_callers(
        &[
            ("one/Cargo.toml", "[package]\nname = \"crate-one\"\n"),
            ("one/src/lib.rs", "pub mod a;\npub fn top() { a::f(); crate::a::f(); }\n"),
            (
                "one/src/a.rs",
                "pub fn f() {}\n#[cfg(test)]\nmod tests {\n    use super::*;\n    fn t() { f(); }\n}\nmod closed { fn u() { f(); } }\n",
            ),
            ("one/src/b.rs", "use super::a::{self, f as g};\nfn x() { g(); a::f(); }\n"),
            (
                "two/src/main.rs",
                "use crate_one::a::f;\nfn main() { f(); crate_one::a::f(); std::a::f(); }\n",
            ),
        ],
        "f",
        &[
            "one/src/a.rs:5 in tests.t same-scope -> one/src/a.rs:f",
            "one/src/b.rs:2 in x import -> one/src/a.rs:f",
            "one/src/b.rs:2 in x path -> one/src/a.rs:f",
            "one/src/lib.rs:2 in top path -> one/src/a.rs:f",
            "one/src/lib.rs:2 in top path -> one/src/a.rs:f",
            "two/src/main.rs:2 in main import -> one/src/a.rs:f",
            "two/src/main.rs:2 in main path -> one/src/a.rs:f",
            "one/src/a.rs:7 in closed.u name-only",
            "two/src/main.rs:2 in main name-only",
        ],
    );
}

#[test]
fn typescript_imports_are_followed_to_their_file() {
    check_callers(
        &[
            ("src/m.ts", "export const f = () => 1;\nexport class C { static f() {} }\n"),
            (
                "src/n.ts",
                "import { f as g } from './m';\nimport * as m from \"./m.js\";\ng();\nm.f();\n",
            ),
            ("src/o/p.tsx", "import { C } from '../m';\nC.f();\nconst x = <f.Y />;\n"),
            ("src/q.ts", "import { f } from 'package';\nf();\n"),
        ],
        "f",
        &[
            "src/n.ts:3 in - import -> src/m.ts:f",
            "src/n.ts:4 in - path -> src/m.ts:f",
            "src/o/p.tsx:2 in - path -> src/m.ts:C.f",
            "src/q.ts:2 in - name-only",
        ],
    );
}

#[test]
fn go_packages_are_one_scope_and_imports_name_them() {
    check_callers(
        &[
            ("go.mod", "module example.com/m\n"),
            ("lib/a.go", "package lib\nfunc F() {}\ntype T struct{}\nfunc (t T) M() { t.N() }\n"),
            ("lib/b.go", "package lib\nfunc g() { F() }\nfunc (t T) N() { F() }\n"),
            (
                "main.go",
                "package main\nimport \"example.com/m/lib\"\nfunc main() { lib.F(); F() }\n",
            ),
            (
                "other.go",
                "package main\nimport lib \"example.com/other/lib\"\nfunc x() { lib.F() }\n",
            ),
        ],
        "F",
        &[
            "lib/b.go:2 in g same-package -> lib/a.go:F",
            "lib/b.go:3 in T.N same-package -> lib/a.go:F",
            "main.go:3 in main path -> lib/a.go:F",
            "main.go:3 in main name-only",
            "other.go:3 in x name-only",
        ],
    );
}

#[test]
fn an_unknown_name_has_no_callers() {
    check_callers(&[("a.py", "f()\n")], "g", &[]);
    check_callers(&[("a.py", "f()\n")], "X.f", &["a.py:1 in - name-only"]);
}
