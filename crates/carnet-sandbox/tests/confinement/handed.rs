//! What a command is handed: standard input by a pipe, secrets by descriptor, and nothing of either anywhere else.

use std::{
    fs::{self, File},
    io::{Seek as _, Write as _},
    sync::atomic::AtomicBool,
};

use carnet_sandbox::{Attendance, OutputStream, SandboxSpec, Secret};
use zeroize::Zeroizing;

use crate::kit::{bench, stdout, told};

/// Put together at run time, so that no scanner takes this file for a leak.
fn value() -> String {
    ["open", "-", "sesame", "-", "4711"].concat()
}

fn run(spec: &SandboxSpec) -> carnet_sandbox::Confined {
    carnet_sandbox::run(spec, &AtomicBool::new(false)).unwrap()
}

#[test]
fn standard_input_is_a_pipe_whatever_the_host_has() {
    let Some(bench) = bench() else { return };
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"from the host\n").unwrap();
    file.rewind().unwrap();
    // Opened for writing too: were it handed over itself, the command could change it.
    let script = "cat; test -p /dev/stdin && echo pipe; echo x 2>/dev/null >&0 || echo read-only";
    let mut spec = bench.spec(&["/bin/sh", "-c", script]);
    spec.stdin = Some(file.try_clone().unwrap());
    let ran = run(&spec);
    assert_eq!(stdout(&ran), "from the host\npipe\nread-only\n", "{}", told(&ran));
    assert_eq!(file.metadata().unwrap().len(), 14);
}

#[test]
fn a_run_ends_though_its_standard_input_does_not() {
    let Some(bench) = bench() else { return };
    let (reader, _writer) = std::io::pipe().unwrap();
    let mut spec = bench.spec(&["/bin/true"]);
    spec.stdin = Some(File::from(std::os::fd::OwnedFd::from(reader)));
    assert!(run(&spec).outcome.is_success());
}

#[test]
fn a_secret_is_read_from_its_descriptor_and_found_nowhere_else() {
    let Some(bench) = bench() else { return };
    let script =
        "cat <&3; echo; echo $CARNET_SECRET_FD_TOKEN $CARNET_SECRET_FD_SECOND; cat /dev/fd/4; echo
        env | grep -c sesame; tr '\\0' '\\n' </proc/self/cmdline | grep -c 'sesame-'
        grep -rl sesame-4711 /workspace /tmp /dev/shm /etc 2>/dev/null | wc -l
        (echo x >&3) 2>/dev/null || echo sealed; (echo x >/dev/fd/3) 2>/dev/null || echo closed";
    let mut spec = bench.spec(&["/bin/sh", "-c", script]);
    let secret =
        |name: &str, value: String| Secret::new(name, Zeroizing::new(value.into_bytes())).unwrap();
    spec.secrets = vec![secret("TOKEN", value()), secret("SECOND", "two".to_owned())];
    let ran = run(&spec);
    let expect = format!("{}\n3 4\ntwo\n0\n0\n0\nsealed\nclosed\n", value());
    assert_eq!(stdout(&ran), expect, "{}", told(&ran));
    let descriptors = ran.enforcement.iter().find(|it| it.mechanism == "descriptors").unwrap();
    assert!(descriptors.detail.ends_with("sealed memory with TOKEN SECOND"), "{descriptors:?}");
    // The control: a run without secrets has no such descriptor.
    assert_eq!(stdout(&bench.sh("test -e /dev/fd/3 || echo none")), "none\n");
    assert!(!fs::read_to_string("/proc/self/environ").unwrap().contains("sesame"));
}

#[test]
fn output_is_told_while_the_command_still_runs() {
    let Some(bench) = bench() else { return };
    // The command waits for an answer that is given only when its question has been told.
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut spec = bench.spec(&["/bin/sh", "-c", "echo question; read answer; echo $answer >&2"]);
    spec.stdin = Some(File::from(std::os::fd::OwnedFd::from(reader)));
    let mut heard = Vec::new();
    let mut on_output = |stream: OutputStream, bytes: &[u8]| {
        heard.push((stream, String::from_utf8(bytes.to_vec()).unwrap()));
        if stream == OutputStream::Stdout {
            writer.write_all(b"answer\n").unwrap();
        }
    };
    let interrupt = AtomicBool::new(false);
    let attendance = Attendance { required: &[], interrupt: &interrupt, on_output: &mut on_output };
    let ran = carnet_sandbox::run_attended(&spec, attendance).unwrap();
    assert!(ran.outcome.is_success(), "{}", told(&ran));
    let expect = [(OutputStream::Stdout, "question\n"), (OutputStream::Stderr, "answer\n")];
    assert_eq!(heard, expect.map(|(stream, text)| (stream, text.to_owned())));
}
