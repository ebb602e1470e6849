//! What is no longer as it was: programs by content, against the record.

use carnet_core::{
    Digest,
    passport::{Passport, Tool},
};

use carnet_policy::ToolLock;

use crate::{
    toolchains::Toolchains,
    tools::{self, ToolError},
};

/// One program that is not what the record names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The name it was asked by.
    pub name: String,
    /// As recorded.
    pub recorded: Tool,
    /// As it is now; `None` when it is not there any more.
    pub now: Option<Tool>,
}

impl Drift {
    /// Says what changed, as a lowercase fragment.
    pub fn words(&self) -> String {
        let Drift { name, recorded, now } = self;
        let short = |digest: &Digest| digest.to_string()[..16].to_owned();
        match now {
            None => format!("{name} ({}) is not there any more", recorded.path),
            Some(now) if now.sha256 == recorded.sha256 => {
                format!("{name} was {}, is now {}", recorded.path, now.path)
            }
            Some(now) => format!(
                "{name} ({}) had sha256 {}…, has {}…",
                now.path,
                short(&recorded.sha256),
                short(&now.sha256)
            ),
        }
    }
}

/// Compares the recorded programs with today's. A program that cannot be read counts as gone.
pub(super) fn drift(
    passport: &Passport,
    locks: &[ToolLock],
    toolchains: &Toolchains,
) -> Vec<Drift> {
    let recorded = passport.environment.tools.iter();
    let now = |name: &str| {
        tools::hold_at(name, &tools::locate(name, locks, toolchains)?).map(|it| it.tool)
    };
    recorded.filter_map(|tool| drifted(tool, now(&tool.name))).collect()
}

fn drifted(recorded: &Tool, now: Result<Tool, ToolError>) -> Option<Drift> {
    let now = now.ok();
    (now.as_ref() != Some(recorded)).then(|| Drift {
        name: recorded.name.clone(),
        recorded: recorded.clone(),
        now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_drifts_by_content_by_place_and_by_absence() {
        let tool = |path: &str, content: &[u8]| Tool {
            name: "cc".to_owned(),
            path: path.to_owned(),
            sha256: Digest::of(content),
        };
        let recorded = tool("/usr/bin/cc", b"old");
        assert_eq!(drifted(&recorded, Ok(recorded.clone())), None);
        let words = |now| drifted(&recorded, now).unwrap().words();
        assert!(words(Ok(tool("/usr/bin/cc", b"new"))).contains("had sha256"));
        assert!(words(Ok(tool("/bin/cc", b"old"))).contains("is now /bin/cc"));
        assert!(
            words(Err(ToolError::Missing { name: "cc".to_owned(), why_not: None }))
                .contains("not there any more")
        );
    }
}
