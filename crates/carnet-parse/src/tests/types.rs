//! What receivers, functions, variables and members are said or seen to be.

use crate::{Language, parse};

/// Returns `RECEIVER . CALLEE` of each call whose receiver is known, a line feed as `;`.
#[track_caller]
fn check_receivers(language: Language, source: &str, expected: &[&str]) {
    let parsed = parse(language, source.as_bytes());
    let known = parsed.calls.iter().filter_map(|call| {
        let receiver = call.receiver.as_ref()?.replace('\n', ";");
        Some(format!("{receiver} . {}", call.name))
    });
    assert_eq!(known.collect::<Vec<_>>(), expected);
}

/// Returns `SYMBOL.MEMBER: TEXT` of each fact.
#[track_caller]
fn check_types(language: Language, source: &str, expected: &[&str]) {
    let parsed = parse(language, source.as_bytes());
    let facts = parsed.types.iter().map(|fact| {
        let symbol = parsed.symbols[fact.symbol as usize].qualified_name();
        format!("{symbol}.{}: {}", fact.member, fact.text.replace('\n', ";"))
    });
    assert_eq!(facts.collect::<Vec<_>>(), expected);
}

#[test]
fn python_locals_are_replaced_by_what_they_stand_for() {
    let source = r#"
class C:
    def run(self, given: Crawler, plain, other: "Optional[Other]" = None):
        given.stop()
        plain.stop()
        other.stop()
        self.inner.stop()
        made = make(1)
        again = made.part
        again.go()
        for each in given.all: each.go()
        for at, it in enumerate(made): it.go()
        with opened(x) as (a, b): a.go()
        with opened(x) as file: file.go()
        left, right = pair(), Right()
        right.go()
        one, two = both()
        two.go()
        twice = First()
        twice = Second()
        twice.go()
        maybe = None
        maybe = Third()
        maybe.go()
        loop = loop.next()
        loop.go()
        super().run().go()
        (await later()).go()
        cast("Deep", x).go()
        try: pass
        except Wrong as error: error.go()
        def inner(): made.deep()
"#;
    let expected = [
        ":Crawler; . stop",
        ":\"Optional[Other]\"; . stop",
        "@C;.inner . stop",
        "make().part . go",
        ":Crawler;.all* . go",
        "make()* . go",
        "opened()= . go",
        "Right() . go",
        "both()#1 . go",
        "Third() . go",
        "$C; . run",
        "$C;.run() . go",
        "later()! . go",
        ":\"Deep\"; . go",
        "Wrong() . go",
        "make() . deep",
    ];
    check_receivers(Language::Python, source, &expected);
}

#[test]
fn python_says_what_functions_give_and_members_are() {
    let source = r#"
app = Flask(__name__)
name: "App" = load()
class C:
    kind = Kind
    def __init__(self, crawler: Crawler, plain):
        self.crawler = crawler
        self.plain = plain
        self.none = None
        self.one = plain or One()
        self.typed: dict[str, Deep] = {}
    @property
    def first(self) -> "Deep": ...
    @classmethod
    def make(cls):
        if x: return None
        return cls(1)
    def each(self):
        for it in self.one: yield it.part
def twice():
    if x: return A()
    return B()
"#;
    let expected = [
        "app.: Flask()",
        "name.: :\"App\";",
        "C.crawler: :Crawler;",
        "C.first: @C;.first()",
        "C.one: One()",
        "C.typed: :dict[str, Deep];",
        "C.kind.: Kind",
        "C.first.: :\"Deep\";",
        "C.make.: ^C;()",
        "C.each.: @C;.one*.part+",
        "twice.: A()",
        "twice.: B()",
    ];
    check_types(Language::Python, source, &expected);
}

#[test]
fn typescript_locals_are_replaced_by_what_they_stand_for() {
    let source = r#"
function f(given: Context<E>, plain, { part }: P) {
  given.json()
  plain.json()
  const app = new Hono<E>()
  app.get()
  const { req, res: answer } = given
  req.header()
  answer.body()
  for (const route of app.routes) route.go()
  let late
  late = app.build()
  late!.go()
  ;(await app.fetch()).go()
  ;(plain as Deep).go()
  const either = x ? new A() : new B()
  either.go()
  app.on((inner) => inner.go(), () => given.go())
}
class C { m() { this.part.go(); super.m() } }
"#;
    let expected = [
        ":Context<E>; . json",
        "Hono() . get",
        ":Context<E>;.req . header",
        ":Context<E>;.res . body",
        "Hono().routes* . go",
        "Hono() . build",
        "Hono().build() . go",
        "Hono() . fetch",
        "Hono().fetch()! . go",
        ":Deep; . go",
        "Hono() . on",
        "Hono().on&~0 . go",
        ":Context<E>; . go",
        "@C;.part . go",
        "$C; . m",
    ];
    check_receivers(Language::TypeScript, source, &expected);
}

#[test]
fn typescript_says_what_functions_give_and_members_are() {
    let source = r#"
export const app = new Hono()
type Alias = Deep | null
interface Shape { part: Part; go(): Way }
class C {
  field: Field
  given = new Given()
  constructor(private readonly inner: Inner, plain: Plain) { this.plain = plain }
  get first(): First { return this.x }
  make() { return new Made(this.plain) }
}
const arrow = (): Promise<Made> => load()
const short = (a: Made) => a.part
"#;
    let expected = [
        "app.: Hono()",
        "Alias.: :Deep | null;",
        "Shape.part: :Part;",
        "Shape.go.: :Way;",
        "C.field: :Field;",
        "C.first: @C;.first()",
        "C.given: Given()",
        "C.inner: :Inner;",
        "C.plain: :Plain;",
        "C.constructor.&: :Inner;",
        "C.constructor.&: :Plain;",
        "C.first.: :First;",
        "C.make.: Made()",
        "arrow.: :Promise<Made>;",
        "short.: :Made;.part",
        "short.&: :Made;",
    ];
    check_types(Language::TypeScript, source, &expected);
}
