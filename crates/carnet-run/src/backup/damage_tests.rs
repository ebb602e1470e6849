//! Backups against the real git: every day can be restored, and no damage passes.

use std::fs;

use carnet_testkit::TestRepo;

use super::*;
use crate::artifact::own_store;
use carnet_access::keys::SigningKey;
use carnet_git::{
    CommitSpec, EntryMode, Repo, TreeSpec,
    store::{Stores, survey},
};

const DAY_MS: i64 = 86_400_000;

struct Site {
    kit: TestRepo,
    repo: Repo,
    key: SigningKey,
    dir: BackupDir,
    n_commits: u8,
}

impl Site {
    fn new() -> Site {
        let kit = TestRepo::init();
        kit.script("echo one >file");
        kit.commit_all("first");
        let repo = Repo::discover(kit.path()).unwrap();
        let dir = BackupDir::new(kit.root().join("backups"));
        Site { kit, repo, key: SigningKey::from_seed([1; 32]), dir, n_commits: 0 }
    }

    /// Adds a commit under a ref of carnet's with a pointer to a content of its own; returns the content's digest.
    fn grow(&mut self) -> Digest {
        self.n_commits += 1;
        let content = vec![self.n_commits; 3 << 20];
        let list = survey(&mut content.as_slice(), &mut |_| {}).unwrap();
        Stores::own(own_store(&self.repo)).put(&list, &mut content.as_slice()).unwrap();
        let blob = self.repo.write_blob(list.pointer.to_text().as_bytes()).unwrap();
        let path = carnet_core::RepoPath::new(*b"artifacts/large").unwrap();
        let author = carnet_git::Author { name: "t".to_owned(), email: "t@t".to_owned() };
        let append = |previous: Option<GitOid>| {
            let tree = TreeSpec::new().file(path.clone(), EntryMode::File, blob);
            Ok(CommitSpec {
                tree: self.repo.write_tree(&tree)?,
                parents: previous.into_iter().collect(),
                message: "grown".to_owned(),
                author: author.clone(),
                time: Timestamp::from_millis(0),
            })
        };
        self.repo.append_chain("refs/carnet/ledger/w/2026-01-01", &append).unwrap();
        list.pointer.digest
    }

    fn create(&self, day: i64) -> Manifest {
        let now = Timestamp::from_millis(1_790_000_000_000 + day * DAY_MS);
        let stores = Stores::own(own_store(&self.repo));
        create(&self.repo, &self.key, &stores, &self.dir, false, now).unwrap().manifest
    }

    fn verify(&self) -> Verified {
        let scratch = tempfile::tempdir().unwrap();
        verify(&self.dir, None, &[self.key.public()], scratch.path()).unwrap()
    }
}

#[test]
fn any_day_of_thirty_is_restored_after_forty_days() {
    let mut site = Site::new();
    let mut tips = vec![];
    for day in 0..40 {
        if day % 10 == 5 {
            site.grow();
        }
        if day % 3 != 1 {
            site.kit.script(&format!("echo {day} >file"));
            site.kit.commit_all("next");
        }
        if day == 20 {
            site.kit.git(&["branch", "side"]);
        }
        if day == 30 {
            site.kit.git(&["branch", "-D", "side"]);
        }
        let manifest = site.create(day);
        let refs = site.kit.git(&["for-each-ref", "--format=%(refname) %(objectname)"]);
        tips.push((manifest.id, refs));
    }
    let now = Timestamp::from_millis(1_790_000_000_000 + 39 * DAY_MS);
    let pruned = prune(&site.dir, 30, now, false).unwrap();
    // Day 10 is the oldest of thirty; it builds on the full backup of day 7.
    assert_eq!(pruned.plan.remove.len(), 7);
    assert!(site.verify().problems.is_empty());
    for (id, refs) in &tips[10..] {
        let target = tempfile::tempdir().unwrap();
        let restored = restore(&site.dir, Some(id), target.path(), &[]).unwrap();
        let git = |args: &[&str]| site.kit.git_in(target.path(), args);
        assert_eq!(git(&["for-each-ref", "--format=%(refname) %(objectname)"]), *refs);
        assert_eq!(git(&["status", "--porcelain"]), "");
        let repo = Repo::discover(target.path()).unwrap();
        let stores = Stores::own(own_store(&repo));
        for digest in &restored.manifest.contents {
            let mut content = stores.open(digest).unwrap();
            assert!(std::io::copy(&mut content, &mut std::io::sink()).unwrap() == 3 << 20);
        }
    }
    assert!(matches!(
        restore(&site.dir, Some(&tips[0].0), site.kit.root().join("x").as_path(), &[]),
        Err(BackupError::None { .. })
    ));
}

