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

use super::sys::layer::{self, CacheLayer, CacheLower, Layer, LayerStep};
use crate::{CacheAfter, CacheMount, OverlayAfter, SandboxError, ServiceAccount};

/// The names in the tmpfs.
const MERGED: &str = "merged";
const UPPER: &str = "upper";
const TMP: &str = "tmp";

/// What will be mounted, and where.
#[derive(Debug)]
pub(super) struct Overlay {
    mount_point: PathBuf,
    failed: OwnedFd,
    caches: Vec<CacheNames>,
}

/// A cache and its names in the tmpfs.
#[derive(Debug)]
struct CacheNames {
    name: String,
    upper: String,
    merged: String,
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
        (lower, mount_point): (&Path, &Path),
        caches: &[CacheMount],
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
        let (uid, gid) = match account {
            Some(account) => (account.uid, account.gid),
            None => (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
        };
        let (lower_fd, metadata) = open_lower(lower, uid)?;
        let (bytes, inodes) = bound(quota);
        let text = |text: String| CString::new(text).map_err(|error| at(lower)(error.into()));
        let user_attributes = if account.is_none() { ",userxattr" } else { "" };
        let (mut names, mut cache_layers) = (vec![], vec![]);
        for (idx, cache) in caches.iter().enumerate() {
            let (own, layer) = cache_layer(idx, cache, uid, user_attributes)?;
            names.push(own);
            cache_layers.push(layer);
        }
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
            caches: cache_layers,
        };
        let (failed, failed_writer) =
            io::pipe().map_err(|source| SandboxError::Io { doing: "make a pipe", source })?;
        layer::mount_before(command, layer, failed_writer.into());
        Ok(Overlay { mount_point, failed: failed.into(), caches: names })
    }

    /// Returns what to bind at the workspace.
    pub fn merged(&self) -> PathBuf {
        self.mount_point.join(MERGED)
    }

    /// Returns the caches' names, and what to bind there.
    pub fn caches(&self) -> Vec<(String, Option<PathBuf>)> {
        let bound = |cache: &CacheNames| Some(self.mount_point.join(&cache.merged));
        self.caches.iter().map(|cache| (cache.name.clone(), bound(cache))).collect()
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
        let caches = self.caches.iter().map(|cache| {
            let (merged, upper) = (open(&cache.merged)?, open(&cache.upper)?);
            Ok(CacheAfter { name: cache.name.clone(), merged, upper })
        });
        let caches = caches.collect::<io::Result<_>>()?;
        Ok(OverlayAfter { merged: open(MERGED)?, upper: open(UPPER)?, caches })
    }
}

/// Opens a directory that a layer is laid over, once it is one of `uid`, whose run will see it as its own.
fn open_lower(lower: &Path, uid: u32) -> Result<(OwnedFd, fs::Metadata), SandboxError> {
    let failed = |source: io::Error| SandboxError::Workspace { path: lower.to_owned(), source };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(CWD, lower, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
    let metadata = fs::metadata(lower).map_err(failed)?;
    if metadata.uid() != uid {
        let owner = metadata.uid();
        return Err(SandboxError::WorkspaceOwner { path: lower.to_owned(), owner, uid });
    }
    Ok((opened, metadata))
}

/// Plans the layer of one cache.
fn cache_layer(
    idx: usize,
    cache: &CacheMount,
    uid: u32,
    user_attributes: &str,
) -> Result<(CacheNames, CacheLayer), SandboxError> {
    let upper = format!("cache{idx}-upper");
    let c_string = |text: &str| {
        CString::new(text)
            .map_err(|error| SandboxError::Workspace { path: text.into(), source: error.into() })
    };
    let Some(lower) = &cache.lower else {
        let names =
            CacheNames { name: cache.name.clone(), upper: upper.clone(), merged: upper.clone() };
        return Ok((names, CacheLayer { upper: c_string(&upper)?, over: None }));
    };
    let failed = |source| SandboxError::Workspace { path: lower.clone(), source };
    let lower = fs::canonicalize(lower).map_err(failed)?;
    let (opened, _) = open_lower(&lower, uid)?;
    let (work, merged) = (format!("cache{idx}-work"), format!("cache{idx}-merged"));
    let options = format!(
        "lowerdir=/proc/self/fd/{},upperdir={upper},workdir={work}{user_attributes}",
        opened.as_raw_fd()
    );
    let over = CacheLower {
        work: c_string(&work)?,
        merged: c_string(&merged)?,
        options: c_string(&options)?,
        lower: opened,
        lower_path: CString::new(lower.as_os_str().as_bytes())
            .map_err(|error| failed(error.into()))?,
    };
    let layer = CacheLayer { upper: c_string(&upper)?, over: Some(over) };
    Ok((CacheNames { name: cache.name.clone(), upper, merged }, layer))
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
