//! Confinement through the binary: `carnet sandbox`, the workspace of runs, and what comes back from one.

use std::fs;

use carnet_testkit::TestRepo;
use serde_json::json;

use crate::support::{Walk, aws_key, carnet_path, everyone, root};

const FILES: &str = "mkdir -p src secrets deep/secrets
    echo kept >src/kept; echo gone >src/gone; printf 'a\\0b' >src/binary; ln -s kept src/link
    echo 'export A=1' >.env; echo x >secrets/token; echo x >deep/secrets/token; echo x >k.pem; echo x >deep/k.key
    printf 'change:\\n\\techo more >>src/kept; rm src/gone; echo new >src/new; printf \"a\\\\0c\" >src/binary; chmod +x src/kept\\n' >Makefile
    printf 'plant:\\n\\tmkdir -p .vscode sub/.git inner/objects inner/refs; echo x >.vscode/tasks.json; echo x >sub/.git/config; echo x >inner/HEAD; echo x >.envrc; ln -sf /etc/passwd src/kept; mkfifo src/fifo; echo ok >src/new; chmod 4755 src/binary; echo x >.env.local\\n' >>Makefile
    printf 'ask:\\n\\techo question; read answer; echo $$answer\\n' >>Makefile";

#[test]
fn any_command_runs_only_when_that_is_said_and_its_code_is_ours() {
    for who in everyone() {
        let walk = Walk::initialised(FILES, *who);
        let refused = walk.carnet(&["sandbox", "--", "sh", "-c", "true"]).expect_code(1);
        assert!(refused.stderr.contains("--any-command"), "{}", refused.stderr);
        assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 0);

        let try_out =
            |script: &str| walk.carnet(&["sandbox", "--any-command", "--", "sh", "-c", script]);
        let ran = try_out("echo out; echo err >&2; exit 7").expect_code(7);
        assert_eq!(ran.stdout, "out\n");
        assert!(ran.stderr.starts_with("err\n"), "{}", ran.stderr);
        try_out("kill -9 $$").expect_code(137);
        try_out("true").expect_code(0);
        let run = walk.newest_run();
        let passport = walk.json(&["show", &run, "--json"])["predicate"].clone();
        assert_eq!(passport["run"]["kind"], "sandbox");
        assert_eq!(passport["validationPass"], false);
        walk.carnet(&["passport", "verify", &run]).expect_code(0);
        walk.carnet(&["replay", &run]).expect_code(3);
        assert_eq!(walk.json(&["runs", "--json", "--kind", "sandbox"])["n_runs"], 3);
    }
}

#[test]
fn input_is_passed_through() {
    let walk = Walk::initialised(FILES, everyone()[0]);
    let ran = walk
        .runner(carnet_path())
        .args(["sandbox", "--any-command", "--quiet", "--", "sort"])
        .stdin("b\na\n")
        .run()
        .expect_code(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("a\nb\n", ""));
}

#[test]
fn a_secret_is_handed_over_and_only_its_name_is_kept() {
    let value = ["open", "sesame", "4711"].join("-");
    for who in everyone() {
        let walk = Walk::initialised(
            "printf 'use:\\n\\tcat <&$$CARNET_SECRET_FD_TOKEN; cat <&$$CARNET_SECRET_FD_PIPED\\n' >Makefile",
            *who,
        );
        walk.write("token", &value);
        let ran = walk
            .runner(carnet_path())
            .args(["run", "--secret", "TOKEN=file:token", "--secret", "PIPED=fd:0"])
            .args(["--", "make", "-s", "use"])
            .stdin("from-a-pipe\n")
            .run()
            .expect_code(0);
        assert_eq!(ran.stdout, "[REDACTED:TOKEN][REDACTED:PIPED]\n", "{}", ran.stderr);
        let run = walk.newest_run();
        let shown = walk.carnet(&["show", &run, "--json"]).expect_code(0).stdout;
        assert!(!shown.contains(&value) && !shown.contains("from-a-pipe"), "{shown}");
        let passport = walk.json(&["show", &run, "--json"])["predicate"].clone();
        assert_eq!(passport["request"]["secrets"], json!(["TOKEN", "PIPED"]));
        let replayed = walk.carnet(&["replay", &run]).expect_code(3);
        let said = replayed.stdout + &replayed.stderr;
        assert!(said.contains("TOKEN, PIPED"), "{said}");
        let dry = walk.carnet(&["replay", &run, "--dry-run"]).expect_code(0).stdout;
        assert!(dry.contains("to be handed again: TOKEN, PIPED"), "{dry}");
        let again = walk
            .runner(carnet_path())
            .args(["replay", &run, "--secret", "PIPED=fd:0", "--secret", "TOKEN=file:token"])
            .stdin("from-a-pipe\n")
            .run()
            .expect_code(0);
        assert!(again.stdout.starts_with("MATCH_EXACT"), "{}", again.stdout);
        walk.carnet(&["run", "--", "true"]).expect_code(0);
        let none = walk.newest_run();
        let refused = walk.carnet(&["replay", &none, "--secret", "TOKEN=file:token"]);
        assert!(refused.expect_code(3).stdout.contains("no secrets"));
        for (bad, why) in [
            ("TOKEN=sesame-itself", "never an argument"),
            ("TOKEN=file:/missing", "cannot read secret"),
            ("token=fd:0", "cannot name a secret"),
        ] {
            let refused = walk.carnet(&["run", "--secret", bad, "--", "make"]).expect_code(2);
            assert!(refused.stderr.contains(why), "{}", refused.stderr);
            assert!(!refused.stderr.contains("sesame-itself"), "{}", refused.stderr);
        }
    }
}

