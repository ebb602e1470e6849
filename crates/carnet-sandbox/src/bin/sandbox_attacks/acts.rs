//! The attacks by name. Each returns `Ok` when the kernel let it through, or at least let it reach the code that
//! the sandbox is to keep it from.

use std::{
    fs::{File, OpenOptions},
    io,
    net::{TcpListener, TcpStream},
    os::{fd::AsRawFd, unix::net::UnixStream},
};

use crate::raw::{self, call};

/// Errors by the names that tests use.
pub const NAMES: [(i32, &str); 16] = [
    (libc::EPERM, "EPERM"),
    (libc::EACCES, "EACCES"),
    (libc::ENOENT, "ENOENT"),
    (libc::ENOSYS, "ENOSYS"),
    (libc::ENOSPC, "ENOSPC"),
    (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
    (libc::EINVAL, "EINVAL"),
    (libc::EROFS, "EROFS"),
    (libc::ESRCH, "ESRCH"),
    (libc::EIO, "EIO"),
    (libc::ENOTTY, "ENOTTY"),
    (libc::EOPNOTSUPP, "EOPNOTSUPP"),
    (libc::EDQUOT, "EDQUOT"),
    (libc::EPROTONOSUPPORT, "EPROTONOSUPPORT"),
    (libc::ENOPROTOOPT, "ENOPROTOOPT"),
    (libc::ECONNREFUSED, "ECONNREFUSED"),
];

const USER_AND_MOUNTS: i64 = (libc::CLONE_NEWUSER | libc::CLONE_NEWNS) as i64;
/// A key of the process itself, which ends with it.
const PROCESS_KEYRING: i64 = -2;

/// Tries `attack`; `None` where there is no such attack on this processor.
pub fn attempt(attack: &str, argument: &str) -> Option<io::Result<()>> {
    Some(match attack {
        "io_uring" => io_uring(),
        "bpf" => bpf(),
        "perf_event" => perf_event(),
        "userfaultfd" => call(libc::SYS_userfaultfd, [1, 0, 0, 0, 0, 0]),
        "fanotify" => call(libc::SYS_fanotify_init, [0x200, 0, 0, 0, 0, 0]),
        "memfd_secret" => call(447, [0; 6]),
        "add_key" => add_key(),
        "keyctl" => call(libc::SYS_keyctl, [0, PROCESS_KEYRING, 1, 0, 0, 0]),
        "ptrace" => raw::with_child(|child| call(libc::SYS_ptrace, [0x4206, child, 0, 0, 0, 0])),
        "process_memory" => raw::with_child(process_memory),
        "process_descriptor" => raw::with_child(process_descriptor),
        "kcmp" => {
            let own = i64::from(std::process::id());
            call(libc::SYS_kcmp, [own, own, 1, 0, 0, 0])
        }
        "clone_namespace" => raw::clone_user_namespace(),
        "clone3_namespace" => raw::clone3_user_namespace(),
        "mount" => call(libc::SYS_unshare, [USER_AND_MOUNTS, 0, 0, 0, 0, 0])
            .and_then(|()| raw::mount_scratch()),
        "setns" => reached(setns_own(), libc::EINVAL),
        "personality" => call(libc::SYS_personality, [0x4_0000, 0, 0, 0, 0, 0]),
        "terminal_input" => raw::own_terminal().and_then(|tty| raw::terminal_input(&tty)),
        "terminal_paste" => raw::own_terminal().and_then(|tty| {
            let paste = call(libc::SYS_ioctl, [i64::from(tty.as_raw_fd()), 0x541c, 0, 0, 0, 0]);
            // Memory is read first on a console, and any other terminal knows no such command.
            reached(reached(paste, libc::ENOTTY), libc::EFAULT)
        }),
        "netlink_events" => call(libc::SYS_socket, [16, 3, 15, 0, 0, 0]),
        "multipath_socket" => call(libc::SYS_socket, [2, 1, 262, 0, 0, 0]),
        "packet_socket" => call(libc::SYS_socket, [17, 3, 0, 0, 0, 0]),
        "crypto_socket" => call(libc::SYS_socket, [38, 5, 0, 0, 0, 0]),
        "machine_socket" => call(libc::SYS_socket, [40, 1, 0, 0, 0, 0]),
        #[cfg(target_arch = "x86_64")]
        "foreign_call" => raw::call_of_i386(),
        #[cfg(target_arch = "x86_64")]
        "x32_call" => call(0x4000_0000 | libc::SYS_getpid, [0; 6]),
        #[cfg(target_arch = "x86_64")]
        "descriptor_table" => call(libc::SYS_modify_ldt, [0; 6]),
        "own_name" => OpenOptions::new().write(true).open("/proc/self/comm").map(drop),
        "entropy" => OpenOptions::new().write(true).open("/dev/random").map(drop),
        "device_command" => File::open("/dev/zero").and_then(|zero| {
            let asked = call(libc::SYS_ioctl, [i64::from(zero.as_raw_fd()), 0x5401, 0, 0, 0, 0]);
            reached(asked, libc::ENOTTY)
        }),
        "tcp_bind" => TcpListener::bind("127.0.0.1:0").map(drop),
        "tcp_connect" => TcpStream::connect(format!("127.0.0.1:{argument}")).map(drop),
        "signal_parent" => raw::signal(i64::from(std::os::unix::process::parent_id())),
        "signal" => raw::signal(argument.parse().unwrap_or(i64::from(i32::MAX))),
        "read" => std::fs::read(argument).map(drop),
        "unix_connect" => UnixStream::connect(argument).map(drop),
        "core_pattern" => {
            OpenOptions::new().write(true).open("/proc/sys/kernel/core_pattern").map(drop)
        }
        "device_node" => raw::device_node(argument),
        "set_id" => raw::is_root(),
        "shared_memory" => raw::shared_memory(argument.parse().unwrap_or(1), false),
        "shared_memory_hold" => raw::shared_memory(argument.parse().unwrap_or(1), true),
        _ => return None,
    })
}

/// The error that the attacked code itself answers counts as having reached it.
fn reached(result: io::Result<()>, errno: i32) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(errno) => Ok(()),
        result => result,
    }
}

