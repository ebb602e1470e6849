//! Collections by someone else, at the worst moments: what a moved ref names is there.

use std::{fs, path::Path};

use carnet_core::GitOid;
use carnet_git::{CommitSpec, EntryMode, Repo, TreeSpec};
use carnet_testkit::TestRepo;

use crate::{assert_sound, author, oid, open, path, time};

const CHAIN: &str = "refs/carnet/ledger/writer/2026-01-02";

/// Appends a commit of one file; `meanwhile` happens between the writing of the file and that of the commit.
fn append(opened: &Repo, text: &[u8], meanwhile: &dyn Fn()) -> GitOid {
    let make = |previous: Option<GitOid>| {
        let blob_id = opened.write_blob(text)?;
        let tree =
            opened.write_tree(&TreeSpec::new().file(path("file"), EntryMode::File, blob_id))?;
        meanwhile();
        let parents = previous.into_iter().collect();
        Ok(CommitSpec { tree, parents, message: "m".to_owned(), author: author(), time: time() })
    };
    opened.append_chain(CHAIN, &make).unwrap()
}

fn held(repo: &TestRepo) -> usize {
    fs::read_dir(repo.path().join(".git/carnet/held")).map_or(0, Iterator::count)
}

fn loose(repo: &TestRepo, id: &GitOid) -> std::path::PathBuf {
    let hex = id.to_string();
    repo.path().join(".git/objects").join(&hex[..2]).join(&hex[2..])
}

#[test]
fn what_is_collected_before_its_ref_is_moved_is_put_back() {
    let repo = TestRepo::init();
    repo.commit_all("first");
    let opened = open(&repo);
    append(&opened, b"new", &|| {
        repo.git(&["prune", "--expire=now"]);
        assert_eq!(repo.git(&["count-objects"]).split(' ').next(), Some("2"), "nothing was pruned");
    });
    assert_sound(&repo);
    assert_eq!(repo.git(&["show", &format!("{CHAIN}:file")]), "new");
    drop(opened);
    assert_eq!(held(&repo), 0);
}

#[test]
fn what_a_killed_process_had_only_begun_to_write_is_not_healed_into_place() {
    let repo = TestRepo::init();
    repo.commit_all("first");
    repo.write("text", "some text that packs to more than a few bytes, and some more of it");
    let id = oid(&repo.git(&["hash-object", "-w", "text"]));
    let whole = fs::read(loose(&repo, &id)).unwrap();
    fs::remove_file(loose(&repo, &id)).unwrap();
    let dir = repo.path().join(".git/carnet/held/1-0000000000000000");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let longer = [&whole[..], b"x"].concat();
    let begun = (0..whole.len()).map(|n| whole[..n].to_vec()).chain([flipped, longer]);
    for bytes in begun.collect::<Vec<_>>() {
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(id.to_string()), &bytes).unwrap();
        let opened = open(&repo);
        opened.heal();
        assert!(!opened.has_object(&id) && !loose(&repo, &id).exists(), "{bytes:?}");
        assert_eq!(held(&repo), 0);
    }
    assert_sound(&repo);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(id.to_string()), &whole).unwrap();
    open(&repo).heal();
    assert!(open(&repo).has_object(&id));
    assert_sound(&repo);
}

#[test]
fn what_a_power_loss_left_empty_is_written_again() {
    let repo = TestRepo::init();
    repo.commit_all("first");
    let id = open(&repo).write_blob(b"text").unwrap();
    let path = loose(&repo, &id);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "").unwrap();
    append(&open(&repo), b"text", &|| {});
    assert_sound(&repo);
    assert_eq!(repo.git(&["show", &format!("{CHAIN}:file")]), "text");
}

#[test]
fn objects_of_any_length_are_what_git_reads_whether_links_can_be_made_or_not() {
    let repo = TestRepo::init();
    repo.commit_all("first");
    let held = repo.path().join(".git/carnet/held");
    for can_link in [true, false] {
        let opened = open(&repo);
        if !can_link {
            fs::create_dir_all(held.parent().unwrap()).unwrap();
            drop(fs::remove_dir_all(&held));
            fs::write(&held, "no directory").unwrap();
        }
        for n_bytes in [0_usize, 1, 63, 64, 200, 65_536, 300_001] {
            // Some that packs well, some that does not pack at all.
            for factor in [1, 2_654_435_761] {
                let salt = usize::from(can_link);
                let bytes: Vec<u8> =
                    (0..n_bytes).map(|idx| (((idx + salt) * factor) >> 11) as u8).collect();
                let id = opened.write_blob(&bytes).unwrap().to_string();
                assert_eq!(repo.git_bytes(&["cat-file", "blob", &id]), bytes, "{n_bytes}");
            }
        }
        opened.sync_objects().unwrap();
    }
    assert_sound(&repo);
}

#[test]
fn what_was_found_in_a_pack_that_is_thrown_away_is_there() {
    let repo = TestRepo::init();
    repo.commit_all("first");
    repo.write("forgotten", "forgotten");
    let id = repo.git(&["hash-object", "-w", "forgotten"]);
    fs::write(repo.path().join("ids"), format!("{id}\n")).unwrap();
    repo.script("git pack-objects -q .git/objects/pack/pack <ids >/dev/null && git prune-packed");
    assert!(!loose(&repo, &GitOid::from_hex(&id).unwrap()).exists());
    let opened = open(&repo);
    append(&opened, b"forgotten", &|| drop(repo.git(&["gc", "--quiet", "--prune=now"])));
    assert_sound(&repo);
    assert_eq!(repo.git(&["show", &format!("{CHAIN}:file")]), "forgotten");
}

#[test]
fn what_a_collection_takes_after_the_ref_was_moved_is_healed_at_the_next_opening() {
    let repo = TestRepo::init();
    repo.commit_all("first");
    let gc_pid = repo.path().join(".git/gc.pid");
    fs::write(&gc_pid, format!("{} somewhere", std::process::id())).unwrap();
    let opened = open(&repo);
    let commit = append(&opened, b"new", &|| {});
    drop(opened);
    assert_eq!(held(&repo), 1, "a collection goes on: the second names stay");
    // It had looked before the ref was moved.
    fs::remove_file(loose(&repo, &commit)).unwrap();
    let opened = open(&repo);
    opened.heal();
    assert!(opened.has_object(&commit));
    assert_sound(&repo);
    assert_eq!(held(&repo), 1, "it still goes on");
    fs::remove_file(&gc_pid).unwrap();
    opened.heal();
    assert_eq!(held(&repo), 0);
    assert_sound(&repo);
}

#[test]
fn a_gc_pid_that_a_dead_process_left_is_no_collection() {
    let repo = TestRepo::init();
    repo.commit_all("first");
    // The largest process id that Linux ever gives is below this.
    fs::write(repo.path().join(".git/gc.pid"), "99999999 somewhere").unwrap();
    if Path::new("/proc/self").exists() {
        let opened = open(&repo);
        append(&opened, b"new", &|| {});
        drop(opened);
        assert_eq!(held(&repo), 0);
    }
}
