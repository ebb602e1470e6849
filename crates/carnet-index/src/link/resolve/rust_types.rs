//! Rust: what paths of types mean, the `impl` blocks and traits of a type wherever they stand, and types as they are written.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::{HashMap, HashSet},
};

use carnet_parse::{Import, Imported, Language, SymbolKind};

use super::{
    Held, Resolver, Sought, Space, join,
    type_text::split,
    types::{At, Lineage, Step, Supertype, Ty},
};
use crate::link::{FileIdx, StringId, SymbolIdx};

/// Most traits that are looked through for one method.
const TRAITS_MAX: usize = 64;
/// Most re-exports that a name is followed through.
const HANDS_MAX: u32 = 6;
/// Most modules of one path.
const MODULES_MAX: usize = 4;

/// Wrappers that lend the methods of what they hold.
#[rustfmt::skip]
const LENDING: [&str; 34] = [
    "Box", "Rc", "Arc", "Cow", "Pin", "RefCell", "Cell", "Mutex", "RwLock", "MutexGuard", "RwLockReadGuard", "RwLockWriteGuard",
    "Ref", "RefMut", "NonNull", "ManuallyDrop", "MaybeUninit", "UnsafeCell", "OnceCell", "OnceLock", "LazyLock", "Lazy", "Weak",
    "Reverse", "Wrapping", "AssertUnwindSafe", "PhantomData", "AtomicPtr", "CachePadded", "ThreadLocal", "ReentrantMutex",
    "LazyCell", "Saturating", "Handle",
];
const WRAPPED: [&str; 5] = ["Option", "Result", "Poll", "LockResult", "ControlFlow"];
#[rustfmt::skip]
const SEQUENCES: [&str; 12] = [
    "Vec", "VecDeque", "HashSet", "BTreeSet", "LinkedList", "BinaryHeap", "IndexSet", "SmallVec", "Iter", "IterMut", "IntoIter",
    "Peekable",
];
const MAPPINGS: [&str; 4] = ["HashMap", "BTreeMap", "IndexMap", "FxHashMap"];
/// Methods of the standard library that give what they are called on, as far as its methods go.
#[rustfmt::skip]
const SAME: [&str; 30] = [
    "clone", "cloned", "copied", "borrow", "borrow_mut", "lock", "read", "write", "as_ref", "as_mut", "as_deref", "as_deref_mut",
    "to_owned", "into", "deref", "deref_mut", "unwrap", "expect", "unwrap_or_default", "by_ref", "get_mut", "into_inner",
    "get_ref", "take", "as_pin_mut", "load", "unwrap_or_else", "upgrade", "get", "to_vec",
];

/// What the `impl` blocks of a repository say.
#[derive(Default)]
pub(super) struct RustTypes {
    impls: OnceCell<Impls>,
    /// The files of a module, by crate and path.
    modules: OnceCell<HashMap<(String, String), Vec<FileIdx>>>,
    /// What was found out of names that modules hand on.
    handed: RefCell<HashMap<Handed, Option<Held>>>,
    is_gathering: Cell<bool>,
}

/// A crate, the whole path of a name in it, its kind, and how many re-exports it may still be followed through.
type Handed = (String, String, Space, u32);

#[derive(Default)]
struct Impls {
    /// The files and containers in which the methods of a type stand.
    places: HashMap<SymbolIdx, Vec<(FileIdx, StringId)>>,
    /// The traits that a type implements, and those that a trait demands.
    traits: HashMap<SymbolIdx, Vec<SymbolIdx>>,
}

