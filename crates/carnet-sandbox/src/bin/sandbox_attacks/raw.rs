//! System calls as an attacker makes them: without asking a library.
#![expect(unsafe_code, reason = "an attack is a system call that no library offers")]

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

fn check(answer: libc::c_long) -> io::Result<libc::c_long> {
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// Makes one call. Addresses among the arguments come from [`address`], of values that outlive the call.
pub fn call(number: libc::c_long, arguments: [i64; 6]) -> io::Result<()> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: every address that the attacks pass is of a live local value, large enough for what the call writes.
    check(unsafe { libc::syscall(number, a, b, c, d, e, f) }).map(drop)
}

/// Returns the address of `value` as an argument of [`call`].
pub fn address<T>(value: &mut T) -> i64 {
    std::ptr::from_mut(value).addr() as i64
}

/// Runs `act` with the pid of a child that waits, and ends it.
pub fn with_child(act: impl FnOnce(i64) -> io::Result<()>) -> io::Result<()> {
    // SAFETY: this program has one thread, so the child may do what it likes; it only waits.
    let child = unsafe { libc::fork() };
    check(child.into())?;
    if child == 0 {
        loop {
            // SAFETY: pause takes nothing and touches nothing.
            unsafe { libc::pause() };
        }
    }
    let result = act(child.into());
    // SAFETY: the child is ours and not yet reaped; a null status is allowed.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    result
}

fn reap(child: libc::c_long) -> io::Result<()> {
    if check(child)? == 0 {
        // SAFETY: the child of a raw clone must not run on into the library's state.
        unsafe { libc::_exit(0) }
    }
    // SAFETY: the child is ours; a null status is allowed.
    unsafe { libc::waitpid(child as i32, std::ptr::null_mut(), 0) };
    Ok(())
}

/// Forks into a user namespace by the old call.
pub fn clone_user_namespace() -> io::Result<()> {
    let flags = libc::c_long::from(libc::CLONE_NEWUSER | libc::SIGCHLD);
    // SAFETY: without a stack of its own the child gets a copy of ours, as after fork.
    reap(unsafe { libc::syscall(libc::SYS_clone, flags, 0_i64, 0_i64, 0_i64, 0_i64) })
}

/// Forks into a user namespace by the new call, whose flags lie in memory.
pub fn clone3_user_namespace() -> io::Result<()> {
    let mut arguments = [0_u64; 8];
    arguments[0] = libc::CLONE_NEWUSER as u64;
    arguments[4] = libc::SIGCHLD as u64;
    // SAFETY: the pointer is to a live value of the 64 bytes that are announced, all zeroes but flags and signal.
    reap(unsafe { libc::syscall(libc::SYS_clone3, arguments.as_mut_ptr(), 64_i64) })
}

/// Mounts a file system over `/tmp`, in a namespace that was just made.
pub fn mount_scratch() -> io::Result<()> {
    let (name, place) = (c"tmpfs", c"/tmp");
    // SAFETY: the strings are static, and null data is allowed.
    let answer =
        unsafe { libc::mount(name.as_ptr(), place.as_ptr(), name.as_ptr(), 0, std::ptr::null()) };
    check(answer.into()).map(drop)
}

/// Returns a new terminal that controls this process, in a session of its own.
pub fn own_terminal() -> io::Result<OwnedFd> {
    // SAFETY: none of these calls takes a pointer, but for the name, a static string; each descriptor is checked
    // before it is owned, and the terminal's other end stays open until this process ends.
    unsafe {
        let parent = check(libc::fork().into())?;
        if parent != 0 {
            let mut status = 0;
            libc::waitpid(parent as i32, &mut status, 0);
            libc::_exit(libc::WEXITSTATUS(status));
        }
        check(libc::setsid().into())?;
        let end = check(libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY).into())? as i32;
        check(libc::grantpt(end).into())?;
        check(libc::unlockpt(end).into())?;
        let tty = libc::ioctl(end, libc::TIOCGPTPEER, libc::O_RDWR | libc::O_NOCTTY);
        let tty = OwnedFd::from_raw_fd(check(tty.into())? as i32);
        check(libc::ioctl(tty.as_raw_fd(), libc::TIOCSCTTY, 0).into())?;
        Ok(tty)
    }
}

/// Types a letter as if the user had.
pub fn terminal_input(tty: &OwnedFd) -> io::Result<()> {
    let mut letter = *b"x";
    call(libc::SYS_ioctl, [i64::from(tty.as_raw_fd()), 0x5412, address(&mut letter), 0, 0, 0])
}

/// Asks for this process's id by the 32-bit door.
#[cfg(target_arch = "x86_64")]
pub fn call_of_i386() -> io::Result<()> {
    let getpid_of_i386 = 20_i64;
    let answer: i64;
    // SAFETY: getpid takes no argument; the door keeps all registers but the answer's and those marked as lost.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inlateout("rax") getpid_of_i386 => answer,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    match answer as i32 {
        negative @ ..0 => Err(io::Error::from_raw_os_error(-negative)),
        _ => Ok(()),
    }
}

/// Returns a handle of a process.
pub fn open_process(pid: i64) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes no pointer.
    let handle = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0_i64) })?;
    // SAFETY: the kernel has just made this descriptor and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(handle as i32) })
}

/// Asks whether `pid` may be signalled.
pub fn signal(pid: i64) -> io::Result<()> {
    call(libc::SYS_kill, [pid, 0, 0, 0, 0, 0])
}

/// Makes the node of `/dev/zero` at `path`, and takes it away.
pub fn device_node(path: &str) -> io::Result<()> {
    let name = std::ffi::CString::new(path)?;
    // SAFETY: the string is live; mknod only reads it.
    check(
        unsafe { libc::mknod(name.as_ptr(), libc::S_IFCHR | 0o600, libc::makedev(1, 5)) }.into(),
    )?;
    std::fs::remove_file(path)
}

/// Tells whether starting this program has made it root's.
pub fn is_root() -> io::Result<()> {
    // SAFETY: geteuid takes nothing and cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::EPERM))
    }
}

/// Finds the System V segment `key`; or makes it, and holds it until standard input ends.
pub fn shared_memory(key: i32, hold: bool) -> io::Result<()> {
    let flags = if hold { libc::IPC_CREAT | libc::IPC_EXCL | 0o666 } else { 0 };
    // SAFETY: shmget takes no pointer.
    let segment = check(unsafe { libc::shmget(key, 1, flags) }.into())?;
    if hold {
        use std::io::{Read as _, Write as _};
        writeln!(io::stdout(), "held")?;
        let ended = io::stdin().read_to_end(&mut Vec::new());
        // SAFETY: removing takes no pointer.
        check(
            unsafe { libc::shmctl(segment as i32, libc::IPC_RMID, std::ptr::null_mut()) }.into(),
        )?;
        ended?;
    }
    Ok(())
}

/// Puts a seccomp filter on this process and all that it starts.
pub fn set_filter(filter: &[libc::sock_filter]) -> io::Result<()> {
    let mut program =
        libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    call(libc::SYS_prctl, [i64::from(libc::PR_SET_NO_NEW_PRIVS), 1, 0, 0, 0, 0])?;
    call(libc::SYS_seccomp, [1, 0, address(&mut program), 0, 0, 0])
}
