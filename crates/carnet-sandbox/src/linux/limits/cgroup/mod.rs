//! Limits held by cgroups, each by the best hierarchy that has its controller; what none holds is left to polling.

mod files;
mod group;
mod place;

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use carnet_core::{Enforcement, EnforcementLevel, LimitKind, Quota};

pub(in crate::linux) use self::place::mode;
use self::{
    files::{keyed, number},
    group::Group,
    place::{Controller, Places},
};
use super::{
    Limits, TreeUsage, item,
    polling::{Duties, Polling},
    processors,
};
use crate::linux::wire::ProcessLimit;

/// The period over which a share of the processors is granted, in microseconds: the kernel's own default.
const PERIOD_US: u64 = 100_000;
/// Time between two looks at what the kernel has counted.
const INTERVAL: Duration = Duration::from_millis(20);
/// The inner stage is in the group as well.
const N_OWN_PROCESSES: u64 = 1;

/// Which language a group speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl Version {
    fn name(self) -> &'static str {
        match self {
            Version::V1 => "cgroup v1",
            Version::V2 => "cgroup v2",
        }
    }
}

/// A controller that holds its limit, and the group that it does so in.
#[derive(Debug, Clone)]
struct Held {
    controller: Controller,
    version: Version,
    group: Rc<Group>,
}

/// The backend: groups where there are any, polling for the rest.
pub(super) struct Cgroups {
    quota: Quota,
    held: Vec<Held>,
    /// The group in the v2 hierarchy, with controllers or without: it counts time, freezes and kills.
    tree: Option<Rc<Group>>,
    /// `delegated` or `root`: how we come to the v2 group.
    by: &'static str,
    polling: Polling,
    seen: TreeUsage,
}

impl Cgroups {
    /// Makes the groups of one run and sets their limits. What cannot be set is left to `polling`.
    pub(super) fn make(quota: Quota, polling: Polling) -> Cgroups {
        let by = if rustix::process::geteuid().is_root() { "root" } else { "delegated" };
        let mut made = Cgroups {
            quota,
            held: Vec::new(),
            tree: None,
            by,
            polling,
            seen: TreeUsage::default(),
        };
        made.fill(&place::find());
        made.share_duties();
        made
    }

    fn fill(&mut self, places: &Places) {
        if let Some((parent, given)) = &places.v2
            && let Ok(group) = Group::make(parent, given)
        {
            let group = Rc::new(group);
            for controller in given {
                self.hold(*controller, Version::V2, &group);
            }
            self.tree = Some(group);
        }
        // Controllers that are mounted together share one group.
        let mut groups: Vec<(&Path, Rc<Group>)> = Vec::new();
        for (controller, parent) in &places.v1 {
            if self.of(*controller).is_some() {
                continue;
            }
            let known = groups.iter().find(|(it, _)| it == parent).map(|(_, group)| group.clone());
            let group = match known {
                Some(group) => group,
                None => match Group::make(parent, &[]) {
                    Ok(group) => {
                        let group = Rc::new(group);
                        groups.push((parent, group.clone()));
                        group
                    }
                    Err(_) => continue,
                },
            };
            self.hold(*controller, Version::V1, &group);
        }
    }

    fn hold(&mut self, controller: Controller, version: Version, group: &Rc<Group>) {
        let held = Held { controller, version, group: group.clone() };
        if held.set(&self.quota).is_ok() {
            self.held.push(held);
        }
    }

    fn of(&self, controller: Controller) -> Option<&Held> {
        self.held.iter().find(|held| held.controller == controller)
    }

    /// Leaves to polling what no group holds.
    fn share_duties(&mut self) {
        self.polling.duties = Duties {
            cpu: self.of(Controller::Cpu).is_none(),
            memory: self.of(Controller::Memory).is_none(),
            processes: self.of(Controller::Pids).is_none(),
        };
        self.polling.tree = self.tree.clone().map(Tree);
    }

