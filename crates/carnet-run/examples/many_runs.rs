//! Writes many runs into a repository's ledger, for `cargo xtask bench runs`: what a recorded run left is recorded again, under
//! other ids, times and writers, by the ledger's own writer.
//!
//!     many_runs REPOSITORY FIRST COUNT TOTAL
//!
//! Ten writers share TOTAL runs, evenly over 80 days and over the last 500 commits; this call writes COUNT of them from number FIRST on.
#![expect(clippy::unwrap_used, reason = "a measurement that fails must stop where it stands")]

use std::path::Path;

use carnet_access::keys::SigningKey;
use carnet_core::{RunId, Timestamp};
use carnet_git::Repo;
use carnet_run::{
    index, ledger,
    record::{FinishedRun, record},
};

const N_WRITERS: usize = 10;
const N_DAYS: usize = 80;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, first, count, total] = args.as_slice() else {
        panic!("many_runs REPOSITORY FIRST COUNT TOTAL")
    };
    let [first, count, total] = [first, count, total].map(|word| word.parse::<usize>().unwrap());
    let repo = Repo::discover(Path::new(dir)).unwrap();
    let index = index::open(&repo).unwrap();
    // The newest: what was written by an earlier call is older.
    let model = index.runs().next().expect("because one run was recorded beforehand");
    let commit = model.event().unwrap().commit;
    let model = ledger::read_passport(&repo, commit).unwrap().predicate;
    let mut policy_files = vec![];
    for file in repo.tree_files(&commit).unwrap() {
        let path = file.path.to_text();
        if let Some(name) = path.strip_prefix("policy/") {
            let text = ledger::read_file(&repo, commit, &path).unwrap();
            policy_files.push((name.to_owned(), String::from_utf8(text).unwrap()));
        }
    }
    let logs = ["stdout", "stderr"]
        .map(|name| (name, ledger::read_file(&repo, commit, &format!("logs/{name}")).unwrap()));
    let head = model.source.commit;
    let sources: Vec<_> =
        repo.first_parents(&head).take(500).map(|commit| commit.unwrap()).collect();
    let begin = model.started_at.as_millis() - (N_DAYS as i64 + 1) * DAY_MS;
    for run_idx in first..first + count {
        let mut id = [0; 16];
        getrandom::fill(&mut id).unwrap();
        let key = SigningKey::from_seed([u8::try_from(run_idx % N_WRITERS).unwrap() + 1; 32]);
        let at = begin + (run_idx as i64) * (N_DAYS as i64 * DAY_MS) / total as i64;
        let source = &sources[run_idx * sources.len() / total];
        let mut passport = model.clone();
        passport.run.id = RunId::from_random(id);
        passport.run.writer = key.public().writer();
        passport.source.commit = source.id;
        passport.usage.wall_ms = run_idx as u64;
        passport.started_at = Timestamp::from_millis(at);
        passport.finished_at = Timestamp::from_millis(at + 100);
        let logs = logs.to_vec();
        let policy_files = policy_files.clone();
        let run = FinishedRun {
            passport,
            stands_in: None,
            logs,
            model: None,
            outputs: vec![],
            policy_files,
        };
        let recorded = record(&repo, &key, run).unwrap();
        assert_eq!(recorded.note_problem, None);
    }
}
