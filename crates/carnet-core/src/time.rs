//! Points in time. Rooms 0 and 1 take them as arguments and never ask the clock.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time in milliseconds since 1970-01-01T00:00:00Z, printed as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Wraps milliseconds since the Unix epoch.
    pub fn from_millis(ms: i64) -> Timestamp {
        Timestamp(ms)
    }

    /// Returns the point in time of a system clock reading; times before 1970 become 1970.
    pub fn from_system_time(time: std::time::SystemTime) -> Timestamp {
        let since_epoch = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    /// Parses RFC 3339 (`2026-11-22T16:00:00Z`), or a day in UTC (`2026-11-22`), which means its beginning.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
        let time: jiff::Timestamp = whole.parse().ok()?;
        Some(Timestamp(time.as_millisecond()))
    }

    /// Returns milliseconds since the Unix epoch.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns whole seconds since the Unix epoch.
    pub fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the day in UTC as `YYYY-MM-DD`, the last part of a ledger ref.
    pub fn day(self) -> String {
        self.to_string()[..10].to_owned()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{time:.3}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Timestamp(time.as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_prints_as_rfc_3339_and_comes_back() {
        let time = Timestamp::from_millis(1_795_000_000_123);
        assert_eq!(time.to_string(), "2026-11-18T11:06:40.123Z");
        assert_eq!(time.day(), "2026-11-18");
        assert_eq!(Timestamp::parse("2026-11-18T11:06:40.123Z"), Some(time));
        assert_eq!(Timestamp::parse("1970-01-02"), Some(Timestamp::from_millis(86_400_000)));
        assert_eq!(Timestamp::parse("yesterday"), None);
        let json = serde_json::to_string(&time).unwrap();
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), time);
    }
}
