use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use super::*;
use carnet_core::{LaneName, RunId, Timestamp, passport::RunKind};

/// A normally distributed stream of numbers, always the same one.
struct Dice(u64);

impl Dice {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn log_normal(&mut self, middle: f64, deviation: f64) -> f64 {
        middle * (deviation * self.normal()).exp()
    }
}

fn lane() -> LaneName {
    LaneName::new("code-impl").unwrap()
}

fn key() -> CellKey {
    CellKey { lane: lane(), provider: "openai".to_owned() }
}

/// A run that teaches.
fn run(number: u64, value: f64) -> RunFacts {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    RunFacts {
        run: RunId::from_random(id),
        kind: RunKind::Baseline,
        is_replay: false,
        succeeded: true,
        validated: true,
        is_incomplete: false,
        at: Timestamp::from_millis(number as i64),
        lane: lane(),
        provider: "openai".to_owned(),
        measures: Measures::from([(Quantity::TimeMs, value)]),
    }
}

fn prior(calibration: &Calibration) -> Estimate {
    calibration.cells()[&key()].priors[&Quantity::TimeMs]
}

/// A calibration that has seen `n` ordinary runs.
fn taught(n: u64, dice: &mut Dice) -> Calibration {
    let mut calibration = Calibration::default();
    for number in 0..n {
        calibration.learn(&run(number, dice.log_normal(1000.0, 0.4)));
    }
    calibration
}

#[test]
fn a_prior_needs_runs_and_moves_by_batches() {
    let mut calibration = Calibration::default();
    for n in 1..5 {
        let step = calibration.learn(&run(n, 100.0 + n as f64));
        assert_eq!(step.decision, Decision::Waits { n: n as usize, needed: 5 });
        assert!(calibration.cells()[&key()].priors.is_empty());
    }
    assert_eq!(calibration.learn(&run(5, 105.0)).decision, Decision::Moved);
    let first = prior(&calibration);
    assert_eq!((first.mean, first.n), (103.0, 5));
    for n in 6..10 {
        calibration.learn(&run(n, 103.0));
        assert_eq!(prior(&calibration), first, "it moves with the fifth and not before");
    }
    calibration.learn(&run(10, 103.0));
    assert_eq!(prior(&calibration).n, 10);
}

#[test]
fn what_may_not_teach_is_named_and_changes_nothing() {
    let mut calibration = taught(20, &mut Dice(7));
    let before = calibration.clone();
    let with = |change: &dyn Fn(&mut RunFacts)| {
        let mut facts = run(99, 1e6);
        change(&mut facts);
        facts
    };
    for (facts, why) in [
        (with(&|it| it.kind = RunKind::Rehearsal), Excluded::Rehearsal),
        (with(&|it| it.kind = RunKind::Replay), Excluded::Replay),
        (with(&|it| it.is_replay = true), Excluded::Replay),
        (with(&|it| it.kind = RunKind::Sandbox), Excluded::Sandbox),
        (with(&|it| it.succeeded = false), Excluded::Failed),
        (with(&|it| it.validated = false), Excluded::NotValidated),
        (with(&|it| it.is_incomplete = true), Excluded::Incomplete),
        (with(&|it| it.measures.clear()), Excluded::NothingMeasured),
        (
            with(&|it| it.measures = Measures::from([(Quantity::Tokens, -1.0)])),
            Excluded::NotANumber,
        ),
        (
            with(&|it| it.measures = Measures::from([(Quantity::Tokens, f64::NAN)])),
            Excluded::NotANumber,
        ),
    ] {
        assert_eq!(calibration.learn(&facts).decision, Decision::Excluded(why));
        assert_eq!(calibration, before, "{why}");
    }
    calibration.learn(&with(&|it| it.kind = RunKind::Hotfix));
    assert_ne!(calibration, before, "a hotfix teaches");
}

/// Whatever is mixed in, in whatever order, runs that may not teach leave the state byte for byte as it would be without.
#[test]
fn runs_that_may_not_teach_never_move_a_prior() {
    let mut runner = TestRunner::deterministic();
    let mixed = prop::collection::vec((0..7_u8, 0.0..1e9_f64), 1..80);
    for _ in 0..200 {
        let mixed = mixed.new_tree(&mut runner).unwrap().current();
        let (mut all, mut clean) = (Calibration::default(), Calibration::default());
        for (number, (how, value)) in mixed.iter().enumerate() {
            let mut facts = run(number as u64, *value);
            match how {
                0 => facts.kind = RunKind::Rehearsal,
                1 => facts.kind = RunKind::Replay,
                2 => facts.kind = RunKind::Sandbox,
                3 => facts.succeeded = false,
                4 => facts.is_replay = true,
                _ => {
                    clean.learn(&facts);
                }
            }
            all.learn(&facts);
        }
        assert_eq!(all.to_json(), clean.to_json());
    }
}

