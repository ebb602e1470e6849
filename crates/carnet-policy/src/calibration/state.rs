//! What was learnt, and how one more run changes it. The stored form is `docs/format/calibration.md`.

use std::{collections::BTreeMap, fmt};

use carnet_core::{LaneName, RunId, Timestamp, passport::RunKind};
use serde::{Deserialize, Serialize};

use super::estimate::{Estimate, average, deviation, estimate};

const FORMAT: &str = "carnet/calibration/1";
/// New runs before a prior moves, where no one says otherwise.
const RUNS_MIN: usize = 5;
/// The fewest that one may say: of fewer nothing can be estimated.
const RUNS_LEAST: usize = 2;
/// Runs that a prior rests on, the newest; and errors that are remembered.
const WINDOW: usize = 200;
/// Errors that are remembered before they, and not the prior's own spread, say what is usual.
const ERRORS_MIN: usize = 20;
/// How many standard deviations of the mean absolute error are a jump.
const JUMP_SIGMA: f64 = 2.0;
/// Share of a batch that may lie far out without being a drift.
const ODD_SHARE: f64 = 0.2;

/// What a run took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Quantity {
    /// Tokens in and out.
    Tokens,
    /// Elapsed milliseconds.
    TimeMs,
    /// USD.
    CostUsd,
}

impl Quantity {
    /// Every quantity, in the order of reports.
    pub const ALL: [Quantity; 3] = [Quantity::Tokens, Quantity::TimeMs, Quantity::CostUsd];

    /// Returns its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Quantity::Tokens => "tokens",
            Quantity::TimeMs => "time",
            Quantity::CostUsd => "cost",
        }
    }
}

/// Quantities of one run; one that was not measured is absent.
pub type Measures = BTreeMap<Quantity, f64>;

/// What calibration asks of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFacts {
    /// Which run.
    pub run: RunId,
    /// Why it was done.
    pub kind: RunKind,
    /// Whether it repeats another.
    pub is_replay: bool,
    /// Whether its command ended by itself with 0.
    pub succeeded: bool,
    /// Whether it was asked to validate and did.
    pub validated: bool,
    /// Whether its record lacks something.
    pub is_incomplete: bool,
    /// When it ended.
    pub at: Timestamp,
    /// Its lane.
    pub lane: LaneName,
    /// The provider that answered it; `none` where no model was asked.
    pub provider: String,
    /// What it took.
    pub measures: Measures,
}

/// Why a run teaches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Excluded {
    /// A sample done to estimate.
    Rehearsal,
    /// An earlier run done again.
    Replay,
    /// A try of the confinement.
    Sandbox,
    /// Its command failed, or did not end by itself.
    Failed,
    /// It was not asked to validate, or did not.
    NotValidated,
    /// Its record lacks something.
    Incomplete,
    /// A quantity is negative or no number.
    NotANumber,
    /// It has no quantity at all.
    NothingMeasured,
}

impl fmt::Display for Excluded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Excluded::Rehearsal => "a rehearsal is a sample, not work",
            Excluded::Replay => "a replay repeats work that counts already",
            Excluded::Sandbox => "a sandbox run is a try",
            Excluded::Failed => "it failed",
            Excluded::NotValidated => "it did not validate (`carnet run --validate`)",
            Excluded::Incomplete => "its record is incomplete",
            Excluded::NotANumber => "a quantity is negative or no number",
            Excluded::NothingMeasured => "nothing of it was measured",
        })
    }
}

impl RunFacts {
    /// Tells why the run may not teach; `None` for one that may.
    pub fn excluded(&self) -> Option<Excluded> {
        match self.kind {
            RunKind::Rehearsal => return Some(Excluded::Rehearsal),
            RunKind::Replay => return Some(Excluded::Replay),
            RunKind::Sandbox => return Some(Excluded::Sandbox),
            RunKind::Baseline | RunKind::Hotfix => {}
        }
        if self.is_replay {
            return Some(Excluded::Replay);
        }
        if !self.succeeded {
            return Some(Excluded::Failed);
        }
        if self.is_incomplete {
            return Some(Excluded::Incomplete);
        }
        if !self.validated {
            return Some(Excluded::NotValidated);
        }
        if self.measures.is_empty() {
            return Some(Excluded::NothingMeasured);
        }
        let is_sound = |value: &f64| value.is_finite() && *value >= 0.0;
        (!self.measures.values().all(is_sound)).then_some(Excluded::NotANumber)
    }
}

