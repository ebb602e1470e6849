//! The only `unsafe` of carnet, here and in `sys/`: calls that neither `std` nor `rustix` offers as safe functions.
//!
//! Each function is safe to call; each block says why, without leaving its file.
#![expect(
    unsafe_code,
    reason = "system calls without a safe wrapper; each block says why it is sound"
)]

pub(in crate::linux) mod confine;
pub(in crate::linux) mod layer;
pub(in crate::linux) mod warden;

use std::{
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::Command,
    time::Duration,
};

use rustix::process::Pid;

/// `landlock_create_ruleset` flag that asks for the ABI version (linux/landlock.h).
const LANDLOCK_CREATE_RULESET_VERSION: libc::c_ulong = 1;
/// `keyctl` operation that replaces the session keyring (linux/keyctl.h).
const KEYCTL_JOIN_SESSION_KEYRING: libc::c_ulong = 1;

/// A child that has ended, with all that it had reaped itself.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::linux) struct Reaped {
    /// Processor time in user mode, in milliseconds.
    pub user_ms: u64,
    /// Processor time in the kernel, in milliseconds.
    pub system_ms: u64,
    /// Largest resident set of one process, in bytes.
    pub largest_rss_bytes: u64,
    /// Bytes read from storage.
    pub read_bytes: u64,
    /// Bytes written to storage, or on their way there.
    pub written_bytes: u64,
}

/// Lets the program that `command` starts keep `descriptors` under their present numbers.
///
/// They stay close-on-exec in this process, so that no program started by another thread gets them. They are
/// closed here when `command` is dropped.
pub(in crate::linux) fn inherit(command: &mut Command, descriptors: Vec<OwnedFd>) {
    let clear = move || {
        for descriptor in &descriptors {
            // SAFETY: fcntl with F_SETFD takes no pointer; the descriptor is owned by this closure.
            if unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFD, 0) } == -1 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec and calls only fcntl, which is async-signal-safe, and
    // `last_os_error`, which reads errno; it neither allocates nor locks.
    unsafe { command.pre_exec(clear) };
}

/// Reaps `pid` and returns what it and everything it reaped used; `None` where it still runs and `block` is false.
pub(in crate::linux) fn wait4(pid: Pid, block: bool) -> io::Result<Option<Reaped>> {
    let options = if block { 0 } else { libc::WNOHANG };
    let mut status = 0;
    // SAFETY: `rusage` is a plain C struct of integers, for which all zeroes is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers point to live, writable values of the types that wait4 writes.
        match unsafe { libc::wait4(pid.as_raw_nonzero().get(), &mut status, options, &mut usage) } {
            0 => return Ok(None),
            -1 => {
                let error = io::Error::last_os_error();
                // The caller ignores SIGCHLD, so the kernel has reaped the child and kept no account.
                if error.raw_os_error() == Some(libc::ECHILD) {
                    return Ok(Some(Reaped::default()));
                }
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            _ => break,
        }
    }
    Ok(Some(Reaped {
        user_ms: milliseconds(usage.ru_utime),
        system_ms: milliseconds(usage.ru_stime),
        largest_rss_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024),
        // Counted in blocks of 512 bytes (getrusage(2)).
        read_bytes: u64::try_from(usage.ru_inblock).unwrap_or(0).saturating_mul(512),
        written_bytes: u64::try_from(usage.ru_oublock).unwrap_or(0).saturating_mul(512),
    }))
}

/// Returns Landlock's ABI version; `None` where the kernel has none or it is off.
pub(in crate::linux) fn landlock_abi() -> Option<u32> {
    let (no_attributes, size) = (std::ptr::null::<libc::c_void>(), 0_usize);
    // SAFETY: with this flag the kernel demands a null pointer and size 0, and reads nothing.
    let abi = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            no_attributes,
            size,
            LANDLOCK_CREATE_RULESET_VERSION,
        )
    };
    u32::try_from(abi).ok()
}

/// Closes every descriptor from 3 up. Only for the first lines of the inner stage.
pub(in crate::linux) fn close_inherited() -> io::Result<()> {
    let (first, last, flags) = (3 as libc::c_uint, libc::c_uint::MAX, 0 as libc::c_uint);
    // SAFETY: close_range takes no pointer. The inner stage calls this before it has opened or wrapped any
    // descriptor above 2, so no owner is left with a closed one.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) })
}

/// Leaves the inherited session keyring for a new, empty one; true unless the kernel has no keyrings.
pub(in crate::linux) fn join_empty_keyring() -> io::Result<bool> {
    let anonymous = std::ptr::null::<libc::c_char>();
    // SAFETY: a null name asks for an anonymous keyring; the kernel reads nothing.
    match check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, anonymous) })
    {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Ok(false),
        answer => answer.map(|()| true),
    }
}

/// Tries to make a user namespace, which must fail in the inner stage; a success moves this process into it.
pub(in crate::linux) fn unshare_user_namespace() -> io::Result<()> {
    // SAFETY: unshare takes no pointer, and this flag changes credentials, not memory or descriptors.
    check(libc::c_long::from(unsafe { libc::unshare(libc::CLONE_NEWUSER) }))
}

/// Returns the processor time of this thread.
pub(in crate::linux) fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` lives through the call, which writes one `timespec`; where it fails, nothing is written.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Returns the size of a page in bytes.
pub(in crate::linux) fn page_bytes() -> u64 {
    // SAFETY: sysconf takes no pointer.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

fn check(answer: libc::c_long) -> io::Result<()> {
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn milliseconds(time: libc::timeval) -> u64 {
    let micros = i128::from(time.tv_sec) * 1_000_000 + i128::from(time.tv_usec);
    u64::try_from((micros + 500) / 1_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::zombie_processes, reason = "wait4 is what is tested")]
    fn wait4_tells_what_a_child_used() {
        let child = Command::new("/bin/true").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let reaped = wait4(pid, true).unwrap().unwrap();
        assert!(reaped.largest_rss_bytes > 0);
        assert_eq!(
            wait4(pid, true).unwrap().unwrap().largest_rss_bytes,
            0,
            "it was reaped already"
        );
    }

    #[test]
    fn inherited_descriptors_keep_their_numbers_and_stay_private_here() {
        let (reader, writer) = std::io::pipe().unwrap();
        let writer = OwnedFd::from(writer);
        let number = writer.as_raw_fd();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("echo kept >/proc/self/fd/{number}")]);
        inherit(&mut command, vec![writer.try_clone().unwrap(), writer]);
        assert!(command.status().unwrap().success());
        drop(command);
        assert_eq!(io::read_to_string(reader).unwrap(), "kept\n");
    }
}
