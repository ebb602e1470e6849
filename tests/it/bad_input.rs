//! Bad input: a clear error with a hint, its own exit code, nothing half written.

use std::{fs, os::unix::fs::PermissionsExt as _};

use carnet_testkit::{Format, Ran, Runner, TestRepo, is_root};

use crate::support::{Walk, aws_key, carnet_path, everyone};

fn carnet(repo: &TestRepo, args: &[&str]) -> Ran {
    Runner::new(carnet_path()).in_repo(repo).env("CARNET_DAEMON", "off").args(args).run()
}

/// The error is one line of what failed, and there is a hint.
fn assert_helpful(ran: &Ran) {
    assert!(ran.stderr.contains("hint:"), "no hint: {}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}

#[test]
fn outside_a_repository_there_is_nothing_to_look_at() {
    let repo = TestRepo::without_repository();
    for args in
        [&["init"][..], &["runs"], &["run", "--", "true"], &["scan", "--staged"], &["status"]]
    {
        assert_helpful(&carnet(&repo, args).expect_code(3));
    }
}

#[test]
fn a_bare_repository_is_refused() {
    let repo = TestRepo::bare();
    for args in [&["init"][..], &["run", "--", "true"]] {
        assert_helpful(&carnet(&repo, args).expect_code(3));
    }
    assert!(!repo.path().join("carnet").exists());
}

#[test]
fn a_repository_without_a_commit_cannot_be_run_on() {
    let repo = TestRepo::init();
    carnet(&repo, &["init"]).expect_code(0);
    let ran = carnet(&repo, &["run", "--", "true"]).expect_code(3);
    assert_helpful(&ran);
    assert!(ran.stderr.contains("has no commit yet"), "{}", ran.stderr);
}

#[test]
fn before_init_nothing_is_recorded() {
    let repo = TestRepo::init();
    repo.commit_all("first");
    assert_helpful(&carnet(&repo, &["run", "--", "true"]).expect_code(78));
    assert_eq!(repo.git(&["for-each-ref", "refs/carnet", "refs/notes"]), "");
}

#[test]
fn sha256_repositories_and_reftables_walk_like_any_other() {
    for format in [Format::Sha256, Format::Reftable] {
        let repo = TestRepo::with(format);
        repo.script("printf 'all:\\n\\techo made >out\\n' >Makefile");
        repo.commit_all("first");
        let walk = Walk::new(repo, everyone()[0]);
        walk.carnet(&["init"]).expect_code(0);
        walk.write("a.py", format!("key = '{}'\n", aws_key()));
        walk.git(&["add", "-A"]).expect_code(0);
        walk.git(&["commit", "-qm", "bad"]).expect_code(1);
        walk.carnet(&["run", "--output", "out", "--", "make"]).expect_code(0);
        let run = walk.newest_run();
        walk.carnet(&["passport", "verify", &run]).expect_code(0);
        walk.carnet(&["replay", &run]).expect_code(0);
        walk.assert_sound();
        let loose = walk.repo.path().join(".git/refs/carnet");
        assert_eq!(
            loose.exists(),
            format != Format::Reftable,
            "a stray loose ref in a reftable repository"
        );
    }
}

#[test]
fn a_submodule_is_a_repository_of_its_own() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let library = TestRepo::init();
    library.script("echo lib >lib.py");
    library.commit_all("first");
    let url = library.path().to_str().unwrap().to_owned();
    walk.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &url, "lib"])
        .expect_code(0);
    walk.git(&["commit", "-qm", "with a submodule"]).expect_code(0);
    walk.carnet(&["run", "--", "true"]).expect_code(0);
    walk.carnet(&["-C", "lib", "init"]).expect_code(0);
    fs::write(walk.repo.path().join("lib/a.py"), format!("key = '{}'\n", aws_key())).unwrap();
    walk.git(&["-C", "lib", "add", "-A"]).expect_code(0);
    walk.git(&["-C", "lib", "commit", "-m", "bad"]).expect_code(1);
}

#[test]
fn an_unreadable_index_refuses_the_commit() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    fs::write(walk.repo.path().join(".git/index"), b"DIRC no index").unwrap();
    let ran = walk.carnet(&["hook", "pre-commit", "--shim", "1", "--"]).expect_code(1);
    assert_helpful(&ran);
}

