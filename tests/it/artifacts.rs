//! Artifacts of every size: stored once, named by digest, verified while they are read, mended or named when damaged.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use carnet_testkit::{Format, Ran, TestRepo, is_root, python_venv};

use crate::support::{Walk, Who, aws_key, carnet_path, everyone, which};

/// `make large` writes four megabytes that do not repeat; `make leak` hides a secret at the end of as many.
fn makefile() -> String {
    let key = aws_key();
    let (begin, end) = key.split_at(4);
    format!(
        "large:\n\tmkdir -p out && seq 1 600000 >out/large && echo small >out/small\n\
         leak:\n\tmkdir -p out && seq 1 600000 >out/leak && printf \"key = '%s%s'\\n\" {begin} {end} >>out/leak\n"
    )
}

fn walk_of(format: Format, who: Who) -> Walk {
    let repo = TestRepo::with(format);
    repo.write("Makefile", makefile());
    repo.commit_all("first");
    let walk = Walk::new(repo, who);
    walk.carnet(&["init"]).expect_code(0);
    walk
}

fn run_large(walk: &Walk) -> String {
    walk.carnet(&["run", "--output", "out/*", "--", "make", "large"]).expect_code(0);
    walk.newest_run()
}

fn store(walk: &Walk) -> PathBuf {
    walk.repo.path().join(".git/carnet/store")
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    let Ok(entries) = fs::read_dir(dir) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn a_large_output_is_a_pointer_in_git_and_comes_back_whole() {
    for (format, who) in [(Format::Plain, everyone()[0]), (Format::Sha256, everyone()[0])]
        .into_iter()
        .chain(everyone().iter().map(|who| (Format::Plain, *who)).skip(1))
    {
        let walk = walk_of(format, who);
        let run = run_large(&walk);
        let list = walk.json(&["artifact", "list", "--run", &run, "--json"]);
        let places: Vec<_> =
            list["artifacts"].as_array().unwrap().iter().map(|it| it["place"].clone()).collect();
        assert_eq!(places, ["store", "git"], "{list}");
        let large = &list["artifacts"][0];
        let commit = large["commit"].as_str().unwrap();
        let pointer = walk.ask(&["show", &format!("{commit}:artifacts/out/large")]);
        let (sha256, size) = (large["sha256"].as_str().unwrap(), &large["size_bytes"]);
        assert_eq!(
            pointer,
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}")
        );
        walk.carnet(&["passport", "verify", &run]).expect_code(0);
        walk.carnet(&["artifact", "verify"]).expect_code(0);
        walk.carnet(&["replay", &run]).expect_code(0);
        walk.carnet(&["artifact", "get", &format!("{run}:out/large"), "-o", "a"]).expect_code(0);
        walk.carnet(&["artifact", "get", &sha256[..12], "-o", "b"]).expect_code(0);
        let (a, b) = (walk.repo.path().join("a"), walk.repo.path().join("b"));
        assert_eq!(fs::read(a).unwrap(), fs::read(b).unwrap());
        let sums = walk.runner(&which("sha256sum")).args(["a"]).run().expect_code(0).stdout;
        assert!(sums.starts_with(sha256), "{sums}");
        walk.carnet(&["artifact", "get", sha256, "-o", "a"]).expect_code(2);
        walk.assert_sound();
    }
}

#[test]
fn what_is_damaged_is_named_and_leaves_nothing_until_another_place_has_it() {
    let walk = walk_of(Format::Plain, everyone()[0]);
    let run = run_large(&walk);
    let backups = walk.repo.root().join("backups");
    let backups = backups.to_str().unwrap();
    walk.carnet(&["backup", "create", "--to", backups]).expect_code(0);
    let chunks = files_below(&store(&walk).join("chunks"));
    assert!(chunks.len() >= 2, "{chunks:?}");
    let mut bytes = fs::read(&chunks[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&chunks[0], bytes).unwrap();
    fs::remove_file(&chunks[1]).unwrap();

    let what = format!("{run}:out/large");
    let ran = walk.carnet(&["artifact", "get", &what, "-o", "x"]).expect_code(4);
    assert!(ran.stderr.contains("hint:") && ran.stderr.contains("chunks/"), "{}", ran.stderr);
    let left = fs::read_dir(walk.repo.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| *name == ".git" || *name == "Makefile"), "{left:?}");
    let ran = walk.carnet(&["artifact", "verify"]).expect_code(4);
    assert!(ran.stdout.contains("out/large"), "{}", ran.stdout);
    let ran = walk.carnet(&["passport", "verify", &run]).expect_code(1);
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("out/large"));

    walk.git(&["config", "carnet.backupDir", backups]).expect_code(0);
    walk.carnet(&["artifact", "verify"]).expect_code(0);
    walk.git(&["config", "--unset", "carnet.backupDir"]).expect_code(0);
    walk.carnet(&["artifact", "get", &what, "-o", "x"]).expect_code(0);
}

