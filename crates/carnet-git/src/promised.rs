//! Fetching what a partial clone left with its promisor remote, all of one tree at once, by the `git` program.

use carnet_core::GitOid;

use crate::{ProgramError, Repo};

/// How often the tree is looked through again: each fetch of trees may show more that is missing.
const ROUNDS_MAX: usize = 64;

impl Repo {
    /// Fetches every object of a commit's tree that this partial clone lacks. Does nothing in a clone that is not partial.
    ///
    /// # Errors
    ///
    /// [`ProgramError`] when git cannot list or fetch them.
    pub fn fetch_promised(&self, commit_or_tree: &GitOid) -> Result<(), ProgramError> {
        let Some(remote) = self.promisor_remote() else { return Ok(()) };
        let tree = format!("{commit_or_tree}^{{tree}}");
        let mut missing_before = None;
        for _ in 0..ROUNDS_MAX {
            let list = ["rev-list", "--objects", "--no-object-names", "--missing=print", &tree];
            let listed = String::from_utf8_lossy(&self.run_git(&list, None)?).into_owned();
            let missing: Vec<_> =
                listed.lines().filter_map(|line| line.strip_prefix('?')).collect();
            if missing.is_empty() {
                return Ok(());
            }
            let wanted = missing.join("\n") + "\n";
            if missing_before.as_ref() == Some(&wanted) {
                break;
            }
            let fetch = [
                "-c",
                "fetch.negotiationAlgorithm=noop",
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                "--recurse-submodules=no",
                "--filter=blob:none",
                "--stdin",
                &remote,
            ];
            self.run_git(&fetch, Some(wanted.as_bytes()))?;
            missing_before = Some(wanted);
        }
        Ok(())
    }

    /// The remote that promised what this clone lacks; `None` in a clone that is not partial.
    fn promisor_remote(&self) -> Option<String> {
        if !self.is_partial_clone() {
            return None;
        }
        let is_promisor =
            |name: &String| self.config_get(&format!("remote.{name}.promisor")).is_some();
        self.config_get("extensions.partialClone")
            .or_else(|| self.remote_names().ok()?.into_iter().find(is_promisor))
    }
}
