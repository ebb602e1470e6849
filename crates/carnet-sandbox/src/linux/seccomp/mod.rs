//! The seccomp filter of the command: a list of what is refused, as a program of the kernel's filter machine.
//!
//! A list of refusals, not of permissions: the command is any compiler, interpreter or test, and the kernel calls
//! they share are too many to name. What is refused is what reaches kernel code that no build needs. Calls are
//! answered with an error and never end the program, since programs ask for what they then do without.
//!
//! Invariants: a call of another architecture, or of the x32 interface, gets no further than "no such call"; the
//! filter looks at numbers and flags only, never at memory, so nothing can change between its look and the call.

mod calls;

use libc::{
    SYS_clone, SYS_clone3, SYS_ioctl, SYS_personality, SYS_socket, SYS_socketpair, sock_filter,
};

pub(super) use calls::N_REFUSED;
use calls::refused;

/// Bits of clone and unshare that make a namespace: mnt, cgroup, uts, ipc, user, pid, net.
const NAMESPACES: u32 = 0x7e02_0000;
/// The time namespace: for unshare a flag, for clone a part of the exit signal.
const NAMESPACE_TIME: u32 = 0x80;
/// Terminal commands that type for the user (asm-generic/ioctls.h).
const TERMINAL_COMMANDS: [u32; 2] = [0x5412, 0x541c];
/// The family of unix sockets, of which every kind may be made.
const UNIX: u32 = 1;
/// IPv4 and IPv6.
const INTERNET: [u32; 2] = [2, 10];
/// Their kinds: streams, datagrams, and raw ones, which the kernel itself refuses without a capability.
const INTERNET_KINDS: [u32; 3] = [1, 2, 3];
/// The part of a socket's kind that is no flag.
const KIND_MASK: u32 = 0xf;
/// Their protocols: the usual one, ICMP, TCP, UDP, ICMPv6. Landlock's word on TCP does not reach multipath TCP.
const INTERNET_PROTOCOLS: [u32; 5] = [0, 1, 6, 17, 58];
/// The netlink family, of which only routes (protocol 0) may be asked: libc lists interfaces by it.
const NETLINK: u32 = 16;
/// Personalities that may be set: Linux itself, and the question which one it is.
const PERSONALITIES: [u32; 2] = [0, u32::MAX];
/// carnet's own first process, as the command would name it. Ids of users alone decide about the calls below, and those
/// are the same.
const FIRST_PROCESS: u32 = 1;
/// Calls whose first argument is a process: its limits, and how it is scheduled.
const OF_A_PROCESS: [libc::c_long; 5] = [
    libc::SYS_prlimit64,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setattr,
];
/// Calls whose first argument says what the second is, with its value for one process; groups and users hold the first
/// process as well.
const OF_A_KIND: [(libc::c_long, u32); 2] = [(libc::SYS_setpriority, 0), (libc::SYS_ioprio_set, 1)];

#[cfg(target_arch = "x86_64")]
const NATIVE: Option<u32> = Some(0xc000_003e);
#[cfg(target_arch = "aarch64")]
const NATIVE: Option<u32> = Some(0xc000_00b7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const NATIVE: Option<u32> = None;
/// Calls from here up are those of x32, which only x86-64 has; no call of any other kind has such a number.
const X32: u32 = 0x4000_0000;

// Where things are in `struct seccomp_data` on a little-endian machine.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const fn argument(idx: u32) -> u32 {
    16 + 8 * idx
}

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const fn refuse(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno as u32
}

/// Tells whether there is a filter for this processor.
pub(super) fn is_known() -> bool {
    NATIVE.is_some()
}

