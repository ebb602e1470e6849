//! The policy in force: what carnet ships, or what the commit holds that the configured policy ref names.
//!
//! Never the work tree: an agent can edit that.

use carnet_core::RepoPath;
use carnet_git::{HeadError, ObjectError, Repo};
use carnet_policy::{ContentPolicy, PolicyProblem};

use crate::suppressions::FINDINGS_FILE;

/// The configuration key that names the ref whose commit holds the policy.
pub const POLICY_REF_KEY: &str = "carnet.policyRef";
/// Largest policy file, in bytes.
pub(crate) const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The allowlists that decide, and where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyInForce {
    /// `built-in`, or the id of the commit that the policy ref named.
    pub origin: String,
    /// Name (`allowlists/<lane>.toml`) and text of every allowlist.
    pub allowlists: Vec<(String, String)>,
}

/// Why there is no policy to decide by.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The policy ref names no commit.
    #[error("policy ref `{name}` names no commit")]
    Ref {
        /// The configured value.
        name: String,
        /// Why.
        #[source]
        source: HeadError,
    },
    /// The commit's files cannot be read.
    #[error("read the policy of `{name}`")]
    Object {
        /// The configured value.
        name: String,
        /// Why.
        #[source]
        source: ObjectError,
    },
    /// The commit has no allowlists.
    #[error("the commit of policy ref `{0}` has no allowlists/*.toml")]
    Empty(String),
    /// A policy file is not UTF-8.
    #[error("policy file `{0}` is not UTF-8")]
    NotUtf8(String),
    /// The content policy is wrong.
    #[error("policy/content.toml is wrong: {}", lines(.0))]
    Content(Vec<PolicyProblem>),
}

fn lines(problems: &[PolicyProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl PolicyInForce {
    /// Reads the policy in force.
    ///
    /// # Errors
    ///
    /// [`PolicyError`]: a configured policy that cannot be read is never replaced by the built-in one.
    pub fn load(repo: &Repo) -> Result<PolicyInForce, PolicyError> {
        let Some(name) = repo.config_get(POLICY_REF_KEY) else {
            let built_in = carnet_policy::built_in_files().iter();
            let allowlists = built_in.map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
            return Ok(PolicyInForce {
                origin: "built-in".to_owned(),
                allowlists: allowlists.collect(),
            });
        };
        let commit_id = repo
            .resolve_commit(&name)
            .map_err(|source| PolicyError::Ref { name: name.clone(), source })?;
        let object = |source| PolicyError::Object { name: name.clone(), source };
        let mut allowlists = vec![];
        if let Some(tree) = repo.subtree(&commit_id, &well_formed("allowlists")).map_err(object)? {
            for file in repo.tree_files(&tree).map_err(object)? {
                let name = format!("allowlists/{}", file.path);
                if name == FINDINGS_FILE {
                    continue;
                }
                if name.ends_with(".toml") && file.mode == carnet_git::EntryMode::File {
                    let bytes = repo.read_blob(&file.id, FILE_BYTES_MAX).map_err(object)?;
                    let text =
                        String::from_utf8(bytes).map_err(|_| PolicyError::NotUtf8(name.clone()))?;
                    allowlists.push((name, text));
                }
            }
        }
        if allowlists.is_empty() {
            return Err(PolicyError::Empty(name));
        }
        Ok(PolicyInForce { origin: commit_id.to_string(), allowlists })
    }
}

/// Reads the content policy in force: `policy/content.toml` of the policy ref's commit where it has one, else the
/// built-in one.
///
/// # Errors
///
/// [`PolicyError`].
pub fn content_policy(repo: &Repo) -> Result<ContentPolicy, PolicyError> {
    let Some(name) = repo.config_get(POLICY_REF_KEY) else { return Ok(ContentPolicy::built_in()) };
    let commit_id = repo
        .resolve_commit(&name)
        .map_err(|source| PolicyError::Ref { name: name.clone(), source })?;
    let path = well_formed("policy/content.toml");
    let bytes = repo
        .read_path(&commit_id, &path, FILE_BYTES_MAX)
        .map_err(|source| PolicyError::Object { name: name.clone(), source })?;
    let Some(bytes) = bytes else { return Ok(ContentPolicy::built_in()) };
    let text = String::from_utf8(bytes).map_err(|_| PolicyError::NotUtf8(path.to_text()))?;
    ContentPolicy::parse("policy/content.toml", &text).map_err(PolicyError::Content)
}

fn well_formed(path: &str) -> RepoPath {
    RepoPath::new(path.as_bytes()).expect("because carnet's own paths are well formed")
}
