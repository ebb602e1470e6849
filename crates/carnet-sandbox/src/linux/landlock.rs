//! Plans the Landlock ruleset of the command: which places it may use how, by the ABI that the kernel offers.
//!
//! The mounts say the same; Landlock says it once more, in another part of the kernel, and adds what mounts
//! cannot: no device commands, no signals and abstract sockets out of the run. The ruleset is put on the
//! command's process only: carnet's first process stays outside, out of its reach.

use std::{io, os::fd::OwnedFd};

use carnet_core::EnforcementLevel;
use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
};

use super::sys::confine::{self, RulesetAttributes};
use crate::{
    CACHES, TOOLCHAINS, WORKSPACE,
    probe::{LANDLOCK_ABI_FULL, LANDLOCK_ABI_MIN},
};

// Accesses to files (linux/landlock.h).
const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_BLOCK: u64 = 1 << 11;
/// All thirteen of ABI 1: the above, removing, and making of every kind.
const ALL_OF_ABI_1: u64 = (1 << 13) - 1;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEVICE: u64 = 1 << 15;
/// Accesses that a rule on something else than a directory may name.
const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE;

/// Abstract unix sockets, and signals.
const SCOPES: u64 = 0b11;

/// Since ABI 7: refusals before the command is executed, which are our own trials, are not told to the auditor.
const QUIET_UNTIL_EXECUTED: u32 = 1;

