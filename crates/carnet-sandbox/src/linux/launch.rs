//! Starts bwrap with its descriptors, as the service account where the caller is root.
//!
//! A [`Launched`] that is dropped is killed and reaped: no early return leaves a process behind.

use std::{
    fs,
    io::{self, Seek as _, Write as _},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{fs::MetadataExt, net::UnixStream, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rustix::{
    fs::{Gid, MemfdFlags, Uid, fchown, memfd_create},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use super::{
    layers::{self, Numbers, Writable},
    overlay::Overlay,
    run::wait_readable,
    sys::{self, Reaped},
};
use crate::{Bwrap, SandboxError, SandboxSpec, ServiceAccount, Workspace};

/// Lowest number of a descriptor that is passed on, above the standard three.
const NUMBER_MIN: i32 = 10;

/// bwrap and what it will start.
pub(super) struct Launched {
    /// Our end of the inner stage's standard input, until taken.
    pub control: Option<UnixStream>,
    /// Read ends of standard output and error, until taken.
    pub streams: Option<(OwnedFd, OwnedFd)>,
    /// Where bwrap writes the first process's pid.
    pub info: OwnedFd,
    /// bwrap itself.
    pub bwrap: Pid,
    /// The process group that it was started in.
    group: Pid,
    /// Readable when bwrap has ended.
    pub bwrap_fd: OwnedFd,
    /// What lies over the workspace, where that was asked for.
    pub overlay: Option<Overlay>,
    /// The first process of the sandbox, once known.
    pub init: Option<OwnedFd>,
    reaped: Option<Reaped>,
}

/// Starts bwrap for `spec`, which was checked, in the process group of the run's warden.
pub(super) fn launch(
    bwrap: &Bwrap,
    spec: &SandboxSpec,
    become_account: Option<ServiceAccount>,
    group: i32,
) -> Result<Launched, SandboxError> {
    let io = |doing: &'static str| move |source: io::Error| SandboxError::Io { doing, source };
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|error| io("make a pipe")(error.into()));
    let (control, inner_control) = UnixStream::pair().map_err(io("make the control socket"))?;
    let (stdout, inner_stdout) = pipe()?;
    let (stderr, inner_stderr) = pipe()?;
    let (info, inner_info) = pipe()?;
    if let Some(account) = become_account {
        // Else `/dev/stdout` could not be opened by the command.
        for end in [&inner_stdout, &inner_stderr] {
            fchown(end, Some(Uid::from_raw(account.uid)), Some(Gid::from_raw(account.gid)))
                .map_err(|error| io("give the output pipes away")(error.into()))?;
        }
    }

    let mut passed = vec![pass_on(&spec.inner_exe)?, pass_on(&inner_info)?];
    drop(inner_info);
    let number = |idx: usize| passed[idx].as_raw_fd();
    let mut numbers = Numbers { inner_exe: number(0), info: number(1), files: vec![] };
    let mut command = Command::new(&bwrap.path);
    let mut overlay = None;
    match &spec.workspace {
        Workspace::Directory(directory) => {
            let places = in_directory(directory, spec, become_account)?;
            for place in &places {
                let (at, bytes) = match place {
                    layers::Place::File { at, text } => (*at, text.as_bytes()),
                    layers::Place::Instead { at, bytes } => (at.as_str(), bytes.as_slice()),
                    _ => continue,
                };
                let read_end = held_bytes(bytes).map_err(io("write the files of the root"))?;
                let read_end = pass_on(read_end)?;
                numbers.files.push((at.to_owned(), read_end.as_raw_fd()));
                passed.push(read_end);
            }
            command.args(layers::plan(&places, &numbers));
        }
        Workspace::Overlay { lower, mount_point } => {
            let at = (lower.as_path(), mount_point.as_path());
            let planned = Overlay::prepare(&mut command, at, spec, become_account)?;
            command.args(layers::plan_over(&planned.root(), &numbers));
            overlay = Some(planned);
        }
    }
    command.env_clear().current_dir("/").process_group(group);
    command.stdin(OwnedFd::from(inner_control)).stdout(inner_stdout).stderr(inner_stderr);
    if let (Some(account), None) = (become_account, &overlay) {
        // With a user id given, `std` clears the supplementary groups as well.
        command.gid(account.gid).uid(account.uid);
    }
    sys::inherit(&mut command, passed);
    let spawned = command.spawn();
    // Our copies of the other ends must go, or no end of file would ever be seen.
    drop(command);
    let child = match (spawned, overlay.take()) {
        (Err(error), Some(overlay)) => return Err(overlay.explain(error)),
        (Err(error), None) => return Err(io("start bwrap")(error)),
        (Ok(child), laid) => {
            overlay = laid;
            child
        }
    };
    let bwrap = Pid::from_child(&child);
    let bwrap_fd = pidfd_open(bwrap, PidfdFlags::empty());
    let bwrap_fd = bwrap_fd.map_err(|error| abandon(bwrap, error.into()))?;
    let (control, streams) = (Some(control), Some((stdout, stderr)));
    let group = Pid::from_raw(group).unwrap_or(bwrap);
    let (init, reaped) = (None, None);
    Ok(Launched { control, streams, info, bwrap, group, bwrap_fd, overlay, init, reaped })
}

impl Launched {
    /// Kills the first process of the sandbox, and with it all others; bwrap itself while that is not known.
    pub fn kill(&self) {
        // It may have ended already, which is as good.
        let target = self.init.as_ref().unwrap_or(&self.bwrap_fd);
        let _ = pidfd_send_signal(target, Signal::KILL);
    }

    /// Kills bwrap as well; the kernel then kills its child.
    pub fn kill_bwrap(&self) {
        // While it still sets up, its child has not asked to die with it, and would wait for it forever; but it is in the
        // same group. The warden that leads the group goes with it, and has nothing to do any more.
        let _ = rustix::process::kill_process_group(self.group, Signal::KILL);
    }

    /// Waits until the first process is gone, which is when the kernel has reaped all others; `at_most` so long.
    pub fn await_init(&self, at_most: Duration) {
        if let Some(init) = &self.init {
            wait_readable(&[init.as_fd()], at_most);
        }
    }

    /// Waits for bwrap, and so for everything in the sandbox, and returns what all of it used.
    pub fn reap(&mut self) -> io::Result<Reaped> {
        if let Some(reaped) = self.reaped {
            return Ok(reaped);
        }
        let reaped = sys::wait4(self.bwrap, true)?.ok_or(io::ErrorKind::WouldBlock)?;
        self.reaped = Some(reaped);
        Ok(reaped)
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        if self.reaped.is_none() {
            self.kill();
            self.kill_bwrap();
            let _ = self.reap();
        }
    }
}

/// Plans a root with a directory of the host as its workspace. Without a layer there is nothing to lay over a cache: it
/// begins with nothing, and goes with the run.
fn in_directory(
    directory: &Path,
    spec: &SandboxSpec,
    account: Option<ServiceAccount>,
) -> Result<Vec<layers::Place>, SandboxError> {
    let workspace = examine_directory(directory, account)?;
    let caches = spec.caches.iter().map(|cache| (cache.name.clone(), None)).collect();
    let writable = Writable { workspace, tmp: None, caches };
    let mut places = layers::places(&writable, &spec.quota, !spec.network.is_empty());
    let toolchains = layers::toolchains(spec);
    let toolchains = toolchains
        .map_err(|source| SandboxError::Io { doing: "look at the toolchains", source })?;
    // bwrap binds them as the account, which may not get to a home.
    let is_reached = |place: &layers::Place| match place {
        layers::Place::Host { from, .. } => account.is_none() || is_open_to_all(from),
        _ => true,
    };
    places.extend(toolchains.into_iter().filter(is_reached));
    Ok(places)
}

fn is_open_to_all(dir: &Path) -> bool {
    let is_open = |dir: &Path| fs::metadata(dir).is_ok_and(|it| it.mode() & 0o005 == 0o005);
    dir.ancestors().all(is_open)
}

/// Returns the directory without links, once it is one of the user who will write it.
fn examine_directory(
    directory: &Path,
    account: Option<ServiceAccount>,
) -> Result<PathBuf, SandboxError> {
    let failed = |source| SandboxError::Workspace { path: directory.to_owned(), source };
    let path = fs::canonicalize(directory).map_err(failed)?;
    let metadata = fs::metadata(&path).map_err(failed)?;
    if !metadata.is_dir() {
        return Err(failed(io::ErrorKind::NotADirectory.into()));
    }
    match account {
        Some(account) if metadata.uid() != account.uid => {
            Err(SandboxError::WorkspaceOwner { path, owner: metadata.uid(), uid: account.uid })
        }
        _ => Ok(path),
    }
}

fn pass_on(descriptor: impl AsFd) -> Result<OwnedFd, SandboxError> {
    rustix::io::fcntl_dupfd_cloexec(descriptor, NUMBER_MIN)
        .map_err(|error| SandboxError::Io { doing: "duplicate a descriptor", source: error.into() })
}

/// Returns memory from which `bytes` can be read.
fn held_bytes(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut memory = fs::File::from(memfd_create("file", MemfdFlags::CLOEXEC)?);
    memory.write_all(bytes)?;
    memory.rewind()?;
    Ok(memory.into())
}

fn abandon(bwrap: Pid, source: io::Error) -> SandboxError {
    let _ = rustix::process::kill_process(bwrap, Signal::KILL);
    let _ = sys::wait4(bwrap, true);
    SandboxError::Io { doing: "watch bwrap", source }
}
