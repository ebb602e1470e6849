//! Toolchains: seen read-only, over a layer and without one; a script of theirs is executed as it was hashed.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use carnet_sandbox::{Executable, SandboxSpec, ToolchainMount};

use crate::kit::{Bench, bench, is_root, stdout, told};

/// A directory with a script behind a link, and a file beside the script.
fn kit() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(dir.path()).unwrap();
    fs::create_dir(path.join("bin")).unwrap();
    fs::write(path.join("script"), "#!/bin/sh\ncat \"$(dirname \"$(realpath \"$0\")\")/beside\"\n")
        .unwrap();
    fs::write(path.join("beside"), "beside\n").unwrap();
    symlink("../script", path.join("bin/script")).unwrap();
    // A script that root alone can change would be executed by its path.
    open(&path.join("script"), 0o777);
    open(&path, 0o755);
    (dir, path)
}

fn open(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Without a layer and with one.
fn benches() -> Vec<Bench> {
    let (Some(plain), Some(mut layered)) = (bench(), bench()) else { return vec![] };
    let mount_point = tempfile::tempdir().unwrap();
    open(mount_point.path(), 0o711);
    layered.mount_point = Some(mount_point);
    vec![plain, layered]
}

fn with_kit(bench: &Bench, kit: &Path, argv: &[&str]) -> SandboxSpec {
    let toolchains =
        vec![ToolchainMount { name: "kit".to_owned(), dir: kit.to_owned(), is_relocatable: false }];
    SandboxSpec { toolchains, ..bench.spec(argv) }
}

#[test]
fn what_was_hashed_lies_in_its_files_place_whatever_is_there_by_then() {
    for bench in benches() {
        let (_dir, kit) = kit();
        let mut spec = with_kit(&bench, &kit, &["/toolchain/kit/bin/script"]);
        spec.executable = Some(Executable::open(&kit.join("bin/script")).unwrap());
        fs::write(kit.join("script"), "#!/bin/sh\necho exchanged\n").unwrap();
        let ran = carnet_sandbox::run(&spec, &AtomicBool::new(false)).unwrap();
        assert_eq!(stdout(&ran), "beside\n", "{}", told(&ran));
        let said = ran.enforcement.iter().find(|it| it.mechanism == "filesystem").unwrap();
        assert!(said.detail.starts_with("/usr, /toolchain/kit read-only"), "{}", said.detail);
    }
}

#[test]
fn a_toolchain_is_read_only_and_all_that_is_shown() {
    for bench in benches() {
        let (_dir, kit) = kit();
        let script =
            "ls /toolchain /toolchain/kit; echo x >/toolchain/kit/x; rm /toolchain/kit/beside";
        let spec = with_kit(&bench, &kit, &["/bin/sh", "-c", script]);
        let ran = carnet_sandbox::run(&spec, &AtomicBool::new(false)).unwrap();
        assert!(
            stdout(&ran).ends_with("kit\n\n/toolchain/kit:\nbeside\nbin\nscript\n"),
            "{}",
            told(&ran)
        );
        let complaints = String::from_utf8_lossy(&ran.stderr.bytes).matches("Read-only").count();
        assert_eq!(complaints, 2, "{}", told(&ran));
        assert!(kit.join("beside").is_file() && !kit.join("x").exists());
    }
}

#[test]
fn settings_with_credentials_are_seen_empty() {
    for bench in benches() {
        let (_dir, kit) = kit();
        fs::create_dir(kit.join("etc")).unwrap();
        fs::write(kit.join("etc/npmrc"), "token\n").unwrap();
        fs::write(kit.join("settings"), "token\n").unwrap();
        symlink("settings", kit.join("pip.conf")).unwrap();
        symlink("/etc/shadow", kit.join("etc/pip.conf")).unwrap();
        let script = "cd /toolchain/kit; cat etc/npmrc pip.conf && wc -c <pip.conf; cat beside";
        let spec = with_kit(&bench, &kit, &["/bin/sh", "-c", script]);
        let ran = carnet_sandbox::run(&spec, &AtomicBool::new(false)).unwrap();
        assert_eq!(stdout(&ran), "0\nbeside\n", "{}", told(&ran));
    }
}

#[test]
fn one_that_knows_its_own_place_is_found_there_too() {
    // The run's `/tmp` is its own, so such a place is elsewhere.
    let Ok(home) = tempfile::tempdir_in("/var/tmp") else {
        eprintln!("not tried here: nothing can be made in /var/tmp");
        return;
    };
    open(home.path(), 0o755);
    let (_dir, kit) = kit();
    let own = home.path().join("kit");
    let copied = std::process::Command::new("cp").arg("-a").args([&kit, &own]).status().unwrap();
    assert!(copied.success());
    for bench in benches() {
        let script = format!(
            "cat {0}/beside; ls -A {1}; rm {0}/beside",
            own.display(),
            home.path().display()
        );
        let spec = with_kit(&bench, &own, &["/bin/sh", "-c", &script]);
        let ran = carnet_sandbox::run(&spec, &AtomicBool::new(false)).unwrap();
        assert_eq!(stdout(&ran), "beside\nkit\n", "{}", told(&ran));
        assert!(own.join("beside").is_file());
    }
}

#[test]
fn what_the_account_cannot_reach_is_shown_by_a_layer_alone() {
    if !is_root() {
        eprintln!("not tried here: an ordinary user reaches what is its own");
        return;
    }
    for (idx, bench) in benches().iter().enumerate() {
        let (_dir, kit) = kit();
        let home = tempfile::tempdir().unwrap();
        open(home.path(), 0o700);
        let inner = fs::canonicalize(home.path()).unwrap().join("kit");
        fs::rename(kit, &inner).unwrap();
        let spec = with_kit(bench, &inner, &["/bin/sh", "-c", "cat /toolchain/kit/beside"]);
        let ran = carnet_sandbox::run(&spec, &AtomicBool::new(false)).unwrap();
        assert_eq!(stdout(&ran), ["", "beside\n"][idx], "{}", told(&ran));
    }
}
