//! Reading and writing objects.

use carnet_core::{GitOid, RepoPath};
use carnet_git::{Author, CommitSpec, EntryMode, ObjectError, Repo, TreeSpec, WriteError};
use carnet_testkit::{Format, Runner, TestRepo};

use crate::{assert_sound, author, oid, open, path, probe, time};

fn commit_of(tree: GitOid, parents: Vec<GitOid>, message: &str) -> CommitSpec {
    CommitSpec { tree, parents, message: message.to_owned(), author: author(), time: time() }
}

#[test]
fn blobs_trees_and_commits_have_the_names_that_git_gives_them() {
    for format in Format::ALL {
        let repo = TestRepo::with(format);
        let opened = open(&repo);
        let bytes = b"one\0two\n";
        let blob_id = opened.write_blob(bytes).unwrap();
        assert_eq!(repo.git_bytes(&["cat-file", "blob", &blob_id.to_string()]), bytes);
        let link_id = opened.write_blob(b"a/b").unwrap();
        let spec = TreeSpec::new()
            .file(path("z"), EntryMode::Executable, blob_id)
            .file(path("a/b"), EntryMode::File, blob_id)
            .file(path("a.b"), EntryMode::File, blob_id)
            .file(path("a/link"), EntryMode::Symlink, link_id);
        let tree_id = opened.write_tree(&spec).unwrap();
        let listed = repo.git(&["ls-tree", "-r", &tree_id.to_string()]);
        let files = opened.tree_files(&tree_id).unwrap();
        let ours: Vec<String> = files
            .iter()
            .map(|file| format!("{} blob {}\t{}", file.mode.octal(), file.id, file.path))
            .collect();
        assert_eq!(ours, listed.lines().collect::<Vec<_>>());
        let graft = TreeSpec::new().subtree(path("source"), tree_id).file(
            path("passport.json"),
            EntryMode::File,
            blob_id,
        );
        let graft_id = opened.write_tree(&graft).unwrap();
        let source = repo.git(&["rev-parse", &format!("{graft_id}:source")]);
        assert_eq!(oid(&source), tree_id);
        assert_eq!(opened.subtree(&graft_id, &path("source")).unwrap(), Some(tree_id));
        let first = opened.write_commit(&commit_of(tree_id, vec![], "first")).unwrap();
        let second =
            opened.write_commit(&commit_of(graft_id, vec![first], "second\n\nbody")).unwrap();
        repo.git(&["update-ref", "refs/heads/made", &second.to_string()]);
        assert_eq!(
            repo.git(&["log", "--format=%an <%ae> %ct %s %b", "made"]),
            "Carnet Test <carnet@example.com> 1767323045 second body\n\n\
             Carnet Test <carnet@example.com> 1767323045 first "
        );
        let read = opened.read_commit(&second).unwrap();
        assert_eq!((read.tree, read.parents), (graft_id, vec![first]));
        assert_eq!((read.message.as_str(), read.time), ("second\n\nbody\n", time()));
        assert_eq!(read.author, author());
        assert_sound(&repo);
    }
}

#[test]
fn a_commit_on_the_empty_tree_leaves_the_repository_sound() {
    for format in [Format::Plain, Format::Sha256] {
        let repo = TestRepo::with(format);
        let opened = open(&repo);
        let tree_id = opened.write_tree(&TreeSpec::new()).unwrap();
        let commit_id = opened.write_commit(&commit_of(tree_id, vec![], "empty")).unwrap();
        repo.git(&["update-ref", "refs/heads/made", &commit_id.to_string()]);
        assert_sound(&repo);
        assert_eq!(opened.tree_files(&commit_id).unwrap(), []);
    }
}

