//! Collects standard output and standard error under one bound.
//!
//! Invariant: never keeps more than the bound, counts everything, and never blocks.

use std::{io, os::fd::OwnedFd};

use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
};

use crate::{Captured, OutputStream};

/// Bytes read from one stream before the supervisor looks at its other duties.
const TURN_BYTES_MAX: usize = 1 << 20;

/// One stream.
#[derive(Debug)]
struct Stream {
    /// `None` after its end.
    pipe: Option<OwnedFd>,
    captured: Captured,
}

/// Both streams.
#[derive(Debug)]
pub(super) struct Streams {
    streams: [Stream; 2],
    /// Bytes that may be kept of both together.
    bytes_max: u64,
    /// Bytes seen.
    n_bytes: u64,
    buffer: Vec<u8>,
}

impl Streams {
    /// Takes over the read ends of standard output and error.
    pub fn new(stdout: OwnedFd, stderr: OwnedFd, bytes_max: u64) -> io::Result<Streams> {
        let stream = |pipe: OwnedFd| -> io::Result<Stream> {
            fcntl_setfl(&pipe, fcntl_getfl(&pipe)? | OFlags::NONBLOCK)?;
            Ok(Stream { pipe: Some(pipe), captured: Captured::default() })
        };
        let streams = [stream(stdout)?, stream(stderr)?];
        Ok(Streams { streams, bytes_max, n_bytes: 0, buffer: vec![0; 64 << 10] })
    }

    /// Returns the pipes that have not ended.
    pub fn open_pipes(&self) -> impl Iterator<Item = &OwnedFd> {
        self.streams.iter().filter_map(|stream| stream.pipe.as_ref())
    }

    /// Reads what is there, at most a turn's worth of each stream; `kept` is told of what is kept.
    pub fn read(&mut self, kept: &mut dyn FnMut(OutputStream, &[u8])) {
        let names = [OutputStream::Stdout, OutputStream::Stderr];
        for (stream, name) in self.streams.iter_mut().zip(names) {
            let mut turn = 0;
            while turn < TURN_BYTES_MAX {
                let Some(pipe) = &stream.pipe else { break };
                match rustix::io::read(pipe, &mut self.buffer[..]) {
                    Ok(0) => stream.pipe = None,
                    Ok(n_read) => {
                        let room = self.bytes_max.saturating_sub(self.n_bytes);
                        let n_kept = usize::try_from(room).unwrap_or(usize::MAX).min(n_read);
                        stream.captured.bytes.extend_from_slice(&self.buffer[..n_kept]);
                        stream.captured.truncated |= n_kept < n_read;
                        if n_kept > 0 {
                            kept(name, &self.buffer[..n_kept]);
                        }
                        self.n_bytes += n_read as u64;
                        turn += n_read;
                    }
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => break,
                    Err(_) => stream.pipe = None,
                }
            }
        }
    }

    /// Reads what a pipe can still hold after its last writer has gone.
    pub fn drain(&mut self, kept: &mut dyn FnMut(OutputStream, &[u8])) {
        // A pipe holds at most 1 MiB for ordinary users (fs.pipe-max-size), so two turns reach its end.
        self.read(kept);
        self.read(kept);
    }

    /// Tells whether more was written than may be kept.
    pub fn is_over(&self) -> bool {
        self.n_bytes > self.bytes_max
    }

    /// Returns the bytes seen.
    pub fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Returns the beginning of standard error as text, after reading what is left of it.
    pub fn complaint(&mut self, bytes_max: usize) -> String {
        self.drain(&mut |_, _| {});
        let bytes = &self.streams[1].captured.bytes;
        String::from_utf8_lossy(&bytes[..bytes.len().min(bytes_max)]).trim().to_owned()
    }

    /// Returns what was kept of standard output and error.
    pub fn finish(self) -> (Captured, Captured) {
        let [stdout, stderr] = self.streams;
        (stdout.captured, stderr.captured)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn both_streams_share_one_bound_and_the_first_bytes_are_kept() {
        let (out_reader, mut out) = io::pipe().unwrap();
        let (err_reader, mut err) = io::pipe().unwrap();
        let mut streams = Streams::new(out_reader.into(), err_reader.into(), 5).unwrap();
        out.write_all(b"abc").unwrap();
        let mut told = Vec::new();
        streams.read(&mut |name, bytes| told.push((name, bytes.to_vec())));
        assert!(!streams.is_over());
        err.write_all(b"defg").unwrap();
        drop((out, err));
        streams.drain(&mut |name, bytes| told.push((name, bytes.to_vec())));
        let expect =
            [(OutputStream::Stdout, b"abc".to_vec()), (OutputStream::Stderr, b"de".to_vec())];
        assert_eq!(told, expect, "what is not kept is not told");
        assert!(streams.is_over());
        assert_eq!((streams.n_bytes(), streams.open_pipes().count()), (7, 0));
        let (stdout, stderr) = streams.finish();
        assert_eq!(stdout, Captured { bytes: b"abc".to_vec(), truncated: false });
        assert_eq!(stderr, Captured { bytes: b"de".to_vec(), truncated: true });
    }

    #[test]
    fn output_of_exactly_the_bound_is_not_over() {
        let (out_reader, mut out) = io::pipe().unwrap();
        let (err_reader, _) = io::pipe().unwrap();
        let mut streams = Streams::new(out_reader.into(), err_reader.into(), 3).unwrap();
        out.write_all(b"abc").unwrap();
        drop(out);
        streams.drain(&mut |_, _| {});
        assert!(!streams.is_over());
        assert!(!streams.finish().0.truncated);
    }
}
