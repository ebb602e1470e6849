//! What a value is: reads the expressions that the parser left of receivers, and the facts about definitions.
//!
//! Language-neutral: a value is of a type of the repository, or a container of such; everything else is not known. What two facts
//! say differently is not known either. Every walk is bounded, so that hostile facts cost a bounded time.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use carnet_parse::{CallForm, Import, Imported, Language, SymbolKind};

use super::{Decision, Held, ImportMatch, Resolver, Sought, Space, decided, join};
use crate::{
    Evidence,
    link::{FileIdx, StringId, SymbolIdx},
};

/// Most facts read for one receiver.
const READS_MAX: u32 = 200;
/// Most facts read inside one another.
const DEPTH_MAX: u32 = 24;
/// Most types that are defined by one another.
const UNDERLYING_MAX: u32 = 8;

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ty {
    /// A value of that type; or the object that a variable holds.
    Instance(SymbolIdx),
    /// The type itself.
    Type(SymbolIdx),
    /// A function, and the type it was looked up in.
    Function(SymbolIdx, Option<SymbolIdx>),
    /// What calling gives.
    Gives(Box<Ty>),
    /// What the supertypes of that type have.
    Super(SymbolIdx),
    Module(FileIdx),
    /// A package of Go, by its directory.
    Package(u32),
    Sequence(Box<Ty>),
    /// A map to such values.
    Mapping(Box<Ty>),
    /// A promise, an option, a result.
    Wrapped(Box<Ty>),
    Tuple(Vec<Option<Ty>>),
    /// A function of such parameters.
    Callback(Vec<Option<Ty>>),
}

/// A supertype of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Supertype {
    Known(SymbolIdx),
    /// One of another package, or Python's own.
    Foreign,
    Unknown,
}

/// All supertypes of a type in the order of lookup.
pub(super) type Lineage = Rc<[Supertype]>;
type Facts = HashMap<(u32, Option<SymbolIdx>), Option<Ty>>;

/// What was found out already.
#[derive(Default)]
pub(super) struct Known {
    pub rust: super::rust_types::RustTypes,
    pub rust_methods: super::rust_extensions::Methods,
    /// Whether what is read is Rust.
    pub is_rust: Cell<bool>,
    pub lineages: RefCell<HashMap<(FileIdx, StringId), Lineage>>,
    /// What modules define or hand on, by module and name.
    pub exports: RefCell<HashMap<(FileIdx, StringId, Space), Option<Held>>>,
    /// By first fact and the type it was looked up in; what is being found out is not known.
    pub facts: RefCell<Facts>,
    n_reads: Cell<u32>,
    depth: Cell<u32>,
}

/// Where an expression stands, and the type that `self` means there.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub file: FileIdx,
    pub enclosing: Option<SymbolIdx>,
    pub own: Option<SymbolIdx>,
}

