//! Toolchains of a home: seen by the runs of a lane that names them, and nothing else of the home.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use carnet_core::Digest;
use carnet_testkit::TestRepo;

use crate::support::{Walk, Who, everyone, root};

/// A program with a dependency, and a registry that the run itself serves; `make fetch` builds with it.
const CRATE: &str = r#"mkdir -p src .cargo site/3/d site/crates dep-1.0.0/src
printf '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\ndep = "1"\n' >Cargo.toml
printf 'fn main() {\n    println!("{}", dep::said())\n}\n' >src/main.rs
printf '[source.crates-io]\nreplace-with = "local"\n[source.local]\nregistry = "sparse+http://127.0.0.1:8123/"\n' >.cargo/config.toml
printf '[package]\nname = "dep"\nversion = "1.0.0"\nedition = "2021"\n' >dep-1.0.0/Cargo.toml
echo 'pub fn said() -> &'"'static"' str { "built" }' >dep-1.0.0/src/lib.rs
tar -czf site/crates/dep-1.0.0.crate dep-1.0.0; rm -r dep-1.0.0
sum=$(sha256sum site/crates/dep-1.0.0.crate | cut -d ' ' -f 1)
echo '{"dl":"http://127.0.0.1:8123/crates/{crate}-{version}.crate"}' >site/config.json
echo '{"name":"dep","vers":"1.0.0","deps":[],"cksum":"'$sum'","features":{},"yanked":false}' >site/3/d/dep
cat >Cargo.lock <<END
version = 4

[[package]]
name = "app"
version = "0.1.0"
dependencies = [
 "dep",
]

[[package]]
name = "dep"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "$sum"
END
cat >serve.py <<'END'
import functools, http.server, os, subprocess, sys, threading
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="site")
# The loopback is the run's own, so no one else can have the port.
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8123), handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
online = dict(os.environ, CARGO_NET_OFFLINE="false")
sys.exit(subprocess.run(["cargo", "build", "--locked"], env=online).returncode)
END
printf 'fetch:\n\t@python3 serve.py\n' >Makefile"#;

/// Where the compiler is that `cargo` on this machine uses, if it is one of a toolchain's directory.
fn sysroot() -> Option<PathBuf> {
    let said = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let dir = PathBuf::from(String::from_utf8(said.stdout).ok()?.trim());
    (dir.join("bin/cargo").is_file() && !dir.starts_with("/usr")).then_some(dir)
}

/// The same files at a place that everyone can reach; they are links to the real ones, so nobody may be given them.
fn reachable(sysroot: &Path) -> Option<tempfile::TempDir> {
    let dir = tempfile::Builder::new().permissions(mode(0o755)).tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-al")
        .args([sysroot.join("bin"), sysroot.join("lib"), dir.path().to_owned()])
        .output()
        .unwrap();
    copied.status.success().then_some(dir)
}

fn mode(mode: u32) -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode)
}

