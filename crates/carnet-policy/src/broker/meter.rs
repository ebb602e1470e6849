//! What was spent: reserved before a call at the most that it can come to, settled after it at what it came to.
//!
//! Invariant: the sum of what is reserved and what is settled never passes a cap that [`plan_route`](super::plan_route) was
//! given, however many calls are under way at once.

use std::collections::{BTreeMap, HashMap};

use super::{policy::BudgetPeriod, route::Spent};

/// Tasks that are remembered; beyond, the one that was quiet for longest is forgotten.
const TASKS_MAX: usize = 100_000;

/// What was spent in the period, and by task.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    period: String,
    period_usd: f64,
    tasks: HashMap<String, TaskSpent>,
    by_age: BTreeMap<u64, String>,
    age: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct TaskSpent {
    usd: f64,
    tokens: u64,
    age: u64,
}

/// What is set aside for one call.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "what is reserved must be settled"]
pub struct Reservation {
    period: String,
    task: Option<String>,
    usd: f64,
    tokens: u64,
}

impl Meter {
    /// Returns what was spent, reservations among it.
    ///
    /// - `day`: today, `YYYY-MM-DD` in UTC.
    pub fn spent(&mut self, period: BudgetPeriod, day: &str, task: Option<&str>) -> Spent {
        self.begin(period.prefix(day));
        let task = task.and_then(|task| self.tasks.get(task)).copied().unwrap_or_default();
        Spent { period_usd: self.period_usd, task_usd: task.usd, task_tokens: task.tokens }
    }

    /// Sets aside what a call can come to.
    pub fn reserve(
        &mut self,
        period: BudgetPeriod,
        day: &str,
        task: Option<&str>,
        usd: f64,
        tokens: u64,
    ) -> Reservation {
        self.begin(period.prefix(day));
        let made =
            Reservation { period: self.period.clone(), task: task.map(str::to_owned), usd, tokens };
        self.add(task, usd, i128::from(tokens));
        made
    }

    /// Puts what a call came to in the place of what was set aside for it.
    pub fn settle(&mut self, reserved: Reservation, usd: f64, tokens: u64) {
        // A call that began in the period before is paid from that.
        let is_past = reserved.period != self.period;
        let period_usd = self.period_usd;
        let more = i128::from(tokens) - i128::from(reserved.tokens);
        self.add(reserved.task.as_deref(), usd - reserved.usd, more);
        if is_past {
            self.period_usd = period_usd;
        }
    }

    fn begin(&mut self, period: &str) {
        if self.period != period {
            self.period = period.to_owned();
            self.period_usd = 0.0;
        }
    }

    fn add(&mut self, task: Option<&str>, usd: f64, tokens: i128) {
        self.period_usd = (self.period_usd + usd).max(0.0);
        let Some(task) = task else { return };
        self.age += 1;
        let entry = self.tasks.entry(task.to_owned()).or_default();
        self.by_age.remove(&entry.age);
        entry.usd = (entry.usd + usd).max(0.0);
        entry.tokens =
            u64::try_from((i128::from(entry.tokens) + tokens).max(0)).unwrap_or(u64::MAX);
        entry.age = self.age;
        self.by_age.insert(self.age, task.to_owned());
        if self.tasks.len() > TASKS_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.tasks.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: &str = "2026-11-22";

    #[test]
    fn what_is_reserved_counts_until_it_is_settled() {
        let mut meter = Meter::default();
        let first = meter.reserve(BudgetPeriod::Month, DAY, Some("t"), 2.0, 100);
        let second = meter.reserve(BudgetPeriod::Month, DAY, None, 1.0, 50);
        let spent = meter.spent(BudgetPeriod::Month, DAY, Some("t"));
        assert_eq!((spent.period_usd, spent.task_usd, spent.task_tokens), (3.0, 2.0, 100));
        meter.settle(first, 0.5, 10);
        meter.settle(second, 0.0, 0);
        let spent = meter.spent(BudgetPeriod::Month, DAY, Some("t"));
        assert_eq!((spent.period_usd, spent.task_usd, spent.task_tokens), (0.5, 0.5, 10));
        assert_eq!(meter.spent(BudgetPeriod::Month, DAY, Some("u")).task_usd, 0.0);
    }

    #[test]
    fn a_period_begins_anew_and_what_began_before_is_paid_before() {
        let mut meter = Meter::default();
        let call = meter.reserve(BudgetPeriod::Day, DAY, Some("t"), 2.0, 1);
        assert_eq!(meter.spent(BudgetPeriod::Day, "2026-11-23", None).period_usd, 0.0);
        meter.settle(call, 1.5, 1);
        let spent = meter.spent(BudgetPeriod::Day, "2026-11-23", Some("t"));
        assert_eq!((spent.period_usd, spent.task_usd), (0.0, 1.5));
        for (period, day, is_new) in [
            (BudgetPeriod::Month, "2026-11-30", false),
            (BudgetPeriod::Month, "2026-12-01", true),
            (BudgetPeriod::Total, "2030-01-01", false),
        ] {
            let mut meter = Meter::default();
            let _ = meter.reserve(period, DAY, None, 1.0, 0);
            assert_eq!(meter.spent(period, day, None).period_usd == 0.0, is_new, "{day}");
        }
    }

    #[test]
    fn tasks_are_bounded_and_the_quietest_goes_first() {
        let mut meter = Meter::default();
        for number in 0..TASKS_MAX + 10 {
            let _ = meter.reserve(BudgetPeriod::Total, DAY, Some(&number.to_string()), 1.0, 0);
            let _ = meter.reserve(BudgetPeriod::Total, DAY, Some("0"), 1.0, 0);
        }
        assert_eq!(meter.tasks.len(), TASKS_MAX);
        assert_eq!(meter.by_age.len(), TASKS_MAX);
        assert!(meter.spent(BudgetPeriod::Total, DAY, Some("0")).task_usd > 100.0);
        assert_eq!(meter.spent(BudgetPeriod::Total, DAY, Some("1")).task_usd, 0.0);
    }
}
