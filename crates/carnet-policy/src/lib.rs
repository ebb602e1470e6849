//! Text in, decisions out: lanes, broker, budgets, gates, calibration.
#![warn(missing_docs)]
