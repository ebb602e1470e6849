//! What of a repository is searched.

use carnet_parse::SymbolKind;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::snapshot::LiveFile;

/// Most hits of one search.
pub(super) const HITS_MAX: usize = 1_000;

/// What of a repository is searched, and how many hits are wanted.
#[derive(Debug, Default)]
pub struct Scope {
    paths: Option<GlobSet>,
    prefixes: Vec<String>,
    languages: Vec<String>,
    kinds: Vec<String>,
    pub(super) limit: usize,
}

impl Scope {
    /// Makes a scope; an empty list leaves everything in.
    ///
    /// - `paths`: globs over whole paths (`*` stays in a directory, `**` does not); without wildcards a file or a directory.
    /// - `languages`: names as in answers, or the extension of a text file.
    /// - `kinds`: names of kinds of definitions, or `text`.
    /// - `limit`: most hits; at least 1.
    ///
    /// # Errors
    ///
    /// A text that says which value is unknown and what may stand there.
    pub fn new(
        paths: &[String],
        languages: &[String],
        kinds: &[String],
        limit: usize,
    ) -> Result<Scope, String> {
        let (globs, plain): (Vec<_>, Vec<_>) =
            paths.iter().partition(|path| path.contains(['*', '?', '[', '{']));
        let mut set = GlobSetBuilder::new();
        for glob in &globs {
            let glob = GlobBuilder::new(glob).literal_separator(true).build();
            set.add(glob.map_err(|error| error.to_string())?);
        }
        let set = set.build().map_err(|error| error.to_string())?;
        let is_kind = |kind: &String| {
            kind == TEXT || SymbolKind::ALL.iter().any(|known| known.name() == *kind)
        };
        if let Some(kind) = kinds.iter().find(|kind| !is_kind(kind)) {
            let known: Vec<_> = SymbolKind::ALL.iter().map(|kind| kind.name()).collect();
            return Err(format!(
                "there is no kind `{kind}`; known are {}, {TEXT}",
                known.join(", ")
            ));
        }
        Ok(Scope {
            paths: (!globs.is_empty()).then_some(set),
            prefixes: plain.iter().map(|path| path.trim_matches('/').to_owned()).collect(),
            languages: languages.iter().map(|it| it.to_ascii_lowercase()).collect(),
            kinds: kinds.to_vec(),
            limit: limit.clamp(1, HITS_MAX),
        })
    }

    pub(super) fn is_whole(&self) -> bool {
        self.paths.is_none() && self.prefixes.is_empty() && self.languages.is_empty()
    }

    pub(super) fn holds_file(&self, file: &LiveFile) -> bool {
        let path = file.path.to_text();
        let is_below = |prefix: &String| {
            path.strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let is_any_path = self.paths.is_none() && self.prefixes.is_empty();
        let has_path = is_any_path
            || self.paths.as_ref().is_some_and(|set| set.is_match(&path))
            || self.prefixes.iter().any(is_below);
        has_path && (self.languages.is_empty() || self.languages.contains(&language_of(file)))
    }

    pub(super) fn holds_kind(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|it| it == kind)
    }
}

/// The kind of a hit that is no definition.
pub(super) const TEXT: &str = "text";

/// Returns the name of a file's language, or the extension of a text file.
pub(super) fn language_of(file: &LiveFile) -> String {
    if let Some(language) = file.language {
        return language.name().to_owned();
    }
    let name = String::from_utf8_lossy(file.path.file_name()).to_ascii_lowercase();
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => match extension {
            "md" => "markdown".to_owned(),
            _ => extension.to_owned(),
        },
        _ => TEXT.to_owned(),
    }
}
