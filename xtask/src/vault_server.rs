//! The Vault server that the tests of `carnet secret` ask: `rusty_vault` of crates.io, which no workspace of ours depends on.

use crate::system::{cargo, ensure_packages, target_dir};

/// The version that the tests were written against.
const VERSION: &str = "0.2.1";

/// Builds it and puts it where the tests look. Five minutes of processor time, and 2 GB on disk that are given back.
pub fn install() -> Result<(), String> {
    ensure_packages(&[("pkg-config", "pkg-config")])?;
    println!("it needs the headers of OpenSSL (Debian: libssl-dev)");
    let root = target_dir().join("tools/vault");
    let build = root.join("build");
    cargo()
        .args(&["install", "rusty_vault", "--version", VERSION, "--locked", "--debug", "--root"])
        .arg(&root)
        .env("CARGO_TARGET_DIR", &build)
        .run()?;
    let _ = std::fs::remove_dir_all(build);
    println!("it is in {}", root.join("bin").display());
    Ok(())
}
