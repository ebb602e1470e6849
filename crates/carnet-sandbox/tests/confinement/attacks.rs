//! Attacks on the kernel and the host, one act each, by a program of this crate: first outside, as the same user,
//! where the act must come through (or meet a refusal of the host's own settings, which is said aloud); then inside
//! a sandbox without the one layer, which must not be what answers; then inside the whole.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixListener,
        process::{CommandExt, ExitStatusExt},
    },
    path::Path,
    process::{Command, Stdio},
};

use carnet_core::EnforcementLevel;

use crate::kit::{Bench, NOBODY, bench, is_root, stdout, told, trial};

const ATTACKS: &str = env!("CARGO_BIN_EXE_carnet-sandbox-attacks");

/// Which layer must be there for an act to be refused as expected.
#[derive(Clone, Copy)]
enum By {
    /// Namespaces, mounts and privileges, which every run has.
    Bubblewrap,
    /// The seccomp filter.
    Seccomp,
    /// Landlock, from this ABI on.
    Landlock(u32),
}

impl By {
    /// Returns the feature to take from the kernel to be without the layer; `None` where it cannot be.
    fn feature(self) -> Option<&'static str> {
        match self {
            By::Bubblewrap => None,
            By::Seccomp => Some("seccomp"),
            By::Landlock(_) => Some("landlock"),
        }
    }

    /// Tells whether this machine has the layer; if not, says so aloud.
    fn is_there(self) -> bool {
        let probe = carnet_sandbox::probe();
        let is_there = match self {
            By::Bubblewrap => true,
            By::Seccomp => probe.seccomp,
            By::Landlock(abi_min) => probe.landlock_abi >= Some(abi_min),
        };
        if !is_there {
            eprintln!("not enforced here: {:?}, seccomp {}", probe.landlock_abi, probe.seccomp);
        }
        is_there
    }
}

/// Puts the program into the workspace, for everyone to execute.
fn armed() -> Option<Bench> {
    let bench = bench()?;
    let program = bench.workspace.path().join("attacks");
    plant(&program, 0o755);
    Some(bench)
}

