//! Programs by content: a name becomes an absolute path and the digest of what lies there.
//!
//! Names are looked up in fixed directories, never in `PATH`: what an agent exports decides nothing.

use std::{
    fs::File,
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use carnet_core::{Digester, passport::Tool};

/// Where programs are looked up, in this order; the sandbox shows the same directories.
pub const TOOL_DIRS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// Why a name is no program.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// None of the directories has it.
    #[error("program `{0}` is not in /usr/local/bin, /usr/bin or /bin")]
    Missing(String),
    /// The name has a slash or is empty; a lane never admits such a name.
    #[error("`{0}` is no bare program name")]
    NotBare(String),
    /// The program could not be read.
    #[error("read program `{path}`")]
    Io {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Finds the program and digests it.
///
/// # Errors
///
/// [`ToolError`].
pub fn resolve(name: &str) -> Result<Tool, ToolError> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(ToolError::NotBare(name.to_owned()));
    }
    let candidates = TOOL_DIRS.iter().map(|dir| Path::new(dir).join(name));
    let path = candidates
        .into_iter()
        .find(|path| is_program(path))
        .ok_or_else(|| ToolError::Missing(name.to_owned()))?;
    digest(name, &path)
}

/// Digests the program at `path`.
///
/// # Errors
///
/// [`ToolError::Io`].
pub fn digest(name: &str, path: &Path) -> Result<Tool, ToolError> {
    let io = |source| ToolError::Io { path: path.to_owned(), source };
    let mut digester = Digester::new();
    io::copy(&mut File::open(path).map_err(io)?, &mut digester).map_err(io)?;
    Ok(Tool {
        name: name.to_owned(),
        path: path.to_string_lossy().into_owned(),
        sha256: digester.finish(),
    })
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_name_and_digested_by_content() {
        let tool = resolve("sh").unwrap();
        let bytes = std::fs::read(&tool.path).unwrap();
        assert_eq!(tool.sha256, carnet_core::Digest::of(&bytes));
    }

    #[test]
    fn paths_and_unknown_names_are_refused() {
        for name in ["/bin/sh", "./sh", "", ".", ".."] {
            assert!(matches!(resolve(name), Err(ToolError::NotBare(_))), "{name:?}");
        }
        assert!(matches!(resolve("no-such-program-here"), Err(ToolError::Missing(_))));
    }
}
