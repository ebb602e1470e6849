use super::{check, check_imports};
use crate::Language::Java;

#[test]
fn types_members_and_constants_have_their_kinds() {
    check(
        Java,
        r#"
package com.example;
public class Reader<T> extends Base implements Source {
             ^^^^^^ def class Reader
    private int count = first();
                ^^^^^ def variable Reader.count in Reader
                        ^^^^^ call first own Reader from Reader.count
    static final int LIMIT = 3, MORE = 4;
                     ^^^^^ def constant Reader.LIMIT in Reader
                                ^^^^ def constant Reader.MORE in Reader
    Reader(int n) { this(n, 1); }
    ^^^^^^ def method Reader.Reader in Reader
    @Override public int read(int n) throws IOException { return fill(n); }
                         ^^^^ def method Reader.read in Reader
                                                                 ^^^^ call fill own Reader from Reader.read
    static class Inner { void go() { this.stop(); } }
                 ^^^^^ def class Reader.Inner in Reader
                              ^^ def method Reader.Inner.go in Reader.Inner
                                          ^^^^ call stop own Reader.Inner from Reader.Inner.go
}
interface Source { int read(int n); int MAX = 9; }
          ^^^^^^ def interface Source
                       ^^^^ def method Source.read in Source
                                        ^^^ def constant Source.MAX in Source
enum Colour { RED(1), BLUE { void paint() {} }; Colour(int n) {} }
     ^^^^^^ def enum Colour
              ^^^ def variant Colour.RED in Colour
                      ^^^^ def variant Colour.BLUE in Colour
                                  ^^^^^ def method Colour.BLUE.paint in Colour.BLUE
                                                ^^^^^^ def method Colour.Colour in Colour
record Point(int x, int y) { Point { check(x); } }
       ^^^^^ def class Point
                             ^^^^^ def method Point.Point in Point
                                     ^^^^^ call check own Point from Point.Point
@interface Marked { String value() default ""; }
           ^^^^^^ def interface Marked
                           ^^^^^ def method Marked.value in Marked
"#,
    );
}

#[test]
fn calls_are_seen_with_what_stands_before_them() {
    check(
        Java,
        r#"
class A {
      ^ def class A
    void f(List<String> given) {
         ^ def method A.f in A
        given.stream().map(x -> x.trim()).toList();
              ^^^^^^ call stream path given local from A.f
                       ^^^ call map value given.stream() local from A.f
                                  ^^^^ call trim path x local from A.f
                                          ^^^^^^ call toList value given.stream().map(x -> x.trim()) local from A.f
        Collections.sort(given);
                    ^^^^ call sort path Collections from A.f
        var made = new ArrayList<String>(3);
                       ^^^^^^^^^ call ArrayList new from A.f
        Object far = new java.util.Date();
                                   ^^^^ call Date path java.util new from A.f
        made.add(super.name());
             ^^^ call add path made local from A.f
                       ^^^^ call name path super from A.f
        new Thread() { public void run() { work(); } }.start();
            ^^^^^^ call Thread new from A.f
                                   ^^^ def method A.f.run in A.f
                                           ^^^^ call work from A.f.run
                                                       ^^^^^ call start value new Thread() { public void run() { work(); } } from A.f
        if (far instanceof Point p) p.move();
                                      ^^^^ call move path p local from A.f
    }
}
"#,
    );
}

#[test]
fn imports_name_types_members_and_packages() {
    check_imports(
        Java,
        "import java.util.List;\nimport java.io.*;\nimport static a.b.C.f;\nimport static a.b.C.*;\n",
        &["java.util name List", "java.io glob", "a.b.C name f", "a.b.C glob"],
    );
}
