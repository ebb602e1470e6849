//! `carnet scan --commits`, `--tree`, `--history`.

use std::{collections::BTreeSet, fs};

use carnet_testkit::{Format, TestRepo};
use serde_json::Value;

use crate::support::{Walk, aws_key, everyone, github_token, key_line, which};

fn walk_of(format: Format) -> Walk {
    let repo = TestRepo::with(format);
    repo.script("echo hello >README");
    repo.commit_all("first");
    Walk::new(repo, everyone()[0])
}

/// (commit, path) of every finding.
fn found(report: &Value) -> BTreeSet<(String, String)> {
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    findings.map(|it| (text(&it["commit"]), text(&it["path"]))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

fn history(walk: &Walk) -> Value {
    walk.json(&["scan", "--history", "--json"])
}

#[test]
fn a_removed_secret_is_found_in_the_commit_that_brought_it_in_every_format() {
    for format in Format::ALL {
        let walk = walk_of(format);
        let brought = walk.commit_round_the_hook(&[("dir/a b.py", &key_line())]);
        let later = walk.commit_round_the_hook(&[("dir/a b.py", "key = None\n"), ("c", "clean\n")]);
        assert_eq!(found(&history(&walk)), pairs(&[(&brought, "dir/a b.py")]), "{format:?}");
        let range = walk.json(&["scan", "--json", "--commits", &format!("{brought}..{later}")]);
        assert_eq!((found(&range), &range["n_contents"]), (pairs(&[]), &2.into()));
        let range = walk.json(&["scan", "--json", "--commits", &format!("{brought}~1..")]);
        assert_eq!(found(&range), pairs(&[(&brought, "dir/a b.py")]));
        walk.carnet(&["scan", "--tree", "HEAD"]).expect_code(0);
        let ran = walk.carnet(&["scan", "--tree", &brought]).expect_code(1);
        assert!(ran.stderr.contains("dir/a b.py:1:"), "{}", ran.stderr);
        let ran = walk.carnet(&["scan", "--history"]).expect_code(1);
        assert!(ran.stderr.contains(&format!("in commit {}", &brought[..12])), "{}", ran.stderr);
        assert!(!ran.stderr.contains("commits, "), "no progress where there is no terminal");
    }
}

#[test]
fn what_only_a_merge_a_root_a_tag_or_another_branch_holds_is_found() {
    let walk = walk_of(Format::Plain);
    walk.git(&["checkout", "-qb", "side"]).expect_code(0);
    walk.commit_round_the_hook(&[("side", "side\n")]);
    walk.git(&["checkout", "-q", "-"]).expect_code(0);
    walk.commit_round_the_hook(&[("main", "main\n")]);
    walk.git(&["merge", "-q", "--no-commit", "side"]).expect_code(0);
    let merge = walk.commit_round_the_hook(&[("evil", &key_line())]);
    walk.git(&["checkout", "-q", "--orphan", "root"]).expect_code(0);
    walk.git(&["rm", "-rfq", "."]).expect_code(0);
    let root = walk.commit_round_the_hook(&[("root.yml", &format!("token: {}\n", github_token()))]);
    walk.git(&["checkout", "-q", "side"]).expect_code(0);
    walk.write("loose", format!("x = '{}'\n", aws_key()));
    let blob = walk.ask(&["hash-object", "-w", "loose"]);
    fs::remove_file(walk.repo.path().join("loose")).unwrap();
    walk.git(&["tag", "-am", "a blob", "a-blob", &blob]).expect_code(0);
    walk.git(&["checkout", "-q", "--detach", "root"]).expect_code(0);
    let detached = walk.commit_round_the_hook(&[("detached", &key_line())]);
    let expected = [
        (merge.as_str(), "evil"),
        (&root, "root.yml"),
        (&detached, "detached"),
        ("", "refs/tags/a-blob"),
    ];
    assert_eq!(found(&history(&walk)), pairs(&expected));
}

#[test]
fn every_blob_that_git_reaches_is_looked_at() {
    let walk = walk_of(Format::Plain);
    for n in 0..40_u32 {
        let branch = format!("b{}", n % 4);
        walk.git(&["checkout", "-qB", &branch]).expect_code(0);
        let text = format!("{n}\n");
        walk.commit_round_the_hook(&[(&format!("d{}/f{}", n % 3, n % 7), &text), ("same", &text)]);
        if n % 10 == 9 {
            walk.git(&["merge", "-q", "-s", "ours", "-m", "merge", "b0"]).expect_code(0);
        }
    }
    let git = walk.ask(&["rev-list", "--all", "--objects"]);
    let ids =
        git.lines().map(|line| line.split(' ').next().unwrap()).collect::<Vec<_>>().join("\n");
    let kinds =
        walk.runner(&which("git")).args(["cat-file", "--batch-check"]).stdin(ids + "\n").run();
    let n_blobs = kinds.stdout.lines().filter(|line| line.contains(" blob ")).count();
    let report = history(&walk);
    // Blobs under two paths are looked at under both; here each number is a blob with two paths.
    assert_eq!(report["n_contents"], 2 * (n_blobs as u64) - 1, "{report}");
}

#[test]
fn an_unchanged_history_is_not_read_again_and_its_findings_stay() {
    let walk = walk_of(Format::Plain);
    let brought = walk.commit_round_the_hook(&[("a.py", &key_line()), ("b", "b\n")]);
    let first = history(&walk);
    assert_eq!((&first["n_contents"], &first["n_known"]), (&3.into(), &0.into()));
    let again = history(&walk);
    assert_eq!(
        (&again["n_contents"], &again["n_known"]),
        (&1.into(), &0.into()),
        "the finding alone"
    );
    assert_eq!(found(&again), pairs(&[(&brought, "a.py")]));
    let next = walk.commit_round_the_hook(&[("c.py", &format!("\n{}", key_line())), ("d", "d\n")]);
    let more = history(&walk);
    assert_eq!(more["n_contents"], 3);
    assert_eq!(found(&more), pairs(&[(&brought, "a.py"), (&next, "c.py")]));
}

#[test]
fn with_a_key_of_its_own_a_repository_does_not_read_what_it_judges_again() {
    let walk = walk_of(Format::Plain);
    walk.carnet(&["init"]).expect_code(0);
    let text = format!(
        "\u{e9}\n x = '{}' # carnet:allow github-personal-access-token fake\n",
        github_token()
    );
    walk.commit_round_the_hook(&[("a.py", &key_line()), ("b.py", &text), ("c", "c\n")]);
    let first = history(&walk);
    let again = history(&walk);
    assert_eq!((&again["n_contents"], &again["n_known"]), (&0.into(), &2.into()));
    for part in ["findings", "suppressed"] {
        assert_eq!(again[part].as_array().map(Vec::len), Some(1), "{again}");
        assert_eq!(again[part], first[part]);
    }
    let next = walk.commit_round_the_hook(&[("a.py", &format!("\n{}", key_line())), ("d", "d\n")]);
    let more = history(&walk);
    assert_eq!((&more["n_contents"], &more["findings"]), (&2.into(), &first["findings"]), "{next}");
    walk.carnet(&[
        "findings",
        "allow",
        "--rule",
        "aws-access-key-id",
        "--path",
        "a.py",
        "--reason",
        "fake",
    ])
    .expect_code(0);
    walk.commit_round_the_hook(&[]);
    let accepted = history(&walk);
    assert_eq!(accepted["findings"].as_array().map(Vec::len), Some(0), "{accepted}");
    assert_eq!(accepted["suppressed"].as_array().map(Vec::len), Some(2), "{accepted}");
}

#[test]
fn a_rewritten_history_forgets_what_is_gone_and_reads_only_what_is_new() {
    let walk = walk_of(Format::Plain);
    walk.commit_round_the_hook(&[("a.py", &key_line()), ("b", "b\n")]);
    history(&walk);
    walk.write("a.py", "key = None\n");
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-qn", "--amend", "-m", "cleaned"]).expect_code(0);
    let report = history(&walk);
    assert_eq!(found(&report), pairs(&[]));
    assert_eq!((&report["n_contents"], &report["n_known"]), (&1.into(), &2.into()));
}

#[test]
fn a_shallow_clone_that_is_deepened_is_looked_at_below_its_old_border() {
    let walk = walk_of(Format::Plain);
    let brought = walk.commit_round_the_hook(&[("a.py", &key_line())]);
    walk.commit_round_the_hook(&[("a.py", "key = None\n")]);
    let url = format!("file://{}", walk.repo.path().display());
    let clone = TestRepo::without_repository();
    clone.git(&["clone", "-q", "--depth=1", &url, "."]);
    let clone = Walk::new(clone, everyone()[0]);
    assert_eq!(found(&history(&clone)), pairs(&[]));
    clone.git(&["fetch", "-q", "--unshallow"]).expect_code(0);
    assert_eq!(found(&history(&clone)), pairs(&[(&brought, "a.py")]));
}

#[test]
fn a_damaged_cache_counts_as_none() {
    let walk = walk_of(Format::Plain);
    let brought = walk.commit_round_the_hook(&[("a.py", &key_line())]);
    history(&walk);
    let cache = walk.repo.path().join(".git/carnet/scan-cache");
    let sound = fs::read(&cache).unwrap();
    for broken in [&sound[..sound.len() - 1], b"", b"{}\n", b"\0\0", &sound[1..]] {
        fs::write(&cache, broken).unwrap();
        let report = history(&walk);
        assert_eq!(report["n_contents"], 2);
        assert_eq!(found(&report), pairs(&[(&brought, "a.py")]));
    }
}

#[test]
fn what_cannot_be_read_is_no_clean_scan() {
    let walk = walk_of(Format::Plain);
    walk.carnet(&["scan", "--commits", "no-such-branch.."]).expect_code(4);
    walk.carnet(&["scan", "--commits=--all"]).expect_code(2);
    walk.carnet(&["scan", "--staged", "--history"]).expect_code(2);
    walk.carnet(&["scan"]).expect_code(2);
    walk.commit_round_the_hook(&[("gone", "soon gone\n")]);
    let blob = walk.ask(&["rev-parse", "HEAD:gone"]);
    let object = walk.repo.path().join(".git/objects").join(&blob[..2]).join(&blob[2..]);
    fs::remove_file(object).unwrap();
    let ran = walk.carnet(&["scan", "--history"]).expect_code(4);
    let missing = format!("file `gone` is missing (object {blob})");
    assert!(ran.stderr.contains(&missing), "{}", ran.stderr);
    walk.carnet(&["scan", "--history"]).expect_code(4);
}

#[test]
fn a_repository_without_a_commit_has_a_clean_history() {
    let walk = Walk::new(TestRepo::init(), everyone()[0]);
    let report = history(&walk);
    assert_eq!((&report["decision"], &report["n_contents"]), (&"allow".into(), &0.into()));
}

#[test]
fn an_acceptance_counts_in_history_and_sarif_names_the_commit() {
    let walk = walk_of(Format::Plain);
    walk.carnet(&["init"]).expect_code(0);
    let brought = walk.commit_round_the_hook(&[("a.py", &key_line())]);
    let ran = walk.carnet(&["scan", "--history", "--format", "sarif"]).expect_code(1);
    let log: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(log["runs"][0]["results"][0]["properties"]["commit"], brought.as_str());
    let digits = history(&walk)["findings"][0]["fingerprint"].as_str().unwrap().to_owned();
    walk.carnet(&["findings", "allow", &digits, "--reason", "revoked"]).expect_code(0);
    walk.commit_round_the_hook(&[]);
    let ran = walk.carnet(&["scan", "--history"]).expect_code(0);
    assert!(ran.stderr.contains("1 suppressed"), "{}", ran.stderr);
    walk.commit_round_the_hook(&[("a.py", "key = None\n")]);
    let n_met = |args: &[&str]| walk.json(args)["entries"][0]["n_met"].clone();
    assert_eq!(n_met(&["findings", "list", "--json"]), 0, "gone from HEAD's tree");
    assert_eq!(n_met(&["findings", "list", "--history", "--json"]), 1);
}

#[test]
fn a_history_of_many_batches_is_told_in_its_order_and_a_hole_in_it_is_no_clean_scan() {
    let walk = walk_of(Format::Plain);
    let mut expected = vec![];
    for n in 0..4 {
        let mut files: Vec<(String, String)> =
            (0..300).map(|m| (format!("d{n}/f{m}"), format!("{n} {m}\n"))).collect();
        files[17 * n + 3].1 = format!("{n}\n{}", key_line());
        let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (&**a, &**b)).collect();
        expected.push((walk.commit_round_the_hook(&files), format!("d{n}/f{}", 17 * n + 3)));
    }
    let report = history(&walk);
    let told: Vec<(String, String)> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["commit"].as_str().unwrap().into(), it["path"].as_str().unwrap().into()))
        .collect();
    assert_eq!(told, expected);
    assert_eq!((&report["n_contents"], &report["n_known"]), (&1201.into(), &0.into()));
    assert_eq!(history(&walk)["n_contents"], 4, "what was met, and nothing else");
    let blob = walk.ask(&["rev-parse", "HEAD:d3/f299"]);
    fs::remove_file(walk.repo.path().join(".git/objects").join(&blob[..2]).join(&blob[2..]))
        .unwrap();
    fs::remove_file(walk.repo.path().join(".git/carnet/scan-cache")).unwrap();
    let ran = walk.carnet(&["scan", "--history"]).expect_code(4);
    assert!(ran.stderr.contains(&format!("(object {blob})")), "{}", ran.stderr);
}

