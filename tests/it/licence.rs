//! `carnet licence`, and licences in the hook.

use crate::support::{Walk, everyone};

const SECRETS: &str = "format = \"carnet/content/1\"\n[secrets]\nrefuse_at_severity = \"medium\"\nrefuse_at_confidence = \"medium\"\nwarn_at_severity = \"low\"\nwarn_at_confidence = \"low\"\n";
const MIT: &str = include_str!("../../LICENSE-MIT");

fn tag(expression: &str) -> String {
    format!("{} {expression}\n", ["SPDX-License", "-Identifier:"].concat())
}

/// A repository under a policy with this section, read from its own branch.
fn under(section: &str) -> Walk {
    let walk = Walk::initialised("mkdir src && echo 'fn a() {}' >src/a.rs", everyone()[0]);
    walk.write("policy/content.toml", format!("{SECRETS}{section}"));
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-qnm", "policy"]).expect_code(0);
    let branch = walk.ask(&["rev-parse", "HEAD"]);
    walk.git(&["branch", "rules", &branch]).expect_code(0);
    walk.git(&["config", "carnet.policyRef", "refs/heads/rules"]).expect_code(0);
    walk
}

fn commit(walk: &Walk) -> carnet_testkit::Ran {
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-qm", "next"])
}

#[test]
fn a_denied_licence_is_refused_with_file_line_rule_and_hint() {
    let walk = under("[licences]\ndeny = [\"GPL-1.0-or-later\"]\n");
    walk.write("src/b.rs", format!("// one\n// {}", tag("GPL-2.0-or-later")));
    let said = commit(&walk).expect_code(1).stderr;
    assert!(said.contains("src/b.rs:2:"), "{said}");
    assert!(said.contains("licence-denied") && said.contains("GPL-2.0-or-later"), "{said}");
    assert!(said.contains("carnet licence list src/b.rs"), "{said}");
    walk.write("src/b.rs", format!("// {}", tag("MIT")));
    commit(&walk).expect_code(0);
}

#[test]
fn without_a_section_a_strangers_repository_commits_as_before() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.write(
        "COPYING",
        "This program is free software under the GNU Affero General Public License v3.\n",
    );
    walk.write("LICENSE", MIT.replace("Permission is", "No permission is"));
    walk.write("package.json", "{\"name\": \"a\", \"license\": \"no such licence\"}");
    let said = commit(&walk).expect_code(0).stderr;
    assert!(!said.contains("licence"), "{said}");
}

#[test]
fn a_modified_text_is_refused_where_the_policy_says_so_and_its_words_are_told() {
    let walk = under("[licences]\nmodified = \"deny\"\n");
    walk.write("LICENSE", MIT.replace("Permission is hereby", "Permission is hereby not"));
    let said = commit(&walk).expect_code(1).stderr;
    assert!(said.contains("licence-modified") && said.contains("with `not`"), "{said}");
}

#[test]
fn list_tells_what_files_are_under() {
    let walk = under("");
    walk.write("vendor/LICENSE", MIT);
    walk.write("Cargo.toml", "[package]\nname = \"a\"\nlicense = \"MIT/Apache-2.0\"\n");
    let report = walk.json(&["licence", "list", "--json", "vendor", "Cargo.toml"]);
    assert_eq!(report["format"], "carnet/licence-list/1");
    assert_eq!(report["expressions"], serde_json::json!({"MIT": 1, "MIT OR Apache-2.0": 1}));
    let text = walk.carnet(&["licence", "list", "vendor"]).expect_code(0).stdout;
    assert!(text.contains("vendor/LICENSE:1: MIT  (text)"), "{text}");
    walk.carnet(&["licence", "list", "no-such-file"]).expect_code(4);
}

#[test]
fn a_missing_header_is_refused_written_once_and_then_passes() {
    let section =
        "[licences.header]\nexpression = \"MIT OR Apache-2.0\"\npaths = [\"src/**/*.rs\"]\n";
    let walk = under(section);
    walk.write("src/b.rs", "fn b() {}\n");
    let said = commit(&walk).expect_code(1).stderr;
    assert!(
        said.contains("licence-header") && said.contains("carnet licence fix src/b.rs"),
        "{said}"
    );
    let dry = walk.carnet(&["licence", "fix", "--dry-run", "src"]).expect_code(0).stdout;
    assert!(dry.contains("src/b.rs would get a header"), "{dry}");
    assert_eq!(std::fs::read_to_string(walk.repo.path().join("src/b.rs")).unwrap(), "fn b() {}\n");
    walk.carnet(&["licence", "fix", "src"]).expect_code(0);
    let fixed = std::fs::read_to_string(walk.repo.path().join("src/b.rs")).unwrap();
    assert_eq!(fixed, format!("// {}\nfn b() {{}}\n", tag("MIT OR Apache-2.0")));
    let again = walk.carnet(&["licence", "fix", "src"]).expect_code(0).stdout;
    assert!(again.contains("Every file that needs a header has one"), "{again}");
    commit(&walk).expect_code(0);
    walk.carnet(&["licence", "check"]).expect_code(0);
}

#[test]
fn check_refuses_and_an_expired_waiver_is_an_error() {
    let walk = under("[licences]\nallow = [\"MIT\"]\n");
    walk.write("src/b.rs", format!("// {}", tag("Zlib")));
    let report = walk.carnet(&["licence", "check", "--json", "src"]).expect_code(1).stdout;
    assert!(report.contains("licence-unlisted") && report.contains("src/b.rs"), "{report}");
    walk.git(&["add", "-A"]).expect_code(0);
    walk.carnet(&["licence", "check", "--staged"]).expect_code(1);
    let expired = "[licences]\nallow = [\"MIT\"]\n[[licences.waiver]]\nlicences = [\"Zlib\"]\npaths = [\"src/**\"]\nreason = \"old\"\nuntil = 2020-01-01\n";
    let walk = under(expired);
    let said = walk.carnet(&["licence", "check", "src"]).expect_code(78).stderr;
    assert!(said.contains("policy/content.toml:9: the waiver ran out on 2020-01-01"), "{said}");
    let broken = under("[licences]\nallow = [\"MITT\"]\n");
    let said = broken.carnet(&["licence", "check", "src"]).expect_code(78).stderr;
    assert!(said.contains("MITT"), "{said}");
}

#[test]
fn fix_leaves_alone_what_it_does_not_know() {
    let walk = under("");
    walk.write("data.bin", [0u8, 1, 2]);
    walk.carnet(&["licence", "fix", "data.bin"]).expect_code(2);
    let said = walk
        .carnet(&["licence", "fix", "--expression", "MIT", "data.bin", "src/a.rs"])
        .expect_code(4)
        .stdout;
    assert!(
        said.contains("data.bin was left alone") && said.contains("src/a.rs got a header of MIT"),
        "{said}"
    );
    walk.carnet(&["licence", "fix", "--expression", "NOPE", "src/a.rs"]).expect_code(2);
}
