//! The inner stage: first process of the sandbox, the last of carnet before the command.
//!
//! It closes what it inherited, lowers limits, verifies each layer from within, prepares Landlock and seccomp,
//! reports, waits for the supervisor's word, starts the command, which puts both on itself before it is
//! executed, and reaps everything until the command has ended. Whatever fails
//! before, it reports as a refusal and starts nothing. When it exits the kernel ends all that is left.

use std::{
    io::{self, BufReader, Read as _},
    net::{Ipv4Addr, TcpListener},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Command, ExitCode, Stdio},
};

use rustix::process::{DumpableBehavior, Pid, Resource, Rlimit, Signal, WaitOptions};

use crate::INNER_ID;

use super::{
    landlock, procfs, rights, seccomp,
    sys::{
        self,
        confine::{Confinement, Step, confine},
    },
    wire::{
        self, Assignment, FIRST_SECRET, Facts, Go, PROXY_VARIABLES, ProcessLimit, Report, Start,
    },
};

/// What statfs(2) says of an overlay (linux/magic.h).
const OVERLAY_MAGIC: rustix::fs::FsWord = 0x794c_7630;

/// A layer that does not hold: its name in the receipt, and what was found.
type Refusal = (&'static str, String);

/// Runs the inner stage. A binary's `main` calls this first of all, before it opens a file or starts a
/// thread, when its first argument is [`INNER_ARGUMENT`](crate::INNER_ARGUMENT).
///
/// Does nothing but complain anywhere else than as the first process of a sandbox.
pub fn inner_main() -> ExitCode {
    let bug = ExitCode::from(carnet_core::ExitCode::Bug as u8);
    if std::process::id() != 1 {
        return bug;
    }
    match stage() {
        Ok(()) => ExitCode::SUCCESS,
        // The supervisor is gone or does not speak our language; there is no one to tell.
        Err(_) => bug,
    }
}

fn stage() -> io::Result<()> {
    let closed = sys::close_inherited();
    // They come before anything else is opened, so the first has the lowest number that is free.
    let mut descriptors = Vec::new();
    rights::receive(io::stdin().as_fd(), &mut [0], &mut descriptors)?;
    let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut from_supervisor = BufReader::new(control.try_clone()?);
    let mut assignment: Assignment = wire::receive(&mut from_supervisor)?;

    let verified = closed
        .map_err(|error| ("descriptors", format!("close_range: {error}")))
        .and_then(|()| lower_limits(&assignment.rlimits))
        .and_then(|()| verify())
        .and_then(|facts| Ok((facts, prepare(&assignment)?)))
        .and_then(|(facts, confinement)| {
            let handed = Handed::sort(descriptors, &assignment)?;
            Ok((
                facts,
                confinement,
                handed,
                proxy_listener(&assignment)?,
                door_listener(&assignment)?,
            ))
        });
    let (mut facts, confinement, handed, proxy, door) = match verified {
        Ok(verified) => verified,
        Err((layer, found)) => {
            return wire::send(&control, &Report::Refused { layer: layer.to_owned(), found });
        }
    };
    facts.proxy_port = proxy.as_ref().map(|(_, port)| *port);
    let listeners = proxy.iter().map(|(listener, _)| listener).chain(&door);
    let listeners: Vec<_> = listeners.map(TcpListener::as_fd).collect();
    rights::send(&control, &wire::line(&Report::Ready(facts))?, &listeners)?;
    // The supervisor has the listeners now; ours are closed here.
    drop(door);
    let proxy_port = proxy.map(|(_listener, port)| port);
    assignment.env.extend(proxy_port.into_iter().flat_map(proxy_variables));
    let Go = wire::receive(&mut from_supervisor)?;

    let command = match start(&assignment, confinement, handed)? {
        Ok(command) => command,
        Err(report) => return wire::send(&control, &report),
    };
    wire::send(&control, &Report::Started)?;
    wire::send(&control, &reap_until(command)?)?;
    end_orphans();
    Ok(())
}

/// Listens on the run's own loopback, where that is asked for; the supervisor will take the connections.
fn proxy_listener(assignment: &Assignment) -> Result<Option<(TcpListener, u16)>, Refusal> {
    let bind = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        io::Result::Ok((listener, port))
    };
    assignment.has_proxy.then(bind).transpose().map_err(not_listening)
}