#[test]
fn a_patch_holds_what_the_lane_may_change_and_nothing_else() {
    let walk = Walk::initialised("printf 'b\\na\\n' >notes.md; cp notes.md code.rs", everyone()[0]);
    let sort = |file: &str| {
        let argv = ["run", "--lane", "narrative", "--patch", "p", "--", "sort", "-o", file, file];
        let ran = walk.carnet(&argv).expect_code(0);
        (fs::read_to_string(walk.repo.path().join("p")).unwrap(), ran.stderr)
    };
    assert!(sort("notes.md").0.contains("notes.md"));
    let (patch, said) = sort("code.rs");
    assert_eq!(patch, "");
    assert!(said.contains("withheld code.rs: not among the files that this lane may change"));
}

#[test]
fn a_try_of_the_confinement_is_handed_secrets_as_a_run_is() {
    let walk = Walk::initialised(FILES, everyone()[0]);
    let value = ["open", "sesame", "4712"].join("-");
    walk.write("token", &value);
    let ran = walk
        .runner(carnet_path())
        .args(["sandbox", "--any-command", "--secret", "TOKEN=file:token", "--quiet"])
        .args(["--", "sh", "-c", "cat <&$CARNET_SECRET_FD_TOKEN; echo; env | grep -c sesame"])
        .run()
        .expect_code(1);
    assert_eq!(ran.stdout, "[REDACTED:TOKEN]\n0\n");
    let passport = walk.json(&["show", &walk.newest_run(), "--json"])["predicate"].clone();
    assert_eq!(passport["request"]["secrets"], json!(["TOKEN"]));
    assert!(!passport.to_string().contains(&value));
}

#[test]
fn a_directory_stands_in_for_the_commit_and_is_not_changed() {
    for who in everyone() {
        let walk = Walk::initialised(FILES, *who);
        walk.write("attack/run.sh", "#!/bin/sh\nls -A; echo changed >run.sh; echo made >made\n");
        walk.write("attack/.env", "A=1\n");
        walk.repo.script("chmod +x attack/run.sh");
        let argv = ["sandbox", "--any-command", "--workspace", "attack", "--", "./run.sh"];
        let ran = walk.carnet(&argv).expect_code(0);
        assert_eq!(ran.stdout, "run.sh\n");
        let kept = fs::read_to_string(walk.repo.path().join("attack/run.sh")).unwrap();
        assert!(kept.contains("echo made"), "{kept}");
        assert!(!walk.repo.path().join("attack/made").exists());
        let request =
            walk.json(&["show", &walk.newest_run(), "--json"])["predicate"]["request"].clone();
        assert!(request["directory"].as_str().unwrap().ends_with("/attack"));
        let missing = ["sandbox", "--any-command", "--workspace", "missing", "--", "true"];
        walk.carnet(&missing).expect_code(2);
    }
}

