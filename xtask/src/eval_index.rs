//! What the evaluations of the index are asked for.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::system;

pub(crate) struct Asked<'a> {
    pub dirs: Vec<&'a str>,
    pub carnet: PathBuf,
    /// How many of what is counted.
    pub n: String,
}

impl<'a> Asked<'a> {
    pub fn read(args: &[&'a str], count: &str) -> Result<Asked<'a>, String> {
        let (mut dirs, mut carnet, mut n) = (Vec::new(), None, "");
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().copied().ok_or_else(|| format!("{arg} what?"));
            match *arg {
                "--carnet" => carnet = Some(PathBuf::from(value()?)),
                arg if arg == count => n = value()?,
                dir => dirs.push(dir),
            }
        }
        if dirs.is_empty() {
            return Err("name the repositories to look at".to_owned());
        }
        let carnet = carnet.map_or_else(|| system::built_carnet("release"), Ok)?;
        let n = if n.is_empty() { if count == "--sites" { "3000" } else { "200" } } else { n };
        Ok(Asked { dirs, carnet, n: n.to_owned() })
    }
}

/// An empty place for what is made of a repository.
pub(crate) fn scratch(purpose: &str, dir: &str) -> Result<PathBuf, String> {
    let name = Path::new(dir).canonicalize().map_err(|error| format!("{dir}: {error}"))?;
    let name = name.display().to_string().replace('/', "_");
    let place = system::target_dir().join("eval-index").join(purpose).join(name);
    let _ = fs::remove_dir_all(&place);
    let parent = place.parent().unwrap_or(&place);
    fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    Ok(place)
}