#[test]
fn a_secret_that_stays_is_told_by_the_first_commit_that_has_it() {
    let walk = walk_of(Format::Plain);
    let first = walk.commit_round_the_hook(&[("a.py", &key_line())]);
    let lines = |n: u32| format!("{}{}", "# a line\n".repeat(n as usize), key_line());
    for n in 1..5 {
        walk.commit_round_the_hook(&[("a.py", &lines(n))]);
    }
    let twice = walk.commit_round_the_hook(&[("b.py", &(key_line() + &key_line()))]);
    let report = history(&walk);
    assert_eq!(found(&report), pairs(&[(&first, "a.py"), (&twice, "b.py")]));
    assert_eq!(report["findings"].as_array().unwrap().len(), 3, "both places in b.py: {report}");
    let again = history(&walk);
    assert_eq!((&again["n_contents"], found(&again)), (&2.into(), found(&report)));
    // The first commit is gone: the next that has it is told.
    let old = walk.ask(&["symbolic-ref", "HEAD"]);
    walk.git(&["checkout", "-q", "--orphan", "anew"]).expect_code(0);
    let anew = walk.commit_round_the_hook(&[]);
    walk.git(&["update-ref", "-d", &old]).expect_code(0);
    assert_eq!(found(&history(&walk)), pairs(&[(&anew, "a.py"), (&anew, "b.py")]));
}

