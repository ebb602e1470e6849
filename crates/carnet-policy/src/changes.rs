//! What a lane says about changing files of the work tree.

use std::path::Path;

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
    /// Returns a predicate that tells whether a file, by its path inside the repository, may be changed. One that is hidden
    /// never may, whatever this says.
    pub fn allowed(&self) -> impl Fn(&Path) -> bool + use<> {
        let globs = |globs: &Vec<String>| HiddenFiles::new(globs.clone());
        let (writable, also) = (globs(&self.writable), self.also_writable.as_ref().map(globs));
        move |path| writable.hides(path) && also.as_ref().is_none_or(|it| it.hides(path))
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
    fn globs_say_what_may_be_changed_and_both_must_agree() {
        let allow = |changes: &Changes, path: &str| changes.allowed()(Path::new(path));
        let prose = Changes { writable: vec!["*.md".to_owned()], ..Changes::default() };
        let nothing = Changes { writable: vec![], ..Changes::default() };
        assert!(allow(&Changes::default(), "src/a.rs"));
        assert!(allow(&prose, "docs/a.md") && !allow(&prose, "a.rs"));
        assert!(!allow(&nothing, "a.md"));
        let both = Changes::default().tightened_by(&prose);
        assert!(allow(&both, "a.md") && !allow(&both, "a.rs"));
    }
}
