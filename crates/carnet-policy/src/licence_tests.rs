use carnet_core::{Decision, Timestamp};

use super::LicenceClaim;
use crate::ContentPolicy;

const SECRETS: &str = "format = \"carnet/content/1\"\n[secrets]\nrefuse_at_severity = \"medium\"\nrefuse_at_confidence = \"medium\"\nwarn_at_severity = \"low\"\nwarn_at_confidence = \"low\"\n";

fn policy(section: &str) -> ContentPolicy {
    ContentPolicy::parse("p.toml", &format!("{SECRETS}{section}"))
        .unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// What is decided of one expression in `src/a.rs`: `ok`, or the rule.
fn decided(section: &str, expression: &str) -> &'static str {
    decided_at(section, "src/a.rs", expression, "2026-11-22")
}

fn decided_at(section: &str, path: &str, expression: &str, day: &str) -> &'static str {
    let claim = LicenceClaim { expression, is_modified: false, is_tag: true };
    let now = Timestamp::parse(day).unwrap();
    let policy = policy(section);
    let faults = policy.licences().judge(path, &[claim], 0, now);
    faults.first().map_or("ok", |fault| fault.rule)
}

#[test]
fn without_lists_nothing_is_at_fault() {
    for expression in ["MIT", "AGPL-3.0-or-later", "LicenseRef-mine", "no such thing"] {
        assert_eq!(decided("", expression), "ok");
        assert_eq!(decided("[licences]\n", expression), "ok");
    }
    assert!(ContentPolicy::built_in().licences().is_empty());
}

#[test]
fn an_allow_list_lets_through_what_can_be_chosen() {
    let only_2 = "[licences]\nallow = [\"GPL-2.0-only\", \"MIT\"]\n";
    for (expression, expect) in [
        ("GPL-2.0-only", "ok"),
        ("GPL-2.0-or-later", "ok"),
        ("GPL-1.0-or-later", "ok"),
        ("GPL-2.0", "ok"),
        ("GPL-2.0+", "ok"),
        ("GPL-3.0-only", "licence-unlisted"),
        ("GPL-3.0-or-later", "licence-unlisted"),
        ("LGPL-2.0-only", "licence-unlisted"),
        ("MIT OR GPL-3.0-only", "ok"),
        ("MIT AND GPL-3.0-only", "licence-unlisted"),
        ("MIT AND (GPL-2.0-only OR Zlib)", "ok"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "ok"),
    ] {
        assert_eq!(decided(only_2, expression), expect, "{expression}");
    }
    let later = "[licences]\nallow = [\"GPL-2.0-or-later\", \"Apache-2.0+\"]\n";
    for (expression, expect) in [
        ("GPL-2.0-only", "ok"),
        ("GPL-3.0-only", "ok"),
        ("GPL-1.0-only", "licence-unlisted"),
        ("GPL-1.0-or-later", "ok"),
        ("Apache-2.0", "ok"),
        ("Apache-1.1", "licence-unlisted"),
    ] {
        assert_eq!(decided(later, expression), expect, "{expression}");
    }
    let lax = "[licences]\nallow = [\"GPL-2.0\", \"BSD-3-Clause\"]\n";
    assert_eq!(decided(lax, "GPL-2.0-or-later"), "ok");
    assert_eq!(decided(lax, "BSD-2-Clause"), "licence-unlisted");
}

#[test]
fn a_denial_holds_when_no_version_is_left() {
    let deny = "[licences]\ndeny = [\"GPL-3.0-or-later\", \"AGPL-1.0-or-later\"]\n";
    for (expression, expect) in [
        ("GPL-3.0-only", "licence-denied"),
        ("GPL-3.0-or-later", "licence-denied"),
        ("GPL-2.0-or-later", "ok"),
        ("GPL-2.0-only", "ok"),
        ("AGPL-3.0-only", "licence-denied"),
        ("AGPL-3.0-only OR MIT", "ok"),
        ("AGPL-3.0-only AND MIT", "licence-denied"),
        ("GPL-3.0-only WITH GCC-exception-3.1", "licence-denied"),
    ] {
        assert_eq!(decided(deny, expression), expect, "{expression}");
    }
    let but = "[licences]\ndeny = [\"GPL-1.0-or-later\"]\nallow = [\"GPL-2.0-only WITH Classpath-exception-2.0\", \"MIT\"]\n";
    assert_eq!(decided(but, "GPL-2.0-only WITH Classpath-exception-2.0"), "ok");
    assert_eq!(decided(but, "GPL-2.0-only"), "licence-denied");
    assert_eq!(decided(but, "GPL-2.0-only WITH Bison-exception-2.2"), "licence-denied");
}