#[test]
fn cargo_of_a_home_builds_and_finds_its_dependencies_again() {
    let Some(sysroot) = sysroot() else {
        eprintln!("not tried here: there is no cargo of a toolchain's directory");
        return;
    };
    let Some(copy) = reachable(&sysroot) else {
        eprintln!("not tried here: the toolchain is on another file system than temporary files");
        return;
    };
    for who in everyone() {
        let walk = Walk::initialised(CRATE, *who);
        let at = format!("rust={}", copy.path().display());
        walk.git(&["config", "carnet.toolchain", &at]).expect_code(0);
        // Nothing is there yet, and nothing is reached.
        let cold = walk.carnet(&["run", "--", "cargo", "build", "--locked"]).expect_code(10);
        assert!(cold.stderr.contains("dep"), "{}", cold.stderr);
        let fetched = walk.carnet(&["run", "--", "make", "fetch"]).expect_code(0);
        assert!(fetched.stderr.contains("Downloaded dep"), "{}", fetched.stderr);
        let first = walk.newest_run();
        let argv = ["run", "--output", "target/debug/app", "--", "cargo", "build", "--locked"];
        let warm = walk.carnet(&argv).expect_code(0);
        assert!(warm.stderr.contains("Compiling dep"), "{}", warm.stderr);
        assert!(!warm.stderr.contains("Download"), "{}", warm.stderr);

        let said = walk.json(&["show", &walk.newest_run(), "--json"]);
        let said = &said["predicate"];
        let tool = &said["environment"]["tools"][0];
        assert_eq!(tool["path"], "/toolchain/rust/bin/cargo", "{tool}");
        let cargo = Digest::of(&fs::read(sysroot.join("bin/cargo")).unwrap()).to_string();
        assert!(tool.to_string().contains(&cargo), "{tool}");
        assert_eq!(said["artifacts"][0]["name"], "target/debug/app", "{said}");
        let caches = said["caches"].as_array().unwrap();
        let found = caches.iter().find(|cache| cache["name"] == "cargo").unwrap();
        assert_eq!(found["foundOf"], first.as_str(), "{said}");
        // Nothing that is recorded tells where the home is.
        assert!(!said.to_string().contains(copy.path().to_str().unwrap()), "{said}");
        // Programs that find others, and their libraries, by where they are.
        for (program, argv) in [
            ("cargo-clippy", &["cargo", "clippy"][..]),
            ("cargo-fmt", &["cargo", "fmt", "--check"]),
            ("rustc", &["rustc", "--version"]),
        ] {
            if sysroot.join("bin").join(program).is_file() {
                walk.carnet(&[&["run", "--"], argv].concat()).expect_code(0);
            }
        }
        let home = "ls -A /toolchain/rust; ls /root /home 2>&1; touch /toolchain/rust/bin/x 2>&1";
        let seen = walk.carnet(&["sandbox", "--any-command", "--", "sh", "-c", home]);
        assert!(seen.stdout.starts_with("bin\nlib\n"), "{seen:?}");
        assert!(seen.stdout.contains("Read-only file system"), "{seen:?}");
        assert_eq!(seen.stdout.matches("No such file or directory").count(), 2, "{seen:?}");
    }
}

#[test]
fn cargo_is_found_where_rustup_keeps_it() {
    let home = Command::new("sh").args(["-c", "getent passwd $(id -u) | cut -d: -f6"]).output();
    let home = PathBuf::from(String::from_utf8(home.unwrap().stdout).unwrap().trim());
    let places = [home.join(".rustup"), PathBuf::from("/usr/local/rustup")];
    if sysroot().is_none() || !places.iter().any(|it| it.join("toolchains").is_dir()) {
        eprintln!("not tried here: rustup keeps nothing in {}", home.display());
        return;
    }
    let walk = Walk::initialised("echo a >a", Who::Caller);
    let ran = walk.carnet(&["run", "--", "cargo", "--version"]).expect_code(0);
    assert!(ran.stdout.starts_with("cargo 1."), "{}", ran.stdout);
    let ran = walk.carnet(&["run", "--", "rustc", "--version"]).expect_code(0);
    assert!(ran.stdout.starts_with("rustc 1."), "{}", ran.stdout);
    walk.carnet(&["tools", "lock", "cargo"]).expect_code(0);
    let lock = fs::read_to_string(walk.repo.path().join("policy/tools.lock")).unwrap();
    assert!(lock.contains("/toolchain/rust/bin/cargo"), "{lock}");
    walk.carnet(&["tools", "verify"]).expect_code(0);
    walk.carnet(&["run", "--", "cargo", "--version"]).expect_code(0);
    walk.commit_round_the_hook(&[("rust-toolchain.toml", "[toolchain]\nchannel = \"1.0.99\"\n")]);
    let refused = walk.carnet(&["run", "--", "cargo", "--version"]).expect_code(1);
    assert!(refused.stderr.contains("`1.0.99`, which is not installed"), "{}", refused.stderr);
}

