//! A throw-away layer over a directory that stays as it is: planned here, mounted by the process that becomes bwrap.
//!
//! That process makes a mount namespace of its own (as an ordinary user in a user namespace of its own, as root before
//! it becomes the service account), mounts one tmpfs with a bound of bytes and inodes, and in it an overlay whose
//! upper layer is in the tmpfs. The workspace and `/tmp` of the run both lie there, so one bound holds for both. The root of
//! the run is made there too, of binds that cost this process a call each and would cost bwrap a reading of all mounts.
//! The host's own mounts are not touched, and all of it is gone with the last process and the last descriptor.
//!
//! Refuses nothing by itself: where the kernel does not let it be mounted, [`SandboxError::Overlay`] names the step, and
//! nothing was started.

use std::{
    collections::BTreeSet,
    ffi::{CString, NulError},
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

use super::{
    layers::{self, Place, Writable},
    sys::layer::{self, CacheLayer, CacheLower, Layer, LayerStep, Piece},
};
use crate::{CacheAfter, CacheMount, OverlayAfter, SandboxError, SandboxSpec, ServiceAccount};

/// The names in the tmpfs.
const MERGED: &str = "merged";
const UPPER: &str = "upper";
const TMP: &str = "tmp";
const ROOT: &str = "root";
/// What lies in the places of files, followed by its number.
const INSTEAD: &str = "instead";
/// Devices of the host that a run has too.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Links in `/dev`, as everywhere.
const DEVICE_LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

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
        spec: &SandboxSpec,
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
        let (bytes, inodes) = bound(&spec.quota);
        let text = |text: String| CString::new(text).map_err(|error| at(lower)(error.into()));
        let user_attributes = if account.is_none() { ",userxattr" } else { "" };
        let (mut names, mut cache_layers) = (vec![], vec![]);
        for (idx, cache) in spec.caches.iter().enumerate() {
            let (own, layer) = cache_layer(idx, cache, uid, user_attributes)?;
            names.push(own);
            cache_layers.push(layer);
        }
        let layer = Layer {
            account: account.map(|account| (account.uid, account.gid)),
            // Terminals of its own can be mounted only where there is a root. It is that by name alone.
            uid_map: format!("0 {uid} 1"),
            gid_map: format!("0 {gid} 1"),
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
            root: pieces(&mount_point, &names, spec).map_err(at(&mount_point))?,
        };
        let (failed, failed_writer) =
            io::pipe().map_err(|source| SandboxError::Io { doing: "make a pipe", source })?;
        layer::mount_before(command, layer, failed_writer.into());
        Ok(Overlay { mount_point, failed: failed.into(), caches: names })
    }

    /// Returns what bwrap takes as the root of the run.
    pub fn root(&self) -> PathBuf {
        self.mount_point.join(ROOT)
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

/// What of the tmpfs may be written, and where it is.
fn inside(mount_point: &Path, caches: &[CacheNames]) -> Writable {
    let cache = |cache: &CacheNames| (cache.name.clone(), Some(mount_point.join(&cache.merged)));
    Writable {
        workspace: mount_point.join(MERGED),
        tmp: Some(mount_point.join(TMP)),
        caches: caches.iter().map(cache).collect(),
    }
}

/// Plans the root of the run, in the tmpfs.
fn pieces(mount_point: &Path, caches: &[CacheNames], spec: &SandboxSpec) -> io::Result<Vec<Piece>> {
    let writable = inside(mount_point, caches);
    let mut pieces = Pieces { mount_point: mount_point.to_owned(), ..Pieces::default() };
    pieces.directory("/", 0o755)?;
    pieces.directory("/proc", 0o555)?;
    let places = layers::places(&writable, &spec.quota, !spec.network.is_empty());
    for place in places.into_iter().chain(layers::toolchains(spec)?) {
        pieces.add(place)?;
    }
    Ok(pieces.pieces)
}

/// The pieces of a root, each after the directory that it lies in.
#[derive(Default)]
struct Pieces {
    /// Where the tmpfs is.
    mount_point: PathBuf,
    made: BTreeSet<PathBuf>,
    pieces: Vec<Piece>,
}

impl Pieces {
    fn add(&mut self, place: Place) -> Result<(), NulError> {
        match place {
            // In `/tmp`, which was bound there.
            Place::Directory { at, mode } => self.directory(&at, mode)?,
            Place::Link { at, target } => self.link(&at, target.as_os_str().as_bytes())?,
            Place::Host { at, from } => {
                if from.is_dir() {
                    self.directory(&at, 0o755)?;
                } else {
                    self.file(&at, String::new())?;
                }
                self.bind(&at, &from, true)?;
            }
            Place::File { at, text } => self.file(at, text)?,
            Place::Instead { at, bytes } => {
                let (mode, n_pieces) = (Mode::from_raw_mode(0o555), self.pieces.len());
                let name = format!("{INSTEAD}{n_pieces}");
                let from = self.mount_point.join(&name);
                self.pieces.push(Piece::File { at: CString::new(name)?, text: bytes, mode });
                self.bind(&at, &from, true)?;
            }
            Place::Writable { at, from } => {
                self.directory(&at, 0o755)?;
                self.bind(&at, &from, false)?;
            }
            Place::Memory { at, mode, bytes } => {
                self.directory(&at, 0o755)?;
                let options = CString::new(format!("mode={mode:o},size={bytes}"))?;
                self.pieces.push(Piece::Memory { at: below(&at)?, options });
            }
            Place::Devices => self.devices()?,
        }
        Ok(())
    }

    fn devices(&mut self) -> Result<(), NulError> {
        for name in DEVICES {
            let at = format!("/dev/{name}");
            self.file(&at, String::new())?;
            self.bind(&at, Path::new(&at), false)?;
        }
        for (name, target) in DEVICE_LINKS {
            self.link(&format!("/dev/{name}"), target.as_bytes())?;
        }
        self.directory("/dev/pts", 0o755)?;
        self.pieces.push(Piece::Terminals { at: below("/dev/pts")? });
        Ok(())
    }

    /// Makes the directories above as well, where they are not there.
    fn directory(&mut self, at: &str, mode: u32) -> Result<(), NulError> {
        self.above(at)?;
        if self.made.insert(at.into()) {
            let mode = Mode::from_raw_mode(mode);
            self.pieces.push(Piece::Directory { at: below(at)?, mode });
        }
        Ok(())
    }

    fn above(&mut self, at: &str) -> Result<(), NulError> {
        match Path::new(at).parent().and_then(Path::to_str) {
            Some(above) if !self.made.contains(Path::new(above)) => self.directory(above, 0o755),
            _ => Ok(()),
        }
    }

    fn file(&mut self, at: &str, text: String) -> Result<(), NulError> {
        self.above(at)?;
        let mode = Mode::from_raw_mode(0o444);
        self.pieces.push(Piece::File { at: below(at)?, text: text.into_bytes(), mode });
        Ok(())
    }

    fn link(&mut self, at: &str, target: &[u8]) -> Result<(), NulError> {
        self.above(at)?;
        self.pieces.push(Piece::Link { at: below(at)?, target: CString::new(target)? });
        Ok(())
    }

    fn bind(&mut self, at: &str, from: &Path, is_read_only: bool) -> Result<(), NulError> {
        let from = CString::new(from.as_os_str().as_bytes())?;
        self.pieces.push(Piece::Bind { at: below(at)?, from, is_read_only });
        Ok(())
    }
}

/// Returns where a path of the root is in the tmpfs.
fn below(at: &str) -> Result<CString, NulError> {
    CString::new(format!("{ROOT}{}", if at == "/" { "" } else { at }))
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
