//! `MANIFEST.sha256`: the lines that `sha256sum -c` reads. No IO.

use carnet_core::Digest;

/// Returns the manifest of `files`, sorted by path.
///
/// Paths with a newline, a carriage return or a backslash are escaped as GNU `sha256sum` does: a
/// backslash before the line, and `\n`, `\r`, `\\` in the name.
pub fn manifest(files: &[(&[u8], Digest)]) -> Vec<u8> {
    let mut files = files.to_vec();
    files.sort();
    let mut text = vec![];
    for (path, digest) in files {
        let needs_escape = path.iter().any(|byte| matches!(byte, b'\n' | b'\r' | b'\\'));
        if needs_escape {
            text.push(b'\\');
        }
        text.extend_from_slice(digest.to_string().as_bytes());
        text.extend_from_slice(b"  ");
        path.iter().for_each(|byte| match byte {
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\\' => text.extend_from_slice(b"\\\\"),
            other => text.push(*other),
        });
        text.push(b'\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn sha256sum_itself_accepts_the_manifest_and_finds_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["plain", "with space", "back\\slash", "new\nline", "carriage\rreturn"];
        let mut files = vec![];
        for name in &names {
            std::fs::write(dir.path().join(name), name).unwrap();
            files.push((name.as_bytes(), Digest::of(name.as_bytes())));
        }
        std::fs::write(dir.path().join("M"), manifest(&files)).unwrap();
        let check = || {
            let mut command = Command::new("sha256sum");
            command.args(["--check", "--strict", "--status", "M"]).current_dir(dir.path());
            command.status().unwrap().success()
        };
        assert!(check());
        std::fs::write(dir.path().join("plain"), "changed").unwrap();
        assert!(!check());
    }

    #[test]
    fn lines_are_sorted_by_path() {
        let text = manifest(&[(b"b", Digest::of(b"")), (b"a", Digest::of(b""))]);
        let text = String::from_utf8(text).unwrap();
        let paths: Vec<_> = text.lines().map(|line| &line[66..]).collect();
        assert_eq!(paths, ["a", "b"]);
    }
}
