//! Which caches a lane's runs find, and what of them is kept.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    environment,
    hidden::{HiddenFiles, check_glob},
    problem::Problems,
    reader::TableReader,
};

/// Caches of one lane at most.
const CACHES_MAX: usize = 16;
/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 32;
/// Where caches are seen inside a run, each below its name.
const INSIDE: &str = "/cache";
const MIB: u64 = 1 << 20;

/// Variables that steer tools and are set to a cache's place all the same; of others only those that a lane may name.
const TOOL_VARIABLES: [&str; 14] = [
    "CARGO_HOME",
    "CCACHE_DIR",
    "GOCACHE",
    "GOMODCACHE",
    "GRADLE_USER_HOME",
    "MYPY_CACHE_DIR",
    "NPM_CONFIG_CACHE",
    "NPM_CONFIG_STORE_DIR",
    "PIP_CACHE_DIR",
    "POETRY_CACHE_DIR",
    "RUFF_CACHE_DIR",
    "SCCACHE_DIR",
    "UV_CACHE_DIR",
    "YARN_CACHE_FOLDER",
];

/// A directory that runs of a lane find again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneCache {
    /// Its name, 1 to 32 of `a-z`, `0-9` and inner `-`; it is seen at `/cache/<name>`.
    pub name: String,
    /// Bytes of what is kept at most.
    pub bytes_max: u64,
    /// Variables that are set to its place.
    pub variables: Vec<String>,
    /// Globs of what is kept, of the form of hidden files.
    keep: Vec<String>,
    /// Globs that must match as well, where a work tree tightens the lane.
    also_keep: Option<Vec<String>>,
}

impl LaneCache {
    /// Returns where a run sees it.
    pub fn inside(&self) -> String {
        format!("{INSIDE}/{}", self.name)
    }

    /// Returns a predicate that tells whether a file, by its path below the cache, is kept.
    pub fn keeps(&self) -> impl Fn(&std::path::Path) -> bool + use<> {
        let globs = |globs: &Vec<String>| HiddenFiles::new(globs.clone());
        let (keep, also_keep) = (globs(&self.keep), self.also_keep.as_ref().map(globs));
        move |path| keep.hides(path) && also_keep.as_ref().is_none_or(|it| it.hides(path))
    }
}

/// Returns the caches that both name, with the smaller caps.
pub(crate) fn common(ours: &[LaneCache], theirs: &[LaneCache]) -> Vec<LaneCache> {
    let pairs = ours.iter().filter_map(|our| {
        let their = theirs.iter().find(|their| their.name == our.name)?;
        let bytes_max = our.bytes_max.min(their.bytes_max);
        Some(LaneCache { bytes_max, also_keep: Some(their.keep.clone()), ..our.clone() })
    });
    pairs.collect()
}

/// Reads `[[cache]]`; `environment` is what the lane names besides.
pub(crate) fn read(
    tables: Vec<TableReader<'_, '_>>,
    environment: &BTreeMap<String, String>,
    problems: &mut Problems<'_>,
) -> Vec<LaneCache> {
    let mut names = BTreeSet::new();
    let mut variables: BTreeSet<String> = environment.keys().cloned().collect();
    let mut caches = vec![];
    for mut table in tables {
        if caches.len() == CACHES_MAX {
            problems.add(table.span(), "cache", format!("more than {CACHES_MAX} caches"));
            break;
        }
        let name = table.string("name", problems);
        if let Some(name) = &name {
            if !is_name(&name.value) {
                let message = "must be 1 to 32 of `a-z`, `0-9` and inner `-`";
                problems.add(&name.span, "cache.name", message);
            } else if !names.insert(name.value.clone()) {
                let message = format!("`{}` is named twice", name.value);
                problems.add(&name.span, "cache.name", message);
            }
        }
        let cap_mib = table.integer("max_mb", (1, 1 << 20), problems);
        let own = table.strings("variables", problems);
        for variable in &own {
            if let Err(message) = check_variable(&variable.value) {
                problems.add(&variable.span, "cache.variables", message);
            } else if !variables.insert(variable.value.clone()) {
                let message = format!("`{}` has another value already", variable.value);
                problems.add(&variable.span, "cache.variables", message);
            }
        }
        let mut keep = table.strings("keep", problems);
        for glob in &keep {
            if let Err(message) = check_glob(&glob.value) {
                problems.add(&glob.span, "cache.keep", message);
            }
        }
        table.finish(problems);
        let (Some(name), Some(cap_mib)) = (name, cap_mib) else { continue };
        let mut keep: Vec<String> = keep.drain(..).map(|glob| glob.value).collect();
        if keep.is_empty() {
            keep.push("**".to_owned());
        }
        caches.push(LaneCache {
            name: name.value,
            bytes_max: cap_mib * MIB,
            variables: own.into_iter().map(|variable| variable.value).collect(),
            keep,
            also_keep: None,
        });
    }
    caches
}

