//! What the process that becomes bwrap does first: a mount namespace of its own, and the throw-away layer in it.
//!
//! Invariant: what runs between fork and exec neither allocates nor locks; all that is needed was made before.

use std::{
    ffi::{CStr, CString},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::Command,
};

use rustix::{
    fs::{
        AtFlags, CWD, Gid, Mode, OFlags, Timestamps, Uid, chmodat, chownat, mkdirat, openat,
        utimensat,
    },
    mount::{MountFlags, MountPropagationFlags, mount, mount_change},
};

use super::check;

/// What is mounted, all of it made before the fork.
pub(in crate::linux) struct Layer {
    /// Whom to become afterwards; `None` for ordinary users, who need a user namespace instead.
    pub account: Option<(u32, u32)>,
    /// The one line of `uid_map`.
    pub uid_map: String,
    /// The one line of `gid_map`.
    pub gid_map: String,
    /// Where the tmpfs is mounted.
    pub mount_point: CString,
    /// Its options.
    pub tmpfs_options: CString,
    /// Options of the overlay; paths in them are below the tmpfs, or descriptors.
    pub overlay_options: CString,
    /// Permissions of the lower directory itself, which the upper one must repeat.
    pub root_mode: Mode,
    /// Its times.
    pub root_times: Timestamps,
    /// The lower directory, which `overlay_options` names by number.
    pub lower: OwnedFd,
    /// Where the lower directory is: it must be opened again, in the namespace that is then our own.
    pub lower_path: CString,
    /// Layers over caches, in the same tmpfs.
    pub caches: Vec<CacheLayer>,
    /// What is in the root of the run, in order.
    pub root: Vec<Piece>,
}

/// One thing in the root of a run; paths are below the tmpfs, or of the host.
pub(in crate::linux) enum Piece {
    /// A directory of whoever runs.
    Directory { at: CString, mode: Mode },
    /// A link.
    Link { at: CString, target: CString },
    /// A file with this text, which nobody may write.
    File { at: CString, text: Vec<u8>, mode: Mode },
    /// The same as elsewhere, with everything that is mounted below.
    Bind { at: CString, from: CString, is_read_only: bool },
    /// Memory of its own.
    Memory { at: CString, options: CString },
    /// Terminals of its own.
    Terminals { at: CString },
}

/// A layer over a cache; names are below the tmpfs.
pub(in crate::linux) struct CacheLayer {
    /// What the run writes.
    pub upper: CString,
    /// What is below, where there is anything.
    pub over: Option<CacheLower>,
}

/// A directory below a cache's layer.
pub(in crate::linux) struct CacheLower {
    /// Where the kernel prepares.
    pub work: CString,
    /// Where both are seen as one.
    pub merged: CString,
    /// Options of the overlay.
    pub options: CString,
    /// The directory, which `options` names by number.
    pub lower: OwnedFd,
    /// Where it is.
    pub lower_path: CString,
}

/// A step that failed; nothing was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::linux) enum LayerStep {
    /// A mount namespace, and a user namespace where it is needed.
    Namespace = 1,
    /// The tmpfs.
    Scratch = 2,
    /// The directories in it.
    Directories = 3,
    /// The overlay.
    Overlay = 4,
    /// Becoming the service account.
    Account = 5,
    /// The root of the run.
    Root = 6,
}

impl LayerStep {
    /// Reads what the child wrote.
    pub fn from_byte(byte: u8) -> Option<LayerStep> {
        use LayerStep::{Account, Directories, Namespace, Overlay, Root, Scratch};
        [Namespace, Scratch, Directories, Overlay, Account, Root]
            .into_iter()
            .find(|step| *step as u8 == byte)
    }

    /// Returns what was being done, as a fragment.
    pub fn name(self) -> &'static str {
        match self {
            LayerStep::Namespace => "make a mount namespace",
            LayerStep::Scratch => "mount a tmpfs",
            LayerStep::Directories => "make the layer's directories",
            LayerStep::Overlay => "mount an overlay",
            LayerStep::Account => "become the service account",
            LayerStep::Root => "make the root of a run",
        }
    }
}

/// Makes the program that `command` starts mount `layer` before it is executed. A step that fails is written as one
/// byte to `failed`, and nothing is executed.
pub(in crate::linux) fn mount_before(command: &mut Command, layer: Layer, failed: OwnedFd) {
    let apply = move || {
        let report = |step: LayerStep| {
            let _ = rustix::io::write(&failed, &[step as u8]);
        };
        namespace(&layer).inspect_err(|_| report(LayerStep::Namespace))?;
        scratch(&layer).inspect_err(|_| report(LayerStep::Scratch))?;
        directories(&layer).inspect_err(|_| report(LayerStep::Directories))?;
        overlay(&layer).inspect_err(|_| report(LayerStep::Overlay))?;
        root(&layer).inspect_err(|_| report(LayerStep::Root))?;
        account(&layer).inspect_err(|_| report(LayerStep::Account))
    };
    // SAFETY: the closure runs between fork and exec and makes system calls only: it neither allocates nor locks (strings
    // are C strings already), and errors are made of error numbers.
    unsafe { command.pre_exec(apply) };
}

