//! A throw-away layer over a directory that stays as it is: planned here, mounted by the process that becomes bwrap.
//!
//! That process makes a mount namespace of its own (as an ordinary user in a user namespace of its own, as root before
//! it becomes the service account), mounts one tmpfs with a bound of bytes and inodes, and in it an overlay whose
//! upper layer is in the tmpfs. The workspace and `/tmp` of the run both lie there, so one bound holds for both.
//! The host's own mounts are not touched, and all of it is gone with the last process and the last descriptor.
//!
//! Refuses nothing by itself: where the kernel does not let it be mounted, [`SandboxError::Overlay`] names the step, and
//! nothing was started.

use std::{
    ffi::CString,
    fs,
    io::{self, Read as _},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
    process::Command,
};

use carnet_core::Quota;
use rustix::fs::{CWD, Mode, OFlags, Timespec, Timestamps, openat};

use super::sys::layer::{self, Layer, LayerStep};
use crate::{OverlayAfter, SandboxError, ServiceAccount};

/// The names in the tmpfs.
const MERGED: &str = "merged";
const UPPER: &str = "upper";
const TMP: &str = "tmp";

/// What will be mounted, and where.
#[derive(Debug)]
pub(super) struct Overlay {
    mount_point: PathBuf,
    failed: OwnedFd,
}

/// Returns the bound of a run's tmpfs: bytes and inodes. It lies in memory, so it is never above that quota.
pub(super) fn bound(quota: &Quota) -> (u64, u64) {
    let bytes = quota.disk_bytes.min(quota.memory_bytes).max(4096);
    (bytes, quota.inodes())
}

impl Overlay {
    /// Lets the program that `command` starts have the layer mounted before it begins. As root that process becomes
    /// `account` afterwards, so `command` must not be told to.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Workspace`] when a directory is missing or of another owner.
    pub fn prepare(
        command: &mut Command,
        lower: &Path,
        mount_point: &Path,
        quota: &Quota,
        account: Option<ServiceAccount>,
    ) -> Result<Overlay, SandboxError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| SandboxError::Workspace { path, source }
        };
        let mount_point = fs::canonicalize(mount_point).map_err(at(mount_point))?;
        let lower = fs::canonicalize(lower).map_err(at(lower))?;
        let lower = lower.as_path();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let lower_fd =
            openat(CWD, lower, flags, Mode::empty()).map_err(|error| at(lower)(error.into()))?;
        let metadata = fs::metadata(lower).map_err(at(lower))?;
        let (uid, gid) = match account {
            Some(account) => (account.uid, account.gid),
            None => (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
        };
        if metadata.uid() != uid {
            return Err(SandboxError::WorkspaceOwner {
                path: lower.to_owned(),
                owner: metadata.uid(),
                uid,
            });
        }
        let (bytes, inodes) = bound(quota);
        let text = |text: String| CString::new(text).map_err(|error| at(lower)(error.into()));
        let user_attributes = if account.is_none() { ",userxattr" } else { "" };
        let layer = Layer {
            account: account.map(|account| (account.uid, account.gid)),
            uid_map: format!("{uid} {uid} 1"),
            gid_map: format!("{gid} {gid} 1"),
            mount_point: CString::new(mount_point.as_os_str().as_bytes())
                .map_err(|error| at(&mount_point)(error.into()))?,
            tmpfs_options: text(format!("mode=0755,size={bytes},nr_inodes={inodes}"))?,
            overlay_options: text(format!(
                "lowerdir=/proc/self/fd/{},upperdir={UPPER},workdir=work{user_attributes}",
                lower_fd.as_raw_fd()
            ))?,
            root_mode: Mode::from_raw_mode(metadata.mode() & 0o777),
            root_times: times(&metadata),
            lower: lower_fd,
            lower_path: CString::new(lower.as_os_str().as_bytes())
                .map_err(|error| at(lower)(error.into()))?,
        };
        let (failed, failed_writer) =
            io::pipe().map_err(|source| SandboxError::Io { doing: "make a pipe", source })?;
        layer::mount_before(command, layer, failed_writer.into());
        Ok(Overlay { mount_point, failed: failed.into() })
    }

    /// Returns what to bind at the workspace.
    pub fn merged(&self) -> PathBuf {
        self.mount_point.join(MERGED)
    }

    /// Returns what to bind at `/tmp`.
    pub fn tmp(&self) -> PathBuf {
        self.mount_point.join(TMP)
    }

    /// Turns a failed start into an error that names the step, where it was one of the layer's.
    pub fn explain(self, error: io::Error) -> SandboxError {
        let mut step = Vec::new();
        // The writer went with the command, so this ends.
        let _ = fs::File::from(self.failed).read_to_end(&mut step);
        match step.first().copied().and_then(LayerStep::from_byte) {
            Some(step) => SandboxError::Overlay { step: step.name(), source: error },
            None => SandboxError::Io { doing: "start bwrap", source: error },
        }
    }

    /// Opens the layer from outside, through `bwrap`, a living process that has it mounted.
    pub fn open(&self, bwrap: i32) -> io::Result<OverlayAfter> {
        let open = |name: &str| -> io::Result<OwnedFd> {
            let inside = self.mount_point.strip_prefix("/").unwrap_or(&self.mount_point);
            let path = Path::new("/proc").join(bwrap.to_string()).join("root").join(inside);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            Ok(openat(CWD, path.join(name), flags, Mode::empty())?)
        };
        Ok(OverlayAfter { merged: open(MERGED)?, upper: open(UPPER)? })
    }
}

fn times(metadata: &fs::Metadata) -> Timestamps {
    let at = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    Timestamps {
        last_access: at(metadata.mtime(), metadata.mtime_nsec()),
        last_modification: at(metadata.mtime(), metadata.mtime_nsec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_never_above_memory_and_always_lets_some_files_be_made() {
        let quota = |disk_bytes, memory_bytes| Quota {
            cpu_pct: 1,
            memory_bytes,
            wall_ms: 1,
            processes: 1,
            disk_bytes,
            output_bytes: 1,
            parallel: 1,
        };
        assert_eq!(bound(&quota(1 << 20, 1 << 30)), (1 << 20, 4 << 10));
        assert_eq!(bound(&quota(1 << 40, 1 << 30)), (1 << 30, 256 << 10));
        assert_eq!(bound(&quota(1 << 40, 1 << 40)).1, 512 << 10);
    }
}
