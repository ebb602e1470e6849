//! Passports, signatures, ledger events, checkpoints, notes, receipts of the guard, audit logs, pointers, contents and their lists, artifacts
//! put by hand, manifests of backups, journals, replies of models, the local index: whatever the bytes, no reader panics, and what is read
//! is the same when it is written and read again. Its bounded twin is `stored_forms.rs` among the crate's tests.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| carnet_run::stored_forms::read_them_all(bytes));
