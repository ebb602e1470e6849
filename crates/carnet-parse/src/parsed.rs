//! What one file says.

use carnet_core::Region;
use serde::{Deserialize, Serialize};

/// What was understood of one file.
///
/// Serialisable because `carnet-index` keeps it per blob; a change of these types is a new
/// [`EXTRACTOR_VERSION`](crate::EXTRACTOR_VERSION).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Parsed {
    /// Definitions, sorted by where they begin; an outer one comes before its inner ones.
    pub symbols: Vec<Symbol>,
    /// Calls, sorted by where the callee's name begins.
    pub calls: Vec<Call>,
    /// Imports, in source order.
    pub imports: Vec<Import>,
    /// Definitions that only say how the next one of their name is called, as positions in [`Parsed::symbols`]: `@overload`.
    pub overloads: Vec<u32>,
    /// What types are said to extend or implement, in source order.
    pub bases: Vec<Base>,
    /// What functions give back, what variables and members are; sorted by symbol and member.
    pub types: Vec<TypeFact>,
    /// What the macros of Rust define for those who invoke them, by macro and in the order of its rules.
    pub rules: Vec<MacroRule>,
    /// Macros of Rust that stand where items stand, sorted by where they begin.
    pub invocations: Vec<Invocation>,
    /// What was not understood, in the order it was met; at most [`PROBLEMS_MAX`](crate::limits::PROBLEMS_MAX).
    pub problems: Vec<Problem>,
    /// How many problems there were in all.
    pub n_problems: u32,
}

/// What kind of thing a definition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SymbolKind {
    /// A function that belongs to no type.
    Function,
    /// A function that belongs to a type, trait, interface or object.
    Method,
    /// A class.
    Class,
    /// A struct.
    Struct,
    /// A union.
    Union,
    /// An enumeration.
    Enum,
    /// One alternative of an enumeration.
    Variant,
    /// A trait.
    Trait,
    /// An interface.
    Interface,
    /// A type alias or a named type of another form.
    Type,
    /// A constant.
    Constant,
    /// A variable outside every function.
    Variable,
    /// A module or namespace written inside a file.
    Module,
    /// A macro.
    Macro,
}

impl SymbolKind {
    /// Every kind, in the order of their codes.
    pub const ALL: [SymbolKind; 14] = [
        SymbolKind::Function,
        SymbolKind::Method,
        SymbolKind::Class,
        SymbolKind::Struct,
        SymbolKind::Union,
        SymbolKind::Enum,
        SymbolKind::Variant,
        SymbolKind::Trait,
        SymbolKind::Interface,
        SymbolKind::Type,
        SymbolKind::Constant,
        SymbolKind::Variable,
        SymbolKind::Module,
        SymbolKind::Macro,
    ];

    /// Returns its lowercase name, as used in answers.
    pub fn name(self) -> &'static str {
        match self {
            SymbolKind::Function => "function",
            SymbolKind::Method => "method",
            SymbolKind::Class => "class",
            SymbolKind::Struct => "struct",
            SymbolKind::Union => "union",
            SymbolKind::Enum => "enum",
            SymbolKind::Variant => "variant",
            SymbolKind::Trait => "trait",
            SymbolKind::Interface => "interface",
            SymbolKind::Type => "type",
            SymbolKind::Constant => "constant",
            SymbolKind::Variable => "variable",
            SymbolKind::Module => "module",
            SymbolKind::Macro => "macro",
        }
    }

    /// Returns its number in stored data, its place in [`SymbolKind::ALL`] from 1.
    pub fn code(self) -> u8 {
        self as u8 + 1
    }

    /// Returns the kind with that number.
    pub fn from_code(code: u8) -> Option<SymbolKind> {
        SymbolKind::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// Tells whether a call can mean such a thing.
    pub fn is_callable(self) -> bool {
        use SymbolKind::{Class, Constant, Function, Macro, Method, Struct, Variable, Variant};
        matches!(self, Function | Method | Class | Struct | Variant | Macro | Constant | Variable)
    }
}

/// From where a definition can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Visibility {
    /// From everywhere: `pub`, `public`, exported.
    Public,
    /// From its package, crate, or subtypes: `pub(crate)`, `protected`, a lower-case name in Go.
    Restricted,
    /// From its own file, module or type.
    Private,
}

impl Visibility {
    /// Every visibility, in the order of their codes.
    pub const ALL: [Visibility; 3] =
        [Visibility::Public, Visibility::Restricted, Visibility::Private];

