//! Tables of events and effects, and a model world in which anything may happen in any order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const TIMING: Timing = Timing { idle_exit_ms: 1_800_000, poll_ms: 30_000 };

fn oid(n: u8) -> GitOid {
    GitOid::from_bytes(&[n; 20]).unwrap()
}

fn at(n: u8) -> Head {
    Head::At { commit: oid(n), tree: oid(n) }
}

fn record(commit: GitOid) -> RefreshRecord {
    let ended_at = Timestamp::from_millis(0);
    RefreshRecord { commit, ended_at, duration_ms: 1, n_files: 1, n_parsed: 1, n_unread: 0 }
}

fn linked() -> Worktree {
    Worktree::Linked("side".into())
}

fn new_state(timing: Timing) -> State {
    let started_at = Timestamp::from_millis(0);
    let identity = Identity { pid: 1, version: "0".to_owned(), started_at };
    State::new(timing, identity, Worktree::Main, None, 0)
}

/// A daemon level with commit 1.
fn level() -> State {
    let mut state = new_state(TIMING);
    state.step(0, Event::Started);
    state.step(0, looked(at(1), Some(1)));
    state
}

fn looked(head: Head, indexed: Option<u8>) -> Event {
    Event::Looked(Look {
        head,
        indexed: indexed.map(oid),
        backups: None,
        rotates: false,
        refs: None,
    })
}

fn refresh(n: u8) -> Effect {
    Effect::Refresh { worktree: Worktree::Main, commit: oid(n), tree: oid(n) }
}

fn refreshed(n: u8) -> Event {
    Event::RefreshEnded(Ok(record(oid(n))))
}

fn failed() -> Event {
    Event::RefreshEnded(Err("disk full".to_owned()))
}

fn wait(id: RequestId, n: u8, timeout_ms: u64) -> Event {
    let worktree = Worktree::Main;
    Event::Asked(id, Request::WaitFresh { worktree, commit: oid(n), timeout_ms })
}

fn fresh(id: RequestId, n: u8) -> Effect {
    Effect::Answer(id, Answer::Fresh { commit: oid(n) })
}

/// Steps and checks the effects, notes left aside.
#[track_caller]
fn check(state: &mut State, now_ms: u64, event: Event, expected: &[Effect]) {
    let mut effects = state.step(now_ms, event);
    effects.retain(|effect| !matches!(effect, Effect::Note(_)));
    assert_eq!(effects, expected);
}

fn look() -> Effect {
    Effect::Look(Worktree::Main)
}

#[test]
fn a_daemon_begins_with_a_look_and_refreshes_what_is_behind() {
    let mut state = new_state(TIMING);
    check(&mut state, 0, Event::Started, &[look()]);
    check(&mut state, 1, looked(at(1), None), &[refresh(1)]);
    check(&mut state, 2, refreshed(1), &[]);
    assert_eq!(state.status().n_refreshes, 1);
}

#[test]
fn a_level_index_is_not_refreshed_and_its_vectors_are_looked_after() {
    let mut state = new_state(TIMING);
    check(&mut state, 0, Event::Started, &[look()]);
    check(&mut state, 1, looked(at(1), Some(1)), &[Effect::Vectors(oid(1))]);
    check(&mut state, 2, Event::VectorsEnded(oid(1), Ok(())), &[look()]);
    check(&mut state, 3, looked(at(1), Some(1)), &[]);
}

#[test]
fn any_number_of_stirs_during_a_refresh_is_one_look_after_it() {
    let mut state = level();
    check(&mut state, 1, Event::Stirred, &[Effect::Rewatch, look()]);
    check(&mut state, 2, looked(at(2), Some(1)), &[refresh(2)]);
    for now_ms in 3..50 {
        check(&mut state, now_ms, Event::Stirred, &[Effect::Rewatch]);
    }
    check(&mut state, 50, refreshed(2), &[look()]);
    check(&mut state, 51, looked(at(9), Some(2)), &[refresh(9)]);
    check(&mut state, 52, refreshed(9), &[]);
}

#[test]
fn a_waiter_for_the_indexed_commit_is_answered_at_once() {
    check(&mut level(), 1, wait(7, 1, 1000), &[fresh(7, 1)]);
}

#[test]
fn a_waiter_is_answered_when_its_commit_is_indexed() {
    let mut state = level();
    check(&mut state, 1, wait(7, 2, 1000), &[look()]);
    check(&mut state, 2, looked(at(2), Some(1)), &[refresh(2)]);
    check(&mut state, 3, refreshed(2), &[fresh(7, 2)]);
}

