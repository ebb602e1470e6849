//! What is refused before anything is started, each by its name.

use std::{fs, fs::File, os::unix::fs::PermissionsExt, process::Command, sync::atomic::AtomicBool};

use carnet_core::Required;
use carnet_sandbox::{
    Attendance, INNER_ARGUMENT, SandboxError, SandboxSpec, ServiceAccount, SpecError, Workspace,
};

use crate::kit::{bench, is_root, trial};

fn refused(spec: &SandboxSpec) -> SandboxError {
    carnet_sandbox::run(spec, &AtomicBool::new(false)).expect_err("nothing may be started")
}

#[test]
fn a_tool_that_is_not_there_is_not_started() {
    let Some(bench) = bench() else { return };
    let error = bench.try_run(&["/usr/bin/no-such-tool"]).unwrap_err();
    assert!(matches!(error, SandboxError::ToolNotStarted { .. }), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn a_file_that_is_not_executable_is_not_started() {
    let Some(bench) = bench() else { return };
    fs::write(bench.workspace.path().join("plain"), "#!/bin/sh\n").unwrap();
    let error = bench.try_run(&["/workspace/plain"]).unwrap_err();
    assert!(matches!(error, SandboxError::ToolNotStarted { .. }), "{error}");
}

#[test]
fn a_workspace_that_is_missing_or_no_directory_is_refused() {
    let Some(bench) = bench() else { return };
    let mut spec = bench.spec(&["/bin/true"]);
    spec.workspace = Workspace::Directory(bench.workspace.path().join("missing"));
    assert!(matches!(refused(&spec), SandboxError::Workspace { .. }));
    let file = bench.workspace.path().join("file");
    fs::write(&file, "").unwrap();
    spec.workspace = Workspace::Directory(file);
    assert!(matches!(refused(&spec), SandboxError::Workspace { .. }));
}

#[test]
fn root_needs_a_service_account_that_is_not_root() {
    let Some(bench) = bench() else { return };
    let mut spec = bench.spec(&["/bin/true"]);
    spec.service_account = None;
    if !is_root() {
        // An ordinary user has no one else to be.
        assert!(carnet_sandbox::run(&spec, &AtomicBool::new(false)).unwrap().outcome.is_success());
        return;
    }
    assert!(matches!(refused(&spec), SandboxError::RootWithoutServiceAccount));
    for (uid, gid) in [(0, 65534), (65534, 0)] {
        spec.service_account = Some(ServiceAccount { uid, gid });
        assert!(matches!(refused(&spec), SandboxError::ServiceAccountIsRoot { .. }));
    }
    spec.service_account = Some(ServiceAccount { uid: 65533, gid: 65533 });
    assert!(matches!(refused(&spec), SandboxError::WorkspaceOwner { uid: 65533, .. }));
}

#[test]
fn an_inner_executable_that_is_no_program_is_a_failed_set_up() {
    let Some(bench) = bench() else { return };
    let mut spec = bench.spec(&["/bin/true"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "no program").unwrap();
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o755)).unwrap();
    spec.inner_exe = File::open(file.path()).unwrap();
    let error = refused(&spec);
    assert!(matches!(&error, SandboxError::Setup { said } if !said.is_empty()), "{error}");

    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
    let error = refused(&spec);
    assert!(
        matches!(error, SandboxError::InnerExecutable { .. } | SandboxError::Setup { .. }),
        "{error}"
    );
}

#[test]
fn an_inner_executable_that_says_nothing_is_a_failed_set_up() {
    let Some(bench) = bench() else { return };
    let mut spec = bench.spec(&["/bin/true"]);
    spec.inner_exe = File::open("/bin/true").unwrap();
    let error = refused(&spec);
    assert!(matches!(error, SandboxError::Setup { .. }), "{error}");
}

#[test]
fn a_run_interrupted_before_it_began_is_not_started() {
    let Some(bench) = bench() else { return };
    let spec = bench.spec(&["/bin/sh", "-c", "echo > started"]);
    let error = carnet_sandbox::run(&spec, &AtomicBool::new(true)).unwrap_err();
    assert!(matches!(error, SandboxError::Interrupted), "{error}");
    assert!(!bench.workspace.path().join("started").exists());
}

#[test]
fn a_floor_above_this_kernel_is_refused_and_one_within_it_is_run() {
    let Some(bench) = bench() else { return };
    let spec = bench.spec(&["/bin/sh", "-c", "echo > started"]);
    let run = |required: &[Required]| {
        let interrupt = &AtomicBool::new(false);
        let attendance = Attendance { required, interrupt, on_output: &mut |_, _| {} };
        carnet_sandbox::run_attended(&spec, attendance)
    };
    let beyond = Required::Landlock { abi_min: u32::MAX };
    let error = run(&[beyond]).unwrap_err();
    assert!(
        matches!(error, SandboxError::Requirement { required, .. } if required == beyond),
        "{error}"
    );
    assert!(error.hint().is_some());
    assert!(!bench.workspace.path().join("started").exists());

    let probe = carnet_sandbox::probe();
    let within = [
        probe.landlock_abi.filter(|abi| *abi >= 2).map(|abi_min| Required::Landlock { abi_min }),
        probe.seccomp.then_some(Required::Seccomp),
    ];
    let within: Vec<Required> = within.into_iter().flatten().collect();
    assert!(run(&within).unwrap().outcome.is_success());
    assert!(bench.workspace.path().join("started").exists());
}

#[test]
fn an_argument_vector_of_two_mebibytes_is_refused_by_its_length() {
    let Some(bench) = bench() else { return };
    let mut spec = bench.spec(&["/bin/true"]);
    spec.argv.push("x".repeat(2 << 20));
    assert!(matches!(refused(&spec), SandboxError::Spec(SpecError::TooLong { .. })));
}

#[test]
fn the_inner_stage_does_nothing_outside_a_sandbox() {
    let status = Command::new(trial())
        .arg(INNER_ARGUMENT)
        .stdin(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(70));
}
