//! What the machine must have besides Rust, and how to get it.

use std::path::{Path, PathBuf};

use crate::shell::{Cmd, repository_root};

/// A Debian package, and a program by which its presence is seen.
pub type Package = (&'static str, &'static str);

/// What carnet itself needs.
pub const FOR_USE: &[Package] = &[("git", "git"), ("bubblewrap", "bwrap")];
/// What the tests run besides, inside the sandbox and out.
pub const FOR_TESTS: &[Package] = &[
    ("git", "git"),
    ("bubblewrap", "bwrap"),
    ("make", "make"),
    ("openssl", "openssl"),
    ("procps", "kill"),
    ("python3", "python3"),
    ("util-linux", "unshare"),
];

/// Installs missing system packages where it may, or says exactly what to type.
pub fn ensure_packages(packages: &[Package]) -> Result<(), String> {
    let missing: Vec<&str> = packages
        .iter()
        .filter(|(_, program)| !has_program(program))
        .map(|(package, _)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    let by_hand = format!(
        "install what is missing and type the command again:\n\n    sudo apt-get install {list}\n"
    );
    if !has_program("apt-get") {
        return Err(format!("this machine lacks {list}, and has no apt-get; {by_hand}"));
    }
    let sudo: &[&str] = if is_root() { &[] } else { &["sudo", "-n"] };
    if !is_root() && !Cmd::new("sudo").args(&["-n", "true"]).answer().is_ok_and(|it| it.code == 0) {
        return Err(format!("this machine lacks {list}; {by_hand}"));
    }
    println!("installing {list} with apt-get");
    let apt = |verb: &[&str]| {
        let words = [sudo, &["apt-get", "-q"], verb].concat();
        Cmd::new(words[0]).args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive").read()
    };
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], missing.as_slice()].concat())?;
    Ok(())
}

/// Builds carnet and returns the binary's path. `profile` is `release` or `dev`.
pub fn built_carnet(profile: &str) -> Result<PathBuf, String> {
    let root = repository_root();
    cargo()
        .args(&["build", "--locked", "--package", "carnet", "--profile", profile])
        .dir(&root)
        .run()?;
    let dir = if profile == "dev" { "debug" } else { profile };
    Ok(target_dir().join(dir).join("carnet"))
}

/// Where cargo builds.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repository_root().join("target"), PathBuf::from)
}

/// The cargo that runs this chore.
pub fn cargo() -> Cmd {
    Cmd::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Tells whether a program is in `PATH`.
pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
        || ["/usr/bin", "/bin", "/usr/sbin"].iter().any(|dir| Path::new(dir).join(name).is_file())
}

/// Tells whether this is the superuser.
pub fn is_root() -> bool {
    Cmd::new("id").arg("-u").read().is_ok_and(|uid| uid.trim() == "0")
}