#[test]
fn a_large_output_with_a_secret_is_withheld_and_no_byte_of_it_is_stored() {
    let walk = walk_of(Format::Plain, everyone()[0]);
    let ran = walk.carnet(&["run", "--output", "out/*", "--", "make", "leak"]).expect_code(0);
    assert!(ran.stderr.contains("withheld out/leak"), "{}", ran.stderr);
    assert_eq!(files_below(&store(&walk)), Vec::<PathBuf>::new());
    walk.write("leak.txt", format!("{}key = '{}'\n", "x\n".repeat(2_000_000), aws_key()));
    let ran = walk.carnet(&["artifact", "put", "leak.txt"]).expect_code(1);
    assert!(ran.stderr.contains("aws-access-key-id"), "{}", ran.stderr);
    assert_eq!(files_below(&store(&walk)), Vec::<PathBuf>::new());
}

#[test]
fn hostile_names_taken_names_and_unknown_ones_are_refused() {
    let walk = walk_of(Format::Plain, everyone()[0]);
    walk.write("file", "content\n");
    for name in [
        "..",
        "../x",
        "/etc/passwd",
        "a//b",
        "a/",
        ".git",
        "x/.GIT/hooks",
        "git~1",
        "CON",
        "aux.txt",
        "a/nul",
        "dot.",
        "space ",
        "a\\b",
        "a:b",
        "",
    ] {
        let ran = walk.carnet(&["artifact", "put", "file", "--name", name]).expect_code(2);
        assert!(ran.stderr.contains("hint:"), "{name:?}: {}", ran.stderr);
    }
    walk.carnet(&["artifact", "put", "file", "--name", "dir/name"]).expect_code(0);
    walk.carnet(&["artifact", "put", "file", "--name", "dir/name"]).expect_code(0);
    walk.write("file", "other\n");
    walk.carnet(&["artifact", "put", "file", "--name", "dir/name"]).expect_code(1);
    walk.carnet(&["artifact", "get", "dir/name", "-o", "back"]).expect_code(0);
    assert_eq!(fs::read_to_string(walk.repo.path().join("back")).unwrap(), "content\n");
    for unknown in ["nothing", "0123456789abcdef", "ffff:out/x"] {
        walk.carnet(&["artifact", "get", unknown]).expect_code(3);
    }
    walk.carnet(&["artifact", "put", "no-such-file"]).expect_code(3);
    walk.carnet(&["artifact", "put", "."]).expect_code(2);
    walk.git(&["config", "carnet.artifactBlobBytes", "lots"]).expect_code(0);
    walk.carnet(&["artifact", "put", "file"]).expect_code(78);
    walk.assert_sound();
}

#[test]
fn a_disk_that_is_full_leaves_no_half_content() {
    if !is_root() {
        eprintln!("not checked here: mounting a small file system needs root");
        return;
    }
    let walk = walk_of(Format::Plain, everyone()[0]);
    // Does not pack, so that a store of two megabytes cannot take it.
    let mut noise = vec![];
    fs::File::open("/dev/urandom").unwrap().take(6 << 20).read_to_end(&mut noise).unwrap();
    walk.write("noise", noise);
    fs::create_dir_all(store(&walk)).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=2m none '{0}'; '{1}' artifact put noise; code=$?; ls '{0}/tmp' '{0}/lists' 2>/dev/null | grep -c '[0-9a-f]\\{{8\\}}'; exit $code",
        store(&walk).display(),
        carnet_path().display()
    );
    let ran =
        walk.runner(&which("unshare")).args(["--mount", "sh", "-c", &script]).run().expect_code(74);
    assert!(ran.stderr.contains("No space left"), "{}", ran.stderr);
    assert_eq!(ran.stdout.trim(), "0", "something was left half written");
    walk.carnet(&["artifact", "put", "noise"]).expect_code(0);
    walk.carnet(&["artifact", "verify"]).expect_code(0);
}

