use super::{check, check_imports};
use crate::Language::Rust;

#[test]
fn items_have_their_kinds_and_impls_give_methods_their_type() {
    check(
        Rust,
        r#"
const LIMIT: usize = 3;
      ^^^^^ def constant LIMIT
static NAMES: &[&str] = &[];
       ^^^^^ def variable NAMES
struct Reader<'a, T>(&'a T);
       ^^^^^^ def struct Reader
enum Shape { Round(f32), Flat }
     ^^^^^ def enum Shape
             ^^^^^ def variant Shape.Round in Shape
                         ^^^^ def variant Shape.Flat in Shape
union Bits { a: u8 }
      ^^^^ def union Bits
type Pair = (u8, u8);
     ^^^^ def type Pair
trait Area {
      ^^^^ def trait Area
    type Unit;
         ^^^^ def type Area.Unit in Area
    fn area(&self) -> f32;
       ^^^^ def method Area.area in Area
}
impl<'a, T> Area for Reader<'a, T> {
    fn area(&self) -> f32 { 0.0 }
       ^^^^ def method Reader.area
}
mod inner {
    ^^^^^ def module inner
    impl super::Shape { pub fn new() -> Self { todo() } }
                               ^^^ def method inner.Shape.new in inner
                                               ^^^^ call todo from inner.Shape.new
}
macro_rules! twice { ($x:expr) => { go($x) } }
             ^^^^^ def macro twice
"#,
    );
}

#[test]
fn calls_are_seen_scoped_generic_and_on_values() {
    check(
        Rust,
        r#"
fn main() {
   ^^^^ def function main
    plain();
    ^^^^^ call plain from main
    a::b::scoped();
          ^^^^^^ call scoped path a::b from main
    Vec::<u8>::with_capacity(1);
               ^^^^^^^^^^^^^ call with_capacity path Vec from main
    generic::<u8>();
    ^^^^^^^ call generic from main
    value.method().chained::<u8>()?;
          ^^^^^^ call method value value from main
                   ^^^^^^^ call chained value value.method() from main
    <T as Area>::area(x);
                 ^^^^ call area value <T as Area> from main
    (table[0])(1);
}
"#,
    );
}

#[test]
fn own_methods_know_their_type() {
    check(
        Rust,
        r#"
impl Reader {
    fn read(&self) { self.fill(); Self::open(); self.inner.fill(); }
       ^^^^ def method Reader.read
                          ^^^^ call fill own Reader from Reader.read
                                        ^^^^ call open own Reader from Reader.read
                                                           ^^^^ call fill value self.inner from Reader.read
}
"#,
    );
}

#[test]
fn well_known_macros_are_read_as_expressions_and_others_are_left_alone() {
    check(
        Rust,
        r#"
fn f() {
   ^ def function f
    println!("{} {x}", inner(1), x = named());
    ^^^^^^^ call println macro from f
                       ^^^^^ call inner from f
                                     ^^^^^ call named from f
    assert!(vec![one(); 3].is_empty(), "why: {}", two())
    ^^^^^^ call assert macro from f
            ^^^ call vec macro from f
                 ^^^ call one from f
                           ^^^^^^^^ call is_empty value vec![one(); 3] from f
                                                  ^^^ call two from f
    ;
    matches!(get(), Some(x) | Other(x));
    ^^^^^^^ call matches macro from f
             ^^^ call get from f
    quote! { strange(#x) };
    ^^^^^ call quote macro from f
    tokio::join!(left(), right());
           ^^^^ call join path tokio macro from f
                 ^^^^ call left from f
                         ^^^^^ call right from f
}
"#,
    );
}

#[test]
fn parameters_variables_and_closures_make_a_name_local() {
    check(
        Rust,
        r#"
fn f(given: impl Fn()) {
   ^ def function f
    given();
    ^^^^^ call given local from f
    let bound = |arg: fn()| arg();
                            ^^^ call arg local from f
    bound();
    ^^^^^ call bound local from f
    if let Some(found) = free() { found(); }
                         ^^^^ call free from f
                                  ^^^^^ call found local from f
}
fn g() { given(); }
   ^ def function g
         ^^^^^ call given from g
"#,
    );
}

#[test]
fn use_trees_are_flattened() {
    check_imports(
        Rust,
        r#"
use std::io;
use crate::a::{self, b::{c, d as e}, f::*};
pub use self::x::Y;
mod tests { use super::*; }
extern crate serde as s;
use log;
"#,
        &[
            "std name io",
            "crate name a",
            "crate::a::b name c",
            "crate::a::b name d as e",
            "crate::a::f glob",
            "self::x name Y reexport",
            "super glob inside tests",
            "serde as s",
            "log",
        ],
    );
}

#[test]
fn bodies_that_read_as_items_or_expressions_are_read_and_others_are_not() {
    check(
        Rust,
        r#"
cfg_rt! {
^^^^^^ call cfg_rt macro
    use crate::task;
    pub fn spawn() { task::begin(); }
           ^^^^^ def function spawn
                           ^^^^^ call begin path task from spawn
    impl Handle { fn enter(&self) { self.leave() } }
                     ^^^^^ def method Handle.enter
                                         ^^^^^ call leave own Handle from Handle.enter
}
fn after() {
   ^^^^^ def function after
    same!(one(), |x| two(x));
    ^^^^ call same macro from after
          ^^^ call one from after
                     ^^^ call two from after
    quote! { #x three(); }
    ^^^^^ call quote macro from after
    strange!(x => four());
    ^^^^^^^ call strange macro from after
    select! { x = five() => six(x) }
    ^^^^^^ call select macro from after
                  ^^^^ call five from after
                            ^^^ call six from after
}
mod inner {
    ^^^^^ def module inner
    cfg_fs! { fn open() {} }
    ^^^^^^ call cfg_fs macro from inner
                 ^^^^ def function inner.open in inner
}
"#,
    );
    check_imports(Rust, "a! { use b::c; }\nuse d::e;\n", &["b name c", "d name e"]);
}