impl Resolver<'_> {
    /// Decides about a call by what its receiver is.
    pub(super) fn of_receiver(&self, sought: Sought, receiver: &str) -> Option<Decision> {
        self.types.n_reads.set(0);
        self.types.is_rust.set(self.language(sought.file) == Language::Rust);
        let at = At { file: sought.file, enclosing: sought.enclosing, own: None };
        let evidence = Evidence::ReceiverType;
        match self.read(receiver, at)? {
            Ty::Module(file) => {
                Some(decided(self.exported(file, sought.name, Space::Value)?, Evidence::Path))
            }
            Ty::Package(directory) => {
                let held = self.in_package(directory, sought.name, Space::Value)?;
                Some(decided(held, Evidence::Path))
            }
            Ty::Instance(idx) | Ty::Type(idx) => {
                Some(decided(self.method_of(idx, sought.name)?, evidence))
            }
            Ty::Function(variant, Some(idx)) if self.is_variant(variant) => {
                Some(decided(self.method_of(idx, sought.name)?, evidence))
            }
            Ty::Super(idx) => {
                let lineage = self.lineage_of(idx)?;
                let held = self.in_own_lineage(&lineage, |idx| self.method(idx, sought.name))?;
                Some(decided(held, evidence))
            }
            _ => None,
        }
    }

    /// Returns what an expression gives.
    pub(super) fn read(&self, text: &str, at: At) -> Option<Ty> {
        let (mut value, mut steps) = self.head(text, at)?;
        while !steps.is_empty() {
            let (step, rest) = split_step(steps)?;
            value = self.step(value, step, rest.starts_with("()"))?;
            steps = rest;
        }
        Some(value)
    }

    fn head<'t>(&self, text: &'t str, at: At) -> Option<(Ty, &'t str)> {
        let marked = |text: &'t str| text.split_once('\n');
        Some(match text.as_bytes().first()? {
            b':' => {
                let (ty, steps) = marked(&text[1..])?;
                (self.declared(ty, at)?, steps)
            }
            b'@' => {
                let (path, steps) = marked(&text[1..])?;
                let own = at.own.or_else(|| self.own_type(path, at))?;
                (Ty::Instance(own), steps)
            }
            b'^' => {
                let (path, steps) = marked(&text[1..])?;
                let own = at.own.or_else(|| self.own_type(path, at))?;
                (Ty::Type(own), steps)
            }
            b'%' => {
                let (place, steps) = marked(&text[1..])?;
                (self.of_symbol(self.symbol_of(at.file, place)?, None)?, steps)
            }
            b'$' => {
                let (path, steps) = marked(&text[1..])?;
                (Ty::Super(self.type_at(at.file, path)?), steps)
            }
            _ => {
                let end = text
                    .find(['.', '(', '[', '*', '#', '!', '=', '+', '&', '~'])
                    .unwrap_or(text.len());
                match self.dotted_module(text, end, at) {
                    Some((file, steps)) => (Ty::Module(file), steps),
                    None => (self.named(&text[..end], at)?, &text[end..]),
                }
            }
        })
    }

    /// `import a.b` binds the whole dotted name; the longest that fits is meant.
    fn dotted_module<'t>(&self, text: &'t str, end: usize, at: At) -> Option<(FileIdx, &'t str)> {
        let dotted_end =
            text.find(['(', '[', '*', '#', '!', '=', '+', '&', '~']).unwrap_or(text.len());
        let mut head = &text[..dotted_end];
        while head.len() > end {
            if let ImportMatch::One(import) = self.import_of(at.sought(), head) {
                return Some((self.imported_module(at.file, import)?, &text[head.len()..]));
            }
            head = head.rsplit_once('.')?.0;
        }
        None
    }

    /// Returns what a name means where it stands: a module, a type, a function, or what a variable is.
    pub(super) fn named(&self, name: &str, at: At) -> Option<Ty> {
        if let ImportMatch::One(import) = self.import_of(at.sought(), name)
            && let Some(file) = self.imported_module(at.file, import)
        {
            return Some(Ty::Module(file));
        }
        if name.contains("::") {
            return self.rust_named(name, at);
        }
        if let Some(package) = self.imported_package(name, at) {
            return Some(Ty::Package(package));
        }
        let name = self.linker.strings.find(name.as_bytes())?;
        let sought = Sought { name, ..at.sought() };
        self.of_symbol(self.bare(sought)?.target?, None)
    }

    /// Returns the type that a name means where a type stands.
    pub(super) fn named_type(&self, name: &str, at: At) -> Option<Ty> {
        let (outer, name) = name.rsplit_once('.').map_or((None, name), |(o, n)| (Some(o), n));
        if let Some(outer) = outer {
            let outer = self.read(outer, at)?;
            return self.step(outer, Step::Member(name), false);
        }
        let id = self.linker.strings.find(name.as_bytes())?;
        let sought = Sought { name: id, space: Space::Type, ..at.sought() };
        let found = self.bare(sought).and_then(|decision| decision.target);
        match found {
            Some(idx) => self.of_symbol(idx, None),
            None => self.named(name, at),
        }
    }

    /// Returns the module that an import binds.
    pub(super) fn imported_module(&self, file: FileIdx, import: &Import) -> Option<FileIdx> {
        match (&import.imported, self.language(file)) {
            (Imported::Module, _) => self.module_of(file, &import.module),
            (Imported::Name(name), Language::Python) => {
                let dot = if import.module.ends_with('.') { "" } else { "." };
                self.modules.python(file, &format!("{}{dot}{name}", import.module))
            }
            _ => None,
        }
    }

    /// Returns what a definition is when it is named.
    pub(super) fn of_symbol(&self, idx: SymbolIdx, own: Option<SymbolIdx>) -> Option<Ty> {
        use SymbolKind::{
            Class, Constant, Enum, Function, Interface, Method, Struct, Trait, Type, Union,
            Variable, Variant,
        };
        match self.linker.symbols[idx as usize].kind {
            Class | Struct | Enum | Interface | Trait | Type | Union => Some(Ty::Type(idx)),
            Function | Method => Some(Ty::Function(idx, own)),
            Variable | Constant => self.fact(idx, "", own).or_else(|| self.object(idx)),
            Variant if self.types.is_rust.get() => {
                Some(Ty::Function(idx, self.linker.symbols[idx as usize].parent))
            }
            Variant => Some(Ty::Instance(self.linker.symbols[idx as usize].parent?)),
            _ => None,
        }
    }

    /// A variable that holds an object whose methods stand in it.
    fn object(&self, idx: SymbolIdx) -> Option<Ty> {
        let file = self.linker.symbols[idx as usize].file;
        self.file_has_container(file, &self.path_of(idx)).then_some(Ty::Instance(idx))
    }

    fn own_type(&self, path: &str, at: At) -> Option<SymbolIdx> {
        match self.language(at.file) {
            Language::Rust => self.rust_owner(path, at),
            _ => self.type_at(at.file, path),
        }
    }

    /// Returns the type at a container path of a file.
    pub(super) fn type_at(&self, file: FileIdx, path: &str) -> Option<SymbolIdx> {
        let (outer, name) = path.rsplit_once('.').unwrap_or(("", path));
        let name = self.linker.strings.find(name.as_bytes())?;
        let held = self.in_file(file, outer, name, Space::Type);
        match held.or_else(|| self.in_file(file, outer, name, Space::Value))? {
            Held::One(idx) => Some(idx),
            Held::Several => None,
        }
    }

    /// Returns what the facts say of a definition, or of its member; `None` when they say nothing, or different things.
    pub(super) fn fact(
        &self,
        symbol: SymbolIdx,
        member: &str,
        own: Option<SymbolIdx>,
    ) -> Option<Ty> {
        let is_callback = member == "&";
        let member = self.linker.expressions.find(member.as_bytes())?;
        let rows = &self.linker.types;
        let first = rows.partition_point(|row| row.symbol < symbol);
        let of_symbol = rows[first..].iter().take_while(|row| row.symbol == symbol);
        let of_symbol = of_symbol.enumerate().filter(|(_, row)| row.member == member);
        let mut texts = of_symbol.map(|(at, row)| ((first + at) as u32, row.text)).peekable();
        let key = (texts.peek()?.0, own);
        if let Some(known) = self.types.facts.borrow().get(&key) {
            return known.clone();
        }
        let (n_reads, depth) = (self.types.n_reads.get() + 1, self.types.depth.get() + 1);
        if n_reads > READS_MAX || depth > DEPTH_MAX {
            return None;
        }
        self.types.n_reads.set(n_reads);
        self.types.depth.set(depth);
        self.types.facts.borrow_mut().insert(key, None);
        let file = self.linker.symbols[symbol as usize].file;
        let at = At { file, enclosing: Some(symbol), own };
        let mut found: Option<Ty> = None;
        for (_, text) in texts {
            let Some(ty) = self.read(&self.linker.expressions.text(text), at) else { continue };
            if is_callback && !matches!(ty, Ty::Callback(_)) {
                continue;
            }
            match &found {
                Some(before) if *before != ty => {
                    found = None;
                    break;
                }
                _ => found = Some(ty),
            }
        }
        self.types.depth.set(depth - 1);
        self.types.facts.borrow_mut().insert(key, found.clone());
        found
    }

    /// Returns all that the facts say of a member of a definition.
    pub(super) fn facts(&self, symbol: SymbolIdx, member: &str) -> Vec<Ty> {
        let Some(member) = self.linker.expressions.find(member.as_bytes()) else { return vec![] };
        let rows = &self.linker.types;
        let first = rows.partition_point(|row| row.symbol < symbol);
        let of_symbol = rows[first..].iter().take_while(|row| row.symbol == symbol);
        let file = self.linker.symbols[symbol as usize].file;
        let at = At { file, enclosing: Some(symbol), own: None };
        let texts = of_symbol.filter(|row| row.member == member).map(|row| row.text);
        texts.filter_map(|text| self.read(&self.linker.expressions.text(text), at)).collect()
    }

    fn step(&self, value: Ty, step: Step<'_>, is_called: bool) -> Option<Ty> {
        let value = match step {
            Step::Member(_) => value,
            Step::Call => self.underlying(value),
            _ => self.underlying(self.plain(value)),
        };
        match (step, value) {
            (Step::Member(name), value) => self.member(value, name, is_called),
            (Step::Call, Ty::Type(idx)) => Some(Ty::Instance(idx)),
            (Step::Call, Ty::Function(idx, Some(own))) if self.is_variant(idx) => {
                Some(Ty::Instance(own))
            }
            (Step::Call, Ty::Function(idx, own)) => self.fact(idx, "", own),
            (Step::Call, Ty::Gives(given)) => Some(*given),
            (step, value) if self.types.is_rust.get() => self.step_of_rust(step, value),
            (Step::Call, Ty::Instance(idx)) => self.given_by(idx, "__call__"),
            (Step::Index, Ty::Sequence(of) | Ty::Mapping(of)) => Some(*of),
            (Step::Index, Ty::Instance(idx)) => self.given_by(idx, "__getitem__"),
            (Step::Each, Ty::Sequence(of)) => Some(*of),
            (Step::Each, Ty::Instance(idx)) => match self.given_by(idx, "__iter__")? {
                Ty::Instance(iterator) => self.given_by(iterator, "__next__"),
                iterator => self.step(iterator, Step::Each, false),
            },
            (Step::Part(part), Ty::Tuple(mut parts)) => {
                let part = usize::from(part);
                (part < parts.len()).then(|| parts.swap_remove(part))?
            }
            (Step::Part(_), Ty::Sequence(of)) => Some(*of),
            (Step::Awaited, Ty::Wrapped(of)) => Some(*of),
            (Step::Awaited, value @ Ty::Instance(_)) => Some(value),
            (Step::Entered, Ty::Wrapped(of) | Ty::Sequence(of)) => Some(*of),
            (Step::Entered, Ty::Instance(idx)) => {
                let entered = self.given_by(idx, "__enter__");
                Some(
                    entered
                        .or_else(|| self.given_by(idx, "__aenter__"))
                        .unwrap_or(Ty::Instance(idx)),
                )
            }
            (Step::Callback, Ty::Function(idx, own)) => self.callback(idx, own),
            (Step::Callback, Ty::Instance(idx)) => self.callback(idx, None),
            (Step::Parameter(at), Ty::Callback(mut parameters)) => {
                let at = usize::from(at);
                (at < parameters.len()).then(|| parameters.swap_remove(at))?
            }
            (Step::Sequence, value) => Some(Ty::Sequence(Box::new(value))),
            _ => None,
        }
    }

    /// Returns the one kind of function that a function may be given; other parameters count for nothing.
    fn callback(&self, idx: SymbolIdx, own: Option<SymbolIdx>) -> Option<Ty> {
        self.fact(idx, "&", own)
    }

    /// Returns what calling a method of a type gives.
    pub(super) fn given_by(&self, ty: SymbolIdx, method: &str) -> Option<Ty> {
        let method = self.linker.strings.find(method.as_bytes())?;
        match self.method_of(ty, method)? {
            Held::One(idx) => self.fact(idx, "", Some(ty)),
            Held::Several => None,
        }
    }

    fn member(&self, value: Ty, name: &str, is_called: bool) -> Option<Ty> {
        match value {
            value if self.types.is_rust.get() => self.member_of_rust(value, name, is_called),
            Ty::Instance(idx) if name == "__class__" => Some(Ty::Type(idx)),
            Ty::Instance(idx) | Ty::Type(idx) => self.member_of(idx, name, is_called, true),
            Ty::Super(idx) => self.member_of(idx, name, is_called, false),
            Ty::Module(file) => self.member_of_module(file, name),
            Ty::Package(directory) => self.member_of_package(directory, name),
            value => of_container(&value, name).map(|given| Ty::Gives(Box::new(given))),
        }
    }

    /// Returns a member of a type: what is known of the field, or the method.
    pub(super) fn member_of(
        &self,
        ty: SymbolIdx,
        name: &str,
        is_called: bool,
        with_own: bool,
    ) -> Option<Ty> {
        let id = self.linker.strings.find(name.as_bytes());
        let own = with_own.then_some(ty);
        let here = |idx: SymbolIdx| -> Option<Option<Ty>> {
            let method = id.and_then(|id| self.method(idx, id));
            let field = || self.fact(idx, name, Some(ty));
            match (method, is_called) {
                (Some(Held::One(found)), true) => Some(self.of_symbol(found, Some(ty))),
                (Some(Held::One(found)), false) => {
                    Some(field().or_else(|| self.of_symbol(found, Some(ty))))
                }
                (Some(Held::Several), _) => Some(field().filter(|_| !is_called)),
                (None, _) => field().map(Some),
            }
        };
        if let Some(found) = own.and_then(here) {
            return found;
        }
        let nested =
            || self.type_at(self.linker.symbols[ty as usize].file, &join(&self.path_of(ty), name));
        let found = self.in_lineage(&self.lineage_of(ty)?, here);
        let field = || match self.underlying(Ty::Instance(ty)) {
            Ty::Instance(inner) if inner != ty => self.fact(inner, name, None),
            _ => None,
        };
        found.flatten().or_else(field).or_else(|| nested().map(Ty::Type))
    }

    fn member_of_module(&self, file: FileIdx, name: &str) -> Option<Ty> {
        if let Some(id) = self.linker.strings.find(name.as_bytes()) {
            for space in [Space::Value, Space::Type] {
                match self.exported(file, id, space) {
                    Some(Held::One(idx)) => return self.of_symbol(idx, None),
                    Some(Held::Several) => return None,
                    None => {}
                }
            }
        }
        match self.language(file) {
            Language::Python => self.modules.python(file, &format!(".{name}")).map(Ty::Module),
            _ => None,
        }
    }

    /// Returns the method of a type: its own, or the nearest of its supertypes'.
    pub(super) fn method_of(&self, ty: SymbolIdx, name: StringId) -> Option<Held> {
        let inherited = || self.in_lineage(&self.lineage_of(ty)?, |idx| self.method(idx, name));
        self.method(ty, name).or_else(inherited)
    }

    fn lineage_of(&self, ty: SymbolIdx) -> Option<Lineage> {
        let file = self.linker.symbols[ty as usize].file;
        let Some(path) = self.linker.strings.find(self.path_of(ty).as_bytes()) else {
            return Some(self.supertypes_elsewhere(ty));
        };
        if let Some(known) = self.types.lineages.borrow().get(&(file, path)) {
            return Some(known.clone());
        }
        let lineage = match self.language(file) {
            Language::Go | Language::Rust => self.supertypes_elsewhere(ty),
            _ => return Some(self.lineage(file, path)),
        };
        self.types.lineages.borrow_mut().insert((file, path), lineage.clone());
        Some(lineage)
    }

    /// Returns the supertypes of a type in a language where its own file need not name them.
    fn supertypes_elsewhere(&self, ty: SymbolIdx) -> Lineage {
        match self.language(self.linker.symbols[ty as usize].file) {
            Language::Go => self.embedded(ty),
            Language::Rust => self.traits_of(ty),
            _ => Rc::from([]),
        }
    }

    /// Returns what a value of a type of Go consists of, where that is another type; anything else as it is.
    pub(super) fn underlying(&self, mut value: Ty) -> Ty {
        for _ in 0..UNDERLYING_MAX {
            let Ty::Instance(idx) = value else { break };
            if self.linker.symbols[idx as usize].kind != SymbolKind::Type {
                break;
            }
            let Some(inner) = self.fact(idx, "=", None) else { break };
            value = inner;
        }
        value
    }

    /// Returns what an alias stands for; anything else as it is.
    pub(super) fn plain(&self, value: Ty) -> Ty {
        match value {
            Ty::Instance(idx) if self.linker.symbols[idx as usize].kind == SymbolKind::Type => {
                self.fact(idx, "", None).unwrap_or(Ty::Instance(idx))
            }
            value => value,
        }
    }
}

