use super::check_callers;

const GO: [(&str, &str); 4] = [
    ("go.mod", "module example.com/m\n"),
    (
        "pool/pool.go",
        "package pool\ntype Pool struct { idle map[string]*Conn; Stats }\ntype Conn struct{}\ntype Stats struct{}\n\
         func New() (*Pool, error) { return nil, nil }\nfunc (p *Pool) Get(name string) *Conn { return p.idle[name] }\n",
    ),
    (
        "pool/more.go",
        "package pool\nfunc (c *Conn) Close() {}\nfunc (s Stats) Count() int { return 0 }\nfunc (p *Pool) All() []*Conn { return nil }\n",
    ),
    (
        "main.go",
        "package main\nimport \"example.com/m/pool\"\ntype Closer interface { Close() }\ntype door struct{}\nfunc (d door) Close() {}\n\
         func main() {\n\tp, err := pool.New()\n\tif err != nil { return }\n\tp.Count()\n\tp.Get(\"x\").Close()\n\
         \tfor _, each := range p.All() { each.Close() }\n\tp.Count()\n}\n\
         func each(given Closer, all ...door) {\n\tgiven.Close()\n\tall[0].Close()\n\tswitch it := given.(type) {\n\
         \tcase door: it.Close()\n\tdefault: it.Close()\n\t}\n\tp := other()\n\tp.Close()\n\tfunc(p door) { p.Close() }(x)\n}\n",
    ),
];

#[test]
fn go_values_are_what_they_are_declared_as_or_given() {
    check_callers(
        &GO,
        "Close",
        &[
            "main.go:10 in main receiver-type -> pool/more.go:Conn.Close",
            "main.go:11 in main receiver-type -> pool/more.go:Conn.Close",
            "main.go:15 in each receiver-type -> main.go:Closer.Close",
            "main.go:16 in each receiver-type -> main.go:door.Close",
            "main.go:18 in each receiver-type -> main.go:door.Close",
            "main.go:23 in each receiver-type -> main.go:door.Close",
            "main.go:19 in each local-name",
            "main.go:22 in each local-name",
        ],
    );
}

#[test]
fn go_types_lend_the_methods_of_what_they_embed() {
    check_callers(
        &GO,
        "Count",
        &[
            "main.go:9 in main receiver-type -> pool/more.go:Stats.Count",
            "main.go:12 in main receiver-type -> pool/more.go:Stats.Count",
        ],
    );
}

#[test]
fn go_types_made_of_others_have_their_fields_and_elements_and_methods_of_their_own() {
    let files = [(
        "main.go",
        "package main\ntype Set[T comparable] map[T]door\nfunc (s Set[T]) Has() bool { return true }\ntype door struct{ inner *door }\n\
         func (d door) Close() {}\ntype Names Set[string]\nfunc (n Names) Has() bool { return Set[string](n).Has() }\ntype Doors []door\n\
         type Same = Doors\nfunc (d Doors) All() Doors { return d }\ntype Porch door\ntype Closer interface{ Close() }\ntype Any Closer\n\
         type Make func() Names\n\
         func f(n Names, d Doors, s Same, p Porch, a Any, m Make) {\n\tn.Has()\n\tn[\"x\"].Close()\n\td.All()[0].Close()\n\
         \tfor _, each := range s.All() { each.Close() }\n\tp.inner.Close()\n\tp.Close()\n\ta.Close()\n\tm().Has()\n}\n",
    )];
    check_callers(
        &files,
        "Has",
        &[
            "main.go:7 in Names.Has receiver-type -> main.go:Set.Has",
            "main.go:16 in f receiver-type -> main.go:Names.Has",
            "main.go:23 in f receiver-type -> main.go:Names.Has",
        ],
    );
    check_callers(
        &files,
        "Close",
        &[
            "main.go:17 in f receiver-type -> main.go:door.Close",
            "main.go:18 in f receiver-type -> main.go:door.Close",
            "main.go:19 in f receiver-type -> main.go:door.Close",
            "main.go:20 in f receiver-type -> main.go:door.Close",
            "main.go:22 in f receiver-type -> main.go:Closer.Close",
            "main.go:21 in f local-name",
        ],
    );
}