/// Copies the program by another process: were the copy ever open for writing here, a child that another test forks
/// at that moment would keep it so, and it could not be executed.
fn plant(path: &Path, mode: u32) {
    assert!(Command::new("cp").arg(ATTACKS).arg(path).status().unwrap().success());
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The act as whoever runs the tests.
fn outside(attack: &str, argument: &str) -> String {
    said_by(Command::new(ATTACKS).args([attack, argument]))
}

/// The act as the user that the sandbox would become.
fn outside_as_inside(bench: &Bench, attack: &str, argument: &str) -> String {
    let mut command = Command::new(bench.workspace.path().join("attacks"));
    if is_root() {
        command.uid(NOBODY.uid).gid(NOBODY.gid);
    }
    said_by(command.args([attack, argument]))
}

/// The act in a sandbox whose kernel lacks `feature`.
fn inside_without(bench: &Bench, feature: &str, attack: &str, argument: &str) -> String {
    let account = if is_root() { "65534:65534" } else { "-" };
    let mut command = Command::new(ATTACKS);
    command.args(["without", feature]).arg(trial()).arg("run").arg(bench.workspace.path());
    said_by(command.args([account, "60000", "/workspace/attacks", attack, argument]))
}

fn said_by(command: &mut Command) -> String {
    let output = command.output().unwrap();
    if let Some(signal) = output.status.signal() {
        return format!("signal {signal}");
    }
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn inside(bench: &Bench, attack: &str, argument: &str) -> String {
    let confined = bench.run(&["/workspace/attacks", attack, argument]);
    let said = stdout(&confined);
    assert!(!said.is_empty(), "{attack}: {}", told(&confined));
    said.trim_end().to_owned()
}

/// - `host_may_refuse`: what the control may meet on a host that forbids the act to everyone, or to this user.
fn check(attack: &str, argument: &str, by: By, refused: &str, host_may_refuse: &[&str]) {
    let Some(bench) = armed() else { return };
    let control = match by {
        By::Bubblewrap => outside(attack, argument),
        By::Seccomp | By::Landlock(_) => outside_as_inside(&bench, attack, argument),
    };
    if control != "through" {
        assert!(host_may_refuse.contains(&&*control), "{attack}: the control met {control}");
        eprintln!("{attack}: this host itself answers {control}");
    } else if let Some(feature) = by.feature() {
        let without = inside_without(&bench, feature, attack, argument);
        assert_ne!(without, refused, "{attack}: something else than {feature} answers so");
    }
    let met = inside(&bench, attack, argument);
    assert_ne!(met, "through", "{attack}");
    if by.is_there() {
        assert_eq!(met, refused, "{attack}");
    }
}

/// One test per attack: what must be met inside by which layer, and what the host itself may answer.
macro_rules! attacks {
    ($($(#[$attribute:meta])* $name:ident: $by:expr, $refused:literal, $host_may_refuse:expr;)*) => {
        $(
            $(#[$attribute])*
            #[test]
            fn $name() {
                check(stringify!($name), "", $by, $refused, &$host_may_refuse);
            }
        )*
    };
}

attacks! {
    io_uring: By::Seccomp, "EPERM", ["EPERM", "ENOSYS"];
    bpf: By::Seccomp, "EPERM", ["EPERM", "ENOSYS"];
    perf_event: By::Seccomp, "EPERM", ["EPERM", "EACCES", "ENOSYS"];
    userfaultfd: By::Seccomp, "EPERM", ["EPERM", "ENOSYS"];
    fanotify: By::Seccomp, "EPERM", ["EPERM", "ENOSYS"];
    memfd_secret: By::Seccomp, "EPERM", ["ENOSYS"];
    add_key: By::Seccomp, "EPERM", ["ENOSYS", "EDQUOT"];
    keyctl: By::Seccomp, "EPERM", ["ENOSYS"];
    ptrace: By::Seccomp, "EPERM", ["EPERM"];
    process_memory: By::Seccomp, "EPERM", ["EPERM", "ENOSYS"];
    process_descriptor: By::Seccomp, "EPERM", ["EPERM", "ENOSYS"];
    kcmp: By::Seccomp, "EPERM", ["EPERM", "ENOSYS"];
    clone_namespace: By::Seccomp, "EPERM", ["EPERM", "EACCES"];
    clone3_namespace: By::Seccomp, "ENOSYS", ["EPERM", "EACCES", "ENOSYS"];
    mount: By::Seccomp, "EPERM", ["EPERM", "EACCES"];
    setns: By::Seccomp, "EPERM", [];
    personality: By::Seccomp, "EPERM", [];
    terminal_input: By::Seccomp, "EPERM", ["EIO"];
    terminal_paste: By::Seccomp, "EPERM", [];
    netlink_events: By::Seccomp, "EAFNOSUPPORT", [];
    multipath_socket: By::Seccomp, "EPROTONOSUPPORT", ["EPROTONOSUPPORT", "ENOPROTOOPT"];
    packet_socket: By::Seccomp, "EAFNOSUPPORT", ["EPERM", "EAFNOSUPPORT"];
    crypto_socket: By::Seccomp, "EAFNOSUPPORT", ["EAFNOSUPPORT"];
    machine_socket: By::Seccomp, "EAFNOSUPPORT", ["EAFNOSUPPORT"];
    #[cfg(target_arch = "x86_64")]
    foreign_call: By::Seccomp, "ENOSYS", ["ENOSYS", "signal 11"];
    #[cfg(target_arch = "x86_64")]
    x32_call: By::Seccomp, "ENOSYS", ["ENOSYS"];
    #[cfg(target_arch = "x86_64")]
    descriptor_table: By::Seccomp, "EPERM", ["ENOSYS"];
    own_name: By::Landlock(2), "EACCES", [];
    entropy: By::Landlock(2), "EACCES", [];
    device_command: By::Landlock(5), "EACCES", [];
    core_pattern: By::Bubblewrap, "EACCES", ["EACCES"];
}

#[test]
fn the_first_process_cannot_be_signalled() {
    let Some(bench) = armed() else { return };
    // The parent outside is this test, and belongs to whoever runs it.
    assert_eq!(outside("signal_parent", ""), "through");
    assert_eq!(inside_without(&bench, "landlock", "signal_parent", ""), "through");
    let is_scoped = By::Landlock(6).is_there();
    let met = inside(&bench, "signal_parent", "");
    assert_eq!(met, if is_scoped { "EPERM" } else { "through" });
}

#[test]
fn a_listener_of_the_host_cannot_be_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    check("tcp_connect", &port, By::Bubblewrap, "ECONNREFUSED", &[]);
}

#[test]
fn a_process_of_the_host_cannot_be_signalled() {
    // A number far above any that this run will have in its own pid namespace.
    let own = std::process::id();
    assert!(own > 64);
    check("signal", &own.to_string(), By::Bubblewrap, "ESRCH", &[]);
}

#[test]
fn a_socket_of_the_host_cannot_be_reached() {
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("agent");
    let _listener = UnixListener::bind(&path).unwrap();
    check("unix_connect", path.to_str().unwrap(), By::Bubblewrap, "ENOENT", &[]);
}

#[test]
fn a_link_in_the_workspace_does_not_lead_out() {
    let Some(bench) = armed() else { return };
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    let link = bench.workspace.path().join("link");
    symlink(elsewhere.path(), &link).unwrap();
    assert_eq!(outside("read", link.to_str().unwrap()), "through");
    assert_eq!(inside(&bench, "read", "/workspace/link"), "ENOENT");
}

#[test]
fn shared_memory_of_the_host_cannot_be_found() {
    let Some(bench) = armed() else { return };
    let key = i32::try_from(std::process::id()).unwrap().to_string();
    let mut holder = Command::new(ATTACKS)
        .args(["shared_memory_hold", &key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let (control, met) = (outside("shared_memory", &key), inside(&bench, "shared_memory", &key));
    // Its end of input lets the holder take the segment away.
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert_eq!((&*said, &*control, &*met), ("held\n", "through", "ENOENT"));
}

#[test]
fn a_device_cannot_be_made() {
    let Some(bench) = armed() else { return };
    let control = outside("device_node", bench.workspace.path().join("zero").to_str().unwrap());
    assert_eq!(control, if is_root() { "through" } else { "EPERM" });
    for place in ["/workspace/zero", "/tmp/zero", "/dev/shm/zero"] {
        let met = inside(&bench, "device_node", place);
        // Privileges refuse it, or Landlock does before they are asked.
        assert!(["EPERM", "EACCES"].contains(&&*met), "{place}: {met}");
    }
}

#[test]
fn a_set_id_program_gives_no_rights() {
    let Some(bench) = armed() else { return };
    let planted = bench.workspace.path().join("planted");
    // Only root can plant one that would be root's.
    plant(&planted, 0o4755);
    if is_root() {
        let control =
            Command::new(&planted).arg("set_id").uid(NOBODY.uid).gid(NOBODY.gid).output().unwrap();
        let said = String::from_utf8(control.stdout).unwrap();
        assert!(["through\n", "EPERM\n"].contains(&&*said), "{said}");
        if said != "through\n" {
            eprintln!("set_id: this file system gives no rights to set-id programs");
        }
    }
    let confined = bench.run(&["/workspace/planted", "set_id"]);
    assert_eq!(stdout(&confined), "EPERM\n", "{}", told(&confined));
}

#[test]
fn both_layers_hold_for_what_the_command_starts_in_turn() {
    let Some(bench) = armed() else { return };
    if !By::Seccomp.is_there() || !By::Landlock(2).is_there() {
        return;
    }
    let confined = bench.sh("setsid -w /workspace/attacks io_uring; (/workspace/attacks own_name)");
    assert_eq!(stdout(&confined), "EPERM\nEACCES\n", "{}", told(&confined));
    assert_eq!(bench.sh("grep ^Seccomp: /proc/self/status").stdout.bytes, b"Seccomp:\t2\n");
}

#[test]
fn the_receipt_says_of_both_layers_what_the_kernel_offers() {
    let Some(bench) = armed() else { return };
    let receipt = bench.run(&["/workspace/attacks", "setns"]).enforcement;
    let held = |name: &str| receipt.iter().find(|held| held.mechanism == name).unwrap().level;
    let probe = carnet_sandbox::probe();
    let expect = match probe.landlock_abi {
        Some(6..) => EnforcementLevel::Full,
        Some(2..) => EnforcementLevel::Partial,
        _ => EnforcementLevel::None,
    };
    assert_eq!(held("landlock"), expect);
    let expect = if probe.seccomp { EnforcementLevel::Full } else { EnforcementLevel::None };
    assert_eq!(held("seccomp"), expect);
}