/// A fifth of the next runs is poisoned, by any factor, to either side or both: no prior moves by a standard error.
#[test]
fn twenty_percent_poisoned_runs_move_a_prior_by_less_than_one_standard_error() {
    let mut runner = TestRunner::deterministic();
    let poison = (1..u64::MAX, 5..100_u64, 0..2_u64, -14.0..14.0_f64, any::<bool>(), 0..5_u64);
    let mut n_moved = 0;
    for _ in 0..2000 {
        let (seed, n, more, log_factor, both, place) =
            poison.new_tree(&mut runner).unwrap().current();
        let mut dice = Dice(seed);
        let mut calibration = taught(n / 5 * 5, &mut dice);
        for number in 0..(more + 1) * 5 {
            let sign = if both && number >= 5 { -1.0 } else { 1.0 };
            let honest = dice.log_normal(1000.0, 0.4);
            let is_poisoned = number % 5 == place;
            let value = if is_poisoned { honest * (sign * log_factor).exp() } else { honest };
            let frozen = prior(&calibration);
            calibration.learn(&run(1000 + number, value));
            let after = prior(&calibration);
            let moved = (after.mean - frozen.mean).abs();
            assert!(moved < frozen.standard_error, "{moved} of {frozen:?}, factor {log_factor}");
            n_moved += u64::from(moved > 0.0);
        }
    }
    assert!(n_moved > 1000, "priors that never move cannot be poisoned, nor learn: {n_moved}");
}

/// A fifth of all runs, for a hundred batches, is many times too large: the prior ends within a standard error of where it
/// would be without them.
#[test]
fn gross_poison_for_a_long_time_is_set_aside() {
    for (seed, factor) in [(3, 10.0), (5, 1000.0), (7, 0.05), (11, 1e-6), (13, 1e6)] {
        let mut dice = Dice(seed);
        let mut poisoned = taught(50, &mut dice);
        let mut clean = poisoned.clone();
        for number in 0..500 {
            let honest = dice.log_normal(1000.0, 0.4);
            if number % 5 == 3 {
                poisoned.learn(&run(1000 + number, honest * factor));
            } else {
                poisoned.learn(&run(1000 + number, honest));
                clean.learn(&run(1000 + number, honest));
            }
        }
        let (a, b) = (prior(&poisoned), prior(&clean));
        assert!((a.mean - b.mean).abs() < b.standard_error, "{factor}: {a:?} {b:?}");
        assert!(poisoned.cells()[&key()].odd.len() >= 90, "{factor}");
    }
}

#[test]
fn a_jump_freezes_says_why_and_thaws_by_recovery_or_by_hand() {
    let mut dice = Dice(42);
    let mut calibration = taught(100, &mut dice);
    let before = prior(&calibration);
    let mut decisions = vec![];
    for number in 0..5 {
        decisions
            .push(calibration.learn(&run(1000 + number, dice.log_normal(3000.0, 0.4))).decision);
    }
    let Decision::Froze(reason) = &decisions[4] else { panic!("{decisions:?}") };
    assert!(reason.starts_with("time: the mean absolute error of 5 runs is "), "{reason}");
    assert_eq!(prior(&calibration), before);
    let mut recovered = calibration.clone();
    let mut by_hand = calibration.clone();
    // More of the same is held.
    for number in 0..15 {
        by_hand.learn(&run(2000 + number, dice.log_normal(3000.0, 0.4)));
    }
    assert_eq!(prior(&by_hand), before);
    by_hand.thaw(&key()).unwrap();
    let now = prior(&by_hand);
    assert!((15..=20).contains(&now.n) && (2000.0..4500.0).contains(&now.mean), "{now:?}");
    assert!(matches!(by_hand.thaw(&key()), Err(CalibrationError::Already(..))));
    // A batch at exactly what is typical is no jump.
    let steps: Vec<_> =
        (0..5).map(|n| recovered.learn(&run(3000 + n, before.log_mean.exp())).decision).collect();
    assert_eq!(steps[4], Decision::Recovered);
    assert!((prior(&recovered).mean - before.mean).abs() < before.standard_error);
}

