//! Caches of lanes: found again by the next run, never by another lane, and left alone by whoever could plant something.

use std::{fs, os::unix::process::CommandExt as _, process::Stdio, time::Instant};

use carnet_testkit::TestRepo;
use serde_json::Value;

use crate::{
    quota::{descendants, name_of},
    support::{Walk, Who, carnet_path, everyone, root},
};

/// `use` says what it found and leaves a file; `slow` leaves one after someone has ended its `sleep`.
const MAKEFILE: &str = r#"cat >Makefile <<'END'
use:
	@cat $$TEST_CACHE/kept/* 2>/dev/null; mkdir -p $$TEST_CACHE/kept $$TEST_CACHE/bin; echo $(MAKECMDGOALS) >$$TEST_CACHE/kept/a; echo evil >$$TEST_CACHE/config.toml
look:
	@cat $$TEST_CACHE/kept/* 2>/dev/null; find $$TEST_CACHE -type f | wc -l
fail:
	@mkdir -p $$TEST_CACHE/kept; echo evil >$$TEST_CACHE/kept/evil; false
slow:
	@mkdir -p $$TEST_CACHE/kept; echo slow >$$TEST_CACHE/kept/slow; sleep 100000 || true
large:
	@mkdir -p $$TEST_CACHE/kept; head -c 3000000 /dev/zero >$$TEST_CACHE/kept/large
odd:
	@mkdir -p $$TEST_CACHE/kept; cd $$TEST_CACHE/kept; ln -s /etc/passwd link; mkfifo pipe; echo x >set; chmod 4755 set; ls .env secrets/a k.pem /workspace/.env /workspace/secrets/a /workspace/k.pem 2>/dev/null | wc -l
replace:
	@rm -r $$TEST_CACHE/kept; mkdir -p $$TEST_CACHE/kept/a; echo deep >$$TEST_CACHE/kept/a/b
END
echo A=1 >.env; mkdir secrets; echo x >secrets/a; echo x >k.pem"#;

/// `npm` puts a package into its cache and lists that; `pip` builds a wheel of a package from an index on the run's own loopback.
const TOOLS: &str = r#"mkdir -p site/simple/p src; echo 'x = 1' >src/p.py; echo '{"name":"pk","version":"1.0.0"}' >package.json
echo 'from setuptools import setup; setup(name="p", version="1.0", py_modules=["p"])' >src/setup.py
cat >serve.py <<'END'
import functools, http.server, subprocess, sys, threading
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="site")
# The loopback is the run's own, so no one else can have the port.
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8123), handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
index = f"http://127.0.0.1:{server.server_port}/simple"
pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "/tmp/w", "--index-url", index, "p"]
sys.exit(subprocess.run(pip).returncode)
END
cat >Makefile <<'END'
npm:
	@npm cache ls; npm pack --silent && npm cache add ./pk-1.0.0.tgz
pip:
	@cd src && python3 setup.py -q sdist --formats=gztar -d ../site/simple/p
	@python3 serve.py
END"#;

/// A repository whose main branch decides, with two lanes of the same cache.
fn walk_with_caches(who: Who) -> Walk {
    let repo = TestRepo::init();
    repo.script(MAKEFILE);
    repo.write("allowlists/deny.toml", fs::read(root().join("allowlists/deny.toml")).unwrap());
    for lane in ["code-impl", "narrative"] {
        let text = format!(
            "format = \"carnet/allowlist/1\"\nlane = \"{lane}\"\ndescription = \"Caches.\"\n\n\
            [limits]\nmax_cpu_pct = 80\nmax_mem_mb = 256\nmax_exec_seconds = 600\nmax_parallel = 2\n\
            max_processes = 64\nmax_disk_mb = 64\nmax_output_mb = 1\n\n\
            [[cache]]\nname = \"test\"\nmax_mb = 1\nvariables = [\"TEST_CACHE\"]\nkeep = [\"/kept/**\"]\n\n\
            [[allow]]\nid = \"make\"\nargv = [\"make\", \"{{re:[a-z]+}}\"]\nruns_repository_code = true\n\
            match = [[\"make\", \"use\"]]\nnot_match = [[\"make\", \"-x\"]]\n"
        );
        repo.write(&format!("allowlists/{lane}.toml"), text);
    }
    repo.commit_all("a policy");
    let walk = Walk::new(repo, who);
    walk.git(&["branch", "-M", "main"]).expect_code(0);
    walk.git(&["config", "carnet.policyRef", "refs/heads/main"]).expect_code(0);
    walk.carnet(&["init"]).expect_code(0);
    walk
}

fn make(walk: &Walk, target: &str) -> String {
    walk.carnet(&["run", "--", "make", target]).expect_code(0).stdout
}

/// What the newest run's passport says of its cache.
fn told(walk: &Walk) -> Value {
    let passport = walk.json(&["show", &walk.newest_run(), "--json"]);
    passport["predicate"]["caches"][0].clone()
}

#[test]
fn a_run_finds_what_the_one_before_left_and_says_whose_it_is() {
    for who in everyone() {
        let walk = walk_with_caches(*who);
        assert_eq!(make(&walk, "use"), "");
        let (first, said) = (walk.newest_run(), told(&walk));
        assert_eq!((&said["name"], &said["kept"]), (&"test".into(), &true.into()), "{said}");
        assert_eq!((&said["foundOf"], &said["foundBytes"]), (&Value::Null, &0.into()));
        // Only what the lane keeps is there: no configuration that was planted.
        assert_eq!(make(&walk, "look"), "use\n1\n");
        let said = told(&walk);
        assert_eq!((&said["foundOf"], &said["kept"]), (&first.as_str().into(), &false.into()));
        assert_eq!(said["reason"], "nothing new was in it");
        let shown = walk.carnet(&["show", &walk.newest_run()]).expect_code(0).stdout;
        assert!(shown.contains("cache") && shown.contains(&first[..8]), "{shown}");

        let listed = walk.json(&["cache", "list", "--json"]);
        assert_eq!(listed["caches"][0]["run"], first.as_str(), "{listed}");
        assert_eq!(listed["caches"][0]["n_files"], 1);
        assert!(walk.carnet(&["cache", "list"]).expect_code(0).stdout.contains("code-impl/test"));
        walk.carnet(&["cache", "clear", "other"]).expect_code(3);
        walk.carnet(&["cache", "clear", "test"]).expect_code(0);
        assert_eq!(walk.json(&["cache", "list", "--json"])["caches"].as_array().unwrap().len(), 0);
        assert_eq!(make(&walk, "look"), "0\n");
    }
}

#[test]
fn what_could_have_been_planted_is_found_by_no_other_run() {
    for who in everyone() {
        let walk = walk_with_caches(*who);
        make(&walk, "use");
        let expect = |why: &str| {
            let said = told(&walk);
            assert_eq!((&said["kept"], &said["reason"]), (&false.into(), &why.into()), "{said}");
            assert_eq!(walk.json(&["cache", "list", "--json"])["caches"][0]["n_files"], 1);
        };
        walk.carnet(&["run", "--", "make", "fail"]).expect_code(10);
        expect("the run did not succeed");
        let plant = "mkdir -p $TEST_CACHE/kept; echo evil >$TEST_CACHE/kept/evil";
        walk.carnet(&["sandbox", "--any-command", "--", "sh", "-c", plant]).expect_code(0);
        expect("it was a try of the confinement");
        let evil = format!("use:\n\t@cat $$TEST_CACHE/kept/a; {}\n", plant.replace('$', "$$"));
        walk.write("Makefile", &evil);
        walk.carnet(&["run", "--dirty", "--", "make", "use"]).expect_code(0);
        expect("uncommitted changes ran");
        // A commit that was not taken into the branch that decides finds the cache, and leaves nothing in it.
        walk.git(&["checkout", "-q", "-b", "proposed"]).expect_code(0);
        walk.commit_round_the_hook(&[("Makefile", &evil)]);
        assert_eq!(make(&walk, "use"), "use\n");
        expect("its commit is not part of the policy ref");
        let run = walk.newest_run();
        walk.carnet(&["replay", &run]).expect_code(0);
        walk.write("token", ["open", "sesame", "4713"].join("-"));
        walk.git(&["checkout", "-qf", "main"]).expect_code(0);
        let argv = ["run", "--secret", "TOKEN=file:token", "--", "make", "replace"];
        walk.carnet(&argv).expect_code(0);
        expect("the run was handed secrets");
        // Another lane has a cache of its own, though it has the same name.
        let other = walk.carnet(&["run", "--lane", "narrative", "--", "make", "look"]);
        assert_eq!(other.expect_code(0).stdout, "0\n");
    }
}

/// With the lane that carnet ships, and nothing that decides but what carnet ships.
#[test]
fn npm_and_pip_find_again_what_they_had_before() {
    for (tool, needs, cold, warm) in [
        ("npm", "/usr/bin/npm", "", "pacote:tarball:file:pk-1.0.0.tgz"),
        ("pip", "/usr/lib/python3/dist-packages/setuptools", "Downloading", "Using cached p-1.0"),
    ] {
        if !std::path::Path::new(needs).exists() {
            eprintln!("not tried here: there is no {needs}");
            continue;
        }
        let walk = Walk::initialised(TOOLS, everyone()[0]);
        let first = make(&walk, tool);
        assert!(first.contains(cold), "{first}");
        let listed = walk.json(&["cache", "list", "--json"]);
        assert_eq!(listed["caches"][0]["name"], tool, "{listed}");
        let second = make(&walk, tool);
        assert!(second.contains(warm), "{second}");
        let found = walk.json(&["show", &walk.newest_run(), "--json"]);
        let caches = found["predicate"]["caches"].as_array().unwrap();
        let found = caches.iter().find(|cache| cache["name"] == tool).unwrap();
        assert_eq!(found["foundOf"], listed["caches"][0]["run"]);
    }
}

#[test]
fn what_passes_the_cap_empties_the_cache_instead() {
    let walk = walk_with_caches(everyone()[0]);
    make(&walk, "use");
    make(&walk, "large");
    let said = told(&walk);
    assert_eq!(said["kept"], false);
    assert_eq!(said["reason"], "3 MiB are above its cap of 1; the cache was emptied");
    assert_eq!(make(&walk, "look"), "0\n");
    make(&walk, "use");
    assert_eq!(told(&walk)["kept"], true);
}

#[test]
fn links_are_made_again_and_devices_and_set_id_bits_are_not() {
    for who in everyone() {
        let walk = walk_with_caches(*who);
        // What is hidden in the repository is hidden beside a cache too.
        assert_eq!(make(&walk, "odd"), "0\n");
        assert_eq!(told(&walk)["kept"], true);
        let kept = walk.repo.path().join(".git/carnet/caches/code-impl");
        let found = listing(&kept);
        assert!(found.iter().any(|line| line.ends_with("kept/link l 777")), "{found:?}");
        assert!(found.iter().any(|line| line.ends_with("kept/set f 755")), "{found:?}");
        assert!(!found.iter().any(|line| line.contains("pipe")), "{found:?}");
    }
}

#[test]
fn files_that_are_taken_away_or_replaced_are_so_for_the_next_run() {
    for who in everyone() {
        let walk = walk_with_caches(*who);
        make(&walk, "use");
        make(&walk, "replace");
        assert_eq!(told(&walk)["kept"], true);
        assert_eq!(make(&walk, "look"), "1\n");
    }
}

#[test]
fn of_two_runs_at_once_one_leaves_its_cache_and_nothing_is_mixed() {
    let walk = walk_with_caches(everyone()[0]);
    let mut command = walk.repo.command(carnet_path());
    command.args(["run", "--", "make", "slow"]).env("CARNET_DAEMON", "off");
    let mut slow =
        command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let sleep = loop {
        assert!(begun.elapsed().as_secs() < 120, "the run has not begun");
        let pids = descendants(slow.id());
        if let Some(pid) = pids.into_iter().find(|pid| name_of(*pid) == "sleep") {
            break pid;
        }
        std::thread::yield_now();
    };
    make(&walk, "use");
    let quick = told(&walk);
    let ended = walk.repo.command("kill").arg(sleep.to_string()).status().unwrap();
    assert!(ended.success() && slow.wait().unwrap().success());
    assert_eq!(quick["kept"], true);
    assert_eq!(told(&walk)["reason"], "another run had left its own meanwhile");
    assert_eq!(make(&walk, "look"), "use\n1\n");
}

/// Every path below `dir` with its type and permissions, as `find` says them.
fn listing(dir: &std::path::Path) -> Vec<String> {
    let found =
        std::process::Command::new("find").arg(dir).args(["-printf", "%p %y %m\n"]).output();
    String::from_utf8(found.unwrap().stdout).unwrap().lines().map(str::to_owned).collect()
}
