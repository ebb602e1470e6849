//! What the index answers.

use carnet_core::{GitOid, Region, RepoPath};
use carnet_parse::{CallForm, Language, Symbol, SymbolKind};

/// How much of the repository a snapshot covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Files of the commit.
    pub n_files: u64,
    /// Files in a language that is understood.
    pub n_files_supported: u64,
    /// Supported files that are in the snapshot; the others could not be read.
    pub n_files_indexed: u64,
    /// Indexed files of which something was not understood.
    pub n_files_with_problems: u64,
    /// Definitions.
    pub n_symbols: u64,
    /// Calls.
    pub n_calls: u64,
    /// Calls whose definition is known.
    pub n_calls_resolved: u64,
}

/// Where a name is defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The file.
    pub path: RepoPath,
    /// Its language.
    pub language: Language,
    /// Its content.
    pub blob_id: GitOid,
    /// The definition; its `parent` is a position in the file's [`outline`](crate::Snapshot::outline).
    pub symbol: Symbol,
}

/// A definition in short: enough to name it and to go there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: RepoPath,
    /// Kind of the definition.
    pub kind: SymbolKind,
    /// Its container and name, joined by `.`.
    pub qualified_name: String,
    /// Line of its name, from 1.
    pub line: u32,
}

/// Why a call is held to mean a definition, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// Resolved: the only definition of that name in the scopes of the same file that the call sees.
    SameScope,
    /// Resolved: the only definition of that name in the same package of Go or Java.
    SamePackage,
    /// Resolved: the name is imported, and the module it comes from has one definition of it.
    Import,
    /// Resolved: a method called on `self`, `Self` or `this`, which its own type defines once.
    OwnType,
    /// Resolved: the call spells out the module or type, and that has one definition of the name.
    Path,
    /// Candidate: the name is equal, and nothing says more.
    NameOnly,
    /// Candidate: a parameter or variable of the same name is nearer.
    LocalName,
    /// Candidate: the evidence leads to more than one definition.
    Ambiguous,
    /// Resolved: the only definition of that name that C or C++ lets other files see.
    Linkage,
    /// Resolved: a method called on `self`, `this` or `super`, which the nearest of the type's supertypes defines once; in Python
    /// supertypes of other packages are passed over, but for `super()`.
    Inherited,
    /// Resolved: a method of what the receiver is declared as, or was assigned from.
    ReceiverType,
    /// Resolved: in Rust, the only method of that name in the repository, of a trait that is in scope, called on something unknown.
    TraitInScope,
}

impl Evidence {
    pub(crate) const ALL: [Evidence; 12] = [
        Evidence::SameScope,
        Evidence::SamePackage,
        Evidence::Import,
        Evidence::OwnType,
        Evidence::Path,
        Evidence::NameOnly,
        Evidence::LocalName,
        Evidence::Ambiguous,
        Evidence::Linkage,
        Evidence::Inherited,
        Evidence::ReceiverType,
        Evidence::TraitInScope,
    ];

    /// Returns its name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Evidence::SameScope => "same-scope",
            Evidence::SamePackage => "same-package",
            Evidence::Import => "import",
            Evidence::OwnType => "own-type",
            Evidence::Path => "path",
            Evidence::NameOnly => "name-only",
            Evidence::LocalName => "local-name",
            Evidence::Ambiguous => "ambiguous",
            Evidence::Linkage => "linkage",
            Evidence::Inherited => "inherited",
            Evidence::ReceiverType => "receiver-type",
            Evidence::TraitInScope => "trait-in-scope",
        }
    }

    /// Tells whether it is enough to say which definition is called.
    pub fn is_resolved(self) -> bool {
        !matches!(self, Evidence::NameOnly | Evidence::LocalName | Evidence::Ambiguous)
    }

    /// Returns how likely it is that the call means the definition that it is listed with, from 0 to 1.
    ///
    /// Of resolved calls: what comparing with other resolvers gave (docs/benchmarks.md), rounded down, and less where little
    /// could be compared. Of candidates: a rough order among them.
    pub fn confidence(self) -> f64 {
        match self {
            Evidence::SameScope | Evidence::OwnType | Evidence::Import => 0.99,
            Evidence::Inherited => 0.98,
            Evidence::SamePackage | Evidence::Path | Evidence::ReceiverType => 0.97,
            Evidence::Linkage | Evidence::TraitInScope => 0.95,
            Evidence::Ambiguous => 0.4,
            Evidence::NameOnly => 0.2,
            Evidence::LocalName => 0.05,
        }
    }

    pub(crate) fn code(self) -> u8 {
        self as u8 + 1
    }

    pub(crate) fn from_code(code: u8) -> Option<Evidence> {
        Evidence::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

/// A call, where it stands, and what it is held to mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSite {
    /// The file.
    pub path: RepoPath,
    /// Its content.
    pub blob_id: GitOid,
    /// Where the callee's name stands.
    pub region: Region,
    /// The callee's name as written; an alias when the import gave it one.
    pub callee: String,
    /// What stands before the callee's name, cut to a bounded length.
    pub receiver: Option<String>,
    /// How the call is written.
    pub form: CallForm,
    /// The innermost definition around the call; `None` at the top of a file.
    pub enclosing: Option<Place>,
    /// Why.
    pub evidence: Evidence,
    /// The definition that is called; present exactly when the evidence is enough.
    pub target: Option<Place>,
}

/// Who calls a name. Each list is sorted by path and place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Callers {
    /// Calls that are known to mean a definition of the name.
    pub resolved: Vec<CallSite>,
    /// Calls of the same name that may mean it.
    pub candidates: Vec<CallSite>,
}

/// A file that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file.
    pub path: RepoPath,
    /// Its changed lines (first, last), from 1; `None` for the whole file.
    pub lines: Option<Vec<(u32, u32)>>,
}

/// What reaches a definition through resolved calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The file that the call stands in.
    pub path: RepoPath,
    /// Its line.
    pub line: u32,
    /// The definition that the call stands in; `None` at the top of a file.
    pub caller: Option<Place>,
    /// What is called there.
    pub callee: Place,
    /// Calls in a row down to the definition that was asked for, from 1.
    pub depth: u32,
    /// The position, in the same list, of what the callee itself was reached by; `None` at depth 1.
    pub via: Option<usize>,
}

/// A definition that another one calls, or that calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// The definition.
    pub definition: Definition,
    /// Whether it is the one that calls.
    pub is_caller: bool,
    /// Calls in a row between the two, from 1.
    pub depth: u32,
}

/// A type that extends or implements another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Implementation {
    /// The file that says so.
    pub path: RepoPath,
    /// The line of the supertype's name, or of the type where its methods say so.
    pub line: u32,
    /// Its column.
    pub column: u32,
    /// The qualified name of the subtype.
    pub subtype: String,
    /// Its definition, where that is known.
    pub definition: Option<Definition>,
    /// Whether the source says so. Else the type has methods of the same names (Go), and may implement it.
    pub is_said: bool,
}
