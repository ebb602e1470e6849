//! `carnet daemon unit`: what systemd or launchd must be told to keep the daemon of a repository running.

use std::path::Path;

use carnet_core::{Digest, ExitCode};
use carnet_daemon::ALLOCATOR;
use carnet_git::Repo;

use crate::{
    cli::UnitSystem, commands::network::escape_xml, error::CommandResult, ui::Ui,
    workspace::carnet_exe,
};

/// Prints the unit, and says where it goes.
pub(super) fn unit(ui: &Ui, repo: &Repo, system: Option<UnitSystem>) -> CommandResult {
    let native = if cfg!(target_os = "macos") { UnitSystem::Launchd } else { UnitSystem::Systemd };
    let dir = repo.work_tree().unwrap_or(repo.git_dir());
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let exe = carnet_exe()?;
    // Two repositories of one name are two units.
    let name = dir.file_name().map_or("repository".into(), |name| name.to_string_lossy());
    let name: String =
        name.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '-' }).collect();
    let digest = Digest::of(dir.as_os_str().as_encoded_bytes()).to_string();
    let name = format!("carnet-{name}-{}", &digest[..8]);
    match system.unwrap_or(native) {
        UnitSystem::Systemd => {
            ui.out(&systemd(&exe, &dir));
            ui.err(&format!(
                "save it as ~/.config/systemd/user/{name}.service, then type: systemctl --user enable --now {name}\n"
            ));
        }
        UnitSystem::Launchd => {
            ui.out(&launchd(&exe, &dir, &name));
            ui.err(&format!(
                "save it as ~/Library/LaunchAgents/{name}.plist, then type: launchctl load -w ~/Library/LaunchAgents/{name}.plist\n"
            ));
        }
    }
    Ok(ExitCode::Done)
}

fn systemd(exe: &Path, dir: &Path) -> String {
    let allocator = ALLOCATOR.map(|(name, value)| format!("Environment={name}={value}\n")).concat();
    format!(
        "[Unit]\nDescription=carnet: code index of {0}\nConditionPathExists={0}\n\n\
         [Service]\nExecStart={1} -C {2} daemon run --stay\nRestart=on-failure\nRestartSec=10\n\
         Nice=10\nCPUSchedulingPolicy=batch\nIOSchedulingClass=idle\nUMask=0077\n{allocator}\n\
         [Install]\nWantedBy=default.target\n",
        percent(&dir.to_string_lossy()),
        word(exe),
        word(dir)
    )
}

/// Doubles what systemd would take for a specifier.
fn percent(text: &str) -> String {
    text.replace('%', "%%")
}

/// One word of a command line of systemd.
fn word(path: &Path) -> String {
    let text = percent(&path.to_string_lossy()).replace('$', "$$");
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn launchd(exe: &Path, dir: &Path, name: &str) -> String {
    let arguments =
        [&exe.to_string_lossy(), "-C", &dir.to_string_lossy(), "daemon", "run", "--stay"];
    let arguments: String =
        arguments.map(|it| format!("    <string>{}</string>\n", escape_xml(it))).concat();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n  <key>Label</key>\n  <string>{name}</string>\n\
         \x20 <key>ProgramArguments</key>\n  <array>\n{arguments}  </array>\n\
         \x20 <key>RunAtLoad</key>\n  <true/>\n\
         \x20 <key>KeepAlive</key>\n  <dict>\n    <key>SuccessfulExit</key>\n    <false/>\n  </dict>\n\
         \x20 <key>ProcessType</key>\n  <string>Background</string>\n\
         \x20 <key>Nice</key>\n  <integer>10</integer>\n  <key>LowPriorityIO</key>\n  <true/>\n</dict>\n</plist>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_any_kind_are_one_word() {
        assert_eq!(word(Path::new("/a b/50%\"$x\\")), r#""/a b/50%%\"$$x\\""#);
    }
}
