//! `pre-push` and `pre-receive`: the same verdict where commits leave and where they arrive.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use carnet_testkit::{Format, Ran, TestRepo};

use crate::support::{Walk, aws_key, carnet_path, everyone, github_token, key_line, root, which};

/// A clone with carnet in it, and a bare repository beside it that is its `origin` and has its first commit.
fn with_origin(format: Format) -> (Walk, PathBuf) {
    let repo = TestRepo::with(format);
    repo.script("echo hello >README");
    repo.commit_all("first");
    let origin = repo.root().join("origin.git");
    let mut args = vec!["init", "-q", "--bare"];
    args.extend(format.init_options());
    args.push(origin.to_str().unwrap());
    repo.git(&args);
    repo.git(&["remote", "add", "origin", origin.to_str().unwrap()]);
    repo.git(&["push", "-q", "origin", "HEAD:refs/heads/main"]);
    repo.git(&["--git-dir", origin.to_str().unwrap(), "symbolic-ref", "HEAD", "refs/heads/main"]);
    repo.git(&["fetch", "-q", "origin"]);
    (Walk::new(repo, everyone()[0]), origin)
}

/// Puts the sample hook into the server, with carnet on its PATH.
fn guard_server(origin: &std::path::Path) {
    let hook = origin.join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let dir = carnet_path().parent().unwrap().to_str().unwrap();
    let sample = fs::read_to_string(root().join("hooks/pre-receive")).unwrap();
    let sample = sample.replacen('\n', &format!("\nPATH='{dir}':$PATH\n"), 1);
    fs::write(&hook, sample).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
}

fn refs_of(walk: &Walk, origin: &std::path::Path) -> String {
    walk.ask(&["--git-dir", origin.to_str().unwrap(), "for-each-ref"])
}

/// Pushes with the hook of the clone, or of the server alone.
fn push(walk: &Walk, side: Side, refs: &[&str]) -> Ran {
    let mut args = vec!["push", "-q"];
    if side == Side::Server {
        args.push("--no-verify");
    }
    args.push("origin");
    args.extend(refs);
    walk.git(&args)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Clone,
    Server,
}

/// Every walk is done at both gates: the verdict is the same.
fn at_both(format: Format, walk_it: impl Fn(&Walk, Side, &std::path::Path)) {
    for side in [Side::Clone, Side::Server] {
        let (walk, origin) = with_origin(format);
        match side {
            Side::Clone => drop(walk.carnet(&["init"]).expect_code(0)),
            Side::Server => guard_server(&origin),
        }
        walk_it(&walk, side, &origin);
    }
}

#[test]
fn a_commit_that_went_round_the_commit_hook_is_refused_and_a_clean_one_passes() {
    for format in Format::ALL {
        at_both(format, |walk, side, origin| {
            walk.commit_round_the_hook(&[("clean", "clean\n")]);
            push(walk, side, &["HEAD:main"]).expect_code(0);
            let before = refs_of(walk, origin);
            let bad = walk.commit_round_the_hook(&[("a.py", &key_line())]);
            walk.commit_round_the_hook(&[("a.py", "key = None\n")]);
            let said = push(walk, side, &["HEAD:main"]).expect_code(1).stderr;
            let place = format!("a.py:1:8 in commit {}:", &bad[..12]);
            assert!(said.contains(&place), "{side:?} {format:?}: {said}");
            assert!(said.contains("refused: the push, for 1 finding"), "{said}");
            assert!(said.contains("hint:") && !said.contains(&aws_key()), "{said}");
            assert_eq!(refs_of(walk, origin), before, "nothing arrived");
        });
    }
}

#[test]
fn only_what_the_other_side_lacks_is_examined() {
    at_both(Format::Plain, |walk, side, origin| {
        // The secret got there before there was a gate.
        let git_dir = origin.to_str().unwrap();
        let hook = origin.join("hooks/pre-receive");
        let aside = origin.join("hooks/aside");
        let _ = fs::rename(&hook, &aside);
        walk.commit_round_the_hook(&[("a.py", &key_line())]);
        walk.git(&["push", "-q", "--no-verify", "origin", "HEAD:main"]).expect_code(0);
        let _ = fs::rename(&aside, &hook);
        walk.commit_round_the_hook(&[("b", "b\n")]);
        push(walk, side, &["HEAD:main", "HEAD:refs/heads/other"]).expect_code(0);
        push(walk, side, &[":refs/heads/other"]).expect_code(0);
        // By address there are no tracking refs: what the ref named there is enough.
        walk.commit_round_the_hook(&[("c", "c\n")]);
        let args: &[&str] = if side == Side::Server { &["--no-verify"] } else { &[] };
        walk.git(&[&["push", "-q"], args, &[git_dir, "HEAD:main"]].concat()).expect_code(0);
        let bad = walk.commit_round_the_hook(&[("d.py", &key_line())]);
        walk.git(&[&["push", "-q"], args, &[git_dir, "HEAD:main"]].concat()).expect_code(1);
        assert!(!refs_of(walk, origin).contains(&bad));
    });
}

