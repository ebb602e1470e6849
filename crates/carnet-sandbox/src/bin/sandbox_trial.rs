//! The sandbox by itself, for this crate's tests and for trying things by hand; users have `carnet`.
//!
//! ```text
//! carnet-sandbox-trial probe
//! carnet-sandbox-trial run WORKSPACE UID:GID|- WALL_MS TOOL [ARGUMENT…]
//! carnet-sandbox-trial limited LIMITS WORKSPACE UID:GID|- WALL_MS TOOL [ARGUMENT…]
//! ```
//!
//! LIMITS are `name=number` and `require:name=level`, with commas between:
//! `memory=67108864,require:cpu=full,require:landlock=6`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write as _},
    process::ExitCode,
    sync::atomic::AtomicBool,
};

use carnet_core::{EnforcementLevel, LimitKind, Quota, Required};
use carnet_sandbox::{
    Attendance, INNER_ARGUMENT, Network, SandboxError, SandboxSpec, ServiceAccount, Workspace,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [INNER_ARGUMENT] => return carnet_sandbox::inner_main(),
        ["probe"] => probe(),
        ["run", workspace, account, wall_ms, argv @ ..] if !argv.is_empty() => {
            run("", workspace, account, wall_ms, argv)
        }
        ["limited", limits, workspace, account, wall_ms, argv @ ..] if !argv.is_empty() => {
            run(limits, workspace, account, wall_ms, argv)
        }
        _ => Err(
            "usage: carnet-sandbox-trial probe | run WORKSPACE UID:GID|- WALL_MS TOOL [ARGUMENT…] | limited LIMITS …"
                .to_owned(),
        ),
    };
    match done {
        Ok(code) => code,
        Err(message) => {
            let _ = writeln!(io::stderr(), "{message}");
            ExitCode::FAILURE
        }
    }
}

fn probe() -> Result<ExitCode, String> {
    for item in carnet_sandbox::probe().items() {
        let line = format!(
            "{:<16} {:?}: {} (without it: {})",
            item.name, item.level, item.found, item.cost
        );
        writeln!(io::stdout(), "{line}").map_err(|error| error.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn run(
    limits: &str,
    workspace: &str,
    account: &str,
    wall_ms: &str,
    argv: &[&str],
) -> Result<ExitCode, String> {
    let mut quota = Quota {
        cpu_pct: 80,
        memory_bytes: 2 << 30,
        wall_ms: wall_ms.parse().map_err(|_| "WALL_MS is a number")?,
        processes: 256,
        disk_bytes: 1 << 30,
        output_bytes: 8 << 20,
        parallel: 1,
    };
    let mut required = Vec::new();
    for limit in limits.split(',').filter(|limit| !limit.is_empty()) {
        read_limit(limit, &mut quota, &mut required).ok_or(format!("`{limit}` is no limit"))?;
    }
    let inner_exe =
        std::env::current_exe().and_then(File::open).map_err(|error| error.to_string())?;
    let spec = SandboxSpec {
        tool: argv[0].into(),
        executable: None,
        argv: argv.iter().map(|argument| (*argument).to_owned()).collect(),
        workspace: parse_workspace(workspace),
        env: BTreeMap::new(),
        quota,
        inner_exe,
        service_account: parse_account(account)?,
        stdin: None,
        secrets: vec![],
        network: Network::default(),
        door: None,
        caches: vec![],
        toolchains: vec![],
        leftovers: vec![],
    };
    let attendance = Attendance {
        required: &required,
        interrupt: &AtomicBool::new(false),
        on_output: &mut |_, _| {},
    };
    let confined =
        carnet_sandbox::run_attended(&spec, attendance).map_err(|error| describe(&error))?;
    let report = || -> io::Result<()> {
        io::stdout().write_all(&confined.stdout.bytes)?;
        let mut stderr = io::BufWriter::new(io::stderr());
        stderr.write_all(&confined.stderr.bytes)?;
        for held in &confined.enforcement {
            writeln!(stderr, "{:<24} {:?}: {}", held.mechanism, held.level, held.detail)?;
        }
        writeln!(stderr, "{:?}\n{:?}", confined.outcome, confined.usage)?;
        stderr.flush()
    };
    report().map_err(|error| error.to_string())?;
    Ok(ExitCode::from(confined.outcome.exit_code() as u8))
}

/// `LOWER+MOUNT_POINT` is an overlay, all else a directory.
fn parse_workspace(text: &str) -> Workspace {
    match text.split_once('+') {
        None => Workspace::Directory(text.into()),
        Some((lower, mount_point)) => {
            Workspace::Overlay { lower: lower.into(), mount_point: mount_point.into() }
        }
    }
}

fn read_limit(text: &str, quota: &mut Quota, required: &mut Vec<Required>) -> Option<()> {
    let (name, value) = text.split_once('=')?;
    if name == "require:landlock" {
        required.push(Required::Landlock { abi_min: value.parse().ok()? });
        return Some(());
    }
    if let Some(name) = name.strip_prefix("require:") {
        let limit = LimitKind::ALL.into_iter().find(|limit| limit.name() == name)?;
        let levels = [EnforcementLevel::None, EnforcementLevel::Partial, EnforcementLevel::Full];
        let level_min = levels.into_iter().find(|level| level.name() == value)?;
        required.push(Required::Limit { limit, level_min });
        return Some(());
    }
    let number: u64 = value.parse().ok()?;
    match name {
        "cpu" => quota.cpu_pct = u32::try_from(number).ok()?,
        "memory" => quota.memory_bytes = number,
        "processes" => quota.processes = u32::try_from(number).ok()?,
        "disk" => quota.disk_bytes = number,
        "output" => quota.output_bytes = number,
        _ => return None,
    }
    Some(())
}

fn parse_account(text: &str) -> Result<Option<ServiceAccount>, String> {
    if text == "-" {
        return Ok(None);
    }
    let ids =
        text.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    let (uid, gid) = ids.ok_or("an account is UID:GID")?;
    Ok(Some(ServiceAccount { uid, gid }))
}

fn describe(error: &SandboxError) -> String {
    let mut text = format!("failed to {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    if let Some(hint) = error.hint() {
        text.push_str(&format!("\nhint: {hint}"));
    }
    text
}
