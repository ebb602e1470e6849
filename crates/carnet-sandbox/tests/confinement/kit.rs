//! A workspace, a spec with small quotas, and a run of a script in it.

use std::{
    collections::BTreeMap, fs::File, os::unix::fs::MetadataExt, path::Path,
    sync::atomic::AtomicBool,
};

use carnet_core::Quota;
use carnet_sandbox::{
    Confined, Network, SandboxError, SandboxSpec, ServiceAccount, Workspace,
    prepare_workspace_owner,
};

/// `nobody`: on every Linux, with no rights.
pub const NOBODY: ServiceAccount = ServiceAccount { uid: 65534, gid: 65534 };

pub const QUOTA: Quota = Quota {
    cpu_pct: 80,
    memory_bytes: 512 << 20,
    wall_ms: 60_000,
    processes: 64,
    disk_bytes: 64 << 20,
    output_bytes: 1 << 20,
    parallel: 1,
};

pub struct Bench {
    pub workspace: tempfile::TempDir,
    pub quota: Quota,
    pub env: BTreeMap<String, String>,
    /// Where the layer is mounted; without it the workspace is bound directly.
    pub mount_point: Option<tempfile::TempDir>,
}

/// A fresh workspace, owned by the user who will run; `None`, said aloud, where nothing can be enforced and
/// that was explicitly allowed.
pub fn bench() -> Option<Bench> {
    let probe = carnet_sandbox::probe();
    if let (Err(_), _) | (_, Err(_)) = (&probe.bwrap, &probe.user_namespaces) {
        let message = format!("not enforced here: {:?}, {:?}", probe.bwrap, probe.user_namespaces);
        assert!(std::env::var_os("CARNET_ALLOW_NO_SANDBOX").is_some(), "{message}");
        eprintln!("{message}");
        return None;
    }
    let workspace = tempfile::tempdir().unwrap();
    if is_root() {
        prepare_workspace_owner(workspace.path(), NOBODY).unwrap();
    }
    Some(Bench { workspace, quota: QUOTA, env: BTreeMap::new(), mount_point: None })
}

pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

impl Bench {
    pub fn spec(&self, argv: &[&str]) -> SandboxSpec {
        SandboxSpec {
            tool: argv[0].into(),
            executable: None,
            argv: argv.iter().map(|argument| (*argument).to_owned()).collect(),
            workspace: self.place(),
            env: self.env.clone(),
            quota: self.quota,
            inner_exe: File::open(trial()).unwrap(),
            service_account: is_root().then_some(NOBODY),
            stdin: None,
            secrets: vec![],
            network: Network::default(),
            door: None,
            caches: vec![],
            toolchains: vec![],
            leftovers: vec![],
        }
    }

    fn place(&self) -> Workspace {
        let workspace = self.workspace.path().to_owned();
        match &self.mount_point {
            None => Workspace::Directory(workspace),
            Some(dir) => {
                Workspace::Overlay { lower: workspace, mount_point: dir.path().to_owned() }
            }
        }
    }

    pub fn try_run(&self, argv: &[&str]) -> Result<Confined, SandboxError> {
        carnet_sandbox::run(&self.spec(argv), &AtomicBool::new(false))
    }

    pub fn run(&self, argv: &[&str]) -> Confined {
        self.try_run(argv).unwrap()
    }

    pub fn sh(&self, script: &str) -> Confined {
        self.run(&["/bin/sh", "-c", script])
    }

    pub fn python(&self, script: &str) -> Confined {
        self.run(&["/usr/bin/python3", "-c", script])
    }
}

/// The program that is re-executed inside.
pub fn trial() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_carnet-sandbox-trial"))
}

pub fn stdout(confined: &Confined) -> String {
    String::from_utf8(confined.stdout.bytes.clone()).unwrap()
}

/// All that can be said about a run that ended in an unexpected way.
pub fn told(confined: &Confined) -> String {
    format!(
        "{:?}\n{}\n{}",
        confined.outcome,
        stdout(confined),
        String::from_utf8_lossy(&confined.stderr.bytes)
    )
}