/// Of a long file only what changed is looked at, and nothing of it is lost: wherever the change, whatever it joins.
#[test]
fn versions_of_a_long_file_are_told_as_by_a_scan_of_each() {
    let walk = walk_of(Format::Plain);
    let code = |n: usize| "let a = b(c, \"d e f\");\n".repeat(n);
    let token = github_token();
    let (left, right) = token.split_at(11);
    let version = |first: &str, middle: &str, last: &str| {
        format!("{first}{}{middle}\n{}{last}\n", code(900), code(900))
    };
    let mut expected = BTreeSet::new();
    for (text, is_met) in [
        (version("", "", ""), false),
        (version("", "x", ""), false),
        (version("", &format!("{left} {right}"), ""), false),
        (version("", &token, ""), true),
        (version("", &format!("{left}-{right}"), ""), false),
        (version("", "", ""), false),
        (version(&key_line(), "", ""), true),
        (version("", "y", &format!("s = \"{left}\" + \"{right}x\"")), false),
    ] {
        let brought = walk.commit_round_the_hook(&[("src/a.rs", &text)]);
        let whole = walk.json(&["scan", "--tree", &brought, "--json"]);
        let n_met = whole["findings"].as_array().unwrap().len();
        if is_met {
            assert_eq!(n_met, 1, "{whole}");
        }
        if n_met > 0 {
            expected.insert((brought, "src/a.rs".to_owned()));
        }
    }
    assert!(expected.len() >= 2);
    assert_eq!(found(&history(&walk)), expected);
}
