//! Which class an output has: what the request declares, first glob first.

use carnet_core::{Normaliser, OutputClass, OutputRule};
use globset::{GlobBuilder, GlobMatcher};

use crate::collect::GlobError;

/// The declared classes, compiled.
#[derive(Debug, Default)]
pub struct Classes(Vec<(GlobMatcher, OutputRule)>);

impl Classes {
    /// Compiles the rules; `*` and `?` do not cross `/`, `**` does.
    ///
    /// # Errors
    ///
    /// [`GlobError`] for the first malformed glob.
    pub fn compile(rules: &[OutputRule]) -> Result<Classes, GlobError> {
        let compiled = rules.iter().map(|rule| {
            let wrap = |source| GlobError { glob: rule.glob.clone(), source: Some(source) };
            let glob = GlobBuilder::new(&rule.glob).literal_separator(true).build();
            Ok((glob.map_err(wrap)?.compile_matcher(), rule.clone()))
        });
        Ok(Classes(compiled.collect::<Result<_, _>>()?))
    }

    /// Returns the class of a file of the run tree, `artifacts/…` or `logs/…`, and what it passes over.
    pub fn of(&self, path: &str) -> (OutputClass, &[Normaliser]) {
        let name = path.strip_prefix("artifacts/").or_else(|| path.strip_prefix("logs/"));
        let is_stream = path.starts_with("logs/");
        let fits = |(glob, rule): &&(GlobMatcher, OutputRule)| match is_stream {
            true => name == Some(rule.glob.as_str()),
            false => !is_stream_name(&rule.glob) && name.is_some_and(|name| glob.is_match(name)),
        };
        match self.0.iter().find(fits) {
            Some((_, rule)) => (rule.class, &rule.normalisers),
            None => (OutputClass::Exact, &[]),
        }
    }
}

fn is_stream_name(glob: &str) -> bool {
    matches!(glob, "stdout" | "stderr")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &[&str], path: &str, expect: OutputClass) {
        let rules: Vec<_> = rules.iter().map(|rule| OutputRule::parse(rule).unwrap()).collect();
        assert_eq!(Classes::compile(&rules).unwrap().of(path).0, expect, "{path}");
    }

    #[test]
    fn what_is_not_declared_is_exact() {
        check(&[], "artifacts/a", OutputClass::Exact);
        check(&["*.db=structural"], "artifacts/dist/a.db", OutputClass::Exact);
    }

    #[test]
    fn the_first_glob_that_fits_decides() {
        let rules = ["dist/a.*=exact", "dist/**=normalised"];
        check(&rules, "artifacts/dist/a.tar", OutputClass::Exact);
        check(&rules, "artifacts/dist/x/b.tar", OutputClass::Normalised);
    }

    #[test]
    fn streams_are_named_by_their_names_alone() {
        check(&["**=nondeterministic"], "logs/stdout", OutputClass::Exact);
        check(&["stdout=normalised"], "logs/stdout", OutputClass::Normalised);
        check(&["stdout=normalised"], "logs/stderr", OutputClass::Exact);
        check(&["stdout=normalised"], "artifacts/stdout", OutputClass::Exact);
        check(&["[s]tdout=normalised"], "artifacts/stdout", OutputClass::Normalised);
    }
}
