//! One confined run from spec to receipt.
//!
//! Order: check the spec, probe, decide whom to be, start bwrap, let the inner stage verify from within,
//! verify from outside, attach the limits, and only then say go. Every failure before that word is a
//! [`SandboxError`]; everything after it is an [`Outcome`](carnet_core::Outcome).

use std::{
    collections::BTreeMap,
    ffi::CString,
    fs,
    io::{self, Read as _},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStringExt, fs::MetadataExt},
    },
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use carnet_core::{LimitKind, Usage};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::{
    control::Control,
    end::{Cause, End, outcome_of},
    handed,
    launch::{Launched, launch},
    limits::{self, Limits},
    procfs, receipt, rights,
    streams::Streams,
    sys::warden::Warden,
    wire::{self, Assignment, FIRST_SECRET, Facts, Go, Report, Start},
};
use crate::{
    Attendance, BASE_ENVIRONMENT, Confined, Door, Executable, Network, OverlayAfter, Probe,
    SandboxError, SandboxSpec, ServiceAccount, TOOLCHAINS, Workspace, floor,
    proxy::{Proxy, Traffic},
};

/// Time in which the sandbox must be built.
const SETUP_MAX: Duration = Duration::from_secs(30);
/// Time in which a killed tree must be gone before bwrap is killed as well.
const KILL_MAX: Duration = Duration::from_secs(10);
/// Time between two looks at the caller's flag, at most.
const GLANCE_MAX: Duration = Duration::from_millis(100);
/// Bytes of what bwrap says of the first process, at most.
const INFO_BYTES_MAX: u64 = 64 << 10;
/// Bytes of what bwrap complained about that go into an error.
const COMPLAINT_BYTES_MAX: usize = 2_000;
/// Namespaces that must not be ours.
const NAMESPACES: [&str; 6] = ["user", "pid", "mnt", "net", "ipc", "uts"];

/// What the supervisor saw of the first process before it said go.
#[derive(Debug, Clone)]
pub(super) struct Outside {
    /// Its user id for the kernel.
    pub uid: u32,
    /// Its supplementary groups.
    pub n_groups: usize,
    /// Whether its cgroup namespace is its own.
    pub has_cgroup_namespace: bool,
}

/// What was seen of a run while it was prepared and begun.
pub(super) struct Seen {
    /// From within.
    pub facts: Facts,
    /// From outside.
    pub outside: Outside,
    /// Whether the command was executed, and so had confined itself.
    pub has_started: bool,
    /// What went through the proxy, where there was one.
    pub traffic: Option<Traffic>,
    /// What was asked at the door, where there was one.
    pub at_door: Option<Traffic>,
}

/// Runs one command under confinement as [`run_attended`] does: nothing is required of the kernel, and output is told
/// when all is over.
///
/// # Errors
///
/// Those of [`run_attended`].
pub fn run(spec: &SandboxSpec, interrupt: &AtomicBool) -> Result<Confined, SandboxError> {
    run_attended(spec, Attendance { required: &[], interrupt, on_output: &mut |_, _| {} })
}