#[test]
fn who_freezes_by_hand_thaws_by_hand() {
    let mut calibration = taught(20, &mut Dice(9));
    let before = prior(&calibration);
    calibration
        .freeze(&key(), "the provider changed its prices", Timestamp::from_millis(0))
        .unwrap();
    for number in 0..10 {
        let step = calibration.learn(&run(1000 + number, before.log_mean.exp()));
        assert!(!matches!(step.decision, Decision::Recovered | Decision::Moved));
    }
    assert_eq!(prior(&calibration), before);
    let again = calibration.freeze(&key(), "x", Timestamp::from_millis(0));
    assert_eq!(again.unwrap_err().to_string(), "`code-impl/openai` is frozen already");
    let unknown = CellKey { lane: lane(), provider: "x".to_owned() };
    assert!(matches!(calibration.thaw(&unknown), Err(CalibrationError::Unknown(_))));
    calibration.thaw(&key()).unwrap();
    assert_eq!(prior(&calibration).n, 10);
}

/// Share of runs that fall into the interval which the runs before them gave, one step ahead.
fn coverage(values: impl Iterator<Item = f64>) -> (usize, usize) {
    let mut calibration = Calibration::default();
    let (mut n_in, mut n) = (0, 0);
    for (number, value) in values.enumerate() {
        let cell = calibration.cells().get(&key());
        if let Some(prior) = cell.and_then(|cell| cell.priors.get(&Quantity::TimeMs)) {
            n += 1;
            n_in += usize::from((prior.low..=prior.high).contains(&value));
        }
        calibration.learn(&run(number as u64, value));
    }
    (n_in, n)
}

fn assert_nine_of_ten(name: &str, (n_in, n): (usize, usize)) {
    let share = n_in as f64 / n as f64;
    assert!(n > 100 && (0.85..=0.95).contains(&share), "{name}: {n_in} of {n} are {share:.3}");
}

#[test]
fn nine_of_ten_simulated_runs_fall_into_the_interval() {
    let mut sum = (0, 0);
    for seed in 1..=60 {
        let mut dice = Dice(seed * 7919);
        let deviation = 0.1 + 0.02 * seed as f64;
        let (n_in, n) = coverage((0..100).map(|_| dice.log_normal(5e4, deviation)));
        sum = (sum.0 + n_in, sum.1 + n);
    }
    assert_nine_of_ten("log-normal", sum);
    // A sum of three waits: skewed otherwise than the model has it.
    let mut sum = (0, 0);
    for seed in 1..=60 {
        let mut dice = Dice(seed * 104_729);
        let mut wait = || -dice.uniform().ln() * 100.0;
        let (n_in, n) = coverage((0..100).map(|_| 50.0 + wait() + wait() + wait()));
        sum = (sum.0 + n_in, sum.1 + n);
    }
    assert_nine_of_ten("gamma", sum);
}

#[test]
fn nine_of_ten_recorded_runs_fall_into_the_interval() {
    let mut sum = (0, 0);
    for line in include_str!("recorded.txt").lines().filter(|line| line.starts_with("values ")) {
        let values = line.split(' ').skip(1).map(|value| value.parse::<f64>().unwrap());
        let (n_in, n) = coverage(values);
        sum = (sum.0 + n_in, sum.1 + n);
    }
    assert_nine_of_ten("recorded", sum);
}

#[test]
fn nothing_and_sameness_are_estimated_too() {
    assert_eq!(estimate(&[]), None);
    assert_eq!(estimate(&[1.0]), None);
    let zero = estimate(&[0.0; 8]).unwrap();
    assert_eq!((zero.mean, zero.low, zero.high, zero.standard_error), (0.0, 0.0, 0.0, 0.0));
    let huge = estimate(&[f64::MAX, f64::MIN_POSITIVE, 1.0, 0.0]);
    assert!(huge.is_none_or(|it| it.n <= 4));
    // Ten percent at each end do not count: by hand, of 1 to 10 the mean of 2 to 9.
    let ten: Vec<f64> = (1..=10).map(f64::from).collect();
    let made = estimate(&ten).unwrap();
    assert_eq!((made.mean, made.n), (5.5, 10));
    // Winsorised: 2 2 3 4 5 6 7 8 9 9, deviation 2.7183; over 0.8 √10.
    assert!((made.standard_error - 1.0745).abs() < 1e-3, "{made:?}");
}

#[test]
fn what_is_stored_reads_back_and_what_is_no_state_is_refused() {
    let mut calibration = taught(37, &mut Dice(21));
    calibration.freeze(&key(), "a reason", Timestamp::from_millis(1)).unwrap();
    let text = calibration.to_json();
    assert_eq!(Calibration::from_json(text.as_bytes()).unwrap(), calibration);
    assert_eq!(Calibration::from_json(text.as_bytes()).unwrap().to_json(), text);
    for bad in [
        "",
        "{}",
        "[]",
        &text.replace("calibration/1", "calibration/2"),
        &text.replace("code-impl/openai", "openai"),
    ] {
        assert!(Calibration::from_json(bad.as_bytes()).is_err(), "{bad}");
    }
}
