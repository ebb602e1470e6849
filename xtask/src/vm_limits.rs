//! Boots Debian's kernel in a VM and proves there what this machine may not have: limits held by cgroup v2, as root
//! and as an ordinary user to whom a subtree was delegated, and floors that an old kernel does not reach.
//!
//! The VM has a busybox, bwrap, and the sandbox's own tests and trial program with their libraries; nothing is
//! installed on this machine but qemu and busybox, and the kernel is unpacked from its package, not installed. The
//! first boot runs the tests, the second is without Landlock. What the machine lacks makes the chore say so and skip.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use crate::{
    shell::{Answer, Cmd, repository_root},
    system,
};

/// What the chore needs besides the kernel.
pub const PACKAGES: &[(&str, &str)] = &[
    ("qemu-system-x86", "qemu-system-x86_64"),
    ("busybox-static", "busybox"),
    ("bubblewrap", "bwrap"),
];
/// Debian's small kernel; the newest of the release comes by this name.
const KERNEL: &str = "linux-image-cloud-amd64";
/// One boot with its tests may take so long with emulation.
const EMULATED_SECONDS_MAX: u32 = 580;
/// And with KVM, of which some machines have one that hangs.
const KVM_SECONDS_MAX: u32 = 30;
/// The tests that run there: those of what cgroups hold.
const FILTER: &str = "limits::memory limits::processes_end limits::a_share limits::each";
/// What the VM says begins with this.
const WORD: &str = "carnet-vm: ";

/// Boots twice, prints the table and fails where something was not held.
pub fn prove() -> Result<(), String> {
    if let Some(reason) = lack() {
        println!("vm-limits: SKIPPED, NOTHING WAS PROVEN: {reason}");
        return Ok(());
    }
    let dir = system::target_dir().join("vm");
    fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let kernel = match kernel(&dir) {
        Ok(kernel) => kernel,
        Err(reason) => {
            println!("vm-limits: SKIPPED, NOTHING WAS PROVEN: {reason}");
            return Ok(());
        }
    };
    let tests = built_tests()?;
    let mut has_kvm = Path::new("/dev/kvm").exists();
    let told = boot(&dir, &kernel, &tests, true, &mut has_kvm)?;
    let told_without = boot(&dir, &kernel, &tests, false, &mut has_kvm)?;
    println!("{}", table(&told));
    let mut problems = judge(&told, true);
    problems.extend(judge(&told_without, false));
    for line in told.iter().chain(&told_without).filter(|line| !line.starts_with("held ")) {
        println!("{line}");
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn lack() -> Option<String> {
    if std::env::consts::ARCH != "x86_64" {
        return Some("the VM is for x86-64".to_owned());
    }
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(_, program)| !system::has_program(program))
        .map(|it| it.0)
        .collect();
    (!missing.is_empty()).then(|| format!("missing; `apt-get install {}`", missing.join(" ")))
}

/// The kernel of the release, unpacked below `dir`: its image and the directory of its modules.
struct Kernel {
    image: PathBuf,
    modules: PathBuf,
}

fn kernel(dir: &Path) -> Result<Kernel, String> {
    let unpacked = dir.join("kernel");
    if let Some(kernel) = find_kernel(&unpacked) {
        return Ok(kernel);
    }
    let depends = Cmd::new("apt-cache").args(&["depends", KERNEL]).read()?;
    let package = dependency(&depends).ok_or(format!("apt knows no `{KERNEL}`"))?;
    println!("unpacking {package}");
    let packages = dir.join("packages");
    let _ = fs::remove_dir_all(&packages);
    fs::create_dir_all(&packages).map_err(|error| error.to_string())?;
    Cmd::new("apt-get").args(&["-q", "download", package]).dir(&packages).read()?;
    let package = fs::read_dir(&packages)
        .ok()
        .and_then(|mut entries| entries.next()?.ok())
        .ok_or("apt-get downloaded nothing")?;
    Cmd::new("dpkg-deb").arg("-x").arg(package.path()).arg(&unpacked).read()?;
    find_kernel(&unpacked).ok_or("the package holds no kernel".to_owned())
}

/// Returns the package that the meta package stands for.
fn dependency(depends: &str) -> Option<&str> {
    depends
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .filter(|package| package.starts_with("linux-image-"))
}

fn find_kernel(unpacked: &Path) -> Option<Kernel> {
    let boot = fs::read_dir(unpacked.join("boot")).ok()?;
    let image = boot.flatten().map(|entry| entry.path()).find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-"))
    })?;
    let modules = fs::read_dir(unpacked.join("lib/modules")).ok()?.flatten().next()?.path();
    Some(Kernel { image, modules })
}

