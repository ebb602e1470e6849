//! What is taken away is missed: each feature that confinement, quotas or the record rest on is taken from a real
//! machine or repository, and the run is refused with its reason before any process of it was started.
//!
//! That none was started is read from the system's own account: every program that carnet and its children execute is
//! listed by strace, and bwrap and the command must not be among them. The control, with nothing taken away, has both.

use std::{fs, path::Path};

use carnet_testkit::{Ran, TestRepo, is_root};

use crate::support::{Walk, Who, carnet_path, everyone, root, which};

/// A machine or a repository without something.
struct Without {
    what: &'static str,
    /// Whether only root can take it away.
    needs_root: bool,
    /// Done in the repository beforehand, by whoever will run.
    before: &'static str,
    /// Namespaces of the run's own in which root takes it away.
    namespaces: &'static [&'static str],
    /// Done in them.
    within: &'static str,
    /// The call that the kernel shall not know, by number.
    call: Option<u32>,
    code: i32,
    says: &'static str,
}

const PLAIN: Without = Without {
    what: "nothing",
    needs_root: false,
    before: "",
    namespaces: &["--mount"],
    within: "",
    call: None,
    code: 1,
    says: "",
};

/// A file of ours in bwrap's place, in a file system of this namespace alone.
macro_rules! instead_of_bwrap {
    ($change:literal) => {
        concat!(
            "mount -t tmpfs -o mode=755 none /run; cp /usr/bin/bwrap /run/bwrap; ",
            $change,
            "; mount --bind /run/bwrap /usr/bin/bwrap"
        )
    };
}

/// Requires what `$what` says of lane code-impl.
macro_rules! requiring {
    ($what:literal) => {
        concat!(
            "sed -i 's/^required = .*/required = [\"",
            $what,
            "\"]/' allowlists/code-impl.toml; git commit -qnam next"
        )
    };
}

const LANDLOCK_CREATE_RULESET: u32 = 444;
#[cfg(target_arch = "x86_64")]
const SECCOMP: u32 = 317;
#[cfg(not(target_arch = "x86_64"))]
const SECCOMP: u32 = 277;