#[test]
fn trees_that_git_would_refuse_are_refused() {
    let repo = TestRepo::init();
    let opened = open(&repo);
    let id = opened.write_blob(b"x").unwrap();
    let file = |text: &str| TreeSpec::new().file(path(text), EntryMode::File, id);
    for name in [".git", "a/.GIT/config", "git~1", "a/.g\u{200c}it", ".git /x", ".git::$INDEX"] {
        let answer = opened.write_tree(&file(name));
        assert!(matches!(answer, Err(WriteError::Name { .. })), "{name}: {answer:?}");
    }
    for (one, other) in [("a", "a"), ("a", "a/b"), ("a/b", "a")] {
        let answer = opened.write_tree(&file(one).file(path(other), EntryMode::File, id));
        assert!(matches!(answer, Err(WriteError::Conflict { .. })), "{one} {other}: {answer:?}");
    }
    let foreign = GitOid::from_hex(&"a".repeat(64)).unwrap();
    let answer = opened.write_tree(&TreeSpec::new().file(path("a"), EntryMode::File, foreign));
    assert!(matches!(answer, Err(WriteError::ForeignFormat { .. })));
}

#[test]
fn authors_and_messages_that_would_forge_a_header_are_refused() {
    let repo = TestRepo::init();
    let opened = open(&repo);
    let tree = opened.write_tree(&TreeSpec::new()).unwrap();
    for (name, email, message) in [
        ("a\nparent 0", "e", "m"),
        ("a <b> 0 +0000", "e", "m"),
        ("a", "e> 0", "m"),
        ("a ", "e", "m"),
        ("a", "e", "m\0"),
    ] {
        let author = Author { name: name.to_owned(), email: email.to_owned() };
        let spec = CommitSpec { author, ..commit_of(tree, vec![], message) };
        let answer = opened.write_commit(&spec);
        assert!(matches!(answer, Err(WriteError::Commit { .. })), "{name:?}: {answer:?}");
    }
}

#[test]
fn reads_are_bounded_and_each_failure_has_its_name() {
    let repo = TestRepo::init();
    let commit_id = oid(&repo.write("dir/a", "12345").commit_all("first"));
    let opened = open(&repo);
    let blob_id = oid(&repo.git(&["rev-parse", "HEAD:dir/a"]));
    assert_eq!(opened.read_blob(&blob_id, 5).unwrap(), b"12345");
    assert_eq!(opened.blob_size(&blob_id).unwrap(), 5);
    let too_large = opened.read_blob(&blob_id, 4);
    assert!(matches!(too_large, Err(ObjectError::TooLarge { size: 5, max: 4, .. })));
    assert!(matches!(opened.read_blob(&commit_id, 99), Err(ObjectError::WrongKind { .. })));
    let unknown = GitOid::from_hex(&"1".repeat(40)).unwrap();
    assert!(matches!(opened.read_blob(&unknown, 99), Err(ObjectError::Missing { .. })));
    assert!(!opened.has_object(&unknown) && opened.has_object(&blob_id));
    let foreign = GitOid::from_hex(&"1".repeat(64)).unwrap();
    assert!(matches!(opened.read_blob(&foreign, 99), Err(ObjectError::ForeignFormat { .. })));
    let read = |text: &str| opened.read_path(&commit_id, &path(text), 99).unwrap();
    assert_eq!(read("dir/a").unwrap(), b"12345");
    assert_eq!((read("dir"), read("dir/b"), read("dir/a/c")), (None, None, None));
}

#[test]
fn a_corrupt_loose_object_is_an_error() {
    let repo = TestRepo::init();
    let commit_id = repo.write("a", "text").commit_all("first");
    let file = repo.path().join(".git/objects").join(&commit_id[..2]).join(&commit_id[2..]);
    std::fs::remove_file(&file).unwrap();
    for bad in [&b""[..], b"not zlib", &[0x78, 0x9c, 0x01]] {
        std::fs::write(&file, bad).unwrap();
        let answer = open(&repo).read_commit(&oid(&commit_id));
        assert!(answer.is_err(), "{answer:?}");
    }
}

#[test]
fn packed_objects_are_read_as_loose_ones() {
    let repo = TestRepo::init();
    let commit_id = oid(&repo.write("a", "text").commit_all("first"));
    repo.git(&["gc", "-q", "--prune=now"]);
    let opened = open(&repo);
    assert_eq!(opened.read_path(&commit_id, &path("a"), 9).unwrap().unwrap(), b"text");
    // The pack may be thrown away before a ref names the object: it is written once more.
    let id = opened.write_blob(b"text").unwrap().to_string();
    assert!(repo.path().join(".git/objects").join(&id[..2]).join(&id[2..]).exists());
}

