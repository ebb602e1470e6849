//! `carnet scan --format`: the forms that other programs read.

use serde_json::Value;

use crate::support::{Walk, aws_key, everyone, github_token, root, which};

/// A repository where a secret, an accepted secret and a secret file are staged.
fn staged() -> Walk {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.write("dir/é 1.py", format!("x = 1\ns = 'é😀'; key = '{}'\n", aws_key()));
    walk.write(
        "b.yml",
        format!("t: {} # carnet:allow github-token revoked {{long}} ago\n", github_token()),
    );
    walk.write(".env", "A=1\n");
    walk.git(&["add", "-A"]).expect_code(0);
    walk
}

fn scan(walk: &Walk, form: &str) -> String {
    walk.carnet(&["scan", "--staged", "--format", form]).expect_code(1).stdout
}

fn rule_of_github_token() -> String {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.write("b.yml", format!("t: {}\n", github_token()));
    walk.git(&["add", "-A"]).expect_code(0);
    let report: Value = serde_json::from_str(&scan(&walk, "json")).unwrap();
    report["findings"][0]["rule"].as_str().unwrap().to_owned()
}

#[test]
fn sarif_has_the_members_that_the_standard_requires_and_columns_as_editors_count() {
    let walk = staged();
    let rule = rule_of_github_token();
    let allowed = format!("t: {} # carnet:allow {rule} revoked {{long}} ago\n", github_token());
    walk.write("b.yml", allowed);
    walk.git(&["add", "-A"]).expect_code(0);
    let text = scan(&walk, "sarif");
    assert!(!text.contains(&aws_key()) && !text.contains(&github_token()));
    let log: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().unwrap().ends_with("sarif-schema-2.1.0.json"));
    let run = &log["runs"][0];
    assert_eq!(run["columnKind"], "utf16CodeUnits");
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
    assert_eq!(run["tool"]["driver"]["name"], "carnet");
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 3, "{text}");
    for result in results {
        let idx = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(rules[idx]["id"], result["ruleId"]);
        assert!(rules[idx]["shortDescription"]["text"].is_string());
        assert!(result["message"]["text"].is_string());
        assert_eq!(result["fingerprints"]["carnet/1"].as_str().unwrap().len(), 32);
    }
    let of = |rule: &str| results.iter().find(|it| it["ruleId"] == rule).unwrap();
    let aws = of("aws-access-key-id");
    let place = &aws["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "dir/%C3%A9%201.py");
    assert_eq!(place["artifactLocation"]["uriBaseId"], "%SRCROOT%");
    let region =
        serde_json::json!({"startLine": 2, "startColumn": 19, "endLine": 2, "endColumn": 39});
    assert_eq!(place["region"], region);
    assert_eq!(aws["level"], "error");
    assert_eq!(aws["suppressions"], serde_json::json!([]));
    let accepted = &of(&rule)["suppressions"][0];
    assert_eq!(accepted["kind"], "inSource");
    assert_eq!(accepted["justification"], "revoked {long} ago");
    let env = results.iter().find(|it| it["locations"][0]["physicalLocation"]["region"].is_null());
    let env = env.expect("a path finding has no region");
    assert_eq!(env["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], ".env");
}

#[test]
fn a_clean_scan_is_a_sarif_log_with_no_results() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let ran = walk.carnet(&["scan", "--format", "sarif", "README"]).expect_code(0);
    let log: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(log["runs"][0]["results"], serde_json::json!([]));
}

#[test]
fn github_annotations_stand_at_the_line_and_cannot_be_forged_by_a_file_name() {
    let walk = staged();
    let evil = "a,line=1\n::warning::b.py";
    walk.write(evil, format!("key = '{}'\n", aws_key()));
    walk.git(&["add", "-A"]).expect_code(0);
    let text = scan(&walk, "github");
    assert!(!text.contains(&aws_key()));
    let lines: Vec<_> = text.lines().collect();
    let expected =
        "::error file=dir/é 1.py,line=2,endLine=2,col=19,endColumn=39,title=aws-access-key-id::";
    assert!(lines.iter().any(|line| line.starts_with(expected)), "{text}");
    assert!(lines.iter().all(|line| line.starts_with("::error file=")), "{text}");
    assert!(text.contains("file=a%2Cline=1%0A%3A%3Awarning%3A%3Ab.py,"), "{text}");
}

#[test]
fn json_is_the_old_name_of_its_form_and_forms_are_a_closed_list() {
    let walk = staged();
    let old = walk.carnet(&["scan", "--staged", "--json"]).expect_code(1).stdout;
    assert_eq!(old, scan(&walk, "json"));
    walk.carnet(&["scan", "--staged", "--format", "xml"]).expect_code(2);
    walk.carnet(&["scan", "--staged", "--json", "--format", "text"]).expect_code(2);
}

#[test]
fn a_file_name_cannot_wipe_the_line_that_tells_of_it() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.write("a\x1b[2K\r.py", format!("key = '{}'\n", aws_key()));
    walk.write("\x1b[1A.env", "A=1\n");
    walk.git(&["add", "-A"]).expect_code(0);
    let said = walk.carnet(&["scan", "--staged"]).expect_code(1).stderr;
    assert!(said.contains("a\\u{1b}[2K\\u{d}.py:1:8"), "{said}");
    assert!(!said.contains('\x1b') && !said.contains('\r'), "{said:?}");
}

