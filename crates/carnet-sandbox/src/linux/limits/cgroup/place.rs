//! Where on this machine carnet may make groups of its own: found by reading, never by trying.
//!
//! v2: our own group, or the nearest above it that we may write and that gives its children controllers; the limits of
//! everything above stay in force. A group that holds processes cannot give any, so a login session's is passed over for
//! its slice. v1: our own group alone, per controller.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

use super::files::{self, has_word};
use crate::CgroupMode;

/// The controllers that limits use, named as the kernel does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Controller {
    Cpu,
    Memory,
    Pids,
}

impl Controller {
    /// All of them.
    pub const ALL: [Controller; 3] = [Controller::Cpu, Controller::Memory, Controller::Pids];

    /// Returns the kernel's name.
    pub fn name(self) -> &'static str {
        match self {
            Controller::Cpu => "cpu",
            Controller::Memory => "memory",
            Controller::Pids => "pids",
        }
    }
}

/// Where groups may be made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Places {
    /// In the v2 hierarchy: the group to be filled, and the controllers that its children get, possibly none.
    pub v2: Option<(PathBuf, Vec<Controller>)>,
    /// In v1 hierarchies: per controller the group to be filled.
    pub v1: Vec<(Controller, PathBuf)>,
    /// Whether a v2 hierarchy with controllers is mounted at all.
    pub has_v2_controllers: bool,
    /// Whether a v2 hierarchy is mounted.
    pub has_v2: bool,
}

/// Looks at this process's groups.
pub(super) fn find() -> Places {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    find_in(
        &read(Path::new("/proc/self/mountinfo")),
        &read(Path::new("/proc/self/cgroup")),
        |group| {
            let is_ours = access(group, Access::WRITE_OK).is_ok()
                && access(group.join("cgroup.procs"), Access::WRITE_OK).is_ok();
            let type_ = fs::read_to_string(group.join("cgroup.type"));
            // The root of all has no type, and is a domain.
            let is_domain = type_.is_ok_and(|type_| type_.trim() != "domain");
            Look {
                is_ours: is_ours && !is_domain,
                gives: read(&group.join("cgroup.subtree_control")),
            }
        },
        |root| read(&root.join("cgroup.controllers")),
    )
}

/// What a group looks like.
struct Look {
    /// Whether we may make groups in it and move processes into those.
    is_ours: bool,
    /// The controllers that its children get.
    gives: String,
}

fn find_in(
    mountinfo: &str,
    membership: &str,
    look: impl Fn(&Path) -> Look,
    offered_at: impl Fn(&Path) -> String,
) -> Places {
    let mut places = Places::default();
    for mount in files::mounts(mountinfo) {
        match &mount.v1_options {
            Some(options) => {
                for controller in Controller::ALL {
                    let is_new = !places.v1.iter().any(|(it, _)| *it == controller);
                    if is_new && options.iter().any(|option| option == controller.name()) {
                        let own = files::own_group(membership, controller.name(), &mount);
                        let own = own.filter(|own| look(own).is_ours);
                        places.v1.extend(own.map(|own| (controller, own)));
                    }
                }
            }
            None if !places.has_v2 => {
                places.has_v2 = true;
                let offered = offered_at(&mount.dir);
                places.has_v2_controllers =
                    Controller::ALL.iter().any(|it| has_word(&offered, it.name()));
                let own = files::own_group(membership, "", &mount);
                places.v2 = own.and_then(|own| v2_place(&own, &mount.dir, &look));
            }
            None => {}
        }
    }
    places
}

/// Returns the nearest of `own` and the groups above it that gives the most controllers.
fn v2_place(
    own: &Path,
    top: &Path,
    look: &impl Fn(&Path) -> Look,
) -> Option<(PathBuf, Vec<Controller>)> {
    let mut best: Option<(PathBuf, Vec<Controller>)> = None;
    for group in own.ancestors().take_while(|group| group.starts_with(top)) {
        let Look { is_ours, gives } = look(group);
        // What is above a group that is not ours is not ours to reach either.
        if !is_ours {
            break;
        }
        let given: Vec<Controller> =
            Controller::ALL.into_iter().filter(|it| has_word(&gives, it.name())).collect();
        if best.as_ref().is_none_or(|(_, known)| given.len() > known.len()) {
            best = Some((group.to_owned(), given));
        }
    }
    best
}

