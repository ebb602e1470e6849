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
}

impl Language {
    /// Every language, in the order of their codes.
    pub const ALL: [Language; 6] = [
        Language::Python,
        Language::TypeScript,
        Language::Tsx,
        Language::JavaScript,
        Language::Rust,
        Language::Go,
    ];

    /// Returns the language of a file by its name's extension; `None` when it is not one of ours.
    pub fn of_path(path: &RepoPath) -> Option<Language> {
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
        }
    }

    /// Returns the language with that number.
    pub fn from_code(code: u8) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.code() == code)
    }

    pub(crate) fn grammar(self) -> tree_sitter::Language {
        match self {
            Language::Python => tree_sitter_python::LANGUAGE.into(),
            Language::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
            Language::Tsx => tree_sitter_typescript::LANGUAGE_TSX.into(),
            Language::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
            Language::Rust => tree_sitter_rust::LANGUAGE.into(),
            Language::Go => tree_sitter_go::LANGUAGE.into(),
        }
    }
}