/// An S3 server from PyPI, ended when dropped.
struct Moto {
    server: Child,
    port: u16,
}

impl Moto {
    /// Installs it once for this build and starts it; `None`, said aloud, where the registry is away.
    fn start() -> Option<Moto> {
        let venvs = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = python_venv(venvs, "moto", &["moto[server,s3]"])?.join("bin/moto_server");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut moto = Moto { server, port };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(moto.server.try_wait().unwrap().is_none(), "the S3 server ended");
            assert!(begun.elapsed() < Duration::from_secs(120), "the S3 server does not listen");
            std::thread::yield_now();
        }
        moto.ask("PUT", "/bucket");
        Some(moto)
    }

    fn ask(&self, verb: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "{verb} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Runs carnet with the credentials of a server that listens on a port of this machine.
fn with_server(walk: &Walk, port: u16, args: &[&str]) -> Ran {
    walk.runner(carnet_path())
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .args(args)
        .run()
}

#[test]
fn an_s3_server_shares_contents_and_is_never_overwritten() {
    let Some(moto) = Moto::start() else { return };
    let walk = walk_of(Format::Plain, everyone()[0]);
    walk.git(&["config", "carnet.store", "s3://bucket/some/prefix"]).expect_code(0);
    let carnet = |args: &[&str]| with_server(&walk, moto.port, args);
    let ran = carnet(&["run", "--output", "out/*", "--", "make", "large"]).expect_code(0);
    assert!(!ran.stderr.contains("not in the shared store"), "{}", ran.stderr);
    let listed = moto.ask("GET", "/bucket?list-type=2&prefix=some/prefix/");
    assert!(
        listed.contains("some/prefix/lists/") && listed.contains("some/prefix/chunks/"),
        "{listed}"
    );
    let stamps = |text: &str| text.matches("<ETag>").count();
    let ran = carnet(&["artifact", "share"]).expect_code(0);
    assert!(ran.stdout.starts_with("0 of 1"), "{}", ran.stdout);

    // Everything here is lost; the server gives it back, verified.
    fs::remove_dir_all(store(&walk)).unwrap();
    let run = walk.newest_run();
    carnet(&["artifact", "get", &format!("{run}:out/large"), "-o", "back"]).expect_code(0);
    carnet(&["artifact", "verify"]).expect_code(0);
    let again = moto.ask("GET", "/bucket?list-type=2&prefix=some/prefix/");
    assert_eq!(stamps(&listed), stamps(&again));

    // The store is away: what is here is here, what is not is said.
    drop(moto);
}

#[test]
fn a_store_that_is_away_spoils_no_run_and_is_said() {
    let walk = walk_of(Format::Plain, everyone()[0]);
    // Nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    walk.git(&["config", "carnet.store", "s3://bucket"]).expect_code(0);
    let carnet = |args: &[&str]| with_server(&walk, port, args);
    let ran = carnet(&["run", "--output", "out/*", "--", "make", "large"]).expect_code(0);
    assert!(ran.stderr.contains("not in the shared store"), "{}", ran.stderr);
    let run = walk.newest_run();
    carnet(&["artifact", "get", &format!("{run}:out/large"), "-o", "here"]).expect_code(0);
    carnet(&["artifact", "share"]).expect_code(4);
    fs::remove_dir_all(store(&walk)).unwrap();
    let ran =
        carnet(&["artifact", "get", &format!("{run}:out/large"), "-o", "gone"]).expect_code(4);
    assert!(ran.stderr.contains("s3://bucket"), "{}", ran.stderr);
    walk.git(&["config", "carnet.store", "not/absolute"]).expect_code(0);
    carnet(&["artifact", "share"]).expect_code(78);
}