    fn passed(&self) -> Option<LimitKind> {
        self.held.iter().find_map(Held::passed)
    }

    fn look(&mut self) {
        let mut now = TreeUsage::default();
        for held in &self.held {
            held.measure(&mut now);
        }
        if let Some((user_ms, system_ms)) = self.polling.tree.as_ref().and_then(Tree::times_ms) {
            now = TreeUsage { user_ms, system_ms, ..now };
        }
        self.seen = self.seen.max(now);
    }
}

impl Limits for Cgroups {
    fn leftovers(&self) -> Vec<PathBuf> {
        let groups = self.held.iter().map(|held| &held.group).chain(&self.tree);
        let mut paths: Vec<PathBuf> = groups.map(|group| group.path().to_owned()).collect();
        // `carnet` itself goes with its last group.
        let own = paths.iter().filter_map(|path| path.parent().map(Path::to_owned));
        paths.extend(own.collect::<Vec<_>>());
        let mut seen = BTreeSet::new();
        paths.retain(|path| seen.insert(path.clone()));
        paths
    }

    fn process_limits(&self) -> Vec<(ProcessLimit, u64)> {
        self.polling.process_limits()
    }

    fn attach(&mut self, init: i32) -> io::Result<()> {
        self.held.retain(|held| held.group.take(init).is_ok());
        if self.tree.as_ref().is_some_and(|tree| tree.take(init).is_err()) {
            self.tree = None;
        }
        self.share_duties();
        self.polling.attach(init)
    }

    fn check(&mut self) -> Option<LimitKind> {
        self.look();
        self.passed().or_else(|| self.polling.check())
    }

    fn interval(&self) -> Duration {
        self.polling.interval().min(INTERVAL)
    }

    fn last_look(&mut self) -> Option<LimitKind> {
        // What was used is asked once more when all is reaped.
        self.passed().or_else(|| self.polling.last_look())
    }

    fn usage(&mut self) -> TreeUsage {
        self.look();
        self.seen.max(self.polling.usage())
    }

    fn enforcement(&self) -> Vec<Enforcement> {
        let mut lines = self.polling.enforcement();
        for held in &self.held {
            let (limit, detail) = held.told(&self.quota);
            let by =
                if held.version == Version::V2 { format!(", {}", self.by) } else { String::new() };
            let detail = format!("{}{by}: {detail}", held.version.name());
            if let Some(line) = lines.iter_mut().find(|line| line.mechanism == limit.name()) {
                *line = item(limit.name(), EnforcementLevel::Full, detail);
            }
        }
        lines
    }
}

impl Drop for Cgroups {
    /// Whatever ended the supervision, nothing stays in the groups.
    fn drop(&mut self) {
        if let Some(tree) = &self.tree {
            tree.kill();
        }
    }
}

impl Held {
    fn set(&self, quota: &Quota) -> io::Result<()> {
        let group = &self.group;
        let memory = quota.memory_bytes.to_string();
        // All of the processors is no share: the kernel would still hold back whoever is early in a period.
        let share =
            (quota.cpu_pct < 100).then(|| share_us(quota.cpu_pct, processors()).to_string());
        match (self.controller, self.version) {
            (Controller::Cpu, Version::V2) => {
                let share = share.as_deref().unwrap_or("max");
                group.write("cpu.max", &format!("{share} {PERIOD_US}"))
            }
            (Controller::Cpu, Version::V1) => {
                group.write("cpu.cfs_period_us", &PERIOD_US.to_string())?;
                group.write("cpu.cfs_quota_us", share.as_deref().unwrap_or("-1"))
            }
            (Controller::Memory, Version::V2) => {
                group.write("memory.max", &memory)?;
                group.write_if_there("memory.swap.max", "0")?;
                group.write_if_there("memory.oom.group", "1")
            }
            (Controller::Memory, Version::V1) => {
                group.write("memory.limit_in_bytes", &memory)?;
                group.write_if_there("memory.memsw.limit_in_bytes", &memory)
            }
            (Controller::Pids, _) => {
                group.write("pids.max", &(u64::from(quota.processes) + N_OWN_PROCESSES).to_string())
            }
        }
    }

