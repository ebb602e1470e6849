//! What a service account may do: a closed list of scopes.

use std::fmt;

/// One permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Start a run, a sandbox, a replay.
    PexStart,
    /// Hand in work.
    PasSubmit,
    /// Hold work.
    PasPause,
    /// Read what was run and how it stands.
    PasReadStatus,
    /// Approve estimates.
    PlmsApprove,
    /// Read measures.
    PlmsReadMetrics,
    /// Go over a gate.
    KpiOverride,
    /// Read artifacts.
    ArtifactRead,
    /// Keep artifacts.
    ArtifactWrite,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Scope; 9] = [
        Scope::PexStart,
        Scope::PasSubmit,
        Scope::PasPause,
        Scope::PasReadStatus,
        Scope::PlmsApprove,
        Scope::PlmsReadMetrics,
        Scope::KpiOverride,
        Scope::ArtifactRead,
        Scope::ArtifactWrite,
    ];

    /// Returns the name that tokens and files hold.
    pub fn name(self) -> &'static str {
        match self {
            Scope::PexStart => "pex.start",
            Scope::PasSubmit => "pas.submit",
            Scope::PasPause => "pas.pause",
            Scope::PasReadStatus => "pas.read_status",
            Scope::PlmsApprove => "plms.approve",
            Scope::PlmsReadMetrics => "plms.read_metrics",
            Scope::KpiOverride => "kpi.override",
            Scope::ArtifactRead => "artifact.read",
            Scope::ArtifactWrite => "artifact.write",
        }
    }

    /// Returns the scope of a name.
    pub fn parse(name: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.name() == name)
    }

    /// Returns every name, for messages.
    pub fn names() -> String {
        Scope::ALL.map(Scope::name).join(", ")
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