#[test]
fn a_waiter_whose_commit_was_overtaken_is_answered_with_the_new_head() {
    let mut state = level();
    check(&mut state, 1, wait(7, 2, 1000), &[look()]);
    check(&mut state, 2, looked(at(5), Some(1)), &[refresh(5)]);
    check(&mut state, 3, refreshed(5), &[fresh(7, 5)]);
}

#[test]
fn a_look_from_before_the_question_does_not_answer_it() {
    let mut state = level();
    check(&mut state, 1, Event::Stirred, &[Effect::Rewatch, look()]);
    check(&mut state, 2, wait(7, 2, 1000), &[]);
    check(&mut state, 3, looked(at(1), Some(1)), &[look()]);
    check(&mut state, 4, looked(at(2), Some(1)), &[refresh(2)]);
    check(&mut state, 5, refreshed(2), &[fresh(7, 2)]);
}

#[test]
fn a_waiter_is_told_when_its_time_is_over() {
    let mut state = level();
    check(&mut state, 1, wait(7, 2, 1000), &[look()]);
    check(&mut state, 2, looked(at(2), Some(1)), &[refresh(2)]);
    assert_eq!(state.next_wake_ms(2), 1001);
    check(&mut state, 1000, Event::Tick, &[]);
    let late = Effect::Answer(7, Answer::Late { commit: Some(oid(1)) });
    check(&mut state, 1001, Event::Tick, &[late]);
    check(&mut state, 1002, refreshed(2), &[]);
}

#[test]
fn a_failed_refresh_is_told_and_tried_again_after_a_growing_pause() {
    let told = |id| {
        let error = "disk full".to_owned();
        Effect::Answer(id, Answer::Failed { error })
    };
    let mut state = level();
    check(&mut state, 0, wait(7, 2, 60_000), &[look()]);
    check(&mut state, 0, looked(at(2), Some(1)), &[refresh(2)]);
    check(&mut state, 0, failed(), &[told(7), look()]);
    check(&mut state, 0, looked(at(2), Some(1)), &[]);
    assert_eq!(state.status().last_error.as_deref(), Some("disk full"));
    // Asked again within the pause, it answers from memory.
    check(&mut state, 10, wait(8, 2, 60_000), &[look()]);
    check(&mut state, 10, looked(at(2), Some(1)), &[told(8)]);
    assert_eq!(state.next_wake_ms(10), 1000);
    check(&mut state, 1000, Event::Tick, &[refresh(2)]);
    check(&mut state, 1000, failed(), &[look()]);
    check(&mut state, 1000, looked(at(2), Some(1)), &[]);
    assert_eq!(state.next_wake_ms(1000), 3000);
    // A person who asks for a refresh does not wait.
    let asked = Event::Asked(9, Request::Refresh { worktree: Worktree::Main });
    check(&mut state, 1100, asked, &[Effect::Answer(9, Answer::Done), look()]);
    check(&mut state, 1100, looked(at(2), Some(1)), &[refresh(2)]);
    check(&mut state, 1101, refreshed(2), &[]);
    assert_eq!(state.status().last_error, None);
}

#[test]
fn another_commit_is_tried_though_the_last_one_failed() {
    let mut state = level();
    state.step(0, Event::Stirred);
    check(&mut state, 0, looked(at(2), Some(1)), &[refresh(2)]);
    check(&mut state, 0, failed(), &[look()]);
    check(&mut state, 0, looked(at(3), Some(1)), &[refresh(3)]);
}

#[test]
fn a_failure_of_a_commit_that_head_left_is_forgotten_and_wakes_nobody() {
    let mut state = level();
    state.step(0, Event::Stirred);
    state.step(0, looked(at(2), Some(1)));
    check(&mut state, 0, failed(), &[look()]);
    check(&mut state, 0, looked(at(1), Some(1)), &[]);
    assert_eq!(state.next_wake_ms(5_000), 30_000);
    assert_eq!(state.status().last_error, None);
}

#[test]
fn the_poll_looks_and_looks_after_the_watches() {
    let mut state = level();
    assert_eq!(state.next_wake_ms(0), 30_000);
    check(&mut state, 29_999, Event::Tick, &[]);
    check(&mut state, 30_000, Event::Tick, &[Effect::Rewatch, look()]);
    assert_eq!(state.next_wake_ms(30_000), 60_000);
}