/// Runs one command under confinement and returns when nothing of it is left.
///
/// # Errors
///
/// [`SandboxError`] says why nothing was started; each has a hint where one helps. A command that fails, is
/// killed, meets a limit or is interrupted is no error but an [`Outcome`](carnet_core::Outcome).
pub fn run_attended(
    spec: &SandboxSpec,
    attendance: Attendance<'_>,
) -> Result<Confined, SandboxError> {
    spec.check()?;
    let probe = super::probe_but_cgroups();
    let required = attendance.required;
    let bwrap = probe.bwrap.clone()?;
    probe.user_namespaces.clone()?;
    let account = account_to_become(spec)?;
    let uid = account.map_or(probe.uid, |account| account.uid);
    examine_inner_exe(spec, account)?;

    let mut limits = limits::choose(&probe, spec);
    let holding = |limits: &dyn Limits| [limits.enforcement(), limits::supervised()].concat();
    floor::check(required, &probe, &holding(limits.as_ref()))?;
    // Dropped last, when nothing is left to watch over.
    let warden = Warden::start(&leftovers(spec, limits.as_ref()))
        .map_err(|source| SandboxError::Io { doing: "start the warden", source })?;
    let launched = launch(&bwrap, spec, account, warden.group())?;
    let mut supervisor = Supervisor::new(launched, spec.quota.output_bytes, attendance)?;
    supervisor.assign(spec, account, &probe, limits.as_ref())?;
    let facts = supervisor.await_ready()?;
    let (init, outside) = supervisor.verify_outside(uid, account.is_some())?;
    let overlay = supervisor.open_overlay(&facts)?;
    limits
        .attach(init)
        .map_err(|source| SandboxError::Io { doing: "take charge of the limits", source })?;
    // What was to hold a limit may have been found not to, only now.
    floor::check(required, &probe, &holding(limits.as_ref()))?;
    let door = supervisor.start_door(spec.door.as_ref())?;
    let proxy = supervisor.start_proxy(&spec.network)?;
    let begin = Instant::now();
    supervisor.go()?;

    let deadline = begin.checked_add(Duration::from_millis(spec.quota.wall_ms));
    let end = supervisor.supervise(deadline, limits.as_mut());
    let wall_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let traffic = proxy.map(Proxy::finish);
    let at_door = door.map(Proxy::finish);
    let has_started = end.has_started;
    let outcome = outcome_of(spec, end)?;
    let reaped = supervisor.launched.reap();
    let reaped = reaped.map_err(|source| SandboxError::Io { doing: "wait for bwrap", source })?;
    let tree = limits.usage();
    let usage = Usage {
        wall_ms,
        user_ms: reaped.user_ms.max(tree.user_ms),
        system_ms: reaped.system_ms.max(tree.system_ms),
        memory_peak_bytes: tree.memory_peak_bytes.max(reaped.largest_rss_bytes),
        output_bytes: supervisor.streams.n_bytes(),
        io_read_bytes: reaped.read_bytes.max(tree.io_read_bytes),
        io_write_bytes: reaped.written_bytes.max(tree.io_write_bytes),
        processes_peak: tree.processes_peak,
        throttled_ms: tree.throttled_ms,
    };
    let seen = Seen { facts, outside, has_started, traffic, at_door };
    let enforcement = receipt::receipt(spec, &probe, &bwrap, &seen, holding(limits.as_ref()));
    let (stdout, stderr) = supervisor.streams.finish();
    Ok(Confined { outcome, usage, enforcement, stdout, stderr, overlay })
}

/// Names what nobody else would remove if this process were killed, inner directories first.
fn leftovers(spec: &SandboxSpec, limits: &dyn Limits) -> Vec<CString> {
    let own = match &spec.workspace {
        Workspace::Directory(_) => None,
        Workspace::Overlay { mount_point, .. } => Some(mount_point.clone()),
    };
    let paths = limits.leftovers().into_iter().chain(own).chain(spec.leftovers.iter().cloned());
    paths.filter_map(|path| CString::new(path.into_os_string().into_vec()).ok()).collect()
}

/// Returns whom to become: the service account where the caller is root, else nobody else.
fn account_to_become(spec: &SandboxSpec) -> Result<Option<ServiceAccount>, SandboxError> {
    let (real, effective) = (rustix::process::getuid(), rustix::process::geteuid());
    if real != effective || rustix::process::getgid() != rustix::process::getegid() {
        return Err(SandboxError::SetIdCaller);
    }
    if !effective.is_root() {
        return Ok(None);
    }
    let account = spec.service_account.ok_or(SandboxError::RootWithoutServiceAccount)?;
    if account.uid == 0 || account.gid == 0 {
        return Err(SandboxError::ServiceAccountIsRoot { uid: account.uid, gid: account.gid });
    }
    Ok(Some(account))
}

/// The service account must be able to read and execute the inner executable by its descriptor.
fn examine_inner_exe(
    spec: &SandboxSpec,
    account: Option<ServiceAccount>,
) -> Result<(), SandboxError> {
    let Some(account) = account else { return Ok(()) };
    let metadata = spec.inner_exe.metadata();
    let metadata = metadata
        .map_err(|source| SandboxError::Io { doing: "look at the inner executable", source })?;
    let mode = metadata.mode() & 0o7777;
    let is_executable = match () {
        () if metadata.uid() == account.uid => mode & 0o500 == 0o500,
        () if metadata.gid() == account.gid => mode & 0o050 == 0o050,
        () => mode & 0o005 == 0o005,
    };
    if is_executable {
        Ok(())
    } else {
        Err(SandboxError::InnerExecutable { mode, uid: account.uid })
    }
}

struct Supervisor<'a> {
    launched: Launched,
    control: Control,
    streams: Streams,
    attendance: Attendance<'a>,
    has_ended: bool,
}

