//! Plans what a run sees as its root, and the arguments of bwrap: functions of the spec and of how the host's root looks.
//!
//! Invariants: nothing of the host is bound but `/usr`, the loader's configuration, the toolchains that are named and the workspace; only
//! `/workspace`, `/tmp`, `/dev/shm` and the lane's caches can be written; every namespace is unshared.

use std::{
    ffi::OsString,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use carnet_core::Quota;

use crate::{
    CACHES, HOSTNAME, INNER_ARGUMENT, INNER_ID, SandboxSpec, TOOLCHAINS, ToolchainMount, WORKSPACE,
};

/// Top-level names that hold programs and libraries, on hosts with a merged `/usr` and without.
const SYSTEM_NAMES: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// What dynamic programs and Debian's alternatives need of `/etc`.
const ETC_NAMES: [&str; 2] = ["ld.so.cache", "alternatives"];

/// Files of a toolchain that are a person's settings, with the credentials of registries; a run sees them empty.
const SETTINGS: [&str; 4] = ["etc/npmrc", "etc/pip.conf", "pip.conf", ".condarc"];

/// Where no link to a toolchain is made: what is there is the host's `/usr`, or the run's.
const PLACES: [&str; 13] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/proc", "/dev",
    "/tmp", CACHES, WORKSPACE,
];

/// Where systems keep the certificates that they trust.
const CERTIFICATES: [&str; 3] =
    ["/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted"];

/// Where the linker's directories are written.
const LOADER_CONFIGURATION: &str = "/etc/ld.so.conf";
/// Files that it is made of, and bytes of each that are read, at most.
const LOADER_FILES_MAX: usize = 64;
const LOADER_BYTES_MAX: u64 = 16 << 10;
/// Bytes of the whole.
const LOADER_TEXT_BYTES_MAX: usize = 32 << 10;

