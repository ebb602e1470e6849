//! One quantity of many runs as a mean and an interval in which nine of ten further runs fall.

use serde::{Deserialize, Serialize};

/// Share of the values that is cut off at each end before the mean is taken.
pub const TRIM: f64 = 0.1;
/// Added before a logarithm is taken, so that 0 has one: far below any token, millisecond or cost that counts.
const EPSILON: f64 = 1e-9;
/// The least spread, in natural logarithms, that values are taken to have: a twentieth.
const SPREAD_MIN: f64 = 0.05;
/// How many robust standard deviations from the median is far out, for many values; more for few.
const FAR_OUT: f64 = 3.5;

/// What one more run is expected to take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Estimate {
    /// The trimmed mean.
    pub mean: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Lower end of the 90 % interval of one more run.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Values that it rests on.
    pub n: usize,
    /// Mean of the logarithms.
    pub log_mean: f64,
    /// Standard deviation of the logarithms.
    pub log_deviation: f64,
}

impl Estimate {
    /// Returns how far a value lies from what is typical, in natural logarithms.
    pub fn log_error(&self, value: f64) -> f64 {
        (log(value) - self.log_mean).abs()
    }

    /// Tells whether a value lies so far out that it is no ordinary run.
    pub fn is_far_out(&self, value: f64) -> bool {
        self.log_error(value) > cut(self.n) * self.log_deviation.max(SPREAD_MIN)
    }
}

/// Estimates from values, each 0 or more and finite; `None` for fewer than two.
///
/// # Source
///
/// Mean and standard error: trimmed mean with the winsorised deviation (Tukey and McLaughlin 1963). Interval: Student's
/// prediction interval over logarithms. What lies far from the median (by the median absolute deviation) is left out of both.
pub fn estimate(values: &[f64]) -> Option<Estimate> {
    let mut kept = near_the_median(values);
    kept.sort_by(f64::total_cmp);
    let n = kept.len();
    if n < 2 {
        return None;
    }
    let n_cut = (n as f64 * TRIM) as usize;
    let mean = average(&kept[n_cut..n - n_cut]);
    let (least, most) = (kept[n_cut], kept[n - n_cut - 1]);
    let winsorised: Vec<f64> = kept.iter().map(|value| value.clamp(least, most)).collect();
    let share = 1.0 - 2.0 * n_cut as f64 / n as f64;
    let standard_error = deviation(&winsorised) / (share * (n as f64).sqrt());
    let logs: Vec<f64> = kept.iter().map(|value| log(*value)).collect();
    let (log_mean, log_deviation) = (average(&logs), deviation(&logs));
    let reach = t_95(n - 1) * log_deviation * (1.0 + 1.0 / n as f64).sqrt();
    // What rounding left of zero is zero, and the ends hold the values that they were made of.
    let value =
        |log: f64| Some(log.exp() - EPSILON).filter(|it| *it > EPSILON * 1e-3).unwrap_or(0.0);
    Some(Estimate {
        mean,
        standard_error,
        low: value(log_mean - reach) * (1.0 - 1e-9),
        high: value(log_mean + reach) * (1.0 + 1e-9),
        n,
        log_mean,
        log_deviation,
    })
}

fn log(value: f64) -> f64 {
    (value + EPSILON).ln()
}

fn cut(n: usize) -> f64 {
    FAR_OUT + 20.0 / n.max(1) as f64
}

fn near_the_median(values: &[f64]) -> Vec<f64> {
    if values.is_empty() {
        return vec![];
    }
    let logs: Vec<f64> = values.iter().map(|value| log(*value)).collect();
    let middle = median(logs.clone());
    let spread = median(logs.iter().map(|log| (log - middle).abs()).collect());
    // 1.4826 makes the median absolute deviation that of a normal distribution.
    let reach = cut(values.len()) * (1.4826 * spread).max(SPREAD_MIN);
    let near = values.iter().zip(&logs).filter(|(_, log)| (**log - middle).abs() <= reach);
    near.map(|(value, _)| *value).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 }
}

pub(super) fn average(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The sample's standard deviation.
pub(super) fn deviation(values: &[f64]) -> f64 {
    let mean = average(values);
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    (squares / (values.len().max(2) - 1) as f64).sqrt()
}

/// The 95th percentile of Student's t with `freedom` degrees of freedom.
fn t_95(freedom: usize) -> f64 {
    const TABLE: [f64; 12] =
        [6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782];
    match freedom {
        0 => f64::INFINITY,
        1..=12 => TABLE[freedom - 1],
        // Cornish and Fisher's expansion, good to three digits from here on.
        _ => 1.6449 + 1.5239 / freedom as f64 + 1.42 / (freedom * freedom) as f64,
    }
}