const RUST: [(&str, &str); 6] = [
    ("one/Cargo.toml", "[package]\nname = \"one\"\n"),
    (
        "one/src/lib.rs",
        "mod inner;\npub use inner::Reader;\npub mod deep { pub use crate::inner::*; }\n",
    ),
    (
        "one/src/inner.rs",
        "pub struct Reader { line: Option<Line>, all: Vec<Line> }\npub struct Line(Part);\npub struct Part;\n\
         pub enum Found { Here(Line), There { part: Part } }\n\
         impl Reader {\n    pub fn new() -> Self { Reader { line: None, all: vec![] } }\n\
         \x20   pub fn line(&self) -> Result<&Line, String> { self.line.as_ref().ok_or_else(|| String::new()) }\n}\n\
         impl Line { pub fn close(&self) { self.0.close() } }\n",
    ),
    ("one/src/inner/more.rs", "use super::Part;\nimpl Part { pub fn close(&self) {} }\n"),
    (
        "two/src/lib.rs",
        "use one::{Reader, deep::{Found, Line}};\nuse std::sync::Arc;\ntrait Closing { fn close(&self); fn twice(&self) { self.close() } }\n\
         impl Closing for Reader { fn close(&self) {} }\n\
         fn f(found: Found, shared: Arc<Reader>, any: impl Closing) -> Option<()> {\n\
         \x20   let reader = Reader::new();\n    reader.close();\n    let reader = reader.line().ok()?;\n    reader.close();\n\
         \x20   match found {\n        Found::Here(line) => line.close(),\n        Found::There { part } => part.close(),\n    }\n\
         \x20   shared.close();\n    any.close();\n    shared.twice();\n    None\n}\n\
         fn g<T: Closing>(lines: &[Line], t: &T, other: Other) {\n    for line in lines.iter() { line.close(); }\n\
         \x20   lines.first().map(|it| it.close());\n    if let Some(line) = lines.last() { line.close(); }\n    t.close();\n    other.close();\n\
         \x20   let lines = one::Reader::new();\n    lines.close();\n}\n",
    ),
    ("two/Cargo.toml", "[package]\nname = \"two\"\n"),
];

#[test]
fn rust_values_are_what_they_are_declared_as_or_given() {
    check_callers(
        &RUST,
        "close",
        &[
            "one/src/inner.rs:9 in Line.close receiver-type -> one/src/inner/more.rs:Part.close",
            "two/src/lib.rs:3 in Closing.twice own-type -> two/src/lib.rs:Closing.close",
            "two/src/lib.rs:7 in f receiver-type -> two/src/lib.rs:Reader.close",
            "two/src/lib.rs:9 in f receiver-type -> one/src/inner.rs:Line.close",
            "two/src/lib.rs:11 in f receiver-type -> one/src/inner.rs:Line.close",
            "two/src/lib.rs:12 in f receiver-type -> one/src/inner/more.rs:Part.close",
            "two/src/lib.rs:14 in f receiver-type -> two/src/lib.rs:Reader.close",
            "two/src/lib.rs:15 in f receiver-type -> two/src/lib.rs:Closing.close",
            "two/src/lib.rs:20 in g receiver-type -> one/src/inner.rs:Line.close",
            "two/src/lib.rs:21 in g receiver-type -> one/src/inner.rs:Line.close",
            "two/src/lib.rs:22 in g receiver-type -> one/src/inner.rs:Line.close",
            "two/src/lib.rs:23 in g receiver-type -> two/src/lib.rs:Closing.close",
            "two/src/lib.rs:26 in g receiver-type -> two/src/lib.rs:Reader.close",
            "two/src/lib.rs:24 in g local-name",
        ],
    );
}

#[test]
fn rust_methods_of_a_trait_in_scope_are_called_on_whatever_is_unknown() {
    let files = [
        (
            "src/lib.rs",
            "pub mod ext;\nmod near;\nmod far;\npub mod prelude { pub use crate::ext::Extra; }\n",
        ),
        (
            "src/ext.rs",
            "pub trait Extra: Iterator { fn squeezed(self) -> u8 { 0 } fn len(&self) -> u8 { 0 } fn odd(&self); }\n\
             impl<I: Iterator> Extra for I { fn odd(&self) {} }\n",
        ),
        (
            "src/near.rs",
            "use crate::prelude::*;\nfn f(x: Unknown) { x.squeezed(); x.len(); x.odd(); squeezed(); g(1).squeezed(); }\n\
             mod renamed { use crate::ext::Extra as _; fn i(x: Unknown) { x.squeezed(); } }\n",
        ),
        ("src/far.rs", "fn f(x: Unknown) { x.squeezed(); }\n"),
        ("Cargo.toml", "[package]\nname = \"one\"\n"),
    ];
    check_callers(
        &files,
        "squeezed",
        &[
            "src/near.rs:2 in f trait-in-scope -> src/ext.rs:Extra.squeezed",
            "src/near.rs:2 in f trait-in-scope -> src/ext.rs:Extra.squeezed",
            "src/near.rs:3 in renamed.i trait-in-scope -> src/ext.rs:Extra.squeezed",
            "src/far.rs:1 in f local-name",
            "src/near.rs:2 in f name-only",
        ],
    );
    // The standard library has it, too; of the other there are two.
    check_callers(&files, "len", &["src/near.rs:2 in f local-name"]);
    check_callers(&files, "odd", &["src/near.rs:2 in f local-name"]);
}

