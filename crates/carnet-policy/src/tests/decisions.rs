//! One line, one decision of a shipped lane.

use std::sync::OnceLock;

use carnet_core::{Decision, LaneName};

use crate::{Admission, Lane, LaneSet, built_in_files, load_lane};

fn lanes() -> &'static LaneSet {
    static LANES: OnceLock<LaneSet> = OnceLock::new();
    LANES.get_or_init(|| LaneSet::parse(built_in_files()).unwrap())
}

fn lane(name: &str) -> &'static Lane {
    lanes().lane(&LaneName::new(name).unwrap()).unwrap()
}

fn argv(command: &str) -> Vec<String> {
    command.split(' ').map(str::to_owned).collect()
}

fn admit(lane_name: &str, command: &str) -> Admission {
    lane(lane_name).admit(&argv(command))
}

/// `expect` is the id of the rule that decides, or `-` for "no rule matches".
fn check(lane_name: &str, command: &str, decision: Decision, expect: &str) {
    let admission = admit(lane_name, command);
    let reasons = &admission.verdict.reasons;
    assert_eq!(admission.verdict.decision, decision, "{command}: {reasons:?}");
    assert!(!reasons.is_empty());
    let by = admission.rule.as_ref().map_or("-", |rule| rule.id.as_str());
    assert_eq!(by, expect, "{command}: {reasons:?}");
}

#[test]
fn every_shipped_lane_parses_and_its_examples_hold() {
    let problems = LaneSet::parse(built_in_files()).err().unwrap_or_default();
    let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert!(shown.is_empty(), "\n{}", shown.join("\n"));
    let names: Vec<_> = lanes().lane_names().map(LaneName::as_str).collect();
    assert_eq!(
        names,
        [
            "code-api-design",
            "code-impl",
            "data-loader",
            "data-schema",
            "graph-ops",
            "narrative",
            "vector-ops"
        ]
    );
    for name in names {
        let alone = load_lane(built_in_files(), &LaneName::new(name).unwrap(), &|_| false).unwrap();
        assert_eq!(alone.digest(), lane(name).digest());
    }
}

#[test]
fn the_lanes_have_the_limits_of_the_specification() {
    let quota = lane("code-impl").quota();
    assert_eq!((quota.cpu_pct, quota.memory_bytes, quota.wall_ms), (80, 8192 << 20, 900_000));
    assert_eq!(quota.parallel, 2);
    for (name, wall_ms) in [
        ("code-api-design", 600_000),
        ("data-schema", 600_000),
        ("data-loader", 600_000),
        ("vector-ops", 300_000),
        ("graph-ops", 300_000),
        ("narrative", 300_000),
    ] {
        assert_eq!(lane(name).quota().wall_ms, wall_ms, "{name}");
        assert_eq!(lane(name).hidden().globs()[..4], [".env*", "secrets/**", "*.pem", "*.key"]);
    }
}

macro_rules! decisions {
    ($lane:literal: $($name:ident: $command:expr => $decision:ident $by:literal;)*) => {
        $(#[test]
        fn $name() {
            check($lane, $command, Decision::$decision, $by);
        })*
    };
}

