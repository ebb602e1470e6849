//! The profile that `sandbox-exec` of macOS would be given for a run: text, made and checked on any system.
//!
//! The language is that of Apple's `sandbox(7)` profiles (SBPL, version 1): everything is denied, then allowed piece by
//! piece; of two rules that meet, the later one counts. What is not here: limits (rlimits and polling hold them on macOS), and
//! an overlay (the workspace is a copy there).
//!
//! Invariants: the profile begins by denying everything; no path or glob ends its own string; hidden files are denied
//! after everything that is allowed.

use std::path::{Component, Path};

/// What a run may reach.
#[derive(Debug, Clone, Copy)]
pub struct MacosProfile<'a> {
    /// The copy of the workspace: read and written. Absolute, without links (`/private/tmp/…`, not `/tmp/…`).
    pub workspace: &'a Path,
    /// The run's own directory for temporary files: read and written.
    pub temporary: &'a Path,
    /// Where programs are besides the system's own, such as `/opt/homebrew`: read and executed.
    pub programs: &'a [&'a Path],
    /// Globs of hidden files below the workspace: at any depth, or from its top where they begin with `/`; `*` and `?` stop
    /// at `/`, `**` does not.
    pub hidden: &'a [String],
    /// The port on the loopback at which the proxy of the run listens; `None` is no network at all.
    pub proxy_port: Option<u16>,
}

/// Why no profile can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MacosProfileError {
    /// A path is not UTF-8, not plain and absolute, or has a control character.
    #[error("`{path}` is not a plain absolute path")]
    Path {
        /// The path.
        path: String,
    },
    /// A glob uses more than `*`, `**` and `?`, which a profile cannot say exactly.
    #[error("glob `{glob}` cannot be said in a profile")]
    Glob {
        /// The glob.
        glob: String,
    },
}

/// What every run reads: the loader, the system's libraries and programs, and nothing of a home directory.
const SYSTEM: &str = r#"(version 1)
(deny default)
(allow process-fork)
(allow signal (target same-sandbox))
(allow sysctl-read
  (sysctl-name "hw.activecpu" "hw.logicalcpu" "hw.memsize" "hw.ncpu" "hw.pagesize" "hw.physicalcpu"
    "kern.argmax" "kern.osproductversion" "kern.osrelease" "kern.ostype" "kern.osversion" "kern.version"))
(allow file-read-metadata (literal "/") (literal "/etc") (literal "/private") (literal "/tmp") (literal "/var"))
(allow file-read*
  (subpath "/System/Library") (subpath "/usr/bin") (subpath "/usr/lib") (subpath "/usr/libexec") (subpath "/usr/share")
  (subpath "/bin") (subpath "/sbin") (subpath "/usr/sbin") (subpath "/private/var/db/timezone")
  (literal "/dev/null") (literal "/dev/zero") (literal "/dev/random") (literal "/dev/urandom")
  (literal "/private/etc/localtime") (literal "/private/etc/ssl/cert.pem"))
(allow process-exec
  (subpath "/usr/bin") (subpath "/bin") (subpath "/sbin") (subpath "/usr/sbin") (subpath "/usr/libexec"))
(deny process-exec (literal "/usr/bin/osascript") (literal "/usr/bin/open") (literal "/usr/bin/sandbox-exec")
  (literal "/bin/launchctl") (with no-report))
(allow file-write-data (literal "/dev/null") (literal "/dev/zero"))
(allow file-ioctl (literal "/dev/null"))
"#;

/// Returns the profile.
///
/// # Errors
///
/// [`MacosProfileError`] names the first path or glob that a profile cannot hold.
pub fn macos_profile(profile: &MacosProfile<'_>) -> Result<String, MacosProfileError> {
    let workspace = quoted(profile.workspace)?;
    let temporary = quoted(profile.temporary)?;
    let mut text = SYSTEM.to_owned();
    for programs in profile.programs {
        let programs = quoted(programs)?;
        text += &format!("(allow file-read* process-exec (subpath {programs}))\n");
    }
    text += &format!(
        "(allow file-read* file-write* process-exec (subpath {workspace}))\n(allow file-read* file-write* (subpath {temporary}))\n"
    );
    // Set-id bits and other owners would outlive the run.
    text += &format!(
        "(deny file-write-setugid file-write-owner (subpath {workspace}) (subpath {temporary}))\n"
    );
    text += "(deny network*)\n";
    if let Some(port) = profile.proxy_port {
        text += &format!("(allow network-outbound (remote tcp \"localhost:{port}\"))\n");
    }
    for glob in profile.hidden {
        let regex = hidden_regex(profile.workspace, glob)?;
        text += &format!("(deny file-read* file-write* (regex #\"{regex}\"))\n");
    }
    Ok(text)
}