/// A place, what may be done there, and whether a sandbox without it is not the one that was planned.
type Rule = (&'static str, u64, bool);

const READ: u64 = READ_FILE | READ_DIR;
const RUN: u64 = READ | EXECUTE;
/// Everything but devices; moves between directories stay within one place, since each is a mount of its own.
const OWN: u64 = (ALL_OF_ABI_1 & !MAKE_CHAR & !MAKE_BLOCK) | REFER | TRUNCATE;
const DEVICE: u64 = READ_FILE | WRITE_FILE | TRUNCATE;

/// How a place is opened for a rule.
const PLACE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// The places, and each toolchain besides. `/dev/random` and `/dev/urandom` are read only: what is written there reaches the host's own pool.
const RULES: [Rule; 23] = [
    ("/", READ_DIR, true),
    ("/usr", RUN, true),
    ("/bin", RUN, false),
    ("/sbin", RUN, false),
    ("/lib", RUN, false),
    ("/lib32", RUN, false),
    ("/lib64", RUN, false),
    ("/libx32", RUN, false),
    ("/etc", READ, true),
    ("/proc", READ, true),
    (WORKSPACE, OWN, true),
    ("/tmp", OWN, true),
    (CACHES, OWN, false),
    ("/dev/shm", OWN, true),
    ("/dev/null", DEVICE, true),
    ("/dev/zero", DEVICE, true),
    ("/dev/full", DEVICE, true),
    ("/dev/random", READ_FILE, true),
    ("/dev/urandom", READ_FILE, true),
    ("/dev/tty", DEVICE | IOCTL_DEVICE, false),
    ("/dev/console", DEVICE | IOCTL_DEVICE, false),
    ("/dev/ptmx", DEVICE | IOCTL_DEVICE, false),
    ("/dev/pts", READ | DEVICE | IOCTL_DEVICE, false),
];

/// Returns the level and the words of the receipt for a kernel that offers `abi`, where the ruleset was applied.
pub(super) fn held(abi: Option<u32>) -> (EnforcementLevel, String) {
    let Some(abi) = abi else {
        return (EnforcementLevel::None, "this kernel has none, or it is off".to_owned());
    };
    if abi < LANDLOCK_ABI_MIN {
        let detail = format!("not applied: ABI {abi} would refuse every move between directories");
        return (EnforcementLevel::None, detail);
    }
    let parts =
        [("files", 2), ("truncation", 3), ("devices", 5), ("abstract sockets and signals", 6)];
    let list = |holds: bool| {
        let named = parts.iter().filter(|(_, since)| (abi >= *since) == holds);
        named.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    };
    if abi >= LANDLOCK_ABI_FULL {
        (EnforcementLevel::Full, format!("ABI {abi}: {}", list(true)))
    } else {
        let detail = format!("ABI {abi}: {}; not {}", list(true), list(false));
        (EnforcementLevel::Partial, detail)
    }
}

/// Returns the ruleset for a kernel that offers `abi` and the flags to apply it with; `None` where it is too old to
/// be used.
///
/// # Errors
///
/// What the kernel did not take, or the place that is not there.
pub(super) fn ruleset(abi: u32) -> io::Result<Option<(OwnedFd, u32)>> {
    if abi < LANDLOCK_ABI_MIN {
        return Ok(None);
    }
    let (attributes, size_bytes) = attributes(abi);
    let ruleset = confine::create_ruleset(&attributes, size_bytes)?;
    for (place, allowed, is_required) in RULES {
        match openat(CWD, place, PLACE, Mode::empty()) {
            Err(Errno::NOENT) if !is_required => {}
            opened => allow(&ruleset, opened?, allowed & attributes.files)?,
        }
    }
    // Each by itself: a program that was opened outside is known by the directories that it lies in there.
    for toolchain in std::fs::read_dir(TOOLCHAINS).into_iter().flatten() {
        let opened = openat(CWD, toolchain?.path(), PLACE, Mode::empty())?;
        allow(&ruleset, opened, RUN & attributes.files)?;
    }
    Ok(Some((ruleset, if abi >= 7 { QUIET_UNTIL_EXECUTED } else { 0 })))
}

fn allow(ruleset: &OwnedFd, place: OwnedFd, allowed: u64) -> io::Result<()> {
    let stat = rustix::fs::fstat(&place)?;
    let is_directory =
        rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory;
    let kind = if is_directory { u64::MAX } else { OF_FILES };
    confine::add_rule(ruleset, place, allowed & kind)
}

/// Returns what is handled, and how much of the struct an `abi` knows.
fn attributes(abi: u32) -> (RulesetAttributes, usize) {
    let since = |since: u32, bits: u64| if abi >= since { bits } else { 0 };
    let files = ALL_OF_ABI_1 | since(2, REFER) | since(3, TRUNCATE) | since(5, IOCTL_DEVICE);
    // TCP is left to the network namespace, whose own loopback is all there is: test runners listen on it.
    let attributes = RulesetAttributes { files, network: 0, scopes: since(6, SCOPES) };
    let size_bytes = match abi {
        ..4 => 8,
        4..6 => 16,
        6.. => 24,
    };
    (attributes, size_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_abi_is_asked_for_what_it_knows_and_no_more() {
        let check = |abi, files: u64, network, scopes, size_bytes| {
            let expect = (RulesetAttributes { files, network, scopes }, size_bytes);
            assert_eq!(attributes(abi), expect, "ABI {abi}");
        };
        check(2, 0x3fff, 0, 0, 8);
        check(3, 0x7fff, 0, 0, 8);
        check(4, 0x7fff, 0, 0, 16);
        check(5, 0xffff, 0, 0, 16);
        check(6, 0xffff, 0, 3, 24);
        check(99, 0xffff, 0, 3, 24);
    }

    #[test]
    fn only_four_places_can_be_written_and_none_can_hold_a_device() {
        let making = ALL_OF_ABI_1 & !(EXECUTE | WRITE_FILE | READ_FILE | READ_DIR);
        let own: Vec<&str> =
            RULES.iter().filter(|rule| rule.1 & making != 0).map(|rule| rule.0).collect();
        assert_eq!(own, ["/workspace", "/tmp", "/cache", "/dev/shm"]);
        assert!(RULES.iter().all(|rule| rule.1 & (MAKE_CHAR | MAKE_BLOCK) == 0));
        let written = RULES.iter().filter(|rule| rule.1 & WRITE_FILE != 0);
        assert!(written.clone().all(|rule| rule.0.starts_with("/dev/") || own.contains(&rule.0)));
        // What proves that the ruleset holds must not be allowed by it.
        assert!(!written.clone().any(|rule| ["/", "/dev", "/dev/random"].contains(&rule.0)));
    }

    #[test]
    fn the_receipt_says_what_an_old_abi_does_not_hold() {
        use EnforcementLevel::{Full, None, Partial};
        for (abi, level) in [
            (Option::None, None),
            (Some(1), None),
            (Some(2), Partial),
            (Some(5), Partial),
            (Some(6), Full),
            (Some(9), Full),
        ] {
            assert_eq!(held(abi).0, level, "{abi:?}");
        }
        assert_eq!(
            held(Some(4)).1,
            "ABI 4: files, truncation; not devices, abstract sockets and signals"
        );
    }

    #[test]
    fn an_abi_too_old_to_be_used_gives_no_ruleset() {
        assert!(ruleset(1).unwrap().is_none());
    }
}