/// The made-up files of `/etc`: path and text.
const ETC_FILES: [(&str, &str); 4] = [
    (
        "/etc/passwd",
        "carnet:x:1000:1000:carnet:/tmp/home:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
    ),
    ("/etc/group", "carnet:x:1000:\nnogroup:x:65534:\n"),
    ("/etc/hosts", "127.0.0.1 localhost carnet\n::1 localhost\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
];

/// Returns every file of `/etc` that is made anew: path and text.
fn etc_files() -> Vec<(&'static str, String)> {
    let fixed = ETC_FILES.into_iter().map(|(path, text)| (path, text.to_owned()));
    fixed.chain([(LOADER_CONFIGURATION, loader_configuration(Path::new("/etc")))]).collect()
}

/// Returns the directories of `ld.so.conf` and `ld.so.conf.d` as one text: a file costs less than two mounts. Other
/// files that they include are not followed.
fn loader_configuration(etc: &Path) -> String {
    let entries = fs::read_dir(etc.join("ld.so.conf.d")).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    paths.sort();
    paths.push(etc.join("ld.so.conf"));
    let mut directories = String::new();
    for path in paths.iter().take(LOADER_FILES_MAX) {
        let mut text = String::new();
        let opened = fs::File::open(path).map(|file| file.take(LOADER_BYTES_MAX));
        // What cannot be read, or is no text, names no directory.
        let _ = opened.and_then(|mut file| file.read_to_string(&mut text));
        for line in text.lines().map(str::trim).filter(|line| line.starts_with('/')) {
            if directories.len() + line.len() < LOADER_TEXT_BYTES_MAX {
                directories.push_str(line);
                directories.push('\n');
            }
        }
    }
    directories
}

/// How one top-level name looks on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RootEntry {
    /// A link into `/usr`, made again inside.
    Link { name: &'static str, target: PathBuf },
    /// A directory of its own, bound read-only.
    Directory { name: &'static str },
}

/// Descriptors by number that bwrap and the inner stage are given.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    /// The inner executable.
    pub inner_exe: i32,
    /// Where bwrap writes the child's pid.
    pub info: i32,
    /// Made-up files: where, and a read end that holds the text.
    pub files: Vec<(String, i32)>,
}

/// What of the host the command may write.
#[derive(Debug, Clone)]
pub(super) struct Writable {
    /// Bound at [`WORKSPACE`].
    pub workspace: PathBuf,
    /// Bound at `/tmp`; where `None`, that is a tmpfs of its own.
    pub tmp: Option<PathBuf>,
    /// Names below [`CACHES`], and what is bound there; where `None`, that is a tmpfs of its own.
    pub caches: Vec<(String, Option<PathBuf>)>,
}

/// One thing in the root of a run; a place is a path inside, and comes after those that it lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A directory.
    Directory { at: String, mode: u32 },
    /// A link.
    Link { at: String, target: PathBuf },
    /// What the host has at `from`, read-only.
    Host { at: String, from: PathBuf },
    /// A made-up file that everyone may read.
    File { at: &'static str, text: String },
    /// Bytes in place of a file that is there already, read-only.
    Instead { at: String, bytes: Vec<u8> },
    /// A directory that may be written.
    Writable { at: String, from: PathBuf },
    /// The same, in memory of its own.
    Memory { at: String, mode: u32, bytes: u64 },
    /// `/dev`, but for `/dev/shm`.
    Devices,
}

impl Place {
    /// What the host has at the same path, read-only.
    fn as_there(at: String) -> Place {
        Place::Host { from: PathBuf::from(&at), at }
    }
}

/// Returns the toolchains of a run, and where its program is in one and others than root can change it, the bytes that
/// were hashed in that file's place. Settings of theirs are empty.
///
/// # Errors
///
/// What the system says of the program.
pub(super) fn toolchains(spec: &SandboxSpec) -> io::Result<Vec<Place>> {
    let mut places: Vec<Place> = vec![];
    for ToolchainMount { name, dir, is_relocatable } in &spec.toolchains {
        let at = Path::new(TOOLCHAINS).join(name);
        if !is_relocatable && !PLACES.iter().any(|place| dir.starts_with(place)) {
            let own = dir.to_string_lossy().into_owned();
            places.push(Place::Link { at: own, target: at.clone() });
        }
        if let Some(executable) = &spec.executable
            && let Ok(below) = spec.tool.strip_prefix(&at)
            && let Some(bytes) = executable.bytes_of_others()?
        {
            // Behind links, all of them in the toolchain: no other file of the host is shown.
            let program = fs::canonicalize(dir.join(below))?;
            let below = program.strip_prefix(dir).map_err(|_| io::ErrorKind::NotFound)?;
            let at = at.join(below).to_string_lossy().into_owned();
            places.push(Place::Instead { at, bytes });
        }
        // A link that leads out of the toolchain shows nothing, so there is nothing to put in its place.
        let settings = SETTINGS.into_iter().filter_map(|below| {
            let file = fs::canonicalize(dir.join(below)).ok()?;
            let at = at.join(file.strip_prefix(dir).ok()?).to_string_lossy().into_owned();
            file.is_file().then_some(Place::Instead { at, bytes: vec![] })
        });
        places.extend(settings);
        let at = at.to_string_lossy().into_owned();
        places.insert(0, Place::Host { at, from: dir.clone() });
    }
    Ok(places)
}

/// Returns what is in the root of a run on this host, but for `/proc`.
pub(super) fn places(writable: &Writable, quota: &Quota, has_network: bool) -> Vec<Place> {
    let mut places = system(&look_at_root(), &look_at_etc());
    places.extend(etc_files().into_iter().map(|(at, text)| Place::File { at, text }));
    if has_network {
        // Who talks TLS must know whom to trust; the private keys beside them stay out.
        let there = CERTIFICATES.into_iter().filter(|path| Path::new(path).exists());
        places.extend(there.map(|path| Place::as_there(path.to_owned())));
    }
    let (scratch, shared) = scratch_bytes(quota);
    places.push(Place::Devices);
    places.push(Place::Memory { at: "/dev/shm".to_owned(), mode: 0o1777, bytes: shared });
    let own = |at: String, from: &Option<PathBuf>, mode| match from {
        Some(from) => Place::Writable { at, from: from.clone() },
        None => Place::Memory { at, mode, bytes: scratch },
    };
    places.push(own("/tmp".to_owned(), &writable.tmp, 0o1777));
    places.push(Place::Directory { at: "/tmp/home".to_owned(), mode: 0o700 });
    for (name, bound) in &writable.caches {
        places.push(own(format!("{CACHES}/{name}"), bound, 0o755));
    }
    let from = writable.workspace.clone();
    places.push(Place::Writable { at: WORKSPACE.to_owned(), from });
    places
}

fn system(root: &[RootEntry], etc: &[String]) -> Vec<Place> {
    let mut places = vec![Place::as_there("/usr".to_owned())];
    places.extend(root.iter().map(|entry| match entry {
        RootEntry::Link { name, target } => {
            Place::Link { at: format!("/{name}"), target: target.clone() }
        }
        RootEntry::Directory { name } => Place::as_there(format!("/{name}")),
    }));
    places.push(Place::Directory { at: "/etc".to_owned(), mode: 0o755 });
    places.extend(etc.iter().map(|name| Place::as_there(format!("/etc/{name}"))));
    places
}

/// Returns bwrap's arguments where it makes the root itself, of `places`.
pub(super) fn plan(places: &[Place], numbers: &Numbers) -> Vec<OsString> {
    let mut arguments = Arguments(Vec::new());
    arguments.namespaces();
    arguments.add(["--proc", "/proc"]);
    places.iter().for_each(|place| arguments.place(place, &numbers.files));
    arguments.add(["--remount-ro", "/dev", "--remount-ro", "/"]);
    arguments.inner(numbers);
    arguments.0
}

/// Returns bwrap's arguments where the root is at `root` already.
///
/// For every mount that it makes, bwrap reads the list of all mounts; so this costs it a third less.
pub(super) fn plan_over(root: &Path, numbers: &Numbers) -> Vec<OsString> {
    let mut arguments = Arguments(Vec::new());
    arguments.namespaces();
    // What is no device was mounted as such; here devices stay devices.
    arguments.add(["--dev-bind"]).add([root.as_os_str()]).add(["/"]);
    arguments.add(["--proc", "/proc", "--remount-ro", "/"]);
    arguments.inner(numbers);
    arguments.0
}

struct Arguments(Vec<OsString>);

impl Arguments {
    fn add<T: AsRef<std::ffi::OsStr> + ?Sized, const N: usize>(
        &mut self,
        words: [&T; N],
    ) -> &mut Arguments {
        self.0.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    fn namespaces(&mut self) {
        let id = INNER_ID.to_string();
        self.add([
            "--unshare-user",
            "--disable-userns",
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-uts",
        ]);
        self.add([
            "--unshare-net",
            "--unshare-cgroup-try",
            "--uid",
            &id,
            "--gid",
            &id,
            "--hostname",
            HOSTNAME,
        ]);
        self.add(["--cap-drop", "ALL", "--new-session", "--die-with-parent", "--clearenv"]);
    }

    fn inner(&mut self, numbers: &Numbers) {
        self.add(["--chdir", WORKSPACE]);
        self.add(["--info-fd", &numbers.info.to_string(), "--as-pid-1", "--"]);
        self.add([format!("/proc/self/fd/{}", numbers.inner_exe).as_str(), INNER_ARGUMENT]);
    }

    /// - `files`: where made-up files go, and a read end that holds the text.
    fn place(&mut self, place: &Place, files: &[(String, i32)]) {
        let number_of = |at: &str| {
            let file = files.iter().find(|(path, _)| path == at);
            file.map_or(-1, |(_, number)| *number).to_string()
        };
        match place {
            Place::Directory { at, mode } => {
                self.add(["--perms", &format!("{mode:04o}"), "--dir", at])
            }
            Place::Link { at, target } => {
                self.add(["--symlink"]).add([target.as_os_str()]).add([at])
            }
            Place::Host { at, from } => self.add(["--ro-bind"]).add([from.as_os_str()]).add([at]),
            Place::File { at, .. } => self.add(["--perms", "0444", "--file", &number_of(at), at]),
            Place::Instead { at, .. } => {
                self.add(["--perms", "0555", "--ro-bind-data", &number_of(at), at])
            }
            Place::Writable { at, from } => self.add(["--bind"]).add([from.as_os_str()]).add([at]),
            Place::Memory { at, mode, bytes } => {
                let (mode, bytes) = (format!("{mode:04o}"), bytes.to_string());
                self.add(["--perms", &mode, "--size", &bytes, "--tmpfs", at])
            }
            Place::Devices => self.add(["--dev", "/dev"]),
        };
    }
}

/// Returns the sizes in bytes of `/tmp` and `/dev/shm`: both live in memory, so neither is larger than its quota.
pub(super) fn scratch_bytes(quota: &Quota) -> (u64, u64) {
    let page = 4096;
    (quota.disk_bytes.min(quota.memory_bytes).max(page), (quota.memory_bytes / 2).max(page))
}

/// Names what is shown of the host's `/etc`: [`ETC_NAMES`], and where Debian keeps the configuration of a Java under `/usr/lib/jvm`,
/// without which no Java starts.
fn look_at_etc() -> Vec<String> {
    let entries = fs::read_dir("/etc").into_iter().flatten().filter_map(Result::ok);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let java = names.filter(|name| name.starts_with("java-") && name.ends_with("-openjdk"));
    let there = |name: &&str| Path::new("/etc").join(name).exists();
    ETC_NAMES.into_iter().filter(there).map(str::to_owned).chain(java).collect()
}

fn look_at_root() -> Vec<RootEntry> {
    SYSTEM_NAMES.into_iter().filter_map(look_at).collect()
}

fn look_at(name: &'static str) -> Option<RootEntry> {
    let path = Path::new("/").join(name);
    let metadata = fs::symlink_metadata(&path).ok()?;
    if metadata.is_dir() {
        return Some(RootEntry::Directory { name });
    }
    let target = fs::read_link(&path).ok()?;
    let leads_into_usr = target.strip_prefix("/").unwrap_or(&target).starts_with("usr");
    Some(if leads_into_usr {
        RootEntry::Link { name, target }
    } else {
        RootEntry::Directory { name }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(root: &[RootEntry]) -> Vec<Place> {
        let quota = Quota {
            cpu_pct: 80,
            memory_bytes: 64 << 20,
            wall_ms: 1,
            processes: 1,
            disk_bytes: 1 << 20,
            output_bytes: 1,
            parallel: 1,
        };
        let caches = vec![("cargo".to_owned(), None), ("npm".to_owned(), Some("/srv/npm".into()))];
        let writable = Writable { workspace: "/srv/work tree".into(), tmp: None, caches };
        let mut places = system(root, &["ld.so.cache".to_owned()]);
        let here = super::places(&writable, &quota, false);
        let devices = here.iter().position(|place| *place == Place::Devices).unwrap();
        places.extend_from_slice(&here[devices..]);
        places
    }

    fn words(arguments: Vec<OsString>) -> Vec<String> {
        arguments.into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    fn planned(root: &[RootEntry]) -> Vec<String> {
        let numbers =
            Numbers { inner_exe: 20, info: 21, files: vec![("/etc/passwd".to_owned(), 22)] };
        words(plan(&placed(root), &numbers))
    }

    fn planned_over() -> Vec<String> {
        let numbers = Numbers { inner_exe: 20, info: 21, files: vec![] };
        words(plan_over(Path::new("/srv/root"), &numbers))
    }

    fn has(arguments: &[String], words: &[&str]) -> bool {
        arguments.windows(words.len()).any(|window| window == words)
    }

    #[test]
    fn the_directories_of_the_linker_are_one_text() {
        let etc = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(etc.path().join(name), text).unwrap();
        assert_eq!(loader_configuration(etc.path()), "");
        fs::create_dir(etc.path().join("ld.so.conf.d")).unwrap();
        put("ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n/opt/lib\n");
        put("ld.so.conf.d/b.conf", "# mine\n /usr/local/lib \n");
        put("ld.so.conf.d/a.conf", "/usr/lib/x86_64-linux-gnu");
        put("ld.so.conf.d/other", "/never");
        let expect = "/usr/lib/x86_64-linux-gnu\n/usr/local/lib\n/opt/lib\n";
        assert_eq!(loader_configuration(etc.path()), expect);
        put("ld.so.conf", &"/0123456789\n".repeat(10_000));
        assert!(loader_configuration(etc.path()).len() <= LOADER_TEXT_BYTES_MAX);
    }

    #[test]
    fn every_namespace_is_unshared_and_none_may_be_made() {
        for arguments in [planned(&[]), planned_over()] {
            for flag in [
                "--unshare-user",
                "--unshare-pid",
                "--unshare-ipc",
                "--unshare-uts",
                "--unshare-net",
                "--unshare-cgroup-try",
                "--disable-userns",
                "--new-session",
                "--die-with-parent",
                "--clearenv",
            ] {
                assert!(has(&arguments, &[flag]), "{flag}");
            }
            assert!(has(&arguments, &["--cap-drop", "ALL"]));
            assert!(has(&arguments, &["--remount-ro", "/"]));
            assert!(!arguments.iter().any(|argument| argument.starts_with("--share")));
        }
    }

    #[test]
    fn only_the_workspace_and_caches_are_bound_writable() {
        let arguments = planned(&[RootEntry::Directory { name: "lib" }]);
        let writable: Vec<usize> = (0..arguments.len())
            .filter(|idx| ["--bind", "--dev-bind"].contains(&&*arguments[*idx]))
            .collect();
        assert_eq!(writable.len(), 2);
        assert_eq!(arguments[writable[0] + 1..writable[0] + 3], ["/srv/npm", "/cache/npm"]);
        assert_eq!(arguments[writable[1] + 1..writable[1] + 3], ["/srv/work tree", "/workspace"]);
        assert!(has(&arguments, &["--tmpfs", "/cache/cargo"]));
        assert!(has(&arguments, &["--ro-bind", "/lib", "/lib"]));
        assert!(has(&arguments, &["--ro-bind", "/etc/ld.so.cache", "/etc/ld.so.cache"]));
        assert!(has(&arguments, &["--remount-ro", "/"]));
    }

    #[test]
    fn a_merged_usr_is_made_again_with_its_links() {
        let link = RootEntry::Link { name: "bin", target: "usr/bin".into() };
        assert!(has(&planned(&[link]), &["--symlink", "usr/bin", "/bin"]));
    }

    #[test]
    fn the_inner_stage_is_executed_by_descriptor() {
        for arguments in [planned(&[]), planned_over()] {
            let last = ["--", "/proc/self/fd/20", INNER_ARGUMENT].map(str::to_owned);
            assert!(arguments.ends_with(&last));
        }
    }
}
