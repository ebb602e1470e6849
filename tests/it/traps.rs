//! Ways past a commit hook that look harmless: how a commit is made, and where it is made.
//!
//! What a file holds is the matter of `traps_content`; commits that git makes without asking a hook are met at the push.
//! Others are held elsewhere: `-a`, `--amend`, the first commit, merges and work trees in `walk_staged`; SHA-256 and reftables,
//! submodules and broken indexes in `bad_input`; hooks directories and hooks from the configuration in `hooks`.

use std::{fs, os::unix::fs::PermissionsExt as _};

use carnet_testkit::{Ran, TestRepo};

use crate::support::{Walk, aws_key, carnet_path, everyone, key_line, which};

fn walk() -> Walk {
    Walk::initialised(
        "echo hello >README; mkdir in out; echo x >in/a; echo x >out/a",
        everyone()[0],
    )
}

/// Asserts that git refused because carnet found the key in `path`.
#[track_caller]
fn assert_refused(ran: Ran, path: &str) {
    let ran = ran.expect_code(1);
    let place = format!("{path}:");
    assert!(ran.stderr.contains(&place) && ran.stderr.contains("aws-access-key-id"), "{ran:?}");
    assert!(!ran.stderr.contains(&aws_key()), "{ran:?}");
}

fn stage(walk: &Walk, path: &str) {
    walk.write(path, key_line());
    walk.git(&["add", "--", path]).expect_code(0);
}

#[test]
fn a_rename_brings_what_the_file_holds() {
    let walk = walk();
    walk.commit_round_the_hook(&[("a.py", &key_line())]);
    walk.git(&["mv", "a.py", "b.py"]).expect_code(0);
    assert_refused(walk.git(&["commit", "-m", "renamed"]), "b.py");
    walk.git(&["mv", "b.py", "A.py"]).expect_code(0);
    assert_refused(walk.git(&["commit", "-m", "another case"]), "A.py");
}

#[test]
fn a_change_of_mode_or_kind_brings_the_file_again() {
    let walk = walk();
    walk.commit_round_the_hook(&[("a.py", &key_line())]);
    walk.git(&["update-index", "--chmod=+x", "a.py"]).expect_code(0);
    assert_refused(walk.git(&["commit", "-m", "mode"]), "a.py");
    walk.git(&["reset", "-q", "--hard"]).expect_code(0);
    fs::remove_file(walk.repo.path().join("a.py")).unwrap();
    walk.write("a.py/a.py", key_line());
    walk.git(&["add", "-A"]).expect_code(0);
    assert_refused(walk.git(&["commit", "-m", "a directory now"]), "a.py/a.py");
}

#[test]
fn taking_a_secret_out_is_no_offence() {
    let walk = walk();
    walk.commit_round_the_hook(&[("a.py", &key_line())]);
    walk.git(&["rm", "-q", "a.py"]).expect_code(0);
    walk.git(&["commit", "-qm", "gone"]).expect_code(0);
}

#[test]
fn a_part_of_a_file_is_examined_as_it_is_staged() {
    let walk = walk();
    let text = |top: &str, end: &str| format!("{top}{}{end}", "line\n".repeat(20));
    walk.commit_round_the_hook(&[("a.py", &text("top\n", "end\n"))]);
    let staged = |text: String| {
        walk.write("part", text);
        let id = walk.ask(&["hash-object", "-w", "part"]);
        fs::remove_file(walk.repo.path().join("part")).unwrap();
        walk.git(&["update-index", "--cacheinfo", &format!("100644,{id},a.py")]).expect_code(0);
    };
    walk.write("a.py", text(&key_line(), "changed\n"));
    staged(text(&key_line(), "end\n"));
    assert_refused(walk.git(&["commit", "-m", "the part with it"]), "a.py");
    staged(text("top\n", "changed\n"));
    walk.git(&["commit", "-qm", "the part without it"]).expect_code(0);
}

#[test]
fn a_commit_of_some_paths_is_examined_for_these_and_no_others() {
    let walk = walk();
    stage(&walk, "a.py");
    walk.write("README", "changed\n");
    walk.git(&["commit", "-qm", "only the other", "--only", "README"]).expect_code(0);
    assert_refused(walk.git(&["commit", "-m", "only it", "--only", "a.py"]), "a.py");
    walk.write("README", "again\n");
    assert_refused(walk.git(&["commit", "-m", "with it", "--include", "README"]), "a.py");
}

#[test]
fn what_is_only_intended_to_be_added_is_no_part_of_the_commit() {
    let walk = walk();
    walk.write("a.py", key_line());
    walk.git(&["add", "-N", "a.py"]).expect_code(0);
    walk.write("README", "changed\n");
    walk.git(&["commit", "-qm", "without it", "README"]).expect_code(0);
    assert_refused(walk.git(&["commit", "-am", "with it"]), "a.py");
}