/// One run that teaches, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Which run.
    pub run: RunId,
    /// What it took.
    pub measures: Measures,
}

/// Why a prior does not move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Freeze {
    /// When it froze.
    pub at: Timestamp,
    /// Why, as a lowercase fragment.
    pub reason: String,
    /// Whether a person froze it; then only a person thaws it.
    pub by_hand: bool,
    /// Runs that came since, the newest.
    pub held: Vec<Sample>,
}

/// A lane and a provider, written `LANE/PROVIDER`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CellKey {
    /// The lane.
    pub lane: LaneName,
    /// The provider, `none` where no model was asked.
    pub provider: String,
}

impl fmt::Display for CellKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.lane, self.provider)
    }
}

impl From<CellKey> for String {
    fn from(key: CellKey) -> String {
        key.to_string()
    }
}

impl TryFrom<String> for CellKey {
    type Error = String;

    fn try_from(text: String) -> Result<CellKey, String> {
        let (lane, provider) = text.split_once('/').ok_or("a cell is `LANE/PROVIDER`")?;
        let lane = LaneName::new(lane).map_err(|error| error.to_string())?;
        Ok(CellKey { lane, provider: provider.to_owned() })
    }
}

/// What is known of one lane with one provider.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    /// The priors, where enough runs came.
    pub priors: BTreeMap<Quantity, Estimate>,
    /// Runs that they rest on, oldest first.
    pub samples: Vec<Sample>,
    /// Runs that wait until there are enough for a move.
    pub pending: Vec<Sample>,
    /// Runs that lay far out, the newest.
    pub odd: Vec<RunId>,
    /// Errors of the priors at runs of before, in natural logarithms, oldest first.
    pub errors: BTreeMap<Quantity, Vec<f64>>,
    /// Whether the priors stand still, and why.
    pub frozen: Option<Freeze>,
}

/// All that was learnt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Calibration {
    format: String,
    runs_min: usize,
    cells: BTreeMap<CellKey, Cell>,
}

/// What one run did.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Nothing, for this reason.
    Excluded(Excluded),
    /// It waits with others.
    Waits {
        /// How many wait.
        n: usize,
        /// How many are needed.
        needed: usize,
    },
    /// The batch that it filled made or moved the priors.
    Moved,
    /// The batch that it filled froze them, for this reason.
    Froze(String),
    /// They are frozen, and the batch is held.
    Held(String),
    /// The batch was as it should be: they thawed and moved.
    Recovered,
}

/// One run and what it did.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Which run.
    pub run: RunId,
    /// Whose priors.
    pub cell: CellKey,
    /// What it did.
    pub decision: Decision,
}

/// Why a stored state cannot be used, or a wish not be done.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// Not of this form.
    #[error("the calibration is no `{FORMAT}`: {0}")]
    Form(String),
    /// There is no such cell.
    #[error("nothing is known of `{0}`")]
    Unknown(CellKey),
    /// It stands as asked already.
    #[error("`{0}` is {1} already")]
    Already(CellKey, &'static str),
}

impl Default for Calibration {
    fn default() -> Calibration {
        Calibration { format: FORMAT.to_owned(), runs_min: RUNS_MIN, cells: BTreeMap::new() }
    }
}

impl Calibration {
    /// Reads a stored state.
    ///
    /// # Errors
    ///
    /// [`CalibrationError::Form`].
    pub fn from_json(bytes: &[u8]) -> Result<Calibration, CalibrationError> {
        let form = |what: String| CalibrationError::Form(what);
        let read: Calibration =
            serde_json::from_slice(bytes).map_err(|error| form(error.to_string()))?;
        if read.format != FORMAT {
            return Err(form(format!("its format is `{}`", crate::show(&read.format))));
        }
        Ok(Calibration { runs_min: read.runs_min.clamp(RUNS_LEAST, WINDOW), ..read })
    }

