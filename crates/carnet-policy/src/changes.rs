//! What a lane says about changing files of the work tree.

use crate::{
    hidden::{HiddenFiles, check_glob},
    problem::Problems,
    reader::TableReader,
};

/// How files of the work tree may be changed on behalf of a lane; a run itself changes a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Globs of the files that may be changed, of the form of hidden files; `**` for all.
    pub writable: Vec<String>,
    /// Whether files are changed by patches alone.
    pub patch_only: bool,
    /// Whether each file is kept as it was before it is changed.
    pub backups: bool,
    /// Globs that must match as well, where a work tree tightens the lane.
    also_writable: Option<Vec<String>>,
}

impl Default for Changes {
    /// Returns what holds where a lane says nothing: any file, by patches alone, with backups.
    fn default() -> Changes {
        Changes {
            writable: vec!["**".to_owned()],
            patch_only: true,
            backups: true,
            also_writable: None,
        }
    }
}

impl Changes {
    /// Tells whether the file may be changed; one that is hidden never may.
    ///
    /// - `path`: inside the repository.
    pub fn allow(&self, path: &str, hidden: &HiddenFiles) -> bool {
        let met = |globs: &Vec<String>| HiddenFiles::new(globs.clone()).hides(path);
        !hidden.hides(path) && met(&self.writable) && self.also_writable.as_ref().is_none_or(met)
    }

    pub(crate) fn tightened_by(&self, other: &Changes) -> Changes {
        Changes {
            writable: self.writable.clone(),
            patch_only: self.patch_only || other.patch_only,
            backups: self.backups || other.backups,
            also_writable: Some(other.writable.clone()),
        }
    }
}

pub(crate) fn read(table: Option<TableReader<'_, '_>>, problems: &mut Problems<'_>) -> Changes {
    let mut changes = Changes::default();
    let Some(mut table) = table else { return changes };
    let writable = table.strings("writable", problems);
    for glob in &writable {
        if let Err(message) = check_glob(&glob.value) {
            problems.add(&glob.span, "changes.writable", message);
        }
    }
    changes.writable = writable.into_iter().map(|glob| glob.value).collect();
    changes.patch_only = table.boolean("patch_only", problems).unwrap_or(true);
    changes.backups = table.boolean("backups", problems).unwrap_or(true);
    table.finish(problems);
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_files_are_never_changed_and_both_must_agree() {
        let hidden = HiddenFiles::new(vec!["*.key".to_owned()]);
        let prose = Changes { writable: vec!["*.md".to_owned()], ..Changes::default() };
        assert!(Changes::default().allow("src/a.rs", &hidden));
        assert!(!Changes::default().allow("a.key", &hidden));
        assert!(prose.allow("docs/a.md", &hidden) && !prose.allow("a.rs", &hidden));
        let both = Changes::default().tightened_by(&prose);
        assert!(both.allow("a.md", &hidden) && !both.allow("a.rs", &hidden));
    }
}