#[test]
fn bits_that_hide_the_work_tree_hide_nothing_of_the_index() {
    for bit in ["--assume-unchanged", "--skip-worktree"] {
        let walk = walk();
        stage(&walk, "README");
        walk.git(&["update-index", bit, "README"]).expect_code(0);
        walk.write("README", "clean\n");
        assert_refused(walk.git(&["commit", "-m", bit]), "README");
    }
}

#[test]
fn a_conflict_is_refused_and_its_resolution_examined() {
    let walk = walk();
    walk.git(&["checkout", "-qb", "side"]).expect_code(0);
    walk.commit_round_the_hook(&[("README", "side\n")]);
    walk.git(&["checkout", "-q", "-"]).expect_code(0);
    walk.commit_round_the_hook(&[("README", "main\n")]);
    walk.git(&["merge", "side"]).expect_code(1);
    let ran = walk.carnet(&["hook", "pre-commit", "--shim", "1", "--"]).expect_code(1);
    assert!(ran.stderr.contains("unresolved conflicts"), "{}", ran.stderr);
    stage(&walk, "README");
    assert_refused(walk.git(&["commit", "-m", "resolved"]), "README");
    walk.write("README", "both\n");
    walk.git(&["commit", "-qam", "resolved"]).expect_code(0);
}

#[test]
fn a_commit_amidst_a_rebase_or_from_below_the_top_is_examined() {
    let walk = walk();
    walk.commit_round_the_hook(&[("a", "1\n")]);
    let edit = walk.runner(&which("git")).env("GIT_SEQUENCE_EDITOR", "sed -i s/pick/edit/");
    edit.args(["rebase", "-q", "-i", "HEAD~1"]).run().expect_code(0);
    stage(&walk, "a.py");
    assert_refused(walk.git(&["commit", "--amend", "-m", "edited"]), "a.py");
    walk.git(&["rebase", "--abort"]).expect_code(0);
    walk.write("in/b.py", key_line());
    assert_refused(walk.git(&["-C", "in", "add", "b.py"]).and(&walk, &["-C", "in"]), "in/b.py");
}

/// Commits after what was staged.
trait And {
    fn and(self, walk: &Walk, options: &[&str]) -> Ran;
}

impl And for Ran {
    fn and(self, walk: &Walk, options: &[&str]) -> Ran {
        self.expect_code(0);
        walk.git(&[options, &["commit", "-m", "next"]].concat())
    }
}

#[test]
fn every_form_of_the_index_is_read() {
    let forms: [&[&str]; 4] = [
        &["update-index", "--split-index"],
        &["update-index", "--index-version", "4"],
        &["-c", "index.skipHash=true", "update-index", "--force-write-index"],
        &["update-index", "--force-untracked-cache"],
    ];
    for form in forms {
        let walk = walk();
        walk.git(form).expect_code(0);
        stage(&walk, "in/a");
        assert_refused(walk.git(&["commit", "-m", "next"]), "in/a");
        walk.write("in/a", "clean\n");
        walk.git(&["add", "-A"]).expect_code(0);
        walk.git(&["commit", "-qm", "next"]).expect_code(0);
    }
}

#[test]
fn a_sparse_checkout_hides_nothing_with_a_full_index_or_a_sparse_one() {
    for index in ["--no-sparse-index", "--sparse-index"] {
        let walk = walk();
        walk.git(&["sparse-checkout", "set", "--cone", index, "in"]).expect_code(0);
        assert!(!walk.repo.path().join("out").exists());
        walk.write("out/b.py", key_line());
        walk.git(&["add", "--sparse", "out/b.py"]).expect_code(0);
        assert_refused(walk.git(&["commit", "-m", "outside"]), "out/b.py");
        walk.git(&["rm", "-q", "--cached", "--sparse", "out/b.py"]).expect_code(0);
        stage(&walk, "in/b.py");
        assert_refused(walk.git(&["commit", "-m", "inside"]), "in/b.py");
    }
}

#[test]
fn settings_of_git_diff_do_not_change_what_is_read() {
    let walk = walk();
    let settings = [
        ("diff.renames", "copies"),
        ("diff.noprefix", "true"),
        ("diff.external", "/bin/true"),
        ("diff.orderFile", "/dev/null"),
        ("diff.ignoreSubmodules", "all"),
        ("diff.relative", "true"),
        ("core.quotePath", "true"),
        ("status.showUntrackedFiles", "no"),
    ];
    for (name, value) in settings {
        walk.git(&["config", name, value]).expect_code(0);
    }
    // The sparse index makes carnet ask git.
    walk.git(&["sparse-checkout", "set", "--cone", "--sparse-index", "in"]).expect_code(0);
    stage(&walk, "in/\"é\".py");
    assert_refused(walk.git(&["commit", "-m", "next"]), "in/\"é\".py");
}