#[test]
fn an_index_that_was_deleted_is_made_again() {
    let mut state = level();
    check(&mut state, 30_000, Event::Tick, &[Effect::Rewatch, look()]);
    check(&mut state, 30_000, looked(at(1), None), &[refresh(1)]);
}

#[test]
fn the_daemon_follows_the_worktree_that_asked_last() {
    let mut state = level();
    let hint = Event::Asked(1, Request::Hint { worktree: linked() });
    check(&mut state, 1, hint, &[Effect::Answer(1, Answer::Done), Effect::Look(linked())]);
    let commit = oid(4);
    let refresh = Effect::Refresh { worktree: linked(), commit, tree: commit };
    check(&mut state, 2, looked(at(4), Some(1)), &[refresh]);
    check(&mut state, 3, refreshed(4), &[]);
    assert_eq!(state.status().follows, linked());
}

#[test]
fn a_worktree_that_is_gone_gives_way_to_the_main_one() {
    let mut state = level();
    let ask = Request::WaitFresh { worktree: linked(), commit: oid(4), timeout_ms: 1000 };
    check(&mut state, 1, Event::Asked(1, ask), &[Effect::Look(linked())]);
    let error = "the worktree is gone".to_owned();
    let told = Effect::Answer(1, Answer::Failed { error });
    check(&mut state, 2, looked(Head::Gone, Some(1)), &[told, look()]);
    check(&mut state, 3, looked(at(1), Some(1)), &[]);
}

#[test]
fn without_a_commit_a_waiter_is_told_so() {
    let mut state = new_state(TIMING);
    state.step(0, Event::Started);
    check(&mut state, 0, looked(Head::Unborn, None), &[]);
    check(&mut state, 1, wait(7, 2, 1000), &[look()]);
    let error = "HEAD has no commit yet".to_owned();
    let told = Effect::Answer(7, Answer::Failed { error });
    check(&mut state, 2, looked(Head::Unborn, None), &[told]);
}

#[test]
fn a_head_that_cannot_be_read_is_told_and_tried_at_the_next_event() {
    let mut state = level();
    check(&mut state, 1, wait(7, 2, 1000), &[look()]);
    let torn = || Head::Unreadable("torn".to_owned());
    let told = Effect::Answer(7, Answer::Failed { error: "torn".to_owned() });
    check(&mut state, 2, looked(torn(), Some(1)), &[told]);
    assert_eq!(state.status().last_error.as_deref(), Some("torn"));
    check(&mut state, 3, Event::Stirred, &[Effect::Rewatch, look()]);
    check(&mut state, 4, looked(at(1), Some(1)), &[]);
    assert_eq!(state.status().last_error, None);
}

#[test]
fn a_head_that_cannot_be_read_is_looked_at_again_after_a_growing_pause() {
    let torn = || looked(Head::Unreadable("torn".to_owned()), Some(1));
    let mut state = level();
    check(&mut state, 0, Event::Stirred, &[Effect::Rewatch, look()]);
    check(&mut state, 0, torn(), &[]);
    assert_eq!(state.next_wake_ms(0), 1000);
    check(&mut state, 1000, Event::Tick, &[look()]);
    check(&mut state, 1000, torn(), &[]);
    for now_ms in 1001..1050 {
        // As many notices as a deletion makes: the pause stays what it is.
        check(&mut state, now_ms, Event::Stirred, &[Effect::Rewatch, look()]);
        check(&mut state, now_ms, torn(), &[]);
    }
    assert_eq!(state.next_wake_ms(1050), 3000);
    check(&mut state, 3000, Event::Tick, &[look()]);
    let gone = [Effect::Exit(StopReason::RepositoryGone)];
    check(&mut state, 3000, looked(Head::Gone, None), &gone);
}

#[test]
fn a_repository_that_is_gone_ends_the_daemon_and_every_wait() {
    let mut state = level();
    check(&mut state, 1, wait(7, 2, 1000), &[look()]);
    let gone = [Effect::Answer(7, ending()), Effect::Exit(StopReason::RepositoryGone)];
    check(&mut state, 2, looked(Head::Gone, None), &gone);
    check(&mut state, 3, Event::Stirred, &[]);
    check(&mut state, 4, wait(8, 1, 1000), &[Effect::Answer(8, ending())]);
}

#[test]
fn stop_answers_everyone_and_ends() {
    let mut state = level();
    check(&mut state, 1, wait(7, 2, 1000), &[look()]);
    let stop = Event::Asked(8, Request::Stop);
    let expected = [
        Effect::Answer(8, Answer::Done),
        Effect::Answer(7, ending()),
        Effect::Exit(StopReason::Requested),
    ];
    check(&mut state, 2, stop, &expected);
}

