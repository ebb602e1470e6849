//! What supervisor and inner stage say to each other: one JSON value a line over a socket.
//!
//! The socket is the inner stage's standard input, is never given to the command, and the command cannot
//! reach it through /proc, because the inner stage is not dumpable.

use std::{collections::BTreeMap, io};

use serde::{Deserialize, Serialize};

/// Bytes of one line at most: twice the longest spec, for escapes.
pub(super) const LINE_BYTES_MAX: usize = 16 << 20;

/// Supervisor to inner stage, once, at the beginning.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Assignment {
    /// Path of the tool inside.
    pub tool: String,
    /// Whether it is executed from that path.
    pub start: Start,
    /// Its argument vector.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
    /// Limits of each process.
    pub rlimits: Vec<(ProcessLimit, u64)>,
    /// The Landlock ABI that the supervisor saw and that is to be applied.
    pub landlock_abi: Option<u32>,
    /// Whether the seccomp filter is to be applied.
    pub has_seccomp: bool,
    /// Secrets among the descriptors that came first; the tool is the one after them, where it is not executed from its
    /// path, and then standard input, where there is one.
    pub n_secrets: usize,
    /// Whether the first process makes a listener for the proxy; its descriptor comes with [`Report::Ready`].
    pub has_proxy: bool,
    /// The port at which it makes a listener for the door, which comes after that of the proxy.
    pub door_port: Option<u16>,
}

/// How the tool is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Start {
    /// From its path.
    Path,
    /// From its descriptor, which that closes.
    Descriptor,
    /// From its descriptor, which stays open: its interpreter reads it from there.
    OpenDescriptor,
}

/// The number of the first secret's descriptor; the others follow.
pub(super) const FIRST_SECRET: i32 = 3;

/// Variables that name the proxy, and what is not to be asked of it.
pub(super) const PROXY_VARIABLES: [&str; 6] =
    ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"];

/// Supervisor to inner stage, once, when everything was verified from outside.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Go;

/// Inner stage to supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// Everything holds; the inner stage waits for [`Go`].
    Ready(Facts),
    /// A layer does not hold; nothing will be started.
    Refused {
        /// Its name in the receipt.
        layer: String,
        /// What was found.
        found: String,
    },
    /// The tool could not be executed.
    NotStarted {
        /// The system's reason.
        message: String,
    },
    /// The tool runs.
    Started,
    /// The tool has exited with this code.
    Exited {
        /// 0 to 255.
        exit_code: i32,
    },
    /// This signal has ended the tool.
    Signalled {
        /// Its number.
        signal: i32,
    },
}

/// What the inner stage has seen holding.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Facts {
    /// How the kernel refused a nested user namespace.
    pub nested_namespace_refusal: String,
    /// Whether the kernel has keyrings, of which a new, empty one was joined.
    pub has_keyring: bool,
    /// Network interfaces.
    pub interfaces: Vec<String>,
    /// Whether the workspace is an overlay.
    pub has_overlay: bool,
    /// Where the proxy listens on the run's own loopback.
    pub proxy_port: Option<u16>,
}

/// A limit of one process, by its name in setrlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ProcessLimit {
    /// Bytes of private writable memory.
    Data,
    /// Processes of this user in this user namespace.
    Nproc,
    /// Seconds of processor time.
    Cpu,
    /// Bytes of a core file.
    Core,
    /// Bytes of any file written.
    Fsize,
    /// Descriptors.
    Nofile,
}

/// Writes one message as a line.
pub(super) fn send(mut to: impl io::Write, message: &impl Serialize) -> io::Result<()> {
    to.write_all(&line(message)?)
}

/// Returns one message as it is sent.
pub(super) fn line(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// Reads one line, at most [`LINE_BYTES_MAX`] long, and the message in it.
pub(super) fn receive<T: for<'de> Deserialize<'de>>(from: &mut impl io::BufRead) -> io::Result<T> {
    let mut line = Vec::new();
    let mut bounded = io::Read::take(&mut *from, LINE_BYTES_MAX as u64);
    io::BufRead::read_until(&mut bounded, b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_one_a_line() {
        let mut pipe = Vec::new();
        send(&mut pipe, &Report::Exited { exit_code: 137 }).unwrap();
        send(&mut pipe, &Report::Signalled { signal: 9 }).unwrap();
        let mut reader = pipe.as_slice();
        assert!(matches!(receive(&mut reader).unwrap(), Report::Exited { exit_code: 137 }));
        assert!(matches!(receive(&mut reader).unwrap(), Report::Signalled { signal: 9 }));
        assert!(receive::<Report>(&mut reader).is_err());
    }

    #[test]
    fn a_cut_or_foreign_line_is_an_error() {
        assert!(receive::<Report>(&mut &b"\"Started\""[..]).is_err());
        assert!(receive::<Report>(&mut &b"{}\n"[..]).is_err());
    }
}
