//! What `tsconfig.json` and `jsconfig.json` make of a name.

use std::rc::Rc;

use super::{EcmaModules, Found, Search, best, join, one, outward, parent, within};
use crate::manifest::Config;

/// Most configurations read for one, through `extends`.
const EXTENDED_MAX: usize = 32;
/// Stands for the directory of the configuration that is used, not of the one it is written in.
const OWN_DIRECTORY: &str = "${configDir}";

/// What holds of a configuration and those that it extends.
#[derive(Default)]
pub(super) struct Effective {
    /// Where the configuration lies.
    directory: String,
    base_url: Option<String>,
    /// The directory that paths were written for, and who wrote them.
    paths: Option<(String, Rc<Config>)>,
}

/// A configuration that is put together.
struct Extending<'m> {
    modules: &'m EcmaModules,
    /// Of the configuration that is used.
    directory: &'m str,
    /// The paths of those that are being read, for circles, and how many were.
    open: Vec<String>,
    n_read: usize,
}

impl Search<'_> {
    /// Returns what the nearest configuration makes of a name.
    pub(super) fn configured(&self, directory: &str, module: &str) -> Found {
        let mut found = Vec::new();
        for config in &*self.modules.configs_of(directory) {
            found.extend(self.through(config, module)?);
        }
        one(found)
    }

    fn through(&self, config: &Effective, module: &str) -> Found {
        if let Some((written_for, writer)) = &config.paths
            && let Some((rule, star)) = best(writer.paths.as_deref().unwrap_or_default(), module)
        {
            let root = config.base_url.as_deref().unwrap_or(written_for);
            for target in &rule.targets {
                let place = placed(root, &config.directory, &target.path.replacen('*', star, 1));
                let Some(place) = place else { continue };
                if let Some(file) = self.load(&place)? {
                    return Ok(Some(file));
                }
            }
        }
        let base = config.base_url.as_deref().and_then(|base| within(base, module));
        base.map_or(Ok(None), |place| self.load(&place))
    }
}

impl EcmaModules {
    /// Returns the nearest configuration, and the projects that it refers to.
    fn configs_of(&self, directory: &str) -> Rc<[Effective]> {
        if let Some(known) = self.near.borrow().get(directory) {
            return known.clone();
        }
        let names = ["tsconfig.json", "jsconfig.json"];
        let mut paths = outward(directory).flat_map(|at| names.map(|name| join(at, name)));
        let found = paths.find_map(|path| self.configs.get_key_value(path.as_str()));
        let used = found.map(|(path, config)| {
            let references = config.iter().flat_map(|config| &config.references);
            let references = references.filter_map(|it| self.referred(parent(path), it));
            let paths = std::iter::once(path.as_str()).chain(references);
            paths.filter_map(|path| self.effective(path)).collect()
        });
        let used: Rc<[Effective]> = used.unwrap_or_default();
        self.near.borrow_mut().insert(directory.to_owned(), used.clone());
        used
    }

    fn effective(&self, path: &str) -> Option<Effective> {
        let directory = parent(path);
        let mut extending = Extending { modules: self, directory, open: Vec::new(), n_read: 0 };
        extending.read(path)
    }

    /// Returns the path of a project that another refers to, which may name its directory.
    fn referred(&self, directory: &str, reference: &str) -> Option<&str> {
        let place = within(directory, reference)?;
        self.config_path(&[place.clone(), join(&place, "tsconfig.json")])
    }

    fn config_path(&self, paths: &[String]) -> Option<&str> {
        let mut known = paths.iter().filter_map(|path| self.configs.get_key_value(path.as_str()));
        known.next().map(|(path, _)| path.as_str())
    }
}

impl Extending<'_> {
    /// Returns what holds; `None` where that cannot be known.
    fn read(&mut self, path: &str) -> Option<Effective> {
        let is_circle = self.open.iter().any(|open| open == path);
        if is_circle || self.n_read >= EXTENDED_MAX {
            return None;
        }
        self.n_read += 1;
        let config = self.modules.configs.get(path)?.as_ref()?;
        self.open.push(path.to_owned());
        let mut effective =
            Effective { directory: self.directory.to_owned(), ..Effective::default() };
        for extended in &config.extends {
            let Some(path) = self.extended(path, extended)? else { continue };
            let inner = self.read(&path)?;
            effective.base_url = inner.base_url.or(effective.base_url);
            effective.paths = inner.paths.or(effective.paths);
        }
        self.open.pop();
        self.with_own(effective, parent(path), config)
    }

    fn with_own(
        &self,
        mut effective: Effective,
        directory: &str,
        config: &Rc<Config>,
    ) -> Option<Effective> {
        if let Some(base_url) = &config.base_url {
            effective.base_url = Some(placed(directory, self.directory, base_url)?);
        }
        if config.paths.is_some() {
            effective.paths = Some((directory.to_owned(), config.clone()));
        }
        Some(effective)
    }

    /// Returns the path of a configuration that the one at `path` extends. The inner `None` is a package from outside, which
    /// cannot know the paths of this repository; the outer one is a file that should be here.
    fn extended(&self, path: &str, extended: &str) -> Option<Option<String>> {
        let candidates =
            |place: String| [place.clone(), format!("{place}.json"), join(&place, "tsconfig.json")];
        if extended.starts_with('.') || extended.starts_with(OWN_DIRECTORY) {
            let place = placed(parent(path), self.directory, extended)?;
            if place.split('/').any(|part| part == "node_modules") {
                return Some(None);
            }
            return self.modules.config_path(&candidates(place)).map(|it| Some(it.to_owned()));
        }
        if extended.starts_with('/') {
            return None;
        }
        let package = self.modules.package_of(parent(path), extended);
        let place = package.and_then(|(directory, rest)| within(directory, rest));
        Some(
            place.and_then(|place| self.modules.config_path(&candidates(place))).map(str::to_owned),
        )
    }
}

/// Returns where a path of a configuration leads, from the directory it is written for or from the one of its user.
fn placed(written_for: &str, used_in: &str, path: &str) -> Option<String> {
    match path.strip_prefix(OWN_DIRECTORY) {
        Some(rest) => within(used_in, rest.trim_start_matches('/')),
        None => within(written_for, path),
    }
}
