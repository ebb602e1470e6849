//! What may go: days of the ledger by age, and contents of the store that nothing kept points at.
//!
//! [`plan_days`] and [`plan_objects`] are functions of values and the time; [`collect_garbage`] asks the repository, plans, and,
//! unless it is dry, does. Branches, tags, notes, locked runs, what others wrote and what was put by hand are never expired here.

use std::collections::BTreeSet;

use carnet_core::{Digest, GitOid, Timestamp};
use carnet_git::{
    RefUpdateError, Repo, WholeError,
    store::{ContentError, ObjectKind, ObjectStore as _, StoreError, StoredObject, Stores},
};

use crate::artifact::own_store;

/// How many days of the ledger are kept unless configured otherwise.
pub const KEEP_DAYS: u32 = 90;
/// How many days an object of the store is kept that nothing points at, unless configured otherwise.
pub const GRACE_DAYS: u32 = 14;
const DAY_MS: i64 = 86_400_000;
const LEDGER: &str = "refs/carnet/ledger/";

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Days of the ledger.
    pub keep_days: u32,
    /// Days that an object of the store stays when nothing points at it.
    pub grace_days: u32,
}

/// What may go, decided and not yet done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrunePlan {
    /// Ledger refs whose day is over for long enough, with what they name.
    pub days: Vec<(String, GitOid)>,
    /// Objects of the store that no kept ref needs and nobody touched for the time of grace.
    pub objects: Vec<StoredObject>,
}

/// Returns the ledger refs whose whole day is older than `keep_days`. What is no ledger ref of a day stays.
pub fn plan_days(
    refs: &[(String, GitOid)],
    retention: &Retention,
    now: Timestamp,
) -> Vec<(String, GitOid)> {
    let is_over = |name: &str| {
        let day = name.strip_prefix(LEDGER).and_then(|rest| rest.split_once('/'));
        let begin =
            day.filter(|(_, day)| day.len() == 10).and_then(|(_, day)| Timestamp::parse(day));
        begin.is_some_and(|begin| {
            let end_ms = begin.as_millis().saturating_add(DAY_MS);
            now.as_millis().saturating_sub(end_ms) >= i64::from(retention.keep_days) * DAY_MS
        })
    };
    refs.iter().filter(|(name, _)| is_over(name)).cloned().collect()
}

/// Returns the objects that no kept content needs and that are older than the time of grace.
///
/// - `kept`: contents that a kept ref points at.
/// - `lists`: every list of the store with the chunks it names; `None` for one that cannot be read, which keeps all chunks.
pub fn plan_objects(
    kept: &BTreeSet<Digest>,
    lists: &[(StoredObject, Option<Vec<Digest>>)],
    chunks: &[StoredObject],
    retention: &Retention,
    now: Timestamp,
) -> Vec<StoredObject> {
    let is_old = |object: &StoredObject| {
        let age_ms = now.as_millis().saturating_sub(object.touched_at.as_millis());
        age_ms >= i64::from(retention.grace_days) * DAY_MS
    };
    let goes = |list: &StoredObject| !kept.contains(&list.key.digest) && is_old(list);
    let mut needed: BTreeSet<Digest> = BTreeSet::new();
    let mut is_known = true;
    for (list, names) in lists.iter().filter(|(list, _)| !goes(list)) {
        match names {
            Some(names) => needed.extend(names),
            None => is_known = !kept.contains(&list.key.digest) && is_known,
        }
    }
    let lists = lists.iter().map(|(list, _)| list).filter(|list| goes(list)).copied();
    let unneeded =
        |chunk: &&StoredObject| is_known && !needed.contains(&chunk.key.digest) && is_old(chunk);
    lists.chain(chunks.iter().filter(unneeded).copied()).collect()
}