impl At {
    pub(super) fn sought(self) -> Sought {
        Sought {
            file: self.file,
            enclosing: self.enclosing,
            name: 0,
            space: Space::Value,
            form: CallForm::Function,
        }
    }
}

/// Returns what a method of a container gives, by the names that containers commonly give them.
fn of_container(container: &Ty, method: &str) -> Option<Ty> {
    match container {
        Ty::Sequence(of) => match method {
            "pop" | "popleft" | "shift" | "at" | "find" => Some((**of).clone()),
            "copy" | "slice" | "filter" | "concat" | "reverse" | "sort" | "toSorted" | "values" => {
                Some(container.clone())
            }
            _ => None,
        },
        Ty::Mapping(of) => match method {
            "get" | "pop" | "setdefault" => Some((**of).clone()),
            "values" => Some(Ty::Sequence(of.clone())),
            "items" | "entries" => {
                Some(Ty::Sequence(Box::new(Ty::Tuple(vec![None, Some((**of).clone())]))))
            }
            "copy" => Some(container.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// One step from a value to another; `carnet-parse` says what each means.
#[derive(Clone, Copy)]
pub(super) enum Step<'t> {
    Member(&'t str),
    Call,
    Index,
    Each,
    Part(u8),
    Awaited,
    Entered,
    Sequence,
    Callback,
    Parameter(u8),
}

/// Splits the first step off.
fn split_step(steps: &str) -> Option<(Step<'_>, &str)> {
    let (first, rest) = (steps.as_bytes().first()?, steps.get(1..)?);
    Some(match first {
        b'.' => {
            let end =
                rest.find(['.', '(', '[', '*', '#', '!', '=', '+', '&', '~']).unwrap_or(rest.len());
            (Step::Member(&rest[..end]), &rest[end..])
        }
        b'(' => (Step::Call, rest.strip_prefix(')')?),
        b'[' => (Step::Index, rest.strip_prefix(']')?),
        b'*' => (Step::Each, rest),
        b'#' | b'~' => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let at = rest[..end].parse().ok()?;
            let step = if *first == b'#' { Step::Part(at) } else { Step::Parameter(at) };
            (step, &rest[end..])
        }
        b'&' => (Step::Callback, rest),
        b'!' => (Step::Awaited, rest),
        b'=' => (Step::Entered, rest),
        b'+' => (Step::Sequence, rest),
        _ => return None,
    })
}
