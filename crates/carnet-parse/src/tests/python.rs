use super::{check, check_imports};
use crate::Language::Python;

#[test]
fn classes_functions_and_variables_have_their_kinds() {
    check(
        Python,
        r#"
LIMIT = 3
^^^^^ def constant LIMIT
table: dict = build()
^^^^^ def variable table
              ^^^^^ call build from table
class Reader(Base):
      ^^^^^^ def class Reader
    size = 1
    ^^^^ def variable Reader.size in Reader
    async def read(self, n):
              ^^^^ def method Reader.read in Reader
        def helper():
            ^^^^^^ def function Reader.read.helper in Reader.read
            pass
        class Inner:
              ^^^^^ def class Reader.read.Inner in Reader.read
            def go(self): pass
                ^^ def method Reader.read.Inner.go in Reader.read.Inner
type Pair = tuple[int, int]
     ^^^^ def type Pair
"#,
    );
}

#[test]
fn calls_know_their_receiver() {
    check(
        Python,
        r#"
class Reader:
      ^^^^^^ def class Reader
    def read(self):
        ^^^^ def method Reader.read in Reader
        self.fill()
             ^^^^ call fill own Reader from Reader.read
        self.inner.fill()
                   ^^^^ call fill path self.inner local from Reader.read
        super().read()
                ^^^^ call read value super() from Reader.read
        ^^^^^ call super from Reader.read
        os.path.join(*map(str, []))
                ^^^^ call join path os.path from Reader.read
                      ^^^ call map from Reader.read
    @classmethod
     ^^^^^^^^^^^ call classmethod decorator from Reader
    def make(cls): return cls.build()
        ^^^^ def method Reader.make in Reader
                              ^^^^^ call build own Reader from Reader.make
"#,
    );
}

#[test]
fn decorators_call_what_they_name() {
    check(
        Python,
        r#"
@plain
 ^^^^^ call plain decorator
@app.route("/")
     ^^^^^ call route path app
@functools.cache
           ^^^^^ call cache path functools decorator
def page(): pass
    ^^^^ def function page
"#,
    );
}

#[test]
fn local_names_are_known_as_such() {
    check(
        Python,
        r#"
def f(given, *rest):
    ^ def function f
    given()
    ^^^^^ call given local from f
    with opened() as file:
         ^^^^^^ call opened from f
        file.read()
             ^^^^ call read path file local from f
    for each, other in items: each(); other()
                              ^^^^ call each local from f
                                      ^^^^^ call other local from f
    later = lambda x: x(given)
                      ^ call x local from f
    [y() for y in rest]; y()
     ^ call y local from f
                         ^ call y from f
    later()
    ^^^^^ call later local from f
"#,
    );
}

#[test]
fn imports_keep_dots_names_and_aliases() {
    check_imports(
        Python,
        r#"
import os, a.b as c
import d.e.f
from . import x
from ..pkg.mod import f as g, h
from star import *
def late():
    import lazy
"#,
        &[
            "os",
            "a.b as c",
            "d",
            "d.e.f",
            ". name x",
            "..pkg.mod name f as g",
            "..pkg.mod name h",
            "star glob",
            "lazy inside late",
        ],
    );
}