    /// Returns the stored form.
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.expect("because keys are strings and numbers finite") + "\n"
    }

    /// Returns how many new runs a prior needs before it moves.
    pub fn runs_min(&self) -> usize {
        self.runs_min
    }

    /// Sets how many new runs a prior needs before it moves: 2 to 200.
    pub fn set_runs_min(&mut self, runs_min: usize) {
        self.runs_min = runs_min.clamp(RUNS_LEAST, WINDOW);
    }

    /// Returns what is known, by lane and provider.
    pub fn cells(&self) -> &BTreeMap<CellKey, Cell> {
        &self.cells
    }

    /// Takes one more run. The caller gives each run once.
    pub fn learn(&mut self, facts: &RunFacts) -> Step {
        let cell = CellKey { lane: facts.lane.clone(), provider: facts.provider.clone() };
        let decision = match facts.excluded() {
            Some(why) => Decision::Excluded(why),
            None => {
                let runs_min = self.runs_min;
                let cell = self.cells.entry(cell.clone()).or_default();
                cell.learn(facts, runs_min)
            }
        };
        Step { run: facts.run, cell, decision }
    }

    /// Freezes priors because a person says so.
    ///
    /// # Errors
    ///
    /// [`CalibrationError`].
    pub fn freeze(
        &mut self,
        key: &CellKey,
        reason: &str,
        at: Timestamp,
    ) -> Result<(), CalibrationError> {
        let cell = self.cell_mut(key)?;
        match &mut cell.frozen {
            Some(freeze) if freeze.by_hand => {
                return Err(CalibrationError::Already(key.clone(), "frozen"));
            }
            Some(freeze) => (freeze.by_hand, freeze.reason) = (true, reason.to_owned()),
            none => {
                let reason = reason.to_owned();
                *none = Some(Freeze { at, reason, by_hand: true, held: vec![] });
            }
        }
        Ok(())
    }

    /// Thaws priors because a person says that what came since is how it is now: the runs that were held count, and what is
    /// usual is learnt anew.
    ///
    /// # Errors
    ///
    /// [`CalibrationError`].
    pub fn thaw(&mut self, key: &CellKey) -> Result<(), CalibrationError> {
        let cell = self.cell_mut(key)?;
        let Some(freeze) = cell.frozen.take() else {
            return Err(CalibrationError::Already(key.clone(), "thawed"));
        };
        if !freeze.held.is_empty() {
            cell.samples = freeze.held;
            cell.errors.clear();
            cell.priors = cell.estimates();
        }
        Ok(())
    }

    fn cell_mut(&mut self, key: &CellKey) -> Result<&mut Cell, CalibrationError> {
        self.cells.get_mut(key).ok_or_else(|| CalibrationError::Unknown(key.clone()))
    }
}

impl Cell {
    fn learn(&mut self, facts: &RunFacts, runs_min: usize) -> Decision {
        self.pending.push(Sample { run: facts.run, measures: facts.measures.clone() });
        if self.pending.len() < runs_min {
            return Decision::Waits { n: self.pending.len(), needed: runs_min };
        }
        let batch = std::mem::take(&mut self.pending);
        let (batch, odd) = self.without_odd(batch);
        self.odd.extend(odd);
        keep_newest(&mut self.odd, WINDOW);
        let jump = self.jump(&batch);
        match (&mut self.frozen, jump) {
            (None, None) => {
                self.take_in(batch);
                Decision::Moved
            }
            (None, Some(reason)) => {
                let (at, held) = (facts.at, batch);
                self.frozen = Some(Freeze { at, reason: reason.clone(), by_hand: false, held });
                Decision::Froze(reason)
            }
            (Some(freeze), None) if !freeze.by_hand => {
                self.frozen = None;
                self.take_in(batch);
                Decision::Recovered
            }
            (Some(freeze), _) => {
                freeze.held.extend(batch);
                keep_newest(&mut freeze.held, WINDOW);
                Decision::Held(freeze.reason.clone())
            }
        }
    }