#[test]
fn a_daemon_that_is_not_needed_ends_and_a_request_keeps_it() {
    let mut state = new_state(Timing { idle_exit_ms: 10_000, poll_ms: 30_000 });
    state.step(0, Event::Started);
    state.step(0, looked(at(1), Some(1)));
    assert_eq!(state.next_wake_ms(0), 10_000);
    state.step(6_000, Event::Asked(1, Request::Ping));
    check(&mut state, 10_000, Event::Tick, &[]);
    assert_eq!(state.next_wake_ms(10_000), 16_000);
    check(&mut state, 16_000, Event::Tick, &[Effect::Exit(StopReason::Idle)]);
}

#[test]
fn a_commit_keeps_a_daemon_that_nobody_asks() {
    let mut state = new_state(Timing { idle_exit_ms: 10_000, poll_ms: 30_000 });
    state.step(0, Event::Started);
    state.step(0, looked(at(1), Some(1)));
    state.step(6_000, Event::Stirred);
    state.step(6_000, looked(at(2), Some(1)));
    state.step(6_100, refreshed(2));
    check(&mut state, 10_000, Event::Tick, &[]);
    check(&mut state, 16_000, Event::Tick, &[Effect::Exit(StopReason::Idle)]);
}

/// What may happen in the model world, in any order.
#[derive(Debug, Clone)]
enum Act {
    /// HEAD of a worktree moves, and nobody says so.
    Commit {
        is_linked: bool,
        to: u8,
    },
    /// The system says that something moved; or it says so though nothing did.
    Stir,
    Hint {
        is_linked: bool,
    },
    /// Someone waits for a commit: the HEAD, or any other.
    Wait {
        is_linked: bool,
        other: Option<u8>,
        timeout_ms: u64,
    },
    Refresh,
    /// The job under way ends.
    Finish {
        is_success: bool,
    },
    /// The linked worktree goes or comes back.
    ToggleLinked,
    /// Someone deletes the index.
    DeleteIndex,
    TimePasses {
        ms: u64,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let other = proptest::option::weighted(0.2, 1..9u8);
    prop_oneof![
        4 => (any::<bool>(), 1..9u8).prop_map(|(is_linked, to)| Act::Commit { is_linked, to }),
        3 => Just(Act::Stir),
        2 => any::<bool>().prop_map(|is_linked| Act::Hint { is_linked }),
        4 => (any::<bool>(), other, 1..90_000u64).prop_map(|(is_linked, other, timeout_ms)| {
            Act::Wait { is_linked, other, timeout_ms }
        }),
        1 => Just(Act::Refresh),
        8 => proptest::bool::weighted(0.7).prop_map(|is_success| Act::Finish { is_success }),
        1 => Just(Act::ToggleLinked),
        1 => Just(Act::DeleteIndex),
        3 => (1..40_000u64).prop_map(|ms| Act::TimePasses { ms }),
    ]
}

/// The world around the state: heads, the index on disk, the one job, and who was answered.
struct World {
    state: State,
    now_ms: u64,
    heads: BTreeMap<Worktree, u8>,
    has_linked: bool,
    on_disk: Option<GitOid>,
    job: Option<Effect>,
    /// Requests and the answers they got.
    asked: BTreeMap<RequestId, Vec<Answer>>,
}

impl World {
    fn new() -> World {
        let timing = Timing { idle_exit_ms: u64::MAX, poll_ms: 30_000 };
        let heads = BTreeMap::from([(Worktree::Main, 1), (linked(), 1)]);
        let mut world = World {
            state: new_state(timing),
            now_ms: 0,
            heads,
            has_linked: true,
            on_disk: None,
            job: None,
            asked: BTreeMap::new(),
        };
        world.event(Event::Started);
        world
    }

    fn event(&mut self, event: Event) {
        for effect in self.state.step(self.now_ms, event) {
            match effect {
                Effect::Look(_) | Effect::Refresh { .. } => {
                    assert_eq!(self.job, None, "two jobs at once");
                    self.job = Some(effect);
                }
                Effect::Answer(id, answer) => {
                    let answers = self.asked.get_mut(&id).expect("an answer nobody asked for");
                    answers.push(answer);
                    assert_eq!(answers.len(), 1, "two answers to one request");
                }
                Effect::Exit(reason) => panic!("ended: {reason:?}"),
                Effect::Rewatch
                | Effect::Note(_)
                | Effect::Backup
                | Effect::Rotate
                | Effect::Examine(_)
                | Effect::LookAtEdits(_)
                | Effect::WatchEdits(_)
                | Effect::Vectors(_) => {}
            }
        }
        let retry_is_due = self.state.next_wake_ms(self.now_ms) <= self.now_ms;
        assert!(!retry_is_due || self.state.waiters.iter().any(|w| w.deadline_ms <= self.now_ms));
    }

