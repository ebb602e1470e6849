//! What the command must not see or reach. Each has a positive control: the same act succeeds outside, or in
//! a place where it is allowed.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, process::Command};

use carnet_core::{EnforcementLevel, Outcome};

use crate::kit::{bench, stdout, told};

/// Prints the name of the error that connecting meets.
const CONNECT: &str = "import errno,socket,sys
try:
    socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)
    print('connected')
except OSError as error:
    print(errno.errorcode.get(error.errno, error))";

#[test]
fn there_is_no_network_but_an_empty_loopback() {
    let Some(bench) = bench() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let outside = Command::new("/usr/bin/python3").args(["-c", CONNECT, &port]).output().unwrap();
    assert_eq!(outside.stdout, b"connected\n");

    let confined = bench.run(&["/usr/bin/python3", "-c", CONNECT, &port]);
    assert_eq!(stdout(&confined), "ECONNREFUSED\n", "{}", told(&confined));
    let beyond = "import errno,socket
for address in ['192.0.2.1', '8.8.8.8']:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect((address, 53)); print('connected')
    except OSError as error:
        print(errno.errorcode.get(error.errno, error))
print([name for _, name in socket.if_nameindex()])";
    assert_eq!(stdout(&bench.python(beyond)), "ENETUNREACH\nENETUNREACH\n['lo']\n");
}

#[test]
fn a_run_may_talk_to_itself_over_its_own_loopback() {
    let Some(bench) = bench() else { return };
    let talk = "import socket
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(server.getsockname())
client.sendall(b'hello'); print(server.accept()[0].recv(5))";
    assert_eq!(stdout(&bench.python(talk)), "b'hello'\n");
}

#[test]
fn abstract_sockets_of_the_host_are_out_of_reach() {
    use std::os::{linux::net::SocketAddrExt, unix::net};
    let Some(bench) = bench() else { return };
    let name = format!("carnet-sandbox-test-{}", std::process::id());
    let address = net::SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = net::UnixListener::bind_addr(&address).unwrap();
    let script = format!(
        "import socket\ns = socket.socket(socket.AF_UNIX)\ntry:\n    s.connect('\\0{name}'); print('connected')\nexcept OSError as e:\n    print(e.strerror)"
    );
    let outside = Command::new("/usr/bin/python3").args(["-c", &script]).output().unwrap();
    assert_eq!(outside.stdout, b"connected\n");
    assert_eq!(stdout(&bench.python(&script)), "Connection refused\n");
}

#[test]
fn files_of_the_host_cannot_be_seen() {
    let Some(bench) = bench() else { return };
    let elsewhere = tempfile::tempdir().unwrap();
    fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = elsewhere.path().join("host-file");
    fs::write(&file, "seen").unwrap();
    let path = file.to_str().unwrap();
    let script = format!("cat {path} && echo seen; ls -a /; ls -a /etc /tmp");
    let confined = bench.sh(&script);
    let seen = stdout(&confined);
    assert!(!seen.contains("seen"), "{seen}");
    let top: Vec<&str> = seen.lines().take_while(|line| !line.is_empty()).collect();
    for foreign in ["root", "home", "var", "run", "sys", "boot", "mnt", "opt", "srv"] {
        assert!(!top.contains(&foreign), "{seen}");
    }
    for foreign in ["shadow", "ssh", "hostname", "resolv.conf"] {
        assert!(!seen.lines().any(|line| line == foreign), "{seen}");
    }
    assert!(top.contains(&"workspace") && top.contains(&"usr"), "{seen}");
}

#[test]
fn processes_of_the_host_cannot_be_seen() {
    let Some(bench) = bench() else { return };
    let script = "import os
print(sorted(int(n) for n in os.listdir('/proc') if n.isdigit()) == [1, os.getpid()])
print(os.getppid())";
    assert_eq!(stdout(&bench.python(script)), "True\n1\n");
}

#[test]
fn the_environment_is_empty_but_for_what_is_named() {
    let Some(mut bench) = bench() else { return };
    bench.env.insert("CARNET_NAMED".to_owned(), "two words".to_owned());
    let confined = bench.run(&["/usr/bin/env"]);
    let seen = stdout(&confined);
    let mut lines: Vec<&str> = seen.lines().collect();
    lines.sort_unstable();
    let expect = [
        "CARNET_NAMED=two words",
        "HOME=/tmp/home",
        "LANG=C.UTF-8",
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "TZ=UTC",
    ];
    assert_eq!(lines, expect);
}

#[test]
fn nothing_can_be_written_but_workspace_and_scratch() {
    let Some(bench) = bench() else { return };
    let script = "import errno,os
for place in ['/', '/usr', '/usr/bin', '/etc', '/dev', '/proc', '/proc/sys/kernel', '/workspace', '/tmp', '/tmp/home', '/dev/shm']:
    try:
        open(os.path.join(place, 'planted'), 'w').close(); print(place, 'written')
    except OSError as error:
        print(place, 'refused')
try:
    open('/etc/passwd', 'a'); print('appended')
except OSError:
    pass";
    let confined = bench.python(script);
    let expect = "/ refused\n/usr refused\n/usr/bin refused\n/etc refused\n/dev refused\n/proc refused\n/proc/sys/kernel refused\n/workspace written\n/tmp written\n/tmp/home written\n/dev/shm written\n";
    assert_eq!(stdout(&confined), expect, "{}", told(&confined));
    assert!(bench.workspace.path().join("planted").exists());
}

