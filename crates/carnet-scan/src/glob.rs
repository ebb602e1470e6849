//! Path globs, on bytes, without regard to ASCII case.
//!
//! - `*` is any bytes within one component, `?` one byte within a component.
//! - `**` as a whole component is any number of components, none included.
//! - A glob without `/` is matched against the file name, wherever the file lies; a glob with `/` against the
//!   whole path.
//!
//! Matching takes time proportional to path times glob at worst.

/// One path glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    text: String,
    components: Vec<Vec<u8>>,
}

impl Glob {
    /// Parses a glob; `None` when it has an empty component, or `**` within a component.
    pub(crate) fn new(text: &str) -> Option<Glob> {
        let components: Vec<Vec<u8>> =
            text.split('/').map(|part| part.to_ascii_lowercase().into_bytes()).collect();
        let is_sound = |part: &Vec<u8>| {
            !part.is_empty() && (part == b"**" || !part.windows(2).any(|pair| pair == b"**"))
        };
        if !components.iter().all(is_sound) || components == [b"**"] {
            return None;
        }
        Some(Glob { text: text.to_owned(), components })
    }

    /// Returns the text it was parsed from.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Tells whether `path` (components between `/`) is one the glob means.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        let mut parts =
            path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
        // Every content is held against every glob, most of them mere file names: those allocate nothing.
        if let [only] = self.components.as_slice() {
            return parts.next_back().is_some_and(|name| component_matches(only, name));
        }
        let parts: Vec<&[u8]> = parts.collect();
        !parts.is_empty()
            && wildcard(
                &self.components,
                &parts,
                |component| component == b"**",
                |component, part| component_matches(component, part),
            )
    }
}

/// The component is in small letters.
fn component_matches(component: &[u8], part: &[u8]) -> bool {
    wildcard(
        component,
        part,
        |byte| *byte == b'*',
        |want, byte| *want == b'?' || *want == byte.to_ascii_lowercase(),
    )
}

/// Matches `text` against `pattern`, where a star stands for any number of items.
///
/// Greedy with one point of return: when a later item fails, only the last star need take one item more.
fn wildcard<P, T>(
    pattern: &[P],
    text: &[T],
    is_star: impl Fn(&P) -> bool,
    is_equal: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut pattern_idx, mut text_idx) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while text_idx < text.len() {
        if pattern.get(pattern_idx).is_some_and(&is_star) {
            last_star = Some((pattern_idx, text_idx));
            pattern_idx += 1;
        } else if pattern.get(pattern_idx).is_some_and(|item| is_equal(item, &text[text_idx])) {
            pattern_idx += 1;
            text_idx += 1;
        } else if let Some((star_idx, taken)) = last_star {
            last_star = Some((star_idx, taken + 1));
            pattern_idx = star_idx + 1;
            text_idx = taken + 1;
        } else {
            return false;
        }
    }
    pattern[pattern_idx..].iter().all(is_star)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(glob: &str, path: &str, expect: bool) {
        assert_eq!(Glob::new(glob).unwrap().matches(path.as_bytes()), expect, "{glob} {path}");
    }

    #[test]
    fn a_glob_without_slash_means_the_file_name() {
        check(".env", ".env", true);
        check(".env", "deploy/.env", true);
        check(".env", ".env/readme", false);
        check(".env", "x.env", false);
    }
    #[test]
    fn a_star_stays_in_its_component() {
        check("*.pem", "a/b.pem", true);
        check("a/*.pem", "a/b/c.pem", false);
        check("a/*.pem", "a/c.pem", true);
    }
    #[test]
    fn two_stars_are_any_number_of_components() {
        check("**/secrets/**", "secrets/a", true);
        check("**/secrets/**", "x/y/secrets/a/b", true);
        check("**/secrets/**", "x/mysecrets/a", false);
        check("a/**/b", "a/b", true);
        check("a/**/b", "a/x/y/b", true);
        check("a/**/b", "a/x/c", false);
    }
    #[test]
    fn case_does_not_matter() {
        check("id_rsa", "home/ID_RSA", true);
        check("*.PEM", "k.pem", true);
    }
    #[test]
    fn a_question_mark_is_one_byte() {
        check("id_?sa", "id_dsa", true);
        check("id_?sa", "id_sa", false);
    }
    #[test]
    fn a_leading_dot_component_is_ignored() {
        check("a/b", "./a/b", true);
    }
    #[test]
    fn invalid_utf8_is_a_path() {
        assert!(Glob::new("*.key").unwrap().matches(b"\xff/\xfe.key"));
    }
    #[test]
    fn unsound_globs_are_refused() {
        for bad in ["", "/a", "a//b", "a**b", "**", "a/"] {
            assert!(Glob::new(bad).is_none(), "{bad}");
        }
    }
    #[test]
    fn many_stars_on_a_long_name_finish() {
        let glob = Glob::new(&"*a".repeat(500)).unwrap();
        assert!(!glob.matches(&b"a".repeat(5_000).iter().map(|_| b'b').collect::<Vec<_>>()));
    }
}
