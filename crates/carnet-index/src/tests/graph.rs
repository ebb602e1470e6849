use super::{check_callers, path, snapshot_of};
use crate::{Change, Reached, chain};

fn reached_text(reached: &[Reached]) -> Vec<String> {
    let line = |it: &Reached| {
        let names: Vec<_> = chain(reached, it)
            .into_iter()
            .map(|it| it.caller.as_ref().map_or("-", |place| &place.qualified_name))
            .collect();
        let callee = &chain(reached, it).last().unwrap().callee.qualified_name;
        format!("{} {}:{} {} > {callee}", it.depth, it.path, it.line, names.join(" > "))
    };
    reached.iter().map(line).collect()
}

const CHAIN: [(&str, &str); 2] = [
    (
        "a.py",
        "def low(): pass\ndef mid():\n    low()\n    low()\ndef top(): mid()\ndef loop_(): loop_(); top()\n",
    ),
    ("b.py", "from a import top, low\nclass C:\n    def go(self): top()\ntop()\nx.low()\n"),
];

#[test]
fn callers_of_callers_come_nearest_first_with_their_path() {
    let (_dir, snapshot) = snapshot_of(&CHAIN);
    let all = snapshot.who_reaches("low", 9).unwrap();
    assert_eq!(
        reached_text(&all),
        [
            "1 a.py:3 mid > low",
            "2 a.py:5 top > mid > low",
            "3 a.py:6 loop_ > top > mid > low",
            "3 b.py:3 C.go > top > mid > low",
            "3 b.py:4 - > top > mid > low",
        ]
    );
    assert_eq!(reached_text(&snapshot.who_reaches("low", 1).unwrap()), ["1 a.py:3 mid > low"]);
    assert!(snapshot.who_reaches("nothing", 9).unwrap().is_empty());
}

#[test]
fn calls_are_those_made_inside_what_is_nested_included() {
    let (_dir, snapshot) = snapshot_of(&[(
        "a.py",
        "def low(): pass\nclass C:\n    def go(self):\n        low()\n        def inner(): far()\ndef other(): low()\n",
    )]);
    let calls = snapshot.calls("C").unwrap();
    let text = |calls: &[crate::CallSite]| -> Vec<String> {
        calls.iter().map(|it| format!("{}:{}", it.callee, it.region.start_line)).collect()
    };
    assert_eq!(text(&calls.resolved), ["low:4"]);
    assert_eq!(text(&calls.candidates), ["far:5"]);
    let calls = snapshot.calls("other").unwrap();
    assert_eq!((text(&calls.resolved), calls.candidates.len()), (vec!["low:6".to_owned()], 0));
    assert!(snapshot.calls("low").unwrap().resolved.is_empty());
}

#[test]
fn a_change_touches_the_innermost_definitions_alone() {
    let source = "class C:\n    x = 1\n\n    def a(self):\n        pass\n\n    def b(self): self.a()\n\ndef use():\n    C()\n";
    let (_dir, snapshot) = snapshot_of(&[("a.py", source)]);
    let change = |name, lines| Change { path: path(name), lines };
    let reached = |lines| reached_text(&snapshot.impact(&[change("a.py", lines)], 9).unwrap());
    assert_eq!(reached(Some(vec![(5, 5)])), ["1 a.py:7 C.b > C.a"]);
    assert_eq!(reached(Some(vec![(3, 3)])), ["1 a.py:10 use > C"]);
    assert_eq!(reached(Some(vec![(7, 7)])), Vec::<String>::new());
    assert_eq!(reached(Some(vec![(1, 5)])), ["1 a.py:10 use > C", "1 a.py:7 C.b > C.a"]);
    // Every definition of the file is asked of: what reaches it from inside the file is not news.
    assert_eq!(reached(None), Vec::<String>::new());
    assert!(snapshot.impact(&[change("gone.py", None)], 9).unwrap().is_empty());
}

