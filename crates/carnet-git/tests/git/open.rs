//! Finding the repository, and saying why there is none.

use carnet_core::ObjectFormat;
use carnet_git::{Head, HeadError, OpenError, Repo, git_version};
use carnet_testkit::{Format, Runner, TestRepo};

use crate::{oid, open, probe};

#[test]
fn outside_any_repository_the_error_says_where_it_looked() {
    let repo = TestRepo::without_repository();
    match Repo::discover(repo.path()) {
        Err(OpenError::NotARepository { start }) => assert_eq!(start, repo.path()),
        other => panic!("{:?}", other.map(drop)),
    }
}

#[test]
fn a_bare_repository_opens_and_has_no_work_tree() {
    let repo = TestRepo::bare();
    let opened = open(&repo);
    assert!(opened.is_bare());
    assert_eq!(opened.git_dir(), repo.path());
    assert!(matches!(opened.require_work_tree(), Err(OpenError::Bare { .. })));
}

#[test]
fn every_format_opens_and_knows_itself_and_an_unborn_head() {
    for format in Format::ALL {
        let repo = TestRepo::with(format);
        let opened = open(&repo);
        let is_sha256 = matches!(format, Format::Sha256 | Format::Sha256Reftable);
        assert_eq!(opened.object_format() == ObjectFormat::Sha256, is_sha256);
        assert_eq!(opened.is_reftable(), format.is_reftable());
        let unborn = Head::Unborn { branch: "refs/heads/main".to_owned() };
        assert_eq!(opened.head().unwrap(), unborn, "{format:?}");
        let commit_id = oid(&repo.write("a", "1").commit_all("first"));
        let tree_id = oid(&repo.git(&["rev-parse", "HEAD^{tree}"]));
        let branch = Some("refs/heads/main".to_owned());
        let opened = open(&repo);
        assert_eq!(opened.head().unwrap(), Head::Commit { commit_id, tree_id, branch });
        repo.git(&["checkout", "-q", "--detach"]);
        let branch = None;
        assert_eq!(opened.head().unwrap(), Head::Commit { commit_id, tree_id, branch });
    }
}

#[test]
fn a_subdirectory_and_a_linked_worktree_share_the_common_directory() {
    let repo = TestRepo::init();
    repo.write("sub/a", "1").commit_all("first");
    repo.git(&["worktree", "add", "-q", "../linked", "-b", "side"]);
    let main = Repo::discover(&repo.path().join("sub")).unwrap();
    let linked = Repo::discover(&repo.root().join("linked")).unwrap();
    assert_eq!(main.work_tree().unwrap(), repo.path());
    assert_eq!(linked.work_tree().unwrap(), repo.root().join("linked"));
    assert_eq!(main.common_dir(), linked.common_dir());
    assert_eq!(main.state_dir(), repo.path().join(".git/carnet"));
    assert_ne!(main.git_dir(), linked.git_dir());
    match linked.head().unwrap() {
        Head::Commit { branch, .. } => assert_eq!(branch.unwrap(), "refs/heads/side"),
        unborn => panic!("{unborn:?}"),
    }
}

#[test]
fn names_of_commits_mean_what_git_says() {
    for format in Format::ALL {
        let repo = TestRepo::with(format);
        repo.commit_all("first");
        let second = repo.commit_all("second");
        repo.git(&["tag", "-a", "-m", "annotated", "v1"]);
        let opened = open(&repo);
        for name in ["HEAD", "main", "refs/heads/main", "v1", &second, &second[..10]] {
            assert_eq!(opened.resolve_commit(name).unwrap(), oid(&second), "{name}");
        }
        let first = oid(&repo.git(&["rev-parse", "HEAD~1"]));
        assert_eq!(opened.resolve_commit("HEAD~1").unwrap(), first);
        let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
        for name in ["nothing", "", "--all", &"f".repeat(second.len()), "a\nb", &tree] {
            let answer = opened.resolve_commit(name);
            assert!(matches!(answer, Err(HeadError::Unknown { .. })), "{name:?}: {answer:?}");
        }
    }
}

#[test]
fn an_ambiguous_prefix_is_told_from_an_unknown_one() {
    let repo = TestRepo::init();
    // Enough commits that two share their first four digits.
    repo.script(
        "tree=$(git mktree </dev/null)
         for k in $(seq 700); do git commit-tree -m $k $tree; done | sort > ../ids",
    );
    let ids = std::fs::read_to_string(repo.root().join("ids")).unwrap();
    let ids: Vec<&str> = ids.lines().collect();
    let twins = ids.windows(2).find(|pair| pair[0][..4] == pair[1][..4]);
    let prefix =
        &twins.expect("700 ids share four digits with odds of 0.98, and are pinned")[0][..4];
    let answer = open(&repo).resolve_commit(prefix);
    assert!(matches!(answer, Err(HeadError::Ambiguous { .. })), "{answer:?}");
}

#[test]
fn the_hooks_directory_is_the_one_git_uses() {
    let repo = TestRepo::init();
    assert_eq!(open(&repo).hooks_dir().unwrap(), repo.path().join(".git/hooks"));
    repo.git(&["config", "core.hooksPath", "tools/hooks"]);
    assert_eq!(open(&repo).hooks_dir().unwrap(), repo.path().join("tools/hooks"));
    repo.git(&["config", "core.hooksPath", "/elsewhere/hooks"]);
    assert_eq!(open(&repo).hooks_dir().unwrap(), std::path::Path::new("/elsewhere/hooks"));
    let bare = TestRepo::bare();
    assert_eq!(open(&bare).hooks_dir().unwrap(), bare.path().join("hooks"));
    repo.git(&["config", "--unset", "core.hooksPath"]);
    repo.commit_all("first");
    repo.git(&["worktree", "add", "-q", "../linked"]);
    let linked = Repo::discover(&repo.root().join("linked")).unwrap();
    assert_eq!(linked.hooks_dir().unwrap(), repo.path().join(".git/hooks"));
}

#[test]
fn a_repository_of_another_user_is_refused_unless_declared_safe() {
    if !carnet_testkit::is_root() {
        eprintln!("not checked here: needs root to give files to another user");
        return;
    }
    let repo = TestRepo::init();
    repo.commit_all("first");
    carnet_testkit::give_to_ordinary_user(repo.path());
    let run = |home: &TestRepo| {
        Runner::new(probe()).args(["open"]).in_repo(home).in_dir(repo.path()).run()
    };
    let ran = run(&repo);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("belongs to another user"), "{}", ran.stderr);
    repo.git(&["config", "--global", "safe.directory", &repo.path().to_string_lossy()]);
    run(&repo).expect_code(0);
}

#[test]
fn a_repository_of_a_form_from_the_future_is_unsupported() {
    for (key, value) in
        [("extensions.fromTheFuture", "true"), ("core.repositoryFormatVersion", "2")]
    {
        let repo = TestRepo::init();
        repo.git(&["config", "core.repositoryFormatVersion", "1"]);
        repo.git(&["config", key, value]);
        let answer = Repo::discover(repo.path()).map(drop);
        assert!(matches!(answer, Err(OpenError::Unsupported { .. })), "{key}: {answer:?}");
        assert!(!repo.try_git(&["status"]).status.success(), "git refuses it too");
    }
}

#[test]
fn the_version_of_git_is_read() {
    let said = TestRepo::init().git(&["version"]);
    let (major, minor, _) = git_version().unwrap();
    assert!(said.starts_with(&format!("git version {major}.{minor}")), "{said}");
}
