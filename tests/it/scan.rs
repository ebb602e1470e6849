//! `carnet scan`.

use crate::support::{Walk, aws_key, carnet_path, everyone};
use carnet_testkit::{Runner, TestRepo};

#[test]
fn paths_and_standard_input_are_scanned_in_and_outside_a_repository() {
    let repo = TestRepo::without_repository();
    repo.write("src/a.py", format!("x = 1\nkey = '{}'\n", aws_key())).write("src/b.py", "x = 1\n");
    let ran = Runner::new(carnet_path())
        .in_repo(&repo)
        .args(["scan", "--json", "src"])
        .run()
        .expect_code(1);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["format"], "carnet/scan/1");
    assert_eq!(report["n_contents"], 2);
    assert_eq!(report["findings"][0]["path"], "src/a.py");
    assert_eq!(report["findings"][0]["start_line"], 2);
    assert!(!ran.stdout.contains(&aws_key()));
    let stdin = Runner::new(carnet_path()).in_repo(&repo).args(["scan", "-"]);
    stdin.clone().stdin(aws_key()).run().expect_code(1);
    stdin.stdin("nothing here").run().expect_code(0);
}

#[test]
fn the_same_secret_has_the_same_fingerprint_wherever_it_lies() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.write("a.py", format!("key = '{}'\n", aws_key()));
    walk.write("dir/b.py", format!("\n\n\nkey = '{}'\n", aws_key()));
    walk.git(&["add", "-A"]).expect_code(0);
    let ran = walk.carnet(&["scan", "--staged", "--json"]).expect_code(1);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["findings"][0]["fingerprint"], report["findings"][1]["fingerprint"]);
}

#[test]
fn an_unreadable_path_is_no_clean_scan() {
    let repo = TestRepo::without_repository();
    Runner::new(carnet_path()).in_repo(&repo).args(["scan", "missing"]).run().expect_code(4);
}