/// The same for the door, at its own port.
fn door_listener(assignment: &Assignment) -> Result<Option<TcpListener>, Refusal> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    assignment.door_port.map(bind).transpose().map_err(not_listening)
}

fn not_listening(error: io::Error) -> Refusal {
    ("network", format!("listen: {error}"))
}

/// The variables by which programs find a proxy. What the run itself listens on is not sent there.
fn proxy_variables(port: u16) -> Vec<(String, String)> {
    let proxy = format!("http://127.0.0.1:{port}");
    PROXY_VARIABLES
        .map(|name| {
            let is_exception = name.eq_ignore_ascii_case("no_proxy");
            let value = if is_exception { "localhost,127.0.0.1,::1" } else { &proxy };
            (name.to_owned(), value.to_owned())
        })
        .to_vec()
}

fn lower_limits(rlimits: &[(ProcessLimit, u64)]) -> Result<(), Refusal> {
    for (limit, value) in rlimits {
        let resource = resource(*limit);
        let granted = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let value = Some((*value).min(granted));
        rustix::process::setrlimit(resource, Rlimit { current: value, maximum: value })
            .map_err(|error| ("rlimits", format!("setrlimit {limit:?}: {error}")))?;
    }
    Ok(())
}

fn resource(limit: ProcessLimit) -> Resource {
    match limit {
        ProcessLimit::Data => Resource::Data,
        ProcessLimit::Nproc => Resource::Nproc,
        ProcessLimit::Cpu => Resource::Cpu,
        ProcessLimit::Core => Resource::Core,
        ProcessLimit::Fsize => Resource::Fsize,
        ProcessLimit::Nofile => Resource::Nofile,
    }
}

fn verify() -> Result<Facts, Refusal> {
    let unreadable = |layer: &'static str| (layer, "/proc cannot be read".to_owned());
    let status = procfs::status("self").ok_or_else(|| unreadable("capabilities"))?;
    let other_id = |ids: &[u32]| ids.iter().find(|id| **id != INNER_ID).copied();
    if let Some(id) = other_id(&status.uids).or_else(|| other_id(&status.gids)) {
        return Err(("user-namespace", format!("an id is `{id}`, not `{INNER_ID}`")));
    }
    if !status.has_no_capabilities {
        return Err(("capabilities", "a capability set is not empty".to_owned()));
    }
    if !status.no_new_privs {
        return Err(("no-new-privileges", "the flag is not set".to_owned()));
    }
    let interfaces = procfs::interfaces().ok_or_else(|| unreadable("network"))?;
    if interfaces != ["lo"] {
        return Err(("network", format!("interfaces are `{}`", interfaces.join(" "))));
    }
    verify_session_and_root()?;
    let has_keyring =
        sys::join_empty_keyring().map_err(|error| ("keyring", format!("keyctl: {error}")))?;
    let nested_namespace_refusal = nested_namespace_refusal()?;
    // From here on the command cannot trace this process, nor open its descriptors or executable.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| ("first-process", format!("prctl: {error}")))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(crate::UMASK));
    let has_overlay =
        rustix::fs::statfs(crate::WORKSPACE).is_ok_and(|stat| stat.f_type == OVERLAY_MAGIC);
    Ok(Facts { nested_namespace_refusal, has_keyring, interfaces, has_overlay, proxy_port: None })
}

fn verify_session_and_root() -> Result<(), Refusal> {
    if rustix::process::getsid(None).ok() != Some(rustix::process::getpid()) {
        return Err(("session", "the first process does not lead a session of its own".to_owned()));
    }
    for path in ["/", "/usr", "/dev"] {
        let is_read_only = rustix::fs::statvfs(path)
            .is_ok_and(|stat| stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
        if !is_read_only {
            return Err(("filesystem", format!("`{path}` is not read-only")));
        }
    }
    Ok(())
}

fn nested_namespace_refusal() -> Result<String, Refusal> {
    use rustix::io::Errno;
    let layer = "nested-user-namespaces";
    match sys::unshare_user_namespace() {
        Ok(()) => Err((layer, "one could be made".to_owned())),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOSPC | Errno::PERM | Errno::USERS) => Ok(error.to_string()),
            _ => Err((layer, format!("unshare failed for another reason: {error}"))),
        },
    }
}