    /// Returns its lowercase name, as used in answers.
    pub fn name(self) -> &'static str {
        match self {
            Visibility::Public => "public",
            Visibility::Restricted => "restricted",
            Visibility::Private => "private",
        }
    }

    /// Returns its number in stored data, its place in [`Visibility::ALL`] from 1.
    pub fn code(self) -> u8 {
        self as u8 + 1
    }

    /// Returns the visibility with that number.
    pub fn from_code(code: u8) -> Option<Visibility> {
        Visibility::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

/// A definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbol {
    /// What kind of thing.
    pub kind: SymbolKind,
    /// Its own name.
    pub name: String,
    /// The scopes around it inside the file, outermost first, joined by `.`; empty at the top.
    ///
    /// A Rust or Go method has its type here, wherever its `impl` or receiver stands.
    pub container: String,
    /// The symbol whose text holds this one, as a position in [`Parsed::symbols`].
    pub parent: Option<u32>,
    /// Where the name stands.
    pub name_region: Region,
    /// Where the whole definition stands, with its body.
    pub region: Region,
    /// The text before the body with single spaces, at most
    /// [`SIGNATURE_BYTES_MAX`](crate::limits::SIGNATURE_BYTES_MAX) bytes.
    pub signature: String,
    /// From where it can be used.
    pub visibility: Visibility,
    /// What the comment above it or its docstring says, without marks and blank lines, at most
    /// [`DOC_BYTES_MAX`](crate::limits::DOC_BYTES_MAX) bytes.
    pub doc: String,
}

impl Symbol {
    /// Returns the container and the name joined by `.`.
    pub fn qualified_name(&self) -> String {
        match self.container.as_str() {
            "" => self.name.clone(),
            container => format!("{container}.{}", self.name),
        }
    }
}

/// How a call is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CallForm {
    /// `f(x)`.
    Function,
    /// `new X()`.
    Construct,
    /// `m!(x)`.
    Macro,
    /// `<X />`.
    Element,
    /// `@f` above a definition, which calls `f` with it.
    Decorator,
}

/// What stands before the callee's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Qualifier {
    /// Nothing: `f()`.
    Bare,
    /// The type that the call stands in, by its container path: `self.f()`, `Self::f()`, `this.f()`.
    Own(String),
    /// Plain names: `a.b.f()` or `a::b::f()`; the text without the callee.
    Path(String),
    /// An expression: `g(x)[0].f()`; its text, cut to [`RECEIVER_BYTES_MAX`](crate::limits::RECEIVER_BYTES_MAX).
    Value(String),
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The name that is called, without what qualifies it.
    pub name: String,
    /// What qualifies it.
    pub qualifier: Qualifier,
    /// What the receiver is, in the words of [`TypeFact::text`], where its qualifier does not say so already: an expression,
    /// or names that begin with a local one; of a call without qualifier, the definition that a local name is. `None` when that is not known.
    pub receiver: Option<String>,
    /// How it is written.
    pub form: CallForm,
    /// The innermost symbol that the call stands in, as a position in [`Parsed::symbols`].
    pub enclosing: Option<u32>,
    /// Whether the first name of the callee is bound by a parameter or variable of a function around the
    /// call, so that it need not mean the definition of that name.
    pub is_local: bool,
    /// Where the callee's name stands.
    pub region: Region,
}

/// What of a module is imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Imported {
    /// The module itself.
    Module,
    /// One name of it.
    Name(String),
    /// All its names.
    Glob,
}

/// An import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// The module as written: `..pkg.mod`, `./x`, `crate::a::b`, `example.com/m/pkg`.
    pub module: String,
    /// What of it.
    pub imported: Imported,
    /// The name it gets here, when another than its own.
    pub alias: Option<String>,
    /// The scopes the import stands in, as in [`Symbol::container`].
    pub container: String,
    /// Whether it is handed on: `pub use`, `export … from`.
    pub is_reexport: bool,
    /// Whether the name can be used in this file; false for `export … from`.
    pub is_local: bool,
    /// Where the import stands.
    pub region: Region,
}

/// A type that is said to extend or implement another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The type, with the scopes around it, as in [`Symbol::qualified_name`].
    pub subtype: String,
    /// Its definition, as a position in [`Parsed::symbols`]; none for a Rust `impl`, which may stand elsewhere.
    pub symbol: Option<u32>,
    /// The own name of what it extends or implements, without path and parameters.
    pub supertype: String,
    /// What stands before that name in Python, TypeScript and JavaScript: `a.b` in `a.b.C`; empty when nothing does.
    pub qualifier: String,
    /// Where that name stands.
    pub region: Region,
}