impl Resolver<'_> {
    fn impls(&self) -> &Impls {
        // Looking names up may ask for methods: those are not known while this is found out.
        static NONE: std::sync::LazyLock<Impls> = std::sync::LazyLock::new(Impls::default);
        match self.types.rust.impls.get() {
            Some(impls) => impls,
            None if self.types.rust.is_gathering.replace(true) => &NONE,
            None => self.types.rust.impls.get_or_init(|| self.gather_impls()),
        }
    }

    fn gather_impls(&self) -> Impls {
        let mut impls = Impls::default();
        let mut seen = HashSet::new();
        for (idx, symbol) in self.linker.symbols.iter().enumerate() {
            let is_method = symbol.kind == SymbolKind::Method;
            if !is_method || self.language(symbol.file) != Language::Rust {
                continue;
            }
            if seen.insert((symbol.file, symbol.container)) {
                let at = At { file: symbol.file, enclosing: Some(idx as SymbolIdx), own: None };
                if let Some(ty) = self.type_of_impl(symbol.container, at) {
                    impls.places.entry(ty).or_default().push((symbol.file, symbol.container));
                }
            }
        }
        for base in &self.linker.bases {
            if self.language(base.file) != Language::Rust {
                continue;
            }
            let at = At { file: base.file, enclosing: base.symbol, own: None };
            let supertype = self.linker.strings.text(base.supertype);
            if let (Some(ty), Some(Ty::Type(supertype))) =
                (self.type_of_impl(base.subtype, at), self.rust_type(&supertype, at))
            {
                impls.traits.entry(ty).or_default().push(supertype);
            }
        }
        self.types.facts.borrow_mut().clear();
        self.types.lineages.borrow_mut().clear();
        impls
    }

    fn module_files(&self, crate_dir: &str, path: &str) -> Option<&Vec<FileIdx>> {
        let modules = self.types.rust.modules.get_or_init(|| {
            let mut modules: HashMap<_, Vec<FileIdx>> = HashMap::new();
            for file in 0..self.linker.files.len() as FileIdx {
                if let Some(module) = self.modules.rust_module(file) {
                    let key = (module.crate_dir.clone(), module.path.clone());
                    modules.entry(key).or_default().push(file);
                }
            }
            modules
        });
        modules.get(&(crate_dir.to_owned(), path.to_owned()))
    }

    /// Returns the type at the container path of an `impl` block: one that stands there, or one that is imported there.
    fn type_of_impl(&self, container: StringId, at: At) -> Option<SymbolIdx> {
        let path = self.linker.strings.text(container);
        if let Some(idx) = self.type_at(at.file, &path) {
            return Some(idx);
        }
        match self.rust_type(path.rsplit('.').next()?, at)? {
            Ty::Type(idx) => Some(idx),
            _ => None,
        }
    }

    /// Returns the type that `self` means in the `impl` block at a container path.
    pub(super) fn rust_owner(&self, path: &str, at: At) -> Option<SymbolIdx> {
        self.type_of_impl(self.linker.strings.find(path.as_bytes())?, at)
    }

    /// Returns the method of a type, in whichever of its `impl` blocks it stands.
    pub(super) fn rust_method(&self, ty: SymbolIdx, name: StringId) -> Option<Held> {
        let mut found: Option<Held> = None;
        for (file, container) in self.impls().places.get(&ty).into_iter().flatten() {
            match (found, self.by_file.get(&(*file, *container, name, Space::Value))) {
                (_, None) => {}
                (Some(before), Some(held)) if before != *held => return Some(Held::Several),
                (_, Some(held)) => found = Some(*held),
            }
        }
        let variant = || {
            let symbol = &self.linker.symbols[ty as usize];
            self.in_file(symbol.file, &self.path_of(ty), name, Space::Value)
        };
        found.or_else(variant)
    }

    /// Returns the traits of a type, and what they demand.
    pub(super) fn traits_of(&self, ty: SymbolIdx) -> Lineage {
        let (mut found, mut next) = (vec![ty], 0);
        while let Some(ty) = found.get(next).copied().filter(|_| found.len() < TRAITS_MAX) {
            for inner in self.impls().traits.get(&ty).into_iter().flatten() {
                if !found.contains(inner) {
                    found.push(*inner);
                }
            }
            next += 1;
        }
        found.into_iter().skip(1).map(Supertype::Known).collect()
    }

    pub(super) fn is_variant(&self, idx: SymbolIdx) -> bool {
        self.linker.symbols[idx as usize].kind == SymbolKind::Variant
    }

    pub(super) fn step_of_rust(&self, step: Step<'_>, value: Ty) -> Option<Ty> {
        match (step, value) {
            (Step::Index, Ty::Sequence(of) | Ty::Mapping(of)) => Some(*of),
            (Step::Index, Ty::Instance(idx)) => self.given_by(idx, "index"),
            (Step::Each, Ty::Sequence(of) | Ty::Wrapped(of)) => Some(*of),
            (Step::Each, Ty::Mapping(of)) => Some(Ty::Tuple(vec![None, Some(*of)])),
            (Step::Each, Ty::Instance(idx)) => match self.given_by(idx, "next") {
                Some(Ty::Wrapped(of)) => Some(*of),
                _ => match self.given_by(idx, "into_iter")? {
                    Ty::Sequence(of) => Some(*of),
                    Ty::Instance(other) if other != idx => match self.given_by(other, "next")? {
                        Ty::Wrapped(of) => Some(*of),
                        _ => None,
                    },
                    _ => None,
                },
            },
            (Step::Part(part), Ty::Tuple(mut parts)) => {
                let part = usize::from(part);
                (part < parts.len()).then(|| parts.swap_remove(part))?
            }
            (Step::Part(part), Ty::Instance(idx)) => self.fact(idx, &part.to_string(), Some(idx)),
            (Step::Awaited, Ty::Wrapped(of)) => Some(*of),
            (Step::Awaited | Step::Call, value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn member_of_rust(&self, value: Ty, name: &str, is_called: bool) -> Option<Ty> {
        let standard = |value: &Ty| Some(Ty::Gives(Box::new(of_standard(value, name)?)));
        match value {
            Ty::Function(variant, _) if self.is_variant(variant) && !is_called => {
                self.fact(variant, name, None)
            }
            Ty::Function(variant, Some(idx)) if self.is_variant(variant) => {
                self.member_of(idx, name, is_called, true)
            }
            Ty::Instance(idx) | Ty::Type(idx) => {
                let member = self.member_of(idx, name, is_called, true);
                member.or_else(|| standard(&value).filter(|_| is_called))
            }
            value => standard(&value).filter(|_| is_called),
        }
    }

    /// Returns what a path of names means: a type, a function, a variant.
    pub(super) fn rust_named(&self, path: &str, at: At) -> Option<Ty> {
        let (outer, last) = path.rsplit_once("::")?;
        let name = self.linker.strings.find(last.as_bytes())?;
        if let Some(Ty::Type(ty)) = self.rust_type(outer, at) {
            return match self.method_of(ty, name)? {
                Held::One(idx) => self.of_symbol(idx, Some(ty)),
                Held::Several => None,
            };
        }
        let sought = |space| Sought { name, space, ..at.sought() };
        let spaces = [Space::Value, Space::Type];
        match spaces.into_iter().find_map(|space| self.rust_path(sought(space), outer))? {
            Held::One(idx) => self.of_symbol(idx, None),
            Held::Several => None,
        }
    }

    /// Returns the type that a path means.
    pub(super) fn rust_type(&self, path: &str, at: At) -> Option<Ty> {
        let ty = match path.rsplit_once("::") {
            None => self.named_type(path, at)?,
            Some((outer, last)) => {
                let name = self.linker.strings.find(last.as_bytes())?;
                let sought = Sought { name, space: Space::Type, ..at.sought() };
                match self.rust_path(sought, outer)? {
                    Held::One(idx) => self.of_symbol(idx, None)?,
                    Held::Several => return None,
                }
            }
        };
        match ty {
            Ty::Type(idx) => match self.plain(Ty::Instance(idx)) {
                Ty::Instance(idx) => Some(Ty::Type(idx)),
                other => Some(other),
            },
            _ => None,
        }
    }

    /// Returns a method that a path names through a type which is not where the path says, but handed on there.
    pub(super) fn rust_method_of_path(&self, sought: Sought, path: &str) -> Option<Held> {
        let at = At { file: sought.file, enclosing: sought.enclosing, own: None };
        match self.rust_type(path, at)? {
            Ty::Type(ty) | Ty::Instance(ty) => self.method_of(ty, sought.name),
            _ => None,
        }
    }

    /// Returns what a module hands on under a name: through `pub use`, or through `use` of all names.
    pub(super) fn handed_on_by_rust(
        &self,
        crate_dir: &str,
        path: &str,
        name: StringId,
        space: Space,
    ) -> Option<Held> {
        let whole = join(path, &self.linker.strings.text(name));
        self.rust_handed(crate_dir, &whole, space, HANDS_MAX)
    }

    fn rust_handed(&self, crate_dir: &str, whole: &str, space: Space, left: u32) -> Option<Held> {
        let left = left.checked_sub(1)?;
        let key = (crate_dir.to_owned(), whole.to_owned(), space, left);
        if let Some(known) = self.types.rust.handed.borrow().get(&key) {
            return *known;
        }
        let found = self.find_handed(crate_dir, whole, space, left);
        self.types.rust.handed.borrow_mut().insert(key, found);
        found
    }

    fn find_handed(&self, crate_dir: &str, whole: &str, space: Space, left: u32) -> Option<Held> {
        let (outer, last) = whole.rsplit_once('.').unwrap_or(("", whole));
        let name = self.linker.strings.find(last.as_bytes())?;
        if let Some(held) = self.in_crate_itself(crate_dir, outer, name, space) {
            return Some(held);
        }
        // The innermost module that is a file hands on the name behind it.
        let mut module = outer;
        loop {
            if let Some(files) = self.module_files(crate_dir, module) {
                let rest = whole[module.len()..].trim_start_matches('.');
                let mut files = files.iter().take(MODULES_MAX);
                if let Some(held) =
                    files.find_map(|file| self.handed_by_file(*file, rest, space, left))
                {
                    return Some(held);
                }
            }
            if module.is_empty() {
                return None;
            }
            module = module.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
    }

    fn handed_by_file(&self, file: FileIdx, rest: &str, space: Space, left: u32) -> Option<Held> {
        let at = At { file, enclosing: None, own: None };
        let mut found: Option<Held> = None;
        for import in &self.linker.files[file as usize].imports {
            // It may stand in a module written inside the file.
            let inner = match import.container.as_str() {
                "" => Some(rest),
                container => rest.strip_prefix(container).and_then(|it| it.strip_prefix('.')),
            };
            let Some(inner) = inner else { continue };
            let (first, behind) = inner.split_once('.').unwrap_or((inner, ""));
            let Some((crate_dir, whole)) = self.handed_place(import, first, behind, at) else {
                continue;
            };
            let held = self.rust_handed(&crate_dir, &whole, space, left);
            match (found, held) {
                (_, None) => {}
                (Some(before), Some(held)) if before != held => return Some(Held::Several),
                (_, Some(held)) => found = Some(held),
            }
        }
        found
    }

    /// Returns the crate and path that an import gives to `first.behind`.
    fn handed_place(
        &self,
        import: &Import,
        first: &str,
        behind: &str,
        at: At,
    ) -> Option<(String, String)> {
        let bound = import.alias.as_deref();
        match &import.imported {
            Imported::Name(name) if bound.unwrap_or(name) == first => {
                let (crate_dir, outer) = self.rust_import_place(at.sought(), import)?;
                Some((crate_dir, join(&join(&outer, name), behind)))
            }
            Imported::Module if bound.unwrap_or(&import.module) == first => {
                let crate_dir = self.modules.rust_crate(&import.module)?;
                Some((crate_dir.to_owned(), behind.to_owned()))
            }
            Imported::Glob if import.is_reexport => {
                let (crate_dir, outer) = self.rust_import_place(at.sought(), import)?;
                Some((crate_dir, join(&outer, &join(first, behind))))
            }
            _ => None,
        }
    }

    /// Returns what a bare name means through `use module::*`.
    pub(super) fn through_globs(&self, sought: Sought) -> Option<Held> {
        let module = self.inline_module(sought);
        let mut found: Option<Held> = None;
        for import in &self.linker.files[sought.file as usize].imports {
            if import.imported != Imported::Glob || !super::is_within(&module, &import.container) {
                continue;
            }
            let place = self.rust_import_place(sought, import);
            let held = place.and_then(|(crate_dir, outer)| {
                self.in_crate(&crate_dir, &outer, sought.name, sought.space)
            });
            match (found, held) {
                (_, None) => {}
                (Some(before), Some(held)) if before != held => return Some(Held::Several),
                (_, Some(held)) => found = Some(held),
            }
        }
        found
    }

    pub(super) fn of_rust(&self, ty: &str, at: At, n_left: u32) -> Option<Ty> {
        let inner = |ty: &str| self.of_text(ty, at, n_left);
        let boxed = |ty: Option<&&str>| Some(Box::new(inner(ty?)?));
        if let Some(rest) = ty.strip_prefix(['&', '*']) {
            return inner(rest);
        }
        for before in ["mut ", "const ", "dyn ", "impl ", "for<'a> ", "unsafe ", "extern "] {
            if let Some(rest) = ty.strip_prefix(before) {
                return inner(rest);
            }
        }
        if let Some(rest) = ty.strip_prefix('\'') {
            return inner(rest.split_once(' ')?.1);
        }
        if let Some(parts) = ty.strip_prefix('(').and_then(|ty| ty.strip_suffix(')')) {
            let parts = split(parts, ',');
            return match parts[..] {
                [only] => inner(only),
                _ => Some(Ty::Tuple(parts.into_iter().map(inner).collect())),
            };
        }
        if let Some(of) = ty.strip_prefix('[').and_then(|ty| ty.strip_suffix(']')) {
            let of = of.split(';').next().map(str::trim);
            return Some(Ty::Sequence(boxed(of.as_ref())?));
        }
        let bounds = split(ty, '+');
        if bounds.len() > 1 {
            return bounds.into_iter().find_map(inner);
        }
        if let Some((_, given)) = ty.split_once("->")
            && (ty.starts_with("Fn") || ty.starts_with("fn"))
        {
            return Some(Ty::Gives(boxed(Some(&given.trim()))?));
        }
        self.of_rust_path(ty, at, n_left)
    }

    fn of_rust_path(&self, ty: &str, at: At, n_left: u32) -> Option<Ty> {
        let inner = |ty: &str| self.of_text(ty, at, n_left);
        let boxed = |ty: Option<&&str>| Some(Box::new(inner(ty?)?));
        let (path, arguments) = match ty.split_once('<') {
            Some((path, rest)) => {
                (path.trim_end_matches("::"), split(rest.strip_suffix('>')?, ','))
            }
            None => (ty, vec![]),
        };
        if path == "Self" {
            return self.rust_self(at).map(Ty::Instance);
        }
        if let Some(member) = path.strip_prefix("Self::") {
            let (own, name) = (self.rust_self(at)?, self.linker.strings.find(member.as_bytes())?);
            let symbol = &self.linker.symbols[own as usize];
            return match self.in_file(symbol.file, &self.path_of(own), name, Space::Type)? {
                Held::One(idx) => Some(self.plain(Ty::Instance(idx))),
                Held::Several => None,
            };
        }
        let known = match self.rust_type(path.strip_prefix("::").unwrap_or(path), at) {
            Some(Ty::Type(idx)) => Some(Ty::Instance(idx)),
            other => other,
        };
        // A type of the repository may have the name of one of the standard library's.
        let is_own = matches!(known, Some(Ty::Instance(_)));
        let arguments: Vec<&str> =
            arguments.into_iter().filter(|it| !it.starts_with('\'')).collect();
        let assigned = |name: &str| {
            let value = arguments.iter().find_map(|it| it.strip_prefix(name))?;
            value.trim_start().strip_prefix('=').map(str::trim)
        };
        let (first, name) = (arguments.first(), path.rsplit("::").next().unwrap_or(path));
        match name {
            _ if is_own => known,
            "Iterator"
            | "IntoIterator"
            | "Stream"
            | "DoubleEndedIterator"
            | "ExactSizeIterator" => Some(Ty::Sequence(boxed(assigned("Item").as_ref())?)),
            "Future" => inner(assigned("Output")?),
            "AsRef" | "AsMut" | "Into" | "Borrow" | "Deref" => {
                inner(assigned("Target").or(first.copied())?)
            }
            name if LENDING.contains(&name) => inner(first?),
            name if WRAPPED.contains(&name) || (known.is_none() && name == "Result") => {
                Some(Ty::Wrapped(boxed(first)?))
            }
            name if SEQUENCES.contains(&name) => Some(Ty::Sequence(boxed(first)?)),
            name if MAPPINGS.contains(&name) => Some(Ty::Mapping(boxed(arguments.get(1))?)),
            _ => known,
        }
    }

    /// Returns the type that `Self` means in a fact: the one it was looked up in, or the one around.
    fn rust_self(&self, at: At) -> Option<SymbolIdx> {
        if let Some(own) = at.own {
            return Some(own);
        }
        let symbol = &self.linker.symbols[at.enclosing? as usize];
        self.type_of_impl(symbol.container, at)
    }
}

/// Returns what a method of the standard library gives.
pub(super) fn of_standard(value: &Ty, method: &str) -> Option<Ty> {
    match value {
        Ty::Wrapped(of) => match method {
            "unwrap" | "expect" | "unwrap_or" | "unwrap_or_default" | "unwrap_or_else"
            | "get_or_insert_with" | "get_or_insert" | "insert" | "unwrap_unchecked" => {
                Some((**of).clone())
            }
            "iter" | "iter_mut" | "into_iter" => Some(Ty::Sequence(of.clone())),
            "ok" | "ok_or" | "ok_or_else" | "map_err" | "as_ref" | "as_mut" | "as_deref"
            | "as_deref_mut" | "take" | "cloned" | "copied" | "clone" | "or" | "or_else"
            | "filter" | "context" | "with_context" | "replace" | "as_pin_mut" | "inspect" => {
                Some(value.clone())
            }
            _ => None,
        },
        Ty::Sequence(of) => match method {
            "next" | "first" | "last" | "get" | "get_mut" | "first_mut" | "last_mut" | "pop"
            | "pop_front" | "pop_back" | "front" | "back" | "nth" | "peek" | "next_back"
            | "find" | "max" | "min" | "max_by_key" | "min_by_key" | "peek_mut" => {
                Some(Ty::Wrapped(of.clone()))
            }
            "remove" | "swap_remove" => Some((**of).clone()),
            "enumerate" => {
                Some(Ty::Sequence(Box::new(Ty::Tuple(vec![None, Some((**of).clone())]))))
            }
            "map" | "filter_map" | "flat_map" | "zip" | "fold" | "collect" | "sum" | "len" => None,
            _ => Some(value.clone()),
        },
        Ty::Mapping(of) => match method {
            "get" | "get_mut" | "remove" | "insert" => Some(Ty::Wrapped(of.clone())),
            "values" | "values_mut" | "into_values" => Some(Ty::Sequence(of.clone())),
            "iter" | "iter_mut" | "into_iter" | "drain" => {
                Some(Ty::Sequence(Box::new(Ty::Tuple(vec![None, Some((**of).clone())]))))
            }
            "or_insert" | "or_insert_with" | "or_default" => Some((**of).clone()),
            "entry" | "clone" | "lock" | "borrow" | "borrow_mut" | "read" | "write" | "unwrap" => {
                Some(value.clone())
            }
            _ => None,
        },
        Ty::Instance(_) if SAME.contains(&method) => Some(value.clone()),
        _ => None,
    }
}
