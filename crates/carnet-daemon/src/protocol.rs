//! What client and daemon say to each other.
//!
//! One JSON object on one line asks, one answers; a connection may carry any number of rounds. Every line
//! carries `"format": "carnet/daemon/1"`. The number grows when an old reader would misunderstand; members
//! that are not known are ignored, requests that are not known are refused.
//!
//! ```text
//! → {"format":"carnet/daemon/1","request":"ping"}
//! ← {"format":"carnet/daemon/1","answer":"pong","pid":4711,"version":"0.1.0"}
//! → {"format":"carnet/daemon/1","request":"hint","worktree":""}
//! ← {"format":"carnet/daemon/1","answer":"done"}
//! → {"format":"carnet/daemon/1","request":"edits","worktree":""}
//! ← {"format":"carnet/daemon/1","answer":"done"}
//! → {"format":"carnet/daemon/1","request":"refresh","worktree":""}
//! ← {"format":"carnet/daemon/1","answer":"done"}
//! → {"format":"carnet/daemon/1","request":"wait_fresh","worktree":"","commit":"9c1e…","timeout_ms":2000}
//! ← {"format":"carnet/daemon/1","answer":"fresh","commit":"9c1e…"}
//! ← {"format":"carnet/daemon/1","answer":"late","commit":"77ab…"}
//! ← {"format":"carnet/daemon/1","answer":"failed","error":"…"}
//! → {"format":"carnet/daemon/1","request":"status"}
//! ← {"format":"carnet/daemon/1","answer":"status","pid":4711,…}
//! → {"format":"carnet/daemon/1","request":"stop"}
//! ← {"format":"carnet/daemon/1","answer":"done"}     and then the end of the connection
//! ← {"format":"carnet/daemon/1","answer":"refused","error":"…"}
//! ```
//!
//! - `hint`: HEAD of that worktree may have moved; the sender need not wait for the answer.
//! - `edits`: uncommitted edits of that worktree were asked about; they are followed for half an hour.
//! - `refresh`: the same as `hint`, and a refresh that failed before is tried again at once.
//! - `wait_fresh`: answers `fresh` as soon as the index is at `commit`, or at the HEAD that the worktree
//!   has after the request came (a commit that was overtaken is never indexed by itself); `late` when the
//!   time is over, with the commit that the index is at; `failed` when the refresh failed.
//! - `stop`: the daemon removes its socket and gives up its lock before it ends the connection.
//!
//! Bounds: a line has at most [`LINE_BYTES_MAX`] bytes; a request must arrive within 30 seconds; at most
//! 256 connections are served at once, more are refused; a wait lasts at most ten minutes.

use carnet_core::{GitOid, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{RefreshRecord, Worktree};

/// The version of the protocol.
pub const FORMAT: &str = "carnet/daemon/1";
/// Longest line, in bytes with its newline.
pub const LINE_BYTES_MAX: usize = 64 << 10;
/// Longest wait, in milliseconds; a longer one is cut to it.
pub const WAIT_MS_MAX: u64 = 600_000;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Are you there?
    Ping,
    /// How are you?
    Status,
    /// HEAD may have moved.
    Hint {
        /// Where.
        worktree: Worktree,
    },
    /// Uncommitted edits were asked about.
    Edits {
        /// Where.
        worktree: Worktree,
    },
    /// Compare HEAD now, and forget that a refresh failed.
    Refresh {
        /// Where.
        worktree: Worktree,
    },
    /// Answer when the index is at a commit.
    WaitFresh {
        /// Where the asker stands.
        worktree: Worktree,
        /// The asker's HEAD.
        commit: GitOid,
        /// How long to wait, in milliseconds.
        timeout_ms: u64,
    },
    /// End.
    Stop,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Here I am.
    Pong {
        /// The daemon's process.
        pid: u32,
        /// Its version of carnet.
        version: String,
    },
    /// Understood.
    Done,
    /// The index is at the commit that was asked for, or at the HEAD that overtook it.
    Fresh {
        /// The commit the index is at.
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
    /// How the daemon is.
    Status(Box<DaemonStatus>),
    /// The request was not understood, or there is no room for it.
    Refused {
        /// Why, as a lowercase fragment.
        error: String,
    },
}

/// How the daemon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// Its process.
    pub pid: u32,
    /// Its version of carnet.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
    /// The worktree whose HEAD the index follows: the one that asked or hinted last.
    pub follows: Worktree,
    /// The commit the index is at, if there is one.
    pub indexed: Option<GitOid>,
    /// Whether a refresh is under way.
    pub is_refreshing: bool,
    /// Refreshes that succeeded since it started.
    pub n_refreshes: u64,
    /// The last refresh that succeeded, if any is known.
    pub last_refresh: Option<RefreshRecord>,
    /// How it learns of changes.
    pub watch: WatchMode,
    /// The uncommitted edits that are followed, if somebody asked about them lately.
    #[serde(default)]
    pub edits: Option<EditsStatus>,
    /// What went wrong last and has not been healed since.
    pub last_error: Option<String>,
}