#[test]
fn a_blob_that_a_partial_clone_lacks_is_told_from_a_lost_one() {
    let repo = TestRepo::init();
    repo.write("a", "text").commit_all("first");
    let blob_id = oid(&repo.git(&["rev-parse", "HEAD:a"]));
    repo.git(&["config", "uploadpack.allowFilter", "true"]);
    let (from, to) = (format!("file://{}", repo.path().display()), repo.root().join("partial"));
    let to_text = to.to_string_lossy().into_owned();
    repo.git(&["clone", "-q", "--filter=blob:none", "--no-checkout", &from, &to_text]);
    let answer = Repo::discover(&to).unwrap().read_blob(&blob_id, 99);
    assert!(matches!(answer, Err(ObjectError::Promised { .. })), "{answer:?}");
}

#[test]
fn first_parents_end_at_the_root_and_at_the_border_of_a_shallow_clone() {
    let repo = TestRepo::init();
    for k in 0..5 {
        repo.commit_all(&format!("commit {k}"));
    }
    repo.script("git checkout -q -b side HEAD~2; git commit -q --allow-empty -m side");
    repo.script("git checkout -q main; git merge -q --no-ff -m merged side");
    let expected = repo.git(&["log", "--first-parent", "--format=%H"]);
    let walk = |opened: &Repo, tip: &str| -> Vec<String> {
        let commits = opened.first_parents(&oid(tip));
        commits.map(|commit| commit.unwrap().id.to_string()).collect()
    };
    let ours = walk(&open(&repo), expected.lines().next().unwrap());
    assert_eq!(ours, expected.lines().collect::<Vec<_>>());
    let from = format!("file://{}", repo.path().display());
    let to = repo.root().join("shallow");
    repo.git(&["clone", "-q", "--depth=2", &from, &to.to_string_lossy()]);
    let expected = repo.git_in(&to, &["log", "--first-parent", "--format=%H"]);
    let shallow = Repo::discover(&to).unwrap();
    let ours = walk(&shallow, expected.lines().next().unwrap());
    assert_eq!(ours, expected.lines().collect::<Vec<_>>());
    assert_eq!(ours.len(), 2);
}

#[test]
fn a_quarantined_object_is_read_through_the_environment() {
    let repo = TestRepo::init();
    repo.commit_all("first");
    repo.script(
        "# As receive-pack does: new objects elsewhere, the known ones as alternates.
         mkdir ../quarantine
         export GIT_OBJECT_DIRECTORY=$PWD/../quarantine
         export GIT_ALTERNATE_OBJECT_DIRECTORIES=$PWD/.git/objects
         echo secret | git hash-object -w --stdin > ../id",
    );
    let id = std::fs::read_to_string(repo.root().join("id")).unwrap();
    let ask = Runner::new(probe()).args(["blob", id.trim()]).in_repo(&repo);
    ask.run().expect_code(1);
    let ran = ask
        .env("GIT_OBJECT_DIRECTORY", repo.root().join("quarantine"))
        .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", repo.path().join(".git/objects"))
        .env("GIT_QUARANTINE_PATH", repo.root().join("quarantine"))
        .run();
    assert_eq!(ran.expect_code(0).stdout, "secret\n");
}

#[test]
fn paths_that_are_not_utf_8_survive() {
    let repo = TestRepo::init();
    let opened = open(&repo);
    let id = opened.write_blob(b"x").unwrap();
    let odd = RepoPath::new(*b"caf\xe9/\xff").unwrap();
    let tree = opened.write_tree(&TreeSpec::new().file(odd.clone(), EntryMode::File, id)).unwrap();
    assert_eq!(opened.tree_files(&tree).unwrap()[0].path, odd);
    assert_eq!(opened.read_path(&tree, &odd, 9).unwrap().unwrap(), b"x");
}
