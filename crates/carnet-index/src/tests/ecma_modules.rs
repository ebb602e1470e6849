use super::{callers_text, check_callers, current, refresh, snapshot_of};
use crate::IndexStore;

const F: &str = "export function f(): void {}\n";

/// Checks the file that `f()` means in a file beside `user` that imports `f` from a module.
#[track_caller]
fn check(files: &[(&str, &str)], user: &str, cases: &[(&str, Option<&str>)]) {
    let (stem, ending) = user.rsplit_once('.').unwrap();
    let users = cases.iter().enumerate().map(|(at, (module, _))| {
        (format!("{stem}{at}.{ending}"), format!("import {{ f }} from '{module}'\nf()\n"))
    });
    let users: Vec<_> = users.collect();
    let all = users.iter().map(|(path, source)| (path.as_str(), source.as_str()));
    let (_dir, snapshot) = snapshot_of(&files.iter().copied().chain(all).collect::<Vec<_>>());
    let callers = snapshot.who_calls("f").unwrap();
    let sites: Vec<_> = callers.resolved.iter().chain(&callers.candidates).collect();
    for ((path, _), (module, expected)) in users.iter().zip(cases) {
        let site = sites.iter().find(|site| site.path.to_string() == *path);
        let target = site.expect("because the file has the call").target.as_ref();
        let target = target.map(|place| place.path.to_string());
        assert_eq!(target.as_deref(), *expected, "{path}: {module}");
    }
}

#[test]
fn paths_of_the_nearest_configuration_are_followed() {
    let files = [
        (
            "tsconfig.json",
            "{ // the application\n \"compilerOptions\": { \"paths\": {\n  \"@/*\": [\"./gone/*\", \"./src/*\"],\n  \"@/deep/*\": [\"./src/other/*\"],\n  \"exact\": [\"./src/exact.ts\"],\n  \"*.styled\": [\"./src/styled/*\"],\n }, /* end */ },\n}\n",
        ),
        ("src/a.ts", F),
        ("src/index.ts", F),
        ("src/exact.ts", F),
        ("src/other/x.ts", F),
        ("src/deep/x.ts", F),
        ("src/styled/b.tsx", F),
        ("inner/jsconfig.json", "{\"compilerOptions\": {\"paths\": {\"@/*\": [\"./*\"]}}}"),
        ("inner/a.js", "export function f() {}\n"),
        ("odd/tsconfig.json", "{\"compilerOptions\": {\"paths\": {\"@/*\": [\"./*\"]}"),
        ("odd/a.ts", F),
    ];
    let expected = [
        ("@/a", Some("src/a.ts")),
        ("@/a.js", Some("src/a.ts")),
        ("@/", Some("src/index.ts")),
        ("@/deep/x", Some("src/other/x.ts")),
        ("exact", Some("src/exact.ts")),
        ("b.styled", Some("src/styled/b.tsx")),
        ("@/none", None),
        ("exact/a", None),
        ("src/a", None),
        ("react", None),
        ("/src/a", None),
        ("", None),
    ];
    check(&files, "src/app/use.ts", &expected);
    check(&files, "inner/x/use.ts", &[("@/a", Some("inner/a.js")), ("exact", None)]);
    // What is damaged is not skipped for the one above it.
    check(&files, "odd/use.ts", &[("@/a", None), ("exact", None)]);
}

#[test]
fn base_url_and_what_is_extended_are_followed() {
    let files = [
        (
            "tsconfig.base.json",
            "{\"compilerOptions\": {\"baseUrl\": \".\", \"paths\": {\"~/*\": [\"libs/*\"], \"${x}\": []}}}",
        ),
        ("libs/a.ts", F),
        ("apps/one/tsconfig.json", "{\"extends\": \"../../tsconfig.base\"}"),
        ("apps/one/a.ts", F),
        (
            "apps/two/tsconfig.json",
            "{\"extends\": [\"@tsconfig/node18/tsconfig.json\", \"../../tsconfig.base.json\", \"./tsconfig.own.json\"]}",
        ),
        (
            "apps/two/tsconfig.own.json",
            "{\"compilerOptions\": {\"baseUrl\": \"${configDir}/src\", \"paths\": {\"own/*\": [\"*\"]}}}",
        ),
        ("apps/two/src/a.ts", F),
        (
            "apps/circle/tsconfig.json",
            "{\"extends\": \"./tsconfig.other.json\", \"compilerOptions\": {\"baseUrl\": \".\"}}",
        ),
        ("apps/circle/tsconfig.other.json", "{\"extends\": \"./tsconfig.json\"}"),
        ("apps/circle/a.ts", F),
        (
            "apps/lost/tsconfig.json",
            "{\"extends\": \"./.made/tsconfig.json\", \"compilerOptions\": {\"baseUrl\": \".\"}}",
        ),
        ("apps/lost/a.ts", F),
    ];
    let one = [("~/a", Some("libs/a.ts")), ("libs/a", Some("libs/a.ts")), ("a", None)];
    check(&files, "apps/one/use.ts", &one);
    let two =
        [("own/a", Some("apps/two/src/a.ts")), ("a", Some("apps/two/src/a.ts")), ("~/a", None)];
    check(&files, "apps/two/use.ts", &two);
    check(&files, "apps/circle/use.ts", &[("a", None), ("./a", Some("apps/circle/a.ts"))]);
    check(&files, "apps/lost/use.ts", &[("a", None)]);
}