    fn ask(&mut self, request: Request) {
        let id = self.asked.len() as RequestId;
        self.asked.insert(id, Vec::new());
        self.event(Event::Asked(id, request));
    }

    fn finish(&mut self, is_success: bool) {
        match self.job.take() {
            Some(Effect::Look(worktree)) => {
                let is_gone = worktree == linked() && !self.has_linked;
                let head = match is_gone {
                    true => Head::Gone,
                    false if !is_success => Head::Unreadable("torn".to_owned()),
                    false => at(self.heads[&worktree]),
                };
                self.event(Event::Looked(Look {
                    head,
                    indexed: self.on_disk,
                    backups: None,
                    rotates: false,
                    refs: None,
                }));
            }
            Some(Effect::Refresh { commit, .. }) if is_success => {
                self.on_disk = Some(commit);
                self.event(Event::RefreshEnded(Ok(record(commit))));
            }
            Some(_) => self.event(failed()),
            None => {}
        }
    }

    fn pass(&mut self, ms: u64) {
        let until_ms = self.now_ms + ms;
        while self.state.next_wake_ms(self.now_ms) <= until_ms {
            self.now_ms = self.state.next_wake_ms(self.now_ms).max(self.now_ms);
            self.event(Event::Tick);
        }
        self.now_ms = until_ms;
    }

    fn act(&mut self, act: Act) {
        let place = |is_linked| if is_linked { linked() } else { Worktree::Main };
        match act {
            Act::Commit { is_linked, to } => drop(self.heads.insert(place(is_linked), to)),
            Act::Stir => self.event(Event::Stirred),
            Act::Hint { is_linked } => self.ask(Request::Hint { worktree: place(is_linked) }),
            Act::Wait { is_linked, other, timeout_ms } => {
                let worktree = place(is_linked);
                let commit = oid(other.unwrap_or(self.heads[&worktree]));
                self.ask(Request::WaitFresh { worktree, commit, timeout_ms });
            }
            Act::Refresh => self.ask(Request::Refresh { worktree: Worktree::Main }),
            Act::Finish { is_success } => self.finish(is_success),
            Act::ToggleLinked => self.has_linked = !self.has_linked,
            Act::DeleteIndex => self.on_disk = None,
            Act::TimePasses { ms } => self.pass(ms),
        }
    }

