//! The binary against the real git and the real bwrap: one module per verb, walk or promise.

#![expect(clippy::unwrap_used, reason = "a test that meets a surprise must stop where it stands")]

mod architecture;
mod artifacts;
mod attacks;
mod attest;
mod audit;
mod auth;
mod backup;
mod bad_input;
mod bad_sources;
mod baseline;
mod broker;
mod broker_serve;
mod caches;
mod calibrate;
mod clients;
mod clock;
mod command_line;
mod edits;
mod embedding;
mod endings;
mod findings;
mod forged;
mod full_disk;
mod graph;
mod hooks;
mod licence;
mod mcp;
mod messages;
mod model;
mod network;
mod overlay;
mod personal;
mod policy;
mod push;
mod quota;
mod receipts;
mod redact;
mod replay;
mod retention;
mod rules;
mod runs_index;
mod sandbox;
mod scan;
mod scan_forms;
mod scan_history;
mod schemas;
mod search;
mod secret;
mod signed_runs;
mod snapshot;
mod storms;
mod support;
mod sync;
mod taken_away;
mod toolchains;
mod tools;
mod traps;
mod traps_content;
mod unexamined;
mod vault;
mod vectors;
mod verify;
mod walk_commit;
mod walk_run;
mod walk_staged;

/// Every file beside this one is a module above: a test that no one runs is worse than none.
#[test]
fn no_test_file_is_forgotten() {
    let dir = support::root().join("tests/it");
    let here = std::fs::read_to_string(dir.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        assert!(
            module == "main" || here.contains(&format!("mod {module};")),
            "{name} is in no `mod`"
        );
    }
}