/// The programs that run in the VM, under the paths that they have here: they know each other by those.
struct Tests {
    tests: PathBuf,
    trial: PathBuf,
}

fn built_tests() -> Result<Tests, String> {
    let build = [
        "test",
        "--locked",
        "-p",
        "carnet-sandbox",
        "--test",
        "confinement",
        "--no-run",
        "--message-format=json",
    ];
    let said = system::cargo().args(&build).dir(&repository_root()).read()?;
    let tests = executable(&said, "confinement").ok_or("cargo named no test program")?;
    let trial = executable(&said, "carnet-sandbox-trial").ok_or("cargo named no trial program")?;
    Ok(Tests { tests: tests.into(), trial: trial.into() })
}

/// Returns the executable of a target from cargo's messages, one JSON object a line.
fn executable<'a>(messages: &'a str, target: &str) -> Option<&'a str> {
    let name = format!("\"name\":\"{target}\"");
    messages
        .lines()
        .filter(|line| line.contains(&name))
        .find_map(|line| line.split_once("\"executable\":\"")?.1.split('"').next())
}

/// Boots once and returns what the VM said, one line each.
///
/// - `landlock`: whether the kernel has it, and the tests are run.
/// - `has_kvm`: whether it is worth trying; false once it was not.
fn boot(
    dir: &Path,
    kernel: &Kernel,
    tests: &Tests,
    landlock: bool,
    has_kvm: &mut bool,
) -> Result<Vec<String>, String> {
    let initramfs = initramfs(dir, kernel, tests, landlock)?;
    let lsm = if landlock { "landlock,yama" } else { "yama" };
    let append = format!("console=ttyS0 quiet panic=-1 lsm={lsm}");
    println!(
        "booting {} with lsm={lsm}",
        kernel.image.file_name().unwrap_or_default().to_string_lossy()
    );
    // A KVM that is there and cannot be used does not come far; emulation is slower and always works.
    let mut answer = None;
    if *has_kvm {
        answer = Some(qemu("kvm", KVM_SECONDS_MAX, kernel, &initramfs, &append)?);
        *has_kvm = answer.as_ref().is_some_and(|it| it.stdout.contains(&format!("{WORD}end")));
    }
    let answer = match answer {
        Some(answer) if *has_kvm => answer,
        _ => {
            println!("KVM cannot be used here: booting with emulation");
            qemu("tcg", EMULATED_SECONDS_MAX, kernel, &initramfs, &append)?
        }
    };
    let told: Vec<String> = answer
        .stdout
        .lines()
        .filter_map(|line| line.trim_end().split_once(WORD))
        .map(|(_, told)| told.to_owned())
        .collect();
    if told.last().is_none_or(|last| last != "end") {
        let tail: Vec<&str> = answer.stdout.lines().rev().take(40).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        return Err(format!(
            "the VM did not come to its end:\n{}\n{}",
            tail.join("\n"),
            answer.stderr
        ));
    }
    // What a failed test printed stands between the lines.
    if told.iter().any(|line| line.starts_with("tests ") && !line.contains(" 0 ok")) {
        println!("{}", answer.stdout);
    }
    Ok(told)
}

