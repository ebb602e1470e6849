//! What to back up on, and which backups may go: values in, values out. No IO.

use std::collections::BTreeSet;

use carnet_core::Timestamp;

use super::Manifest;

/// How many days of backups are kept unless configured otherwise.
pub const KEEP_DAYS: u32 = 30;
/// A chain of increments begins anew after so many days.
const FULL_EVERY_DAYS: i64 = 7;
const DAY_MS: i64 = 86_400_000;
/// Where locked runs are kept.
const LOCKED_PREFIX: &str = "refs/carnet/locked/";

/// Says what the next backup builds on: `None` for a full one.
///
/// - `existing`: oldest first.
pub fn plan_create(existing: &[Manifest], now: Timestamp) -> Option<&Manifest> {
    let last = existing.last()?;
    let full = existing.iter().rev().find(|backup| backup.is_full())?;
    let age_ms = now.as_millis().saturating_sub(full.created_at.as_millis());
    (0..FULL_EVERY_DAYS * DAY_MS).contains(&age_ms).then_some(last)
}

/// What becomes of each backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrunePlan {
    /// Ids that may go, oldest first.
    pub remove: Vec<String>,
    /// Ids that stay and why, oldest first.
    pub keep: Vec<(String, &'static str)>,
}

/// Decides which backups may go: kept are those younger than `keep_days`, the newest, those that hold locked runs which no
/// younger kept one holds, and all that a kept one builds on.
///
/// - `existing`: oldest first.
pub fn plan_prune(existing: &[Manifest], keep_days: u32, now: Timestamp) -> PrunePlan {
    let mut keep: Vec<(String, &'static str)> = vec![];
    let mut needed: Option<&str> = None;
    let mut locked: BTreeSet<&str> = BTreeSet::new();
    for (from_newest, backup) in existing.iter().rev().enumerate() {
        let age_ms = now.as_millis().saturating_sub(backup.created_at.as_millis());
        let own_locked = || backup.refs.keys().filter(|name| name.starts_with(LOCKED_PREFIX));
        let why = if from_newest == 0 {
            Some("the newest")
        } else if age_ms < i64::from(keep_days) * DAY_MS {
            Some("young enough")
        } else if needed == Some(backup.id.as_str()) {
            Some("a younger one builds on it")
        } else if own_locked().any(|name| !locked.contains(name.as_str())) {
            Some("it holds locked runs that no younger one holds")
        } else {
            None
        };
        let Some(why) = why else { continue };
        locked.extend(own_locked().map(String::as_str));
        needed =
            if backup.is_full() { None } else { backup.previous.as_ref().map(|it| it.id.as_str()) };
        keep.push((backup.id.clone(), why));
    }
    keep.reverse();
    let kept: BTreeSet<&str> = keep.iter().map(|(id, _)| id.as_str()).collect();
    let gone = existing.iter().filter(|backup| !kept.contains(backup.id.as_str()));
    let remove = gone.map(|backup| backup.id.clone()).collect();
    PrunePlan { remove, keep }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::backup::{Previous, tests::manifest};

    /// One backup a day, each `every` days a full one.
    fn daily(n_days: i64, every: i64) -> Vec<Manifest> {
        let mut backups: Vec<Manifest> = vec![];
        for day in 0..n_days {
            let previous = backups.last().filter(|_| day % every != 0);
            let previous =
                previous.map(|it| Previous { id: it.id.clone(), manifest_sha256: it.digest() });
            backups.push(manifest(Timestamp::from_millis(day * DAY_MS), previous));
        }
        backups
    }

    #[test]
    fn a_chain_begins_anew_after_a_week_and_when_the_clock_went_back() {
        let backups = daily(3, 100);
        let day = |day: i64| Timestamp::from_millis(day * DAY_MS);
        assert_eq!(plan_create(&[], day(0)), None);
        assert_eq!(plan_create(&backups, day(3)), Some(&backups[2]));
        assert_eq!(plan_create(&backups, day(7)), None);
        assert_eq!(plan_create(&backups, day(-1)), None);
    }

    #[test]
    fn a_locked_run_that_later_backups_lost_keeps_the_one_that_has_it() {
        let mut backups = daily(50, 7);
        let id = carnet_core::GitOid::from_bytes(&[1; 20]).unwrap();
        backups[3].refs.insert("refs/carnet/locked/w/2026-01".to_owned(), id);
        let plan = plan_prune(&backups, 30, Timestamp::from_millis(49 * DAY_MS));
        let kept: Vec<_> = plan.keep.iter().map(|(id, _)| id.clone()).take(5).collect();
        let expected: Vec<_> = [0, 1, 2, 3, 14].map(|day| backups[day].id.clone()).to_vec();
        assert_eq!(kept, expected);
    }

    proptest! {
        /// The slow oracle: what is younger, newest, or reached from one of those along `previous`.
        #[test]
        fn what_is_kept_is_whole_and_nothing_else_is(n_days in 1_i64..80, every in 1_i64..20, keep in 0_u32..40) {
            let backups = daily(n_days, every);
            let now = Timestamp::from_millis((n_days - 1) * DAY_MS);
            let plan = plan_prune(&backups, keep, now);
            let mut expected = BTreeSet::new();
            for (at, backup) in backups.iter().enumerate() {
                let age = n_days - 1 - at as i64;
                if age < i64::from(keep) || age == 0 {
                    let mut next = Some(backup);
                    while let Some(it) = next {
                        expected.insert(it.id.clone());
                        let id = it.previous.as_ref().map(|previous| previous.id.clone());
                        next = id.and_then(|id| backups.iter().find(|backup| backup.id == id));
                    }
                }
            }
            let kept: BTreeSet<_> = plan.keep.iter().map(|(id, _)| id.clone()).collect();
            prop_assert_eq!(kept.len() + plan.remove.len(), backups.len());
            prop_assert_eq!(kept, expected);
        }
    }
}
