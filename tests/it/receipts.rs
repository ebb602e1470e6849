//! Guard receipts: given for what was examined, and counted by a server that says so.

use carnet_testkit::{Format, TestRepo};

use crate::support::{Walk, carnet_path, everyone, key_line};

const TRUST: &str = "carnet.trustReceipts";

/// A repository with a secret from before carnet, a clean commit with a receipt, and a bare repository that has only the objects
/// of the clean commit, its notes, and `main` at the commit before it.
struct Receipted {
    walk: Walk,
    origin: std::path::PathBuf,
    commit_id: String,
}

impl Receipted {
    fn new(format: Format) -> Receipted {
        let repo = TestRepo::with(format);
        repo.write("README", "hello\n").commit_all("without a secret");
        repo.write("old.py", key_line()).commit_all("before carnet");
        let walk = Walk::new(repo, everyone()[0]);
        walk.carnet(&["init"]).expect_code(0);
        walk.write("README", "hello again\n");
        walk.git(&["commit", "-qam", "clean"]).expect_code(0);
        walk.carnet(&["scan", "--unexamined"]).expect_code(0);
        let origin = walk.repo.root().join("origin.git");
        let (here, there) = (walk.repo.path().to_str().unwrap(), origin.to_str().unwrap());
        let bare = ["init", "-q", "--bare", there];
        walk.git(&[&bare[..], format.init_options()].concat()).expect_code(0);
        walk.git(&["push", "-q", "--no-verify", there, "HEAD~1:refs/heads/main"]).expect_code(0);
        walk.git(&["push", "-q", "--no-verify", there, "refs/notes/carnet/*"]).expect_code(0);
        let commit_id = walk.ask(&["rev-parse", "HEAD"]);
        walk.git(&["--git-dir", there, "fetch", "-q", here, &commit_id]).expect_code(0);
        let receipted = Receipted { walk, origin, commit_id };
        let public = receipted.public_key();
        receipted.config("carnet.trustedKey", &public);
        receipted.config(TRUST, "true");
        receipted
    }

    fn public_key(&self) -> String {
        let key = self.walk.carnet(&["passport", "key"]).expect_code(0).stdout;
        key.trim().to_owned()
    }

    fn config(&self, name: &str, value: &str) {
        let there = self.origin.to_str().unwrap();
        self.walk.git(&["--git-dir", there, "config", name, value]).expect_code(0);
    }

    /// What the server's hook says to a new branch at a commit, and how many commits receipts covered.
    fn arrive(&self, commit_id: &str) -> (Option<i32>, String) {
        let line = format!("{} {commit_id} refs/heads/x\n", "0".repeat(commit_id.len()));
        let hook = self.walk.runner(carnet_path()).in_dir(&self.origin);
        let hook = hook.env("CARNET_LOG", "carnet_guard=debug").stdin(line);
        let ran = hook.args(["hook", "pre-receive", "--shim", "1", "--"]).run();
        (ran.code, ran.stderr)
    }

    #[track_caller]
    fn assert_covered(&self, n_covered: usize) {
        let (code, said) = self.arrive(&self.commit_id);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!("n_covered={n_covered}")), "{said}");
    }
}

#[test]
fn a_receipt_lies_on_the_tree_and_counts_where_its_key_is_trusted() {
    for format in [Format::Plain, Format::Sha256] {
        let receipted = Receipted::new(format);
        let walk = &receipted.walk;
        let note = walk.ask(&["notes", "--ref=carnet/guard", "show", "HEAD^{tree}"]);
        let line: serde_json::Value = serde_json::from_str(&note).unwrap();
        assert_eq!(line["receipt"]["format"], "carnet/guard-receipt/1");
        assert_eq!(line["receipt"]["tree"], walk.ask(&["rev-parse", "HEAD^{tree}"]).as_str());
        assert_eq!(line["receipt"]["base"][0], walk.ask(&["rev-parse", "HEAD~1^{tree}"]).as_str());
        receipted.assert_covered(1);
        receipted.config("carnet.trustedKey", "0");
        let (code, _) = receipted.arrive(&receipted.commit_id);
        assert_eq!(code, Some(78), "a key that is none closes the gate");
        receipted.config(TRUST, "false");
        let (code, said) = receipted.arrive(&receipted.commit_id);
        assert!(code == Some(0) && !said.contains("n_covered"), "{said}");
    }
}