/// A repository whose lane names the toolchain `kit`, which is a directory of whoever walks.
fn with_kit(who: Who) -> (Walk, PathBuf) {
    let repo = TestRepo::init();
    let kit = repo.root().join("kit");
    fs::create_dir_all(kit.join("bin")).unwrap();
    fs::create_dir_all(kit.join("lib")).unwrap();
    let script = "#!/usr/bin/python3\nimport os\nhere = os.path.dirname(os.path.realpath(__file__))\nprint(open(here + '/beside').read(), end='')\n";
    fs::write(kit.join("lib/said"), script).unwrap();
    fs::set_permissions(kit.join("lib/said"), mode(0o755)).unwrap();
    fs::write(kit.join("lib/beside"), "found beside\n").unwrap();
    fs::write(repo.root().join("kit-secret"), "none of its business\n").unwrap();
    std::os::unix::fs::symlink("../lib/said", kit.join("bin/said")).unwrap();
    std::os::unix::fs::symlink("../../kit-secret", kit.join("bin/out")).unwrap();
    repo.write("allowlists/deny.toml", fs::read(root().join("allowlists/deny.toml")).unwrap());
    repo.write(
        "allowlists/code-impl.toml",
        "format = \"carnet/allowlist/1\"\nlane = \"code-impl\"\ndescription = \"A kit.\"\n\n\
        [limits]\nmax_cpu_pct = 80\nmax_mem_mb = 256\nmax_exec_seconds = 600\nmax_parallel = 2\n\
        max_processes = 64\nmax_disk_mb = 64\nmax_output_mb = 1\n\n\
        [sandbox]\ntoolchains = [\"kit\"]\n\n\
        [[allow]]\nid = \"said\"\nargv = [\"{one-of:said|out}\"]\nruns_repository_code = true\n\
        match = [[\"said\"]]\nnot_match = [[\"said\", \"x\"]]\n",
    );
    repo.commit_all("a policy");
    let walk = Walk::new(repo, who);
    walk.git(&["config", "carnet.policyRef", "HEAD"]).expect_code(0);
    walk.git(&["config", "carnet.toolchain", &format!("kit={}", kit.display())]).expect_code(0);
    walk.carnet(&["init"]).expect_code(0);
    (walk, kit)
}

#[test]
fn a_script_of_a_toolchain_is_executed_as_it_was_hashed_and_finds_what_lies_beside_it() {
    for who in everyone() {
        let (walk, kit) = with_kit(*who);
        if *who == Who::Caller && carnet_testkit::is_root() {
            fs::set_permissions(kit.join("lib/said"), mode(0o777)).unwrap();
        }
        let ran = walk.carnet(&["run", "--", "said"]).expect_code(0);
        assert_eq!(ran.stdout, "found beside\n");
        let said = walk.json(&["show", &walk.newest_run(), "--json"]).to_string();
        let digest = Digest::of(&fs::read(kit.join("lib/said")).unwrap()).to_string();
        assert!(said.contains(&digest) && said.contains("/toolchain/kit/bin/said"), "{said}");
        assert!(said.contains("a copy in sealed memory"), "{said}");
        // A link that leads out of the toolchain shows nothing of what lies there.
        let out = walk.carnet(&["run", "--", "out"]);
        assert!(!out.stdout.contains("business") && out.code != Some(0), "{out:?}");
        let seen =
            walk.carnet(&["sandbox", "--any-command", "--", "cat", "/toolchain/kit/bin/out"]);
        assert!(!seen.stdout.contains("business") && seen.code != Some(0), "{seen:?}");
    }
}

#[test]
fn what_is_no_toolchain_is_not_shown_and_the_reason_is_said() {
    for (at, why) in [
        ("kit=/", "holds a home"),
        ("kit=/etc", "has no `bin`"),
        ("kit=/absent", "cannot look at"),
        ("kit=usr", "is not absolute"),
    ] {
        let (walk, _) = with_kit(everyone()[0]);
        walk.git(&["config", "carnet.toolchain", at]).expect_code(0);
        let refused = walk.carnet(&["run", "--", "said"]).expect_code(1);
        assert!(refused.stderr.contains(why), "{at}: {}", refused.stderr);
        let seen = walk.carnet(&["sandbox", "--any-command", "--", "ls", "/toolchain"]);
        assert_ne!(seen.code, Some(0), "{seen:?}");
    }
    let (walk, _) = with_kit(everyone()[0]);
    walk.git(&["config", "--unset", "carnet.toolchain"]).expect_code(0);
    let refused = walk.carnet(&["run", "--", "said"]).expect_code(1);
    assert!(
        refused.stderr.contains("nor in a toolchain that the lane names"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("carnet.toolchain"), "{}", refused.stderr);
}
