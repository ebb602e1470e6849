//! Notes, as `git notes` shows them.

use std::collections::BTreeSet;

use carnet_git::{NOTE_LINES_MAX, NoteError};
use carnet_testkit::{Format, Runner, TestRepo};

use crate::{assert_no_stray_ref, assert_sound, author, oid, open, probe, time};

const NOTES: &str = "refs/notes/carnet/passports";

#[test]
fn a_note_is_a_set_of_sorted_lines_that_git_shows() {
    for format in Format::ALL {
        let repo = TestRepo::with(format);
        let commit_id = oid(&repo.commit_all("one"));
        let tree_id = oid(&repo.git(&["rev-parse", "HEAD^{tree}"]));
        let opened = open(&repo);
        let add = |target, line: &str| {
            opened.append_note(NOTES, target, line, &author(), time()).unwrap();
        };
        assert_eq!(opened.read_note(NOTES, &commit_id).unwrap(), None);
        for line in ["{\"b\":1}", "{\"a\":2}", "{\"b\":1}"] {
            add(&commit_id, line);
        }
        add(&tree_id, "tree");
        let shown = repo.git(&["notes", "--ref=carnet/passports", "show", &commit_id.to_string()]);
        assert_eq!(shown, "{\"a\":2}\n{\"b\":1}");
        let shown = repo.git(&["notes", "--ref=carnet/passports", "show", &tree_id.to_string()]);
        assert_eq!(shown, "tree");
        let read = opened.read_note(NOTES, &commit_id).unwrap().unwrap();
        assert_eq!(read, b"{\"a\":2}\n{\"b\":1}\n");
        // A line that is there already makes no commit.
        assert_eq!(repo.git(&["rev-list", "--count", NOTES]), "3");
        assert_no_stray_ref(&repo, format);
        assert_sound(&repo);
    }
}

#[test]
fn lines_that_git_added_are_kept_and_git_keeps_ours() {
    let repo = TestRepo::init();
    let commit_id = oid(&repo.commit_all("one"));
    repo.git(&["notes", "--ref=carnet/passports", "add", "-m", "by git"]);
    let opened = open(&repo);
    opened.append_note(NOTES, &commit_id, "by carnet", &author(), time()).unwrap();
    repo.git(&["notes", "--ref=carnet/passports", "append", "-m", "again by git"]);
    opened.append_note(NOTES, &commit_id, "z", &author(), time()).unwrap();
    let shown = repo.git(&["notes", "--ref=carnet/passports", "show"]);
    assert_eq!(shown, "again by git\nby carnet\nby git\nz");
}

#[test]
fn many_notes_fan_out_and_both_read_all_of_them() {
    let repo = TestRepo::init();
    // Enough targets that git's own notes trees fan out; git annotates the first three.
    repo.script(
        "tree=$(git mktree </dev/null)
         for k in $(seq 150); do git commit-tree -m $k $tree; done > ../ids
         export GIT_NOTES_REF=refs/notes/carnet/passports
         head -3 ../ids | while read id; do git notes add -m \"by git $id\" $id; done",
    );
    let ids = std::fs::read_to_string(repo.root().join("ids")).unwrap();
    let opened = open(&repo);
    for id in ids.lines() {
        opened.append_note(NOTES, &oid(id), &format!("run {id}"), &author(), time()).unwrap();
    }
    let listed = repo.git(&["notes", "--ref=carnet/passports", "list"]);
    let annotated: BTreeSet<&str> =
        listed.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(annotated, ids.lines().collect());
    let tree = repo.git(&["ls-tree", NOTES]);
    assert!(tree.lines().all(|line| line.contains(" tree ")), "fanned out: {tree}");
    for id in ids.lines().step_by(15) {
        let shown = repo.git(&["notes", "--ref=carnet/passports", "show", id]);
        assert!(shown.contains(&format!("run {id}")), "{shown}");
        let read = opened.read_note(NOTES, &oid(id)).unwrap().unwrap();
        assert_eq!(String::from_utf8(read).unwrap().trim_end(), shown);
    }
    // Git, adding one, finds nothing to move.
    let extra = repo.commit_all("extra");
    repo.git(&["notes", "--ref=carnet/passports", "add", "-m", "last", &extra]);
    assert_eq!(opened.read_note(NOTES, &oid(&extra)).unwrap().unwrap(), b"last\n");
    assert_sound(&repo);
}

#[test]
fn eight_processes_lose_no_line() {
    for (format, n_each) in [(Format::Plain, 25), (Format::Reftable, 2)] {
        let repo = TestRepo::with(format);
        let commit_id = repo.commit_all("one");
        let words = ["a", "b", "c", "d", "e", "f", "g", "h"];
        std::thread::scope(|scope| {
            for word in words {
                let n = n_each.to_string();
                let args = ["note", NOTES, &commit_id, &n, word];
                let ask = Runner::new(probe()).args(args).in_repo(&repo);
                scope.spawn(move || ask.run().expect_code(0));
            }
        });
        let shown = repo.git(&["notes", "--ref=carnet/passports", "show"]);
        assert_eq!(shown.lines().count(), words.len() * n_each, "{format:?}");
        assert_no_stray_ref(&repo, format);
        assert_sound(&repo);
    }
}

#[test]
fn lines_that_would_be_several_and_unreadable_notes_are_errors() {
    let repo = TestRepo::init();
    let commit_id = oid(&repo.commit_all("one"));
    let opened = open(&repo);
    for line in ["", "a\nb", "a\0b"] {
        let answer = opened.append_note(NOTES, &commit_id, line, &author(), time());
        assert!(matches!(answer, Err(NoteError::Line)), "{line:?}");
    }
    // A notes ref that is no commit.
    repo.script(
        "git update-ref refs/notes/carnet/passports $(git hash-object -w --stdin </dev/null)",
    );
    let answer = opened.append_note(NOTES, &commit_id, "x", &author(), time());
    assert!(matches!(answer, Err(NoteError::Object(_))), "{answer:?}");
    assert!(opened.read_note(NOTES, &commit_id).is_err());
}

#[test]
fn a_full_note_stays_as_it_is() {
    let repo = TestRepo::init();
    let commit_id = oid(&repo.commit_all("one"));
    let lines: Vec<String> = (0..NOTE_LINES_MAX).map(|idx| format!("line {idx:04}")).collect();
    repo.git(&["notes", "--ref=carnet/passports", "add", "-m", &lines.join("\n")]);
    let tip = repo.git(&["rev-parse", NOTES]);
    let opened = open(&repo);
    opened.append_note(NOTES, &commit_id, "one more", &author(), time()).unwrap();
    assert_eq!(repo.git(&["rev-parse", NOTES]), tip);
}