#[test]
fn hidden_files_are_not_in_the_workspace_and_the_rest_is() {
    for who in everyone() {
        let walk = Walk::initialised(FILES, *who);
        let argv = ["sandbox", "--any-command", "-q", "--", "find", ".", "-type", "f"];
        for _ in 0..2 {
            let ran = walk.carnet(&argv).expect_code(0);
            let mut files: Vec<&str> = ran.stdout.lines().collect();
            files.sort_unstable();
            assert_eq!(files, ["./Makefile", "./src/binary", "./src/gone", "./src/kept"]);
        }
        let held =
            walk.json(&["show", &walk.newest_run(), "--json"])["predicate"]["enforcement"].clone();
        let level = |name: &str| {
            held.as_array().unwrap().iter().find(|it| it["mechanism"] == name).unwrap()["level"]
                .clone()
        };
        assert_eq!([level("overlay"), level("disk")], [json!("full"), json!("full")]);
    }
}

#[test]
fn one_checkout_serves_every_run_of_a_tree_and_stays_as_it_is() {
    let walk = Walk::initialised(FILES, everyone()[0]);
    let checkouts = walk.repo.path().join(".git/carnet/checkouts");
    let count = || {
        fs::read_dir(&checkouts).unwrap().filter(|it| it.as_ref().unwrap().path().is_dir()).count()
    };
    std::thread::scope(|scope| {
        for idx in 0..4 {
            let walk = &walk;
            scope.spawn(move || {
                let script =
                    format!("grep -c more src/kept; echo more >>src/kept; echo {idx} >src/new");
                walk.carnet(&["sandbox", "--any-command", "-q", "--", "sh", "-c", &script])
                    .expect_code(0);
            });
        }
    });
    assert_eq!(count(), 1);
    let ran =
        walk.carnet(&["sandbox", "--any-command", "-q", "--", "cat", "src/kept"]).expect_code(0);
    assert_eq!(ran.stdout, "kept\n");
    walk.write("src/kept", "other\n");
    walk.git(&["commit", "-qam", "other"]).expect_code(0);
    let ran =
        walk.carnet(&["sandbox", "--any-command", "-q", "--", "cat", "src/kept"]).expect_code(0);
    assert_eq!((ran.stdout.as_str(), count()), ("other\n", 2));
}

#[test]
fn changes_come_back_as_a_patch_that_git_takes() {
    for who in everyone() {
        let walk = Walk::initialised(FILES, *who);
        walk.carnet(&["run", "--patch", "out.patch", "--", "make", "change"]).expect_code(0);
        walk.git(&["apply", "out.patch"]).expect_code(0);
        let read = |path: &str| fs::read(walk.repo.path().join(path)).unwrap();
        assert_eq!(read("src/kept"), b"kept\nmore\n");
        assert_eq!((read("src/new"), read("src/binary")), (b"new\n".to_vec(), b"a\0c".to_vec()));
        assert!(!walk.repo.path().join("src/gone").exists());
        assert!(walk.repo.path().join(".env").exists(), "what was hidden is not removed");
        let status = walk.ask(&["diff", "--summary"]);
        assert!(status.contains("mode change 100644 => 100755 src/kept"), "{status}");

        let run = walk.newest_run();
        let passport = walk.json(&["show", &run, "--json"])["predicate"].clone();
        assert_eq!(passport["artifacts"][0]["name"], "changes.patch");
        assert_eq!(
            (&passport["withheld"], &passport["request"]["patch"]),
            (&json!(null), &json!(true))
        );
        walk.carnet(&["replay", &run]).expect_code(0);

        let none = walk.carnet(&["run", "--patch", "none.patch", "--", "true"]).expect_code(0);
        assert!(none.stderr.contains("changed nothing"), "{}", none.stderr);
        assert!(read("none.patch").is_empty());
    }
}

#[test]
fn nothing_planted_for_the_host_comes_back_and_each_is_named() {
    let walk = Walk::initialised(FILES, everyone()[0]);
    let ran = walk.carnet(&["run", "--patch", "out.patch", "--", "make", "plant"]).expect_code(0);
    for left in [
        ".vscode/tasks.json: programs of the host obey `.vscode`",
        "sub/.git/config: programs of the host obey `.git`",
        ".envrc: programs of the host obey `.envrc`",
        "inner/HEAD: in a repository inside the workspace",
        "src/kept: not a regular file",
        "src/fifo: not a regular file",
        "src/binary: has a set-id bit",
        ".env.local: hidden from this lane",
    ] {
        assert!(ran.stderr.contains(&format!("withheld {left}")), "{left}\n{}", ran.stderr);
    }
    let patch = fs::read_to_string(walk.repo.path().join("out.patch")).unwrap();
    let files: Vec<&str> = patch.lines().filter(|line| line.starts_with("diff ")).collect();
    assert_eq!(files, ["diff --git b/src/new b/src/new"]);
}

