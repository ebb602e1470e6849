//! The warden: a process that does nothing but wait for the supervisor's death, and then ends and removes what that left.
//!
//! The kernel ends a run when its supervisor dies, but for two things: a bwrap that has just forked and not yet written its
//! child's id maps leaves that child waiting for ever, and nobody removes groups and empty directories. The warden leads the
//! process group that bwrap starts in, so nothing of it can be missed, and no number can have become another's.
//!
//! Invariant: what runs after the fork makes system calls only; all that is needed was made before, and no descriptor but the
//! pipe is kept, so no lock of the supervisor outlives it.

use std::{
    ffi::CString,
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

use rustix::process::Pid;

use super::{check, wait4};

/// Times that what is left is tried to be removed.
const TRIES_MAX: u32 = 200;
/// Time between two tries, in nanoseconds: a second altogether.
const PAUSE_NS: libc::c_long = 5_000_000;
/// Signals that people send to a whole terminal.
const IGNORED: [libc::c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// The process that watches; dismissed when dropped.
#[derive(Debug)]
pub(in crate::linux) struct Warden {
    pid: Pid,
    pipe: OwnedFd,
}

impl Warden {
    /// Starts a warden that removes `left`, in order, should this process die: empty directories, and files.
    pub fn start(left: &[CString]) -> io::Result<Warden> {
        let (reader, pipe) = io::pipe()?;
        // SAFETY: fork takes no pointer. The child calls `watch` alone, which makes system calls only and never returns.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            watch(reader.as_raw_fd(), left);
        }
        check(libc::c_long::from(pid))?;
        // The child does the same: whoever comes first, the group is there when bwrap is to join it.
        // SAFETY: setpgid takes no pointer.
        let _ = unsafe { libc::setpgid(pid, pid) };
        let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Warden { pid, pipe: pipe.into() })
    }

    /// Returns the process group that it leads.
    pub fn group(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.pipe, b".");
        let _ = wait4(self.pid, true);
    }
}

/// Waits for a word, or for the pipe's end.
fn watch(reader: RawFd, left: &[CString]) -> ! {
    // SAFETY: none of these takes a pointer, but read, which gets one byte of this stack, and nanosleep. This process has one
    // thread, and its descriptors are its own copies, which nobody here uses again.
    unsafe {
        libc::setpgid(0, 0);
        for signal in IGNORED {
            libc::signal(signal, libc::SIG_IGN);
        }
        if libc::dup2(reader, 0) == -1
            || libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0) == -1
        {
            libc::_exit(1);
        }
        let mut word = 0_u8;
        loop {
            match libc::read(0, (&raw mut word).cast(), 1) {
                0 => break,
                -1 if *libc::__errno_location() == libc::EINTR => {}
                _ => libc::_exit(0),
            }
        }
        // Who leads a group keeps its number from others: the leader stays until it is killed with all the rest.
        let group = libc::getpid();
        if libc::fork() == 0 {
            libc::setpgid(0, 0);
            libc::kill(-group, libc::SIGKILL);
            remove(left);
            libc::_exit(0);
        }
        // No second process: then there is nothing but to go as well.
        let pause = libc::timespec { tv_sec: 1, tv_nsec: 0 };
        libc::nanosleep(&pause, std::ptr::null_mut());
        libc::kill(-group, libc::SIGKILL);
        libc::_exit(1)
    }
}

/// Removes what is left as soon as the kernel lets it.
///
/// # Safety
///
/// To be called in a process of one thread; it makes system calls only.
unsafe fn remove(left: &[CString]) {
    // SAFETY: every path is a C string that lives as long as this call; the rest takes no pointer but to this stack.
    unsafe {
        for _ in 0..TRIES_MAX {
            let mut is_all_gone = true;
            for path in left {
                if libc::rmdir(path.as_ptr()) == -1 {
                    match *libc::__errno_location() {
                        libc::ENOENT => {}
                        libc::ENOTDIR if libc::unlink(path.as_ptr()) == 0 => {}
                        _ => is_all_gone = false,
                    }
                }
            }
            if is_all_gone {
                return;
            }
            let pause = libc::timespec { tv_sec: 0, tv_nsec: PAUSE_NS };
            libc::nanosleep(&pause, std::ptr::null_mut());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::ffi::OsStrExt as _};

    use super::*;

    #[test]
    fn a_dismissed_warden_removes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("kept");
        fs::create_dir(&kept).unwrap();
        let path = CString::new(kept.as_os_str().as_bytes()).unwrap();
        drop(Warden::start(&[path]).unwrap());
        assert!(kept.is_dir());
    }
}
