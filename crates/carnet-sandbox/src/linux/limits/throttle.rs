//! A share of the processors without a controller: when to hold a tree, and for how long. No clock, no process.
//!
//! An account is filled at the granted rate and emptied by what was used; in debt the tree is held until the debt is
//! paid. What is not used is kept for a moment only, so that a pause earns no burst.

use std::time::Duration;

/// The most that an idle tree may save, in wall time at the granted rate.
const SAVED_MS_MAX: f64 = 50.0;

/// The account of one tree.
#[derive(Debug, Clone)]
pub(super) struct Throttle {
    /// Milliseconds of processor time granted per millisecond.
    rate: f64,
    balance_ms: f64,
}

impl Throttle {
    /// - `cpu_pct`: percent of all `processors` together.
    pub(super) fn new(cpu_pct: u32, processors: u64) -> Throttle {
        let rate = f64::from(cpu_pct.max(1)) / 100.0 * processors.max(1) as f64;
        Throttle { rate, balance_ms: 0.0 }
    }

    /// Books `elapsed` and what was `used` in it; returns how long the tree must be held from now on.
    pub(super) fn book(&mut self, elapsed: Duration, used: Duration) -> Option<Duration> {
        let earned_ms = elapsed.as_secs_f64() * 1e3 * self.rate;
        self.balance_ms += earned_ms - used.as_secs_f64() * 1e3;
        self.balance_ms = self.balance_ms.min(SAVED_MS_MAX * self.rate);
        (self.balance_ms < 0.0).then(|| Duration::from_secs_f64(-self.balance_ms / self.rate / 1e3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a tree that takes all of `n_busy` processors whenever it is not held; returns its share in percent.
    fn share_of(cpu_pct: u32, processors: u64, n_busy: u64) -> f64 {
        let mut throttle = Throttle::new(cpu_pct, processors);
        let look = Duration::from_millis(20);
        let (mut wall, mut used) = (Duration::ZERO, Duration::ZERO);
        while wall < Duration::from_secs(5) {
            let ran = look * u32::try_from(n_busy).unwrap();
            wall += look;
            used += ran;
            if let Some(held) = throttle.book(look, ran) {
                wall += held;
                assert!(
                    throttle.book(held, Duration::ZERO).is_none_or(|rest| rest.as_micros() < 10)
                );
            }
        }
        used.as_secs_f64() / wall.as_secs_f64() / processors as f64 * 100.0
    }

    #[test]
    fn a_greedy_tree_gets_its_share_and_no_more() {
        for (cpu_pct, processors) in [(80, 2), (50, 2), (10, 1), (99, 8), (1, 64)] {
            let share = share_of(cpu_pct, processors, processors);
            assert!((share - f64::from(cpu_pct)).abs() < 3.0, "{cpu_pct} of {processors}: {share}");
        }
    }

    #[test]
    fn a_modest_tree_is_never_held() {
        assert!((share_of(80, 4, 1) - 25.0).abs() < 0.5);
    }

    #[test]
    fn idleness_is_not_saved_up() {
        let mut throttle = Throttle::new(50, 1);
        assert_eq!(throttle.book(Duration::from_secs(3600), Duration::ZERO), None);
        let held = throttle.book(Duration::from_millis(20), Duration::from_millis(200)).unwrap();
        assert!(held > Duration::from_millis(250), "{held:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_bookings_give_a_finite_answer(cpu_pct in 0_u32..=100, processors in 0_u64..1024, bookings in proptest::collection::vec((0_u64..100_000, 0_u64..10_000_000), 0..50)) {
            let mut throttle = Throttle::new(cpu_pct, processors);
            for (elapsed, used) in bookings {
                let _ = throttle.book(Duration::from_millis(elapsed), Duration::from_millis(used));
                proptest::prop_assert!(throttle.balance_ms.is_finite());
            }
        }
    }
}