#[test]
fn output_is_told_while_the_command_runs_and_without_secrets() {
    use std::io::{BufRead as _, Write as _};
    let walk = Walk::initialised(FILES, everyone()[0]);
    let mut child = walk
        .repo
        .command(carnet_path())
        .args([
            "sandbox",
            "--any-command",
            "-q",
            "--",
            "sh",
            "-c",
            "echo question; read answer; echo $answer",
        ])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    // It waits for the answer, so this line can only come while it runs.
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "question\n");
    writeln!(child.stdin.take().unwrap(), "{}", aws_key()).unwrap();
    line.clear();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "[REDACTED:aws-access-key-id]\n");
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_profile_for_macos_denies_all_and_hides_what_the_lane_hides() {
    let walk = Walk::initialised(FILES, everyone()[0]);
    let profile = walk.carnet(&["sandbox", "--macos-profile"]).expect_code(0).stdout;
    assert!(profile.starts_with("(version 1)\n(deny default)\n"), "{profile}");
    for hidden in [r"\.env[^/]*", r"secrets/.*", r"[^/]*\.pem", r"[^/]*\.key"] {
        assert!(profile.contains(hidden), "{hidden}: {profile}");
    }
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 0);
}

#[test]
fn an_output_is_no_way_round_a_lane_of_patches() {
    let script = "echo old >notes.md; echo old >code.rs; cp notes.md same.md; printf 'x\\n' >.env
        printf 'all:\\n\\techo new >notes.md; echo new >code.rs; echo new >made; echo new >.env; chmod +x same.md; touch kept.md\\n' >Makefile; echo kept >kept.md";
    let glob = "*[!e]*";
    for who in everyone() {
        let walk = Walk::initialised(script, *who);
        let passport = |run: &str| walk.json(&["show", run, "--json"])["predicate"].clone();
        let names = |passport: &serde_json::Value| -> Vec<String> {
            let artifacts = passport["artifacts"].as_array().unwrap();
            artifacts.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
        };
        for argv in [
            &["run", "--output", glob, "--", "make"][..],
            &["sandbox", "--any-command", "--output", glob, "--", "make"],
            &["sandbox", "--any-command", "--workspace", ".", "--output", glob, "--", "make"],
        ] {
            let ran = walk.carnet(argv).expect_code(0);
            let why = "changed, and this lane changes files by patches alone";
            for left in [
                format!("code.rs: {why}"),
                format!("notes.md: {why}"),
                format!("same.md: {why}"),
                ".env: hidden from this lane".to_owned(),
            ] {
                assert!(ran.stderr.contains(&format!("withheld {left}")), "{left}\n{}", ran.stderr);
            }
            assert_eq!(names(&passport(&walk.newest_run())), ["Makefile", "kept.md", "made"]);
        }
        // The change itself comes back as a patch beside the outputs, and can be taken back.
        let argv = ["run", "--patch", "p", "--output", "notes.md", "--", "make"];
        walk.carnet(&argv).expect_code(0);
        walk.git(&["apply", "p"]).expect_code(0);
        assert_eq!(fs::read(walk.repo.path().join("notes.md")).unwrap(), b"new\n");
        walk.git(&["apply", "-R", "p"]).expect_code(0);
        let runs = walk.json(&["runs", "--json"]);
        let commit = runs["runs"][0]["commit"].as_str().unwrap();
        let before = walk.ask(&["show", &format!("{commit}:source/notes.md")]);
        assert_eq!(
            (before.as_str(), walk.ask(&["status", "--porcelain", "-uno"]).as_str()),
            ("old", "")
        );
    }
}

