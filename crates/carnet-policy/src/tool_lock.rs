//! `policy/tools.lock`: which file a tool's name means, and what its bytes must be.
//!
//! The form is described in `docs/format/tools-lock.md`. Invariant: a lock exists only if nothing at all is wrong with its
//! text.

use std::{collections::BTreeMap, fmt::Write as _};

use carnet_core::Digest;

use crate::{
    admit::is_bare_tool_name,
    problem::{PolicyProblem, Problems},
    reader::{self, TableReader},
};

const FORMAT: &str = "carnet/tools-lock/1";
const TOOLS_MAX: usize = 10_000;
/// Bytes of a path at most.
const PATH_BYTES_MAX: usize = 4096;

/// The locked tools of one file, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolLock {
    file: String,
    tools: BTreeMap<String, LockedTool>,
}

/// One tool as it was when it was locked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockedTool {
    /// Where it lies: absolute, without `.` and `..`.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
}

impl ToolLock {
    /// Returns a lock of nothing, which refuses every tool.
    pub fn empty(file: &str) -> ToolLock {
        ToolLock { file: file.to_owned(), tools: BTreeMap::new() }
    }

    /// Reads a lock; `file` names it in messages.
    ///
    /// # Errors
    ///
    /// Every [`PolicyProblem`], in the order of their lines; never an empty list.
    pub fn parse(file: &str, text: &str) -> Result<ToolLock, Vec<PolicyProblem>> {
        let mut problems = Problems::new(file, text);
        match read_file(text, &mut problems) {
            Some(tools) if problems.is_empty() => Ok(ToolLock { file: file.to_owned(), tools }),
            _ => Err(problems.finish()),
        }
    }

    /// Returns the name of the file it was read from.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns what a tool's name means here.
    pub fn tool(&self, name: &str) -> Option<&LockedTool> {
        self.tools.get(name)
    }

    /// Returns all tools, sorted by name.
    pub fn tools(&self) -> impl Iterator<Item = (&str, &LockedTool)> {
        self.tools.iter().map(|(name, tool)| (name.as_str(), tool))
    }

    /// Adds a tool, or replaces the one of that name; returns what was there.
    pub fn insert(&mut self, name: &str, tool: LockedTool) -> Option<LockedTool> {
        self.tools.insert(name.to_owned(), tool)
    }

    /// Returns the text of the file: one table a tool, sorted by name.
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "# Which program a tool's name means, by its bytes. Written by `carnet tools lock`.\nformat = \"{FORMAT}\"\n"
        );
        for (name, LockedTool { path, sha256 }) in &self.tools {
            // Both are plain: no quote, backslash or control character passed `parse` or was inserted.
            let _ = write!(
                text,
                "\n[[tool]]\nname = \"{name}\"\npath = \"{path}\"\nsha256 = \"{sha256}\"\n"
            );
        }
        text
    }
}

impl LockedTool {
    /// Makes an entry; `None` where `path` is not one that a lock can hold.
    pub fn new(path: &str, sha256: Digest) -> Option<LockedTool> {
        is_plain_path(path).then(|| LockedTool { path: path.to_owned(), sha256 })
    }
}

fn read_file(text: &str, problems: &mut Problems<'_>) -> Option<BTreeMap<String, LockedTool>> {
    let document = reader::parse_document(text, problems)?;
    let mut table = TableReader::new(document.get_ref(), 0..0, "");
    table.format(FORMAT, problems);
    let mut tables = table.tables("tool", problems);
    if let Some(first_over) = tables.get(TOOLS_MAX) {
        problems.add(first_over.span(), "tool", format!("more than {TOOLS_MAX} tools"));
        tables.truncate(TOOLS_MAX);
    }
    let mut tools = BTreeMap::new();
    for table in tables {
        let span = table.span().clone();
        let Some((name, tool)) = read_tool(table, problems) else { continue };
        if tools.contains_key(&name) {
            problems.add(&span, "tool.name", format!("`{name}` is locked twice"));
        }
        tools.insert(name, tool);
    }
    table.finish(problems);
    Some(tools)
}

