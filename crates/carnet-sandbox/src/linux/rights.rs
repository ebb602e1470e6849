//! Descriptors over a socket: what the command is given, and what the first process gives back.
//!
//! Invariant: a descriptor that is received is close-on-exec, and one that was not asked for is closed.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Descriptors in one message at most.
pub(super) const DESCRIPTORS_MAX: usize = 20;

/// Sends `bytes` and `descriptors` with the first of them.
pub(super) fn send(to: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if descriptors.len() > DESCRIPTORS_MAX
        || (!descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)))
    {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let n_sent = sendmsg(to, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    if n_sent == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Receives bytes into `buffer` and adds what came with them to `descriptors`; returns how many bytes came.
pub(super) fn receive(
    from: impl AsFd,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(from, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            let room = DESCRIPTORS_MAX.saturating_sub(descriptors.len());
            descriptors.extend(rights.take(room));
        }
    }
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        os::unix::net::UnixStream,
    };

    use super::*;

    #[test]
    fn a_descriptor_arrives_with_the_bytes_it_was_sent_with() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        send(&ours, b"d", &[writer.as_fd()]).unwrap();
        drop(writer);
        let (mut buffer, mut descriptors) = ([0; 8], Vec::new());
        assert_eq!(receive(&theirs, &mut buffer, &mut descriptors).unwrap(), 1);
        let mut received = std::fs::File::from(descriptors.pop().unwrap());
        received.write_all(b"through").unwrap();
        drop(received);
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        assert_eq!(said, "through");
    }

    #[test]
    fn more_than_the_bound_is_not_sent() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let many = vec![ours.as_fd(); DESCRIPTORS_MAX + 1];
        assert!(send(&ours, b"d", &many).is_err());
    }
}