#[test]
fn junit_has_a_failed_case_for_what_refuses_and_a_skipped_one_for_what_was_accepted() {
    let walk = staged();
    let allow =
        format!("t: {} # carnet:allow {} revoked\n", github_token(), rule_of_github_token());
    walk.write("b.yml", allow);
    walk.git(&["add", "b.yml"]).expect_code(0);
    let document = scan(&walk, "junit");
    let parse = "import sys, xml.dom.minidom as m; d = m.parse(sys.stdin)\n\
                 for t in 'testcase', 'failure', 'skipped': print(len(d.getElementsByTagName(t)))";
    let python = walk.runner(&crate::support::which("python3")).args(["-c", parse]);
    let counted = python.stdin(document.as_bytes()).run().expect_code(0).stdout;
    let counts: Vec<&str> = counted.lines().collect();
    assert_eq!(counts, ["3", "2", "1"], "{document}");
    assert!(document.contains("name=\"dir/é 1.py:2\"><failure "), "{document}");
    assert!(document.contains("name=\".env\"><failure "), "{document}");
    assert!(document.contains("name=\"b.yml:1\"><skipped message=\"accepted\"/>"), "{document}");
    assert!(!document.contains(&aws_key()) && !document.contains(&github_token()));
}

const SCHEMA: &str = "tests/corpus/sarif/sarif-schema-2.1.0.json";

/// Holds a log against the schema with a validator that is not ours, and with Python's where it is installed.
#[expect(clippy::print_stderr, reason = "what is not checked is said aloud")]
fn is_valid(walk: &Walk, log: &str) -> Result<(), String> {
    let path = root().join(SCHEMA);
    let mut schemas = boon::Schemas::new();
    let schema = boon::Compiler::new().compile(path.to_str().unwrap(), &mut schemas).unwrap();
    let instance: Value = serde_json::from_str(log).unwrap();
    let said = schemas.validate(&instance, schema).map_err(|error| format!("{error:#}"));
    let python = |code: &str| {
        let code = format!("import sys, json, jsonschema\n{code}");
        let schema = std::fs::read_to_string(&path).unwrap();
        let input = format!("[{schema}, {log}]");
        walk.runner(&which("python3")).args(["-c", &code]).stdin(input.into_bytes()).run()
    };
    if python("").code != Some(0) {
        eprintln!("skipped: python3 has no jsonschema here (pip install jsonschema)");
        return said;
    }
    let ran = python(
        "schema, log = json.load(sys.stdin)\n\
         jsonschema.Draft7Validator.check_schema(schema)\n\
         sys.exit(0 if jsonschema.Draft7Validator(schema).is_valid(log) else 9)",
    );
    assert_eq!(ran.code, Some(if said.is_ok() { 0 } else { 9 }), "{}", ran.stderr);
    said
}