#[test]
fn no_capability_no_new_privilege_and_no_root_inside() {
    let Some(bench) = bench() else { return };
    let confined = bench.sh("id -u; grep -E '^(Cap|NoNewPrivs)' /proc/self/status");
    let none = "0000000000000000";
    let expect = format!(
        "1000\nCapInh:\t{none}\nCapPrm:\t{none}\nCapEff:\t{none}\nCapBnd:\t{none}\nCapAmb:\t{none}\nNoNewPrivs:\t1\n"
    );
    assert_eq!(stdout(&confined), expect);
}

#[test]
fn the_kernels_user_is_not_root() {
    use std::os::unix::fs::MetadataExt;
    let Some(bench) = bench() else { return };
    assert!(bench.sh("echo x > by-whom").outcome.is_success());
    // The file system records the kernel's user id, whatever the namespace shows.
    let owner = fs::metadata(bench.workspace.path().join("by-whom")).unwrap().uid();
    assert_ne!(owner, 0);
    let confined = bench.run(&["/bin/true"]);
    let seen = confined.enforcement.iter().find(|held| held.mechanism == "user-id").unwrap();
    assert_eq!(seen.level, EnforcementLevel::Full);
    assert!(seen.detail.contains(&format!("kernel user {owner},")), "{}", seen.detail);
}

#[test]
fn nested_namespaces_are_refused() {
    let Some(bench) = bench() else { return };
    for flags in ["-U", "-Ur", "-Urm", "-n", "-m", "-p"] {
        let confined = bench.run(&["/usr/bin/unshare", flags, "/bin/true"]);
        assert_eq!(
            confined.outcome,
            Outcome::Exited { exit_code: 1 },
            "{flags}: {}",
            told(&confined)
        );
    }
}

#[test]
fn the_first_process_cannot_be_opened_traced_or_killed() {
    let Some(bench) = bench() else { return };
    let script = "import ctypes,os,signal
for path in ['/proc/1/exe', '/proc/1/fd', '/proc/1/mem', '/proc/1/environ', '/proc/1/root']:
    try:
        (os.listdir if path.endswith(('fd', 'root')) else open)(path); print(path, 'opened')
    except OSError:
        pass
print(ctypes.CDLL(None).ptrace(16, 1, 0, 0))
for name in ['SIGKILL', 'SIGSTOP', 'SIGTERM']:
    try:
        os.kill(1, getattr(signal, name))
    except PermissionError:
        pass
print('alive')";
    let confined = bench.python(script);
    assert_eq!(stdout(&confined), "-1\nalive\n", "{}", told(&confined));
    assert!(confined.outcome.is_success());
}

#[test]
fn the_command_gets_no_descriptor_but_the_standard_three() {
    let Some(bench) = bench() else { return };
    let script = "import os
found = {}
for number in range(4096):
    try:
        found[number] = os.readlink(f'/proc/self/fd/{number}').split(':')[0]
    except OSError:
        pass
print(found)";
    assert_eq!(stdout(&bench.python(script)), "{0: '/dev/null', 1: 'pipe', 2: 'pipe'}\n");
}

#[test]
fn standard_streams_can_be_reopened_by_name() {
    let Some(bench) = bench() else { return };
    let confined = bench.sh("echo out > /dev/stdout; echo err > /dev/stderr");
    assert_eq!((stdout(&confined).as_str(), &confined.stderr.bytes[..]), ("out\n", &b"err\n"[..]));
}

#[test]
fn there_is_no_terminal() {
    let Some(bench) = bench() else { return };
    let script = "import os
try:
    os.open('/dev/tty', os.O_RDWR); print('opened')
except OSError as error:
    print(error.strerror)
print(os.getsid(0))";
    assert_eq!(stdout(&bench.python(script)), "No such device or address\n1\n");
}

#[test]
fn the_receipt_names_every_layer_and_claims_no_absent_one() {
    let Some(bench) = bench() else { return };
    let receipt = bench.run(&["/bin/true"]).enforcement;
    let level =
        |name: &str| receipt.iter().find(|held| held.mechanism == name).map(|held| held.level);
    for full in [
        "bubblewrap",
        "user-namespace",
        "network",
        "capabilities",
        "descriptors",
        "wall-time",
        "output",
    ] {
        assert_eq!(level(full), Some(EnforcementLevel::Full), "{full}");
    }
    for absent in ["overlay", "parallel"] {
        assert_eq!(level(absent), Some(EnforcementLevel::None), "{absent}");
    }
    for limit in ["cpu", "memory", "processes", "disk", "inodes"] {
        assert!(level(limit) >= Some(EnforcementLevel::Partial), "{limit}");
    }
    assert!(receipt.iter().all(|held| !held.detail.is_empty()));
}