fn read_tool(
    mut table: TableReader<'_, '_>,
    problems: &mut Problems<'_>,
) -> Option<(String, LockedTool)> {
    let name = table.string("name", problems);
    if let Some(name) = name.as_ref().filter(|name| !is_bare_tool_name(&name.value)) {
        let message = format!("`{}` is no bare tool name", crate::show(&name.value));
        problems.add(&name.span, "tool.name", message);
    }
    let path = table.string("path", problems);
    if let Some(path) = path.as_ref().filter(|path| !is_plain_path(&path.value)) {
        let message = format!("`{}` is no plain absolute path", crate::show(&path.value));
        problems.add(&path.span, "tool.path", message);
    }
    let sha256 = table.string("sha256", problems).and_then(|sha256| {
        let read = Digest::from_hex(&sha256.value).ok();
        if read.is_none() {
            problems.add(&sha256.span, "tool.sha256", "must be 64 lowercase hex digits");
        }
        read
    });
    table.finish(problems);
    Some((name?.value, LockedTool { path: path?.value, sha256: sha256? }))
}

fn is_plain_path(path: &str) -> bool {
    let plain =
        |char: char| !char.is_control() && !crate::deceives(char) && char != '"' && char != '\\';
    let is_name = |part: &str| !matches!(part, "" | "." | "..");
    path.len() <= PATH_BYTES_MAX
        && path.chars().all(plain)
        && path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let found = ToolLock::parse("policy/tools.lock", text).unwrap_err();
        found.iter().map(ToString::to_string).collect()
    }

    fn entry(name: &str, path: &str, sha256: &str) -> String {
        format!("[[tool]]\nname = '{name}'\npath = '{path}'\nsha256 = '{sha256}'\n")
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut lock = ToolLock::parse("l", "format = \"carnet/tools-lock/1\"").unwrap();
        assert_eq!(lock.tools().count(), 0);
        for (name, path) in
            [("make", "/usr/bin/make"), ("g++", "/usr/bin/g++-12"), ("cc", "/usr/é/c c")]
        {
            let tool = LockedTool::new(path, Digest::of(name.as_bytes())).unwrap();
            assert_eq!(lock.insert(name, tool), None);
        }
        assert_eq!(ToolLock::parse("l", &lock.to_text()), Ok(lock.clone()));
        assert_eq!(lock.tools().map(|(name, _)| name).collect::<Vec<_>>(), ["cc", "g++", "make"]);
        assert_eq!(lock.tool("make").unwrap().sha256, Digest::of(b"make"));
        assert_eq!(lock.tool("mak"), None);
    }

    #[test]
    fn everything_wrong_is_named_with_its_line() {
        let good = "0".repeat(64);
        let text = [
            "format = 'carnet/tools-lock/1'\n".to_owned(),
            entry("make", "/usr/bin/make", &good),
            entry("make", "/usr/bin/make", &good),
            entry("bin/x", "make", "00"),
            "version = '1'\n".to_owned(),
        ];
        let found = problems(&text.concat()).join("\n");
        for expected in [
            "policy/tools.lock:6: `tool.name`: `make` is locked twice",
            "policy/tools.lock:11: `tool.name`: `bin/x` is no bare tool name",
            "policy/tools.lock:12: `tool.path`: `make` is no plain absolute path",
            "policy/tools.lock:13: `tool.sha256`: must be 64 lowercase hex digits",
            "policy/tools.lock:14: `tool.version`: unknown key",
        ] {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn a_path_has_one_spelling() {
        for bad in [
            "",
            "/",
            "//bin",
            "/a/",
            "/a/./b",
            "/a/../b",
            "a",
            "/a\"b",
            "/a\\b",
            "/a\nb",
            "/a\u{202e}b",
        ] {
            assert_eq!(LockedTool::new(bad, Digest::of(b"")), None, "{bad:?}");
        }
        assert!(LockedTool::new("/usr/local/bin/x", Digest::of(b"")).is_some());
    }

    #[test]
    fn what_is_no_lock_is_refused_whole() {
        assert_eq!(problems("").len(), 1);
        assert!(
            problems("format = 'carnet/tools-lock/2'")[0].contains("must be `carnet/tools-lock/1`")
        );
        assert!(!problems("format = 'carnet/tools-lock/1'\ntool = 'make'").is_empty());
        assert!(!problems(&"x".repeat(2 << 20)).is_empty());
    }
}
