//! The little languages of cgroup files, and of the two files of /proc that say where the groups are.
//!
//! Parsers take text and answer `None`, or nothing, for what they do not understand; they never fail.

use std::path::{Path, PathBuf};

/// Returns the number behind `key` in a file of lines `key value` (`cpu.stat`, `memory.events`, `memory.oom_control`).
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Returns the number that is the whole file; `max` is none.
pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Tells whether a list of words (`cgroup.subtree_control`) has `word`.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    text.split_ascii_whitespace().any(|it| it == word)
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where it is mounted.
    pub dir: PathBuf,
    /// Which of its groups is seen there.
    pub root: PathBuf,
    /// The v1 controllers and options of the mount; `None` for v2.
    pub v1_options: Option<Vec<String>>,
}

/// Returns the cgroup mounts of /proc/self/mountinfo (proc_pid_mountinfo(5)), in their order.
pub(super) fn mounts(text: &str) -> Vec<Mount> {
    text.lines().filter_map(mount).collect()
}

fn mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, dir) = (unescaped(left.next()?), unescaped(left.next()?));
    let mut right = right.split(' ');
    let v1_options = match right.next()? {
        "cgroup2" => None,
        "cgroup" => Some(right.nth(1)?.split(',').map(str::to_owned).collect()),
        _ => return None,
    };
    dir.is_absolute().then_some(Mount { dir, root, v1_options })
}

/// Undoes the octal escapes of /proc: `\040` is a space.
fn unescaped(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut idx = 0;
    while idx < bytes.len() {
        let escape = (bytes[idx] == b'\\').then(|| bytes.get(idx + 1..idx + 4)).flatten();
        let code = escape
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(code.unwrap_or(bytes[idx]));
        idx += if code.is_some() { 4 } else { 1 };
    }
    PathBuf::from(std::ffi::OsString::from_vec(plain))
}

/// Returns the directory of our own group in the hierarchy of `controller` (v2: the empty name), from the text of
/// /proc/self/cgroup. `None` where it lies outside of what the mount shows.
pub(super) fn own_group(membership: &str, controller: &str, mount: &Mount) -> Option<PathBuf> {
    let of_line = |line: &str| {
        let (names, group) = line.split_once(':')?.1.split_once(':')?;
        names.split(',').any(|name| name == controller).then(|| PathBuf::from(group))
    };
    let group = membership.lines().find_map(of_line)?;
    let below = group.strip_prefix(&mount.root).ok()?;
    let is_plain = below.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    is_plain.then(|| if below == Path::new("") { mount.dir.clone() } else { mount.dir.join(below) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_whole_words() {
        let text = "oom 3\noom_kill 7\nmax x\nlow\n";
        assert_eq!((keyed(text, "oom"), keyed(text, "oom_kill")), (Some(3), Some(7)));
        assert_eq!(
            (keyed(text, "max"), keyed(text, "low"), keyed(text, "kill")),
            (None, None, None)
        );
        assert_eq!(
            (number("12\n"), number("max\n"), number("-1"), number("")),
            (Some(12), None, None, None)
        );
        assert!(has_word("cpu memory pids\n", "cpu") && !has_word("cpuset\n", "cpu"));
    }

    #[test]
    fn mounts_are_read_with_their_escapes() {
        let text = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n\
            40 1 0:30 /docker/a /cg\\040v1/memory rw shared:9 - cgroup cgroup rw,memory\n\
            41 1 8:1 / / rw - ext4 /dev/vda rw\n";
        let found = mounts(text);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].dir.as_path(), &found[0].v1_options),
            (Path::new("/sys/fs/cgroup"), &None)
        );
        assert_eq!(found[1].dir, Path::new("/cg v1/memory"));
        assert_eq!(found[1].root, Path::new("/docker/a"));
        assert_eq!(found[1].v1_options.as_ref().unwrap()[1], "memory");
    }

    #[test]
    fn our_group_is_found_per_controller_and_never_above_the_mount() {
        let at = |root: &str| Mount { dir: "/cg".into(), root: root.into(), v1_options: None };
        let membership = "4:cpu,cpuacct:/b\n3:memory:/docker/a/x\n2:name=systemd:/c:d\n0::/user\n";
        let own = |controller, root: &str| own_group(membership, controller, &at(root));
        assert_eq!(own("cpu", "/"), Some("/cg/b".into()));
        assert_eq!(own("", "/"), Some("/cg/user".into()));
        assert_eq!(own("memory", "/docker/a"), Some("/cg/x".into()));
        assert_eq!(own("memory", "/docker/a/x"), Some("/cg".into()));
        assert_eq!(own("name=systemd", "/"), Some("/cg/c:d".into()));
        assert_eq!((own("pids", "/"), own("memory", "/docker/ab")), (None, None));
        assert_eq!(own_group("0::/../other\n", "", &at("/")), None);
        assert_eq!(own_group("0::/../other\n", "", &at("/../other")), Some("/cg".into()));
    }

    proptest! {
        #[test]
        fn hostile_text_is_nothing_or_a_number_that_stands_there(text in "[ \\n:/,.\\-0-9a-z\\\\]{0,200}", key in "[a-z]{1,3}") {
            if let Some(found) = keyed(&text, &key) {
                let stands = text.lines().any(|line| {
                    let mut words = line.splitn(2, ' ');
                    words.next() == Some(key.as_str())
                        && words.next().is_some_and(|word| word.trim().parse() == Ok(found))
                });
                prop_assert!(stands);
            }
            let _ = number(&text);
        }

        #[test]
        fn no_membership_leads_out_of_its_mount(membership in "([0-9]:[a-z,]{0,6}:/?[./a-z]{0,12}\\n){0,4}", mountinfo in "([0-9 /a-z.\\\\]{0,30} - cgroup2? [a-z]{1,3} [a-z,]{0,9}\\n){0,4}", any in any::<String>()) {
            for text in [mountinfo.as_str(), any.as_str()] {
                for mount in mounts(text) {
                    for controller in ["", "cpu"] {
                        if let Some(group) = own_group(&membership, controller, &mount) {
                            prop_assert!(group.starts_with(&mount.dir));
                            prop_assert!(!group.strip_prefix(&mount.dir).unwrap().components().any(|part| part == std::path::Component::ParentDir));
                        }
                    }
                }
            }
        }

        #[test]
        fn escapes_come_back(path in "[ -~\\n\\t]{0,40}") {
            let escaped: String = path.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("\\{byte:03o}") }).collect();
            prop_assert_eq!(unescaped(&escaped), PathBuf::from(path));
        }
    }
}
