use super::check_callers;

#[test]
fn a_call_on_a_value_means_the_method_of_its_type() {
    let files = [
        (
            "base.py",
            "from typing import Optional\n\nclass Low:\n    def stop(self): pass\n    def near(self): return self\n\nclass Engine(Low):\n    def near(self): return self\n\ndef make(n) -> Optional['Engine']:\n    pass\n\ndef load():\n    return Engine()\n",
        ),
        (
            "use.py",
            "import base\nfrom base import Engine, load\n\nengine = load()\n\nclass Use:\n    def __init__(self, given: Engine | None, plain):\n        self.given = given\n        self.plain = plain\n        self.all: list[Engine] = []\n\n    @property\n    def own(self):\n        return self.given\n\n    def run(self, plain):\n        self.given.stop()\n        self.own.stop()\n        base.make(1).stop()\n        load().near().stop()\n        engine.stop()\n        for each in self.all:\n            each.stop()\n        with load() as entered:\n            entered.stop()\n        self.plain.stop()\n        plain.stop()\n        unknown().stop()\n        either = load()\n        either = plain\n        either.stop()\n",
        ),
    ];
    check_callers(
        &files,
        "stop",
        &[
            "use.py:17 in Use.run receiver-type -> base.py:Low.stop",
            "use.py:18 in Use.run receiver-type -> base.py:Low.stop",
            "use.py:19 in Use.run receiver-type -> base.py:Low.stop",
            "use.py:20 in Use.run receiver-type -> base.py:Low.stop",
            "use.py:21 in Use.run receiver-type -> base.py:Low.stop",
            "use.py:23 in Use.run receiver-type -> base.py:Low.stop",
            "use.py:25 in Use.run receiver-type -> base.py:Low.stop",
            "use.py:26 in Use.run local-name",
            "use.py:27 in Use.run local-name",
            "use.py:28 in Use.run name-only",
            "use.py:31 in Use.run local-name",
        ],
    );
    check_callers(&files, "near", &["use.py:20 in Use.run receiver-type -> base.py:Engine.near"]);
}

#[test]
fn a_parameter_that_is_replaced_before_it_is_used_is_what_replaces_it() {
    let files = [(
        "a.py",
        "class A:\n    def go(self): pass\n\ndef f(a, b, c, d):\n    a = A(a)\n    a.go()\n    if a:\n        b = A()\n    b.go()\n    print(c)\n    c = A()\n    c.go()\n    d = d.part()\n    d.go()\n",
    )];
    check_callers(
        &files,
        "go",
        &[
            "a.py:6 in f receiver-type -> a.py:A.go",
            "a.py:9 in f local-name",
            "a.py:12 in f local-name",
            "a.py:14 in f local-name",
        ],
    );
}

#[test]
fn facts_that_differ_or_go_round_say_nothing() {
    let files = [(
        "a.py",
        "class A:\n    def go(self): pass\n\nclass B:\n    def go(self): pass\n\ndef either(x):\n    if x:\n        return A()\n    return B()\n\ndef round_():\n    return other()\n\ndef other():\n    return round_()\n\nclass Loop(Loop):\n    self_ = Loop\n\nclass Foreign(elsewhere.Base, A):\n    pass\n\neither(1).go()\nround_().go()\nLoop().self_.go()\nForeign().go()\nA().go()\n",
    )];
    check_callers(
        &files,
        "go",
        &[
            "a.py:28 in - receiver-type -> a.py:A.go",
            "a.py:24 in - name-only",
            "a.py:25 in - name-only",
            "a.py:26 in - name-only",
            "a.py:27 in - name-only",
        ],
    );
}

