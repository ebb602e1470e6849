//! The languages that are understood.

use carnet_core::RepoPath;
use serde::{Deserialize, Serialize};

/// A language with a grammar and an extractor of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Language {
    /// Python 3 (and most of 2): `.py`, `.pyi`, `.pyw`.
    Python,
    /// TypeScript: `.ts`, `.mts`, `.cts`.
    TypeScript,
    /// TypeScript with JSX: `.tsx`.
    Tsx,
    /// JavaScript with JSX: `.js`, `.mjs`, `.cjs`, `.jsx`.
    JavaScript,
    /// Rust: `.rs`.
    Rust,
    /// Go: `.go`.
    Go,
    /// Java: `.java`.
    Java,
    /// C: `.c`.
    C,
    /// C++: `.cc`, `.cpp`, `.cxx`, `.hpp` and their like, and `.h`, whose grammar reads the headers of C too.
    Cpp,
}

impl Language {
    /// Every language, in the order of their codes.
    pub const ALL: [Language; 9] = [
        Language::Python,
        Language::TypeScript,
        Language::Tsx,
        Language::JavaScript,
        Language::Rust,
        Language::Go,
        Language::Java,
        Language::C,
        Language::Cpp,
    ];

    /// Returns the language of a file by its name's extension; `None` when it is not one of ours, or its grammar was left
    /// out of this build.
    pub fn of_path(path: &RepoPath) -> Option<Language> {
        Language::of_name(path).filter(|language| language.grammar().is_some())
    }

    fn of_name(path: &RepoPath) -> Option<Language> {
        let name = path.file_name();
        let dot = name.iter().rposition(|byte| *byte == b'.')?;
        match &name[dot + 1..] {
            _ if dot == 0 => None,
            b"py" | b"pyi" | b"pyw" => Some(Language::Python),
            b"ts" | b"mts" | b"cts" => Some(Language::TypeScript),
            b"tsx" => Some(Language::Tsx),
            b"js" | b"mjs" | b"cjs" | b"jsx" => Some(Language::JavaScript),
            b"rs" => Some(Language::Rust),
            b"go" => Some(Language::Go),
            b"java" => Some(Language::Java),
            b"c" => Some(Language::C),
            b"h" | b"cc" | b"cpp" | b"cxx" | b"c++" | b"C" | b"hh" | b"hpp" | b"hxx" | b"h++"
            | b"inl" | b"ipp" | b"tpp" => Some(Language::Cpp),
            _ => None,
        }
    }

    /// Returns its lowercase name, as used in filters and reports.
    pub fn name(self) -> &'static str {
        match self {
            Language::Python => "python",
            Language::TypeScript => "typescript",
            Language::Tsx => "tsx",
            Language::JavaScript => "javascript",
            Language::Rust => "rust",
            Language::Go => "go",
            Language::Java => "java",
            Language::C => "c",
            Language::Cpp => "cpp",
        }
    }

    /// Returns its number in stored data; never reused for another language.
    pub fn code(self) -> u8 {
        match self {
            Language::Python => 1,
            Language::TypeScript => 2,
            Language::Tsx => 3,
            Language::JavaScript => 4,
            Language::Rust => 5,
            Language::Go => 6,
            Language::Java => 7,
            Language::C => 8,
            Language::Cpp => 9,
        }
    }

    /// Returns the language with that number.
    pub fn from_code(code: u8) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.code() == code)
    }

    /// Returns its grammar, unless the build left it out.
    pub(crate) fn grammar(self) -> Option<tree_sitter::Language> {
        match self {
            #[cfg(feature = "python")]
            Language::Python => Some(tree_sitter_python::LANGUAGE.into()),
            #[cfg(feature = "typescript")]
            Language::TypeScript => Some(tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into()),
            #[cfg(feature = "typescript")]
            Language::Tsx => Some(tree_sitter_typescript::LANGUAGE_TSX.into()),
            #[cfg(feature = "javascript")]
            Language::JavaScript => Some(tree_sitter_javascript::LANGUAGE.into()),
            #[cfg(feature = "rust")]
            Language::Rust => Some(tree_sitter_rust::LANGUAGE.into()),
            #[cfg(feature = "go")]
            Language::Go => Some(tree_sitter_go::LANGUAGE.into()),
            #[cfg(feature = "java")]
            Language::Java => Some(tree_sitter_java::LANGUAGE.into()),
            #[cfg(feature = "c")]
            Language::C => Some(tree_sitter_c::LANGUAGE.into()),
            #[cfg(feature = "cpp")]
            Language::Cpp => Some(tree_sitter_cpp::LANGUAGE.into()),
            #[allow(unreachable_patterns, reason = "reached when a grammar is left out")]
            _ => None,
        }
    }
}