fn files_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else if fs::metadata(&path).unwrap().len() > 0 {
            found.push(path);
        }
    }
}

#[test]
fn damage_anywhere_in_any_file_is_found() {
    let mut site = Site::new();
    site.grow();
    site.create(0);
    site.grow();
    site.create(1);
    assert!(site.verify().problems.is_empty());
    let mut files = vec![];
    files_below(&site.dir.root, &mut files);
    // Two backups of four files, two contents of a list and one or more chunks.
    assert!(files.len() >= 12, "{files:?}");
    let mut n_damages = 0;
    for path in files {
        let whole = fs::read(&path).unwrap();
        let last = whole.len() - 1;
        // First, last, and spread between: each with one bit flipped, and the file cut there.
        for at in [0, last / 3, last] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            for bytes in [damaged.as_slice(), &whole[..at]] {
                fs::write(&path, bytes).unwrap();
                let verified = site.verify();
                assert!(!verified.problems.is_empty(), "byte {at} of {}", path.display());
                n_damages += 1;
            }
        }
        fs::remove_file(&path).unwrap();
        assert!(!site.verify().problems.is_empty(), "missing: {}", path.display());
        fs::write(&path, &whole).unwrap();
    }
    assert!(n_damages >= 72);
    assert!(site.verify().problems.is_empty());
}

#[test]
fn nothing_builds_on_a_backup_that_lacks_something() {
    let mut site = Site::new();
    let ids: Vec<String> = (0..3)
        .map(|day| {
            site.grow();
            site.create(day).id
        })
        .collect();
    let of = |id: &str| site.dir.root.join(id);
    // The newest is gone: the one before it is built on.
    fs::remove_dir_all(of(&ids[2])).unwrap();
    let third = site.create(3);
    assert_eq!(third.previous.unwrap().id, ids[1]);
    // Of the newest the bundle is gone, then cut: all is saved again.
    let bundle = of(&third.id).join(BUNDLE);
    let whole = fs::read(&bundle).unwrap();
    for (day, damage) in [(4, None), (5, Some(whole.len() / 2))] {
        match damage {
            None => fs::remove_file(&bundle).unwrap(),
            Some(len) => fs::write(&bundle, &whole[..len]).unwrap(),
        }
        let made = site.create(day);
        assert!(made.is_full(), "{damage:?}");
        let target = tempfile::tempdir().unwrap();
        restore(&site.dir, Some(&made.id), target.path(), &[]).unwrap();
        fs::remove_dir_all(of(&made.id)).unwrap();
    }
    // What the newest builds on is gone.
    fs::write(&bundle, &whole).unwrap();
    fs::remove_dir_all(of(&ids[0])).unwrap();
    assert!(site.create(6).is_full());
}

#[test]
fn a_restore_into_a_place_in_use_or_of_a_foreign_key_is_refused_and_leaves_nothing() {
    let mut site = Site::new();
    site.grow();
    site.create(0);
    let used = tempfile::tempdir().unwrap();
    fs::write(used.path().join("mine"), "x").unwrap();
    assert!(matches!(restore(&site.dir, None, used.path(), &[]), Err(BackupError::NotEmpty(_))));
    assert!(used.path().join("mine").exists());
    let target = site.kit.root().join("target");
    let other = SigningKey::from_seed([2; 32]).public();
    assert!(matches!(
        restore(&site.dir, None, &target, &[other]),
        Err(BackupError::Untrusted { .. })
    ));
    assert!(!target.exists());
}