    /// Nothing happens any more but polls, and every job succeeds.
    fn come_to_rest(&mut self) {
        for _ in 0..8 {
            for n_jobs in 0.. {
                assert!(n_jobs < 200, "it never rests");
                if self.job.is_none() {
                    break;
                }
                self.finish(true);
            }
            self.pass(31_000);
        }
        while self.job.is_some() {
            self.finish(true);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_happens_it_rests_with_the_index_at_head(
        acts in proptest::collection::vec(act(), 0..80)
    ) {
        let mut world = World::new();
        for act in acts {
            world.act(act);
        }
        world.come_to_rest();
        let head = oid(world.heads[&world.state.focus]);
        prop_assert_eq!(world.on_disk, Some(head));
        prop_assert_eq!(world.state.indexed, Some(head));
        prop_assert!(world.asked.values().all(|answers| answers.len() == 1), "{:?}", world.asked);
        prop_assert_eq!(world.state.status().last_error, None);
    }
}

#[test]
fn a_backup_is_made_once_a_day_and_not_at_once_again_after_a_failure() {
    const HOUR_MS: i64 = 3_600_000;
    let mut state = new_state(TIMING);
    state.step(0, Event::Started);
    // One look at `hour` of the first day of 1970, with the hour of the last backup.
    let mut look = |at_hour: i64, last: Option<i64>, ended: Option<Result<(), String>>| {
        let now_ms = u64::try_from(at_hour * HOUR_MS).unwrap();
        if let Some(result) = ended {
            state.step(now_ms, Event::BackupEnded(result));
        }
        state.step(now_ms, Event::Stirred);
        let time = |hour: i64| Timestamp::from_millis(hour * HOUR_MS);
        let backups = Some(Backups { last: last.map(time), now: time(at_hour) });
        let look = Look { head: at(1), indexed: Some(oid(1)), backups, rotates: false, refs: None };
        state.step(now_ms, Event::Looked(look)).contains(&Effect::Backup)
    };
    assert!(look(0, None, None), "none was ever made");
    assert!(!look(1, None, None), "one is under way");
    assert!(!look(2, Some(0), Some(Ok(()))));
    assert!(!look(23, Some(0), None), "the same day");
    assert!(look(24, Some(0), None), "the next day");
    assert!(!look(25, Some(0), Some(Err("disk full".to_owned()))), "it just failed");
    assert!(look(26, Some(0), None), "an hour later");
}

#[test]
fn keys_are_looked_after_once_a_day_where_that_is_left_to_the_daemon() {
    let mut state = level();
    let mut look = |now_ms: u64, rotates: bool, ended: Option<Result<(), String>>| {
        if let Some(result) = ended {
            state.step(now_ms, Event::RotateEnded(result));
        }
        state.step(now_ms, Event::Stirred);
        let look = Look { head: at(1), indexed: Some(oid(1)), backups: None, rotates, refs: None };
        state.step(now_ms, Event::Looked(look)).contains(&Effect::Rotate)
    };
    assert!(!look(1, false, None), "nobody left it to the daemon");
    assert!(look(2, true, None));
    assert!(!look(3, true, None), "it is under way");
    assert!(!look(4, true, Some(Ok(()))), "it was just done");
    assert!(!look(3 + ROTATE_PAUSE_MS, true, None));
    assert!(look(4 + ROTATE_PAUSE_MS, true, None), "a day later");
    assert!(!look(5 + ROTATE_PAUSE_MS, true, Some(Err("disk full".to_owned()))), "it failed");
}

#[test]
fn new_refs_are_examined_once_and_again_after_a_pause_when_that_failed() {
    let mut state = level();
    let refs = |n: u8| Digest::of(&[n]);
    let mut look = |now_ms: u64, n: u8| {
        state.step(now_ms, Event::Stirred);
        let look = Look {
            head: at(1),
            indexed: Some(oid(1)),
            backups: None,
            rotates: false,
            refs: Some(refs(n)),
        };
        let effects = state.step(now_ms, Event::Looked(look));
        let examines = effects.contains(&Effect::Examine(refs(n)));
        let result = if n == 9 { Err("disk full".to_owned()) } else { Ok(()) };
        if examines {
            let after = state.step(now_ms, Event::Examined(refs(n), result));
            assert_eq!(after.contains(&super::Effect::Look(Worktree::Main)), n != 9);
            if n != 9 {
                // The look after it finds the same.
                let look = Look {
                    head: at(1),
                    indexed: Some(oid(1)),
                    backups: None,
                    rotates: false,
                    refs: Some(refs(n)),
                };
                assert_eq!(state.step(now_ms, Event::Looked(look)), []);
            }
        }
        examines
    };
    assert!(look(1, 1));
    assert!(!look(2, 1), "nothing moved");
    assert!(look(3, 2));
    assert!(look(4, 9));
    assert!(!look(5, 9), "it just failed");
    assert!(look(5 + EXAMINE_PAUSE_MS, 9));
}

#[test]
fn vectors_are_looked_after_once_a_commit_and_again_after_a_pause_when_that_failed() {
    let mut state = level();
    let mut look = |now_ms: u64, n: u8, ended: Option<(u8, bool)>| {
        if let Some((n, is_well)) = ended {
            let result = if is_well { Ok(()) } else { Err("disk full".to_owned()) };
            state.step(now_ms, Event::VectorsEnded(oid(n), result));
        }
        state.step(now_ms, Event::Stirred);
        let indexed = Some(oid(n));
        let look = Look { head: at(n), indexed, backups: None, rotates: false, refs: None };
        state.step(now_ms, Event::Looked(look)).contains(&Effect::Vectors(oid(n)))
    };
    assert!(!look(1, 1, None), "the first look led to it, and it is under way");
    assert!(!look(2, 2, None), "it is under way");
    assert!(look(3, 2, Some((1, true))), "the index moved on meanwhile");
    assert!(!look(4, 2, Some((2, true))), "it was just done");
    assert!(look(5, 3, None));
    assert!(!look(6, 3, Some((3, false))), "it just failed");
    assert!(look(6 + VECTORS_PAUSE_MS, 3, None));
}