#[test]
fn a_missing_blob_refuses_the_commit() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.write("a.txt", "text\n");
    walk.git(&["add", "-A"]).expect_code(0);
    let id = walk.ask(&["rev-parse", ":a.txt"]);
    fs::remove_file(walk.repo.path().join(format!(".git/objects/{}/{}", &id[..2], &id[2..])))
        .unwrap();
    let ran = walk.carnet(&["hook", "pre-commit", "--shim", "1", "--"]).expect_code(1);
    assert!(ran.stderr.contains("a.txt"), "{}", ran.stderr);
    assert_helpful(&ran);
}

#[test]
fn a_hook_called_by_hand_examines_what_is_staged() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.carnet(&["hook", "pre-commit", "--shim", "1", "--"]).expect_code(0);
    walk.carnet(&["hook", "no-such-event", "--shim", "1", "--"]).expect_code(2);
    let outside = TestRepo::without_repository();
    carnet(&outside, &["hook", "pre-commit", "--shim", "1", "--"]).expect_code(3);
}

#[test]
fn unknown_lanes_commits_runs_and_malformed_outputs_are_usage_errors() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let ran = walk.carnet(&["run", "--lane", "no-such-lane", "--", "true"]).expect_code(2);
    assert!(ran.stderr.contains("code-impl"), "the lanes there are: {}", ran.stderr);
    assert_helpful(&ran);
    walk.carnet(&["run", "--lane", "../x", "--", "true"]).expect_code(2);
    walk.carnet(&["run", "--output", "/etc/*", "--", "true"]).expect_code(2);
    walk.carnet(&["run", "--commit", "no-such-commit", "--", "true"]).expect_code(3);
    assert_helpful(&walk.carnet(&["show", "abcdef12"]).expect_code(3));
    assert_helpful(&walk.carnet(&["show", "not-an-id"]).expect_code(2));
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 0);
}

#[test]
fn a_program_that_is_not_installed_is_said() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    // A policy of this test's own, whose only tool no machine has.
    let source = crate::support::root().join("allowlists");
    walk.write("allowlists/deny.toml", fs::read(source.join("deny.toml")).unwrap());
    let lane = fs::read_to_string(source.join("narrative.toml")).unwrap();
    let rule = "\n[[allow]]\nid = \"no-such\"\nargv = [\"no-such-tool\"]\nruns_repository_code = false\nmatch = [[\"no-such-tool\"]]\nnot_match = [[\"no-such-tool\", \"x\"]]\n";
    walk.write("allowlists/narrative.toml", format!("{lane}{rule}"));
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-qm", "a policy"]).expect_code(0);
    walk.git(&["config", "carnet.policyRef", "HEAD"]).expect_code(0);
    let ran = walk.carnet(&["run", "--lane", "narrative", "--", "no-such-tool"]).expect_code(1);
    assert!(ran.stderr.contains("`no-such-tool` is not in"), "{}", ran.stderr);
    assert_helpful(&ran);
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 0);
}

/// Runs `carnet run -- true` after a shell script has taken something away in namespaces of its own.
fn run_without(walk: &Walk, flags: &[&str], script: &str) -> Ran {
    let unshare = crate::support::which("unshare");
    let script = format!("set -e; {script}; exec '{}' run -- true", carnet_path().display());
    walk.runner(&unshare).args(flags).args(["sh", "-c", &script]).run()
}

#[test]
fn without_bwrap_nothing_runs_and_the_hint_says_what_to_type() {
    if !is_root() {
        eprintln!("not checked here: hiding bwrap needs root");
        return;
    }
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let hide = "mount --bind /dev/null /usr/bin/bwrap";
    assert_helpful(&run_without(&walk, &["--mount"], hide).expect_code(1));
    let set_id = "cp /usr/bin/bwrap /run/bwrap-copy; chmod 4755 /run/bwrap-copy; mount --bind /run/bwrap-copy /usr/bin/bwrap";
    let ran = run_without(&walk, &["--mount"], &format!("mount -t tmpfs none /run; {set_id}"))
        .expect_code(1);
    assert!(ran.stderr.contains("set-id"), "{}", ran.stderr);
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 0, "nothing ran, nothing is recorded");
}