/// Why nothing, or not all, was collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// What the refs reach could not be seen; then nothing of the store goes.
    #[error("find out what is still needed")]
    Roots(#[from] WholeError),
    /// The store could not be read or changed.
    #[error("clear the content store")]
    Store(#[from] StoreError),
    /// A ref could not be deleted.
    #[error("expire a day of the ledger")]
    Refs(#[from] RefUpdateError),
}

/// Plans and, unless `is_dry`, does it. Runs that are being recorded finish first, later ones wait.
///
/// # Errors
///
/// [`CollectError`]; what went until then was allowed to go.
pub fn collect_garbage(
    repo: &Repo,
    retention: &Retention,
    with_days: bool,
    is_dry: bool,
    now: Timestamp,
) -> Result<PrunePlan, CollectError> {
    let store = own_store(repo);
    let _alone = if store.root().exists() { Some(store.exclusive()?) } else { None };
    let refs = repo.every_ref(&["refs/"])?;
    let mut days = if with_days { plan_days(&refs, retention, now) } else { vec![] };
    if !is_dry {
        for (name, tip) in &days {
            match repo.delete_ref(name, tip) {
                // Someone appended to it: it is not as old as it looked.
                Ok(()) | Err(RefUpdateError::Raced { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let refs = if is_dry { refs } else { repo.every_ref(&["refs/"])? };
    let stays = |name: &String| is_dry && days.iter().any(|(gone, _)| gone == name);
    let tips: Vec<GitOid> =
        refs.iter().filter(|(name, _)| !stays(name)).map(|(_, tip)| *tip).collect();
    days.retain(|(name, _)| is_dry || refs.iter().all(|(left, _)| left != name));
    let kept = repo.pointers(&tips)?.into_iter().map(|pointer| pointer.digest).collect();
    let stores = Stores::own(store.clone());
    let mut lists = vec![];
    for list in store.list(ObjectKind::List)? {
        let names = match stores.list(&list.key.digest) {
            Ok(list) => Some(list.chunks.iter().map(|chunk| chunk.digest).collect()),
            Err(ContentError::Store(error)) => return Err(error.into()),
            Err(_) => None,
        };
        lists.push((list, names));
    }
    let chunks = store.list(ObjectKind::Chunk)?;
    let objects = plan_objects(&kept, &lists, &chunks, retention, now);
    if !is_dry {
        // Lists first: a list without its chunks would be damage, chunks without a list are nothing.
        objects.iter().try_for_each(|object| store.remove(&object.key))?;
        let grace_ms = i64::from(retention.grace_days) * DAY_MS;
        store.sweep(Timestamp::from_millis(now.as_millis().saturating_sub(grace_ms)))?;
    }
    Ok(PrunePlan { days, objects })
}

#[cfg(test)]
mod tests {
    use carnet_git::store::ObjectKey;
    use proptest::prelude::*;

    use super::*;

    fn object(kind: ObjectKind, name: u8, day: i64) -> StoredObject {
        let key = ObjectKey { kind, digest: Digest::of(&[name]) };
        StoredObject { key, stored_bytes: 1, touched_at: Timestamp::from_millis(day * DAY_MS) }
    }

    fn tip() -> GitOid {
        GitOid::from_bytes(&[1; 20]).unwrap()
    }

    #[test]
    fn only_days_of_the_ledger_that_are_wholly_over_expire() {
        let names = [
            "refs/carnet/ledger/w/2026-01-01",
            "refs/carnet/ledger/w/2026-01-02",
            "refs/carnet/ledger/w/not-a-day",
            "refs/carnet/ledger/w/2026-13-45",
            "refs/carnet/ledger/2026-01-01",
            "refs/carnet/locked/w/2026-01",
            "refs/carnet/remotes/origin/ledger/w/2026-01-01",
            "refs/heads/2026-01-01",
        ];
        let refs: Vec<_> = names.iter().map(|name| ((*name).to_owned(), tip())).collect();
        let retention = Retention { keep_days: 10, grace_days: 0 };
        let expired = |now: &str| {
            let now = Timestamp::parse(now).unwrap();
            plan_days(&refs, &retention, now).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert!(expired("2026-01-11T23:59:59Z").is_empty());
        assert_eq!(expired("2026-01-12"), names[..1]);
        assert_eq!(expired("2026-01-13"), names[..2]);
        assert_eq!(expired("2036-01-13"), names[..2]);
        assert!(expired("1990-01-01").is_empty(), "the clock went back");
    }

    #[test]
    fn a_kept_list_that_cannot_be_read_keeps_every_chunk() {
        let list = object(ObjectKind::List, 1, 0);
        let chunk = object(ObjectKind::Chunk, 2, 0);
        let retention = Retention { keep_days: 0, grace_days: 1 };
        let now = Timestamp::from_millis(100 * DAY_MS);
        let kept = BTreeSet::from([list.key.digest]);
        assert_eq!(plan_objects(&kept, &[(list, None)], &[chunk], &retention, now), []);
        let plan = plan_objects(&BTreeSet::new(), &[(list, None)], &[chunk], &retention, now);
        assert_eq!(plan, [list, chunk]);
    }

    proptest! {
        /// The slow oracle: an object goes when it is old and no list that stays names it.
        #[test]
        fn what_goes_is_old_and_needed_by_nothing_that_stays(
            lists in prop::collection::btree_map(0_u8..20, (0_i64..40, prop::collection::vec(0_u8..20, 0..4)), 0..8),
            chunks in prop::collection::btree_map(0_u8..20, 0_i64..40, 0..20),
            kept in prop::collection::btree_set(0_u8..20, 0..6),
            grace_days in 0_u32..30,
        ) {
            let now = Timestamp::from_millis(40 * DAY_MS);
            let retention = Retention { keep_days: 0, grace_days };
            let listed: Vec<_> = lists.iter().map(|(name, (day, names))| {
                let names = names.iter().map(|name| Digest::of(&[*name])).collect();
                (object(ObjectKind::List, *name, *day), Some(names))
            }).collect();
            let chunked: Vec<_> = chunks.iter().map(|(name, day)| object(ObjectKind::Chunk, *name, *day)).collect();
            let keep = kept.iter().map(|name| Digest::of(&[*name])).collect();
            let plan: BTreeSet<_> = plan_objects(&keep, &listed, &chunked, &retention, now)
                .into_iter().map(|object| object.key).collect();
            let is_old = |day: i64| 40 - day >= i64::from(grace_days);
            let stays = |name: &u8| kept.contains(name) || !is_old(lists[name].0);
            for name in lists.keys() {
                prop_assert_eq!(plan.contains(&ObjectKey::list(Digest::of(&[*name]))), !stays(name));
            }
            for (name, day) in &chunks {
                let needed = lists.iter().any(|(list, (_, names))| stays(list) && names.contains(name));
                let goes = plan.contains(&ObjectKey::chunk(Digest::of(&[*name])));
                prop_assert_eq!(goes, is_old(*day) && !needed);
            }
        }
    }
}
