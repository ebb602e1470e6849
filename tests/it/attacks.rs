//! The attack suite: scripts of `tests/attacks`, each one act of hostile code.
//!
//! Each is run twice by the same user: outside, where it must come through (the control), and by `carnet sandbox`, where
//! it must not, and must meet the answer that its head names. Whether it came through is judged by what is found on the
//! host afterwards as well as by what it says. A head says
//!
//! - `class`, `layer`: what it is after, and the line of the receipt that stands against it;
//! - `met`: what it meets inside, one of several words; nothing where it only seems to come through;
//! - `control`: `root` where only root can do it outside, `private` where root does it in namespaces of its own, and
//!   `may: ANSWER` for an answer by which a host itself may refuse it;
//! - `lane`: `tight` or `short`, for attacks on limits; `export`: its outputs are asked for.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::{fs::symlink, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use carnet_testkit::{ORDINARY_UID, Ran, TestRepo, give_to_ordinary_user, is_root};
use serde_json::Value;

use crate::support::{Walk, Who, carnet_path, everyone, root};

const CLASSES: [&str; 7] = [
    "files of the host",
    "other processes",
    "environment and descriptors",
    "network and sockets",
    "the kernel and the machine",
    "quotas",
    "what comes out",
];
/// One that every user has, outside and inside.
const PYTHON: &str = "/usr/bin/python3";
/// What is in the workspace before an attack.
const PRESENT: [&str; 5] = ["attack.py", "kit.py", "target.json", "present", "planted-link"];
/// Runs the command with what a careless caller leaves open: a file to read at 9, one to read and write at 0.
const CARELESS: &str = "exec 9<\"$1\" 0<>\"$2\"; shift 2; \"$@\"; exit $?";

struct Attack {
    name: String,
    text: String,
}

impl Attack {
    fn head(&self, field: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(&format!("# {field}:"))).map(str::trim)
    }

    fn control(&self) -> Vec<&str> {
        self.head("control").into_iter().flat_map(|it| it.split(", ")).collect()
    }
}

fn attacks() -> Vec<Attack> {
    let entries = fs::read_dir(root().join("tests/attacks")).unwrap().map(|it| it.unwrap().path());
    let mut attacks: Vec<Attack> = entries
        .filter(|path| !["kit", "host"].contains(&path.file_stem().unwrap().to_str().unwrap()))
        .map(|path| Attack {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            text: fs::read_to_string(&path).unwrap(),
        })
        .collect();
    attacks.sort_by(|a, b| a.name.cmp(&b.name));
    attacks
}

/// A repository, what lies beside it on the host, and who attacks.
struct Scene {
    walk: Walk,
    who: Who,
    host: PathBuf,
    target: Value,
    holder: Child,
}