#[test]
fn a_lane_without_patches_alone_gives_back_what_it_may_change() {
    let text = fs::read_to_string(root().join("allowlists/code-impl.toml")).unwrap();
    let text = text.replace("writable = [\"**\"]", "writable = [\"*.md\"]");
    let text = text.replace("patch_only = true", "patch_only = false");
    let repo = TestRepo::init();
    repo.script("echo old >notes.md; echo old >code.rs; printf 'all:\\n\\techo new >notes.md; echo new >code.rs; echo new >made\\n' >Makefile");
    repo.write("allowlists/code-impl.toml", text);
    repo.write("allowlists/deny.toml", fs::read(root().join("allowlists/deny.toml")).unwrap());
    repo.commit_all("a policy");
    let walk = Walk::new(repo, everyone()[0]);
    walk.git(&["config", "carnet.policyRef", "HEAD"]).expect_code(0);
    walk.carnet(&["init"]).expect_code(0);
    let argv = ["run", "--output", "*.md", "--output", "code.rs", "--output", "made", "--", "make"];
    let ran = walk.carnet(&argv).expect_code(0);
    let left = "withheld code.rs: not among the files that this lane may change";
    assert!(ran.stderr.contains(left), "{}", ran.stderr);
    for there in ["artifact notes.md (4 bytes", "artifact made (4 bytes"] {
        assert!(ran.stderr.contains(there), "{}", ran.stderr);
    }
}

#[test]
fn what_a_patch_would_replace_is_kept_beside_it() {
    let walk = Walk::initialised(
        "echo old >a; printf 'all:\\n\\techo new >a\\n' >Makefile",
        everyone()[0],
    );
    let names = || {
        let entries = fs::read_dir(walk.repo.path()).unwrap().map(|it| it.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|it| it.into_string().unwrap()).collect();
        names.retain(|it| it.starts_with("work"));
        names.sort();
        names
    };
    let read = |name: &str| fs::read(walk.repo.path().join(name)).unwrap();
    walk.write("work.md", "mine\n");
    let ran = walk.carnet(&["run", "--patch", "work.md", "--", "make"]).expect_code(0);
    assert!(ran.stderr.contains("what was in work.md is in "), "{}", ran.stderr);
    assert_eq!(names(), ["work.md", "work.md.~1~"]);
    assert_eq!(read("work.md.~1~"), b"mine\n");
    // The same patch again replaces nothing; another one keeps the first beside the oldest.
    walk.carnet(&["run", "--patch", "work.md", "--", "make"]).expect_code(0);
    assert_eq!(names().len(), 2);
    let patch = read("work.md");
    walk.carnet(&["run", "--patch", "work.md", "--", "true"]).expect_code(0);
    assert_eq!((read("work.md"), read("work.md.~2~")), (vec![], patch));
    assert_eq!(read("work.md.~1~"), b"mine\n");
}

/// Runs a command on a terminal of its own and prints, as hexadecimal, what came out of it.
const ON_A_TERMINAL: &str = "import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
said = b''
while True:
    try: part = os.read(terminal, 65536)
    except OSError: break
    if not part: break
    said += part
os.waitpid(pid, 0)
print(said.hex())";

#[test]
fn a_terminal_obeys_nothing_that_a_command_says() {
    let walk = Walk::initialised(FILES, everyone()[0]);
    let hostile = "printf '\\033]52;c;Y3VybA==\\007\\033]0;title\\007\\033[2J\\302\\2332J\\033[31mred\\033[0m\\n' | tee /dev/stderr";
    let on_terminal = |argv: &[&str]| {
        let python = std::path::Path::new("/usr/bin/python3");
        let driver = walk.runner(python).args(["-c", ON_A_TERMINAL]).args(argv);
        let hex = driver.run().expect_code(0).stdout;
        let hex = hex.trim_end();
        let byte = |idx: usize| u8::from_str_radix(&hex[idx..idx + 2], 16).unwrap();
        String::from_utf8((0..hex.len()).step_by(2).map(byte).collect()).unwrap()
    };
    // The control: a terminal would get it.
    assert!(on_terminal(&["/bin/sh", "-c", hostile]).contains("\x1b]52;c;"));
    let carnet = carnet_path().to_str().unwrap();
    let said = on_terminal(&[carnet, "sandbox", "--any-command", "--", "sh", "-c", hostile]);
    assert_eq!(
        said.matches("^[]52;c;Y3VybA==^G^[]0;title^G^[[2J^[[2J\x1b[31mred\x1b[0m").count(),
        2,
        "{said:?}"
    );
    assert!(
        !said.contains("\x1b]") && !said.contains("\x1b[2J") && !said.contains('\u{9b}'),
        "{said:?}"
    );
    // The record has what was said, and shows it as harmlessly; into a pipe it goes as it is.
    let run = walk.newest_run();
    assert!(!on_terminal(&[carnet, "show", &run]).contains("\x1b]"));
    let piped = walk.carnet(&["sandbox", "--any-command", "-q", "--", "sh", "-c", hostile]);
    assert!(piped.expect_code(0).stdout.starts_with("\x1b]52;c;"));
}
