//! Reads the few files of /proc that tell what a process is, has and may.
//!
//! Parsers take text and answer `None` for what they do not understand; nothing here trusts a process's name,
//! which may hold spaces, parentheses and line breaks.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// The kernel's USER_HZ is 100 on every architecture that carnet is built for.
const TICK_MS: u64 = 10;

/// The lines of `/proc/<pid>/status` that confinement rests on (proc_pid_status(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    /// Real, effective, saved and file-system user id, in the reader's user namespace.
    pub uids: Vec<u32>,
    /// The same of the group.
    pub gids: Vec<u32>,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Whether every capability set is empty: inheritable, permitted, effective, bounding, ambient.
    pub has_no_capabilities: bool,
    /// Whether `no_new_privs` is set.
    pub no_new_privs: bool,
}

/// What one process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    /// Its parent.
    pub parent: i32,
    /// Whether a signal has stopped it.
    pub is_stopped: bool,
    /// When it began, in ticks since the machine did: with its number, its identity.
    pub begun_ticks: u64,
    /// Its threads.
    pub n_threads: u32,
    /// Processor time in user mode, its own and that of children it reaped, in milliseconds.
    pub user_ms: u64,
    /// The same in the kernel.
    pub system_ms: u64,
    /// Its resident pages, shared ones included.
    pub resident_pages: u64,
}

/// Reads a file of the kernel's making, of the size of a page or so: without asking for a size that it does not have, and in as
/// few calls as that takes.
pub(super) fn read(path: impl AsRef<Path>) -> Option<String> {
    let mut file = fs::File::open(path).ok()?;
    let (mut text, mut part) = (Vec::new(), [0; 4096]);
    loop {
        match file.read(&mut part) {
            Ok(0) => return Some(String::from_utf8_lossy(&text).into_owned()),
            Ok(n_bytes) => text.extend_from_slice(&part[..n_bytes]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// Reads `/proc/<pid>/status`; `pid` may be `self`.
pub(super) fn status(pid: &str) -> Option<Status> {
    parse_status(&read(format!("/proc/{pid}/status"))?)
}

/// Reads `/proc/<pid>/stat`.
pub(super) fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&read(format!("/proc/{pid}/stat"))?)
}

/// Appends the children of every thread of `pid`.
pub(super) fn children(pid: i32, n_threads: u32, into: &mut Vec<i32>) {
    let mut add = |path: String| {
        let text = read(path).unwrap_or_default();
        into.extend(text.split_ascii_whitespace().filter_map(|child| child.parse::<i32>().ok()));
    };
    if n_threads == 1 {
        return add(format!("/proc/{pid}/task/{pid}/children"));
    }
    for entry in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        add(format!("/proc/{pid}/task/{}/children", entry.file_name().to_string_lossy()));
    }
}

/// The proportional set of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Proportional {
    /// All of it, swapped pages included.
    pub total_bytes: u64,
    /// Its part of files in memory.
    pub shared_bytes: u64,
}

/// Returns the proportional set of `pid`.
pub(super) fn proportional(pid: i32) -> Option<Proportional> {
    parse_rollup(&read(format!("/proc/{pid}/smaps_rollup"))?)
}

/// Adds the files without a name that `pid` holds in memory (memfd_create(2)): bytes by inode. `None` where its
/// descriptors cannot be seen.
pub(super) fn memory_files(pid: i32, into: &mut BTreeMap<u64, u64>) -> Option<()> {
    use std::os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _};
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten() {
        let path = entry.path();
        let is_one = |target: PathBuf| target.as_os_str().as_bytes().starts_with(b"/memfd:");
        if fs::read_link(&path).is_ok_and(is_one)
            && let Ok(metadata) = fs::metadata(&path)
        {
            into.insert(metadata.ino(), metadata.blocks().saturating_mul(512));
        }
    }
    Some(())
}

/// Returns the bytes that `pid`, with all that it has reaped, read from storage and wrote there.
pub(super) fn storage_bytes(pid: i32) -> Option<(u64, u64)> {
    parse_io(&read(format!("/proc/{pid}/io"))?)
}

/// Returns the names of the network interfaces this process sees.
pub(super) fn interfaces() -> Option<Vec<String>> {
    Some(parse_interfaces(&read("/proc/self/net/dev")?))
}

fn parse_status(text: &str) -> Option<Status> {
    let line = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let numbers = |name: &str| -> Option<Vec<u32>> {
        line(name)?.split_ascii_whitespace().map(|number| number.parse().ok()).collect()
    };
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let sets: Option<Vec<u64>> =
        sets.into_iter().map(|set| u64::from_str_radix(line(set)?, 16).ok()).collect();
    Some(Status {
        uids: numbers("Uid")?,
        gids: numbers("Gid")?,
        groups: numbers("Groups")?,
        has_no_capabilities: sets?.iter().all(|set| *set == 0),
        no_new_privs: line("NoNewPrivs")? == "1",
    })
}