/// Returns the filter for this processor; `None` where its calls are not listed here.
pub(super) fn filter() -> Option<Vec<sock_filter>> {
    let native = NATIVE?;
    let mut program = Program(Vec::with_capacity(2 * N_REFUSED + 80));
    program.load(ARCHITECTURE);
    program.unless_equal(native, refuse(libc::ENOSYS));
    program.load(NUMBER);
    program.if_at_least(X32, refuse(libc::ENOSYS));
    // Its flags lie in memory, where they cannot be judged: libc falls back to clone.
    program.if_call(SYS_clone3, refuse(libc::ENOSYS));
    for number in refused() {
        program.if_call(number, refuse(libc::EPERM));
    }
    program.when_called(SYS_clone, |case| {
        case.load(argument(0));
        case.if_any_bit(NAMESPACES, refuse(libc::EPERM));
    });
    program.when_called(libc::SYS_unshare, |case| {
        case.load(argument(0));
        case.if_any_bit(NAMESPACES | NAMESPACE_TIME, refuse(libc::EPERM));
    });
    program.when_called(SYS_ioctl, |case| {
        case.load(argument(1));
        for command in TERMINAL_COMMANDS {
            case.if_equal(command, refuse(libc::EPERM));
        }
    });
    program.when_called(SYS_personality, |case| {
        case.load(argument(0));
        for personality in PERSONALITIES {
            case.if_equal(personality, ALLOW);
        }
        case.answer(refuse(libc::EPERM));
    });
    for number in [SYS_socket, SYS_socketpair] {
        program.when_called(number, socket);
    }
    for number in OF_A_PROCESS {
        program.when_called(number, |case| {
            case.load(argument(0));
            case.if_equal(FIRST_PROCESS, refuse(libc::EPERM));
        });
    }
    for (number, one_process) in OF_A_KIND {
        program.when_called(number, |case| {
            case.load(argument(0));
            case.unless_equal(one_process, refuse(libc::EPERM));
            case.load(argument(1));
            case.if_equal(FIRST_PROCESS, refuse(libc::EPERM));
        });
    }
    program.answer(ALLOW);
    Some(program.0)
}

fn socket(case: &mut Program) {
    case.load(argument(0));
    case.if_equal(UNIX, ALLOW);
    for family in INTERNET {
        case.when_equal(family, internet_socket);
    }
    case.when_equal(NETLINK, |netlink| {
        netlink.load(argument(2));
        netlink.unless_equal(0, refuse(libc::EAFNOSUPPORT));
    });
    case.answer(refuse(libc::EAFNOSUPPORT));
}

fn internet_socket(case: &mut Program) {
    case.load(argument(1));
    case.mask(KIND_MASK);
    for kind in INTERNET_KINDS {
        case.when_equal(kind, |case| {
            case.load(argument(2));
            for protocol in INTERNET_PROTOCOLS {
                case.if_equal(protocol, ALLOW);
            }
            case.answer(refuse(libc::EPROTONOSUPPORT));
        });
    }
    case.answer(refuse(libc::EPROTONOSUPPORT));
}

/// Instructions in the making. Every jump is over the next instruction or over one whole case.
struct Program(Vec<sock_filter>);

impl Program {
    fn add(&mut self, code: u32, jt: u8, jf: u8, k: u32) {
        // The codes are sums of constants below 256.
        self.0.push(sock_filter { code: code as u16, jt, jf, k });
    }

    fn load(&mut self, offset: u32) {
        self.add(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset);
    }

    fn answer(&mut self, action: u32) {
        self.add(libc::BPF_RET | libc::BPF_K, 0, 0, action);
    }

    fn if_equal(&mut self, value: u32, action: u32) {
        self.add(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, value);
        self.answer(action);
    }

    fn unless_equal(&mut self, value: u32, action: u32) {
        self.add(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0, value);
        self.answer(action);
    }

    fn if_at_least(&mut self, value: u32, action: u32) {
        self.add(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, value);
        self.answer(action);
    }

    fn if_any_bit(&mut self, bits: u32, action: u32) {
        self.add(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0, 1, bits);
        self.answer(action);
    }

    fn if_call(&mut self, number: libc::c_long, action: u32) {
        self.if_equal(number as u32, action);
    }

    fn mask(&mut self, bits: u32) {
        self.add(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, bits);
    }

    fn when_called(&mut self, number: libc::c_long, build: impl FnOnce(&mut Program)) {
        self.when_equal(number as u32, build);
    }

    /// Adds a case that is entered when `value` is loaded, and allows what it gives no other answer to.
    fn when_equal(&mut self, value: u32, build: impl FnOnce(&mut Program)) {
        let mut case = Program(Vec::new());
        build(&mut case);
        case.answer(ALLOW);
        // The longest case, that of sockets, has fewer than a hundred and fifty instructions; a test runs it.
        let len = case.0.len() as u8;
        self.add(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, len, value);
        self.0.append(&mut case.0);
    }
}

#[cfg(test)]
mod tests;