#[test]
fn an_index_or_a_repository_named_by_variables_is_the_one_examined() {
    let walk = walk();
    let other = walk.repo.root().join("other-index");
    fs::copy(walk.repo.path().join(".git/index"), &other).unwrap();
    let git = || walk.runner(&which("git")).env("GIT_INDEX_FILE", &other);
    walk.write("a.py", key_line());
    git().args(["add", "a.py"]).run().expect_code(0);
    assert_refused(git().args(["commit", "-m", "the other index"]).run(), "a.py");
    walk.git(&["commit", "-qm", "git's own", "--allow-empty"]).expect_code(0);

    let elsewhere = walk.repo.root().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("b.py"), key_line()).unwrap();
    let git = || {
        let git = walk.runner(&which("git")).env("GIT_DIR", walk.repo.path().join(".git"));
        git.env("GIT_WORK_TREE", &elsewhere).in_dir(&elsewhere)
    };
    git().args(["add", "b.py"]).run().expect_code(0);
    assert_refused(git().args(["commit", "-m", "another work tree"]).run(), "b.py");
}

#[test]
fn objects_in_a_directory_named_by_a_variable_are_read() {
    let walk = walk();
    let objects = walk.repo.root().join("objects");
    fs::create_dir(&objects).unwrap();
    let git = || {
        let git = walk.runner(&which("git")).env("GIT_OBJECT_DIRECTORY", &objects);
        git.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", walk.repo.path().join(".git/objects"))
    };
    walk.write("a.py", key_line());
    git().args(["add", "a.py"]).run().expect_code(0);
    assert_refused(git().args(["commit", "-m", "objects elsewhere"]).run(), "a.py");
}

#[test]
fn shared_and_shallow_clones_are_examined() {
    for options in [&["--shared"][..], &["--depth=1", "--no-local"]] {
        let walk = walk();
        walk.commit_round_the_hook(&[]);
        let clone = walk.repo.root().join("clone");
        let there = clone.to_str().unwrap();
        let here = walk.repo.path().to_str().unwrap();
        walk.git(&[&["clone", "-q"], options, &[here, there]].concat()).expect_code(0);
        let carnet = walk.runner(carnet_path()).in_dir(&clone);
        carnet.args(["init"]).run().expect_code(0);
        fs::write(clone.join("a.py"), key_line()).unwrap();
        let staged = walk.git(&["-C", there, "add", "-A"]);
        assert_refused(staged.and(&walk, &["-C", there]), "a.py");
    }
}

#[test]
fn what_a_partial_clone_did_not_fetch_is_refused_with_what_to_type() {
    let walk = walk();
    walk.git(&["config", "uploadpack.allowFilter", "true"]).expect_code(0);
    walk.commit_round_the_hook(&[("README", "second\n")]);
    let there = walk.repo.root().join("clone");
    let there = there.to_str().unwrap();
    let from = format!("file://{}", walk.repo.path().display());
    walk.git(&["clone", "-q", "--filter=blob:none", &from, there]).expect_code(0);
    let carnet = || walk.runner(carnet_path()).in_dir(there);
    carnet().args(["init"]).run().expect_code(0);
    let old = walk.ask(&["-C", there, "rev-parse", "HEAD~1:README"]);
    let entry = format!("100644,{old},README");
    walk.git(&["-C", there, "update-index", "--cacheinfo", &entry]).expect_code(0);
    walk.git(&["-C", there, "remote", "set-url", "origin", "/nowhere"]).expect_code(0);
    let ran = carnet().args(["hook", "pre-commit", "--shim", "1", "--"]).run().expect_code(1);
    assert!(ran.stderr.contains("README") && ran.stderr.contains("partial clone"), "{ran:?}");
    assert!(ran.stderr.contains(&format!("`git cat-file -e {old}`")), "{ran:?}");
}

#[test]
fn replaced_objects_and_grafts_hide_nothing() {
    let walk = walk();
    stage(&walk, "a.py");
    let secret = walk.ask(&["rev-parse", ":a.py"]);
    let clean = walk.ask(&["rev-parse", "HEAD:README"]);
    walk.git(&["replace", &secret, &clean]).expect_code(0);
    assert_refused(walk.git(&["commit", "-m", "replaced"]), "a.py");

    let brought = walk.commit_round_the_hook(&[]);
    walk.git(&["rm", "-q", "a.py"]).expect_code(0);
    let tip = walk.commit_round_the_hook(&[]);
    walk.git(&["replace", "--graft", &tip]).expect_code(0);
    walk.repo.write(".git/info/grafts", format!("{tip}\n"));
    let scanned = walk.json(&["scan", "--history", "--json"]);
    assert_eq!(scanned["findings"][0]["commit"], brought.as_str(), "{scanned}");
    let ran = push_by_hook(&walk, &tip);
    assert_refused(ran, "a.py");
}

