//! The file that `redact --map` keeps: `docs/format/redaction-map.md`. It holds secrets, so git must not see it, nor others read it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use carnet_access::private_file;
use carnet_core::ExitCode;
use carnet_git::Repo;
use carnet_scan::{MapEntry, RedactionMap};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::findings::failed;
use crate::error::CommandError;

const FORMAT: &str = "carnet/redaction-map/1";
/// Bytes of the largest map.
const MAP_BYTES_MAX: u64 = 1 << 30;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MapFile {
    format: String,
    entries: Vec<EntryLine>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryLine {
    name: String,
    /// The value, when it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Else its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    /// The pass of redaction that replaced it, from 0.
    pass: u8,
}

/// Reads a map, or begins one at a place where it may lie.
pub fn load_or_new(repo: Option<&Repo>, path: &Path) -> Result<RedactionMap, CommandError> {
    refuse_if_git_sees(repo, path)?;
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(RedactionMap::default()),
        _ => load(path),
    }
}

/// Reads a map.
pub fn load(path: &Path) -> Result<RedactionMap, CommandError> {
    let shown = path.display();
    let wrong = |why: String| {
        CommandError::new(ExitCode::Config, format!("`{shown}` is no redaction map: {why}"))
    };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                CommandError::new(ExitCode::Usage, format!("there is no map `{shown}`"))
                    .hint(format!("Make one: `carnet redact --map {shown}`."))
            }
            _ => failed("read", path, &error),
        })?;
    let meta = file.metadata().map_err(|error| failed("read", path, &error))?;
    if !meta.is_file() {
        return Err(wrong("it is no file".to_owned()));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(CommandError::new(
            ExitCode::Refused,
            format!("others may read the map `{shown}`"),
        )
        .hint(format!("It holds what was redacted: `chmod 600 {shown}`.")));
    }
    let mut bytes = Zeroizing::new(vec![]);
    let read = file.take(MAP_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed("read", path, &error))?;
    if bytes.len() as u64 > MAP_BYTES_MAX {
        return Err(wrong("it is too large".to_owned()));
    }
    // The parser's own words would repeat a value.
    let file: MapFile = serde_json::from_slice(&bytes)
        .map_err(|error| wrong(format!("line {}, column {}", error.line(), error.column())))?;
    if file.format != FORMAT {
        return Err(wrong(format!("its format is not `{FORMAT}`")));
    }
    let entry = |(idx, line): (usize, EntryLine)| {
        let value = match (line.text, line.hex) {
            (Some(text), None) => Some(text.into_bytes()),
            (None, Some(hex)) => from_hex(&hex),
            _ => None,
        };
        let value = value.ok_or_else(|| {
            wrong(format!(
                "entry {} has neither `text` nor `hex`, or what is no hexadecimal",
                idx + 1
            ))
        })?;
        Ok(MapEntry { name: line.name, value: value.into(), pass: line.pass })
    };
    let entries = file.entries.into_iter().enumerate().map(entry);
    let entries = entries.collect::<Result<Vec<_>, CommandError>>()?;
    RedactionMap::new(entries).map_err(|error| wrong(error.to_string()))
}

/// Writes a map beside its place, for its owner alone, and renames it there.
pub fn save(path: &Path, map: &RedactionMap) -> Result<(), CommandError> {
    let line = |entry: &MapEntry| {
        let text = std::str::from_utf8(&entry.value).ok().map(str::to_owned);
        let hex = text.is_none().then(|| to_hex(&entry.value));
        EntryLine { name: entry.name.clone(), text, hex, pass: entry.pass }
    };
    let entries = map.entries().iter().map(line).collect();
    let file = MapFile { format: FORMAT.to_owned(), entries };
    let bytes = serde_json::to_vec_pretty(&file).map(Zeroizing::new);
    Ok(private_file::replace(path, &bytes.expect("because a map has string keys"))?)
}

/// A map in the work tree that git does not ignore would be committed one day.
fn refuse_if_git_sees(repo: Option<&Repo>, path: &Path) -> Result<(), CommandError> {
    let Some(repo) = repo else { return Ok(()) };
    let Some(work_tree) = repo.work_tree() else { return Ok(()) };
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = parent.canonicalize().map_err(|error| failed("reach", parent, &error))?;
    let whole = parent.join(path.file_name().unwrap_or_default());
    let top = work_tree.canonicalize().unwrap_or_else(|_| work_tree.to_owned());
    if !whole.starts_with(&top) || whole.starts_with(repo.state_dir()) {
        return Ok(());
    }
    let asked = repo
        .git()
        .ok()
        .and_then(|mut git| git.args(["check-ignore", "-q", "--"]).arg(&whole).status().ok());
    match asked {
        Some(status) if status.success() => Ok(()),
        _ => Err(CommandError::new(
            ExitCode::Refused,
            format!("the map `{}` would lie where git sees it", path.display()),
        )
        .hint(
            "It holds what was redacted: put it outside of the work tree, or have git ignore it.",
        )),
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|it| it.len() == 2)?, 16).ok()
        })
        .collect()
}
