//! Files of the policy that say who acts and where secrets are kept: nothing panics, and every refusal names a line of the file.
#![no_main]

use carnet_access::{accounts::Accounts, key_set::KeySet, vault::config::SecretsConfig};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let n_lines = text.lines().count() + 1;
    for problems in [
        Accounts::parse("f", text).err(),
        SecretsConfig::parse(text).err(),
        KeySet::parse("f", text).err().map(|problem| vec![problem]),
    ]
    .into_iter()
    .flatten()
    {
        assert!(!problems.is_empty());
        assert!(problems.iter().all(|it| (1..=n_lines).contains(&it.line)), "{problems:?}");
    }
});
