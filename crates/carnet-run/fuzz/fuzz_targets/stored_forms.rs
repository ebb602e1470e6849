//! Passports, signatures, ledger events, notes, pointers, manifests of backups: whatever the bytes, no reader panics, and what is read
//! is the same when it is written and read again. Its bounded twin is `stored_forms.rs` among the crate's tests.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| carnet_run::stored_forms::read_them_all(bytes));
