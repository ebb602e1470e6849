//! What is unusual in a stretch of the log, against what came before it. A function of entries and a time; no IO.
//!
//! The baseline is learnt from all entries before the stretch. Without one (fewer entries of an actor than
//! [`BASELINE_MIN`]) hours are not judged: everything would be unusual.

use std::collections::BTreeMap;

use carnet_core::Timestamp;

use super::{AuditEntry, AuditKind};

/// Entries of an actor before its hours are judged.
const BASELINE_MIN: usize = 20;
/// Events in one hour that are never a burst.
const BURST_FLOOR: usize = 10;
/// Denials in one day that are never unusual.
const DENIALS_FLOOR: usize = 5;
/// How many times the busiest hour, or day, of the baseline is unusual.
const TIMES: usize = 3;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// In which way something is unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unusual {
    /// Someone who did not act before.
    NewActor,
    /// An account and a secret that were not seen together before.
    NewPair,
    /// An hour of the day at which the actor never acted.
    Hour,
    /// Far more events in one hour than ever before.
    Burst,
    /// Far more denials in one day than ever before.
    Denials,
}

impl Unusual {
    /// Returns the word for machines.
    pub fn word(self) -> &'static str {
        match self {
            Unusual::NewActor => "new-actor",
            Unusual::NewPair => "new-pair",
            Unusual::Hour => "hour",
            Unusual::Burst => "burst",
            Unusual::Denials => "denials",
        }
    }
}

/// One thing that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Anomaly {
    /// When it first showed.
    pub at: Timestamp,
    /// In which way.
    pub unusual: Unusual,
    /// The account, or `writer <id>` for people.
    pub actor: String,
    /// Why, in words.
    pub why: String,
}

/// Returns what is unusual since a time, in order of time.
///
/// - `entries`: the whole log, or at least the baseline's part of it, in any order.
pub fn review(entries: &[AuditEntry], since: Timestamp) -> Vec<Anomaly> {
    let (stretch, before): (Vec<_>, Vec<_>) =
        entries.iter().partition(|entry| entry.event.at >= since);
    let (before, now) = (Tally::of(&before), Tally::of(&stretch));
    let mut found = vec![];
    let mut add = |at, unusual, actor: &str, why: String| {
        found.push(Anomaly { at, unusual, actor: actor.to_owned(), why });
    };
    for (actor, first) in &now.first_seen {
        if !before.first_seen.is_empty() && !before.first_seen.contains_key(actor) {
            add(
                *first,
                Unusual::NewActor,
                actor,
                format!("nothing of {actor} stands in the log before"),
            );
        }
    }
    for ((actor, secret), first) in &now.pairs {
        let is_new = !before.pairs.contains_key(&(actor.clone(), secret.clone()));
        if is_new && before.first_seen.contains_key(actor) {
            add(*first, Unusual::NewPair, actor, format!("it never read `{secret}` before"));
        }
    }
    for ((actor, hour), first) in &now.hours {
        let n_before = before.n_entries.get(actor).copied().unwrap_or_default();
        if n_before >= BASELINE_MIN && !before.hours.contains_key(&(actor.clone(), *hour)) {
            let why = format!(
                "none of its {n_before} entries before was between {hour}:00 and {}:00 UTC",
                hour + 1
            );
            add(*first, Unusual::Hour, actor, why);
        }
    }
    for (actor, (at, n)) in busiest(&now.per_hour) {
        let n_before = busiest(&before.per_hour).get(&actor).map_or(0, |it| it.1);
        if n > BURST_FLOOR.max(TIMES * n_before) {
            let why = format!("{n} events in one hour; the busiest hour before had {n_before}");
            add(at, Unusual::Burst, &actor, why);
        }
    }
    for (actor, (at, n)) in busiest(&now.denials_per_day) {
        let n_before = busiest(&before.denials_per_day).get(&actor).map_or(0, |it| it.1);
        if n > DENIALS_FLOOR.max(TIMES * n_before) {
            let why = format!("{n} denials in one day; the worst day before had {n_before}");
            add(at, Unusual::Denials, &actor, why);
        }
    }
    found.sort();
    found
}

/// Counts of a part of the log.
#[derive(Default)]
struct Tally {
    n_entries: BTreeMap<String, usize>,
    first_seen: BTreeMap<String, Timestamp>,
    pairs: BTreeMap<(String, String), Timestamp>,
    hours: BTreeMap<(String, i64), Timestamp>,
    per_hour: BTreeMap<(String, i64), (Timestamp, usize)>,
    denials_per_day: BTreeMap<(String, i64), (Timestamp, usize)>,
}

impl Tally {
    fn of(entries: &[&AuditEntry]) -> Tally {
        let mut tally = Tally::default();
        for entry in entries {
            let (event, at) = (&entry.event, entry.event.at);
            let actor = actor(entry);
            *tally.n_entries.entry(actor.clone()).or_default() += 1;
            earliest(&mut tally.first_seen, actor.clone(), at);
            if let (AuditKind::SecretAccess, Some(secret)) = (event.event, &event.subject) {
                earliest(&mut tally.pairs, (actor.clone(), secret.clone()), at);
            }
            let ms = at.as_millis();
            earliest(&mut tally.hours, (actor.clone(), ms.rem_euclid(DAY_MS) / HOUR_MS), at);
            count(&mut tally.per_hour, (actor.clone(), ms.div_euclid(HOUR_MS)), at);
            if event.event.is_denial() {
                count(&mut tally.denials_per_day, (actor, ms.div_euclid(DAY_MS)), at);
            }
        }
        tally
    }
}

