//! When an endpoint is left alone, and how long is waited before the next attempt. Pure: time is an argument.

use carnet_core::Timestamp;

/// Failures in a row after which an endpoint is left alone.
pub const FAILURES_MAX: u32 = 5;
/// How long it is left alone at first, in milliseconds; doubled each time that it fails again.
pub const REST_MS: i64 = 15_000;
/// How long at most.
pub const REST_MS_MAX: i64 = 600_000;

/// One endpoint's circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Breaker {
    /// Calls go through.
    #[default]
    Closed,
    /// The same; this many failed in a row.
    Ailing(u32),
    /// No call goes through before `until`.
    Open {
        /// When one is let through to try.
        until: Timestamp,
        /// How long it rested.
        rest_ms: i64,
    },
    /// One call is on its way to try; others wait for what becomes of it.
    Trying {
        /// When another is let through, should nothing be heard.
        until: Timestamp,
        /// How long it rested.
        rest_ms: i64,
    },
}

impl Breaker {
    /// Tells whether a call may go now, and notes that it goes.
    pub fn admit(&mut self, now: Timestamp) -> bool {
        match *self {
            Breaker::Closed | Breaker::Ailing(_) => true,
            Breaker::Open { until, rest_ms } | Breaker::Trying { until, rest_ms } => {
                let may = now >= until;
                if may {
                    let until = Timestamp::from_millis(now.as_millis() + rest_ms);
                    *self = Breaker::Trying { until, rest_ms };
                }
                may
            }
        }
    }

    /// Notes that a call was answered.
    pub fn succeeded(&mut self) {
        *self = Breaker::Closed;
    }

    /// Notes that a call was not.
    pub fn failed(&mut self, now: Timestamp) {
        let open = |rest_ms: i64| Breaker::Open {
            until: Timestamp::from_millis(now.as_millis() + rest_ms),
            rest_ms,
        };
        *self = match *self {
            Breaker::Closed => Breaker::Ailing(1),
            Breaker::Ailing(n) if n + 1 < FAILURES_MAX => Breaker::Ailing(n + 1),
            Breaker::Ailing(_) => open(REST_MS),
            Breaker::Trying { rest_ms, .. } => open((rest_ms * 2).min(REST_MS_MAX)),
            // A call that was under way before it opened tells nothing new.
            Breaker::Open { .. } => *self,
        };
    }
}

/// Attempts at one endpoint, the first among them.
pub const ATTEMPTS_MAX: u32 = 2;
/// The longest that is waited because an endpoint asks for it; one that asks for more is passed over.
pub const RETRY_AFTER_MS_MAX: u64 = 2_000;

/// Returns how long to wait before the next attempt, in milliseconds; `None` where the next model is asked instead.
///
/// - `attempt`: how many were made, from 1.
/// - `retry_after_ms`: what the endpoint asked for.
/// - `random`: any number; spreads those who wait between half and the whole of the time.
pub fn backoff_ms(attempt: u32, retry_after_ms: Option<u64>, random: u64) -> Option<u64> {
    if attempt >= ATTEMPTS_MAX || retry_after_ms.is_some_and(|asked| asked > RETRY_AFTER_MS_MAX) {
        return None;
    }
    let whole = 100_u64 << attempt.min(6);
    let spread = whole / 2 + random % (whole / 2 + 1);
    Some(spread.max(retry_after_ms.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    /// Plays a script: `a` admits, `r` is refused, `s` and `f` are what became of a call, a number is the time.
    #[test]
    fn a_breaker_opens_tries_and_closes_by_the_table() {
        for script in [
            "0 a f a f a f a f a s a f a f a f a f a f r",
            "0 f f f f f r 14999 r 15000 a r s a a",
            "0 f f f f f 15000 a f 44999 r 45000 a r f 104999 r 105000 a s a",
            "0 f f f f f f f r 15000 a",
            "0 f f f f f 15000 a 29999 r 30000 a s f a",
        ] {
            let (mut breaker, mut now) = (Breaker::default(), at(0));
            for (idx, step) in script.split(' ').enumerate() {
                match step {
                    "a" => assert!(breaker.admit(now), "{script}: step {idx}"),
                    "r" => assert!(!breaker.admit(now), "{script}: step {idx}"),
                    "s" => breaker.succeeded(),
                    "f" => breaker.failed(now),
                    time => now = at(time.parse().unwrap()),
                }
            }
        }
    }

    #[test]
    fn rest_doubles_to_its_bound() {
        let (mut breaker, mut now) = (Breaker::default(), 0);
        for _ in 0..FAILURES_MAX {
            breaker.failed(at(now));
        }
        for _ in 0..20 {
            now += REST_MS_MAX;
            assert!(breaker.admit(at(now)));
            breaker.failed(at(now));
        }
        assert!(!breaker.admit(at(now + REST_MS_MAX - 1)) && breaker.admit(at(now + REST_MS_MAX)));
    }

    #[test]
    fn waits_are_spread_and_bounded() {
        for random in [0, 1, 99, 100, 101, u64::MAX] {
            assert!((100..=200).contains(&backoff_ms(1, None, random).unwrap()));
            assert_eq!(backoff_ms(1, Some(1000), random), Some(1000));
            assert_eq!(backoff_ms(1, Some(RETRY_AFTER_MS_MAX + 1), random), None);
            assert_eq!(backoff_ms(ATTEMPTS_MAX, None, random), None);
        }
    }
}
