use super::{check, check_imports};
use crate::Language::Go;

#[test]
fn declarations_have_their_kinds_and_methods_their_receiver() {
    check(
        Go,
        r#"
package main
const Limit = 3
      ^^^^^ def constant Limit
var a, b = first(), 2
    ^ def variable a
       ^ def variable b
           ^^^^^ call first from a
type Reader struct { n int }
     ^^^^^^ def struct Reader
type Source interface { Read(n int) error }
     ^^^^^^ def interface Source
                        ^^^^ def method Source.Read in Source
type Name string
     ^^^^ def type Name
type Same = Name
     ^^^^ def type Same
func (r *Reader) Read(n int) error { return r.fill(r.n) }
                 ^^^^ def method Reader.Read
                                              ^^^^ call fill own Reader from Reader.Read
func (l List[T]) Len() int { return len(l.items) }
                 ^^^ def method List.Len
                                    ^^^ call len from List.Len
"#,
    );
}

#[test]
fn calls_are_seen_qualified_generic_deferred_and_literals_are_none() {
    check(
        Go,
        r#"
package main
func f(given func()) (result Reader) {
     ^ def function f
    given()
    ^^^^^ call given local from f
    fmt.Println(Reader{n: 1}, &Reader{})
        ^^^^^^^ call Println path fmt from f
    Map[int](x)
    ^^^ call Map from f
    Two[int, string](x)
    ^^^ call Two from f
    lib.Pick[int](x)
        ^^^^ call Pick path lib from f
    go work(); defer done()
       ^^^^ call work from f
                     ^^^^ call done from f
    x := func(g func()) { g() }
                          ^ call g local from f
    x()
    ^ call x local from f
    make().Run()
    ^^^^ call make from f
           ^^^ call Run value make() from f
    for _, each := range all() { each.Do() }
                         ^^^ call all from f
                                      ^^ call Do path each local from f
    return
}
"#,
    );
}

#[test]
fn a_receiver_that_is_bound_again_is_local() {
    check(
        Go,
        r#"
package main
func (r *Reader) Read() { for _, r := range all() { r.fill() } }
                 ^^^^ def method Reader.Read
                                            ^^^ call all from Reader.Read
                                                      ^^^^ call fill path r local from Reader.Read
"#,
    );
}

#[test]
fn imports_keep_paths_and_names() {
    check_imports(
        Go,
        r#"
package main
import "fmt"
import (
    short "example.com/m/long"
    . "example.com/m/dot"
    _ "example.com/m/blank"
)
"#,
        &[
            "fmt",
            "example.com/m/long as short",
            "example.com/m/dot glob",
            "example.com/m/blank as _",
        ],
    );
}
