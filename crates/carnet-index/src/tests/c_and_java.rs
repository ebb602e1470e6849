use super::check_callers;

#[test]
fn c_sees_its_own_file_first_and_then_what_others_let_it_see() {
    check_callers(
        &[
            ("a.c", "static int f(void) { return 1; }\nint g(void) { return f(); }\n"),
            ("b.c", "int f(void);\nint f(void) { return 2; }\nint h(void) { return f(); }\n"),
            ("c.c", "int f(void);\nint k(void) { return f(); }\n"),
        ],
        "f",
        &[
            "a.c:2 in g same-scope -> a.c:f",
            "b.c:3 in h same-scope -> b.c:f",
            "c.c:2 in k linkage -> b.c:f",
        ],
    );
}

#[test]
fn c_keeps_statics_to_themselves_headers_open_and_doubles_ambiguous() {
    check_callers(
        &[("a.c", "static int f(void) { return 1; }\n"), ("c.c", "int k(void) { return f(); }\n")],
        "f",
        &["c.c:1 in k name-only"],
    );
    check_callers(
        &[
            ("max.h", "#define max(a, b) ((a) > (b) ? (a) : (b))\n"),
            ("c.c", "#include \"max.h\"\nint k(void) { return max(1, 2); }\n"),
        ],
        "max",
        &["c.c:2 in k linkage -> max.h:max"],
    );
    check_callers(
        &[
            ("a/main.c", "int main(void) { return 1; }\nint usage(void) { return 1; }\n"),
            ("b/main.c", "int usage(void) { return 2; }\n"),
            ("c.c", "int k(void) { return usage(); }\n"),
        ],
        "usage",
        &["c.c:1 in k ambiguous"],
    );
}

#[test]
fn cpp_looks_outward_from_its_type_through_the_namespaces() {
    check_callers(
        &[
            ("r.h", "namespace store {\nclass R { void close(); void go() { close(); } };\n}\n"),
            ("r.cc", "void store::R::close() { this->close(); }\n"),
            (
                "n.cc",
                "namespace store {\nvoid close() {}\nvoid use() { close(); R::close(); }\n}\n",
            ),
            ("o.cc", "void use() { store::close(); }\n"),
        ],
        "close",
        &[
            "n.cc:3 in store.use same-scope -> n.cc:store.close",
            "n.cc:3 in store.use path -> r.cc:store.R.close",
            "o.cc:1 in use path -> n.cc:store.close",
            "r.cc:1 in store.R.close own-type -> r.cc:store.R.close",
            "r.h:2 in store.R.go linkage -> r.cc:store.R.close",
        ],
    );
}

#[test]
fn java_methods_are_those_of_the_types_around_and_of_imported_types() {
    check_callers(
        &[
            (
                "src/main/java/a/b/Tool.java",
                "package a.b;\nclass Tool {\n static void f() {}\n class In { void g() { f(); } }\n void h() { this.f(); }\n}\n",
            ),
            (
                "src/main/java/a/b/Near.java",
                "package a.b;\nclass Near { void g() { Tool.f(); } }\n",
            ),
            (
                "src/main/java/c/Far.java",
                "package c;\nimport a.b.Tool;\nclass Far { void g(Tool t) { Tool.f(); t.f(); } }\n",
            ),
            (
                "src/main/java/c/Fixed.java",
                "package c;\nimport static a.b.Tool.f;\nclass Fixed { void g() { f(); } }\n",
            ),
            ("src/main/java/c/No.java", "package c;\nclass No { void g() { Tool.f(); f(); } }\n"),
        ],
        "f",
        &[
            "src/main/java/a/b/Near.java:2 in Near.g same-package -> src/main/java/a/b/Tool.java:Tool.f",
            "src/main/java/a/b/Tool.java:4 in Tool.In.g own-type -> src/main/java/a/b/Tool.java:Tool.f",
            "src/main/java/a/b/Tool.java:5 in Tool.h own-type -> src/main/java/a/b/Tool.java:Tool.f",
            "src/main/java/c/Far.java:3 in Far.g path -> src/main/java/a/b/Tool.java:Tool.f",
            "src/main/java/c/Fixed.java:3 in Fixed.g import -> src/main/java/a/b/Tool.java:Tool.f",
            "src/main/java/c/Far.java:3 in Far.g local-name",
            "src/main/java/c/No.java:2 in No.g name-only",
            "src/main/java/c/No.java:2 in No.g name-only",
        ],
    );
}

#[test]
fn java_types_are_constructed_from_imports_nests_and_the_package() {
    check_callers(
        &[
            ("a/Out.java", "package a;\nclass Out { static class In {} void g() { new In(); } }\n"),
            ("c/Far.java", "package c;\nimport a.Out.In;\nclass Far { void g() { new In(); } }\n"),
        ],
        "In",
        &[
            "a/Out.java:2 in Out.g same-scope -> a/Out.java:Out.In",
            "c/Far.java:3 in Far.g import -> a/Out.java:Out.In",
        ],
    );
}
