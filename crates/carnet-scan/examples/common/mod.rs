//! What the measuring examples share.

use std::{error::Error, fs};

/// Processor time of this process in seconds (`proc(5)`: fields 14 and 15 of `stat`, in ticks of 10 ms).
pub fn processor_time() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}