fn parse_stat(text: &str) -> Option<Stat> {
    let (_, after_name) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
    let milliseconds =
        |idx: usize| Some(fields.get(idx)?.parse::<u64>().ok()?.saturating_mul(TICK_MS));
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        is_stopped: *fields.first()? == "T",
        begun_ticks: fields.get(19)?.parse().ok()?,
        user_ms: milliseconds(11)?.saturating_add(milliseconds(13)?),
        system_ms: milliseconds(12)?.saturating_add(milliseconds(14)?),
        n_threads: fields.get(17)?.parse().ok()?,
        resident_pages: fields.get(21)?.parse().ok()?,
    })
}

fn parse_rollup(text: &str) -> Option<Proportional> {
    let kilobytes = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    let swapped = kilobytes("SwapPss:").unwrap_or(0);
    Some(Proportional {
        total_bytes: kilobytes("Pss:")?.saturating_add(swapped).saturating_mul(1024),
        shared_bytes: kilobytes("Pss_Shmem:").unwrap_or(0).saturating_mul(1024),
    })
}

fn parse_io(text: &str) -> Option<(u64, u64)> {
    let number = |name: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
    };
    Some((number("read_bytes:")?, number("write_bytes:")?))
}

fn parse_interfaces(text: &str) -> Vec<String> {
    let names = text.lines().skip(2).filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_and_a_single_capability_is_seen() {
        let text = "Name:\ta\nUid:\t1000\t1000\t1000\t1000\nGid:\t5\t5\t5\t5\nGroups:\t 4 20 \nCapInh:\t0\nCapPrm:\t0\nCapEff:\t0\nCapBnd:\t0000000000000000\nCapAmb:\t0\nNoNewPrivs:\t1\n";
        let status = parse_status(text).unwrap();
        assert_eq!((status.uids, status.groups), (vec![1000; 4], vec![4, 20]));
        assert!(status.has_no_capabilities && status.no_new_privs);
        let capable = text.replace("CapBnd:\t0000000000000000", "CapBnd:\t0000000000000001");
        assert!(!parse_status(&capable).unwrap().has_no_capabilities);
        assert_eq!(parse_status(&text.replace("CapAmb:\t0\n", "")), None);
        assert_eq!(parse_status(""), None);
    }

    #[test]
    fn a_name_cannot_forge_a_stat() {
        let fields = "S 7 1 1 0 -1 4194560 1 0 0 0 1 2 3 4 20 0 3 0 100 4096 55 1";
        let honest = Stat {
            parent: 7,
            is_stopped: false,
            begun_ticks: 100,
            n_threads: 3,
            user_ms: 40,
            system_ms: 60,
            resident_pages: 55,
        };
        assert_eq!(parse_stat(&format!("12 (sh) {fields}")), Some(honest));
        assert_eq!(parse_stat(&format!("12 (x) S 1 1) (y\n) {fields}")), Some(honest));
        assert_eq!(parse_stat("12 (sh"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let own = stat(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.resident_pages > 0 && own.n_threads >= 1);
        let set = proportional(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(set.total_bytes > 0 && set.shared_bytes <= set.total_bytes);
        assert_eq!(status("self").unwrap().uids.len(), 4);
        assert_eq!(stat(-1), None);
    }

    #[test]
    fn storage_is_told_apart_from_characters() {
        let text = "rchar: 9\nwchar: 8\nsyscr: 1\nread_bytes: 4096\nwrite_bytes: 512\ncancelled_write_bytes: 7\n";
        assert_eq!(parse_io(text), Some((4096, 512)));
        assert_eq!(parse_io("read_bytes: x\nwrite_bytes: 1\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_fall(text in "[ -~\n\t]{0,300}", numbers in proptest::collection::vec(proptest::prelude::any::<u64>(), 0..30)) {
            let joined: String = numbers.iter().map(|number| format!("{number} ")).collect();
            for text in [text.clone(), format!("1 ({text}) S {joined}"), format!("Pss: {joined}kB\nSwapPss: {text} kB"), format!("Pss: {} kB\nSwapPss: {} kB\n", u64::MAX, u64::MAX)] {
                let _ = (parse_status(&text), parse_stat(&text), parse_rollup(&text), parse_io(&text), parse_interfaces(&text));
            }
        }

        #[test]
        fn no_name_changes_what_a_stat_says(name in "[ -~\n]{0,15}") {
            let fields = "R 7 1 1 0 -1 4194560 1 0 0 0 1 2 3 4 20 0 3 0 100 4096 55 1";
            let told = parse_stat(&format!("12 ({name}) {fields}"));
            proptest::prop_assert_eq!(told, parse_stat(&format!("12 (sh) {fields}")));
        }
    }

    #[test]
    fn interfaces_are_named() {
        let text = "Inter-|\n face |bytes\n    lo:       0\n  eth0: 1\n";
        assert_eq!(parse_interfaces(text), ["lo", "eth0"]);
    }
}