#[test]
fn tags_trees_blobs_and_every_ref_of_a_push_are_examined() {
    at_both(Format::Plain, |walk, side, origin| {
        let before = refs_of(walk, origin);
        walk.commit_round_the_hook(&[
            ("c.yml", &format!("token: {}\n", github_token())),
            (".env", "A=1\n"),
        ]);
        walk.git(&["tag", "-am", "signed off", "v1"]).expect_code(0);
        let tree = walk.ask(&["rev-parse", "HEAD^{tree}"]);
        let blob = walk.ask(&["rev-parse", "HEAD:c.yml"]);
        walk.git(&["tag", "-am", "a tree", "tree", &tree]).expect_code(0);
        walk.git(&["tag", "blob", &blob]).expect_code(0);
        walk.git(&["branch", "clean", "HEAD~1"]).expect_code(0);
        for refs in [&["v1"][..], &["tree"], &["blob"], &["clean", "v1"], &["HEAD:refs/notes/x"]] {
            let said = push(walk, side, refs).expect_code(1).stderr;
            assert!(said.contains("refused: the push"), "{refs:?}: {said}");
            assert_eq!(refs_of(walk, origin), before, "{refs:?}");
        }
        push(walk, side, &["clean"]).expect_code(0);
    });
}

#[test]
fn accepted_findings_count_where_the_gate_stands() {
    at_both(Format::Plain, |walk, side, _| {
        walk.carnet(&["init"]).expect_code(0);
        let range = format!("{}..", walk.ask(&["rev-parse", "HEAD"]));
        walk.commit_round_the_hook(&[("a.py", &key_line())]);
        push(walk, side, &["HEAD:main"]).expect_code(1);
        let report = walk.json(&["scan", "--json", "--commits", &range]);
        let digits = report["findings"][0]["fingerprint"].as_str().unwrap().to_owned();
        // The acceptance goes first, and the secret after it.
        walk.git(&["branch", "late"]).expect_code(0);
        walk.git(&["reset", "-q", "--hard", "HEAD~1"]).expect_code(0);
        walk.carnet(&["findings", "allow", &digits, "--reason", "revoked"]).expect_code(0);
        walk.commit_round_the_hook(&[]);
        push(walk, side, &["HEAD:main"]).expect_code(0);
        walk.git(&["rebase", "-q", "HEAD", "late"]).expect_code(0);
        push(walk, side, &["HEAD:main"]).expect_code(0);
    });
}

#[test]
fn a_wrong_file_of_accepted_findings_refuses_every_push_but_the_one_that_mends_it() {
    at_both(Format::Plain, |walk, side, origin| {
        const FILE: &str = "allowlists/findings.toml";
        let hook = origin.join("hooks/pre-receive");
        let aside = origin.join("hooks/aside");
        walk.commit_round_the_hook(&[(FILE, "format = 1\n")]);
        let _ = fs::rename(&hook, &aside);
        walk.git(&["push", "-q", "--no-verify", "origin", "HEAD:main"]).expect_code(0);
        let _ = fs::rename(&aside, &hook);
        walk.commit_round_the_hook(&[("clean", "clean\n")]);
        let said = push(walk, side, &["HEAD:main"]).expect_code(1).stderr;
        assert!(said.contains("findings.toml:1: `format`"), "{said}");
        let sound = format!("format = \"carnet/findings/1\"\nsalt = \"{}\"\n", "5a".repeat(32));
        walk.commit_round_the_hook(&[(FILE, &sound), ("a.py", &key_line())]);
        push(walk, side, &["HEAD:main"]).expect_code(1);
        walk.git(&["reset", "-q", "--soft", "HEAD~1"]).expect_code(0);
        walk.git(&["rm", "-q", "--cached", "a.py"]).expect_code(0);
        walk.git(&["commit", "-qnm", "mended"]).expect_code(0);
        push(walk, side, &["HEAD:main"]).expect_code(0);
    });
}

