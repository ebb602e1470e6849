//! The client: plain blocking code, since every millisecond of a hook or a query counts.

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use carnet_core::GitOid;
use carnet_git::Repo;

use crate::{
    SocketError, Worktree,
    lock::read_holder,
    paths::Paths,
    protocol::{Answer, DaemonStatus, LINE_BYTES_MAX, LineError, Request, from_line, to_line},
    socket,
};

/// How long an answer that needs no work may take, and how much longer than asked a wait may.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// A connection to the daemon of one repository.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<UnixStream>,
    worktree: Worktree,
}

/// Why the daemon could not be asked. [`ClientError::is_away`] tells what a new daemon heals.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket cannot be trusted or used.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The connection broke, or the daemon took too long.
    #[error("talk to the daemon")]
    Io(#[source] std::io::Error),
    /// The daemon ended without an answer.
    #[error("the daemon ended before it answered")]
    Ended,
    /// The daemon said something that this version does not understand.
    #[error("the daemon's answer is not understood")]
    Line(#[source] LineError),
    /// The daemon declined: another version, or too many connections.
    #[error("the daemon declined: {0}")]
    Refused(String),
    /// The answer belongs to another question.
    #[error("the daemon answered something else than was asked")]
    Confused,
}

impl ClientError {
    /// Tells whether the daemon has ended.
    pub fn is_away(&self) -> bool {
        match self {
            ClientError::Ended => true,
            ClientError::Io(err) => {
                matches!(err.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
            }
            _ => false,
        }
    }
}

/// How a wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waited {
    /// The current snapshot is of this commit: the one asked for, or the HEAD that overtook it.
    Fresh {
        /// The commit.
        commit: GitOid,
    },
    /// The time is over.
    Late {
        /// The commit the index is at, if there is one.
        commit: Option<GitOid>,
    },
    /// The index cannot be brought there.
    Failed {
        /// Why, as a lowercase fragment.
        error: String,
    },
}

impl Client {
    /// Connects to the daemon of the repository; `None` when none answers.
    ///
    /// What is asked later is asked for the worktree that `repo` was opened in.
    ///
    /// # Errors
    ///
    /// [`ClientError::Socket`] when the socket's place is not private or another user answers.
    pub fn connect(repo: &Repo) -> Result<Option<Client>, ClientError> {
        let (paths, worktree) = (Paths::of(repo), Worktree::of(repo));
        let expected = socket::socket_path(&paths.common_dir);
        let mut stream = socket::connect(&expected)?;
        if stream.is_none() {
            // A daemon that began with another XDG_RUNTIME_DIR says in its lock where it is.
            let said = read_holder(&paths.lock()).and_then(|holder| holder.socket);
            if let Some(said) = said.filter(|said| Path::new(said) != expected) {
                stream = socket::connect(Path::new(&said)).unwrap_or(None);
            }
        }
        let Some(stream) = stream else { return Ok(None) };
        stream.set_write_timeout(Some(ANSWER_TIME)).map_err(ClientError::Io)?;
        Ok(Some(Client { reader: BufReader::new(stream), worktree }))
    }

    /// Asks whether the daemon is there; returns its process and its version of carnet.
    ///
    /// # Errors
    ///
    /// [`ClientError`], as for every question.
    pub fn ping(&mut self) -> Result<(u32, String), ClientError> {
        match self.ask(&Request::Ping, ANSWER_TIME)? {
            Answer::Pong { pid, version } => Ok((pid, version)),
            _ => Err(ClientError::Confused),
        }
    }

    /// Says that HEAD of this worktree may have moved, and does not wait for an answer.
    ///
    /// # Errors
    ///
    /// [`ClientError`] when it could not be said.
    pub fn hint(mut self) -> Result<(), ClientError> {
        let worktree = self.worktree.clone();
        self.send(&Request::Hint { worktree })
    }

    /// Says that uncommitted edits of this worktree were asked about, so that the daemon follows them from now on; does not
    /// wait for an answer.
    ///
    /// # Errors
    ///
    /// [`ClientError`] when it could not be said.
    pub fn follow_edits(mut self) -> Result<(), ClientError> {
        let worktree = self.worktree.clone();
        self.send(&Request::Edits { worktree })
    }

    /// Asks for a refresh now, even when one failed a moment ago; does not wait for its end.
    ///
    /// # Errors
    ///
    /// [`ClientError`], as for every question.
    pub fn refresh(&mut self) -> Result<(), ClientError> {
        let worktree = self.worktree.clone();
        match self.ask(&Request::Refresh { worktree }, ANSWER_TIME)? {
            Answer::Done => Ok(()),
            _ => Err(ClientError::Confused),
        }
    }

    /// Waits until the index is at `commit`, or at the HEAD of this worktree when that has moved on.
    ///
    /// - `commit`: the HEAD of this worktree as the caller sees it.
    /// - `timeout`: at most ten minutes; zero asks how it stands now.
    ///
    /// # Errors
    ///
    /// [`ClientError`], as for every question; that the time is over is no error.
    pub fn wait_fresh(
        &mut self,
        commit: &GitOid,
        timeout: Duration,
    ) -> Result<Waited, ClientError> {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let worktree = self.worktree.clone();
        let request = Request::WaitFresh { worktree, commit: *commit, timeout_ms };
        match self.ask(&request, timeout.saturating_add(ANSWER_TIME))? {
            Answer::Fresh { commit } => Ok(Waited::Fresh { commit }),
            Answer::Late { commit } => Ok(Waited::Late { commit }),
            Answer::Failed { error } => Ok(Waited::Failed { error }),
            _ => Err(ClientError::Confused),
        }
    }

    /// Asks how the daemon is. See [`status()`](crate::status()) for what also answers without a daemon.
    ///
    /// # Errors
    ///
    /// [`ClientError`], as for every question.
    pub fn status(&mut self) -> Result<DaemonStatus, ClientError> {
        match self.ask(&Request::Status, ANSWER_TIME)? {
            Answer::Status(status) => Ok(*status),
            _ => Err(ClientError::Confused),
        }
    }

    /// Stops the daemon and waits until it has given up its socket and its lock.
    ///
    /// # Errors
    ///
    /// [`ClientError`], as for every question.
    pub fn stop(mut self) -> Result<(), ClientError> {
        match self.ask(&Request::Stop, ANSWER_TIME)? {
            Answer::Done => {}
            _ => return Err(ClientError::Confused),
        }
        match self.reader.read(&mut [0; 1]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(ClientError::Confused),
            Err(err) if err.kind() == ErrorKind::ConnectionReset => Ok(()),
            Err(err) => Err(ClientError::Io(err)),
        }
    }

    fn ask(&mut self, request: &Request, patience: Duration) -> Result<Answer, ClientError> {
        let stream = self.reader.get_ref();
        stream.set_read_timeout(Some(patience)).map_err(ClientError::Io)?;
        let sent = self.send(request);
        // A daemon with too many connections says so and closes, perhaps before the question is sent.
        match (self.read_answer(), sent) {
            (Ok(Answer::Refused { error }), _) => Err(ClientError::Refused(error)),
            (Ok(answer), Ok(())) => Ok(answer),
            (_, Err(err)) | (Err(err), _) => Err(err),
        }
    }

    fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        self.reader.get_mut().write_all(&to_line(request)).map_err(ClientError::Io)
    }

    fn read_answer(&mut self) -> Result<Answer, ClientError> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.reader).take(LINE_BYTES_MAX as u64);
        bounded.read_until(b'\n', &mut line).map_err(ClientError::Io)?;
        if line.last() != Some(&b'\n') {
            return Err(ClientError::Ended);
        }
        from_line(&line).map_err(ClientError::Line)
    }
}
