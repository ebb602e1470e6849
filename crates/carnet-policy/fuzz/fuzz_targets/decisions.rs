//! Argument vectors in every lane that carnet ships: nothing panics, no decision depends on the last one, and what is
//! denied everywhere or has no plain name is never allowed.
#![no_main]

use std::{collections::BTreeMap, sync::LazyLock};

use carnet_policy::{LaneSet, built_in_files};
use libfuzzer_sys::fuzz_target;

static LANES: LazyLock<LaneSet> =
    LazyLock::new(|| LaneSet::parse(built_in_files()).expect("because the shipped lanes are sound"));

const NEVER: [&str; 8] = ["sh", "bash", "dash", "env", "xargs", "busybox", "curl", "wget"];

fuzz_target!(|text: &str| {
    let argv: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let never = NEVER.contains(&argv[0].as_str()) || argv[0].contains('/') || argv[0].is_empty();
    for lane in LANES.lane_names().filter_map(|name| LANES.lane(name)) {
        let admission = lane.admit(&argv);
        let is_allowed = admission.verdict.is_allowed();
        assert!(!(never && is_allowed), "{argv:?} is allowed in {}", lane.name());
        assert_eq!(is_allowed, lane.admit(&argv).verdict.is_allowed());
        let loader = BTreeMap::from([("LD_PRELOAD".to_owned(), "x".to_owned())]);
        assert!(!lane.admit_given(&argv, &loader).verdict.is_allowed());
    }
});