/// Tells which cgroups this process could use. Never writes.
pub(in crate::linux) fn mode() -> CgroupMode {
    judge(&find(), rustix::process::geteuid().is_root())
}

fn judge(places: &Places, is_root: bool) -> CgroupMode {
    match &places.v2 {
        Some((_, given)) if given.len() == Controller::ALL.len() => {
            return if is_root { CgroupMode::V2Root } else { CgroupMode::V2Delegated };
        }
        _ => {}
    }
    let v2 = places.v2.iter().flat_map(|(_, given)| given);
    let mut controllers: Vec<String> =
        v2.chain(places.v1.iter().map(|(it, _)| it)).map(|it| it.name().to_owned()).collect();
    controllers.sort_unstable();
    controllers.dedup();
    match places {
        _ if !controllers.is_empty() => CgroupMode::Mixed { controllers },
        Places { has_v2_controllers: true, .. } => CgroupMode::V2NotOurs,
        Places { v2: Some(_), .. } => CgroupMode::V2WithoutControllers,
        Places { has_v2: true, .. } => CgroupMode::V2NotOurs,
        _ => CgroupMode::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "30 1 0:26 / /cg rw - cgroup2 cgroup2 rw\n";
    const V1: &str = "40 1 0:30 / /v1/memory rw - cgroup cgroup rw,memory\n41 1 0:31 / /v1/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
    const ALL: &str = "cpu memory pids";

    /// - `ours`: the groups that may be written, with what each gives.
    fn found(mountinfo: &str, membership: &str, ours: &[(&str, &str)], offered: &str) -> Places {
        find_in(
            mountinfo,
            membership,
            |group| {
                let gives = ours.iter().find(|(path, _)| Path::new(path) == group);
                Look { is_ours: gives.is_some(), gives: gives.map_or("", |it| it.1).to_owned() }
            },
            |_| offered.to_owned(),
        )
    }

    fn v2(membership: &str, ours: &[(&str, &str)]) -> Option<(String, usize)> {
        let (dir, given) = found(V2, membership, ours, ALL).v2?;
        Some((dir.to_str().unwrap().to_owned(), given.len()))
    }

    #[test]
    fn the_nearest_group_of_ours_that_gives_controllers_is_filled() {
        let session = "0::/user.slice/u/app.slice/term.scope\n";
        let ours = [
            ("/cg/user.slice/u/app.slice/term.scope", ""),
            ("/cg/user.slice/u/app.slice", ALL),
            ("/cg/user.slice/u", ALL),
        ];
        assert_eq!(v2(session, &ours), Some(("/cg/user.slice/u/app.slice".to_owned(), 3)));
        // Nothing below it is ours: it cannot be reached from here.
        assert_eq!(v2(session, &ours[1..]), None);
        let root = [("/cg", "memory pids")];
        assert_eq!(v2("0::/\n", &root), Some(("/cg".to_owned(), 2)));
        assert_eq!(v2("0::/../elsewhere\n", &root), None);
        assert_eq!(v2("", &root), None);
    }

    #[test]
    fn modes_are_told_apart() {
        let membership = "3:memory:/a\n1:cpu,cpuacct:/\n0::/user\n";
        let check = |mountinfo: &str, ours: &[(&str, &str)], offered: &str, is_root| {
            judge(&found(mountinfo, membership, ours, offered), is_root)
        };
        assert_eq!(check(V2, &[("/cg/user", ALL)], ALL, false), CgroupMode::V2Delegated);
        assert_eq!(check(V2, &[("/cg/user", ""), ("/cg", ALL)], ALL, true), CgroupMode::V2Root);
        assert_eq!(check(V2, &[], ALL, false), CgroupMode::V2NotOurs);
        assert_eq!(check(V2, &[("/cg/user", "")], "", true), CgroupMode::V2WithoutControllers);
        let mixed = |names: &[&str]| CgroupMode::Mixed {
            controllers: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(check(V2, &[("/cg/user", "pids")], ALL, false), mixed(&["pids"]));
        let both = format!("{V1}{V2}");
        let ours = [("/v1/memory/a", ""), ("/v1/cpu", ""), ("/cg/user", "")];
        assert_eq!(check(&both, &ours, "", true), mixed(&["cpu", "memory"]));
        assert_eq!(check(V1, &[("/v1/memory/a", "")], "", true), mixed(&["memory"]));
        assert_eq!(check(V1, &[], "", true), CgroupMode::None);
        assert_eq!(check("", &[], "", true), CgroupMode::None);
    }
}
