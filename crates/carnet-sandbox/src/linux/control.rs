//! The supervisor's ear: reports of the inner stage, as they come.
//!
//! Invariant: never blocks, and never holds more than its bound, whatever is at the other end.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
};

use super::{rights, wire::Report};

/// Bytes of messages that are not yet read, at most.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// The inner stage's messages, read without ever blocking.
pub(super) struct Control {
    /// The socket, for waiting on it and writing to it.
    pub stream: UnixStream,
    buffer: Vec<u8>,
    /// What came with the messages.
    pub descriptors: Vec<OwnedFd>,
    /// Whether more may come.
    pub is_open: bool,
}

impl Control {
    /// Takes over our end; it is made non-blocking once the assignment is sent.
    pub fn new(stream: UnixStream) -> Control {
        Control { stream, buffer: Vec::new(), descriptors: Vec::new(), is_open: true }
    }

    /// Returns the next whole message; one that cannot be read ends the conversation.
    pub fn next(&mut self) -> Option<Report> {
        self.fill();
        let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.buffer.drain(..=end).collect();
        serde_json::from_slice(&line).ok()
    }

    fn fill(&mut self) {
        let mut chunk = [0; 4096];
        while self.is_open && self.buffer.len() < MESSAGE_BYTES_MAX {
            match rights::receive(&self.stream, &mut chunk, &mut self.descriptors) {
                Ok(0) => self.is_open = false,
                Ok(n_read) => self.buffer.extend_from_slice(&chunk[..n_read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.is_open = false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn pair() -> (UnixStream, Control) {
        let (theirs, ours) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (theirs, Control::new(ours))
    }

    #[test]
    fn half_a_message_waits_for_its_other_half() {
        let (mut theirs, mut control) = pair();
        assert!(control.next().is_none());
        theirs.write_all(b"\"Sta").unwrap();
        assert!(control.next().is_none() && control.is_open);
        theirs.write_all(b"rted\"\n{\"Exited\":{\"exit_code\":3}}\n").unwrap();
        drop(theirs);
        assert!(matches!(control.next(), Some(Report::Started)));
        assert!(matches!(control.next(), Some(Report::Exited { exit_code: 3 })));
        assert!(control.next().is_none() && !control.is_open);
    }

    #[test]
    fn an_endless_line_is_not_kept_past_the_bound() {
        let (mut theirs, mut control) = pair();
        theirs.set_nonblocking(true).unwrap();
        // Far more than the bound, in turns, so that the socket's own buffer is never the limit.
        for _ in 0..64 {
            let _ = theirs.write(&[b'x'; 64 << 10]).ok();
            assert!(control.next().is_none());
        }
        assert!(control.buffer.len() < MESSAGE_BYTES_MAX + 4096);
    }
}
