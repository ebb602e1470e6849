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

#[test]
fn go_names_stand_for_what_they_are_given_until_their_block_ends() {
    let source = r#"
package p
func (c *Conn) Run(in Reader, rest ...*Line) (out Writer) {
	c.part.stop()
	in.stop()
	rest[0].stop()
	out.stop()
	made, err := make_(in)
	made.stop()
	if made := other(); made.ok() { made.stop() }
	made.stop()
	for _, it := range made.all { it.stop() }
	v, ok := x.(*Deep)
	v.stop()
	(&T{}).stop()
	stop := stop()
}
"#;
    let expected = [
        ":*Conn;.part . stop",
        ":Reader; . stop",
        ":[]*Line;[] . stop",
        ":Writer; . stop",
        "make_()#0 . stop",
        "other() . ok",
        "other() . stop",
        "make_()#0 . stop",
        "make_()#0.all[] . stop",
        ":*Deep; . stop",
        ":T; . stop",
    ];
    check_receivers(Language::Go, source, &expected);
    let source = "package p\ntype T struct { a, b []X; *Inner; q.Other }\ntype I interface { Get() (*X, error); J }\n\
                  var v = New()\nfunc New() *T { return nil }\n";
    let expected = [
        "T.+: :Inner;",
        "T.+: :q.Other;",
        "T.Inner: :Inner;",
        "T.Other: :q.Other;",
        "T.a: :[]X;",
        "T.b: :[]X;",
        "I.+: :J;",
        "I.J: :J;",
        "I.Get.: :(*X, error);",
        "v.: New()",
        "New.: :*T;",
    ];
    check_types(Language::Go, source, &expected);
}

#[test]
fn rust_names_stand_for_what_they_are_given_until_another_hides_them() {
    let source = r#"
impl<M: Match> Reader<M> {
    fn run(&mut self, m: &M, (a, b): (A, B)) {
        self.part.stop();
        m.stop();
        b.stop();
        let x = Some(made(1))?;
        x.stop();
        let x = x.inner()[0].stop();
        x.stop();
        if let Some(x) = self.find() { x.stop(); }
        match x { Kind::One(ref y) => y.stop(), Kind::Two { z, .. } => z.stop(), Err(e) => e.stop() }
        for y in &self.all { y.stop(); }
        self.all.iter().map(|it| it.stop());
        let y: Vec<_> = Self::open(x);
        y.stop();
        Arc::new(T { a: 1 }).stop();
        a::b::C::<u8>::d().await.stop();
    }
}
"#;
    let expected = [
        "@Reader;.part . stop",
        ":Match; . stop",
        ":(A, B);#1 . stop",
        "made()! . stop",
        "made()! . inner",
        "made()!.inner()[] . stop",
        "made()!.inner()[].stop() . stop",
        "@Reader; . find",
        "@Reader;.find()! . stop",
        "Kind::One.0 . stop",
        "Kind::Two.z . stop",
        "@Reader;.all* . stop",
        "@Reader;.all . iter",
        "@Reader;.all.iter() . map",
        "@Reader;.all.iter()* . stop",
        "^Reader;.open() . stop",
        ":T; . stop",
        "a::b::C.d() . stop",
    ];
    check_receivers(Language::Rust, source, &expected);
    let source = "struct S { a: Vec<X> }\nstruct P(pub A, B);\nenum E { V(A), W { x: X } }\nfn f<T>(t: T) -> Option<T> where T: Into<X> { None }\n\
                  type A = B;\nimpl I for S { type Item = X; }\n";
    let expected = [
        "S.a: :Vec<X>;",
        "P.0: :A;",
        "P.1: :B;",
        "E.V.0: :A;",
        "E.W.x: :X;",
        "f.: :Option<T>;",
        "A.: :B;",
        "S.Item.: :X;",
    ];
    check_types(Language::Rust, source, &expected);
}
