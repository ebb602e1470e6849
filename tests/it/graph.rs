//! The verbs of the graph of calls, on a repository of its own, with the real git telling what changed.

use crate::support::{Walk, everyone};

const SOURCES: &str = r#"
mkdir -p lib
printf '# Reads the lowest.\ndef low():\n    return 1\n\ndef mid():\n    return low()\n\ndef top():\n    return mid()\n' >lib/core.py
printf 'from core import top\n\nclass Base: pass\n\nclass Tool(Base):\n    """Does it."""\n    def run(self):\n        return top()\n    def _own(self):\n        other()\n' >lib/tool.py
printf 'public class Main {\n  static void go() { Far.reach(); }\n}\n' >Main.java
printf 'class Far { static void reach() {} }\n' >Far.java
printf 'int helper(void) { return 1; }\n' >helper.c
printf 'int helper(void);\nint main(void) { return helper(); }\n' >main.c
"#;

fn rows(value: &serde_json::Value) -> Vec<String> {
    let line = |it: &serde_json::Value| {
        format!("{} {}:{} {}", it["depth"], it["path"].as_str().unwrap(), it["line"], it["caller"])
    };
    value["reached"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn who_reaches_a_symbol_is_told_with_the_way() {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    let answer = walk.json(&["who-calls", "low", "--depth", "5", "--json"]);
    let expected =
        [r#"1 lib/core.py:6 "mid""#, r#"2 lib/core.py:9 "top""#, r#"3 lib/tool.py:8 "Tool.run""#];
    assert_eq!(rows(&answer), expected);
    assert_eq!(answer["completeness"], "lower_bound");
    assert_eq!(answer["reached"][2]["via"], 1);
    let ran = walk.carnet(&["impact-set", "low"]).expect_code(0);
    assert!(ran.stdout.contains("Tool.run → top → mid → low"), "{}", ran.stdout);
    for (name, place) in [("helper", "main.c"), ("reach", "Main.java")] {
        let callers = walk.json(&["who-calls", name, "--json"]);
        assert_eq!(callers["resolved"][0]["path"], place, "{callers}");
    }
    walk.carnet(&["who-calls", "low", "--depth", "0"]).expect_code(2);
}

#[test]
fn an_outline_and_calls_say_what_a_file_and_a_symbol_hold() {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    let outline = walk.json(&["outline", "lib/tool.py", "--json"]);
    let line = |it: &serde_json::Value| {
        let text = |member: &str| it[member].as_str().unwrap().to_owned();
        format!("{} {} {} {}", text("kind"), text("name"), text("visibility"), text("doc"))
    };
    let lines: Vec<_> = outline["definitions"].as_array().unwrap().iter().map(line).collect();
    let expected = [
        "class Base public ",
        "class Tool public Does it.",
        "method Tool.run public ",
        "method Tool._own private ",
    ];
    assert_eq!(lines, expected);
    let calls = walk.json(&["calls", "Tool", "--json"]);
    assert_eq!(calls["resolved"][0]["target"], "lib/core.py:8");
    assert_eq!(calls["candidates"][0]["callee"], "other");
    let found = walk.json(&["implementations", "Base", "--json"]);
    assert_eq!(found["implementations"][0]["subtype"], "Tool");
    assert_eq!(found["implementations"][0]["evidence"], "said");
    walk.carnet(&["outline", "gone.py"]).expect_code(3);
    walk.carnet(&["calls", "no_such_name"]).expect_code(3);
    walk.carnet(&["implementations", "no_such_name"]).expect_code(3);
}

#[test]
fn a_range_of_commits_reaches_from_the_lines_that_it_changed() {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    let first = walk.ask(&["rev-parse", "HEAD"]);
    walk.write(
        "lib/core.py",
        "# Reads the lowest.\ndef low():\n    return 1\n\ndef mid():\n    return low() + 1\n\ndef top():\n    return mid()\n",
    );
    walk.write("odd \"name\"\n.py", "def odd(): pass\n");
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-qm", "change the middle"]).expect_code(0);
    let answer = walk.json(&["impact-set", &format!("{first}..HEAD"), "--json"]);
    assert_eq!(rows(&answer), [r#"1 lib/core.py:9 "top""#, r#"2 lib/tool.py:8 "Tool.run""#]);
    let whole = walk.json(&["impact-set", "lib/core.py", "--json"]);
    assert_eq!(rows(&whole), [r#"1 lib/tool.py:8 "Tool.run""#]);
    walk.carnet(&["impact-set", &format!("HEAD..{first}")]).expect_code(2);
    walk.carnet(&["impact-set", "no_such..HEAD"]).expect_code(3);
}