const TAKEN_AWAY: &[Without] = &[
    Without {
        what: "bwrap",
        needs_root: true,
        within: "mount -t tmpfs none /run; mkdir /run/u /run/w; mknod /run/u/bwrap c 0 0; \
                 mount -t overlay none -o lowerdir=/usr/bin,upperdir=/run/u,workdir=/run/w /usr/bin",
        says: "bwrap",
        ..PLAIN
    },
    Without {
        what: "a bwrap that can be executed",
        needs_root: true,
        within: instead_of_bwrap!("chmod 644 /run/bwrap"),
        says: "executable",
        ..PLAIN
    },
    Without {
        what: "a bwrap without rights of its own",
        needs_root: true,
        within: instead_of_bwrap!("chmod 4755 /run/bwrap"),
        says: "set-id",
        ..PLAIN
    },
    Without {
        what: "a bwrap that root alone can write",
        needs_root: true,
        within: instead_of_bwrap!("chmod 777 /run/bwrap"),
        says: "writ",
        ..PLAIN
    },
    Without {
        what: "a bwrap of root's",
        needs_root: true,
        within: instead_of_bwrap!("chown 65534 /run/bwrap"),
        says: "root",
        ..PLAIN
    },
    Without {
        what: "a directory of bwrap's that root alone can write",
        needs_root: true,
        within: "mount -t tmpfs none /run; mkdir /run/u /run/w; chmod 777 /run/u; \
                 mount -t overlay none -o lowerdir=/usr/bin,upperdir=/run/u,workdir=/run/w /usr/bin",
        says: "/usr/bin",
        ..PLAIN
    },
    Without {
        what: "a bwrap that is new enough",
        needs_root: true,
        within: instead_of_bwrap!(
            "sed -i 's/bubblewrap 0\\.[0-9]*\\./bubblewrap 0.7./' /run/bwrap"
        ),
        says: "0.7",
        ..PLAIN
    },
    Without {
        what: "a bwrap without capabilities of its file",
        needs_root: true,
        within: instead_of_bwrap!(
            "/usr/bin/python3 -c 'import os; os.setxattr(\"/run/bwrap\", \"security.capability\", \
             bytes([1, 0, 0, 2, 0, 16] + [0] * 14))'"
        ),
        says: "capabilities",
        ..PLAIN
    },
    Without {
        what: "user namespaces",
        needs_root: true,
        namespaces: &["--user", "--map-current-user", "--mount"],
        // The sysctl is the namespace's own, and nothing of the host's.
        within: "echo 0 >/proc/sys/user/max_user_namespaces",
        says: "user.max_user_namespaces",
        ..PLAIN
    },
    Without {
        what: "Landlock",
        before: requiring!("landlock:2"),
        call: Some(LANDLOCK_CREATE_RULESET),
        says: "landlock:2",
        ..PLAIN
    },
    Without {
        what: "a Landlock that is new enough",
        before: requiring!("landlock:64"),
        says: "landlock:64",
        ..PLAIN
    },
    Without {
        what: "seccomp",
        before: requiring!("seccomp"),
        call: Some(SECCOMP),
        says: "seccomp",
        ..PLAIN
    },
    Without {
        what: "cgroups that the lane requires",
        needs_root: true,
        before: requiring!("memory:full"),
        within: "umount -a -t cgroup,cgroup2",
        says: "memory:full",
        ..PLAIN
    },
    Without {
        what: "the workspace",
        before: "git config alias.nothing nothing",
        code: 2,
        says: "absent",
        ..PLAIN
    },
    Without {
        what: "a place for workspaces",
        needs_root: true,
        within: "export CARNET_SCRATCH_DIR=/proc/absent",
        code: 74,
        says: "/proc/absent",
        ..PLAIN
    },
    Without {
        what: "a place for checkouts that is no link",
        before: "rm -rf .git/carnet/checkouts; mkdir ../elsewhere; ln -s ../../../elsewhere .git/carnet/checkouts",
        code: 74,
        says: "is a link",
        ..PLAIN
    },
    Without {
        what: "a place for workspaces that is no link",
        before: "mkdir ../elsewhere; ln -s elsewhere ../link",
        within: "export CARNET_SCRATCH_DIR=\"$PWD/../link\"",
        code: 74,
        says: "is a link",
        ..PLAIN
    },
    Without {
        what: "a policy that can be read",
        before: "git config carnet.policyRef refs/heads/absent",
        code: 78,
        says: "refs/heads/absent",
        ..PLAIN
    },
    Without {
        what: "a policy without unknown keys",
        before: "sed -i 's/^max_cpu_pct/max_cpu/' allowlists/code-impl.toml; git commit -qnam next",
        code: 78,
        says: "limits.max_cpu",
        ..PLAIN
    },
    Without {
        what: "examples that hold",
        before: "sed -i 's/^match = \\[\\[\"true\"\\]/match = [[\"true\", \"x\"]/' allowlists/code-impl.toml; git commit -qnam next",
        code: 78,
        says: "allow.match",
        ..PLAIN
    },
    Without {
        what: "the program that was locked",
        before: "mkdir -p policy; \"$CARNET\" tools lock true; \
                 sed -i 's/^sha256 = \"......../sha256 = \"00000000/' policy/tools.lock; git add -A; git commit -qnm next",
        says: "true",
        ..PLAIN
    },
    Without {
        what: "a store that can be written",
        needs_root: true,
        within: "mount --bind .git .git; mount -o remount,bind,ro .git",
        code: 74,
        says: "ead-only",
        ..PLAIN
    },
    Without {
        what: "room for the receipt",
        needs_root: true,
        within: "mkdir -p .git/carnet/journal; mount -t tmpfs -o size=4k,nr_inodes=1 none .git/carnet/journal",
        code: 74,
        says: "journal",
        ..PLAIN
    },
    Without {
        what: "someone whom root can become",
        needs_root: true,
        before: "git config carnet.serviceUser absent",
        code: 78,
        says: "absent",
        ..PLAIN
    },
    Without {
        what: "someone else whom root can become",
        needs_root: true,
        before: "git config carnet.serviceUser root",
        code: 78,
        says: "root",
        ..PLAIN
    },
];

/// Makes the kernel answer that it knows no such call, and executes the rest: the number, then argv.
const FORGET: &str = "
import ctypes, os, struct, sys
one = lambda code, jt, jf, k: struct.pack('HBBI', code, jt, jf, k)
program = one(0x20, 0, 0, 0) + one(0x15, 0, 1, int(sys.argv[1])) + one(6, 0, 0, 0x50000 | 38) + one(6, 0, 0, 0x7fff0000)
buffer = ctypes.create_string_buffer(program, len(program))
class Fprog(ctypes.Structure):
    _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.c_void_p)]
