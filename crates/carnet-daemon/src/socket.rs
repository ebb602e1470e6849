//! Where the socket is, and that nobody else could have put one there.
//!
//! `$XDG_RUNTIME_DIR/carnet/<digest>.sock`, else `/tmp/carnet-<uid>/<digest>.sock`, where the digest is the
//! first half of the SHA-256 of the common directory's path. The directory is of mode 0700, belongs to this
//! user and is no symbolic link, or it is not used.

use std::{
    env, fs,
    io::ErrorKind,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use carnet_core::Digest;

/// Longest path of a socket, in bytes: `sun_path` has 108 on Linux and 104 elsewhere, one of them for NUL.
const PATH_BYTES_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Why there is no place for a socket, or none that can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The directory, or the socket, is someone else's, open to others, or a symbolic link.
    #[error("`{}` is not private to this user", path.display())]
    NotPrivate {
        /// The directory or the socket.
        path: PathBuf,
    },
    /// Another user answers on the socket.
    #[error("the process behind `{}` belongs to another user", path.display())]
    ForeignPeer {
        /// The socket.
        path: PathBuf,
    },
    /// The system refused.
    #[error("use socket `{}`", path.display())]
    Io {
        /// The directory or the socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl SocketError {
    fn io(path: &Path, source: std::io::Error) -> SocketError {
        SocketError::Io { path: path.to_owned(), source }
    }
}

/// Returns where the socket of a repository belongs.
pub(crate) fn socket_path(common_dir: &Path) -> PathBuf {
    let uid = own_uid();
    let runtime_dir = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime_dir = runtime_dir.filter(|dir| dir.is_absolute() && is_own_dir(dir, uid));
    socket_path_in(runtime_dir.as_deref(), uid, common_dir)
}

fn socket_path_in(runtime_dir: Option<&Path>, uid: u32, common_dir: &Path) -> PathBuf {
    let name = format!("{}.sock", &Digest::of(common_dir.as_os_str().as_bytes()).to_string()[..32]);
    let at_runtime = runtime_dir.map(|dir| dir.join("carnet").join(&name));
    at_runtime
        .filter(|path| path.as_os_str().len() <= PATH_BYTES_MAX)
        .unwrap_or_else(|| Path::new("/tmp").join(format!("carnet-{uid}")).join(name))
}

pub(crate) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn is_own_dir(dir: &Path, uid: u32) -> bool {
    fs::metadata(dir).is_ok_and(|found| found.is_dir() && found.uid() == uid)
}

/// Makes the socket's directory if it is absent and checks that it is private; clears a stale socket.
///
/// Only the holder of the lock calls this: then whatever socket is there has nobody behind it.
pub(crate) fn prepare(socket: &Path) -> Result<(), SocketError> {
    let dir = socket.parent().unwrap_or(Path::new("/"));
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(err) if err.kind() != ErrorKind::AlreadyExists => {
            return Err(SocketError::io(dir, err));
        }
        _ => check_private(dir)?,
    }
    match fs::symlink_metadata(socket) {
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(()),
        Err(err) => Err(SocketError::io(socket, err)),
        Ok(found) if found.file_type().is_socket() && found.uid() == own_uid() => {
            fs::remove_file(socket).map_err(|err| SocketError::io(socket, err))
        }
        Ok(_) => Err(SocketError::NotPrivate { path: socket.to_owned() }),
    }
}

fn check_private(dir: &Path) -> Result<(), SocketError> {
    let found = fs::symlink_metadata(dir).map_err(|err| SocketError::io(dir, err))?;
    let is_private = found.is_dir() && found.uid() == own_uid() && found.mode() & 0o077 == 0;
    if is_private { Ok(()) } else { Err(SocketError::NotPrivate { path: dir.to_owned() }) }
}

/// Connects; `None` when nobody is there.
pub(crate) fn connect(socket: &Path) -> Result<Option<UnixStream>, SocketError> {
    let dir = socket.parent().unwrap_or(Path::new("/"));
    match check_private(dir) {
        Err(SocketError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            return Ok(None);
        }
        checked => checked?,
    }
    let stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(err) if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(err) => return Err(SocketError::io(socket, err)),
    };
    let peer = rustix::net::sockopt::socket_peercred(&stream);
    let peer = peer.map_err(|errno| SocketError::io(socket, errno.into()))?;
    if peer.uid.as_raw() != own_uid() {
        return Err(SocketError::ForeignPeer { path: socket.to_owned() });
    }
    Ok(Some(stream))
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::PermissionsExt as _, net::UnixListener};

    use super::*;

    fn private_dir() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        dir
    }

    #[test]
    fn a_path_that_would_not_fit_goes_to_tmp() {
        let common = Path::new("/home/ada/work/.git");
        let short = socket_path_in(Some(Path::new("/run/user/1000")), 1000, common);
        assert!(short.starts_with("/run/user/1000/carnet"), "{}", short.display());
        let long = PathBuf::from(format!("/{}", "x".repeat(90)));
        let fallback = socket_path_in(Some(&long), 1000, common);
        assert!(fallback.starts_with("/tmp/carnet-1000"), "{}", fallback.display());
        assert!(fallback.as_os_str().len() <= PATH_BYTES_MAX);
        assert_eq!(short.file_name(), fallback.file_name());
    }

    #[test]
    fn open_linked_and_foreign_places_are_refused() {
        let root = private_dir();
        let open = root.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        let link = root.path().join("link");
        std::os::unix::fs::symlink(root.path(), &link).unwrap();
        for dir in [open, link, PathBuf::from("/proc")] {
            let socket = dir.join("x.sock");
            assert!(matches!(prepare(&socket), Err(SocketError::NotPrivate { .. })));
            assert!(matches!(connect(&socket), Err(SocketError::NotPrivate { .. })));
        }
    }

    #[test]
    fn a_stale_socket_is_cleared_and_a_file_is_not() {
        let root = private_dir();
        let socket = root.path().join("carnet/x.sock");
        prepare(&socket).unwrap();
        assert!(connect(&socket).unwrap().is_none());
        drop(UnixListener::bind(&socket).unwrap());
        assert!(connect(&socket).unwrap().is_none());
        prepare(&socket).unwrap();
        assert!(!socket.exists());
        fs::write(&socket, "precious").unwrap();
        assert!(prepare(&socket).is_err());
        assert_eq!(fs::read_to_string(&socket).unwrap(), "precious");
    }
}