fn qemu(
    accelerator: &str,
    seconds_max: u32,
    kernel: &Kernel,
    initramfs: &Path,
    append: &str,
) -> Result<Answer, String> {
    Cmd::new("timeout")
        .args(&[&seconds_max.to_string(), "qemu-system-x86_64", "-M", "pc", "-accel", accelerator])
        .args(&["-m", "2048", "-smp", "2", "-nographic", "-no-reboot", "-nic", "none"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs)
        .args(&["-append", append])
        .answer()
}

fn initramfs(
    dir: &Path,
    kernel: &Kernel,
    tests: &Tests,
    landlock: bool,
) -> Result<PathBuf, String> {
    let root = dir.join("root");
    let _ = fs::remove_dir_all(&root);
    fill(&root, kernel, tests, landlock).map_err(|error| format!("{}: {error}", root.display()))?;
    let libraries = libraries(&[Path::new("/usr/bin/bwrap"), &tests.tests, &tests.trial])?;
    for library in libraries {
        // On a merged system `/lib` is a link into `/usr`, here and in the VM.
        let below = library.strip_prefix("/usr").unwrap_or(&library);
        let below = below.strip_prefix("/").unwrap_or(below);
        copy(&library, &root.join("usr").join(below))
            .map_err(|error| format!("{}: {error}", library.display()))?;
    }
    let image = dir.join("initramfs");
    let pack = "find . | busybox cpio -o -H newc > \"$0\"";
    Cmd::new("sh").args(&["-c", pack]).arg(&image).dir(&root).read()?;
    Ok(image)
}

fn fill(root: &Path, kernel: &Kernel, tests: &Tests, landlock: bool) -> std::io::Result<()> {
    for name in ["usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc", "modules", "tmp"] {
        fs::create_dir_all(root.join(name))?;
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        symlink(Path::new("usr").join(name), root.join(name))?;
    }
    copy(&busybox(), &root.join("usr/bin/busybox"))?;
    copy(Path::new("/usr/bin/bwrap"), &root.join("usr/bin/bwrap"))?;
    for program in [&tests.tests, &tests.trial] {
        copy(program, &root.join(program.strip_prefix("/").unwrap_or(program)))?;
    }
    let overlay = kernel.modules.join("kernel/fs/overlayfs/overlay.ko");
    if overlay.is_file() {
        copy(&overlay, &root.join("modules/overlay.ko"))?;
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0::/tmp:/bin/sh\ndev:x:1001:1001::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    )?;
    fs::write(root.join("etc/group"), "root:x:0:\ndev:x:1001:\nnogroup:x:65534:\n")?;
    // Debian 12's kernel has ABI 2; without Landlock no floor at all is reached, and nothing is taken as a control.
    let (refused, taken) = if landlock { ("6", "2") } else { ("1 2", "") };
    let with_tests = if landlock { "yes" } else { "no" };
    let env = format!(
        "TRIAL='{}'\nTESTS='{}'\nABI_REFUSED='{refused}'\nABI_TAKEN='{taken}'\nWITH_TESTS={with_tests}\nFILTER='{FILTER}'\n",
        tests.trial.display(),
        tests.tests.display()
    );
    fs::write(root.join("vm.env"), env)?;
    let init = root.join("init");
    fs::write(&init, include_str!("vm_init.sh"))?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))
}

fn busybox() -> PathBuf {
    let places = ["/usr/bin/busybox", "/bin/busybox"].map(PathBuf::from);
    places.into_iter().find(|path| path.is_file()).unwrap_or_else(|| "/bin/busybox".into())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, to).map(drop)
}

