use super::{check, check_imports};
use crate::Language::{JavaScript, Tsx, TypeScript};

#[test]
fn typescript_declarations_have_their_kinds() {
    check(
        TypeScript,
        r#"
export function plain(a: number): void {}
                ^^^^^ def function plain
export const arrow = async (x: string) => { x.trim(); };
             ^^^^^ def function arrow
                                              ^^^^ call trim path x local from arrow
export const LIMIT = 3;
             ^^^^^ def constant LIMIT
let state = start();
    ^^^^^ def variable state
            ^^^^^ call start from state
interface Shape { area(): number; name: string }
          ^^^^^ def interface Shape
                  ^^^^ def method Shape.area in Shape
type Pair = [number, number];
     ^^^^ def type Pair
enum Colour { Red, Green = 2 }
     ^^^^^^ def enum Colour
              ^^^ def variant Colour.Red in Colour
                   ^^^^^ def variant Colour.Green in Colour
namespace Space { export function inside() {} }
          ^^^^^ def module Space
                                  ^^^^^^ def function Space.inside in Space
abstract class Base { abstract go(): void; }
               ^^^^ def class Base
                               ^^ def method Base.go in Base
"#,
    );
}

#[test]
fn classes_own_their_methods_and_this_means_them() {
    check(
        TypeScript,
        r#"
class Reader extends Base {
      ^^^^^^ def class Reader
    constructor(private n: number) { super(n); }
    ^^^^^^^^^^^ def method Reader.constructor in Reader
    read = () => this.fill();
    ^^^^ def method Reader.read in Reader
                      ^^^^ call fill own Reader from Reader.read
    #hide() { [1].map(() => this.read()); }
    ^^^^^ def method Reader.#hide in Reader
                  ^^^ call map value [1] from Reader.#hide
                                 ^^^^ call read own Reader from Reader.#hide
    lost() { each(function () { this.read(); }); }
    ^^^^ def method Reader.lost in Reader
             ^^^^ call each from Reader.lost
                                     ^^^^ call read path this from Reader.lost
}
"#,
    );
}

#[test]
fn construction_elements_and_decorators_are_calls() {
    check(
        Tsx,
        r#"
const Page = ({ title }) => <Layout><Menu.Item x={label()} /><div>{new Date().now()}</div></Layout>;
      ^^^^ def function Page
                             ^^^^^^ call Layout element from Page
                                          ^^^^ call Item path Menu element from Page
                                                  ^^^^^ call label from Page
                                                                       ^^^^ call Date new from Page
                                                                              ^^^ call now value new Date() from Page
@injectable
 ^^^^^^^^^^ call injectable decorator from Service
class Service {}
      ^^^^^^^ def class Service
"#,
    );
}

#[test]
fn javascript_objects_prototypes_and_exports_define_functions() {
    check(
        JavaScript,
        r#"
const api = { get() { return this.put(); }, put: (x) => send(x) };
      ^^^ def variable api
              ^^^ def method api.get in api
                                  ^^^ call put own api from api.get
                                            ^^^ def method api.put in api
                                                        ^^^^ call send from api.put
Reader.prototype.read = function (n) { return this.fill(n); };
                 ^^^^ def method Reader.read
                                                   ^^^^ call fill own Reader from Reader.read
exports.open = () => helper();
        ^^^^ def function open
                     ^^^^^^ call helper from open
function* steps(first) { yield first(); let second = 1; second(); }
          ^^^^^ def function steps
                               ^^^^^ call first local from steps
                                                        ^^^^^^ call second local from steps
"#,
    );
}

#[test]
fn imports_requires_and_reexports_are_told_apart() {
    check_imports(
        TypeScript,
        r#"
import main, { a, b as c } from "./m";
import * as space from 'pkg';
import "./effect";
export { d as e } from "./n";
export * from "./o";
export * as p from "./q";
const whole = require("./r");
const { f, g: h } = require("./s");
"#,
        &[
            "./m name default as main",
            "./m name a",
            "./m name b as c",
            "pkg as space",
            "./effect as ",
            "./n name d as e reexport unusable",
            "./o glob reexport unusable",
            "./q as p reexport unusable",
            "./r as whole",
            "./s name f",
            "./s name g as h",
        ],
    );
}

#[test]
fn what_module_exports_is_handed_on() {
    check_imports(
        JavaScript,
        r#"
module.exports = start;
exports.f = g;
module.exports.h = h;
module.exports = { a, b: c, "d": e, f: () => {}, [g]: h };
module.exports = function () { exports.inner = start; };
other.exports = start;
module.other = start;
"#,
        &[
            " name start as default reexport unusable",
            " name g as f reexport unusable",
            " name h as h reexport unusable",
            " name a reexport unusable",
            " name c as b reexport unusable",
            " name exports as default reexport unusable",
        ],
    );
}

#[test]
fn call_signatures_without_semicolons_and_exported_types_are_understood() {
    check(
        TypeScript,
        r#"
export type * from './types'
interface Handler<A> {
          ^^^^^^^ def interface Handler
  // one
  <B extends A>(
    x: B
  ): Handler<B>

  // two
  <C>(
    ...x: [A, C]
  ): Handler<C>
}
type After = number
     ^^^^^ def type After
"#,
    );
}
