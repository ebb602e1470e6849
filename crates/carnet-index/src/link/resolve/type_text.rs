//! Declared types as they are written: what stands around the name of a type, language by language.

use carnet_parse::Language;

use super::{
    Resolver,
    types::{At, Ty},
};

/// Most wrappers around a type's name that are looked through.
const WRAPPERS_MAX: u32 = 8;

impl Resolver<'_> {
    /// Returns a value of a declared type.
    pub(super) fn declared(&self, ty: &str, at: At) -> Option<Ty> {
        self.of_text(ty, at, WRAPPERS_MAX)
    }

    pub(super) fn of_text(&self, ty: &str, at: At, n_left: u32) -> Option<Ty> {
        let n_left = n_left.checked_sub(1)?;
        match self.language(at.file) {
            Language::Python => self.of_python(ty.trim(), at, n_left),
            Language::TypeScript | Language::Tsx | Language::JavaScript => {
                self.of_ecma(ty.trim(), at, n_left)
            }
            Language::Rust => self.of_rust(ty.trim(), at, n_left),
            Language::Go => self.of_go(ty.trim(), at, n_left),
            _ => None,
        }
    }

    fn of_python(&self, ty: &str, at: At, n_left: u32) -> Option<Ty> {
        let ty = ty.trim_matches(['"', '\'']).trim();
        let boxed = |of: Option<&&str>| Some(Box::new(self.of_text(of?, at, n_left)?));
        let alternatives = split(ty, '|');
        if alternatives.len() > 1 {
            return self.only(&alternatives, &["None"], at, n_left);
        }
        let Some((name, rest)) = ty.split_once('[') else {
            return match ty {
                "Self" => at.own.map(Ty::Instance),
                name => self.value_of(name, at),
            };
        };
        let arguments = split(rest.strip_suffix(']')?, ',');
        let first = arguments.first();
        match name.rsplit('.').next().unwrap_or(name).trim() {
            "Optional" | "Union" => self.only(&arguments, &["None"], at, n_left),
            "Annotated" | "ClassVar" | "Final" | "Required" | "NotRequired" => {
                self.of_text(first?, at, n_left)
            }
            "type" | "Type" => match self.of_text(first?, at, n_left)? {
                Ty::Instance(idx) => Some(Ty::Type(idx)),
                _ => None,
            },
            "Callable" => Some(Ty::Gives(boxed(arguments.get(1))?)),
            "Awaitable" | "ContextManager" | "AsyncContextManager" | "AbstractContextManager" => {
                Some(Ty::Wrapped(boxed(first)?))
            }
            "Coroutine" => Some(Ty::Wrapped(boxed(arguments.get(2))?)),
            "tuple" | "Tuple" if arguments.get(1).is_none_or(|it| *it != "...") => {
                Some(Ty::Tuple(arguments.iter().map(|it| self.of_text(it, at, n_left)).collect()))
            }
            "list" | "List" | "set" | "Set" | "frozenset" | "FrozenSet" | "tuple" | "Tuple"
            | "deque" | "Deque" | "Sequence" | "MutableSequence" | "Iterable" | "Iterator"
            | "Collection" | "AbstractSet" | "Generator" | "AsyncGenerator" | "AsyncIterable"
            | "AsyncIterator" => Some(Ty::Sequence(boxed(first)?)),
            "dict"
            | "Dict"
            | "Mapping"
            | "MutableMapping"
            | "defaultdict"
            | "DefaultDict"
            | "OrderedDict"
            | "WeakValueDictionary" => Some(Ty::Mapping(boxed(arguments.get(1))?)),
            _ => self.value_of(name, at),
        }
    }

    fn of_ecma(&self, ty: &str, at: At, n_left: u32) -> Option<Ty> {
        let ty = ty.strip_prefix("readonly ").unwrap_or(ty).trim();
        let boxed = |of: Option<&&str>| Some(Box::new(self.of_text(of?, at, n_left)?));
        let alternatives = split(ty.strip_prefix('|').unwrap_or(ty), '|');
        if alternatives.len() > 1 {
            return self.only(
                &alternatives,
                &["null", "undefined", "void", "string", "number", "boolean"],
                at,
                n_left,
            );
        }
        if let Some(inner) = ty.strip_prefix('(') {
            let end = closing(inner)?;
            return match inner[end + 1..].trim_start() {
                "" => self.of_text(&inner[..end], at, n_left),
                rest if rest.starts_with("=>") => {
                    let parameters = split(&inner[..end], ',').into_iter();
                    let ty =
                        |parameter: &str| self.of_text(parameter.split_once(':')?.1, at, n_left);
                    Some(Ty::Callback(parameters.map(ty).collect()))
                }
                rest => match rest.strip_prefix("[]") {
                    Some("") => {
                        Some(Ty::Sequence(Box::new(self.of_text(&inner[..end], at, n_left)?)))
                    }
                    _ => None,
                },
            };
        }
        if let Some(of) = ty.strip_suffix("[]") {
            return Some(Ty::Sequence(Box::new(self.of_text(of, at, n_left)?)));
        }
        if let Some(value) = ty.strip_prefix("typeof ") {
            return self.read(value, at);
        }
        if let Some(parts) = ty.strip_prefix('[').and_then(|ty| ty.strip_suffix(']')) {
            let parts = split(parts, ',');
            return Some(Ty::Tuple(parts.iter().map(|it| self.of_text(it, at, n_left)).collect()));
        }
        let Some((name, rest)) = ty.split_once('<') else {
            return match ty {
                "this" => at.own.map(Ty::Instance),
                name => self.value_of(name, at),
            };
        };
        let arguments = split(rest.strip_suffix('>')?, ',');
        match name.trim() {
            "Promise" | "PromiseLike" | "Awaited" => Some(Ty::Wrapped(boxed(arguments.first())?)),
            "Readonly" | "Partial" | "Required" | "NonNullable" | "Omit" | "Pick" => {
                self.of_text(arguments.first()?, at, n_left)
            }
            "Array" | "ReadonlyArray" | "Set" | "ReadonlySet" | "Iterable" | "Iterator"
            | "IterableIterator" | "Generator" | "AsyncIterable" | "AsyncGenerator" => {
                Some(Ty::Sequence(boxed(arguments.first())?))
            }
            "Map" | "WeakMap" | "Record" | "ReadonlyMap" => {
                Some(Ty::Mapping(boxed(arguments.get(1))?))
            }
            name => self.value_of(name, at),
        }
    }

    /// Returns a value of the type of that name.
    pub(super) fn value_of(&self, name: &str, at: At) -> Option<Ty> {
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.');
        let found = name.chars().all(is_name).then(|| self.named_type(name, at))?;
        match found? {
            Ty::Type(idx) => Some(self.plain(Ty::Instance(idx))),
            _ => None,
        }
    }

    /// Returns the one of several types that is left when those that are `nothing` are taken away, or what all are.
    fn only(&self, alternatives: &[&str], nothing: &[&str], at: At, n_left: u32) -> Option<Ty> {
        let mut found: Option<Ty> = None;
        for alternative in alternatives.iter().filter(|it| !nothing.contains(it)) {
            let ty = self.of_text(alternative, at, n_left)?;
            if found.as_ref().is_some_and(|before| *before != ty) {
                return None;
            }
            found = Some(ty);
        }
        found
    }
}

/// Returns where the bracket closes in which a text begins.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut before) = (0_i32, ' ');
    for (at, c) in text.char_indices() {
        match c {
            ')' if depth == 0 => return Some(at),
            '[' | '(' | '<' | '{' => depth += 1,
            '>' if before == '=' => {}
            ']' | ')' | '>' | '}' => depth -= 1,
            _ => {}
        }
        before = c;
    }
    None
}

/// Splits a type at a separator that stands in no brackets.
pub(super) fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (vec![], 0, 0_i32);
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '[' | '(' | '<' | '{' => depth += 1,
            '>' if before == '=' => {}
            ']' | ')' | '>' | '}' => depth -= 1,
            c if c == separator && depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + c.len_utf8();
            }
            _ => {}
        }
        before = c;
    }
    let last = text[start..].trim();
    if !last.is_empty() {
        parts.push(last);
    }
    parts
}
