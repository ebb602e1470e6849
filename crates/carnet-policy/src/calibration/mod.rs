//! Priors: what runs of a lane with a provider take in tokens, time and cost, learnt from runs that may teach.
//!
//! Only a finished baseline or hotfix that validated, outside any sandbox, counts; a prior moves after each batch of new runs,
//! never by more than its standard error at once; one run of a batch that lies far out is set aside, and where more do, or the
//! error of the estimates jumps, the prior freezes until it recovers or a person thaws it. `docs/format/calibration.md` gives
//! the formulas and what they cannot do. Everything here is a function of values: runs come in the order in which they ended.

mod estimate;
mod state;

pub use estimate::{Estimate, TRIM, estimate};
pub use state::{
    Calibration, CalibrationError, Cell, CellKey, Decision, Excluded, Freeze, Measures, Quantity,
    RunFacts, Sample, Step,
};

#[cfg(test)]
mod tests;