decisions! { "code-impl":
    true_is_allowed: "true" => Allow "code-impl/true-false";
    cat_of_a_file_is_allowed: "cat README.md" => Allow "code-impl/cat";
    cargo_test_is_allowed: "cargo test --release -j 4" => Allow "code-impl/cargo-test";
    make_test_is_allowed: "make -j4 test" => Allow "code-impl/make";
    a_plain_archive_is_allowed: "tar -cf out.tar --sort=name src" => Allow "code-impl/tar-create";
    compiling_is_allowed: "cc -O2 -o build/a src/a.c" => Allow "code-impl/cc";
    pytest_is_allowed: "python3 -m pytest -q" => Allow "code-impl/pytest-module";
    git_status_is_allowed: "git status --porcelain" => Allow "code-impl/git-status";
    git_push_of_a_branch_is_allowed: "git push -u origin feature/x" => Allow "code-impl/git-push-branch";
    test_harness_options_are_allowed: "cargo test -- --nocapture x::y" => Allow "code-impl/cargo-test";
    // Options that execute.
    git_alias_on_the_command_line: "git -c alias.x=!sh x" => Deny "deny/git-elsewhere";
    git_config_stuck_together: "git -ccore.pager=sh log" => Deny "deny/git-elsewhere";
    git_config_env: "git --config-env=alias.x=X x" => Deny "deny/git-elsewhere";
    git_exec_path: "git --exec-path=. status" => Deny "deny/git-elsewhere";
    git_grep_opens_a_pager: "git grep -Osh x" => Deny "deny/git-helper";
    git_diff_external: "git diff --ext-diff" => Deny "deny/git-helper";
    git_push_receive_pack: "git push --receive-pack=sh origin" => Deny "deny/git-helper";
    git_push_ext_transport: "git push ext::sh" => Deny "deny/git-helper";
    git_diff_no_index: "git diff --no-index /etc/passwd a" => Deny "-";
    git_past_hooks: "git commit --no-verify -m a" => Deny "deny/git-helper";
    git_past_hooks_bundled: "git commit -nm a" => Deny "code-impl/commit-past-hooks";
    git_force_by_refspec: "git push origin +main" => Deny "code-impl/push-by-force";
    git_force_with_lease: "git push --force-with-lease=x" => Deny "code-impl/push-by-force";
    git_unknown_verb: "git filter-branch x" => Deny "-";
    git_submodule_foreach: "git submodule foreach id" => Deny "-";
    git_bisect_run: "git bisect run id" => Deny "-";
    rg_pre: "rg --pre sh x" => Deny "deny/search-program";
    rg_pre_joined: "rg --no-config --pre=sh x" => Deny "deny/search-program";
    find_exec: "find . -exec id" => Deny "deny/find-program";
    find_okdir: "find . -okdir id" => Deny "deny/find-program";
    tar_checkpoint_action: "tar -cf a b --checkpoint=1 --checkpoint-action=exec=sh" => Deny "deny/tar-program";
    tar_checkpoint_abbreviated: "tar -cf a b --checkpoint-a=exec=sh" => Deny "deny/tar-program";
    tar_to_command: "tar -xf a --to-command=sh" => Deny "deny/tar-program";
    tar_compress_program: "tar -Ish -cf a b" => Deny "deny/tar-program";
    tar_remote_archive: "tar -cf host:a b" => Deny "-";
    tar_old_style_bundle: "tar cf a b" => Deny "-";
    tar_other_directory: "tar -cf a -C / etc" => Deny "-";
    tar_extract: "tar -xf a" => Deny "-";
    sort_compress_program: "sort --compress-program=sh a" => Deny "deny/sort-program";
    sort_compress_abbreviated: "sort --compress-prog=sh a" => Deny "deny/sort-program";
    cargo_config: "cargo test --config build.rustc-wrapper='sh'" => Deny "deny/builder-elsewhere";
    cargo_config_first: "cargo --config=x test" => Deny "deny/builder-elsewhere";
    cargo_unstable: "cargo test -Zunstable-options" => Deny "-";
    cargo_toolchain: "cargo +nightly test" => Deny "-";
    cargo_run_is_not_listed: "cargo run" => Deny "-";
    go_exec: "go test -exec=sh ./..." => Deny "deny/builder-elsewhere";
    go_toolexec: "go build -toolexec sh" => Deny "deny/builder-elsewhere";
    go_generate: "go generate ./..." => Deny "-";
    cc_plugin: "gcc -fplugin=./x.so a.c" => Deny "-";
    cc_argument_file: "gcc @args" => Deny "-";
    cc_wrapper: "gcc -wrapper sh a.c" => Deny "-";
    cc_linker_option: "gcc -Wl,-rpath=/x a.c" => Deny "-";
    rustc_linker: "rustc -C linker=sh a.rs" => Deny "-";
    rustc_linker_joined: "rustc -Clinker=sh a.rs" => Deny "-";
    ruff_config: "ruff check --config x" => Deny "-";
    pytest_plugin: "pytest -p evil" => Deny "-";
    node_eval: "node -e 1" => Deny "deny/node-text";
    node_print: "node --print=1" => Deny "deny/node-text";
    node_require: "node --require ./x.js y.js" => Deny "deny/node-text";
    python_text: "python3 -c 1" => Deny "deny/python-text";
    python_text_bundled: "python3 -Sc 1" => Deny "deny/python-text";
    python_standard_input: "python3 -" => Deny "deny/python-text";
    python_other_module: "python3 -m http.server" => Deny "-";
    // Abbreviated and bundled.
    an_abbreviation: "cargo test --rel" => Deny "-";
    an_abbreviation_of_git: "git status --short --bran" => Deny "-";
    a_bundle_that_is_not_listed: "cargo test -qv" => Deny "-";
    a_bundle_of_ls: "ls -lR" => Deny "-";
    a_listed_bundle: "ls -la" => Allow "code-impl/ls";
    // Other directories.
    git_directory: "git -C /tmp status" => Deny "deny/git-elsewhere";
    git_directory_joined: "git -C/tmp status" => Deny "deny/git-elsewhere";
    git_dir: "git --git-dir=/tmp/x status" => Deny "deny/git-elsewhere";
    make_directory_elsewhere: "make -C /tmp" => Deny "deny/builder-elsewhere";
    make_directory_joined: "make -C/tmp" => Deny "deny/builder-elsewhere";
    make_directory_abbreviated: "make --direc=/tmp" => Deny "-";
    cargo_manifest: "cargo test --manifest-path=/x/Cargo.toml" => Deny "deny/builder-elsewhere";
    npm_prefix: "npm --prefix /tmp ci" => Deny "deny/builder-elsewhere";
    an_absolute_path: "cat /etc/passwd" => Deny "-";
    a_leaving_path: "cat src/../../x" => Deny "-";
    a_home_path: "cat ~/.ssh/id" => Deny "-";
    // Scripts named by data, and variables as arguments.
    make_file: "make -f x.mk" => Deny "-";
    make_eval: "make --eval=x" => Deny "deny/builder-elsewhere";
    make_variable: "make SHELL=/bin/sh test" => Deny "-";
    make_glob: "make *" => Deny "-";
    npm_run_anything: "npm run evil" => Deny "-";
    npm_exec: "npm exec x" => Deny "-";
    an_assignment_as_the_tool: "LD_PRELOAD=x.so true" => Deny "-";
    // Shells, wrappers, the network.
    sh: "sh -c id" => Deny "deny/raw-shell";
    bash_by_path: "/bin/bash -c id" => Deny "deny/raw-shell";
    curl: "curl https://example.com" => Deny "deny/download";
    wget: "wget x" => Deny "deny/download";
    env: "env A=b sh" => Deny "deny/wrapper";
    timeout: "timeout 5 true" => Deny "deny/wrapper";
    xargs: "xargs sh" => Deny "deny/wrapper";
    nohup: "nohup true" => Deny "deny/wrapper";
    nice: "nice true" => Deny "deny/wrapper";
    setsid: "setsid true" => Deny "deny/wrapper";
    script: "script -c id" => Deny "deny/wrapper";
    npx: "npx evil" => Deny "deny/wrapper";
    sudo: "sudo true" => Deny "deny/become-another";
    busybox: "busybox sh" => Deny "deny/many-in-one";
    loader: "/lib64/ld-linux-x86-64.so.2 /bin/sh" => Deny "deny/dynamic-loader";
    ssh: "ssh host" => Deny "deny/network-pipe";
    scp: "scp a host:b" => Deny "deny/network-pipe";
    nc: "nc -l 1" => Deny "deny/network-pipe";
    // Look-alikes: a tool is a bare name.
    a_tool_beside_us: "./git status" => Deny "-";
    a_tool_in_tmp: "/tmp/git status" => Deny "-";
    a_tool_by_its_true_path: "/usr/bin/git status" => Deny "-";
    a_tool_in_capitals: "GIT status" => Deny "-";
    a_tool_with_a_space: "git\u{a0}status" => Deny "-";
    no_tool_at_all: "" => Deny "-";
    a_dash_as_the_tool: "-c git status" => Deny "-";
}