fprog = Fprog(4, ctypes.addressof(buffer))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(fprog)) == 0
os.execv(sys.argv[2], sys.argv[2:])
";

fn walk(who: Who) -> Walk {
    let repo = TestRepo::init();
    repo.script(&format!("cp -r '{}' allowlists", root().join("allowlists").display()));
    repo.commit_all("a policy");
    let walk = Walk::new(repo, who);
    walk.git(&["config", "carnet.policyRef", "HEAD"]).expect_code(0);
    walk.carnet(&["init"]).expect_code(0);
    walk
}

/// Tries a run, and returns how it ended and which programs were executed; `None` of them where strace is not here.
#[expect(clippy::print_stderr, reason = "what is not checked is said aloud")]
fn tried(walk: &Walk, it: &Without) -> (Ran, Option<Vec<String>>) {
    let carnet = carnet_path().display();
    let shell = |script: &str| {
        let script = format!("set -e; {script}");
        walk.runner(Path::new("/bin/sh"))
            .args(["-c", &script])
            .env("CARNET", carnet.to_string())
            .run()
    };
    shell(it.before).expect_code(0);
    let trace = walk.repo.root().join("home/trace");
    let strace = Path::new("/usr/bin/strace");
    let traced = if strace.exists() {
        format!("strace -f -qq -e trace=execve -s 200 -o '{}'", trace.display())
    } else {
        eprintln!("not counted here: strace is not installed");
        String::new()
    };
    let forget =
        it.call.map_or(String::new(), |call| format!("/usr/bin/python3 -c \"$FORGET\" {call}"));
    let verb = if it.what == "the workspace" {
        "sandbox --any-command --workspace absent -- true"
    } else {
        "run -- true"
    };
    let script =
        format!("set -e; cd \"$PWD\"; {}; exec {traced} {forget} {carnet} {verb}", some(it.within));
    let unshare = which("unshare");
    let (program, flags) = match it.needs_root {
        true => (unshare.as_path(), [it.namespaces, &["sh"]].concat()),
        false => (Path::new("/bin/sh"), vec![]),
    };
    let ran = walk.runner(program).args(&flags).args(["-c", &script]).env("FORGET", FORGET).run();
    let executed = fs::read_to_string(&trace).ok().map(|text| {
        let lines = text.lines().filter(|line| line.contains("execve(") && line.ends_with("= 0"));
        let names = lines.filter_map(|line| line.split('"').nth(1).map(str::to_owned));
        names.collect()
    });
    (ran, executed)
}

fn some(script: &str) -> &str {
    if script.is_empty() { ":" } else { script }
}

fn is_of_the_run(program: &str) -> bool {
    program.ends_with("/bwrap")
        || program.ends_with("/true")
        || program.starts_with("/proc/self/fd/")
}

#[test]
fn the_control_runs_and_its_programs_are_counted() {
    for who in everyone() {
        let (ran, executed) = tried(&walk(*who), &PLAIN);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let Some(executed) = executed else { continue };
        assert!(executed.iter().filter(|it| is_of_the_run(it)).count() >= 2, "{executed:?}");
    }
}

#[test]
fn without_any_of_these_nothing_is_started() {
    let mut failures = vec![];
    let mut n_tried = 0;
    for it in TAKEN_AWAY {
        for who in everyone() {
            if it.needs_root && !(*who == Who::Caller && is_root()) {
                continue;
            }
            let walk = walk(*who);
            let (ran, executed) = tried(&walk, it);
            n_tried += 1;
            let mut problems = vec![];
            if ran.code != Some(it.code) {
                problems.push(format!("code {:?}, not {}", ran.code, it.code));
            }
            if !ran.stderr.contains(it.says) {
                problems.push(format!("`{}` is not said", it.says));
            }
            let started = executed.unwrap_or_default();
            if started.iter().any(|program| is_of_the_run(program)) {
                problems.push(format!("{started:?} were started"));
            }
            if !problems.is_empty() {
                failures.push(format!(
                    "{who:?} without {}: {}: {}",
                    it.what,
                    problems.join(", "),
                    ran.stderr
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    eprintln!("{n_tried} refusals, of {} things taken away", TAKEN_AWAY.len());
}
