//! Policy files of every kind: nothing panics, and what is sound when it is read once is sound when it is read again.
#![no_main]

use carnet_core::Timestamp;
use carnet_policy::{ContentPolicy, Lane, LaneSet, Suppressions, ToolLock};
use libfuzzer_sys::fuzz_target;

const DENY: &str = "format = \"carnet/allowlist/1\"\nlane = \"deny\"\ndescription = \"none\"\n";

fuzz_target!(|text: &str| {
    let lane = Lane::parse(("allowlists/x.toml", text), ("allowlists/deny.toml", DENY));
    if let Ok(lane) = lane {
        let again = Lane::parse(("allowlists/x.toml", text), ("allowlists/deny.toml", DENY));
        assert_eq!(again.map(|lane| lane.digest()).ok(), Some(lane.digest()));
    }
    drop(LaneSet::parse(&[("allowlists/deny.toml", text)]));
    drop(ContentPolicy::parse("policy/content.toml", text));
    drop(Suppressions::parse("allowlists/findings.toml", text, Timestamp::from_millis(0)));
    if let Ok(lock) = ToolLock::parse("policy/tools.lock", text) {
        assert_eq!(ToolLock::parse("policy/tools.lock", &lock.to_text()), Ok(lock));
    }
});