#[test]
fn rust_paths_go_through_modules_whatever_variables_are_called() {
    let files = [
        (
            "src/lib.rs",
            "pub mod line;\npub fn f() { let line = 1; line::cut(line); line.cut(); }\n",
        ),
        ("src/line.rs", "pub fn cut(_: u8) {}\n"),
        (
            "tests/all.rs",
            "use crate::o::line::cut;\nuse one as o;\nfn f() { let o = 1; cut(o); o::line::cut(o); }\n",
        ),
        ("Cargo.toml", "[package]\nname = \"one\"\n"),
    ];
    check_callers(
        &files,
        "cut",
        &[
            "src/lib.rs:2 in f path -> src/line.rs:cut",
            "tests/all.rs:3 in f import -> src/line.rs:cut",
            "tests/all.rs:3 in f path -> src/line.rs:cut",
            "src/lib.rs:2 in f local-name",
        ],
    );
}

#[test]
fn rust_names_are_found_where_they_are_handed_on() {
    check_callers(
        &RUST,
        "new",
        &[
            "two/src/lib.rs:6 in f path -> one/src/inner.rs:Reader.new",
            "two/src/lib.rs:25 in g path -> one/src/inner.rs:Reader.new",
            "one/src/inner.rs:7 in Reader.line name-only",
        ],
    );
    check_callers(
        &RUST,
        "twice",
        &["two/src/lib.rs:16 in f receiver-type -> two/src/lib.rs:Closing.twice"],
    );
}

#[test]
fn python_overloads_are_one_function_and_the_last_has_the_body() {
    let overloaded = "import typing as t\n\
        @t.overload\ndef f(x: int) -> int: ...\n@t.overload\ndef f(x: str) -> str: ...\ndef f(x): return x\n\
        class C:\n    @t.overload\n    def m(self) -> int: ...\n    @t.overload\n    def m(self, x) -> str: ...\n\
        \x20   def m(self, x=None):\n        return self.m(f(x))\n";
    let files = [
        ("a.py", overloaded),
        ("b.py", "from a import f, C\nf(1)\nC().m()\n"),
        // Either may be meant, and neither only says how the other is called.
        ("c.py", "if x:\n    def g(): pass\nelse:\n    def g(): pass\ng()\n"),
    ];
    let expected = ["a.py:13 in C.m same-scope -> a.py:f", "b.py:2 in - import -> a.py:f"];
    check_callers(&files, "f", &expected);
    let expected = ["a.py:13 in C.m own-type -> a.py:C.m", "b.py:3 in - receiver-type -> a.py:C.m"];
    check_callers(&files, "m", &expected);
    check_callers(&files, "g", &["c.py:5 in - ambiguous"]);
    let (_dir, snapshot) = super::snapshot_of(&files);
    assert_eq!(snapshot.where_defined("f").unwrap().len(), 3);
    let callers = snapshot.who_calls("f").unwrap();
    assert_eq!(callers.resolved[0].target.as_ref().unwrap().line, 6);
}

#[test]
fn python_supertypes_of_modules_lend_their_methods() {
    let files = [
        ("web/__init__.py", "from .views import View as View\n"),
        ("web/views.py", "class View:\n    def show(self): pass\n    def run(self): pass\n"),
        (
            "app.py",
            "import web.views\nimport web as w, away\n\
             def f():\n    class Own(web.views.View): pass\n    Own().show()\n\
             class View(w.View):\n    def run(self): self.show()\n\
             class Other(away.View):\n    def run(self): self.show()\n\
             View().show()\nweb.View().run()\n",
        ),
    ];
    let expected = [
        "app.py:5 in f receiver-type -> web/views.py:View.show",
        "app.py:7 in View.run inherited -> web/views.py:View.show",
        "app.py:10 in - receiver-type -> web/views.py:View.show",
        "app.py:9 in Other.run name-only",
    ];
    check_callers(&files, "show", &expected);
    // `import web.views` binds `web`.
    check_callers(&files, "run", &["app.py:11 in - receiver-type -> web/views.py:View.run"]);
}
