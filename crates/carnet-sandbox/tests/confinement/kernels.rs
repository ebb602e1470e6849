//! Kernels that lack Landlock or seccomp, or only pretend to have them: absent layers are reported, layers that are
//! there and fail refuse the run. The supervisor runs under a filter of its own that answers in the kernel's place.

use std::process::{Command, Output};

use crate::kit::{bench, is_root, trial};

/// Runs a command that leaves a trace in the workspace; returns what the supervisor said and whether it ran.
fn run_without(feature: &str) -> Option<(Output, bool)> {
    let bench = bench()?;
    let probe = carnet_sandbox::probe();
    if !probe.seccomp || probe.landlock_abi < Some(2) {
        eprintln!("not tried here: this kernel has neither feature to take away");
        return None;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_carnet-sandbox-attacks"))
        .args(["without", feature])
        .arg(trial())
        .arg("run")
        .arg(bench.workspace.path())
        .args([if is_root() { "65534:65534" } else { "-" }, "60000", "/bin/sh", "-c", "echo > ran"])
        .output()
        .unwrap();
    Some((output, bench.workspace.path().join("ran").exists()))
}

/// - `expect`: the levels of Landlock and seccomp in the receipt.
fn is_reported(feature: &str, expect: [&str; 2]) {
    let Some((output, has_run)) = run_without(feature) else { return };
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let level = |name: &str| {
        let line = told.lines().find(|line| line.starts_with(name))?;
        line.split_ascii_whitespace().nth(1)?.strip_suffix(':')
    };
    assert!(has_run && output.status.success(), "{told}");
    for (name, expect) in ["landlock", "seccomp"].into_iter().zip(expect) {
        let level = level(name).unwrap();
        let is_expected =
            if expect == "held" { ["Full", "Partial"].contains(&level) } else { level == expect };
        assert!(is_expected, "{feature}, {name}: {told}");
    }
}

fn is_refused(feature: &str, expect: &str) {
    let Some((output, has_run)) = run_without(feature) else { return };
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!has_run && !output.status.success(), "{feature}: {told}");
    assert!(told.contains(expect), "{feature}: {told}");
}

#[test]
fn a_kernel_that_lacks_nothing_holds_both() {
    is_reported("nothing", ["held", "held"]);
}

#[test]
fn a_kernel_without_landlock_still_runs_and_says_so() {
    is_reported("landlock", ["None", "held"]);
}

#[test]
fn a_kernel_without_seccomp_still_runs_and_says_so() {
    is_reported("seccomp", ["held", "None"]);
}

#[test]
fn a_landlock_rule_that_is_not_taken_refuses_the_run() {
    is_refused("landlock-rules", "verify layer `landlock`: make the ruleset");
}

#[test]
fn a_landlock_ruleset_that_is_not_taken_refuses_the_run() {
    is_refused("landlock-restriction", "verify layer `landlock`: the kernel did not take it");
}

#[test]
fn a_landlock_that_does_nothing_refuses_the_run() {
    is_refused(
        "landlock-effect",
        "verify layer `landlock`: it was applied, and what it must refuse",
    );
}

#[test]
fn a_seccomp_filter_that_is_not_taken_refuses_the_run() {
    is_refused("seccomp-filters", "verify layer `seccomp`: the kernel did not take it");
}

#[test]
fn a_seccomp_filter_that_does_nothing_refuses_the_run() {
    is_refused("seccomp-effect", "verify layer `seccomp`: it was applied, and what it must refuse");
}