#[test]
fn a_receipt_of_another_key_or_with_another_text_counts_for_nothing() {
    let receipted = Receipted::new(Format::Plain);
    let walk = &receipted.walk;
    let note = walk.ask(&["notes", "--ref=carnet/guard", "show", "HEAD^{tree}"]);
    let there = receipted.origin.to_str().unwrap();
    let put = |text: &str| {
        let tree = walk.ask(&["rev-parse", "HEAD^{tree}"]);
        let put = ["--git-dir", there, "notes", "--ref=carnet/guard", "add", "-fm", text, &tree];
        walk.git(&put).expect_code(0);
    };
    put(&note);
    receipted.assert_covered(1);
    let base = walk.ask(&["rev-parse", "HEAD~1^{tree}"]);
    put(&note.replace(&format!("\"{base}\""), ""));
    receipted.assert_covered(0);
    put("no receipt");
    receipted.assert_covered(0);
    put(&note);
    let other = Receipted::new(Format::Plain);
    receipted.config("carnet.trustedKey", &other.public_key());
    receipted.assert_covered(0);
}

#[test]
fn a_receipted_tree_on_another_parent_is_examined() {
    let receipted = Receipted::new(Format::Plain);
    let walk = &receipted.walk;
    let clean = walk.ask(&["rev-parse", "HEAD~2"]);
    let forged = walk.ask(&["commit-tree", "-p", &clean, "-m", "forged", "HEAD^{tree}"]);
    let (here, there) = (walk.repo.path().to_str().unwrap(), receipted.origin.to_str().unwrap());
    walk.git(&["update-ref", "refs/heads/forged", &forged]).expect_code(0);
    walk.git(&["--git-dir", there, "fetch", "-q", here, &forged]).expect_code(0);
    // The server has the secret on `main` already; here it must not help.
    let (code, said) = receipted.arrive(&forged);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("old.py:1") && said.contains("n_covered=0"), "{said}");
}

#[test]
fn sync_carries_receipts_to_a_guarded_server_and_to_other_clones() {
    let receipted = Receipted::new(Format::Plain);
    let walk = &receipted.walk;
    let there = receipted.origin.to_str().unwrap();
    walk.git(&["--git-dir", there, "update-ref", "-d", "refs/notes/carnet/guard"]).expect_code(0);
    walk.git(&["remote", "add", "origin", there]).expect_code(0);
    walk.carnet(&["sync"]).expect_code(0);
    let notes =
        |git_dir: &str| walk.ask(&["--git-dir", git_dir, "rev-parse", "refs/notes/carnet/guard"]);
    assert_eq!(notes(there), walk.ask(&["rev-parse", "refs/notes/carnet/guard"]));
    // What sync pushed is nothing that the server's own gate would refuse.
    let scanned = ["scan", "--commits", "refs/notes/carnet/guard"];
    walk.carnet(&scanned).expect_code(0);
}

#[test]
fn verify_examines_the_signatures_of_receipts() {
    let receipted = Receipted::new(Format::Plain);
    let walk = &receipted.walk;
    let report = walk.json(&["verify", "--json"]);
    assert_eq!((&report["verdict"], &report["n_receipts"]), (&"holds".into(), &1.into()));
    let note = walk.ask(&["notes", "--ref=carnet/guard", "show", "HEAD^{tree}"]);
    let put = |text: &str, target: &str| {
        let put = ["notes", "--ref=carnet/guard", "add", "-fm", text, target];
        walk.git(&put).expect_code(0);
    };
    let tree = walk.ask(&["rev-parse", "HEAD^{tree}"]);
    let base = walk.ask(&["rev-parse", "HEAD~1^{tree}"]);
    put(&note.replace(&format!("\"{base}\""), ""), &tree);
    let ran = walk.carnet(&["verify"]).expect_code(1);
    assert!(ran.stdout.contains("does not fit: the payload was changed"), "{}", ran.stdout);
    put(&note, &base);
    put(&note, &tree);
    let ran = walk.carnet(&["verify"]).expect_code(1);
    assert!(ran.stdout.contains(&format!("it is the receipt of tree {tree}")), "{}", ran.stdout);
    // A receipt of someone whom this clone does not know is no fault, and counts for nothing.
    let other = Receipted::new(Format::Plain);
    let foreign = other.walk.ask(&["notes", "--ref=carnet/guard", "show", "HEAD^{tree}"]);
    walk.git(&["notes", "--ref=carnet/guard", "remove", &base]).expect_code(0);
    put(&foreign, &tree);
    let ran = walk.carnet(&["verify"]).expect_code(0);
    assert!(ran.stdout.contains("1 by keys that are not trusted here"), "{}", ran.stdout);
}