/// Tells whether a cache, or a toolchain, can be called so.
pub(crate) fn is_name(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(is_word)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn check_variable(name: &str) -> Result<(), String> {
    if TOOL_VARIABLES.contains(&name) { Ok(()) } else { environment::check(name, INSIDE) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::Lane;

    fn lane(caches: &str) -> Result<Lane, Vec<String>> {
        let head = |name: &str| {
            format!("format = \"carnet/allowlist/1\"\nlane = \"{name}\"\ndescription = \"x\"\n")
        };
        let limits = "[limits]\nmax_cpu_pct = 80\nmax_mem_mb = 64\nmax_exec_seconds = 9\nmax_parallel = 1\nmax_processes = 9\nmax_disk_mb = 9\nmax_output_mb = 1\n[environment]\nLANG = \"C\"\n";
        let text = format!("{}{limits}{caches}", head("warm"));
        let read = Lane::parse(("warm.toml", &text), ("deny.toml", &head("deny")));
        read.map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_lane_names_toolchains_and_a_work_tree_takes_them_away() {
        let named = |names: &str| lane(&format!("[sandbox]\ntoolchains = [{names}]\n"));
        assert!(lane("").unwrap().toolchains().is_empty());
        let ours = named("\"rust\", \"node\"").unwrap();
        assert_eq!(ours.toolchains(), ["rust", "node"]);
        let theirs = named("\"node\", \"go\"").unwrap();
        assert_eq!(ours.clone().tightened_by(theirs).toolchains(), ["node"]);
        assert!(ours.tightened_by(lane("").unwrap()).toolchains().is_empty());
        for bad in ["\"../x\"", "\"\"", "\"Rust\"", "\"a\", \"a\"", "1"] {
            let problems = named(bad).unwrap_err();
            assert!(problems.iter().any(|it| it.contains("sandbox.toolchains")), "{problems:?}");
        }
        let many: Vec<String> = (0..17).map(|idx| format!("\"t{idx}\"")).collect();
        assert!(named(&many.join(", ")).is_err());
    }

    const CARGO: &str = "[[cache]]\nname = \"cargo\"\nmax_mb = 5\nvariables = [\"CARGO_HOME\"]\nkeep = [\"/registry/**\"]\n";

    #[test]
    fn a_lane_names_caches_and_none_by_default() {
        assert_eq!(lane("").unwrap().caches(), []);
        let read = lane(CARGO).unwrap();
        let [cargo] = read.caches() else { panic!("one") };
        assert_eq!((cargo.inside().as_str(), cargo.bytes_max), ("/cache/cargo", 5 << 20));
        let keeps = cargo.keeps();
        assert!(keeps(Path::new("registry/index/a")) && !keeps(Path::new("config.toml")));
        let all = lane("[[cache]]\nname = \"a\"\nmax_mb = 1\n").unwrap();
        assert!(all.caches()[0].keeps()(Path::new("anything/at/all")));
    }

    #[test]
    fn what_is_no_cache_closes_the_lane() {
        for (bad, field) in [
            ("name = \"../x\"\nmax_mb = 1\n", "cache.name"),
            ("name = \"-a\"\nmax_mb = 1\n", "cache.name"),
            ("name = \"a\"\n", "cache.max_mb"),
            ("name = \"a\"\nmax_mb = 0\n", "cache.max_mb"),
            ("max_mb = 1\n", "cache.name"),
            ("name = \"a\"\nmax_mb = 1\nvariables = [\"PATH\"]\n", "cache.variables"),
            ("name = \"a\"\nmax_mb = 1\nvariables = [\"LD_PRELOAD\"]\n", "cache.variables"),
            ("name = \"a\"\nmax_mb = 1\nvariables = [\"LANG\"]\n", "cache.variables"),
            ("name = \"a\"\nmax_mb = 1\nkeep = [\"[\"]\n", "cache.keep"),
            ("name = \"a\"\nmax_mb = 1\npath = \"/x\"\n", "cache.path"),
            ("name = \"a\"\nmax_mb = 1\n[[cache]]\nname = \"a\"\nmax_mb = 1\n", "cache.name"),
        ] {
            let problems = lane(&format!("[[cache]]\n{bad}")).unwrap_err();
            assert!(problems.iter().any(|it| it.contains(field)), "{bad}: {problems:?}");
        }
        let many: String =
            (0..17).map(|idx| format!("[[cache]]\nname = \"c{idx}\"\nmax_mb = 1\n")).collect();
        assert!(lane(&many).is_err());
    }

    #[test]
    fn a_work_tree_takes_caches_away_and_makes_them_smaller() {
        let theirs = CARGO.replace("= 5", "= 2").replace("/registry/**", "/registry/index/**");
        let both = lane(CARGO).unwrap().tightened_by(lane(&theirs).unwrap());
        assert_eq!(both.caches()[0].bytes_max, 2 << 20);
        let keeps = both.caches()[0].keeps();
        assert!(keeps(Path::new("registry/index/a")) && !keeps(Path::new("registry/src/a")));
        assert_eq!(lane(CARGO).unwrap().tightened_by(lane("").unwrap()).caches(), []);
        assert_eq!(lane("").unwrap().tightened_by(lane(CARGO).unwrap()).caches(), []);
    }
}