#[test]
fn other_lanes_decide_by_their_own_rules() {
    for (lane, command, by) in [
        ("data-schema", "psql -h localhost -d app -f db/a.sql", "data-schema/psql"),
        ("data-schema", "pytest tests/db", "data-schema/pytest-db"),
        ("code-api-design", "buf lint", "code-api-design/buf-check"),
        ("vector-ops", "carnet where-defined parse", "vector-ops/index-ask"),
        ("graph-ops", "ctags --options=NONE -R src", "graph-ops/ctags"),
        ("narrative", "markdownlint README.md", "narrative/markdownlint"),
        ("data-loader", "python3 loaders/a.py data/a.csv", "data-loader/loader-script"),
    ] {
        check(lane, command, Decision::Allow, by);
    }
    for (lane, command) in [
        ("data-schema", "psql -h db.example.com"),
        ("data-schema", "psql -h localhost -d host=db.example.com"),
        ("data-schema", "pytest tests/api"),
        ("code-api-design", "protoc --evil_out=x a.proto"),
        ("code-api-design", "cargo test"),
        ("vector-ops", "carnet run x"),
        ("graph-ops", "ctags --options=x -R src"),
        ("narrative", "git status"),
        ("data-loader", "python3 loaders/../a.py"),
    ] {
        check(lane, command, Decision::Deny, "-");
    }
}

