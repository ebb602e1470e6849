//! Plans the arguments of bwrap: a pure function of the spec and of how the host's root looks.
//!
//! Invariants: nothing of the host is bound but `/usr`, the loader's configuration and the workspace; only
//! `/workspace`, `/tmp`, `/dev/shm` and the lane's caches can be written; every namespace is unshared.

use std::{
    ffi::OsString,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use carnet_core::Quota;

use crate::{CACHES, HOSTNAME, INNER_ARGUMENT, INNER_ID, WORKSPACE};

/// Top-level names that hold programs and libraries, on hosts with a merged `/usr` and without.
const SYSTEM_NAMES: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// What dynamic programs and Debian's alternatives need of `/etc`.
const ETC_NAMES: [&str; 2] = ["ld.so.cache", "alternatives"];

/// Where systems keep the certificates that they trust.
const CERTIFICATES: [&str; 3] =
    ["/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted"];

/// Where the linker's directories are written.
const LOADER_CONFIGURATION: &str = "/etc/ld.so.conf";
/// Files that it is made of, and bytes of each that are read, at most.
const LOADER_FILES_MAX: usize = 64;
const LOADER_BYTES_MAX: u64 = 16 << 10;
/// Bytes of the whole: it goes through a pipe that no one reads yet.
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
pub(super) fn etc_files() -> Vec<(&'static str, String)> {
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
    /// Made-up files of `/etc`: where, and a read end that holds the text.
    pub etc_files: Vec<(&'static str, i32)>,
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

/// Returns bwrap's arguments for this host.
pub(super) fn plan(
    writable: &Writable,
    quota: &Quota,
    numbers: &Numbers,
    has_network: bool,
) -> Vec<OsString> {
    plan_for(&look_at_root(), &look_at_etc(), writable, quota, numbers, has_network)
}

fn plan_for(
    root: &[RootEntry],
    etc: &[String],
    writable: &Writable,
    quota: &Quota,
    numbers: &Numbers,
    has_network: bool,
) -> Vec<OsString> {
    let mut arguments = Arguments(Vec::new());
    arguments.namespaces();
    arguments.system(root);
    arguments.etc(etc, &numbers.etc_files);
    if has_network {
        arguments.certificates();
    }
    arguments.kernel_file_systems(quota);
    arguments.scratch(writable, quota);
    arguments.add(["--bind"]).add([writable.workspace.as_os_str()]).add([WORKSPACE]);
    arguments.add(["--remount-ro", "/", "--chdir", WORKSPACE]);
    arguments.add(["--info-fd", &numbers.info.to_string(), "--as-pid-1", "--"]);
    arguments.add([format!("/proc/self/fd/{}", numbers.inner_exe).as_str(), INNER_ARGUMENT]);
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

    fn system(&mut self, root: &[RootEntry]) {
        self.add(["--ro-bind", "/usr", "/usr"]);
        for entry in root {
            match entry {
                RootEntry::Link { name, target } => {
                    self.add(["--symlink"]).add([target.as_os_str()]).add([&format!("/{name}")]);
                }
                RootEntry::Directory { name } => {
                    let path = format!("/{name}");
                    self.add(["--ro-bind", &path, &path]);
                }
            }
        }
    }

    fn etc(&mut self, names: &[String], files: &[(&'static str, i32)]) {
        self.add(["--dir", "/etc"]);
        for name in names {
            let path = format!("/etc/{name}");
            self.add(["--ro-bind-try", &path, &path]);
        }
        for (path, number) in files {
            self.add(["--perms", "0444", "--file", &number.to_string(), path]);
        }
    }

    /// Who talks TLS must know whom to trust; the private keys beside them stay out.
    fn certificates(&mut self) {
        for path in CERTIFICATES {
            self.add(["--ro-bind-try", path, path]);
        }
    }

    fn kernel_file_systems(&mut self, quota: &Quota) {
        let (_, shared) = scratch_bytes(quota);
        self.add([
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--perms",
            "1777",
            "--size",
            &shared.to_string(),
        ]);
        self.add(["--tmpfs", "/dev/shm", "--remount-ro", "/dev"]);
    }

    fn scratch(&mut self, writable: &Writable, quota: &Quota) {
        match &writable.tmp {
            Some(tmp) => self.add(["--bind"]).add([tmp.as_os_str()]).add(["/tmp"]),
            None => {
                let (scratch, _) = scratch_bytes(quota);
                self.add(["--perms", "1777", "--size", &scratch.to_string(), "--tmpfs", "/tmp"])
            }
        };
        self.add(["--perms", "0700", "--dir", "/tmp/home"]);
        for (name, bound) in &writable.caches {
            let inside = format!("{CACHES}/{name}");
            match bound {
                Some(bound) => self.add(["--bind"]).add([bound.as_os_str()]).add([&inside]),
                None => {
                    let (scratch, _) = scratch_bytes(quota);
                    let size = scratch.to_string();
                    self.add(["--perms", "0755", "--size", &size, "--tmpfs", &inside])
                }
            };
        }
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
    ETC_NAMES.into_iter().map(str::to_owned).chain(java).collect()
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

    fn planned(root: &[RootEntry]) -> Vec<String> {
        let quota = Quota {
            cpu_pct: 80,
            memory_bytes: 64 << 20,
            wall_ms: 1,
            processes: 1,
            disk_bytes: 1 << 20,
            output_bytes: 1,
            parallel: 1,
        };
        let numbers = Numbers { inner_exe: 20, info: 21, etc_files: vec![("/etc/passwd", 22)] };
        let caches = vec![("cargo".to_owned(), None), ("npm".to_owned(), Some("/srv/npm".into()))];
        let writable = Writable { workspace: "/srv/work tree".into(), tmp: None, caches };
        let arguments =
            plan_for(root, &["ld.so.cache".to_owned()], &writable, &quota, &numbers, false);
        arguments.into_iter().map(|argument| argument.into_string().unwrap()).collect()
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
        let arguments = planned(&[]);
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
        assert!(!arguments.iter().any(|argument| argument.starts_with("--share")));
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
        let bound = has(&arguments, &["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]);
        assert!(bound);
        assert!(has(&arguments, &["--remount-ro", "/"]));
    }

    #[test]
    fn a_merged_usr_is_made_again_with_its_links() {
        let link = RootEntry::Link { name: "bin", target: "usr/bin".into() };
        assert!(has(&planned(&[link]), &["--symlink", "usr/bin", "/bin"]));
    }

    #[test]
    fn the_inner_stage_is_executed_by_descriptor() {
        assert!(planned(&[]).ends_with(&[
            "--".to_owned(),
            "/proc/self/fd/20".to_owned(),
            INNER_ARGUMENT.to_owned()
        ]));
    }
}
