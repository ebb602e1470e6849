//! Starts a process under confinement and quotas, and says what was truly enforced.
#![warn(missing_docs)]
