//! What is known of a definition beside its name: comment, visibility, supertypes.

use crate::{Language, parse};

/// Returns `NAME VISIBILITY DOC` of each symbol, a line break in the comment as `/`.
fn described(language: Language, source: &str) -> Vec<String> {
    let parsed = parse(language, source.as_bytes());
    let line = |symbol: &crate::Symbol| {
        let doc = symbol.doc.replace('\n', "/");
        format!("{} {} {doc}", symbol.qualified_name(), symbol.visibility.name()).trim().to_owned()
    };
    parsed.symbols.iter().map(line).collect()
}

fn bases(language: Language, source: &str) -> Vec<String> {
    let parsed = parse(language, source.as_bytes());
    let text = |base: &crate::Base| match base.qualifier.as_str() {
        "" => format!("{} < {}", base.subtype, base.supertype),
        qualifier => format!("{} < {qualifier}.{}", base.subtype, base.supertype),
    };
    parsed.bases.iter().map(text).collect()
}

#[test]
fn python_has_docstrings_comments_and_underscores() {
    let source = r#"
# Says hello.
def hello():
    """Greets.

    Twice.
    """
# Not for others.
@cached
def _hidden(): pass
x = 1  # behind

def plain(): pass
class C:
    'One.'
    def __init__(self): pass
"#;
    let expected = [
        "hello public Greets./Twice.",
        "_hidden private Not for others.",
        "x public",
        "plain public",
        "C public One.",
        "C.__init__ public",
    ];
    assert_eq!(described(Language::Python, source), expected);
}

#[test]
fn rust_has_doc_comments_above_attributes_and_three_visibilities() {
    let source = r"
/// Reads
/// twice.
#[inline]
pub fn read() {}
pub(crate) struct S;
/* old */
fn own() {}

/// Lost.

trait T { fn t(&self); }
impl T for a::S<u8> { fn t(&self) { fn inner() {} } }
impl S { fn s(&self) {} }
pub enum E { One }
";
    let expected = [
        "read public Reads/twice.",
        "S restricted",
        "own private old",
        "T private",
        "T.t public",
        "S.t public",
        "S.t.inner private",
        "S.s private",
        "E public",
        "E.One public",
    ];
    assert_eq!(described(Language::Rust, source), expected);
    assert_eq!(bases(Language::Rust, source), ["S < T"]);
    assert_eq!(
        bases(Language::Rust, "trait A: B + m::C<u8> {}\nimpl<T> D for T {}"),
        ["A < B", "A < C", "T < D"]
    );
}

#[test]
fn ecma_has_exports_accessibility_and_heritage() {
    let source = r"
/** Makes. */
export function make() {}
function own() {}
// Holds.
export default class A<T> extends b.Base<T> implements One, Two<T> {
    private secret() {}
    protected near() {}
    /** Open. */
    open() {}
}
interface I extends J, K {}
export const f = () => 1;
";
    let expected = [
        "make public Makes.",
        "own private",
        "A public Holds.",
        "A.secret private",
        "A.near restricted",
        "A.open public Open.",
        "I private",
        "f public",
    ];
    assert_eq!(described(Language::TypeScript, source), expected);
    assert_eq!(
        bases(Language::TypeScript, source),
        ["A < b.Base", "A < One", "A < Two", "I < J", "I < K"]
    );
    assert_eq!(bases(Language::JavaScript, "class A extends B {}"), ["A < B"]);
}

#[test]
fn go_has_comments_and_capitals() {
    let source = "package p\n\n// Read reads.\n// All of it.\nfunc Read() {}\n\n// T is one.\ntype T struct{}\nfunc (t T) own() {}\n";
    let expected = ["Read public Read reads./All of it.", "T public T is one.", "T.own restricted"];
    assert_eq!(described(Language::Go, source), expected);
}

#[test]
fn java_has_javadoc_modifiers_and_supertypes() {
    let source = r"
/**
 * Reads.
 */
@Deprecated
public class A extends x.Base<T> implements One, Two {
    /** n. */
    private int n;
    protected void near() {}
    void pack() {}
}
interface I extends J { void open(); }
";
    let expected = [
        "A public Reads.",
        "A.n private n.",
        "A.near restricted",
        "A.pack restricted",
        "I restricted",
        "I.open public",
    ];
    assert_eq!(described(Language::Java, source), expected);
    assert_eq!(bases(Language::Java, source), ["A < Base", "A < One", "A < Two", "I < J"]);
}

#[test]
fn c_has_statics_and_cpp_access_and_bases() {
    let c = "/* Adds. */\nstatic int add(int a) { return a; }\n\n// Open.\nint open_it(void) { return 0; }\n";
    assert_eq!(described(Language::C, c), ["add private Adds.", "open_it public Open."]);
    let source = r"
/// Holds.
template <typename T>
class A : public ns::Base<T>, private Other {
    void own() {}
public:
    // Goes.
    void go() {}
protected:
    void near() {}
};
struct S { void open() {} };
";
    let expected = [
        "A public Holds.",
        "A.own private",
        "A.go public Goes.",
        "A.near restricted",
        "S public",
        "S.open public",
    ];
    assert_eq!(described(Language::Cpp, source), expected);
    assert_eq!(bases(Language::Cpp, source), ["A < Base", "A < Other"]);
}

#[test]
fn python_bases_leave_out_what_is_no_type() {
    let source = "class A(b.Base, Generic[T], metaclass=M): pass\n";
    assert_eq!(bases(Language::Python, source), ["A < b.Base", "A < Generic"]);
}
