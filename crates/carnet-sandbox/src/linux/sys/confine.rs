//! Landlock and seccomp: the system calls, and the last steps of the command's process before it becomes the command.
//!
//! Invariant: what runs between fork and exec neither allocates nor locks; all that is needed was made before.

use std::{
    io,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::Command,
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use super::check;

/// `landlock_add_rule` type of a rule on a file hierarchy (linux/landlock.h).
const LANDLOCK_RULE_PATH_BENEATH: libc::c_int = 1;
/// A device that everyone may write and that no rule lets be written: the proof that Landlock holds.
const WRITABLE_BY_MODE_ALONE: &std::ffi::CStr = c"/dev/random";

/// What a ruleset handles, as the kernel takes it (`struct landlock_ruleset_attr`). A shorter struct is an older
/// one, so only as much is passed as the ABI knows.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::linux) struct RulesetAttributes {
    /// File system accesses.
    pub files: u64,
    /// Network accesses, since ABI 4.
    pub network: u64,
    /// Scopes, since ABI 6.
    pub scopes: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}

/// What the command's process does to itself last.
pub(in crate::linux) struct Confinement {
    /// The Landlock ruleset and the flags to apply it with; `None` where the kernel has none that can be used.
    pub ruleset: Option<(OwnedFd, u32)>,
    /// The seccomp filter; empty where the kernel has none.
    pub filter: Vec<libc::sock_filter>,
}

/// A step that failed in the command's process; nothing was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::linux) enum Step {
    /// The ruleset was not taken.
    Landlock = 1,
    /// It was taken, and does not hold.
    LandlockHolds = 2,
    /// The filter was not taken.
    Seccomp = 3,
    /// It was taken, and does not hold.
    SeccompHolds = 4,
}

impl Step {
    /// Reads what the child wrote.
    pub fn from_byte(byte: u8) -> Option<Step> {
        [Step::Landlock, Step::LandlockHolds, Step::Seccomp, Step::SeccompHolds]
            .into_iter()
            .find(|step| *step as u8 == byte)
    }
}

/// Returns a new ruleset; `size_bytes` is how much of `attributes` the ABI knows.
pub(in crate::linux) fn create_ruleset(
    attributes: &RulesetAttributes,
    size_bytes: usize,
) -> io::Result<OwnedFd> {
    let size_bytes = size_bytes.min(size_of::<RulesetAttributes>());
    // SAFETY: the pointer is to a live value of at least `size_bytes` bytes, and the kernel only reads it.
    let number = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::from_ref(attributes),
            size_bytes,
            0 as libc::c_uint,
        )
    };
    check(number)?;
    let number = i32::try_from(number).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor, close-on-exec, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Lets `allowed` be done at and below `place`.
pub(in crate::linux) fn add_rule(
    ruleset: &OwnedFd,
    place: impl AsFd,
    allowed: u64,
) -> io::Result<()> {
    let rule = PathBeneath { allowed, parent: place.as_fd().as_raw_fd() };
    // SAFETY: the pointer is to a live value of the type that this kind of rule is read as; the kernel only reads it.
    check(unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset.as_raw_fd(),
            LANDLOCK_RULE_PATH_BENEATH,
            std::ptr::from_ref(&rule),
            0 as libc::c_uint,
        )
    })
}

/// Tells whether the kernel takes seccomp filters that answer with an error number.
pub(in crate::linux) fn has_seccomp() -> bool {
    let action = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the pointer is to a live integer, which the kernel only reads.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_ACTION_AVAIL,
            0 as libc::c_uint,
            std::ptr::from_ref(&action),
        )
    };
    answer == 0
}

/// Makes the program that `command` starts confine itself before it is executed. A step that fails is written
/// as one byte to `failed`, and nothing is executed.
pub(in crate::linux) fn confine(command: &mut Command, confinement: Confinement, failed: OwnedFd) {
    let apply = move || {
        let report = |step: Step| {
            let _ = rustix::io::write(&failed, &[step as u8]);
        };
        if let Some((ruleset, flags)) = &confinement.ruleset {
            restrict_self(ruleset, *flags).inspect_err(|_| report(Step::Landlock))?;
            landlock_holds().inspect_err(|_| report(Step::LandlockHolds))?;
        }
        if !confinement.filter.is_empty() {
            set_filter(&confinement.filter).inspect_err(|_| report(Step::Seccomp))?;
            seccomp_holds().inspect_err(|_| report(Step::SeccompHolds))?;
        }
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec and makes system calls only: it neither allocates nor locks,
    // and errors are made of error numbers.
    unsafe { command.pre_exec(apply) };
}

fn restrict_self(ruleset: &OwnedFd, flags: u32) -> io::Result<()> {
    // SAFETY: landlock_restrict_self takes no pointer.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), flags) })
}

fn set_filter(filter: &[libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(filter.len()).map_err(|_| Errno::TOOBIG)?;
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    // SAFETY: `program` points to `len` live instructions; the kernel only reads them.
    check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0 as libc::c_uint,
            std::ptr::from_ref(&program),
        )
    })
}

/// An open that file modes allow and the ruleset does not.
fn landlock_holds() -> io::Result<()> {
    match rustix::fs::open(WRITABLE_BY_MODE_ALONE, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
    {
        Err(Errno::ACCESS) => Ok(()),
        _ => Err(Errno::PROTO.into()),
    }
}

/// A call that the filter answers before the kernel can say that the descriptor is none.
fn seccomp_holds() -> io::Result<()> {
    // SAFETY: setns takes no pointer, and -1 is no descriptor.
    let answer = check(libc::c_long::from(unsafe { libc::setns(-1, 0) }));
    match answer {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(()),
        _ => Err(Errno::PROTO.into()),
    }
}
