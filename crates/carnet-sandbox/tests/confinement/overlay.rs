//! The throw-away layer over a workspace: what it keeps, what it bounds, and what the host sees of it.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    process::Command,
};

use carnet_core::EnforcementLevel;

use crate::kit::{Bench, NOBODY, bench, is_root, stdout, told, trial};

const ATTACKS: &str = env!("CARGO_BIN_EXE_carnet-sandbox-attacks");

/// A workspace with a file and a directory, and a layer to be laid over it.
fn layered() -> Option<Bench> {
    let mut bench = bench()?;
    fs::write(bench.workspace.path().join("kept"), "kept\n").unwrap();
    fs::create_dir(bench.workspace.path().join("dir")).unwrap();
    fs::write(bench.workspace.path().join("dir/gone"), "gone\n").unwrap();
    if is_root() {
        carnet_sandbox::prepare_workspace_owner(bench.workspace.path(), NOBODY).unwrap();
    }
    let mount_point = tempfile::tempdir().unwrap();
    fs::set_permissions(mount_point.path(), fs::Permissions::from_mode(0o711)).unwrap();
    bench.mount_point = Some(mount_point);
    Some(bench)
}

#[test]
fn what_a_run_changes_lies_in_the_layer_and_never_below() {
    let Some(bench) = layered() else { return };
    let ran =
        bench.sh("echo more >>kept; rm dir/gone; echo new >dir/new; cat kept; stat -f -c %T .");
    assert_eq!(stdout(&ran), "kept\nmore\noverlayfs\n", "{}", told(&ran));
    assert!(ran.outcome.is_success(), "{}", told(&ran));

    let below = bench.workspace.path();
    assert_eq!(fs::read_to_string(below.join("kept")).unwrap(), "kept\n");
    assert_eq!(fs::read_to_string(below.join("dir/gone")).unwrap(), "gone\n");
    assert!(!below.join("dir/new").exists());

    let overlay = ran.overlay.unwrap();
    let merged = overlay.merged();
    assert_eq!(fs::read_to_string(merged.join("kept")).unwrap(), "kept\nmore\n");
    assert_eq!(fs::read_to_string(merged.join("dir/new")).unwrap(), "new\n");
    assert!(!merged.join("dir/gone").exists());
    let removed = fs::symlink_metadata(overlay.changes().join("dir/gone")).unwrap();
    assert!(removed.file_type().is_char_device() && removed.rdev() == 0);
    assert_eq!(fs::read_dir(overlay.changes()).unwrap().count(), 2, "kept and dir");

    let level = |name: &str| ran.enforcement.iter().find(|it| it.mechanism == name).unwrap().level;
    assert_eq!((level("overlay"), level("disk")), (EnforcementLevel::Full, EnforcementLevel::Full));
}

#[test]
fn the_host_sees_no_mount_and_nothing_at_the_mount_point() {
    let Some(bench) = layered() else { return };
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    let ran = bench.sh("echo x >new");
    assert!(ran.outcome.is_success(), "{}", told(&ran));
    assert_eq!(mounts(), before);
    assert_eq!(fs::read_dir(bench.mount_point.as_ref().unwrap().path()).unwrap().count(), 0);
}

#[test]
fn one_bound_of_bytes_holds_for_workspace_and_scratch_together() {
    let Some(mut bench) = layered() else { return };
    bench.quota.disk_bytes = 8 << 20;
    let fill = "head -c 5M /dev/zero >/tmp/a && echo first; head -c 5M /dev/zero >/workspace/b || echo full; \
                head -c 5M /dev/zero >/workspace/dir/c || echo full";
    let ran = bench.sh(fill);
    // The layer is full, which ends the run, be it before the shell has said so.
    let is_over = carnet_core::Outcome::OutOfQuota { limit: carnet_core::LimitKind::Disk };
    assert_eq!(ran.outcome, is_over, "{}", told(&ran));
    assert!("first\nfull\nfull\n".starts_with(&stdout(&ran)), "{}", told(&ran));
    // The control: in a copy nothing refuses the bytes, they are counted afterwards.
    bench.mount_point = None;
    let ran = bench.sh(fill);
    assert!("first\n".starts_with(&stdout(&ran)), "{}", told(&ran));
    assert_eq!(ran.outcome, is_over, "{}", told(&ran));
}

#[test]
fn inodes_have_a_bound_of_their_own() {
    let Some(mut bench) = layered() else { return };
    bench.quota.disk_bytes = 16 << 20;
    let script = "import os\nn = 0\ntry:\n    while n < 9000:\n        os.close(os.open(f'/workspace/{n}', os.O_CREAT | os.O_WRONLY)); n += 1\nexcept OSError as e:\n    print(os.strerror(e.errno), 4000 < n < 4096)\nelse:\n    print('all')";
    let ran = bench.python(script);
    // The refusal ends the run, be it before the program has said so.
    let is_over = carnet_core::Outcome::OutOfQuota { limit: carnet_core::LimitKind::Inodes };
    assert_eq!(ran.outcome, is_over, "{}", told(&ran));
    assert!("No space left on device True\n".starts_with(&stdout(&ran)), "{}", told(&ran));
    // The control: in a copy nothing refuses them, they are counted afterwards.
    bench.mount_point = None;
    let ran = bench.python(script);
    assert!("all\n".starts_with(&stdout(&ran)), "{}", told(&ran));
    assert_eq!(ran.outcome, is_over, "{}", told(&ran));
}

#[test]
fn programs_in_the_layer_have_no_rights_of_their_own_and_devices_are_dead() {
    let Some(bench) = layered() else { return };
    let ran = bench.sh("grep -E ' /(workspace|tmp) ' /proc/self/mountinfo | grep -c nosuid,nodev");
    assert_eq!(stdout(&ran), "2\n", "{}", told(&ran));
}

#[test]
fn where_no_layer_can_be_made_nothing_is_started_and_the_step_is_named() {
    let Some(bench) = layered() else { return };
    let (feature, account) =
        if is_root() { ("mounts-of-root", "65534:65534") } else { ("mounts-of-a-user", "-") };
    let mount_point = bench.mount_point.as_ref().unwrap().path().display();
    let places = format!("{}+{mount_point}", bench.workspace.path().display());
    let run = |feature: &str| {
        let mut command = Command::new(ATTACKS);
        command.args(["without", feature]).arg(trial()).args(["run", &places, account, "60000"]);
        command.args(["/bin/sh", "-c", "echo started"]).output().unwrap()
    };
    let control = run("nothing");
    assert_eq!(String::from_utf8_lossy(&control.stdout), "started\n");
    let refused = run(feature);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("overlay over the workspace: make a mount namespace"), "{said}");
    assert!(refused.stdout.is_empty() && refused.status.code() == Some(1));
}
