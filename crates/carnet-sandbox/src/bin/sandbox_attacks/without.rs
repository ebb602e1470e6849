//! A kernel that lacks a feature, or has it in name only: a seccomp filter answers in its place.

use std::{io, os::unix::process::CommandExt, process::Command};

use crate::raw;

/// A call, the value of its first argument that is meant (any, where `None`), and what is answered: an error number,
/// or 0 for a success in which nothing was done.
type Answer = (libc::c_long, Option<u32>, i32);

const SET_MODE_FILTER: u32 = 1;

/// A mount namespace as root asks for it, and as an ordinary user does.
const OF_ROOT: Option<u32> = Some(libc::CLONE_NEWNS as u32);
const OF_A_USER: Option<u32> = Some((libc::CLONE_NEWNS | libc::CLONE_NEWUSER) as u32);

const FEATURES: [(&str, Answer); 10] = [
    ("mounts-of-root", (libc::SYS_unshare, OF_ROOT, libc::EPERM)),
    ("mounts-of-a-user", (libc::SYS_unshare, OF_A_USER, libc::EPERM)),
    ("landlock", (libc::SYS_landlock_create_ruleset, None, libc::ENOSYS)),
    ("landlock-rules", (libc::SYS_landlock_add_rule, None, libc::EINVAL)),
    ("landlock-restriction", (libc::SYS_landlock_restrict_self, None, libc::E2BIG)),
    ("landlock-effect", (libc::SYS_landlock_restrict_self, None, 0)),
    ("seccomp", (libc::SYS_seccomp, None, libc::ENOSYS)),
    ("seccomp-filters", (libc::SYS_seccomp, Some(SET_MODE_FILTER), libc::EINVAL)),
    ("seccomp-effect", (libc::SYS_seccomp, Some(SET_MODE_FILTER), 0)),
    ("nothing", (-1, None, 0)),
];

/// Executes `program` without `feature`; returns only when that failed.
pub fn execute(feature: &str, program: &str, arguments: &[String]) -> io::Error {
    let Some((_, answer)) = FEATURES.iter().find(|(name, _)| *name == feature) else {
        return io::Error::other("no such feature");
    };
    match raw::set_filter(&filter(*answer)) {
        Ok(()) => Command::new(program).args(arguments).exec(),
        Err(error) => error,
    }
}

fn filter((number, argument, errno): Answer) -> Vec<libc::sock_filter> {
    let instruction = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = |offset| instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset);
    let equal = |value, jf| instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, jf, value);
    let answer = |action| instruction(libc::BPF_RET | libc::BPF_K, 0, 0, action);
    let mut program = vec![load(0)];
    match argument {
        None => program.push(equal(number as u32, 1)),
        Some(value) => program.extend([equal(number as u32, 3), load(16), equal(value, 1)]),
    }
    program.push(answer(libc::SECCOMP_RET_ERRNO | errno as u32));
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    program
}
