//! The arrows between rooms are those that ARCHITECTURE.md lists; a new arrow is a sentence in a review.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::support::root;

/// Arrows by `cargo metadata`: room → rooms it depends on (normal and build dependencies).
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = std::process::Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut arrows = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap().to_owned();
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let rooms = dependencies
            .filter(|it| it["kind"] != "dev" && it["name"].as_str().unwrap().starts_with("carnet"))
            .map(|it| it["name"].as_str().unwrap().to_owned());
        let rooms: BTreeSet<_> = rooms.collect();
        if name.starts_with("carnet") && name != "carnet-testkit" {
            arrows.insert(name, rooms);
        }
    }
    arrows
}

/// Arrows by ARCHITECTURE.md: the block of lines `room -> room, room`.
fn drawn() -> BTreeMap<String, BTreeSet<String>> {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut drawn = BTreeMap::new();
    for line in page.lines() {
        let Some((room, rooms)) = line.trim().split_once(" -> ") else { continue };
        let rooms = rooms.split(", ").filter(|it| *it != "nothing").map(str::to_owned).collect();
        drawn.insert(room.trim().to_owned(), rooms);
    }
    drawn
}

#[test]
fn the_arrows_between_rooms_are_those_of_architecture_md() {
    assert_eq!(arrows(), drawn());
}

#[test]
fn large_crates_are_named_in_one_room_each() {
    let owners = [
        ("gix", "carnet-git"),
        ("object_store", "carnet-git"),
        ("fastcdc", "carnet-git"),
        ("notify", "carnet-daemon"),
        ("hyper", "carnet-daemon"),
        ("clap", "carnet"),
        ("rmcp", "carnet"),
        ("tree-sitter", "carnet-parse"),
        ("redb", "carnet-index"),
        ("tantivy", "carnet-index"),
        ("hnsw_rs", "carnet-index"),
        ("ed25519-dalek", "carnet-access"),
        ("rsa", "carnet-access"),
        ("ring", "carnet-access"),
        ("age", "carnet-access"),
        ("ureq", "carnet-access"),
    ];
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let dir = entry.unwrap();
        let manifest = std::fs::read_to_string(dir.path().join("Cargo.toml")).unwrap();
        let room = dir.file_name().into_string().unwrap();
        for (library, owner) in owners {
            assert_eq!(names(&manifest, library), room == owner, "{library} in {room}");
        }
        let may_pack = ["carnet-git", "carnet-index"].contains(&room.as_str());
        assert_eq!(names(&manifest, "zstd"), may_pack, "zstd in {room}");
        // It asks stores in `carnet-git` and models in `carnet-daemon`.
        let may_ask = ["carnet-git", "carnet-daemon"].contains(&room.as_str());
        assert_eq!(names(&manifest, "reqwest"), may_ask, "reqwest in {room}");
        let may_wait = ["carnet", "carnet-daemon", "carnet-git"].contains(&room.as_str());
        assert!(may_wait || !names(&manifest, "tokio"), "tokio in {room}");
    }
    for waiting in ["crates/carnet-git/src/store/s3.rs", "crates/carnet/src/commands/mcp.rs"] {
        let waiting = root().join(waiting);
        for path in files_below(waiting.parent().unwrap()) {
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text.contains("tokio"), path == waiting, "{}", path.display());
        }
    }
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

fn names(manifest: &str, library: &str) -> bool {
    let is_named = |line: &str| {
        line.starts_with(&format!("{library}.")) || line.starts_with(&format!("{library} ="))
    };
    manifest.lines().any(is_named)
}

#[test]
fn quiet_rooms_have_their_wall_and_unsafe_code_has_one_room() {
    for room in ["carnet-core", "carnet-scan", "carnet-policy", "carnet-parse"] {
        let lib =
            std::fs::read_to_string(root().join("crates").join(room).join("src/lib.rs")).unwrap();
        assert!(lib.contains("#![warn(clippy::disallowed_methods)]"), "{room} has no wall");
    }
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""));
}