#[test]
fn typescript_values_have_the_methods_of_their_types() {
    let files = [
        (
            "src/app.ts",
            "export interface Shape { go(): Shape }\nexport class App<E> {\n  go(): this { return this }\n  part(): Promise<Shape[]> { return x }\n}\nexport const shared = new App()\nexport type Alias = App<any> | undefined\n",
        ),
        ("src/index.ts", "export * from './app'\n"),
        (
            "src/use.ts",
            "import { App, Alias, shared, type Shape } from './index'\nclass Use {\n  held = new App()\n  constructor(private inner: Alias) {}\n  async run(given: Shape) {\n    this.held.go()\n    this.inner.go().go()\n    shared.go()\n    given.go()\n    for (const each of await shared.part()) each.go()\n    const app = new App<X>()\n    app.go()\n    on((app) => app.go())\n  }\n}\n",
        ),
    ];
    check_callers(
        &files,
        "go",
        &[
            "src/use.ts:6 in Use.run receiver-type -> src/app.ts:App.go",
            "src/use.ts:7 in Use.run receiver-type -> src/app.ts:App.go",
            "src/use.ts:7 in Use.run receiver-type -> src/app.ts:App.go",
            "src/use.ts:8 in Use.run receiver-type -> src/app.ts:App.go",
            "src/use.ts:9 in Use.run receiver-type -> src/app.ts:Shape.go",
            "src/use.ts:10 in Use.run receiver-type -> src/app.ts:Shape.go",
            "src/use.ts:12 in Use.run receiver-type -> src/app.ts:App.go",
            "src/use.ts:13 in Use.run local-name",
        ],
    );
}

#[test]
fn local_functions_default_exports_and_renamed_exports_are_followed() {
    let files = [
        (
            "src/a.ts",
            "function inner(): void {}\nexport { inner as handed }\nexport default function main(): void {}\nexport function over(a: string): void\nexport function over(a: number): void\nexport function over(a: any): void {}\n",
        ),
        ("src/b.ts", "import { handed } from './a'\nexport { handed }\n"),
        (
            "src/use.test.ts",
            "import start, { over } from './a'\nimport { handed } from './b'\nlet app\nsetUp(() => { app = new App() })\nclass App { go() {} }\ntest(() => {\n  const make = () => 1\n  make()\n  handed()\n  start()\n  over(1)\n  app.go()\n})\ntest((other) => {\n  const make = () => 2\n  make()\n  other()\n})\n",
        ),
    ];
    for (name, expected) in [
        (
            "make",
            &[
                "src/use.test.ts:8 in - same-scope -> src/use.test.ts:make",
                "src/use.test.ts:16 in - same-scope -> src/use.test.ts:make",
            ][..],
        ),
        ("inner", &["src/use.test.ts:9 in - import -> src/a.ts:inner"][..]),
        ("over", &["src/use.test.ts:11 in - import -> src/a.ts:over"][..]),
        ("go", &["src/use.test.ts:12 in - receiver-type -> src/use.test.ts:App.go"][..]),
    ] {
        check_callers(&files, name, expected);
    }
}

#[test]
fn parameters_of_callbacks_are_what_the_callee_says() {
    let files = [
        (
            "src/app.ts",
            "export class Context<E> { text() {} }\ntype Next = () => Promise<void>\nexport type Handler<E> = (c: Context<E>, next: Next) => Answer\nexport type Late<E> = (c: Context<E>, next: Next) => Promise<Answer>\ntype H<E> = Handler<E> | Late<E>\nexport interface Routes<E> {\n  <P>(path: P, handler: H<E>): App\n  <P>(path: P, first: H<E>, handler: H<E>): App\n}\nexport class App<E> {\n  get!: Routes<E>\n  each(run: (it: Context<E>) => void) {}\n}\n",
        ),
        (
            "src/use.ts",
            "import { App, Handler } from './app'\nconst app = new App()\napp.get('/', (c) => c.text())\napp.each((it) => { it.text() })\nconst held: Handler<X> = async (c, next) => c.text()\nfunction made(): Handler<X> {\n  return function (c) { return c.text() }\n}\nunknown((c) => c.text())\n",
        ),
    ];
    check_callers(
        &files,
        "text",
        &[
            "src/use.ts:3 in - receiver-type -> src/app.ts:Context.text",
            "src/use.ts:4 in - receiver-type -> src/app.ts:Context.text",
            "src/use.ts:5 in held receiver-type -> src/app.ts:Context.text",
            "src/use.ts:7 in made receiver-type -> src/app.ts:Context.text",
            "src/use.ts:9 in - local-name",
        ],
    );
}