/// Makes all that the command will put on itself, while what fails can still be refused before it exists.
fn prepare(assignment: &Assignment) -> Result<Confinement, Refusal> {
    let ruleset = assignment.landlock_abi.map_or(Ok(None), landlock::ruleset);
    let ruleset = ruleset.map_err(|error| ("landlock", format!("make the ruleset: {error}")))?;
    let filter = match assignment.has_seccomp.then(seccomp::filter) {
        None => Vec::new(),
        Some(filter) => filter.ok_or(("seccomp", "no filter for this processor".to_owned()))?,
    };
    Ok(Confinement { ruleset, filter })
}

/// Starts the command; where it could not confine itself or was not executed, returns what to report.
fn start(
    assignment: &Assignment,
    confinement: Confinement,
    handed: Handed,
) -> io::Result<Result<Pid, Report>> {
    let (name, arguments) = assignment.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let (mut failed, failed_writer) = io::pipe()?;
    let mut inherited = handed.secrets;
    let opened = handed.tool.as_ref();
    let opened = opened.map(|tool| format!("/proc/self/fd/{}", tool.as_raw_fd()));
    let mut command = Command::new(opened.unwrap_or_else(|| assignment.tool.clone()));
    command.arg0(name).args(arguments).env_clear().envs(&assignment.env);
    command.stdin(handed.stdin.map_or_else(Stdio::null, Stdio::from));
    if assignment.start == Start::OpenDescriptor {
        inherited.extend(handed.tool);
    }
    sys::inherit(&mut command, inherited);
    confine(&mut command, confinement, failed_writer.into());
    let spawned = command.spawn();
    // Our copy of the pipe's other end goes with it.
    drop(command);
    let error = match spawned {
        // The handle is let go: `reap_until` waits for this child and for all orphans alike.
        Ok(child) => return Ok(Ok(Pid::from_child(&child))),
        Err(error) => error,
    };
    let mut step = Vec::new();
    failed.read_to_end(&mut step)?;
    Ok(Err(match step.first().copied().and_then(Step::from_byte) {
        None => Report::NotStarted { message: error.to_string() },
        Some(step) => refused_at(step, &error),
    }))
}

/// Descriptors for the command.
struct Handed {
    /// At the numbers from [`FIRST_SECRET`] on.
    secrets: Vec<OwnedFd>,
    /// What is executed, where that is not found by its path.
    tool: Option<OwnedFd>,
    stdin: Option<OwnedFd>,
}

impl Handed {
    fn sort(mut descriptors: Vec<OwnedFd>, assignment: &Assignment) -> Result<Handed, Refusal> {
        let refused = |found: &str| ("descriptors", found.to_owned());
        let n_secrets = assignment.n_secrets;
        let n_announced = n_secrets + usize::from(assignment.start != Start::Path);
        if descriptors.len() < n_announced || descriptors.len() > n_announced + 1 {
            return Err(refused("not as many came as were announced"));
        }
        let stdin = if descriptors.len() > n_announced { descriptors.pop() } else { None };
        let tool = if n_announced > n_secrets { descriptors.pop() } else { None };
        let expected = FIRST_SECRET..;
        if descriptors.iter().zip(expected).any(|(secret, number)| secret.as_raw_fd() != number) {
            return Err(refused("they do not have the numbers that the command was told"));
        }
        Ok(Handed { secrets: descriptors, tool, stdin })
    }
}

fn refused_at(step: Step, error: &io::Error) -> Report {
    let layer = match step {
        Step::Landlock | Step::LandlockHolds => "landlock",
        Step::Seccomp | Step::SeccompHolds => "seccomp",
    };
    let found = match step {
        Step::Landlock | Step::Seccomp => format!("the kernel did not take it: {error}"),
        Step::LandlockHolds | Step::SeccompHolds => {
            "it was applied, and what it must refuse was not refused".to_owned()
        }
    };
    Report::Refused { layer: layer.to_owned(), found }
}

/// Ends and reaps what the command left behind. The kernel would do it too, but without accounting it.
fn end_orphans() {
    // For kill(2) the group of process 1, negated, is every process but the caller's own.
    let _ = rustix::process::kill_process_group(Pid::INIT, Signal::KILL);
    while rustix::process::wait(WaitOptions::empty()).is_ok_and(|reaped| reaped.is_some()) {}
}

fn reap_until(command: Pid) -> io::Result<Report> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == command => {
                if let Some(exit_code) = status.exit_status() {
                    return Ok(Report::Exited { exit_code });
                }
                if let Some(signal) = status.terminating_signal() {
                    return Ok(Report::Signalled { signal });
                }
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