    /// Tells whether the kernel had to enforce the limit in a way that ends a run.
    fn passed(&self) -> Option<LimitKind> {
        let (file, key, limit) = match (self.controller, self.version) {
            (Controller::Cpu, _) => return None,
            (Controller::Memory, Version::V2) => ("memory.events", "oom_kill", LimitKind::Memory),
            (Controller::Memory, Version::V1) => {
                ("memory.oom_control", "oom_kill", LimitKind::Memory)
            }
            (Controller::Pids, _) => ("pids.events", "max", LimitKind::Processes),
        };
        let n_times = keyed(&self.group.read(file)?, key)?;
        (n_times > 0).then_some(limit)
    }

    fn measure(&self, usage: &mut TreeUsage) {
        let whole = |file: &str| self.group.read(file).as_deref().and_then(number).unwrap_or(0);
        let key = |file: &str, key: &str| {
            self.group.read(file).and_then(|text| keyed(&text, key)).unwrap_or(0)
        };
        match (self.controller, self.version) {
            (Controller::Cpu, Version::V2) => {
                usage.throttled_ms = key("cpu.stat", "throttled_usec") / 1_000;
            }
            (Controller::Cpu, Version::V1) => {
                usage.throttled_ms = key("cpu.stat", "throttled_time") / 1_000_000;
            }
            (Controller::Memory, Version::V2) => {
                // The peak is told since Linux 5.19.
                usage.memory_peak_bytes = whole("memory.peak").max(whole("memory.current"));
            }
            (Controller::Memory, Version::V1) => {
                usage.memory_peak_bytes = whole("memory.max_usage_in_bytes");
            }
            (Controller::Pids, _) => {
                let peak = whole("pids.peak").max(whole("pids.current"));
                usage.processes_peak = peak.saturating_sub(N_OWN_PROCESSES);
            }
        }
    }

    fn told(&self, quota: &Quota) -> (LimitKind, String) {
        match self.controller {
            Controller::Cpu => {
                let (pct, n_processors) = (quota.cpu_pct, processors());
                (
                    LimitKind::Cpu,
                    format!("{pct} % of {n_processors} processors, held back above it"),
                )
            }
            Controller::Memory => (
                LimitKind::Memory,
                "the kernel ends the tree that needs more; files in memory and caches count"
                    .to_owned(),
            ),
            Controller::Pids => {
                (LimitKind::Processes, "no more can be forked, and trying ends the run".to_owned())
            }
        }
    }
}

/// A group in the v2 hierarchy, which has these even without controllers.
#[derive(Debug, Clone)]
pub(super) struct Tree(Rc<Group>);

impl Tree {
    /// Returns the processor time of everything that was ever in it, in user mode and in the kernel.
    pub fn times_us(&self) -> Option<(u64, u64)> {
        let text = self.0.read("cpu.stat")?;
        Some((keyed(&text, "user_usec")?, keyed(&text, "system_usec")?))
    }

    fn times_ms(&self) -> Option<(u64, u64)> {
        self.times_us().map(|(user, system)| (user / 1_000, system / 1_000))
    }

    /// Stops everything in it, or lets it go on.
    pub fn freeze(&self, is_frozen: bool) -> io::Result<()> {
        self.0.write("cgroup.freeze", if is_frozen { "1" } else { "0" })
    }
}

/// The processor time of one period; the kernel refuses less than a millisecond.
fn share_us(cpu_pct: u32, processors: u64) -> u64 {
    (u64::from(cpu_pct) * processors * PERIOD_US / 100).max(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_all_processors() {
        assert_eq!((share_us(80, 2), share_us(100, 1), share_us(1, 1)), (160_000, 100_000, 1_000));
        assert_eq!(share_us(0, 4), 1_000);
    }
}
