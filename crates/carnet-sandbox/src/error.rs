//! Why nothing was started.

use std::{io, path::PathBuf};

use carnet_core::Required;

use crate::{BwrapUnfit, SpecError, UserNamespacesUnfit};

/// Why nothing was started. No instruction of the command was executed when one of these is returned.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// This system has no confinement backend yet.
    #[error("confinement is not supported on this system yet")]
    Unsupported,
    /// The spec itself is wrong.
    #[error("read the sandbox spec")]
    Spec(#[from] SpecError),
    /// No `bwrap` that can be trusted.
    #[error("find a trustworthy bwrap")]
    Bwrap(#[from] BwrapUnfit),
    /// The kernel forbids user namespaces to ordinary users.
    #[error("use user namespaces")]
    UserNamespaces(#[from] UserNamespacesUnfit),
    /// The run demands a layer that this kernel cannot give.
    #[error("meet requirement `{required}`: the kernel offers {offered}")]
    Requirement {
        /// What is demanded.
        required: Required,
        /// What there is instead.
        offered: String,
    },
    /// User id 0 and no service account to become.
    #[error("leave user id 0: no service account is configured")]
    RootWithoutServiceAccount,
    /// The service account is root by user or group.
    #[error("become service account `{uid}:{gid}`: it is root")]
    ServiceAccountIsRoot {
        /// Its user id.
        uid: u32,
        /// Its group id.
        gid: u32,
    },
    /// Real and effective user or group differ: carnet was made set-id.
    #[error("start from a set-id process: real and effective ids differ")]
    SetIdCaller,
    /// The workspace is no directory, or cannot be looked at.
    #[error("look at workspace `{path}`")]
    Workspace {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The workspace belongs to someone else than the user the command runs as.
    #[error("use workspace `{path}`: it belongs to user `{owner}`, the run is user `{uid}`")]
    WorkspaceOwner {
        /// The directory.
        path: PathBuf,
        /// To whom it belongs.
        owner: u32,
        /// Who runs.
        uid: u32,
    },
    /// A throw-away layer over the workspace cannot be made here; a copy as [`Workspace::Directory`](crate::Workspace)
    /// still can be used.
    #[error("lay an overlay over the workspace: {step}")]
    Overlay {
        /// What was being done.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The inner executable cannot be executed by the user the command runs as.
    #[error("use the inner executable: mode `{mode:o}` does not let user `{uid}` execute it")]
    InnerExecutable {
        /// Its permission bits.
        mode: u32,
        /// Who runs.
        uid: u32,
    },
    /// A layer could not be built; `said` is what bwrap or the inner stage printed.
    #[error("build the sandbox: {said}")]
    Setup {
        /// Their message, at most a few lines.
        said: String,
    },
    /// A layer was built and does not hold.
    #[error("verify layer `{layer}`: {found}")]
    Unverified {
        /// The layer, named as in the receipt.
        layer: String,
        /// What was seen.
        found: String,
    },
    /// The tool is not there inside the sandbox, or cannot be executed.
    #[error("execute `{tool}`: {message}")]
    ToolNotStarted {
        /// The path inside the sandbox.
        tool: PathBuf,
        /// The system's reason.
        message: String,
    },
    /// The caller was interrupted before the command was started.
    #[error("start the command: interrupted before it began")]
    Interrupted,
    /// A system call of the supervisor failed.
    #[error("{doing}")]
    Io {
        /// What it was doing, as a fragment.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl SandboxError {
    /// Returns what a person can do about it, as an imperative sentence; `None` where there is nothing to type.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            SandboxError::Unsupported => "Run this lane on Linux.",
            SandboxError::Bwrap(BwrapUnfit::NotFound) => "Install it: `apt install bubblewrap`.",
            SandboxError::Bwrap(_) => {
                "Install the distribution's package again: `apt install --reinstall bubblewrap`."
            }
            SandboxError::UserNamespaces(unfit) => unfit.hint(),
            SandboxError::Requirement { required: Required::Landlock { .. }, .. } => {
                "Boot a newer kernel, with `landlock` in its `lsm=` list."
            }
            SandboxError::Requirement { required: Required::Seccomp, .. } => {
                "Boot a kernel with CONFIG_SECCOMP_FILTER, on x86-64 or aarch64."
            }
            SandboxError::Requirement { required: Required::Limit { .. }, .. } => {
                "Run where the cgroup controller is given: as root, or under `systemd-run --user --scope -p Delegate=yes`."
            }
            SandboxError::RootWithoutServiceAccount | SandboxError::ServiceAccountIsRoot { .. } => {
                "Name a user without rights: `useradd --system carnet`, then set it as the service account."
            }
            SandboxError::SetIdCaller => "Take the set-id bits off the carnet binary.",
            SandboxError::WorkspaceOwner { .. } => {
                "Give the workspace to that user before the run."
            }
            SandboxError::InnerExecutable { .. } => {
                "Let everyone execute the carnet binary: `chmod 755`."
            }
            SandboxError::Setup { said }
                if said.contains("amespace") || said.contains("uid map") =>
            {
                "Allow user namespaces: `sysctl user.max_user_namespaces`, and an AppArmor profile for bwrap."
            }
            SandboxError::Setup { said } if said.contains("Can't find source path") => {
                "Put the workspace where the user of the run can reach it."
            }
            SandboxError::Setup { .. } | SandboxError::Unverified { .. } => "Run `carnet doctor`.",
            SandboxError::ToolNotStarted { .. } => {
                "Name a tool under `/usr` or in the workspace by its full path."
            }
            SandboxError::Spec(_)
            | SandboxError::Workspace { .. }
            | SandboxError::Overlay { .. }
            | SandboxError::Interrupted
            | SandboxError::Io { .. } => return None,
        })
    }
}
