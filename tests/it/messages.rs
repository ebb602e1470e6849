//! Messages of commits and tags: what they say leaves with a push as files do.

use carnet_testkit::TestRepo;

use crate::support::{Walk, aws_key, everyone, github_token};

fn walk() -> Walk {
    Walk::initialised("echo hello >README", everyone()[0])
}

fn leaky() -> String {
    format!("Rotate the token\n\nIt was {} until today.\n", github_token())
}

#[test]
fn a_secret_in_the_message_refuses_the_commit_and_a_mended_one_passes() {
    let walk = walk();
    let head = walk.ask(&["rev-parse", "HEAD"]);
    let said = walk.git(&["commit", "-q", "--allow-empty", "-m", &leaky()]).expect_code(1).stderr;
    assert!(said.contains("message of this commit:3:8:"), "{said}");
    assert!(said.contains("refused: the commit, for 1 finding"), "{said}");
    assert!(!said.contains(&github_token()), "{said}");
    assert_eq!(walk.ask(&["rev-parse", "HEAD"]), head);
    walk.git(&["commit", "-q", "--allow-empty", "-m", "Rotate the token"]).expect_code(0);
}

#[test]
fn the_changes_that_git_shows_below_its_scissors_are_no_message() {
    let walk = walk();
    // A line that leaves the repository holds a secret; `--verbose` shows it, commented out by nothing.
    walk.commit_round_the_hook(&[("c.yml", &format!("token: {}\n", github_token()))]);
    walk.write("c.yml", "token: none\n");
    walk.git(&["add", "c.yml"]).expect_code(0);
    let editor = walk.repo.root().join("editor");
    std::fs::write(&editor, "#!/bin/sh\nsed -i '1s/^/Take the token out\\n/' \"$1\"\n").unwrap();
    let editor = format!("core.editor=sh {}", editor.display());
    walk.git(&["-c", &editor, "commit", "-q", "--verbose"]).expect_code(0);
    assert_eq!(walk.ask(&["log", "-1", "--format=%s"]), "Take the token out");
}

#[test]
fn ranges_history_and_tags_are_examined_for_their_messages() {
    let walk = walk();
    walk.git(&["commit", "-q", "--no-verify", "--allow-empty", "-m", &leaky()]).expect_code(0);
    let bad = walk.ask(&["rev-parse", "HEAD"]);
    let place = format!("message of commit {}", &bad[..12]);
    for what in [&["--commits", "HEAD~1..HEAD"][..], &["--history"], &["--history"]] {
        let said = walk.carnet(&[&["scan"], what].concat()).expect_code(1).stderr;
        assert!(said.contains(&format!("{place}:3:8:")), "{what:?}: {said}");
        assert_eq!(said.matches("in commit").count(), 0, "{said}");
    }
    walk.git(&["reset", "-q", "--hard", "HEAD~1"]).expect_code(0);
    walk.carnet(&["scan", "--history"]).expect_code(0);
    // A tag of a tag: the inner one is named by no ref.
    walk.git(&["tag", "-a", "-m", &leaky(), "inner"]).expect_code(0);
    walk.git(&["tag", "-a", "-m", "outer", "outer", "inner"]).expect_code(0);
    let inner = walk.ask(&["rev-parse", "inner"]);
    walk.git(&["tag", "-d", "inner"]).expect_code(0);
    for _ in 0..2 {
        let said = walk.carnet(&["scan", "--history"]).expect_code(1).stderr;
        assert!(said.contains(&format!("message of tag {}:3:8:", &inner[..12])), "{said}");
    }
    let report = walk.carnet(&["scan", "--history", "--json"]).expect_code(1).stdout;
    assert!(!report.contains(&github_token()));
}

#[test]
fn a_push_is_refused_for_the_message_of_a_commit_or_a_tag() {
    let walk = walk();
    let origin = walk.repo.root().join("origin.git");
    TestRepo::git(&walk.repo, &["init", "-q", "--bare", origin.to_str().unwrap()]);
    walk.git(&["remote", "add", "origin", origin.to_str().unwrap()]).expect_code(0);
    walk.git(&["tag", "-a", "-m", &leaky(), "v1"]).expect_code(0);
    walk.git(&["push", "-q", "origin", "v1"]).expect_code(1);
    walk.git(&["push", "-q", "origin", "HEAD:refs/heads/main"]).expect_code(0);
    walk.git(&["commit", "-q", "--no-verify", "--allow-empty", "-m", &leaky()]).expect_code(0);
    let said = walk.git(&["push", "-q", "origin", "HEAD:refs/heads/main"]).expect_code(1).stderr;
    assert!(said.contains("message of commit"), "{said}");
}

/// A file's name with an AWS key in it.
fn telling_name() -> String {
    format!("notes-{}.txt", aws_key())
}

#[test]
fn a_secret_in_the_name_of_a_file_or_a_ref_is_refused_and_not_shown() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let key = aws_key();
    let name = telling_name();
    walk.write(&name, "nothing\n");
    walk.git(&["add", "-A"]).expect_code(0);
    let ran = walk.git(&["commit", "-m", "a name"]).expect_code(1);
    let told = "name of file `notes-[REDACTED:aws-access-key-id].txt`";
    assert!(ran.stderr.contains(told) && !ran.stderr.contains(&key), "{}", ran.stderr);
    walk.git(&["commit", "-qnm", "round the hook"]).expect_code(0);
    walk.write(&name, "more\n");
    walk.commit_round_the_hook(&[]);
    for _ in 0..2 {
        let ran = walk.carnet(&["scan", "--history"]).expect_code(1);
        assert_eq!(ran.stderr.matches(told).count(), 1, "{}", ran.stderr);
    }
    let server = TestRepo::without_repository();
    server.git(&["init", "-q", "--bare", "."]);
    walk.git(&["reset", "-q", "--hard", "HEAD~2"]).expect_code(0);
    let url = server.path().display().to_string();
    let branch = format!("HEAD:refs/heads/fix-{key}");
    let ran = walk.git(&["push", &url, &branch]).expect_code(1);
    let told = "name of ref `refs/heads/fix-[REDACTED:aws-access-key-id]`";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert_eq!(server.git(&["for-each-ref"]), "");
    walk.git(&["branch", &format!("fix-{key}")]).expect_code(0);
    let ran = walk.carnet(&["scan", "--history"]).expect_code(1);
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
}