impl<'a> Supervisor<'a> {
    fn new(
        mut launched: Launched,
        bytes_max: u64,
        attendance: Attendance<'a>,
    ) -> Result<Supervisor<'a>, SandboxError> {
        let failed = |source| SandboxError::Io { doing: "set up the pipes", source };
        let (Some(control), Some((stdout, stderr))) =
            (launched.control.take(), launched.streams.take())
        else {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        };
        let streams = Streams::new(stdout, stderr, bytes_max).map_err(failed)?;
        let control = Control::new(control);
        Ok(Supervisor { launched, control, streams, attendance, has_ended: false })
    }

    /// Sends the assignment; a bwrap that has failed meanwhile is noticed by [`Supervisor::await_ready`].
    fn assign(
        &mut self,
        spec: &SandboxSpec,
        account: Option<ServiceAccount>,
        probe: &Probe,
        limits: &dyn Limits,
    ) -> Result<(), SandboxError> {
        let base =
            BASE_ENVIRONMENT.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut env: BTreeMap<String, String> = base.collect();
        env.extend(spec.env.clone());
        let numbered = spec.secrets.iter().zip(FIRST_SECRET..);
        env.extend(numbered.map(|(secret, number)| (secret.variable(), number.to_string())));
        let descriptors = descriptors_for(spec, account)
            .map_err(|source| SandboxError::Io { doing: "hand over secrets and input", source })?;
        let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        let tool = spec.tool.to_string_lossy().into_owned();
        let assignment = Assignment {
            tool,
            start: start_of(spec),
            argv: spec.argv.clone(),
            env,
            rlimits: limits.process_limits(),
            landlock_abi: probe.landlock_abi,
            has_seccomp: probe.seccomp,
            n_secrets: spec.secrets.len(),
            has_proxy: !spec.network.is_empty(),
            door_port: spec.door.as_ref().map(|door| door.port),
        };
        let stream = &self.control.stream;
        let sent = stream
            .set_write_timeout(Some(SETUP_MAX))
            .and_then(|()| rights::send(stream, b"d", &borrowed))
            .and_then(|()| wire::send(stream, &assignment));
        match sent {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => stream.set_nonblocking(true),
        }
        .map_err(|source| SandboxError::Io { doing: "send the assignment", source })
    }

    /// Waits until the inner stage has verified everything from within.
    fn await_ready(&mut self) -> Result<Facts, SandboxError> {
        let deadline = Instant::now() + SETUP_MAX;
        loop {
            let has_ended = self.has_ended;
            self.streams.read(&mut |_, _| {});
            match self.control.next() {
                Some(Report::Ready(facts)) => return Ok(facts),
                Some(Report::Refused { layer, found }) => {
                    return Err(SandboxError::Unverified { layer, found });
                }
                Some(other) => {
                    return Err(SandboxError::Setup {
                        said: format!("unexpected report {other:?}"),
                    });
                }
                None if has_ended => return Err(self.complaint()),
                None => {}
            }
            if self.attendance.interrupt.load(Ordering::Relaxed) {
                return Err(SandboxError::Interrupted);
            }
            if Instant::now() >= deadline {
                let said = format!("it was not ready within {} s", SETUP_MAX.as_secs());
                return Err(SandboxError::Setup { said });
            }
            self.wait(GLANCE_MAX);
        }
    }

    /// Finds the first process and checks with the host's eyes what it claims of itself.
    fn verify_outside(
        &mut self,
        uid: u32,
        is_service: bool,
    ) -> Result<(i32, Outside), SandboxError> {
        let unverified = |layer: &str, found: &str| SandboxError::Unverified {
            layer: layer.to_owned(),
            found: found.to_owned(),
        };
        let mut info = String::new();
        let io_error = |source| SandboxError::Io { doing: "find the first process", source };
        fs::File::from(self.launched.info.try_clone().map_err(io_error)?)
            .take(INFO_BYTES_MAX)
            .read_to_string(&mut info)
            .map_err(io_error)?;
        let init = child_pid(&info)
            .ok_or_else(|| unverified("pid-namespace", "bwrap names no first process"))?;
        let pid = Pid::from_raw(init)
            .ok_or_else(|| unverified("pid-namespace", "bwrap names no process"))?;
        self.launched.init =
            Some(pidfd_open(pid, PidfdFlags::empty()).map_err(|error| io_error(error.into()))?);
        let parent = procfs::stat(init).map(|stat| stat.parent);
        if parent != Some(self.launched.bwrap.as_raw_nonzero().get()) {
            return Err(unverified("pid-namespace", "the first process is no child of bwrap"));
        }

        for namespace in NAMESPACES {
            if !is_own_namespace(init, namespace) {
                let layer = if namespace == "net" { "network" } else { namespace };
                return Err(unverified(layer, "the namespace is the host's, or cannot be seen"));
            }
        }
        let status = procfs::status(&init.to_string());
        let status =
            status.ok_or_else(|| unverified("user-id", "the first process cannot be seen"))?;
        if uid == 0 || status.uids != [uid; 4] {
            return Err(unverified("user-id", &format!("ids are {:?}, not {uid}", status.uids)));
        }
        if is_service && !status.groups.is_empty() {
            return Err(unverified(
                "supplementary-groups",
                &format!("{:?} were kept", status.groups),
            ));
        }
        if !status.has_no_capabilities || !status.no_new_privs {
            return Err(unverified("capabilities", "they are not gone, seen from outside"));
        }
        let has_cgroup_namespace = is_own_namespace(init, "cgroup");
        Ok((init, Outside { uid, n_groups: status.groups.len(), has_cgroup_namespace }))
    }

    /// Takes hold of the layer over the workspace, so that it outlives the run.
    fn open_overlay(&self, facts: &Facts) -> Result<Option<OverlayAfter>, SandboxError> {
        let Some(overlay) = &self.launched.overlay else { return Ok(None) };
        if !facts.has_overlay {
            let found = "the workspace is no overlay".to_owned();
            return Err(SandboxError::Unverified { layer: "overlay".to_owned(), found });
        }
        let opened = overlay.open(self.launched.bwrap.as_raw_nonzero().get());
        opened
            .map(Some)
            .map_err(|source| SandboxError::Io { doing: "take hold of the overlay", source })
    }

    /// Takes the listener that came from within, where hosts are named.
    fn start_proxy(&mut self, network: &Network) -> Result<Option<Proxy>, SandboxError> {
        if network.is_empty() {
            return Ok(None);
        }
        let listener = self.take_listener("no listener came for the proxy")?;
        let started = Proxy::start(listener, network.clone());
        started.map(Some).map_err(|source| SandboxError::Io { doing: "start the proxy", source })
    }

    /// Takes the other listener, where there is a door; it came last.
    fn start_door(&mut self, door: Option<&Door>) -> Result<Option<Proxy>, SandboxError> {
        let Some(door) = door else { return Ok(None) };
        let listener = self.take_listener("no listener came for the door")?;
        let started = Proxy::start_door(listener, door);
        started.map(Some).map_err(|source| SandboxError::Io { doing: "open the door", source })
    }

    fn take_listener(&mut self, else_found: &str) -> Result<OwnedFd, SandboxError> {
        self.control.descriptors.pop().ok_or_else(|| SandboxError::Unverified {
            layer: "network".to_owned(),
            found: else_found.to_owned(),
        })
    }

    /// Lets the command start. Nothing of it runs before.
    fn go(&mut self) -> Result<(), SandboxError> {
        wire::send(&self.control.stream, &Go)
            .map_err(|source| SandboxError::Io { doing: "say go", source })
    }

    /// Watches the run until nothing of it is left.
    fn supervise(&mut self, deadline: Option<Instant>, limits: &mut dyn Limits) -> End {
        let mut end = End { cause: None, last: None, has_started: false };
        let mut next_check = Instant::now() + limits.interval();
        let mut killed_at: Option<Instant> = None;
        while !self.has_ended {
            let now = Instant::now();
            if end.cause.is_none() {
                end.cause = self.reason_to_kill(deadline, now, end.last.is_some());
            }
            if end.cause.is_none() && end.last.is_none() && now >= next_check {
                end.cause = limits.check().map(Cause::Limit);
                next_check = Instant::now() + limits.interval();
            }
            match killed_at {
                None if end.cause.is_some() => {
                    limits.usage();
                    self.launched.kill();
                    killed_at = Some(now);
                }
                // The inner stage ends what is left by itself; it gets as long as a kill.
                None if end.last.is_some() => killed_at = Some(now),
                Some(at) if now.duration_since(at) > KILL_MAX => self.launched.kill_bwrap(),
                _ => {}
            }
            let until_deadline =
                deadline.map_or(GLANCE_MAX, |deadline| deadline.saturating_duration_since(now));
            let is_over = end.cause.is_some() || end.last.is_some();
            let next =
                next_check.saturating_duration_since(now).min(until_deadline).min(GLANCE_MAX);
            self.wait(if is_over { GLANCE_MAX } else { next });
            self.streams.read(self.attendance.on_output);
            self.take_reports(&mut end);
        }
        self.take_reports(&mut end);
        self.launched.await_init(KILL_MAX);
        self.streams.drain(self.attendance.on_output);
        if end.cause.is_none() && self.streams.is_over() {
            end.cause = Some(Cause::Limit(LimitKind::Output));
        }
        if end.cause.is_none() {
            end.cause = limits.last_look().map(Cause::Limit);
        }
        end
    }

    fn reason_to_kill(
        &self,
        deadline: Option<Instant>,
        now: Instant,
        is_done: bool,
    ) -> Option<Cause> {
        if self.streams.is_over() {
            return Some(Cause::Limit(LimitKind::Output));
        }
        if is_done {
            return None;
        }
        if self.attendance.interrupt.load(Ordering::Relaxed) {
            return Some(Cause::Interrupt);
        }
        deadline.is_some_and(|deadline| now >= deadline).then_some(Cause::Deadline)
    }

    fn take_reports(&mut self, end: &mut End) {
        while let Some(report) = self.control.next() {
            match report {
                Report::Started => end.has_started = true,
                Report::Ready(_) => {}
                last => end.last = Some(last),
            }
        }
    }

    /// Waits until something can be read, bwrap has ended, or `at_most` has passed.
    fn wait(&mut self, at_most: Duration) {
        let mut watched: Vec<BorrowedFd<'_>> = vec![self.launched.bwrap_fd.as_fd()];
        if self.control.is_open {
            watched.push(self.control.stream.as_fd());
        }
        watched.extend(self.streams.open_pipes().map(AsFd::as_fd));
        let ready = wait_readable(&watched, at_most);
        self.has_ended |= ready;
    }

    fn complaint(&mut self) -> SandboxError {
        let said = self.streams.complaint(COMPLAINT_BYTES_MAX);
        SandboxError::Setup {
            said: if said.is_empty() { "bwrap ended without a word".to_owned() } else { said },
        }
    }
}

