//! Runs that someone else wrote into a ledger: unsigned, wrongly signed, or with ids that begin alike.

use carnet_access::{dsse::Signatures, keys::SigningKey};
use carnet_core::{GitOid, RunId, passport::PAYLOAD_TYPE};
use carnet_git::Repo;
use carnet_run::{
    ledger::{read_file, read_passport},
    record::{FinishedRun, record},
};

use crate::support::{Walk, everyone};

/// A walk with one run, and its run commit.
fn recorded() -> (Walk, String) {
    let walk = Walk::initialised("printf 'out:\\n\\techo made >out\\n' >Makefile", everyone()[0]);
    walk.carnet(&["run", "--output", "out", "--", "make", "out"]).expect_code(0);
    let commit = walk.json(&["runs", "--json"])["runs"][0]["commit"].as_str().unwrap().to_owned();
    (walk, commit)
}

/// Records what a run left once more, with an id and by a key of our choice, as `writer`.
fn record_again(walk: &Walk, commit: &str, id: [u8; 16], key: &SigningKey, writer: &str) {
    let repo = Repo::discover(walk.repo.path()).unwrap();
    let commit = GitOid::from_hex(commit).unwrap();
    let mut passport = read_passport(&repo, commit).unwrap().predicate;
    passport.run.id = RunId::from_random(id);
    passport.run.writer = writer.to_owned();
    passport.artifacts.clear();
    let logs = ["stdout", "stderr"]
        .map(|name| (name, read_file(&repo, commit, &format!("logs/{name}")).unwrap()));
    let run = FinishedRun {
        passport,
        stands_in: None,
        logs: logs.to_vec(),
        model: None,
        outputs: vec![],
        policy_files: vec![],
    };
    record(&repo, key, run).unwrap();
}

#[test]
fn an_ambiguous_id_names_the_runs_that_it_fits() {
    let (walk, commit) = recorded();
    let key = SigningKey::from_seed([1; 32]);
    let ids = [[0xab; 16], std::array::from_fn(|at| if at == 15 { 0xac } else { 0xab })];
    for id in ids {
        record_again(&walk, &commit, id, &key, &key.public().writer());
    }
    let whole = ids.map(|id| RunId::from_random(id).to_string());
    for verb in [&["show"][..], &["replay"], &["passport", "verify"], &["attest"]] {
        for prefix in ["abab", &whole[0][..31]] {
            let ran = walk.carnet(&[verb, &[prefix]].concat()).expect_code(2);
            assert!(whole.iter().all(|id| ran.stderr.contains(id)), "{verb:?}: {}", ran.stderr);
            assert!(ran.stderr.contains("hint: Type more digits"), "{verb:?}: {}", ran.stderr);
        }
        walk.carnet(&[verb, &["aba"]].concat()).expect_code(2);
        walk.carnet(&[verb, &["cdcd"]].concat()).expect_code(3);
    }
    for id in &whole {
        assert_eq!(walk.json(&["show", id, "--json"])["predicate"]["run"]["id"], **id);
    }
}

/// A passport whose signature is `sig` (`None`: taken away); the ledger names the changed run commit.
fn with_signature(walk: &Walk, commit: &str, sig: Option<&[u8]>) {
    walk.write("sig", sig.unwrap_or_default());
    let change = if sig.is_some() {
        "git update-index --add --cacheinfo 100644,$(git hash-object -w sig),passport.sig"
    } else {
        "git update-index --force-remove passport.sig"
    };
    walk.repo.script(&format!(
        "export GIT_INDEX_FILE=.git/forged.index
         git read-tree {commit}
         {change}
         forged=$(git commit-tree -p HEAD -m forged $(git write-tree))
         ref=$(git for-each-ref --format='%(refname)' refs/carnet/ledger)
         git cat-file commit $ref | sed \"s/{commit}/$forged/g\" >event
         git -c core.hooksPath=/dev/null update-ref $ref $(git hash-object -t commit -w event)
         rm .git/forged.index event sig"
    ));
}

#[test]
fn an_unsigned_and_a_wrongly_signed_passport_are_refused_by_every_verb_that_rests_on_it() {
    let other = SigningKey::from_seed([9; 32]);
    for what in ["unsigned", "nonsense", "by another key", "of another kind"] {
        let (walk, commit) = recorded();
        let passport = walk.repo.git_bytes(&["show", &format!("{commit}:passport.json")]);
        let sig = match what {
            "unsigned" => None,
            "nonsense" => Some(b"no signature".to_vec()),
            "by another key" => Some(Signatures::sign(PAYLOAD_TYPE, &passport, &other).to_json()),
            _ => Some(walk.repo.git_bytes(&["show", &format!("{commit}:MANIFEST.sha256.sig")])),
        };
        with_signature(&walk, &commit, sig.as_deref());
        let run = walk.newest_run();
        let ran = walk.carnet(&["passport", "verify", &run]).expect_code(1);
        for check in ["ledger event", "signature", "manifest"] {
            let fails = format!("FAILS  {check}");
            assert!(ran.stdout.contains(&fails), "{what}, {check}: {}", ran.stdout);
        }
        let ran = walk.carnet(&["replay", &run]).expect_code(1);
        assert!(ran.stdout.starts_with("REFUSED"), "{what}: {}", ran.stdout);
        walk.carnet(&["verify"]).expect_code(1);
    }
}

#[test]
fn a_run_that_another_key_signed_throughout_is_not_the_writers() {
    let (walk, commit) = recorded();
    let writer = walk.json(&["runs", "--json"])["runs"][0]["writer"].as_str().unwrap().to_owned();
    let thief = SigningKey::from_seed([9; 32]);
    record_again(&walk, &commit, [0xee; 16], &thief, &writer);
    let run = RunId::from_random([0xee; 16]).to_string();
    let ran = walk.carnet(&["passport", "verify", &run]).expect_code(1);
    assert!(ran.stdout.contains("FAILS  ledger event"), "{}", ran.stdout);
    let ran = walk.carnet(&["replay", &run]).expect_code(1);
    assert!(ran.stdout.starts_with("REFUSED"), "{}", ran.stdout);
    walk.carnet(&["verify"]).expect_code(1);
    // What was there before still stands by itself.
    let first = walk.json(&["runs", "--json"])["runs"].as_array().unwrap().iter().find_map(|it| {
        let id = it["run"].as_str().unwrap();
        (id != run).then(|| id.to_owned())
    });
    walk.carnet(&["passport", "verify", &first.unwrap()]).expect_code(0);
}