#[test]
fn what_sarif_is_written_for_secrets_licences_and_personal_data_fits_the_schema() {
    let walk = staged();
    for (name, text) in carnet_policy::built_in_files() {
        walk.write(name, text);
    }
    let policy =
        format!("{}\n[licences]\nallow = [\"MIT\"]\n", include_str!("../../policy/content.toml"));
    walk.write("policy/content.toml", policy);
    walk.git(&["add", "policy", "allowlists"]).expect_code(0);
    walk.git(&["commit", "-qnm", "policy", "--", "policy", "allowlists"]).expect_code(0);
    walk.git(&["config", "carnet.policyRef", "HEAD"]).expect_code(0);
    walk.write("x.c", "// SPDX-License-Identifier: GPL-3.0-only\n");
    walk.write("people.csv", ["name,ssn\nAda,536-", "90-4399\n"].concat());
    walk.git(&["add", "-A"]).expect_code(0);
    let text = scan(&walk, "sarif");
    is_valid(&walk, &text).unwrap();
    let log: Value = serde_json::from_str(&text).unwrap();
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let ids: Vec<&str> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted());
    for id in ["aws-access-key-id", "licence-unlisted", "pii-us-ssn"] {
        assert!(ids.contains(&id), "{ids:?}");
    }
    for result in run["results"].as_array().unwrap() {
        let idx = result["ruleIndex"].as_u64().expect("every result has its descriptor");
        assert_eq!(ids[idx as usize], result["ruleId"]);
    }
    for (from, to) in [
        ("\"2.1.0\"", "\"2.2\""),
        ("startLine\": ", "startLine\": -"),
        ("\"results\"", "\"result\""),
    ] {
        assert!(is_valid(&walk, &text.replacen(from, to, 1)).is_err(), "{to}");
    }
    walk.git(&["reset", "-q", "--hard"]).expect_code(0);
    let clean = walk.carnet(&["scan", "--staged", "--format", "sarif"]).expect_code(0).stdout;
    is_valid(&walk, &clean).unwrap();
}

/// What `docs/ci.md` has services run, word for word.
#[test]
fn the_scripts_of_the_ci_page_let_clean_files_pass_and_write_their_reports_else() {
    let page = std::fs::read_to_string(root().join("docs/ci.md")).unwrap();
    let scripts: Vec<&str> = page
        .lines()
        .filter_map(|line| {
            line.trim().trim_start_matches("- ").strip_prefix("run: ").or_else(|| {
                line.trim().strip_prefix("- ").filter(|line| line.starts_with("carnet scan"))
            })
        })
        .collect();
    assert!(scripts.len() >= 4, "{scripts:?}");
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let run = |script: &str| {
        let dir = crate::support::carnet_path().parent().unwrap().display();
        let script = format!("PATH={dir}:$PATH\n{script}");
        walk.runner(&which("sh")).args(["-ec", &script]).run()
    };
    for script in &scripts {
        run(script).expect_code(0);
    }
    walk.write("src/a.py", format!("key = '{}'\n", aws_key()));
    for script in &scripts {
        let writes_a_report = script.contains('>');
        let ran = run(script).expect_code(i32::from(!writes_a_report));
        if script.contains("github") {
            assert!(ran.stdout.contains("::error file=src/a.py,line=1,"), "{}", ran.stdout);
        }
    }
    for report in ["carnet.sarif", "carnet.xml"] {
        let text = std::fs::read_to_string(walk.repo.path().join(report)).unwrap();
        assert!(text.contains("src/a.py") && !text.contains("./src"), "{text}");
    }
}