/// Uncommitted edits that the daemon follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditsStatus {
    /// Of which worktree.
    pub worktree: Worktree,
    /// Files that differ from the commit; `None` before the first look, or where that failed.
    pub n_files: Option<u32>,
    /// How it learns of changes in the work tree.
    pub watch: WatchMode,
    /// Why they cannot be answered for.
    pub error: Option<String>,
}

/// How the daemon learns of changes. Hints and the regular comparison of HEAD come on top of either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum WatchMode {
    /// The system tells it.
    Watching {
        /// Directories watched.
        n_dirs: u32,
    },
    /// It only compares HEAD at regular times.
    Polling {
        /// Why, as a lowercase fragment.
        reason: String,
    },
}

/// Why a line could not be understood.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Another version of the protocol.
    #[error("protocol `{found}` is not `{FORMAT}`")]
    Format {
        /// What the line says.
        found: String,
    },
    /// Not JSON of the right form.
    #[error("read a line of `{FORMAT}`")]
    Json(#[from] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
struct Line<Body> {
    format: String,
    #[serde(flatten)]
    body: Body,
}

#[derive(Deserialize)]
struct FormatOnly {
    format: String,
}

/// Writes a request or an answer as one line, with its newline.
pub(crate) fn to_line(body: &impl Serialize) -> Vec<u8> {
    let line = Line { format: FORMAT.to_owned(), body };
    let mut bytes = serde_json::to_vec(&line).expect("because its keys are strings");
    bytes.push(b'\n');
    bytes
}

/// Reads a request or an answer.
pub(crate) fn from_line<Body: DeserializeOwned>(line: &[u8]) -> Result<Body, LineError> {
    let FormatOnly { format } = serde_json::from_slice(line)?;
    if format != FORMAT {
        return Err(LineError::Format { found: format.chars().take(64).collect() });
    }
    Ok(serde_json::from_slice::<Line<Body>>(line)?.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit() -> GitOid {
        GitOid::from_bytes(&[0xab; 20]).unwrap()
    }

    #[test]
    fn requests_look_as_documented_and_come_back() {
        let worktree = Worktree::Linked("w".into());
        let wait = Request::WaitFresh { worktree, commit: commit(), timeout_ms: 5 };
        let line = String::from_utf8(to_line(&wait)).unwrap();
        let id = "ab".repeat(20);
        let expected = format!(
            "{{\"format\":\"carnet/daemon/1\",\"request\":\"wait_fresh\",\"worktree\":\"w\",\
             \"commit\":\"{id}\",\"timeout_ms\":5}}\n"
        );
        assert_eq!(line, expected);
        for request in [wait, Request::Ping, Request::Hint { worktree: Worktree::Main }] {
            assert_eq!(from_line::<Request>(&to_line(&request)).unwrap(), request);
        }
    }

    #[test]
    fn answers_come_back() {
        let status = DaemonStatus {
            pid: 1,
            version: "0.1.0".to_owned(),
            started_at: Timestamp::from_millis(1_795_000_000_123),
            follows: Worktree::Main,
            indexed: Some(commit()),
            is_refreshing: false,
            n_refreshes: 3,
            last_refresh: None,
            watch: WatchMode::Polling { reason: "asked to".to_owned() },
            edits: None,
            last_error: None,
        };
        for answer in
            [Answer::Status(Box::new(status)), Answer::Done, Answer::Late { commit: None }]
        {
            assert_eq!(from_line::<Answer>(&to_line(&answer)).unwrap(), answer);
        }
    }

    #[test]
    fn members_of_tomorrow_are_ignored() {
        let line = br#"{"format":"carnet/daemon/1","request":"ping","colour":"blue"}"#;
        assert_eq!(from_line::<Request>(line).unwrap(), Request::Ping);
    }

    #[test]
    fn lines_that_are_not_ours_are_refused() {
        let refused: [&[u8]; 9] = [
            b"",
            b"null",
            b"\xff\xfe",
            b"{}",
            br#"{"request":"ping"}"#,
            br#"{"format":"carnet/daemon/2","request":"ping"}"#,
            br#"{"format":"carnet/daemon/1","request":"dance"}"#,
            br#"{"format":"carnet/daemon/1","request":"hint","worktree":"../x"}"#,
            br#"{"format":"carnet/daemon/1","request":"wait_fresh","worktree":"","commit":"zz","timeout_ms":1}"#,
        ];
        for line in refused {
            assert!(from_line::<Request>(line).is_err(), "{}", String::from_utf8_lossy(line));
        }
        assert!(from_line::<Request>("[".repeat(60_000).as_bytes()).is_err());
    }
}
