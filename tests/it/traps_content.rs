//! Ways past a commit hook that lie in what a file is, holds or is called.

use std::{ffi::OsStr, fs, io::Write as _, os::unix::ffi::OsStrExt as _, process::Stdio};

use crate::support::{Walk, aws_key, everyone, github_token, key_line, which};

fn walk() -> Walk {
    Walk::initialised("echo hello >README", everyone()[0])
}

/// Stages the bytes as `path`, and asserts that the commit is refused for a secret there, or that it passes.
#[track_caller]
fn commit(walk: &Walk, path: &str, bytes: impl AsRef<[u8]>, passes: bool) {
    walk.write(path, bytes);
    walk.git(&["add", "-A"]).expect_code(0);
    let ran = walk.git(&["commit", "-qm", "next"]).expect_code(i32::from(!passes));
    if !passes {
        assert!(ran.stderr.contains(path), "{ran:?}");
        assert!(ran.stderr.contains("aws-access-key-id"), "{ran:?}");
        assert!(!ran.stderr.contains(&aws_key()), "{ran:?}");
        walk.git(&["rm", "-qrf", "--cached", "--", path]).expect_code(0);
        fs::remove_file(walk.repo.path().join(path)).unwrap();
    }
}

/// Runs a program over bytes.
fn piped(program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = std::process::Command::new(which(program))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn the_way_that_text_is_written_hides_nothing() {
    let walk = walk();
    let line = key_line();
    let utf16 = |be: bool, mark: bool| -> Vec<u8> {
        let units = mark.then_some('\u{feff}').into_iter().chain(line.chars());
        units
            .flat_map(|c| if be { (c as u16).to_be_bytes() } else { (c as u16).to_le_bytes() })
            .collect()
    };
    let long = |n: usize| format!("{}'{}'{}", "x ".repeat(n / 4), aws_key(), " y".repeat(n / 4));
    let texts: [(&str, Vec<u8>); 10] = [
        ("CRLF", format!("a\r\n{}\r\nb\r\n", line.trim()).into_bytes()),
        ("CR", format!("a\r{}\rb\r", line.trim()).into_bytes()),
        ("a mark of UTF-8", ["\u{feff}", &line].concat().into_bytes()),
        ("UTF-16LE", utf16(false, true)),
        ("UTF-16BE", utf16(true, true)),
        ("UTF-16LE without mark", utf16(false, false)),
        ("NULs around", [&b"\0\0\x01\xff\xfe\0"[..], line.as_bytes(), b"\0\0"].concat()),
        ("invalid UTF-8", [&b"\xc3\x28\xf0"[..], line.as_bytes()].concat()),
        ("a line of 1 MB", long(1 << 20).into_bytes()),
        ("no newline at the end", aws_key().into_bytes()),
    ];
    for (what, bytes) in texts {
        println!("{what}");
        commit(&walk, "a.py", bytes, false);
    }
}

#[test]
fn a_line_of_ten_megabytes_hides_nothing() {
    let half = "x ".repeat(5 << 19);
    commit(&walk(), "a.js", format!("{half}'{}'{half}", aws_key()), false);
}

#[test]
fn a_binary_an_archive_and_an_encoding_hide_nothing() {
    let walk = walk();
    let line = key_line();
    let elf: Vec<u8> = (0..=255u8).cycle().take(4096).collect();
    commit(
        &walk,
        "a.bin",
        [b"\x7fELF\x02\x01", &elf[..], line.as_bytes(), &elf[..]].concat(),
        false,
    );
    commit(&walk, "a.gz", piped("gzip", &["-c"], line.as_bytes()), false);
    commit(&walk, "a.b64", piped("base64", &[], line.repeat(3).as_bytes()), false);
    let zip = "import sys, zipfile as z; z.ZipFile(sys.stdout.buffer, 'w', z.ZIP_DEFLATED).writestr('x/y.py', sys.stdin.read())";
    commit(&walk, "a.zip", piped("python3", &["-c", zip], line.as_bytes()), false);
    fs::write(walk.repo.root().join("x.py"), &line).unwrap();
    let there = walk.repo.root();
    let tar = piped("tar", &["-czC", there.to_str().unwrap(), "x.py"], b"");
    commit(&walk, "a.tgz", tar, false);
    let hex: String = line.bytes().map(|byte| format!("{byte:02x}")).collect();
    commit(&walk, "a.hex", hex, false);
}

#[test]
fn a_literal_that_is_split_is_joined() {
    let walk = walk();
    let key = aws_key();
    let (head, tail) = key.split_at(9);
    commit(&walk, "a.py", format!("key = '{head}' + '{tail}'\n"), false);
    commit(&walk, "b.py", format!("key = ('{head}'\n       '{tail}')\n"), false);
}

#[test]
fn the_target_of_a_symbolic_link_is_examined() {
    let walk = walk();
    std::os::unix::fs::symlink(aws_key(), walk.repo.path().join("link")).unwrap();
    walk.git(&["add", "link"]).expect_code(0);
    let ran = walk.git(&["commit", "-m", "a link"]).expect_code(1);
    assert!(ran.stderr.contains("link:1"), "{ran:?}");
    // Of a link that leads to a secret the name alone is committed.
    fs::write(walk.repo.root().join("outside"), key_line()).unwrap();
    fs::remove_file(walk.repo.path().join("link")).unwrap();
    std::os::unix::fs::symlink("../outside", walk.repo.path().join("link")).unwrap();
    walk.git(&["add", "link"]).expect_code(0);
    walk.git(&["commit", "-qm", "a link"]).expect_code(0);
}

#[test]
fn an_lfs_pointer_passes_and_what_is_put_behind_one_does_not() {
    let walk = walk();
    let oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12345\n");
    commit(&walk, "a.psd", &pointer, true);
    commit(&walk, "b.psd", format!("{pointer}{}", key_line()), false);
}

#[test]
fn names_of_every_kind_are_read_and_told() {
    let walk = walk();
    let names =
        ["a\nb.py", "\"q\".py", "'q'.py", "-n", "--", ":(exclude)x", "*.py", "a b", "é.py", "a\\b"];
    for name in names {
        walk.write(name, key_line());
        walk.git(&["--literal-pathspecs", "add", "--", name]).expect_code(0);
        let ran = walk.git(&["commit", "-m", "next"]).expect_code(1);
        assert!(ran.stderr.contains("aws-access-key-id"), "{name:?}: {ran:?}");
        walk.git(&["reset", "-q", "--hard"]).expect_code(0);
    }
    let raw = walk.repo.path().join(OsStr::from_bytes(b"\xff\xfe.py"));
    fs::write(raw, key_line()).unwrap();
    walk.git(&["add", "-A"]).expect_code(0);
    let ran = walk.git(&["commit", "-m", "no UTF-8"]).expect_code(1);
    assert!(ran.stderr.contains("\u{fffd}\u{fffd}.py:1"), "{ran:?}");
}

#[test]
fn filters_count_as_they_leave_the_index() {
    let walk = walk();
    let key = aws_key();
    walk.write("adds.sh", format!("cat; echo \"{}$1\"\n", &key[..4]));
    walk.git(&["config", "filter.adds.clean", &format!("sh adds.sh {}", &key[4..])]).expect_code(0);
    walk.git(&["config", "filter.takes.clean", "sed s/AKIA.*//"]).expect_code(0);
    let attributes = "a.txt filter=adds\nb.txt filter=takes\nc.txt working-tree-encoding=UTF-16LE\nd.txt ident\n";
    walk.write(".gitattributes", attributes);
    walk.git(&["add", ".gitattributes", "adds.sh"]).expect_code(0);
    walk.git(&["commit", "-qm", "attributes"]).expect_code(0);
    commit(&walk, "a.txt", "clean here\n", false);
    commit(&walk, "b.txt", key_line(), true);
    let wide: Vec<u8> = key_line().encode_utf16().flat_map(u16::to_le_bytes).collect();
    commit(&walk, "c.txt", wide, false);
    commit(&walk, "d.txt", format!("$Id$ {}", key_line()), false);
}

#[test]
fn attributes_that_call_a_file_binary_or_generated_hide_nothing() {
    let walk = walk();
    commit(
        &walk,
        ".gitattributes",
        "*.py binary -diff -text linguist-generated export-ignore\n",
        true,
    );
    commit(&walk, "a.py", key_line(), false);
    commit(&walk, ".gitignore", "ignored.py\n", true);
    walk.write("ignored.py", key_line());
    walk.git(&["add", "-f", "ignored.py"]).expect_code(0);
    walk.git(&["commit", "-m", "ignored"]).expect_code(1);
}

#[test]
fn a_submodule_is_its_own_but_its_address_is_ours() {
    let walk = walk();
    let head = walk.ask(&["rev-parse", "HEAD"]);
    walk.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},sub")])
        .expect_code(0);
    walk.git(&["commit", "-qm", "a submodule"]).expect_code(0);
    let url = format!("https://x:{}@github.com/a/b", github_token());
    walk.write(".gitmodules", format!("[submodule \"sub\"]\n\tpath = sub\n\turl = {url}\n"));
    walk.git(&["add", ".gitmodules"]).expect_code(0);
    let ran = walk.git(&["commit", "-m", "its address"]).expect_code(1);
    assert!(ran.stderr.contains(".gitmodules:3"), "{ran:?}");
}