/// Asks the push hook about a new branch at `tip`.
fn push_by_hook(walk: &Walk, tip: &str) -> Ran {
    let line = format!("refs/heads/x {tip} refs/heads/x {}\n", "0".repeat(tip.len()));
    let hook = walk.runner(carnet_path());
    hook.args(["hook", "pre-push", "--shim", "1", "--", "there", "there"]).stdin(line).run()
}

/// Git asks no hook here; the push is where it is met.
#[test]
fn commits_that_ask_no_hook_are_refused_at_the_push() {
    let make = "git checkout -qb side; cp ../a.py a.py; git add a.py; git commit -qnm side; git checkout -q main; ";
    let ways = [
        ("cherry-pick", "git cherry-pick side"),
        (
            "revert",
            "git cherry-pick side; git rm -q a.py; git commit -qnm x; git revert --no-edit HEAD",
        ),
        ("rebase", "git commit -qnm base --allow-empty; git rebase -q main side"),
        ("fast-forward", "git merge -q --ff-only side"),
        ("am", "git format-patch -1 --stdout side | git am -q"),
        (
            "hooks path",
            "cp ../a.py a.py; git add a.py; git -c core.hooksPath=/dev/null -c hook.carnet-pre-commit.event= commit -qm x || git commit -qnm x",
        ),
        (
            "commit-tree",
            "cp ../a.py a.py; git add a.py; git update-ref HEAD $(git commit-tree -p HEAD -m x $(git write-tree))",
        ),
        (
            "fast-import",
            "git fast-export --no-data main side | sed s,refs/heads/side,refs/heads/main, | git fast-import --quiet --force",
        ),
        ("stash", "cp ../a.py a.py; git add a.py; git stash -q; git reset -q --hard refs/stash"),
        ("reset", "git reset -q --hard side"),
        ("branch", "git branch -qf main2 side; git checkout -q main2"),
        ("squash", "git merge -q --squash side; git commit -qnm x"),
    ];
    for (way, script) in ways {
        println!("{way}");
        let walk = walk();
        fs::write(walk.repo.root().join("a.py"), key_line()).unwrap();
        walk.repo.script(&format!("{make}{script}"));
        assert_refused(push_by_hook(&walk, &walk.ask(&["rev-parse", "HEAD"])), "a.py");
    }
}

#[test]
fn a_bare_repository_or_none_is_no_clean_commit() {
    let bare = Walk::new(TestRepo::bare(), everyone()[0]);
    let hook = ["hook", "pre-commit", "--shim", "1", "--"];
    assert_ne!(bare.carnet(&hook).code, Some(0));
    let none = Walk::new(TestRepo::without_repository(), everyone()[0]);
    assert_ne!(none.carnet(&hook).code, Some(0));
}

#[test]
fn a_repository_that_cannot_be_written_still_refuses() {
    for who in everyone() {
        let walk = Walk::initialised("echo hello >README", *who);
        walk.write("a.py", key_line());
        walk.git(&["add", "a.py"]).expect_code(0);
        let git_dir = walk.repo.path().join(".git");
        let dirs = [
            git_dir.clone(),
            git_dir.join("refs"),
            git_dir.join("objects"),
            git_dir.join("carnet"),
        ];
        let set = |mode| {
            for dir in &dirs {
                fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
            }
        };
        set(0o555);
        let ran = walk.carnet(&["hook", "pre-commit", "--shim", "1", "--"]);
        set(0o755);
        assert_refused(ran, "a.py");
    }
}

#[test]
fn a_disk_without_room_still_refuses() {
    if !carnet_testkit::is_root() {
        eprintln!("not checked here: mounting a small file system needs root");
        return;
    }
    let walk = walk();
    stage(&walk, "a.py");
    let script = format!(
        "set -e; cd '{0}'; mkdir ../full; mount -t tmpfs -o size=2m,mode=755 none ../full; cp -r . ../full/; \
         mount --bind ../full '{0}'; dd if=/dev/zero of=../full/filler bs=4k 2>/dev/null || true; \
         cd '{1}'; set +e; '{2}' hook pre-commit --shim 1 --; code=$?; umount '{0}'; umount '{0}/../full'; exit $code",
        walk.repo.path().join(".git").display(),
        walk.repo.path().display(),
        carnet_path().display()
    );
    let ran = walk.runner(&which("unshare")).args(["--mount", "sh", "-c", &script]).run();
    assert!(ran.stderr.contains("could not be written to the audit log"), "{ran:?}");
    assert_refused(ran, "a.py");
}