/// Waits for the first of `watched` or any other; tells whether the first is readable.
pub(super) fn wait_readable(watched: &[BorrowedFd<'_>], at_most: Duration) -> bool {
    let mut polled: Vec<PollFd<'_>> = watched
        .iter()
        .map(|descriptor| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN))
        .collect();
    // A millisecond more, so that a bound that is met has surely passed at the next look.
    let timeout = Timespec::try_from(at_most + Duration::from_millis(1)).ok();
    // Interrupted or not: the caller looks at everything again.
    let _ = poll(&mut polled, timeout.as_ref());
    polled.first().is_some_and(|first| !first.revents().is_empty())
}

fn start_of(spec: &SandboxSpec) -> Start {
    // Programs of a toolchain find what lies beside them by where they are: what was hashed lies in their file's place
    // (`layers::toolchains`), or root alone could have changed it since.
    let executable = spec.executable.as_ref().filter(|_| !spec.tool.starts_with(TOOLCHAINS));
    executable.map_or(Start::Path, Executable::start)
}

/// Returns what the command is handed: its secrets in order, then itself, then its standard input.
fn descriptors_for(
    spec: &SandboxSpec,
    account: Option<ServiceAccount>,
) -> io::Result<Vec<OwnedFd>> {
    let secrets = spec.secrets.iter().map(|secret| handed::secret(secret, account));
    let mut descriptors: Vec<OwnedFd> = secrets.collect::<io::Result<_>>()?;
    if let Some(executable) = &spec.executable
        && start_of(spec) != Start::Path
    {
        descriptors.push(executable.descriptor().try_clone_to_owned()?);
    }
    if let Some(stdin) = &spec.stdin {
        descriptors.push(handed::piped(stdin.try_clone()?, account)?);
    }
    Ok(descriptors)
}

fn is_own_namespace(init: i32, namespace: &str) -> bool {
    let ours = fs::read_link(format!("/proc/self/ns/{namespace}"));
    let theirs = fs::read_link(format!("/proc/{init}/ns/{namespace}"));
    matches!((ours, theirs), (Ok(ours), Ok(theirs)) if ours != theirs)
}

fn child_pid(info: &str) -> Option<i32> {
    let info: serde_json::Value = serde_json::from_str(info).ok()?;
    i32::try_from(info.get("child-pid")?.as_i64()?).ok().filter(|pid| *pid > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_process_is_read_from_what_bwrap_writes() {
        assert_eq!(
            child_pid("{\n    \"child-pid\": 4242,\n    \"net-namespace\": 1\n}\n"),
            Some(4242)
        );
        for bad in ["", "{}", "{\"child-pid\": \"4\"}", "{\"child-pid\": -1}", "{\"child-pid\": 1}"]
        {
            assert_eq!(child_pid(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_hosts_own_namespaces_are_recognised() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(NAMESPACES.iter().all(|namespace| !is_own_namespace(own, namespace)));
        assert!(!is_own_namespace(i32::MAX, "user"));
    }
}
