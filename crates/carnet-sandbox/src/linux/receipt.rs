//! Writes down what truly held, in the order in which the layers were built.

use carnet_core::{Enforcement, EnforcementLevel};

use super::{landlock, run::Seen, seccomp, wire::PROXY_VARIABLES};
use crate::{BASE_ENVIRONMENT, Bwrap, CACHES, Probe, SandboxSpec, Secret, TOOLCHAINS, Workspace};

/// Returns the layers, each as it was seen; `limits` are those of the quota backend.
pub(super) fn receipt(
    spec: &SandboxSpec,
    probe: &Probe,
    bwrap: &Bwrap,
    seen: &Seen,
    limits: Vec<Enforcement>,
) -> Vec<Enforcement> {
    use EnforcementLevel::{Full, None, Partial};
    let Seen { facts, outside, has_started, traffic, at_door } = seen;
    let mut layers = Layers(Vec::new());
    let digest = &bwrap.digest;
    layers.add(
        "bubblewrap",
        Full,
        format!("{} at {}, sha256 {digest}", bwrap.version, bwrap.path.display()),
    );
    layers.add("user-id", Full, format!("kernel user {}, seen from outside", outside.uid));
    let groups = outside.n_groups;
    let kept = if groups == 0 {
        (Full, "none".to_owned())
    } else {
        (Partial, format!("{groups} of the caller's kept"))
    };
    layers.add("supplementary-groups", kept.0, kept.1);
    layers.add("user-namespace", Full, "unshared; ids map to one user".to_owned());
    layers.add(
        "nested-user-namespaces",
        Full,
        format!("tried and refused: {}", facts.nested_namespace_refusal),
    );
    layers.add("pid-namespace", Full, "unshared; its end ends every process".to_owned());
    let caches: String =
        spec.caches.iter().map(|cache| format!(", {CACHES}/{}", cache.name)).collect();
    let toolchains: String =
        spec.toolchains.iter().map(|it| format!(", {TOOLCHAINS}/{}", it.name)).collect();
    layers.add(
        "filesystem",
        Full,
        format!(
            "/usr{toolchains} read-only; /workspace, /tmp{caches} and /dev/shm writable; nothing else of the host"
        ),
    );
    let mut network = format!("unshared; interfaces: {}", facts.interfaces.join(" "));
    if let Some(traffic) = traffic {
        network.push_str("; ");
        network.push_str(&traffic.describe(&spec.network));
    }
    if let (Some(at_door), Some(door)) = (at_door, &spec.door) {
        network.push_str("; ");
        network.push_str(&at_door.describe_door(door));
    }
    layers.add("network", Full, network);
    layers.add("ipc-namespace", Full, "unshared".to_owned());
    layers.add("uts-namespace", Full, "unshared".to_owned());
    let cgroup = if outside.has_cgroup_namespace {
        (Full, "unshared")
    } else {
        (None, "this kernel has none")
    };
    layers.add("cgroup-namespace", cgroup.0, cgroup.1.to_owned());
    layers.add("capabilities", Full, "all five sets empty, seen from both sides".to_owned());
    layers.add("no-new-privileges", Full, "set, seen from both sides".to_owned());
    layers.add("session", Full, "new session, no terminal".to_owned());
    layers.add("descriptors", Full, descriptors(spec));
    let keyring =
        if facts.has_keyring { "a new, empty session keyring" } else { "this kernel has none" };
    layers.add("keyring", Full, keyring.to_owned());
    layers.add("environment", Full, environment(spec));
    let (level, detail) = executable(spec);
    layers.add("executable", level, detail);
    layers.add(
        "first-process",
        Full,
        "carnet's own; cannot be traced or opened by the command".to_owned(),
    );
    for (mechanism, (level, detail)) in
        [("landlock", landlock::held(probe.landlock_abi)), ("seccomp", seccomp(probe))]
    {
        if *has_started {
            layers.add(mechanism, level, detail);
        } else {
            layers.add(mechanism, None, "the command was not seen to start".to_owned());
        }
    }
    let (level, detail) = overlay(spec);
    layers.add("overlay", level, detail);
    layers.0.extend(limits);
    layers.add("parallel", None, "held by the caller, not by the sandbox".to_owned());
    layers.0
}

/// Returns what lies over the workspace; its bounds are among the limits.
fn overlay(spec: &SandboxSpec) -> (EnforcementLevel, String) {
    if matches!(spec.workspace, Workspace::Directory(_)) {
        let detail = "the workspace is bound directly: a copy of the run's own".to_owned();
        return (EnforcementLevel::None, detail);
    }
    let detail = "a throw-away layer over a clean directory that stays as it is".to_owned();
    (EnforcementLevel::Full, detail)
}

fn seccomp(probe: &Probe) -> (EnforcementLevel, String) {
    if probe.seccomp {
        let refused = seccomp::N_REFUSED;
        let detail = format!(
            "{refused} calls refused, others by their flags, and all of foreign architectures"
        );
        (EnforcementLevel::Full, detail)
    } else {
        (EnforcementLevel::None, "no filters on this kernel or processor".to_owned())
    }
}

fn descriptors(spec: &SandboxSpec) -> String {
    let mut text = "closed but for standard output and error".to_owned();
    if spec.stdin.is_some() {
        text.push_str(", a pipe as standard input");
    }
    if !spec.secrets.is_empty() {
        let names: Vec<&str> = spec.secrets.iter().map(Secret::name).collect();
        text.push_str(&format!(", sealed memory with {}", names.join(" ")));
    }
    text
}

fn executable(spec: &SandboxSpec) -> (EnforcementLevel, String) {
    match &spec.executable {
        Some(held) => {
            let is_in_toolchain = spec.tool.starts_with(TOOLCHAINS);
            let how = if is_in_toolchain { held.held_in_toolchain() } else { held.held() };
            (EnforcementLevel::Full, format!("{how}, sha256 {}", held.sha256()))
        }
        None => (EnforcementLevel::None, "by its path, whatever lay there".to_owned()),
    }
}

/// Names only: values may be secrets.
fn environment(spec: &SandboxSpec) -> String {
    let mut names: Vec<&str> = BASE_ENVIRONMENT.iter().map(|(name, _)| *name).collect();
    names.extend(spec.env.keys().map(String::as_str));
    if !spec.network.is_empty() {
        names.extend(PROXY_VARIABLES);
    }
    names.sort_unstable();
    names.dedup();
    format!("empty but for {}", names.join(" "))
}

struct Layers(Vec<Enforcement>);

impl Layers {
    fn add(&mut self, mechanism: &str, level: EnforcementLevel, detail: String) {
        self.0.push(Enforcement { mechanism: mechanism.to_owned(), level, detail });
    }
}