#[test]
fn shells_are_denied_in_every_lane() {
    for lane in lanes().lane_names() {
        for command in ["sh -c id", "bash", "curl x", "wget x", "env x", "busybox sh", "ld.so x"] {
            let admission = admit(lane.as_str(), command);
            let rule = admission.rule.unwrap();
            assert!(rule.location.starts_with("allowlists/deny.toml:"), "{lane} {command}");
        }
    }
}

#[test]
fn a_denial_names_the_nearest_rule_and_the_first_argument_that_differs() {
    let admission = admit("code-impl", "cargo test --config-x=1");
    let nearest = admission.nearest.unwrap();
    assert_eq!((nearest.rule_id.as_str(), nearest.argument_index), ("code-impl/cargo-test", 2));
    let expect = format!(
        "argument 3 `--config-x=1` is not an option of rule `code-impl/cargo-test` ({})",
        nearest.location
    );
    assert_eq!(admission.verdict.reasons[0].message, expect);
    let missing = admit("code-impl", "cat").nearest.unwrap();
    assert_eq!((missing.rule_id.as_str(), missing.argument_index), ("code-impl/cat", 1));
    let misspelt = admit("code-impl", "crago test").nearest.unwrap();
    assert_eq!((misspelt.expected.as_str(), misspelt.argument_index), ("`cargo`", 0));
    let unknown = admit("code-impl", "frobnicate");
    assert!(unknown.nearest.is_none());
    assert!(unknown.verdict.reasons[0].message.contains("`frobnicate`"));
}

#[test]
fn locations_point_at_the_rule_in_the_file() {
    let rule = admit("code-impl", "cargo test").rule.unwrap();
    let (file, line) = rule.location.split_once(':').unwrap();
    let text = built_in_files().iter().find(|(name, _)| *name == file).unwrap().1;
    let line: usize = line.parse().unwrap();
    assert_eq!(text.lines().nth(line - 1), Some("id = \"cargo-test\""));
    assert!(rule.runs_repository_code);
}

#[test]
fn messages_are_safe_for_a_terminal() {
    let hostile = vec!["cat".to_owned(), format!("\u{1b}[2J\u{202e}{}", "x".repeat(5000))];
    let message = &lane("code-impl").admit(&hostile).verdict.reasons[0].message;
    assert!(!message.contains(['\u{1b}', '\u{202e}']) && message.len() < 600, "{message}");
}

#[test]
fn vectors_beyond_the_bounds_are_refused_before_anything_is_compared() {
    let lane = lane("code-impl");
    let deny = |argv: &[String]| {
        let verdict = lane.admit(argv).verdict;
        assert_eq!(verdict.decision, Decision::Deny);
        verdict.reasons[0].message.clone()
    };
    assert!(deny(&["cat".to_owned(), "a".repeat(2 << 20)]).contains("bytes of arguments"));
    assert!(deny(&vec!["cat".to_owned(); 1 << 19]).contains("arguments are more than"));
    assert!(deny(&[]).contains("empty"));
    assert!(deny(&["cat".to_owned(), "a\0b".to_owned()]).contains("NUL"));
    let most = vec!["cat".to_owned(); crate::ARGUMENTS_MAX];
    assert!(lane.admit(&most).verdict.is_allowed());
}