/// What a definition or a member of it is declared as, or is seen to be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeFact {
    /// The definition, as a position in [`Parsed::symbols`].
    pub symbol: u32,
    /// The member of that type; empty when the definition itself is meant: what a function gives back, what a variable is.
    pub member: String,
    /// An expression without its arguments, in which no local name is left.
    ///
    /// It begins with a name that the file sees (`a`, `a::b`); or, up to a line feed, with `:` and a declared type, with `@`
    /// and the container path of the type whose `self` is meant, with `^` for that type itself, with `$` for its supertype,
    /// with `%` and the position of a definition in [`Parsed::symbols`]. Steps
    /// follow: `.name` a member, `()` called, `[]` indexed, `*` iterated, `#0` the first part of a tuple, `!` awaited,
    /// `=` entered by `with`, `+` a sequence of it, `&` a function that is given to it, `~0` the first parameter of a function.
    /// The member `&` of a function is what its parameters are.
    pub text: String,
}

/// One rule of a macro. A macro has none here when no rule of it defines anything by a name that is given to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacroRule {
    /// The macro, as a position in [`Parsed::symbols`].
    pub symbol: u32,
    /// What it is for.
    pub takes: Takes,
    /// How many arguments it is for; `None` where it does not say.
    pub n_arguments: Option<u32>,
    /// Whether it is for all that begins so and has so many arguments, whatever they are.
    pub is_sure: bool,
    /// What it defines where it is for items.
    pub makes: Vec<Makes>,
}

/// How that which a macro's rule takes begins, as far as it says which invocations that begin with a name may be meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Takes {
    /// With something that no name is.
    NoName,
    /// With these arguments.
    First(Vec<Taken>),
    /// All its arguments begin with names that have this mark.
    EachName(String),
    /// Any tokens, which it hands on together.
    All,
    /// With what may be a name or anything else.
    Anything,
}

/// One of the arguments that a macro's rule takes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Taken {
    /// A name, and its mark: what follows it in its argument, `:` in `name: value`; empty when nothing does, `*` when anything may.
    Name(String),
    /// This very name, alone.
    Word(String),
}

/// What a macro's rule defines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Makes {
    /// A definition with the name that is the argument at that place; at the only one when each argument is a name.
    Item {
        /// The argument.
        place: u32,
        /// What it becomes.
        kind: SymbolKind,
        /// From where it can be used.
        visibility: Visibility,
    },
    /// What another macro, or this one, makes of some of its arguments.
    Through {
        /// The macro's own name.
        name: String,
        /// What that one is given first.
        handed: Vec<Handed>,
        /// How many arguments that one is given, beside all that are handed on together; `None` where that is not evident.
        n_arguments: Option<u32>,
    },
}

/// What a macro's rule gives to another macro.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Handed {
    /// The argument at that place.
    Argument(u32),
    /// This name.
    Word(String),
    /// All that the rule took.
    All,
}

/// A macro that stands where items stand and is given a name first: `m!(name, …)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    /// The macro as written: `m`, `a::m`.
    pub path: String,
    /// The scopes around it, as in [`Symbol::container`].
    pub container: String,
    /// The symbol whose text holds it, as a position in [`Parsed::symbols`].
    pub parent: Option<u32>,
    /// Whether it stands among the members of a type.
    pub is_member: bool,
    /// Where it stands.
    pub region: Region,
    /// What the comment above it says, as in [`Symbol::doc`].
    pub doc: String,
    /// Those that begin with names, up to the first that does not.
    pub arguments: Vec<Argument>,
    /// Whether these are all, each with the same mark.
    pub is_whole: bool,
    /// How many arguments there are; `None` where a comma may be part of one.
    pub n_arguments: Option<u32>,
}

/// An argument of a macro that begins with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Argument {
    /// The name.
    pub name: String,
    /// Where the name stands.
    pub name_region: Region,
    /// Where the argument stands, from the name on.
    pub region: Region,
    /// What follows the name, as in [`Taken`]; never `*`.
    pub mark: String,
}

/// Why some source was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ProblemKind {
    /// Text that the grammar does not know.
    Syntax,
    /// Something that the grammar misses here.
    Missing,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// Larger than [`SOURCE_BYTES_MAX`](crate::limits::SOURCE_BYTES_MAX); nothing was read.
    TooLarge,
    /// More symbols, calls or imports than are kept of one file.
    TooMany,
    /// The parser was stopped because it worked too long for a file of this size.
    TooHard,
}

/// Something that was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Why.
    pub kind: ProblemKind,
    /// Where.
    pub region: Region,
}