fn io_uring() -> io::Result<()> {
    let mut parameters = [0_u8; 120];
    call(libc::SYS_io_uring_setup, [1, raw::address(&mut parameters), 0, 0, 0, 0])
}

/// Asks for a pinned object that is not there: unlike making one, everyone may.
fn bpf() -> io::Result<()> {
    let mut path = *b"/proc/no-such-object\0";
    let mut attributes = [0_u64; 3];
    attributes[0] = raw::address(&mut path) as u64;
    let asked = call(libc::SYS_bpf, [7, raw::address(&mut attributes), 24, 0, 0, 0]);
    reached(asked, libc::ENOENT)
}

/// Counts this process's own page faults, outside of the kernel.
fn perf_event() -> io::Result<()> {
    let mut attributes = [0_u64; 14];
    let (software, size_bytes, page_faults) = (1_u64, 112_u64, 2_u64);
    let exclude_kernel_and_hypervisor = 0b110_0000;
    attributes[0] = software | size_bytes << 32;
    attributes[1] = page_faults;
    attributes[5] = exclude_kernel_and_hypervisor;
    call(libc::SYS_perf_event_open, [raw::address(&mut attributes), 0, -1, -1, 0, 0])
}

fn add_key() -> io::Result<()> {
    let (mut kind, mut name, mut value) = (*b"user\0", *b"carnet-test\0", *b"x");
    let words = [raw::address(&mut kind), raw::address(&mut name), raw::address(&mut value), 1];
    call(libc::SYS_add_key, [words[0], words[1], words[2], words[3], PROCESS_KEYRING, 0])
}

/// Reads a byte of the child's memory: what was forked is at the same address.
fn process_memory(child: i64) -> io::Result<()> {
    let (mut here, mut there) = ([0_u8; 1], [1_u8; 1]);
    let mut local = [raw::address(&mut here), 1];
    let mut remote = [raw::address(&mut there), 1];
    let vectors = [raw::address(&mut local), raw::address(&mut remote)];
    call(libc::SYS_process_vm_readv, [child, vectors[0], 1, vectors[1], 1, 0])
}

fn process_descriptor(child: i64) -> io::Result<()> {
    let handle = raw::open_process(child)?;
    call(libc::SYS_pidfd_getfd, [i64::from(handle.as_raw_fd()), 1, 0, 0, 0, 0])
}

/// Enters the user namespace that it is in already, which the kernel forbids by a word of its own.
fn setns_own() -> io::Result<()> {
    let own = File::open("/proc/self/ns/user")?;
    call(libc::SYS_setns, [i64::from(own.as_raw_fd()), 0, 0, 0, 0, 0])
}