fn namespace(layer: &Layer) -> io::Result<()> {
    let user = if layer.account.is_none() { libc::CLONE_NEWUSER } else { 0 };
    // SAFETY: unshare takes no pointer; the flags change credentials and mounts, not memory or descriptors.
    check(libc::c_long::from(unsafe { libc::unshare(libc::CLONE_NEWNS | user) }))?;
    if layer.account.is_none() {
        put(c"/proc/self/setgroups", b"deny")?;
        put(c"/proc/self/uid_map", layer.uid_map.as_bytes())?;
        put(c"/proc/self/gid_map", layer.gid_map.as_bytes())?;
    }
    // Nothing that is mounted from here on reaches the host.
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change(c"/", flags)?;
    open_again(&layer.lower_path, &layer.lower)?;
    layer
        .caches
        .iter()
        .filter_map(|cache| cache.over.as_ref())
        .try_for_each(|over| open_again(&over.lower_path, &over.lower))
}

/// Has `descriptor` stand for what is at `path` in the namespace that is now our own.
fn open_again(path: &CStr, descriptor: &OwnedFd) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(CWD, path, flags, Mode::empty())?;
    let (from, to) = (opened.as_raw_fd(), descriptor.as_raw_fd());
    // SAFETY: dup3 takes no pointer; `to` is owned by the layer, which goes on owning what it now stands for.
    check(libc::c_long::from(unsafe { libc::dup3(from, to, libc::O_CLOEXEC) }))
}

fn put(path: &CStr, bytes: &[u8]) -> io::Result<()> {
    let file = openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    let n_written = rustix::io::write(file, bytes)?;
    if n_written == bytes.len() { Ok(()) } else { Err(rustix::io::Errno::IO.into()) }
}

fn scratch(layer: &Layer) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let options = Some(layer.tmpfs_options.as_c_str());
    mount(c"carnet", layer.mount_point.as_c_str(), c"tmpfs", flags, options)?;
    Ok(rustix::process::chdir(layer.mount_point.as_c_str())?)
}

fn directories(layer: &Layer) -> io::Result<()> {
    let make = |name: &CStr, mode: Mode| make_directory(layer, name, mode);
    make(c"upper", layer.root_mode)?;
    make(c"work", Mode::from_raw_mode(0o700))?;
    make(c"merged", Mode::from_raw_mode(0o755))?;
    make(c"tmp", Mode::from_raw_mode(0o1777))?;
    for cache in &layer.caches {
        make(&cache.upper, Mode::from_raw_mode(0o755))?;
        if let Some(over) = &cache.over {
            make(&over.work, Mode::from_raw_mode(0o700))?;
            make(&over.merged, Mode::from_raw_mode(0o755))?;
        }
    }
    Ok(utimensat(CWD, c"upper", &layer.root_times, AtFlags::empty())?)
}

/// Makes a directory of whoever runs.
fn make_directory(layer: &Layer, at: &CStr, mode: Mode) -> io::Result<()> {
    mkdirat(CWD, at, mode)?;
    if let Some((uid, gid)) = layer.account {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        chownat(CWD, at, uid, gid, AtFlags::empty())?;
    }
    // Whatever the umask.
    Ok(chmodat(CWD, at, mode, AtFlags::empty())?)
}

fn overlay(layer: &Layer) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let options = Some(layer.overlay_options.as_c_str());
    mount(c"carnet", c"merged", c"overlay", flags, options)?;
    for over in layer.caches.iter().filter_map(|cache| cache.over.as_ref()) {
        let options = Some(over.options.as_c_str());
        mount(c"carnet", over.merged.as_c_str(), c"overlay", flags, options)?;
    }
    Ok(())
}

fn root(layer: &Layer) -> io::Result<()> {
    for piece in &layer.root {
        match piece {
            Piece::Directory { at, mode } => make_directory(layer, at, *mode)?,
            Piece::Link { at, target } => {
                rustix::fs::symlinkat(target.as_c_str(), CWD, at.as_c_str())?
            }
            Piece::File { at, text, mode } => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let file = openat(CWD, at.as_c_str(), flags, *mode)?;
                rustix::fs::fchmod(&file, *mode)?;
                let mut rest = text.as_slice();
                while !rest.is_empty() {
                    rest = &rest[rustix::io::write(&file, rest)?..];
                }
            }
            Piece::Bind { at, from, is_read_only } => {
                let flags = MountFlags::BIND | MountFlags::REC;
                mount(from.as_c_str(), at.as_c_str(), c"", flags, None)?;
                if *is_read_only {
                    read_only(at)?;
                }
            }
            Piece::Memory { at, options } => {
                let flags = MountFlags::NOSUID | MountFlags::NODEV;
                mount(c"carnet", at.as_c_str(), c"tmpfs", flags, Some(options.as_c_str()))?;
            }
            Piece::Terminals { at } => {
                let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
                let options = Some(c"newinstance,ptmxmode=0666,mode=620");
                mount(c"carnet", at.as_c_str(), c"devpts", flags, options)?;
            }
        }
    }
    Ok(rustix::process::chdir(c"/")?)
}

/// Has everything that is mounted at `at` be read-only, without devices and set-id programs; what else the host said of it stays.
fn read_only(at: &CStr) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: `at` is a C string and `attributes` lives through the call, which reads as many bytes as it is told there are.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            at.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    })
}

fn account(layer: &Layer) -> io::Result<()> {
    let Some((uid, gid)) = layer.account else { return Ok(()) };
    // SAFETY: setgroups with no groups reads no memory; setgid and setuid take no pointer. This process has one thread.
    check(libc::c_long::from(unsafe { libc::setgroups(0, std::ptr::null()) }))?;
    // SAFETY: as above.
    check(libc::c_long::from(unsafe { libc::setgid(gid) }))?;
    // SAFETY: as above.
    check(libc::c_long::from(unsafe { libc::setuid(uid) }))
}