impl Scene {
    fn set(who: Who) -> Scene {
        let repo = TestRepo::init();
        for lane in ["code-impl", "tight", "short"] {
            repo.write(&format!("allowlists/{lane}.toml"), lane_text(lane));
        }
        let shipped = root().join("allowlists/deny.toml");
        repo.write("allowlists/deny.toml", fs::read(shipped).unwrap());
        repo.commit_all("a policy");
        let host = repo.root().join("host");
        fs::create_dir(&host).unwrap();
        let walk = Walk::new(repo, who);
        walk.git(&["config", "carnet.policyRef", "HEAD"]).expect_code(0);
        walk.carnet(&["init"]).expect_code(0);

        let nonce =
            format!("carnet-attack-{}", host.parent().unwrap().file_name().unwrap().display());
        let mut holder = Command::new(PYTHON);
        let script = fs::read_to_string(root().join("tests/attacks/host.py")).unwrap();
        holder.args(["-c", &script]).arg(&host).arg(&nonce);
        holder.stdin(Stdio::piped()).stdout(Stdio::piped());
        if who == Who::Ordinary {
            holder.gid(ORDINARY_UID).uid(ORDINARY_UID);
        }
        let mut holder = holder.spawn().unwrap();
        let mut told = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut told).unwrap();
        let mut target: Value = serde_json::from_str(&told).unwrap();
        target["repo"] = walk.repo.path().to_str().unwrap().into();
        fs::write(host.join("input"), "input").unwrap();
        let scene = Scene { walk, who, host, target, holder };
        scene.give(&scene.host);
        scene
    }

    fn give(&self, path: &Path) {
        if self.who == Who::Ordinary {
            give_to_ordinary_user(path);
        }
    }

    fn word(&self, name: &str) -> &str {
        self.target[name].as_str().unwrap()
    }

    /// Makes the directory of one attempt.
    fn workspace(&self, attack: &Attack, attempt: &str) -> PathBuf {
        let dir = self.walk.repo.path().join(format!("{}-{attempt}", attack.name));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("attack.py"), &attack.text).unwrap();
        fs::copy(root().join("tests/attacks/kit.py"), dir.join("kit.py")).unwrap();
        fs::write(dir.join("target.json"), self.target.to_string()).unwrap();
        fs::write(dir.join("present"), "present").unwrap();
        symlink(self.word("secret"), dir.join("planted-link")).unwrap();
        self.give(&dir);
        dir
    }

    fn run(&self, argv: &[&str], dir: &Path) -> Ran {
        let (nonce, host) = (self.word("nonce"), self.host.to_str().unwrap());
        let input = self.host.join("input");
        let path = format!("{host}:{}", std::env::var("PATH").unwrap());
        let careless = ["-c", CARELESS, "sh", self.word("secret"), input.to_str().unwrap()];
        self.walk
            .runner(Path::new("/bin/sh"))
            .args(careless)
            .args(argv)
            .in_dir(dir)
            .env("PATH", path)
            .env("AWS_SECRET_ACCESS_KEY", nonce)
            .env("LD_LIBRARY_PATH", format!("/nonexistent/{nonce}"))
            .env("SSH_AUTH_SOCK", self.word("agent"))
            .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", self.word("bus")))
            .run()
    }

    /// Tries it without any confinement; tells whether that was a control here.
    fn outside(&self, attack: &Attack) -> Result<bool, String> {
        let control = attack.control();
        let is_root = self.who == Who::Caller && is_root();
        let is_private = control.contains(&"private");
        if !is_root && (is_private || control.contains(&"root")) {
            return Ok(false);
        }
        let dir = self.workspace(attack, "outside");
        let private = "mount -t tmpfs none /usr/local/bin; mount -t tmpfs none /etc; \"$@\"";
        let mut argv = vec!["unshare", "--mount", "--uts", "--pid", "--fork", "--mount-proc"];
        argv.extend(["sh", "-c", private, "sh"]);
        argv.truncate(if is_private { argv.len() } else { 0 });
        argv.extend([PYTHON, "-B", "attack.py"]);
        let ran = self.run(&argv, &dir);
        let came_through = self.came_through(attack, &ran, Some(&dir));
        fs::remove_dir_all(&dir).unwrap();
        if came_through.is_some() {
            return Ok(true);
        }
        let mut answers = control.iter().filter_map(|it| it.strip_prefix("may: "));
        let is_expected = answers.any(|answer| ran.stdout.contains(&format!("refused {answer}")));
        if is_expected { Ok(false) } else { Err(format!("{}: the control: {ran:?}", attack.name)) }
    }

    fn inside(&self, attack: &Attack) -> Result<(), String> {
        let dir = self.workspace(attack, "inside");
        let lane = attack.head("lane").unwrap_or("code-impl");
        let workspace = dir.to_str().unwrap();
        let carnet = carnet_path().to_str().unwrap();
        let mut argv =
            vec![carnet, "sandbox", "--any-command", "--lane", lane, "--workspace", workspace];
        if attack.head("export").is_some() {
            argv.extend(["--output", "**"]);
        }
        argv.extend(["--", PYTHON, "-B", "attack.py"]);
        let ran = self.run(&argv, self.walk.repo.path());
        let came_through = self.came_through(attack, &ran, None);
        if let Some(signs) = came_through {
            return Err(format!("{} comes through ({signs}): {ran:?}", attack.name));
        }
        let is_same = fs::read(dir.join("present")).unwrap() == b"present"
            && names(&dir) == BTreeSet::from(PRESENT.map(str::to_owned));
        if !is_same {
            return Err(format!("{} changed the directory it was given", attack.name));
        }
        fs::remove_dir_all(&dir).unwrap();
        let said = ran.stdout.lines().find(|line| line.starts_with("refused ")).unwrap_or_default();
        let summary =
            ran.stderr.lines().find(|line| line.starts_with("carnet: run ")).unwrap_or_default();
        let is_met = match attack.head("met").unwrap_or_default() {
            "" => ran.stdout.contains("attempted\n") || !said.is_empty(),
            met => met.split('|').any(|word| said.contains(word) || summary.contains(word)),
        };
        if is_met { Ok(()) } else { Err(format!("{} met something else: {ran:?}", attack.name)) }
    }

    /// Returns by what it is seen to have come through, and takes that away.
    fn came_through(&self, attack: &Attack, ran: &Ran, dir: Option<&Path>) -> Option<String> {
        let mut signs = vec![];
        if ran.stdout.lines().any(|line| line == "through")
            || ran.stdout.contains(self.word("value"))
        {
            signs.push("it says so".to_owned());
        }
        let planted = names(&self.host).into_iter().filter(|it| it.starts_with("planted"));
        let planted = planted.map(|name| self.host.join(name));
        let elsewhere = ["tmp", "shm"].map(|name| PathBuf::from(self.word(name)));
        for path in planted.chain(elsewhere) {
            if fs::remove_file(&path).is_ok() {
                signs.push(format!("{} was there", path.display()));
            }
        }
        signs.extend(self.survivors());
        if self.walk.git(&["rev-parse", "-q", "--verify", "refs/carnet/attack"]).code == Some(0) {
            self.walk.git(&["update-ref", "-d", "refs/carnet/attack"]).expect_code(0);
            signs.push("there is a ref".to_owned());
        }
        match dir {
            Some(dir) => {
                let found = names(dir);
                let is_changed = fs::read(dir.join("present")).ok().as_deref() != Some(b"present");
                let has_new =
                    PRESENT.iter().filter(|it| found.contains(**it)).count() < found.len();
                let counts_new =
                    attack.head("export").is_some() || attack.head("layer") == Some("overlay");
                if is_changed || (has_new && counts_new) {
                    signs.push("the directory changed".to_owned());
                }
            }
            None if attack.head("export").is_some() => {
                let run = self.walk.newest_run();
                let passport = self.walk.json(&["show", &run, "--json"]);
                let artifacts = passport["predicate"]["artifacts"].as_array().unwrap().clone();
                let names = artifacts.iter().map(|it| it["name"].as_str().unwrap().to_owned());
                signs.extend(names.filter(|name| !PRESENT.contains(&&**name)));
            }
            None => {}
        }
        (!signs.is_empty()).then(|| signs.join(", "))
    }

    /// Ends what an attack left running.
    fn survivors(&self) -> Vec<String> {
        let mut found = vec![];
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if line.starts_with(format!("{}\0", self.word("nonce")).as_bytes()) {
                let pid = entry.file_name().into_string().unwrap();
                Command::new("kill").args(["-KILL", &pid]).status().unwrap();
                found.push(format!("process {pid} is left"));
            }
        }
        found
    }

    /// Every layer that an attack names must be in the receipt as holding.
    fn check_layers(&self, layers: &BTreeSet<&str>) {
        let passport = self.walk.json(&["show", &self.walk.newest_run(), "--json"]);
        let held = passport["predicate"]["enforcement"].as_array().unwrap();
        for layer in layers.iter().filter(|it| **it != "export gate") {
            let line = held.iter().find(|line| line["mechanism"] == **layer);
            let line = line.unwrap_or_else(|| panic!("{layer} is in no receipt"));
            assert_ne!(line["level"], "none", "{line}");
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        self.holder.wait().unwrap();
    }
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries.map(|it| it.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

fn lane_text(lane: &str) -> String {
    let (memory_mb, seconds, disk_mb, hidden) = match lane {
        "tight" => (64, 60, 16, "[]"),
        "short" => (512, 1, 64, "[]"),
        _ => (512, 60, 128, "[]"),
    };
    format!(
        "format = \"carnet/allowlist/1\"\nlane = \"{lane}\"\ndescription = \"Attacks.\"\n\n\
        [limits]\nmax_cpu_pct = 100\nmax_mem_mb = {memory_mb}\nmax_exec_seconds = {seconds}\nmax_parallel = 4\n\
        max_processes = 64\nmax_disk_mb = {disk_mb}\nmax_output_mb = 1\n\n[files]\nhidden = {hidden}\n\n[environment]\n\n\
        [[allow]]\nid = \"true\"\nargv = [\"true\"]\nruns_repository_code = false\n\
        match = [[\"true\"]]\nnot_match = [[\"true\", \"x\"]]\n"
    )
}

#[expect(clippy::print_stderr, reason = "what is not checked is said aloud")]
fn of(class: &str) {
    if std::env::var_os("CARNET_ALLOW_NO_SANDBOX").is_some() {
        let probe = carnet_sandbox::probe();
        if probe.bwrap.is_err() || probe.user_namespaces.is_err() {
            eprintln!("not enforced here: this machine cannot confine");
            return;
        }
    }
    let only = std::env::var("CARNET_ATTACK").ok();
    for who in everyone() {
        let scene = Scene::set(*who);
        let (mut n_tried, mut without_control, mut failures) = (0, vec![], vec![]);
        let mut layers = BTreeSet::new();
        let all = attacks();
        for attack in all.iter().filter(|it| it.head("class") == Some(class)) {
            if only.as_ref().is_some_and(|only| *only != attack.name) {
                continue;
            }
            match scene.outside(attack) {
                Ok(true) => {}
                Ok(false) => without_control.push(attack.name.as_str()),
                Err(why) => failures.push(why),
            }
            failures.extend(scene.inside(attack).err());
            layers.extend(attack.head("layer"));
            n_tried += 1;
        }
        assert!(failures.is_empty(), "{who:?}:\n{}", failures.join("\n"));
        scene.check_layers(&layers);
        eprintln!(
            "{who:?}, {class}: {n_tried} attacks stopped; the host itself refuses {}",
            without_control.join(", ")
        );
    }
}

#[test]
fn the_suite_is_whole() {
    let attacks = attacks();
    assert!(attacks.len() >= 60, "{}", attacks.len());
    for attack in &attacks {
        let class = attack.head("class").unwrap_or_default();
        assert!(CLASSES.contains(&class), "{}: class `{class}`", attack.name);
        assert!(attack.head("layer").is_some() && attack.head("met").is_some(), "{}", attack.name);
    }
}

#[test]
fn files_of_the_host_are_out_of_reach() {
    of(CLASSES[0]);
}

#[test]
fn other_processes_are_out_of_reach_and_nothing_survives() {
    of(CLASSES[1]);
}

#[test]
fn environment_and_descriptors_of_the_caller_do_not_come_in() {
    of(CLASSES[2]);
}

#[test]
fn network_and_sockets_of_the_host_are_out_of_reach() {
    of(CLASSES[3]);
}

#[test]
fn the_kernel_and_the_machine_are_out_of_reach() {
    of(CLASSES[4]);
}

#[test]
fn quotas_hold_under_attack() {
    of(CLASSES[5]);
}

#[test]
fn what_is_planted_does_not_come_out() {
    of(CLASSES[6]);
}