#[test]
fn projects_that_are_referred_to_have_the_paths_where_they_agree() {
    let of = |target: &str| {
        format!("{{\"compilerOptions\": {{\"paths\": {{\"@/*\": [\"./{target}/*\"]}}}}}}")
    };
    let root = "{\"files\": [], \"references\": [{\"path\": \"./tsconfig.app.json\"}, {\"path\": \"tool\"}]}";
    let (app, tool) = (of("src"), of("src"));
    let files = [
        ("tsconfig.json", root),
        ("tsconfig.app.json", app.as_str()),
        ("tool/tsconfig.json", tool.as_str()),
        ("src/a.ts", F),
        ("src/b.ts", F),
        ("tool/src/b.ts", F),
    ];
    check(&files, "src/use.ts", &[("@/a", Some("src/a.ts")), ("@/b", None)]);
}

#[test]
fn packages_of_the_repository_are_found_by_name() {
    let files = [
        (
            "packages/core/package.json",
            r#"{"name": "@acme/core", "exports": {
                ".": {"types": "./dist/index.d.ts", "import": "./dist/index.mjs"},
                "./x": "./dist/esm/x.js", "./sub/*": {"import": "./dist/sub/*.js"},
                "./sub/secret": null, "./both": "./dist/both.js", "./gone": "./dist/gone.js",
                "./out": "../../outside.js"}}"#,
        ),
        ("packages/core/src/index.ts", "export * from './inner'\n"),
        ("packages/core/src/inner.ts", F),
        ("packages/core/src/x.ts", F),
        ("packages/core/src/sub/a.ts", F),
        ("packages/core/src/sub/secret.ts", F),
        ("packages/core/src/both.ts", F),
        ("packages/core/both.ts", F),
        ("outside.ts", F),
        ("packages/plain/package.json", r#"{"name": "plain", "main": "dist/bundle.js"}"#),
        ("packages/plain/index.ts", F),
        ("packages/plain/deep/b.ts", F),
        (
            "packages/kept/package.json",
            r#"{"name": "kept", "types": "index.d.ts", "main": "./lib/main"}"#,
        ),
        ("packages/kept/index.d.ts", "export function f(): void;\n"),
        ("packages/kept/lib/main.js", "export function f() {}\n"),
        ("packages/mute/package.json", r#"{"name": "mute"}"#),
        ("packages/mute/src/index.ts", F),
        ("packages/mute/index.ts", F),
        ("one/package.json", r#"{"name": "twice"}"#),
        ("one/index.ts", F),
        ("two/package.json", r#"{"name": "twice"}"#),
        ("two/index.ts", F),
        ("node_modules/there/package.json", r#"{"name": "there"}"#),
        ("node_modules/there/index.ts", F),
        ("test/fixtures/a/package.json", r#"{"name": "react"}"#),
        ("test/fixtures/a/index.ts", F),
        ("odd/package.json", "{\"name\": \"odd\","),
        ("odd/index.ts", F),
    ];
    let expected = [
        ("@acme/core", Some("packages/core/src/inner.ts")),
        ("@acme/core/x", Some("packages/core/src/x.ts")),
        ("@acme/core/sub/a", Some("packages/core/src/sub/a.ts")),
        ("@acme/core/sub/secret", None),
        ("@acme/core/both", None),
        ("@acme/core/gone", None),
        ("@acme/core/src/x", None),
        ("@acme/core/out", None),
        ("@acme", None),
        ("@acme/other", None),
        ("plain", Some("packages/plain/index.ts")),
        ("plain/deep/b", Some("packages/plain/deep/b.ts")),
        ("kept", Some("packages/kept/index.d.ts")),
        ("mute", None),
        ("twice", None),
        ("there", None),
        ("react", None),
        ("odd", None),
    ];
    check(&files, "use.ts", &expected);
    // Types mean nothing where JavaScript runs, and a package is itself wherever else its name is taken.
    check(&files, "use.js", &[("kept", Some("packages/kept/lib/main.js"))]);
    check(&files, "test/fixtures/a/use.ts", &[("react", Some("test/fixtures/a/index.ts"))]);
    check(&files, "two/test/use.ts", &[("twice", Some("two/index.ts"))]);
    check(&files, "packages/core/test/use.ts", &[("@acme/core/x", Some("packages/core/src/x.ts"))]);
}

#[test]
fn names_with_a_hash_are_those_of_the_own_package() {
    let files = [
        (
            "package.json",
            r##"{"name": "app", "imports": {"#a": "./src/a.js", "#lib/*": {"types": "./types/*.d.ts", "default": "./build/lib/*.js"}, "#dep": "dep"}}"##,
        ),
        ("src/a.ts", F),
        ("src/b.ts", F),
        ("dep/package.json", r#"{"name": "dep", "exports": "./index.js"}"#),
        ("dep/index.js", "export function f() {}\n"),
    ];
    let expected = [
        ("#a", Some("src/a.ts")),
        ("#lib/b", Some("src/b.ts")),
        ("#dep", Some("dep/index.js")),
        ("#none", None),
        ("#", None),
    ];
    check(&files, "src/deep/use.ts", &expected);
    check(&files, "dep/use.ts", &[("#a", None)]);
}

#[test]
fn a_directory_is_what_its_package_or_its_index_says() {
    let files = [
        ("lib/package.json", r#"{"main": "./start.js"}"#),
        ("lib/start.ts", F),
        ("lib/index.ts", F),
        ("index.ts", F),
        ("lib.d/x.ts", F),
        ("here.ts", F),
        ("here/index.ts", F),
    ];
    check(&files, "use.ts", &[("./lib", Some("lib/start.ts")), (".", Some("index.ts"))]);
    let here =
        [(".", Some("here/index.ts")), ("..", Some("index.ts")), ("../here", Some("here.ts"))];
    check(&files, "here/use.ts", &here);
    check(&files, "here/use.ts", &[("../here/", Some("here/index.ts")), ("../../x", None)]);
}

#[test]
fn namespaces_of_barrels_hand_names_on() {
    let files = [
        ("package.json", r#"{"name": "app", "exports": "./dist/index.js"}"#),
        ("src/index.ts", "export * from './a'\n"),
        ("src/a.ts", "export function f(): void {}\nexport class A { static g(): void {} }\n"),
        ("test/use.ts", "import * as app from 'app'\napp.f()\napp.A.g()\n"),
    ];
    check_callers(&files, "f", &["test/use.ts:2 in - path -> src/a.ts:f"]);
    check_callers(&files, "g", &["test/use.ts:3 in - path -> src/a.ts:A.g"]);
}

#[test]
fn what_module_exports_is_bound_by_require() {
    let files = [
        ("lib/whole.js", "function start() {}\nmodule.exports = start\n"),
        ("lib/made.js", "module.exports = function () {}\n"),
        ("lib/api.js", "const api = { go() {} }\nmodule.exports = api\n"),
        (
            "lib/several.js",
            "const { kept } = require('./kept')\nfunction inner() {}\nmodule.exports = { inner, outer: inner, kept }\n",
        ),
        ("lib/kept.js", "exports.kept = hidden\nfunction hidden() {}\n"),
        (
            "lib/either.js",
            "function left() {}\nfunction right() {}\nif (x) module.exports = left\nelse module.exports = right\n",
        ),
        (
            "use.js",
            "const start = require('./lib/whole')\nconst made = require('./lib/made')\nconst api = require('./lib/api')\nconst { outer, kept } = require('./lib/several')\nconst several = require('./lib/several')\nconst either = require('./lib/either')\nstart()\nmade()\napi.go()\nouter()\nkept()\nseveral.inner()\neither()\n",
        ),
    ];
    for (name, expected) in [
        ("start", &["use.js:7 in - import -> lib/whole.js:start"][..]),
        ("exports", &["use.js:8 in - import -> lib/made.js:exports"]),
        ("go", &["use.js:9 in - path -> lib/api.js:api.go"]),
        (
            "inner",
            &[
                "use.js:10 in - import -> lib/several.js:inner",
                "use.js:12 in - path -> lib/several.js:inner",
            ],
        ),
        ("hidden", &["use.js:11 in - import -> lib/kept.js:hidden"]),
        ("either", &["use.js:13 in - ambiguous"]),
    ] {
        check_callers(&files, name, expected);
    }
}

#[test]
fn a_changed_configuration_links_anew() {
    let of = |target: &str| {
        format!("{{\"compilerOptions\": {{\"paths\": {{\"@/*\": [\"./{target}/*\"]}}}}}}")
    };
    let (before, after) = (of("a"), of("b"));
    fn at(config: &str) -> [(&str, &str); 4] {
        let user = "import { f } from '@/x'\nf()\n";
        [("a/x.ts", F), ("b/x.ts", F), ("tsconfig.json", config), ("use.ts", user)]
    }
    let (grown, clean) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut store = IndexStore::open(grown.path()).unwrap();
    refresh(&mut store, 1, &at(&before));
    let callers = || callers_text(&current(grown.path()).who_calls("f").unwrap());
    assert_eq!(callers(), ["use.ts:2 in - import -> a/x.ts:f"]);
    let changed = refresh(&mut store, 2, &at(&after));
    assert_eq!((changed.n_parsed, changed.n_reused), (1, 2));
    assert_eq!(callers(), ["use.ts:2 in - import -> b/x.ts:f"]);
    let rebuilt = refresh(&mut IndexStore::open(clean.path()).unwrap(), 2, &at(&after));
    assert_eq!(changed.content_digest, rebuilt.content_digest);
    let gone = refresh(&mut store, 3, &at("{"));
    assert_eq!(callers(), ["use.ts:2 in - name-only"]);
    assert_ne!(gone.content_digest, rebuilt.content_digest);
}