#[test]
fn without_user_namespaces_nothing_runs() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let forbid = "echo 0 >/proc/sys/user/max_user_namespaces";
    let flags = ["--user", "--map-current-user", "--keep-caps"];
    let ran = run_without(&walk, &flags, forbid).expect_code(1);
    // Where the caller is not root, bwrap's owner is not mapped either, and that is said first.
    let reason = if is_root() { "max_user_namespaces" } else { "bwrap" };
    assert!(ran.stderr.contains(reason), "{}", ran.stderr);
    assert_helpful(&ran);
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 0);
}

#[test]
fn a_signing_key_that_others_can_read_is_refused_with_the_chmod_to_type() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let key = walk.repo.path().join(".git/carnet/signing-key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let ran = walk.carnet(&["run", "--", "true"]).expect_code(78);
    assert!(ran.stderr.contains("chmod 600"), "{}", ran.stderr);
    // A hook that cannot examine refuses.
    walk.write("a.txt", "text\n");
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-m", "next"]).expect_code(1);
}

#[test]
fn a_policy_ref_that_names_nothing_closes_every_lane() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.git(&["config", "carnet.policyRef", "refs/heads/no-such-branch"]).expect_code(0);
    assert_helpful(&walk.carnet(&["run", "--", "true"]).expect_code(78));
    walk.git(&["config", "carnet.policyRef", "HEAD"]).expect_code(0);
    let ran = walk.carnet(&["run", "--", "true"]).expect_code(78);
    assert!(ran.stderr.contains("no allowlists"), "{}", ran.stderr);
}

#[test]
fn the_policy_comes_from_the_policy_ref_and_not_from_the_work_tree() {
    let source = crate::support::root().join("allowlists");
    let script = format!("cp -r '{}' allowlists", source.display());
    let walk = Walk::initialised(&script, everyone()[0]);
    walk.git(&["tag", "policy"]).expect_code(0);
    walk.git(&["config", "carnet.policyRef", "refs/tags/policy"]).expect_code(0);
    walk.carnet(&["run", "--", "true"]).expect_code(0);
    walk.write("allowlists/deny.toml", "not toml at all");
    walk.git(&["commit", "-qam", "an agent edits the policy"]).expect_code(0);
    // What the work tree says must be met as well, and this cannot be.
    walk.carnet(&["run", "--", "true"]).expect_code(78);
    fs::remove_dir_all(walk.repo.path().join("allowlists")).unwrap();
    walk.carnet(&["run", "--", "true"]).expect_code(0);
    walk.git(&["config", "carnet.policyRef", "HEAD"]).expect_code(0);
    let ran = walk.carnet(&["run", "--", "true"]).expect_code(78);
    assert!(ran.stderr.contains("deny.toml"), "{}", ran.stderr);
}

#[test]
fn a_full_disk_is_said_and_leaves_the_ledger_as_it_was() {
    if !is_root() {
        eprintln!("not checked here: mounting a small file system needs root");
        return;
    }
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.carnet(&["run", "--", "true"]).expect_code(0);
    let before = walk.ask(&["for-each-ref"]);
    let git_dir = walk.repo.path().join(".git");
    // The repository moves to a file system with no room left: not even the journal can be written, so nothing starts.
    let script = format!(
        "set -e; cd '{0}'; mkdir ../full; mount -t tmpfs -o size=2m,mode=755 none ../full; cp -r . ../full/; \
         mount --bind ../full '{0}'; dd if=/dev/zero of=../full/filler bs=4k 2>/dev/null || true; \
         cd '{1}'; set +e; '{2}' run -- true; code=$?; umount '{0}'; umount '{0}/../full'; exit $code",
        git_dir.display(),
        walk.repo.path().display(),
        carnet_path().display()
    );
    let unshare = crate::support::which("unshare");
    let ran = walk.runner(&unshare).args(["--mount", "sh", "-c", &script]).run().expect_code(74);
    assert!(ran.stderr.contains("No space left"), "{}", ran.stderr);
    assert_eq!(walk.ask(&["for-each-ref"]), before);
    walk.assert_sound();
}
