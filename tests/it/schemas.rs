//! Every stored form is what its JSON Schema says, and the schemas refuse what is not.

use boon::{Compiler, Schemas};
use serde_json::{Value, json};

use crate::support::{Walk, everyone, root};

const MAKEFILE: &str = "printf 'out:\\n\\techo made >out\\n' >Makefile";
/// Schemas of `policy/schemas/`, each with a member that no instance may lack.
const ALL: [(&str, &str); 13] = [
    ("passport-1", "predicate"),
    ("ledger-1", "previous"),
    ("checkpoint-1", "chains"),
    ("receipt-1", "usage"),
    ("note-1", "outcome"),
    ("backup-1", "refs"),
    ("artifact-1", "artifact"),
    ("guard-receipt-1", "receipt"),
    ("audit-1", "previous"),
    ("journal-1", "passport"),
    ("signatures-1", "signatures"),
    ("slsa-provenance-1", "subject"),
    ("model-exchange-1", "reply"),
];

fn accepts(name: &str, instance: &Value) -> Result<(), String> {
    let path = root().join(format!("policy/schemas/{name}.schema.json"));
    let mut schemas = Schemas::new();
    let schema = Compiler::new().compile(path.to_str().unwrap(), &mut schemas).unwrap();
    schemas.validate(instance, schema).map_err(|error| format!("{error:#}"))
}

/// The instance fits; without its member, with a null for it, or as something else it does not.
pub fn fits(name: &str, instance: &Value) {
    accepts(name, instance).unwrap_or_else(|error| panic!("{name}: {error}\n{instance:#}"));
    let member = ALL.iter().find(|(known, _)| *known == name).unwrap().1;
    let mut lacking = instance.clone();
    lacking.as_object_mut().unwrap().remove(member).unwrap();
    let mut wrong = instance.clone();
    wrong[member] = json!(7);
    for refused in [lacking, wrong, json!([]), json!(null)] {
        assert!(accepts(name, &refused).is_err(), "{name} accepts {refused}");
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Subject, then a line of JSON, then its signatures.
fn signed_line(walk: &Walk, commit: &str) -> (Value, Value) {
    let message = walk.ask(&["show", "-s", "--format=%B", commit]);
    let mut lines = message.lines().skip(2);
    (parsed(lines.next().unwrap()), parsed(lines.next().unwrap()))
}

#[test]
fn every_schema_has_a_test_and_every_stored_form_fits_its_schema() {
    let files = std::fs::read_dir(root().join("policy/schemas")).unwrap();
    assert_eq!(files.count(), ALL.len());

    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    walk.carnet(&["run", "--validate", "--output", "out", "--", "make", "out"]).expect_code(0);
    let built = walk.newest_run();
    walk.carnet(&["run", "--output", "missing/*", "--", "false"]).expect_code(10);
    walk.carnet(&["run", "--", "curl"]).expect_code(1);
    walk.write("Makefile", "all:\n\techo changed\n");
    walk.carnet(&["run", "--dirty", "--", "make"]).expect_code(0);
    walk.carnet(&["replay", &built]).expect_code(0);
    walk.carnet(&["checkpoint"]).expect_code(0);

    let runs = walk.json(&["runs", "--json"]);
    let runs = runs["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 5);
    for run in runs {
        let commit = run["commit"].as_str().unwrap();
        let file = |path: &str| parsed(&walk.ask(&["show", &format!("{commit}:{path}")]));
        fits("passport-1", &file("passport.json"));
        fits("receipt-1", &file("receipts/run.json"));
        fits("signatures-1", &file("passport.sig"));
        fits("signatures-1", &file("MANIFEST.sha256.sig"));
        let source = run["source_commit"].as_str().unwrap();
        let notes = walk.ask(&["notes", "--ref=carnet/passports", "show", source]);
        assert_eq!(notes.lines().count(), 5);
        notes.lines().for_each(|line| fits("note-1", &parsed(line)));
    }
    for (prefix, schema) in
        [("ledger", "ledger-1"), ("locked", "ledger-1"), ("checkpoint", "checkpoint-1")]
    {
        let name =
            walk.ask(&["for-each-ref", "--format=%(refname)", &format!("refs/carnet/{prefix}")]);
        let commits =
            walk.ask(&["rev-list", "--first-parent", "--grep=format", &name, "--not", "HEAD"]);
        let events: Vec<_> = commits
            .lines()
            .filter(|commit| !runs.iter().any(|run| run["commit"] == **commit))
            .collect();
        assert!(!events.is_empty());
        for commit in events {
            let (line, signatures) = signed_line(&walk, commit);
            fits(schema, &line);
            fits("signatures-1", &signatures);
        }
    }
    let envelope = walk.json(&["attest", &built, "--format", "slsa"]);
    walk.repo.write("payload", envelope["payload"].as_str().unwrap());
    let output = walk.repo.command("base64").args(["-d", "payload"]).output().unwrap();
    fits("slsa-provenance-1", &parsed(&String::from_utf8(output.stdout).unwrap()));
}

#[test]
fn what_else_is_stored_fits_its_schema() {
    let walk =
        Walk::initialised("printf 'slow:\\n\\twhile :; do :; done\\n' >Makefile", everyone()[0]);
    let file = |path: &std::path::Path| parsed(&std::fs::read_to_string(path).unwrap());

    walk.carnet(&["artifact", "put", "Makefile"]).expect_code(0);
    let shelf = walk.ask(&["for-each-ref", "--format=%(refname)", "refs/carnet/artifacts"]);
    let (event, signatures) = signed_line(&walk, &shelf);
    fits("artifact-1", &event);
    fits("signatures-1", &signatures);

    let backups = walk.repo.root().join("backups");
    let create = ["backup", "create", "--to", backups.to_str().unwrap()];
    walk.carnet(&create).expect_code(0);
    // A second one is refused within the second that names the first.
    assert!((0..1_000).any(|_| walk.carnet(&create).code == Some(0)));
    let made = walk.json(&["backup", "list", "--in", backups.to_str().unwrap(), "--json"]);
    let made = made["backups"].as_array().unwrap();
    assert_eq!(made.len(), 2);
    for backup in made {
        let dir = backups.join(backup["id"].as_str().unwrap());
        fits("backup-1", &file(&dir.join("manifest.json")));
        fits("signatures-1", &file(&dir.join("manifest.sig")));
    }

    walk.write("clean.txt", "clean\n");
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-qm", "clean"]).expect_code(0);
    walk.carnet(&["scan", "--unexamined"]).expect_code(0);
    let receipt = walk.ask(&["notes", "--ref=carnet/guard", "show", "HEAD^{tree}"]);
    receipt.lines().for_each(|line| fits("guard-receipt-1", &parsed(line)));

    walk.write("bad.py", crate::support::key_line());
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-qm", "bad"]).expect_code(1);
    let audit = walk.ask(&["for-each-ref", "--format=%(refname)", "refs/carnet/audit"]);
    let message = walk.ask(&["show", "-s", "--format=%B", &audit]);
    let lines: Vec<&str> = message.lines().skip(2).collect();
    let (signatures, entries) = lines.split_last().unwrap();
    assert!(!entries.is_empty());
    entries.iter().for_each(|line| fits("audit-1", &parsed(line)));
    fits("signatures-1", &parsed(signatures));

    let mut child = crate::endings::started(&walk, &["run", "--", "make", "slow"]);
    let journal = walk.repo.path().join(".git/carnet/journal");
    let entry = std::fs::read_dir(journal).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(entry).unwrap();
    fits("journal-1", &parsed(text.lines().next().unwrap()));
    child.kill().unwrap();
    child.wait().unwrap();
}
