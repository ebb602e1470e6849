//! What is staged, against `git diff --cached --raw`.

use std::{fs, os::unix::fs::PermissionsExt};

use carnet_git::{EntryMode, Repo, StagedError};
use carnet_testkit::{Format, Runner, TestRepo};

use crate::{open, probe};

const JUDGE: [&str; 6] = ["diff", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev"];

/// `mode id`, path, of everything git lists but deletions.
fn judged(raw: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8(raw.to_vec()).unwrap();
    let fields: Vec<&str> = text.split_terminator('\0').collect();
    let records = fields.chunks(2).map(|pair| (pair[0].split(' ').collect::<Vec<_>>(), pair[1]));
    records
        .filter(|(columns, _)| columns[4] != "D")
        .map(|(columns, path)| (format!("{} {}", columns[1], columns[3]), path.to_owned()))
        .collect()
}

fn ours(repo: &Repo) -> Vec<(String, String)> {
    let staged = repo.staged().unwrap();
    let line = |mode: EntryMode, id| format!("{} {id}", mode.octal());
    staged.iter().map(|e| (line(e.mode, e.blob_id), e.path.to_text())).collect()
}

#[track_caller]
fn agree(repo: &TestRepo) -> Vec<(String, String)> {
    let expected = judged(&repo.git_bytes(&JUDGE));
    assert_eq!(ours(&open(repo)), expected);
    expected
}

/// Runs a script whose commits call a hook; in the hook, both are asked.
#[track_caller]
fn agree_in_hook(repo: &TestRepo, script: &str) -> Vec<(String, String)> {
    let hook = repo.path().join(".git/hooks/pre-commit");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let (root, judge) = (repo.root(), JUDGE.join(" "));
    let text = format!(
        "#!/bin/sh -eu\n{} staged > {root}/ours\ngit {judge} > {root}/judge\n",
        probe().display(),
        root = root.display(),
    );
    fs::write(&hook, text).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    repo.script(script);
    let expected = judged(&fs::read(root.join("judge")).unwrap());
    let said = String::from_utf8(fs::read(root.join("ours")).unwrap()).unwrap();
    let fields: Vec<&str> = said.split_terminator('\0').collect();
    let found: Vec<_> =
        fields.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
    assert_eq!(found, expected);
    expected
}

/// A few directories, so that the index has something to remember.
const START: &str = "
    mkdir -p src/deep/er docs
    for f in README src/a src/b src.c src/deep/x src/deep/er/y docs/z; do echo $f > $f; done
    ln -s README link
    git add -A && git commit -q -m start";

#[test]
fn every_format_agrees_on_an_unborn_head_a_clean_index_and_a_change() {
    for format in Format::ALL {
        let repo = TestRepo::with(format);
        assert_eq!(agree(&repo), []);
        repo.write("a/b", "1").git(&["add", "-A"]);
        assert_eq!(agree(&repo).len(), 1);
        repo.commit_all("first");
        assert_eq!(agree(&repo), []);
        repo.write("a/c", "2").git(&["add", "-A"]);
        assert_eq!(agree(&repo).len(), 1);
    }
}

#[test]
fn added_modified_deleted_renamed_and_type_changed_paths_agree() {
    let repo = TestRepo::init();
    repo.script(START);
    repo.script(
        "# One of each kind.
         echo more >> src/deep/er/y
         git rm -q src/b
         git mv docs/z docs/zz
         chmod +x README
         rm link && echo file > link
         rm src/a && ln -s deep src/a
         echo new > 'docs/naïve name'
         git add -A",
    );
    assert_eq!(agree(&repo).len(), 6);
}

#[test]
fn a_file_that_becomes_a_directory_and_back_agrees() {
    let repo = TestRepo::init();
    repo.script(START);
    repo.script("rm src.c && mkdir src.c && echo 1 > src.c/in && git add -A");
    agree(&repo);
    repo.script("rm -r src && echo flat > src && git add -A");
    assert_eq!(agree(&repo).len(), 2);
}

#[test]
fn unstaged_and_untracked_changes_are_not_seen() {
    let repo = TestRepo::init();
    repo.script(START).write("src/a", "changed").write("untracked", "new");
    assert_eq!(agree(&repo), []);
}

#[test]
fn a_path_only_intended_to_be_added_is_not_listed() {
    let repo = TestRepo::init();
    repo.write("early", "1").git(&["add", "-N", "early"]);
    assert_eq!(agree(&repo), []);
    repo.script(START).write("src/deep/late", "2").git(&["add", "-N", "src/deep/late"]);
    assert_eq!(agree(&repo), []);
    repo.write("src/deep/x", "3").git(&["add", "src/deep/x"]);
    assert_eq!(agree(&repo).len(), 1);
}

#[test]
fn commit_all_is_seen_through_the_index_that_git_hands_to_the_hook() {
    let repo = TestRepo::init();
    repo.script(START);
    let staged = agree_in_hook(&repo, "echo more >> src/a; git commit -q -a -m all");
    assert_eq!(staged.len(), 1);
}

#[test]
fn commit_of_named_paths_is_seen_and_other_staged_paths_are_not() {
    let repo = TestRepo::init();
    repo.script(START);
    let script = "echo 1 >> src/a; echo 2 >> docs/z; git add docs/z
                  git commit -q -m only -- src/a";
    let staged = agree_in_hook(&repo, script);
    assert_eq!(staged.iter().map(|entry| entry.1.as_str()).collect::<Vec<_>>(), ["src/a"]);
}

#[test]
fn a_patch_chosen_by_hand_stages_only_that_part() {
    let repo = TestRepo::init();
    repo.script(START);
    // Two hunks; the first is taken, the second is not.
    let script = "seq 40 > src/a; git add src/a; git commit -q -m long
                  sed -i -e '1s/.*/first/' -e '40s/.*/last/' src/a
                  printf 'y\\nn\\n' | git commit -q -p -m part";
    let staged = agree_in_hook(&repo, script);
    assert_eq!(staged.len(), 1);
}

#[test]
fn amend_agrees_with_git() {
    let repo = TestRepo::init();
    repo.script(START);
    agree_in_hook(&repo, "echo 1 >> src/a; git add -A; git commit -q --amend -m again");
}

#[test]
fn a_commit_from_a_subdirectory_agrees() {
    let repo = TestRepo::init();
    repo.script(START);
    let staged = agree_in_hook(&repo, "cd src/deep; echo 1 >> x; git commit -q -a -m deep");
    assert_eq!(staged.len(), 1);
}

#[test]
fn a_linked_worktree_agrees() {
    let repo = TestRepo::init();
    repo.script(START);
    let script = "git worktree add -q ../linked -b side; cd ../linked
                  echo 1 >> src/a; git commit -q -a -m side";
    assert_eq!(agree_in_hook(&repo, script).len(), 1);
}

#[test]
fn a_merge_agrees_and_a_conflict_is_refused() {
    let repo = TestRepo::init();
    repo.script(START);
    repo.script(
        "# Two branches: one clean path, one contested.
         git checkout -q -b side; echo side > src/a; echo side > side; git add -A
         git commit -q -m side
         git checkout -q main; echo main > src/a; git commit -q -a -m main
         git merge -q side || true",
    );
    match open(&repo).staged() {
        Err(StagedError::Unmerged { paths }) => assert_eq!(paths[0].to_text(), "src/a"),
        other => panic!("{other:?}"),
    }
    let staged = agree_in_hook(&repo, "echo both > src/a; git add -A; git commit -q -m merged");
    assert_eq!(staged.len(), 2);
}

#[test]
fn a_submodule_is_listed_with_its_mode_whatever_diff_ignores() {
    let repo = TestRepo::init();
    repo.script(START);
    repo.script("git init -q ../inner; git -C ../inner commit -q --allow-empty -m inner");
    repo.script("git submodule --quiet add ../inner inner");
    let staged = agree(&repo);
    assert!(staged.iter().any(|entry| entry.0.starts_with("160000")), "{staged:?}");
    repo.git(&["config", "diff.ignoreSubmodules", "all"]);
    assert_eq!(ours(&open(&repo)), staged);
}

#[test]
fn a_split_index_agrees() {
    let repo = TestRepo::init();
    repo.script(START);
    repo.script("git update-index --split-index; echo 1 >> src/a; git add -A");
    assert_eq!(agree(&repo).len(), 1);
}

#[test]
fn index_versions_agree() {
    for version in ["2", "3", "4"] {
        let repo = TestRepo::init();
        repo.script(START);
        repo.git(&["update-index", "--index-version", version]);
        repo.script("echo 1 >> src/deep/x; git rm -q --cached src/b; git add src/deep/x");
        assert_eq!(agree(&repo).len(), 1, "version {version}");
    }
}

#[test]
fn a_sparse_index_is_asked_of_git() {
    let repo = TestRepo::init();
    repo.script(START);
    repo.script(
        "git sparse-checkout init --cone --sparse-index
         git sparse-checkout set docs
         echo 1 >> docs/z; git add docs/z",
    );
    let modes = repo.git(&["ls-files", "--sparse", "-s"]);
    assert!(modes.contains("040000"), "the index is sparse: {modes}");
    assert_eq!(agree(&repo).len(), 1);
}

#[test]
fn a_second_index_named_by_the_environment_is_the_one_read() {
    let repo = TestRepo::init();
    repo.script(START);
    repo.script(
        "export GIT_INDEX_FILE=.git/other
         git read-tree HEAD; echo 1 > new; git add new",
    );
    assert_eq!(ours(&open(&repo)), []);
    let ran =
        Runner::new(probe()).args(["staged"]).in_repo(&repo).env("GIT_INDEX_FILE", ".git/other");
    assert!(ran.run().expect_code(0).stdout.contains("\0new\0"));
    // From below the top as well: git reads the name from the top.
    let below = ran.in_dir(repo.path().join("src"));
    assert!(below.run().expect_code(0).stdout.contains("\0new\0"));
}

#[test]
fn an_unreadable_index_is_an_error_and_never_an_empty_answer() {
    let repo = TestRepo::init();
    repo.script(START).write("new", "1").git(&["add", "-A"]);
    let index = repo.path().join(".git/index");
    let sound = fs::read(&index).unwrap();
    for bad in [&b""[..], b"DIRC", &sound[..30], &sound[..sound.len() / 2], &[0; 4096]] {
        fs::write(&index, bad).unwrap();
        let answer = open(&repo).staged();
        let refused = matches!(answer, Err(StagedError::Index { .. } | StagedError::Path(_)));
        assert!(refused, "{} bytes: {answer:?}", bad.len());
    }
    fs::write(&index, sound).unwrap();
    assert_eq!(agree(&repo).len(), 1);
}

#[test]
fn a_flipped_bit_in_the_index_is_never_less_than_what_git_would_commit() {
    let repo = TestRepo::init();
    repo.script(START).write("new", "1").git(&["add", "-A"]);
    let index = repo.path().join(".git/index");
    let sound = fs::read(&index).unwrap();
    for byte_idx in (0..sound.len()).step_by(sound.len() / 40) {
        let mut flipped = sound.clone();
        flipped[byte_idx] ^= 4;
        fs::write(&index, flipped).unwrap();
        let judge = repo.try_git(&JUDGE);
        match open(&repo).staged() {
            // Git does not check the index's checksum; where it reads on, it is believed.
            Ok(_) => assert_eq!(ours(&open(&repo)), judged(&judge.stdout), "byte {byte_idx}"),
            Err(err) => assert!(!err.to_string().is_empty()),
        }
    }
}

#[test]
fn a_replaced_blob_does_not_hide_what_is_staged() {
    let repo = TestRepo::init();
    repo.script(START).write("new", "the real one").git(&["add", "-A"]);
    let real = repo.git(&["rev-parse", ":new"]);
    repo.script("git replace $(git rev-parse :new) $(echo harmless | git hash-object -w --stdin)");
    let opened = open(&repo);
    let staged = opened.staged().unwrap();
    assert_eq!(staged[0].blob_id.to_string(), real);
    assert_eq!(opened.read_blob(&staged[0].blob_id, 100).unwrap(), b"the real one");
}

#[test]
fn many_random_edits_agree() {
    let repo = TestRepo::init();
    repo.script(START);
    // A fixed sequence of edits, each judged; the numbers come from a small generator.
    let mut state = 7_u32;
    let mut next = |n: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % n
    };
    let names = ["a", "a/b", "a/b/c", "a.b", "a-b", "a0", "b/a", "b/a.c", "b.c/d", "z"];
    for step in 0..60 {
        let name = names[next(names.len() as u32) as usize];
        let script = match next(5) {
            0 => format!("git rm -rq --cached -- {name} 2>/dev/null || true"),
            1 => "git commit -q --allow-empty -m step".to_owned(),
            // Straight into the index: the work tree could not hold a file and a directory at once.
            kind => {
                let mode = if kind == 2 { "100755" } else { "100644" };
                let text = next(3);
                format!(
                    "id=$(echo {text} | git hash-object -w --stdin)
                     git update-index --replace --add --cacheinfo {mode},$id,{name}"
                )
            }
        };
        repo.script(&script);
        let expected = judged(&repo.git_bytes(&JUDGE));
        assert_eq!(ours(&open(&repo)), expected, "step {step}: {script}");
    }
}