    /// Sets aside what lies far out of the priors, as long as it is no more than a fifth of a batch: more is a drift.
    fn without_odd(&self, batch: Vec<Sample>) -> (Vec<Sample>, Vec<RunId>) {
        let is_odd = |sample: &Sample| {
            let mut quantities = sample.measures.iter();
            quantities.any(|(quantity, value)| {
                self.priors.get(quantity).is_some_and(|prior| prior.is_far_out(*value))
            })
        };
        let n_odd = batch.iter().filter(|sample| is_odd(sample)).count();
        if n_odd == 0 || n_odd as f64 > batch.len() as f64 * ODD_SHARE {
            return (batch, vec![]);
        }
        let (odd, batch): (Vec<_>, Vec<_>) = batch.into_iter().partition(is_odd);
        (batch, odd.into_iter().map(|sample| sample.run).collect())
    }

    /// Says which quantity's mean absolute error jumped beyond two sigma, and how far.
    fn jump(&self, batch: &[Sample]) -> Option<String> {
        for (quantity, prior) in &self.priors {
            let errors = errors_of(batch, *quantity, prior);
            if errors.is_empty() {
                continue;
            }
            let past = self.errors.get(quantity).map(Vec::as_slice).unwrap_or_default();
            let (usual, spread) = if past.len() >= ERRORS_MIN {
                (average(past), deviation(past))
            } else {
                // The mean and the deviation of a half-normal error around a mean of n values.
                let sigma = prior.log_deviation * (1.0 + 1.0 / prior.n as f64).sqrt();
                let few = 1.0 + 2.0 / prior.n as f64;
                (0.7979 * sigma * few, 0.6028 * sigma * few)
            };
            let error = average(&errors);
            // One part in a hundred is no jump, however steady it was before.
            let bound = usual + JUMP_SIGMA * spread / (errors.len() as f64).sqrt() + 0.01;
            if error > bound {
                return Some(format!(
                    "{}: the mean absolute error of {} runs is {error:.3}, above {bound:.3} ({usual:.3} as usual and two sigma of {:.3}), in natural logarithms",
                    quantity.name(),
                    errors.len(),
                    spread / (errors.len() as f64).sqrt()
                ));
            }
        }
        None
    }

    /// Takes a batch in and moves the priors, each mean by less than its standard error.
    fn take_in(&mut self, batch: Vec<Sample>) {
        for (quantity, prior) in &self.priors {
            let errors = self.errors.entry(*quantity).or_default();
            errors.extend(errors_of(&batch, *quantity, prior));
            keep_newest(errors, WINDOW);
        }
        self.samples.extend(batch);
        keep_newest(&mut self.samples, WINDOW);
        let mut priors = self.estimates();
        for (quantity, new) in &mut priors {
            if let Some(old) = self.priors.get(quantity) {
                // Just below one standard error, also after rounding.
                let reach = old.standard_error * 0.999;
                new.mean = new.mean.clamp(old.mean - reach, old.mean + reach);
            }
        }
        self.priors = priors;
    }

    fn estimates(&self) -> BTreeMap<Quantity, Estimate> {
        let values = |quantity: &Quantity| -> Vec<f64> {
            self.samples.iter().filter_map(|it| it.measures.get(quantity).copied()).collect()
        };
        let made = Quantity::ALL.into_iter();
        made.filter_map(|it| estimate(&values(&it)).map(|made| (it, made))).collect()
    }
}

fn errors_of(batch: &[Sample], quantity: Quantity, prior: &Estimate) -> Vec<f64> {
    let values = batch.iter().filter_map(|sample| sample.measures.get(&quantity));
    values.map(|value| prior.log_error(*value)).collect()
}

fn keep_newest<T>(list: &mut Vec<T>, n_max: usize) {
    let n_over = list.len().saturating_sub(n_max);
    list.drain(..n_over);
}