#[test]
fn what_is_staged_does_not_loosen_the_rules_for_itself() {
    let walk = walk();
    walk.write("policy/content.toml", "format = \"carnet/content-policy/1\"\n");
    walk.write("a.py", key_line());
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-m", "policy and secret"]).expect_code(1);

    let fingerprint =
        walk.json(&["scan", "--staged", "--json"])["findings"][0]["fingerprint"].clone();
    let fingerprint = fingerprint.as_str().unwrap();
    let accept = ["--reason", "revoked"];
    let told = walk.carnet(&[&["findings", "allow", fingerprint], &accept[..]].concat());
    told.expect_code(0);
    walk.git(&["add", "-A"]).expect_code(0);
    let ran = walk.git(&["commit", "-m", "acceptance and secret"]).expect_code(1);
    assert!(ran.stderr.contains("a.py:1"), "{ran:?}");
}

#[test]
fn a_broken_file_of_accepted_findings_is_not_committed() {
    let walk = walk();
    walk.write("allowlists/findings.toml", "format = 7\n[[finding]\n");
    walk.git(&["add", "-A"]).expect_code(0);
    let ran = walk.git(&["commit", "-m", "broken"]).expect_code(1);
    assert!(ran.stderr.contains("allowlists/findings.toml"), "{ran:?}");
}