#[test]
fn review_is_a_warning_and_stands_outside_the_allow_list() {
    let section = "[licences]\nallow = [\"MIT\"]\nreview = [\"MPL-2.0\"]\n";
    assert_eq!(decided(section, "MPL-2.0"), "licence-review");
    assert_eq!(decided(section, "MPL-2.0 OR MIT"), "ok");
    let claim = LicenceClaim { expression: "MPL-2.0", is_modified: false, is_tag: false };
    let faults = policy(section).licences().judge("a", &[claim], 0, Timestamp::from_millis(0));
    assert_eq!(faults[0].decision, Decision::Warn);
}

#[test]
fn classes_and_waivers_go_by_path_and_day() {
    let section = "[licences]\nallow = [\"MIT\"]\n\
        [[licences.class]]\nname = \"vendored\"\npaths = [\"vendor/**\"]\nallow = [\"MIT\", \"Zlib\"]\n\
        [[licences.waiver]]\nlicences = [\"MPL-2.0\"]\npaths = [\"src/old/**\"]\nreason = \"being replaced\"\nuntil = 2026-12-31\n";
    assert_eq!(decided_at(section, "src/a.c", "Zlib", "2026-11-22"), "licence-unlisted");
    assert_eq!(decided_at(section, "vendor/z/a.c", "Zlib", "2026-11-22"), "ok");
    assert_eq!(decided_at(section, "src/old/a.c", "MPL-2.0", "2026-12-31"), "ok");
    assert_eq!(decided_at(section, "src/old/a.c", "MPL-2.0", "2027-01-01"), "licence-unlisted");
    assert_eq!(decided_at(section, "src/a.c", "MPL-2.0", "2026-12-31"), "licence-unlisted");
    let policy = policy(section);
    let expired = policy.licences().expired_waivers(Timestamp::parse("2027-01-01").unwrap());
    assert_eq!(expired, ["p.toml:13: the waiver ran out on 2026-12-31"]);
}

#[test]
fn a_header_must_say_its_licence_where_the_rule_applies() {
    let section = "[licences.header]\nexpression = \"MIT OR Apache-2.0\"\npaths = [\"src/**/*.rs\"]\nexcept = [\"src/gen/**\"]\n";
    let policy = policy(section);
    let faults = |path: &str, claims: &[LicenceClaim<'_>]| {
        policy.licences().judge(path, claims, 0, Timestamp::from_millis(0)).len()
    };
    let tag = |expression| LicenceClaim { expression, is_modified: false, is_tag: true };
    assert_eq!(faults("src/a/b.rs", &[]), 1);
    assert_eq!(faults("src/a/b.rs", &[tag("MIT OR Apache-2.0")]), 0);
    assert_eq!(faults("src/a/b.rs", &[tag("MIT")]), 1);
    assert_eq!(faults("src/gen/b.rs", &[]) + faults("README.md", &[]), 0);
}

#[test]
fn modified_and_unknown_are_what_the_policy_says() {
    let section = "[licences]\nmodified = \"deny\"\nunknown = \"warn\"\n";
    let claim = LicenceClaim { expression: "MIT", is_modified: true, is_tag: false };
    let faults =
        policy(section).licences().judge("LICENSE", &[claim], 1, Timestamp::from_millis(0));
    let said: Vec<_> = faults.iter().map(|fault| (fault.rule, fault.decision)).collect();
    assert_eq!(said, [("licence-modified", Decision::Deny), ("licence-unknown", Decision::Warn)]);
}

#[test]
fn a_wrong_section_is_named_by_line_and_field() {
    for (section, expect) in [
        (
            "[licences]\nallow = [\"MITT\"]\n",
            "p.toml:8: `licences.allow`: `MITT` is no licence expression of the SPDX list",
        ),
        (
            "[licences]\ndeny = [\"MIT AND Zlib\"]\n",
            "p.toml:8: `licences.deny`: `AND` has no meaning in a list: name the licences one by one",
        ),
        (
            "[licences]\nmodified = \"maybe\"\n",
            "p.toml:8: `licences.modified`: must be one of `allow`, `warn`, `deny`, not `maybe`",
        ),
        ("[licences]\nalow = []\n", "p.toml:8: `licences.alow`: unknown key"),
        (
            "[[licences.class]]\nname = \"theirs\"\npaths = [\"a\"]\n",
            "p.toml:8: `licences.class.name`: must be one of `own`, `vendored`, `generated`, `docs`, not `theirs`",
        ),
        (
            "[[licences.waiver]]\nlicences = [\"MIT\"]\npaths = [\"a\"]\nuntil = 2027-01-01\n",
            "p.toml:7: `licences.waiver.reason`: is missing",
        ),
    ] {
        let problems = ContentPolicy::parse("p.toml", &format!("{SECRETS}{section}")).unwrap_err();
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|problem| problem == expect), "{said:?}");
    }
}