#[test]
fn a_hook_that_reads_the_refs_of_a_push_still_gets_them_and_so_does_carnet() {
    for script in [
        "#!/bin/sh\nwhile read -r local oid remote old; do echo \"mine: $remote for $1\" >&2; done\n",
        "#!/bin/bash\ncat | sed \"s|^.* \\(refs/heads/[a-z]*\\) .*|mine: \\1 for $1|\" >&2\n",
    ] {
        let (walk, origin) = with_origin(Format::Plain);
        let hook = walk.repo.path().join(".git/hooks/pre-push");
        fs::write(&hook, script).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        let hooks = fs::read(&hook).unwrap();
        walk.carnet(&["init", "--shims"]).expect_code(0);
        walk.commit_round_the_hook(&[("clean", "clean\n")]);
        let said = push(&walk, Side::Clone, &["HEAD:main", "HEAD:other"]).expect_code(0).stderr;
        assert!(said.contains("mine: refs/heads/main for origin"), "{said}");
        assert!(said.contains("mine: refs/heads/other for origin"), "{said}");
        let before = refs_of(&walk, &origin);
        walk.commit_round_the_hook(&[("a.py", &key_line())]);
        let said = push(&walk, Side::Clone, &["HEAD:main"]).expect_code(1).stderr;
        assert!(said.contains("mine: refs/heads/main") && said.contains("a.py:1:8"), "{said}");
        assert_eq!(refs_of(&walk, &origin), before);
        walk.carnet(&["uninstall"]).expect_code(0);
        assert_eq!(fs::read(&hook).unwrap(), hooks);
    }
}

#[test]
fn an_earlier_pre_push_hook_that_refuses_is_heard() {
    let (walk, _) = with_origin(Format::Plain);
    let hook = walk.repo.path().join(".git/hooks/pre-push");
    fs::write(&hook, "#!/bin/sh\necho 'not today' >&2\nexit 7\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    walk.carnet(&["init", "--shims"]).expect_code(0);
    walk.commit_round_the_hook(&[("clean", "clean\n")]);
    let said = push(&walk, Side::Clone, &["HEAD:main"]).expect_code(1).stderr;
    assert!(said.contains("not today"), "{said}");
}

#[test]
fn what_is_no_push_is_refused() {
    let (walk, _) = with_origin(Format::Plain);
    walk.carnet(&["init"]).expect_code(0);
    let hook = |event: &str, input: &str| {
        let runner = walk.runner(carnet_path());
        runner.args(["hook", event, "--shim", "1", "--", "origin", "url"]).stdin(input).run()
    };
    let gone = "ab".repeat(20);
    let zero = "0".repeat(40);
    for (event, input) in [
        ("pre-push", "nonsense\n".to_owned()),
        ("pre-receive", "nonsense\n".to_owned()),
        ("pre-receive", format!("{zero} {gone} refs/heads/x\n")),
        ("pre-push", format!("HEAD {gone} refs/heads/x {zero}\n")),
    ] {
        let ran = hook(event, &input);
        assert!(matches!(ran.code, Some(1 | 4)), "{event} {input}: {ran:?}");
    }
    hook("pre-push", "").expect_code(0);
    hook("update", "").expect_code(2);
}

#[test]
fn trees_made_by_hand_neither_hide_a_file_nor_break_the_reading() {
    let (walk, origin) = with_origin(Format::Plain);
    guard_server(&origin);
    let before = refs_of(&walk, &origin);
    let made = |words: &[&str], input: String| {
        let ran = walk.runner(&which("git")).args(words).stdin(input).run().expect_code(0);
        ran.stdout.trim().to_owned()
    };
    let blob = made(&["hash-object", "-w", "--stdin"], key_line());
    for (name, told) in [
        ("..", "a tree holds a name that is no path"),
        (":100644 000000 x", ":100644 000000 x:1:8"),
        ("a\nb", "a\\u{a}b:1:8"),
    ] {
        let tree = made(&["mktree", "-z"], format!("100644 blob {blob}\t{name}\0"));
        let commit = walk.ask(&["commit-tree", "-m", "by hand", &tree]);
        let refspec = format!("{commit}:refs/heads/x");
        let said = push(&walk, Side::Server, &[&refspec]).expect_code(1).stderr;
        assert!(said.contains(told), "{said}");
        assert_eq!(refs_of(&walk, &origin), before);
    }
}

#[test]
fn a_refused_push_is_in_the_audit_log_of_the_clone() {
    let (walk, _) = with_origin(Format::Plain);
    walk.carnet(&["init"]).expect_code(0);
    walk.commit_round_the_hook(&[("a.py", &key_line())]);
    push(&walk, Side::Clone, &["HEAD:main"]).expect_code(1);
    let log = walk.ask(&["log", "--format=%B", "--glob=refs/carnet/audit"]);
    assert!(log.contains("\"atGate\":\"pre-push\""), "{log}");
    assert!(!log.contains(&aws_key()), "{log}");
}