/// Returns the shared libraries of programs, the loader included.
fn libraries(programs: &[&Path]) -> Result<Vec<PathBuf>, String> {
    let mut found = vec![];
    for program in programs {
        found.extend(libraries_in(&Cmd::new("ldd").arg(program).read()?));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Reads what ldd(1) says: `name => /path (address)`, and the loader by its path alone.
fn libraries_in(said: &str) -> Vec<PathBuf> {
    let paths = said.lines().filter_map(|line| {
        let path = line.split_once("=> ").map_or(line, |(_, path)| path).trim();
        path.split(' ').next().filter(|path| path.starts_with('/'))
    });
    paths.map(PathBuf::from).collect()
}

/// Returns what was not as it must be.
fn judge(told: &[String], landlock: bool) -> Vec<String> {
    let mut problems = vec![];
    let mut expect = |what: &str, holds: bool| {
        if !holds {
            problems.push(format!(
                "in the VM, {}: {what}",
                if landlock { "with Landlock" } else { "without it" }
            ));
        }
    };
    for user in ["root", "dev"] {
        let floors: Vec<&String> =
            told.iter().filter(|line| line.starts_with(&format!("floor {user} "))).collect();
        let refusal = |line: &&&String| {
            line.contains(" nothing-started failed to meet requirement `landlock:")
        };
        let n_refused = floors.iter().filter(refusal).count();
        if landlock {
            let tests = told.iter().find(|line| line.starts_with(&format!("tests {user} ")));
            let passed =
                tests.is_some_and(|line| line.contains(" 0 ok. ") && !line.contains(" 0 passed"));
            expect(&format!("the tests of {user} failed"), passed);
            expect(&format!("a floor above ABI 2 was not refused to {user}"), n_refused == 1);
            let started = floors.iter().any(|line| line.contains(&format!("{user} 2 started")));
            expect(
                &format!("a floor of ABI 2 was refused to {user}"),
                started && floors.len() == 2,
            );
        } else {
            expect(
                &format!("a floor was not refused to {user}"),
                n_refused == 2 && floors.len() == 2,
            );
        }
        for limit in ["cpu", "memory", "processes"] {
            let held = format!("held {user} {limit} Full cgroup v2");
            expect(
                &format!("{limit} is not held by cgroup v2 for {user}"),
                told.iter().any(|line| line.starts_with(&held)),
            );
        }
    }
    problems
}

/// Returns a Markdown table of enforcement by mechanism, here and in the VM for root and the ordinary user.
fn table(told: &[String]) -> String {
    let level = |user: &str, mechanism: &str| {
        let start = format!("held {user} {mechanism} ");
        let line = told.iter().find_map(|line| line.strip_prefix(&start));
        line.map_or_else(|| "—".to_owned(), short)
    };
    let mut text =
        "| mechanism | VM, root | VM, ordinary user, delegated |\n|---|---|---|\n".to_owned();
    for line in told.iter().filter_map(|line| line.strip_prefix("held root ")) {
        let mechanism = line.split(' ').next().unwrap_or_default();
        text += &format!(
            "| {mechanism} | {} | {} |\n",
            level("root", mechanism),
            level("dev", mechanism)
        );
    }
    text
}

/// The level, and by what: the part of the detail before its first colon.
fn short(line: &str) -> String {
    let (level, detail) = line.split_once(' ').unwrap_or((line, ""));
    match detail.split_once(": ") {
        Some((by, _)) if by.len() < 30 => format!("{}: {by}", level.to_lowercase()),
        _ => level.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    const HELD: &str = "held root cpu Full cgroup v2, root: 80 %\nheld root memory Full cgroup v2, root: x\nheld root processes Full cgroup v2, root: x\nheld dev cpu Full cgroup v2, delegated: x\nheld dev memory Full cgroup v2, delegated: x\nheld dev processes Full cgroup v2, delegated: x\n";

    #[test]
    fn the_kernel_behind_the_meta_package_is_found() {
        let depends = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-50-cloud-amd64\n";
        assert_eq!(dependency(depends), Some("linux-image-6.1.0-50-cloud-amd64"));
        assert_eq!((dependency(""), dependency("  Depends: nothing\n")), (None, None));
    }

    #[test]
    fn libraries_and_executables_are_read_from_what_the_tools_say() {
        let said = "\tlinux-vdso.so.1 (0x7)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x7)\n\t/lib64/ld.so (0x7)\n\tgone.so => not found\n";
        assert_eq!(
            libraries_in(said),
            [PathBuf::from("/lib/x/libc.so.6"), PathBuf::from("/lib64/ld.so")]
        );
        let said = "{\"target\":{\"name\":\"other\"},\"executable\":\"/o\"}\n{\"target\":{\"name\":\"confinement\"},\"executable\":null}\n{\"target\":{\"name\":\"confinement\"},\"executable\":\"/c\"}\n";
        assert_eq!((executable(said, "confinement"), executable(said, "none")), (Some("/c"), None));
    }

    #[test]
    fn silence_failures_and_floors_that_were_not_refused_are_problems() {
        let refused = |user: &str, abi: &str| {
            format!(
                "floor {user} {abi} nothing-started failed to meet requirement `landlock:{abi}`: the kernel offers ABI 2\n"
            )
        };
        let good = |user: &str| {
            format!(
                "{}floor {user} 2 started bubblewrap Full\ntests {user} 0 ok. 17 passed; 0 failed\n",
                refused(user, "6")
            )
        };
        let all = format!("{HELD}{}{}", good("root"), good("dev"));
        assert_eq!(judge(&lines(&all), true), Vec::<String>::new());
        assert_eq!(judge(&[], true).len(), 12);
        for (from, to) in [
            ("tests dev 0 ok", "tests dev 101 FAILED"),
            ("17 passed", "0 passed"),
            ("floor root 6 nothing-started", "floor root 6 started"),
            ("floor root 2 started", "floor root 2 nothing-started"),
            ("held dev cpu Full cgroup v2", "held dev cpu Partial polling"),
        ] {
            assert!(!judge(&lines(&all.replace(from, to)), true).is_empty(), "{from}");
        }
        let without: String =
            ["root", "dev"].iter().map(|user| refused(user, "1") + &refused(user, "2")).collect();
        assert_eq!(judge(&lines(&format!("{HELD}{without}")), false), Vec::<String>::new());
        assert!(!judge(&lines(HELD), false).is_empty());
    }

    #[test]
    fn the_table_says_who_holds_what() {
        let told = table(&lines(HELD));
        assert!(
            told.contains("| cpu | full: cgroup v2, root | full: cgroup v2, delegated |\n"),
            "{told}"
        );
    }
}
