//! `--dirty`: uncommitted edits are answered for, marked as such, as if they were committed, and nothing else changes.

use serde_json::Value;

use crate::support::{Walk, everyone};

const SOURCES: &str = r#"
mkdir -p src
printf 'def low():\n    return 1\n' >src/core.py
printf 'from src.core import low\n\n\ndef top():\n    return low()\n' >src/top.py
printf 'def gone():\n    pass\n' >src/gone.py
echo '# Guide' >guide.md
"#;

fn edit(walk: &Walk) {
    walk.write(
        "src/core.py",
        "import os\n\n\ndef low():\n    \"\"\"Counts retries.\"\"\"\n    return 2\n",
    );
    walk.write("src/new.py", "from src.core import low\n\n\ndef fresh():\n    return low()\n");
    walk.write("notes.txt", "an untracked text stays unread: zebra\n");
    walk.write("guide.md", "# Guide\n\nan edited text does not: giraffe\n");
    std::fs::remove_file(walk.repo.path().join("src/gone.py")).unwrap();
}

fn lines(answer: &Value, list: &str) -> Vec<String> {
    let line = |it: &Value| {
        let mark = if it["uncommitted"] == true { " uncommitted" } else { "" };
        format!("{}:{}{mark}", it["path"].as_str().unwrap(), it["line"])
    };
    answer[list].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn edits_are_answered_for_when_asked_and_marked() {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    let ask = |args: &[&str]| walk.json(&[args, &["--json"]].concat());
    assert!(ask(&["where-defined", "low", "--dirty"])["index"]["uncommitted"].is_null());
    edit(&walk);
    assert_eq!(lines(&ask(&["where-defined", "low"]), "definitions"), ["src/core.py:1"]);
    let dirty = ask(&["where-defined", "low", "--dirty"]);
    assert_eq!(lines(&dirty, "definitions"), ["src/core.py:4 uncommitted"]);
    assert_eq!(
        dirty["index"]["uncommitted"],
        serde_json::json!(["guide.md", "src/core.py", "src/gone.py", "src/new.py"])
    );
    assert_eq!(dirty["index"]["commit"], dirty["index"]["head"]);
    let callers = ask(&["who-calls", "low", "--dirty"]);
    assert_eq!(lines(&callers, "resolved"), ["src/new.py:5 uncommitted", "src/top.py:5"]);
    assert_eq!(callers["resolved"][1]["target"], "src/core.py:4");
    assert_eq!(lines(&ask(&["outline", "src/new.py", "--dirty"]), "definitions").len(), 1);
    walk.carnet(&["where-defined", "gone", "--dirty"]).expect_code(3);
    walk.carnet(&["where-defined", "gone"]).expect_code(0);

    let found = ask(&["search", "counts retries", "--dirty"]);
    let hit = &found["hits"][0];
    assert_eq!((&hit["path"], &hit["uncommitted"]), (&"src/core.py".into(), &true.into()));
    let cited = walk.carnet(&["cite", hit["citation"].as_str().unwrap()]).expect_code(0);
    assert!(cited.stdout.contains("Counts retries"), "{}", cited.stdout);
    assert_eq!(ask(&["search", "giraffe", "--dirty"])["hits"][0]["path"], "guide.md");
    walk.carnet(&["search", "\"zebra\"", "--dirty"]).expect_code(3);
    let ran = walk.carnet(&["where-defined", "low", "--dirty"]).expect_code(0);
    assert!(ran.stdout.ends_with("  uncommitted\n"), "{}", ran.stdout);
    assert!(ran.stderr.contains("with uncommitted edits of 4 files"), "{}", ran.stderr);
    walk.carnet(&["where-defined", "low", "--dirty", "--no-wait"]).expect_code(2);
}

#[test]
fn an_answer_with_edits_is_the_answer_after_they_are_committed() {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    edit(&walk);
    std::fs::remove_file(walk.repo.path().join("notes.txt")).unwrap();
    walk.git(&["config", "carnet.overlay", "true"]).expect_code(0);
    let questions: [&[&str]; 4] = [
        &["who-calls", "low", "--json"],
        &["impact-set", "low", "--json"],
        &["outline", "src/core.py", "--json"],
        &["search", "counts retries", "--json"],
    ];
    let strip = |value: Value| {
        let mut value = value;
        let object = value.as_object_mut().unwrap();
        object.remove("index");
        let text = value.to_string();
        text.replace(",\"uncommitted\":true", "").replace(",\"target_uncommitted\":true", "")
    };
    let before = questions.map(|question| walk.json(question));
    assert!(before.iter().all(|answer| answer["index"]["uncommitted"].is_array()), "{before:?}");
    let edited = walk.json(&["where-defined", "fresh", "--json"]);
    walk.write("src/new.py", "def fresh():\n    pass\n");
    let again = walk.json(&["where-defined", "fresh", "--json"]);
    assert_eq!(
        (lines(&edited, "definitions"), lines(&again, "definitions")),
        (vec!["src/new.py:4 uncommitted".to_owned()], vec!["src/new.py:1 uncommitted".to_owned()])
    );
    edit(walk_without_gone(&walk));
    std::fs::remove_file(walk.repo.path().join("notes.txt")).unwrap();
    walk.commit_round_the_hook(&[]);
    let after = questions.map(|question| walk.json(question));
    for (before, after) in before.into_iter().zip(after) {
        assert!(after["index"]["uncommitted"].is_null(), "{after}");
        assert_eq!(strip(before), strip(after));
    }
}

/// The same walk, with the file that [`edit`] removes there again.
fn walk_without_gone(walk: &Walk) -> &Walk {
    walk.write("src/gone.py", "def gone():\n    pass\n");
    walk
}

/// Every object in an answer that has a path, or a citation, with whether it is marked.
fn rows(answer: &Value, found: &mut Vec<(String, bool)>) {
    match answer {
        Value::Array(items) => items.iter().for_each(|it| rows(it, found)),
        Value::Object(members) => {
            let place = members.get("path").or_else(|| members.get("citation"));
            if let Some(place) = place.and_then(Value::as_str) {
                let path = place.split('#').next().unwrap().to_owned();
                found.push((path, members.get("uncommitted") == Some(&Value::Bool(true))));
            }
            members.values().for_each(|it| rows(it, found));
        }
        _ => {}
    }
}

#[test]
fn every_row_of_every_answer_that_comes_from_an_edited_file_is_marked_and_no_other() {
    let script = "mkdir src\nprintf 'class Base:\\n    def run(self):\\n        pass\\n\\n\\ndef low():\\n    pass\\n' >src/core.py\n\
                  printf 'from src.core import Base, low\\n\\n\\nclass Old(Base):\\n    def run(self):\\n        return low()\\n' >src/old.py";
    let walk = Walk::initialised(script, everyone()[0]);
    walk.write(
        "src/new.py",
        "from src.core import Base, low\n\n\nclass Child(Base):\n    \"\"\"Runs a child.\"\"\"\n\n    def run(self):\n        return low()\n",
    );
    let questions: [&[&str]; 9] = [
        &["where-defined", "run"],
        &["who-calls", "low"],
        &["who-calls", "low", "--depth", "3"],
        &["calls", "Child.run"],
        &["impact-set", "src/core.py"],
        &["implementations", "Base"],
        &["search", "runs a child"],
        &["pack", "runs a child"],
        &["graph", "low"],
    ];
    for question in questions {
        let answer = walk.json(&[question, &["--dirty", "--json"]].concat());
        let mut found = Vec::new();
        rows(&answer, &mut found);
        assert!(found.iter().any(|(_, is_marked)| *is_marked), "{question:?}: {answer:#}");
        for (path, is_marked) in &found {
            assert_eq!(*is_marked, path == "src/new.py", "{question:?}: {path}: {answer:#}");
        }
        let text = walk.carnet(&[question, &["--dirty"]].concat()).expect_code(0).stdout;
        let lines = text.lines().filter(|line| line.contains("src/new.py"));
        // A citation below the lines of a hit that is marked says no more.
        let lines = lines.filter(|line| !line.trim_start().starts_with("src/new.py#"));
        let lines: Vec<_> = lines.collect();
        assert!(!lines.is_empty(), "{question:?}: {text}");
        assert!(lines.iter().all(|line| line.contains("uncommitted")), "{question:?}: {text}");
    }
    let outline = walk.carnet(&["outline", "src/new.py", "--dirty"]).expect_code(0).stdout;
    assert!(outline.lines().all(|line| line.ends_with("  uncommitted")), "{outline}");
    let picture = walk.carnet(&["graph", "low", "--svg", "--dirty"]).expect_code(0).stdout;
    assert_eq!(picture.matches("<g class=\"u\">").count(), 1, "{picture}");
    let export = |form: &str| walk.carnet(&["graph", "export", "--dirty", "--format", form]).stdout;
    // The file, the class and the method.
    assert_eq!(export("graphml").matches("<data key=\"uncommitted\">true").count(), 3);
    assert_eq!(export("cypher").matches("uncommitted:true").count(), 3);
    assert_eq!(export("json").matches("\"uncommitted\": true").count(), 3);
}
