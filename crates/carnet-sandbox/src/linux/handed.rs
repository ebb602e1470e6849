//! What a command is handed besides its arguments: secrets as sealed memory, and its standard input as a pipe.
//!
//! A host's own descriptor is never handed over: it could be a file opened for writing, or a terminal.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{
        CWD, Gid, MemfdFlags, Mode, OFlags, SealFlags, Uid, fchmod, fchown, fcntl_add_seals,
        memfd_create, openat,
    },
};

use crate::{Secret, ServiceAccount};

/// Bytes read of the host's standard input at once.
const TURN_BYTES: usize = 64 << 10;

/// Returns a descriptor from which the secret can be read, and which no one can write.
pub(super) fn secret(secret: &Secret, account: Option<ServiceAccount>) -> io::Result<OwnedFd> {
    let made = memfd_create("secret", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(made);
    file.write_all(secret.bytes())?;
    fchmod(&file, Mode::from_raw_mode(0o400))?;
    if let Some(account) = account {
        fchown(&file, Some(Uid::from_raw(account.uid)), Some(Gid::from_raw(account.gid)))?;
    }
    sealed(file)
}

/// Seals memory and returns it opened anew for reading: what is open for writing could not be executed.
pub(super) fn sealed(file: File) -> io::Result<OwnedFd> {
    let all = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&file, all)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Returns the reading end of a pipe that is filled from `source` by a thread of its own. The thread ends with the
/// source, or when the last reader is gone.
pub(super) fn piped(source: File, account: Option<ServiceAccount>) -> io::Result<OwnedFd> {
    let (reader, mut writer) = io::pipe()?;
    if let Some(account) = account {
        // Else `/dev/stdin` could not be opened by the command.
        fchown(&reader, Some(Uid::from_raw(account.uid)), Some(Gid::from_raw(account.gid)))?;
    }
    let pump = move || {
        let mut source = source;
        let mut buffer = vec![0; TURN_BYTES];
        while is_readable_before_the_reader_is_gone(&source, &writer) {
            match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(n_read) if writer.write_all(&buffer[..n_read]).is_err() => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(pump)?;
    Ok(reader.into())
}

fn is_readable_before_the_reader_is_gone(source: &File, writer: &impl AsFd) -> bool {
    loop {
        let mut watched = [
            PollFd::from_borrowed_fd(source.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(writer.as_fd(), PollFlags::empty()),
        ];
        match poll(&mut watched, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
            Ok(_) if !watched[1].revents().is_empty() => return false,
            Ok(_) if !watched[0].revents().is_empty() => return true,
            Ok(_) => {}
        }
    }
}
