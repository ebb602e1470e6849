//! What a lane says of its sandbox: the layers of confinement without which no run may start, and the toolchains that are shown.

use carnet_core::{EnforcementLevel, LimitKind, Required};

use crate::{caches::is_name, problem::Problems, reader::TableReader};

/// Oldest Landlock ABI that the strict sandbox does with.
const STRICT_LANDLOCK_ABI: u32 = 2;
/// Toolchains of one lane at most.
const TOOLCHAINS_MAX: usize = 16;

/// Returns what every rule that runs the repository's own code requires, whatever its lane says.
pub(crate) fn strict() -> [Required; 2] {
    [Required::Landlock { abi_min: STRICT_LANDLOCK_ABI }, Required::Seccomp]
}

/// Returns what both require together, each layer once.
pub(crate) fn union(ours: &[Required], theirs: &[Required]) -> Vec<Required> {
    let mut all: Vec<Required> = Vec::new();
    for required in ours.iter().chain(theirs) {
        if !all.iter().any(|it| covers(*it, *required)) {
            all.retain(|it| !covers(*required, *it));
            all.push(*required);
        }
    }
    all
}

pub(crate) fn read(
    sandbox: Option<TableReader<'_, '_>>,
    problems: &mut Problems<'_>,
) -> (Vec<Required>, Vec<String>) {
    let Some(mut sandbox) = sandbox else { return Default::default() };
    let mut required = Vec::new();
    for word in sandbox.strings("required", problems) {
        match parse(&word.value) {
            Some(it) => required.push(it),
            None => {
                let shown = crate::show(&word.value);
                let message = format!(
                    "`{shown}` is no layer; the layers are `landlock:ABI`, `seccomp`, and limits such as `memory:full`"
                );
                problems.add(&word.span, "sandbox.required", message);
            }
        }
    }
    let mut toolchains: Vec<String> = Vec::new();
    for name in sandbox.strings("toolchains", problems) {
        let message = match () {
            () if !is_name(&name.value) => "must be 1 to 32 of `a-z`, `0-9` and inner `-`",
            () if toolchains.contains(&name.value) => "is named twice",
            () if toolchains.len() == TOOLCHAINS_MAX => "is one too many: the most is `16`",
            () => {
                toolchains.push(name.value);
                continue;
            }
        };
        problems.add(&name.span, "sandbox.toolchains", message);
    }
    sandbox.finish(problems);
    (union(&required, &[]), toolchains)
}

fn parse(text: &str) -> Option<Required> {
    match text.split_once(':') {
        None if text == "seccomp" => Some(Required::Seccomp),
        Some(("landlock", abi)) => {
            let abi_min = abi.parse().ok().filter(|abi| (1..=64).contains(abi))?;
            Some(Required::Landlock { abi_min })
        }
        Some((limit, level)) => {
            let limit = LimitKind::ALL.into_iter().find(|it| it.name() == limit)?;
            let levels = [EnforcementLevel::Partial, EnforcementLevel::Full];
            let level_min = levels.into_iter().find(|it| it.name() == level)?;
            Some(Required::Limit { limit, level_min })
        }
        None => None,
    }
}

/// Tells whether whoever has `ours` has `theirs` too.
fn covers(ours: Required, theirs: Required) -> bool {
    match (ours, theirs) {
        (Required::Landlock { abi_min: ours }, Required::Landlock { abi_min: theirs }) => {
            ours >= theirs
        }
        (
            Required::Limit { limit, level_min: ours },
            Required::Limit { limit: other, level_min: theirs },
        ) => limit == other && ours >= theirs,
        _ => ours == theirs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_written_as_they_are_read() {
        for text in ["landlock:6", "seccomp", "memory:full", "cpu:partial"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        for bad in [
            "",
            "landlock",
            "landlock:",
            "landlock:0",
            "landlock:x",
            "Seccomp",
            "seccomp:1",
            "memory",
            "memory:none",
            "x:full",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_stronger_of_two_demands_counts() {
        let landlock = |abi_min| Required::Landlock { abi_min };
        let both = union(&[landlock(2), Required::Seccomp], &[landlock(6), Required::Seccomp]);
        assert_eq!(both, [Required::Seccomp, landlock(6)]);
        assert_eq!(union(&[landlock(6)], &[landlock(2)]), [landlock(6)]);
    }
}