/// Who acted: the account, or the clone where a person did.
fn actor(entry: &AuditEntry) -> String {
    entry.event.account.clone().unwrap_or_else(|| format!("writer {}", entry.writer))
}

fn earliest<K: Ord>(map: &mut BTreeMap<K, Timestamp>, key: K, at: Timestamp) {
    map.entry(key).and_modify(|first| *first = at.min(*first)).or_insert(at);
}

fn count<K: Ord>(map: &mut BTreeMap<K, (Timestamp, usize)>, key: K, at: Timestamp) {
    let (first, n) = map.entry(key).or_insert((at, 0));
    (*first, *n) = (at.min(*first), *n + 1);
}

/// The busiest hour or day of each actor: when it began to be busy, and how busy it was.
fn busiest(
    counts: &BTreeMap<(String, i64), (Timestamp, usize)>,
) -> BTreeMap<String, (Timestamp, usize)> {
    let mut busiest: BTreeMap<String, (Timestamp, usize)> = BTreeMap::new();
    for ((actor, _), (at, n)) in counts {
        let known = busiest.entry(actor.clone()).or_insert((*at, *n));
        if *n > known.1 {
            *known = (*at, *n);
        }
    }
    busiest
}

#[cfg(test)]
mod tests {
    use super::{super::AuditEvent, *};

    const NOON: i64 = 20_000 * DAY_MS + 12 * HOUR_MS;

    fn entry(kind: AuditKind, account: &str, secret: &str, at_ms: i64) -> AuditEntry {
        let mut event = AuditEvent::new(kind, "secret get", Timestamp::from_millis(at_ms));
        event.account = Some(account.to_owned());
        event.subject = Some(secret.to_owned());
        let (format, writer) = (String::new(), "w".to_owned());
        AuditEntry { format, writer, public_key: None, n: 1, previous: None, event }
    }

    fn reads(account: &str, secret: &str, n: i64, first_ms: i64, every_ms: i64) -> Vec<AuditEntry> {
        (0..n)
            .map(|idx| entry(AuditKind::SecretAccess, account, secret, first_ms + idx * every_ms))
            .collect()
    }

    /// A month of one read a day at noon, then `more`; what is unusual in the last.
    fn check(more: Vec<AuditEntry>, expect: &[(Unusual, &str)]) {
        let mut all = reads("ci", "db", 30, NOON - 30 * DAY_MS, DAY_MS);
        all.extend(more);
        let found = review(&all, Timestamp::from_millis(NOON));
        let found: Vec<_> = found.iter().map(|it| (it.unusual, it.actor.as_str())).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn more_of_the_same_is_not_unusual() {
        check(reads("ci", "db", 7, NOON, DAY_MS), &[]);
        check(vec![], &[]);
    }

    #[test]
    fn a_new_secret_a_new_actor_and_a_new_hour_are() {
        check(reads("ci", "root", 1, NOON, 1), &[(Unusual::NewPair, "ci")]);
        check(reads("eve", "db", 1, NOON, 1), &[(Unusual::NewActor, "eve")]);
        check(reads("ci", "db", 1, NOON + 15 * HOUR_MS, 1), &[(Unusual::Hour, "ci")]);
    }

    #[test]
    fn bursts_and_denials_are_measured_against_the_busiest_before() {
        check(reads("ci", "db", 10, NOON, 1), &[]);
        check(reads("ci", "db", 11, NOON, 1), &[(Unusual::Burst, "ci")]);
        let denied =
            |n| (0..n).map(|idx| entry(AuditKind::TokenRefusal, "ci", "t", NOON + idx)).collect();
        check(denied(5), &[]);
        check(denied(6), &[(Unusual::Denials, "ci")]);
    }

    #[test]
    fn each_says_why() {
        let mut all = reads("ci", "db", 30, NOON - 30 * DAY_MS, DAY_MS);
        all.extend(reads("eve", "db", 1, NOON, 1));
        all.extend(reads("ci", "root", 11, NOON + 15 * HOUR_MS, 1));
        all.extend(
            (0..6).map(|idx| entry(AuditKind::TokenRefusal, "ci", "t", NOON + DAY_MS + idx)),
        );
        let found = review(&all, Timestamp::from_millis(NOON));
        let why: Vec<_> = found.iter().map(|it| (it.unusual, it.why.as_str())).collect();
        assert_eq!(
            why,
            [
                (Unusual::NewActor, "nothing of eve stands in the log before"),
                (Unusual::NewPair, "it never read `root` before"),
                (Unusual::Hour, "none of its 30 entries before was between 3:00 and 4:00 UTC"),
                (Unusual::Burst, "11 events in one hour; the busiest hour before had 1"),
                (Unusual::Denials, "6 denials in one day; the worst day before had 0"),
            ]
        );
    }

    #[test]
    fn without_a_baseline_only_what_is_plainly_much_is_unusual() {
        let all = reads("ci", "db", 9, NOON, HOUR_MS);
        assert_eq!(review(&all, Timestamp::from_millis(0)), []);
    }
}