/// Returns the path as an SBPL string.
fn quoted(path: &Path) -> Result<String, MacosProfileError> {
    let text = plain(path)?;
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

fn plain(path: &Path) -> Result<&str, MacosProfileError> {
    let is_plain =
        path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    path.to_str()
        .filter(|text| path.is_absolute() && is_plain && !text.contains(char::is_control))
        .ok_or_else(|| MacosProfileError::Path { path: path.to_string_lossy().into_owned() })
}

/// Returns a POSIX extended expression for the files of a glob and all below them.
fn hidden_regex(workspace: &Path, glob: &str) -> Result<String, MacosProfileError> {
    let wrong = || MacosProfileError::Glob { glob: glob.to_owned() };
    if glob.contains(['[', ']', '{', '}', '\\', '"']) || glob.contains(char::is_control) {
        return Err(wrong());
    }
    let workspace = plain(workspace)?;
    if workspace.contains('"') {
        return Err(MacosProfileError::Path { path: workspace.to_owned() });
    }
    let (start, glob) = match glob.strip_prefix('/') {
        Some(from_top) => ("/", from_top),
        None => ("/(.*/)?", glob),
    };
    let mut regex = format!("^{}{start}", escaped(workspace));
    let mut rest = glob;
    while let Some(char) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**/") {
            regex += "(.*/)?";
            rest = after;
        } else if let Some(after) = rest.strip_prefix("**") {
            regex += ".*";
            rest = after;
        } else {
            match char {
                '*' => regex += "[^/]*",
                '?' => regex += "[^/]",
                other => regex += &escaped(other.encode_utf8(&mut [0; 4])),
            }
            rest = &rest[char.len_utf8()..];
        }
    }
    Ok(regex + "(/.*)?$")
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for char in text.chars() {
        if "\\.^$|()[]{}*+?".contains(char) {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile<'a>(workspace: &'a str, hidden: &'a [String]) -> MacosProfile<'a> {
        MacosProfile {
            workspace: Path::new(workspace),
            temporary: Path::new("/private/tmp/run"),
            programs: &[],
            hidden,
            proxy_port: None,
        }
    }

    /// The lines after what every run gets.
    fn own_lines(profile: &MacosProfile<'_>) -> String {
        macos_profile(profile).unwrap().strip_prefix(SYSTEM).unwrap().to_owned()
    }

    #[test]
    fn everything_is_denied_before_anything_is_allowed_and_parentheses_balance() {
        let hidden = [".env*".to_owned()];
        let text = macos_profile(&profile("/private/tmp/w", &hidden)).unwrap();
        assert!(text.starts_with("(version 1)\n(deny default)\n"));
        let outside_strings: String = text.split('"').step_by(2).collect();
        let count = |char| outside_strings.matches(char).count();
        assert_eq!(count('('), count(')'));
        for never in ["(allow default", "(allow network*", "/Users", "mach-lookup", "iokit"] {
            assert!(!text.contains(never), "{never}");
        }
    }

    #[test]
    fn a_run_reaches_its_workspace_its_temporary_files_and_its_proxy() {
        let hidden = [".env*".to_owned(), "secrets/**".to_owned(), "/a/*.pem".to_owned()];
        let brew = Path::new("/opt/homebrew");
        let whole = MacosProfile {
            programs: &[brew],
            proxy_port: Some(8118),
            ..profile("/private/tmp/w.1", &hidden)
        };
        assert_eq!(
            own_lines(&whole),
            r#"(allow file-read* process-exec (subpath "/opt/homebrew"))
(allow file-read* file-write* process-exec (subpath "/private/tmp/w.1"))
(allow file-read* file-write* (subpath "/private/tmp/run"))
(deny file-write-setugid file-write-owner (subpath "/private/tmp/w.1") (subpath "/private/tmp/run"))
(deny network*)
(allow network-outbound (remote tcp "localhost:8118"))
(deny file-read* file-write* (regex #"^/private/tmp/w\.1/(.*/)?\.env[^/]*(/.*)?$"))
(deny file-read* file-write* (regex #"^/private/tmp/w\.1/(.*/)?secrets/.*(/.*)?$"))
(deny file-read* file-write* (regex #"^/private/tmp/w\.1/a/[^/]*\.pem(/.*)?$"))
"#
        );
    }

    #[test]
    fn no_path_or_glob_ends_its_string() {
        let hidden = [];
        let text = own_lines(&profile("/w\") (allow default) (\\", &hidden));
        assert!(text.contains(r#"(subpath "/w\") (allow default) (\\")"#), "{text}");
        for bad in ["w", "", "/w/../x", "/w\nx", "/w\u{0}"] {
            assert!(macos_profile(&profile(bad, &hidden)).is_err(), "{bad:?}");
        }
        for bad in ["a\"b", "a\\", "[ab]", "{a,b}", "a\nb"] {
            let refused = macos_profile(&profile("/w", &[bad.to_owned()]));
            assert_eq!(refused, Err(MacosProfileError::Glob { glob: bad.to_owned() }));
        }
        let quote = [".env".to_owned()];
        assert!(macos_profile(&profile("/w\"", &quote)).is_err());
    }
}
