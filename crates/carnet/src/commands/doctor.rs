//! `carnet doctor`: what this machine and this repository lack, and what each absence costs.

use carnet_access::keys::SigningKey;
use carnet_core::{EnforcementLevel, ExitCode};
use carnet_git::git_version;
use serde::Serialize;

use super::run::service_account;
use crate::{cli::JsonArgs, error::CommandResult, ui::Ui, workspace::Workspace};

/// The oldest git whose behaviour carnet relies on.
const GIT_MIN: (u32, u32, u32) = (2, 32, 0);

/// `carnet doctor --json`.
#[derive(Serialize)]
struct Diagnosis {
    format: &'static str,
    items: Vec<Item>,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Item {
    name: String,
    level: EnforcementLevel,
    found: String,
    /// What the absence costs, or how to mend it; empty when all is well.
    cost: String,
}

/// Looks at everything and always ends with 0 unless something essential is missing.
pub fn doctor(ui: &Ui, args: &JsonArgs) -> CommandResult {
    let workspace = Workspace::discover().ok();
    let mut items = machine(workspace.as_ref());
    items.extend(repository(workspace.as_ref()));
    let broken =
        items.iter().any(|item| item.level == EnforcementLevel::None && is_essential(&item.name));
    if args.json {
        ui.json(&Diagnosis { format: "carnet/doctor/1", items });
    } else {
        ui.out(&items.iter().map(|item| row(ui, item)).collect::<String>());
    }
    Ok(if broken { ExitCode::Config } else { ExitCode::Done })
}

fn is_essential(name: &str) -> bool {
    ["git", "bubblewrap", "user namespaces"].contains(&name)
}

fn row(ui: &Ui, item: &Item) -> String {
    let mark = match item.level {
        EnforcementLevel::Full => ui.green_out("ok     "),
        EnforcementLevel::Partial => ui.yellow_out("partial"),
        EnforcementLevel::None => ui.red_out("missing"),
    };
    let mut text = format!("{mark}  {:<16} {}\n", item.name, item.found);
    if item.level != EnforcementLevel::Full && !item.cost.is_empty() {
        text += &format!("         {:<16} {}\n", "", item.cost);
    }
    text
}

fn machine(workspace: Option<&Workspace>) -> Vec<Item> {
    let mut items = vec![git()];
    let probe = carnet_sandbox::probe();
    // For root, the service user below says more than the bare id.
    let shown = probe.items().into_iter().filter(|item| item.name != "user id" || probe.uid != 0);
    items.extend(shown.map(|item| Item {
        name: item.name.to_owned(),
        level: item.level,
        found: item.found,
        cost: item.cost.to_owned(),
    }));
    items.extend(workspace.filter(|_| probe.uid == 0).map(service_user));
    items
}

/// As root, runs become another user first.
fn service_user(workspace: &Workspace) -> Item {
    match service_account(&workspace.repo) {
        Ok(Some(account)) => item(
            "service user",
            EnforcementLevel::Full,
            &format!("runs become user {}", account.uid),
            "",
        ),
        Ok(None) => item(
            "service user",
            EnforcementLevel::None,
            "neither `carnet` nor `nobody` exists",
            "root runs nothing: `useradd --system carnet`",
        ),
        Err(error) => {
            item("service user", EnforcementLevel::None, &error.message, "root runs nothing")
        }
    }
}

fn git() -> Item {
    let name = "git".to_owned();
    match git_version() {
        Ok(version) if version >= GIT_MIN => Item {
            name,
            level: EnforcementLevel::Full,
            found: format!("{}.{}.{}", version.0, version.1, version.2),
            cost: String::new(),
        },
        Ok(version) => Item {
            name,
            level: EnforcementLevel::Partial,
            found: format!("{}.{}.{}", version.0, version.1, version.2),
            cost: format!("carnet is tested with {}.{} and later", GIT_MIN.0, GIT_MIN.1),
        },
        Err(error) => Item {
            name,
            level: EnforcementLevel::None,
            found: error.to_string(),
            cost: "nothing works without git: `apt install git`".to_owned(),
        },
    }
}

fn repository(workspace: Option<&Workspace>) -> Vec<Item> {
    let Some(workspace) = workspace else {
        return vec![item(
            "repository",
            EnforcementLevel::Partial,
            "none here",
            "call doctor in a repository to have it looked at too",
        )];
    };
    let repo = &workspace.repo;
    let storage = if repo.is_reftable() {
        item(
            "ref storage",
            EnforcementLevel::Partial,
            "reftable",
            "refs are read and written by the git program: some milliseconds more a run",
        )
    } else {
        item("ref storage", EnforcementLevel::Full, "files", "")
    };
    let format = item("object format", EnforcementLevel::Full, repo.object_format().name(), "");
    let key = match SigningKey::load(&workspace.key_path()) {
        Ok(key) => item(
            "signing key",
            EnforcementLevel::Full,
            &format!("writer {}", key.public().writer()),
            "",
        ),
        Err(error) => item(
            "signing key",
            EnforcementLevel::None,
            &error.to_string(),
            "commits are not examined and nothing can be recorded: `carnet init`",
        ),
    };
    let hooks = match carnet_guard::missing_parts(repo) {
        Ok(Some(missing)) if missing.is_empty() => {
            item("hooks", EnforcementLevel::Full, "installed", "")
        }
        Ok(Some(missing)) => item(
            "hooks",
            EnforcementLevel::Partial,
            &format!("missing: {}", missing.join(", ")),
            "some commits are not examined: `carnet init`",
        ),
        Ok(None) => item(
            "hooks",
            EnforcementLevel::None,
            "not installed",
            "commits are not examined: `carnet init`",
        ),
        Err(error) => item(
            "hooks",
            EnforcementLevel::None,
            &error.to_string(),
            "carnet cannot tell what it installed",
        ),
    };
    vec![storage, format, key, hooks]
}

fn item(name: &str, level: EnforcementLevel, found: &str, cost: &str) -> Item {
    Item { name: name.to_owned(), level, found: found.to_owned(), cost: cost.to_owned() }
}