#[test]
fn implementations_are_said_or_have_the_methods() {
    let (_dir, snapshot) = snapshot_of(&[
        ("a.py", "class Base: pass\nclass One(Base): pass\n"),
        ("b.py", "import a\nclass Two(a.Base): pass\n"),
        ("s.rs", "trait Base {}\nstruct S;\nimpl Base for S {}\n"),
        (
            "p/p.go",
            "package p\ntype Source interface { Read(); Close() }\ntype File struct{}\nfunc (f File) Read() {}\nfunc (f *File) Close() {}\nfunc (f File) More() {}\ntype Half struct{}\nfunc (h Half) Read() {}\n",
        ),
    ]);
    let found = |name: &str| -> Vec<String> {
        let line = |it: crate::Implementation| {
            format!("{}:{} {} {}", it.path, it.line, it.subtype, it.is_said)
        };
        snapshot.implementations(name).unwrap().into_iter().map(line).collect()
    };
    assert_eq!(found("Base"), ["a.py:2 One true", "b.py:2 Two true", "s.rs:3 S true"]);
    assert_eq!(found("Source"), ["p/p.go:3 File false"]);
    assert!(found("Nothing").is_empty());
}

#[test]
fn methods_are_found_in_supertypes_across_files() {
    let files = [
        (
            "base.py",
            "class Base:\n    def low(self):\n        pass\n    def own(self):\n        pass\n",
        ),
        ("pkg/__init__.py", "from .deep import Deep as Handed\nfrom .star import *\n"),
        (
            "pkg/deep.py",
            "from base import Base\n\nclass Deep(Base):\n    def own(self):\n        super().own()\n        self.low()\n",
        ),
        ("pkg/star.py", "def starred():\n    pass\n"),
        (
            "use.py",
            "from pkg import Handed, starred\nimport pkg\n\nclass Use(Handed):\n    def run(self):\n        self.low()\n        self.own()\n        Handed.own(self)\n        starred()\n        pkg.starred()\n",
        ),
        (
            "odd.py",
            "from elsewhere import Odd\nfrom base import Base\n\nclass First(Odd, Base):\n    def run(self):\n        self.low()\n\nclass Second(Base, Odd):\n    def run(self):\n        self.low()\n        self.none()\n\nclass Loop(Loop):\n    def run(self):\n        self.low()\n\nclass Super(Odd, Base):\n    def run(self):\n        super().own()\n\nfrom base import Gone\nclass Lost(Gone, Base):\n    def run(self):\n        self.low()\n",
        ),
    ];
    check_callers(
        &files,
        "low",
        &[
            "odd.py:6 in First.run inherited -> base.py:Base.low",
            "odd.py:10 in Second.run inherited -> base.py:Base.low",
            "pkg/deep.py:6 in Deep.own inherited -> base.py:Base.low",
            "use.py:6 in Use.run inherited -> base.py:Base.low",
            "odd.py:15 in Loop.run name-only",
            "odd.py:24 in Lost.run name-only",
        ],
    );
    check_callers(
        &files,
        "own",
        &[
            "pkg/deep.py:5 in Deep.own inherited -> base.py:Base.own",
            "use.py:7 in Use.run inherited -> pkg/deep.py:Deep.own",
            "use.py:8 in Use.run path -> pkg/deep.py:Deep.own",
            "odd.py:19 in Super.run name-only",
        ],
    );
    check_callers(
        &files,
        "starred",
        &[
            "use.py:9 in Use.run import -> pkg/star.py:starred",
            "use.py:10 in Use.run path -> pkg/star.py:starred",
        ],
    );
}

#[test]
fn barrels_hand_names_on_and_super_means_the_base() {
    let files = [
        ("src/a.ts", "export class A {\n  low(): void {}\n}\nexport function helper(): void {}\n"),
        ("src/index.ts", "export { A as Base } from './a';\nexport * from './a';\n"),
        (
            "src/use.ts",
            "import { Base, helper } from './index';\n\nclass Use extends Base {\n  run(): void {\n    this.low();\n    super.low();\n    helper();\n  }\n}\n",
        ),
    ];
    check_callers(
        &files,
        "low",
        &[
            "src/use.ts:5 in Use.run inherited -> src/a.ts:A.low",
            "src/use.ts:6 in Use.run inherited -> src/a.ts:A.low",
        ],
    );
    check_callers(&files, "helper", &["src/use.ts:7 in Use.run import -> src/a.ts:helper"]);
}
