//! What macros of Rust define: an invocation where items stand is as good as what the macro's rules define by its arguments.
//!
//! Nothing is expanded. An invocation defines something where every macro that it may mean, and every rule of it that fits how the
//! arguments begin, defines the same; else it defines nothing. A macro is looked for in the file, among its imports, then
//! in its crate. What is defined so stands behind all other symbols: its existence hangs on two files, and the positions of those
//! that a file defines by itself must not.

use std::collections::{BTreeSet, HashMap};

use carnet_parse::{
    Handed, Imported, Invocation, Language, MacroRule, Makes, SymbolKind, Taken, Takes, Visibility,
};

use super::{CallRow, FileIdx, Linker, StringId, SymbolIdx, SymbolRow, modules::Modules, number};
use crate::IndexError;

/// Most macros that hand a name on to one another.
const THROUGH_MAX: u32 = 4;
/// Most symbols that all invocations of a commit define.
const MADE_MAX: usize = 1_000_000;

/// One definition of an invocation: which argument names it, and what it becomes.
type Made = (u32, SymbolKind, Visibility);

/// Adds the symbols that invocations define, and gives them the calls that stand in them.
pub(super) fn add(
    linker: &mut Linker,
    modules: &Modules,
    calls: &mut [CallRow],
) -> Result<(), IndexError> {
    let invocations = std::mem::take(&mut linker.invocations);
    let macros = Macros::new(linker, modules);
    let made = invocations.iter().map(|(file, it)| macros.made_by(*file, it));
    let made: Vec<BTreeSet<Made>> = made.collect();
    let n_before = linker.symbols.len();
    for ((file, invocation), made) in invocations.iter().zip(&made) {
        let n_made = linker.symbols.len() - n_before + made.len();
        if n_made <= MADE_MAX {
            let rows = rows(linker, *file, invocation, made)?;
            linker.symbols.extend(rows);
        }
    }
    linker.symbols[n_before..].sort_by_key(|row| (row.file, row.region.start));
    number(linker.symbols.len(), "symbols")?;
    linker.rules = HashMap::new();
    for idx in n_before..linker.symbols.len() {
        take_calls(linker, idx, calls);
    }
    Ok(())
}

fn rows(
    linker: &mut Linker,
    file: FileIdx,
    invocation: &Invocation,
    made: &BTreeSet<Made>,
) -> Result<Vec<SymbolRow>, IndexError> {
    let first_symbol = linker.files[file as usize].first_symbol;
    let mut rows = vec![];
    for (place, kind, visibility) in made {
        let Some(argument) = invocation.arguments.get(*place as usize) else { continue };
        let signature = format!("{}!({}, …)", invocation.path, argument.name);
        let is_method = invocation.is_member && *kind == SymbolKind::Function;
        rows.push(SymbolRow {
            file,
            kind: if is_method { SymbolKind::Method } else { *kind },
            name: linker.strings.intern(argument.name.as_bytes())?,
            container: linker.strings.intern(invocation.container.as_bytes())?,
            signature: linker.strings.add(signature.as_bytes())?,
            parent: invocation.parent.map(|parent| first_symbol + parent),
            name_region: argument.name_region,
            region: if made.len() == 1 { invocation.region } else { argument.region },
            visibility: *visibility,
            doc: match invocation.doc.as_str() {
                "" => linker.strings.intern(b"")?,
                doc => linker.strings.add(doc.as_bytes())?,
            },
        });
    }
    Ok(rows)
}

/// A function that an invocation defines makes the calls behind its name that no other definition makes.
fn take_calls(linker: &Linker, idx: usize, calls: &mut [CallRow]) {
    let row = &linker.symbols[idx];
    if !matches!(row.kind, SymbolKind::Function | SymbolKind::Method) {
        return;
    }
    let (start, end) = (row.name_region.end as u32, row.region.end as u32);
    let first = calls.partition_point(|call| (call.file, call.start) < (row.file, start));
    let inside = calls[first..].iter_mut();
    for call in inside.take_while(|call| call.file == row.file && call.start < end) {
        if call.enclosing == row.parent {
            call.enclosing = Some(idx as SymbolIdx);
        }
    }
}

/// The macros of a commit, where they can be found.
struct Macros<'l> {
    linker: &'l Linker,
    modules: &'l Modules,
    by_file: HashMap<(FileIdx, StringId), Vec<SymbolIdx>>,
    /// By the directory of the crate.
    by_crate: HashMap<(&'l str, StringId), Vec<SymbolIdx>>,
}

/// How the arguments that a macro is given begin.
struct Given<'a> {
    names: Vec<GivenName<'a>>,
    /// Whether what follows them begins with no name.
    are_all_names: bool,
    /// Whether these are all the arguments, each with the same mark.
    is_whole: bool,
    n_arguments: Option<u32>,
}

#[derive(Clone, Copy)]
struct GivenName<'a> {
    text: &'a str,
    mark: &'a str,
    /// Which argument of the invocation it is; `None` for one that a macro adds.
    place: Option<u32>,
}

impl<'l> Macros<'l> {
    fn new(linker: &'l Linker, modules: &'l Modules) -> Macros<'l> {
        let (mut by_file, mut by_crate) = (HashMap::new(), HashMap::new());
        let is_asked_for = !linker.rules.is_empty();
        for (idx, row) in linker.symbols.iter().enumerate().filter(|_| is_asked_for) {
            let language = linker.files[row.file as usize].language;
            if row.kind != SymbolKind::Macro || language != Language::Rust {
                continue;
            }
            let of_file: &mut Vec<_> = by_file.entry((row.file, row.name)).or_default();
            of_file.push(idx as SymbolIdx);
            let is_of_function = row.parent.is_some_and(|parent| {
                let kind = linker.symbols[parent as usize].kind;
                matches!(kind, SymbolKind::Function | SymbolKind::Method)
            });
            if let Some(module) = modules.rust_module(row.file).filter(|_| !is_of_function) {
                let key = (module.crate_dir.as_str(), row.name);
                let of_crate: &mut Vec<_> = by_crate.entry(key).or_default();
                of_crate.push(idx as SymbolIdx);
            }
        }
        Macros { linker, modules, by_file, by_crate }
    }

    /// Returns what an invocation defines.
    fn made_by(&self, file: FileIdx, invocation: &Invocation) -> BTreeSet<Made> {
        let names = invocation.arguments.iter().zip(0..).map(|(it, place)| GivenName {
            text: &it.name,
            mark: &it.mark,
            place: Some(place),
        });
        let given = Given {
            names: names.collect(),
            are_all_names: true,
            is_whole: invocation.is_whole,
            n_arguments: invocation.n_arguments,
        };
        let macros = self.meant_by(file, invocation);
        self.made_by_all(macros, &given, 0).unwrap_or_default()
    }

    /// Returns what macros of one name define, if all do the same.
    fn made_by_all(
        &self,
        macros: impl IntoIterator<Item = SymbolIdx>,
        given: &Given<'_>,
        depth: u32,
    ) -> Option<BTreeSet<Made>> {
        let mut agreed = None;
        for idx in macros {
            agree(&mut agreed, self.made_by_one(idx, given, depth)?)?;
        }
        agreed
    }

    /// Returns what a macro defines; `None` when its rules do not say, or no rule fits.
    fn made_by_one(&self, idx: SymbolIdx, given: &Given<'_>, depth: u32) -> Option<BTreeSet<Made>> {
        let mut agreed = None;
        for rule in self.linker.rules.get(&idx)? {
            if rule.n_arguments.is_some_and(|n| given.n_arguments.is_some_and(|found| found != n)) {
                continue;
            }
            match fit(&rule.takes, given) {
                Fit::Not => continue,
                Fit::Unknown => return None,
                Fit::Is => {}
            }
            if let Some(made) = self.made_by_rule(idx, rule, given, depth)? {
                agree(&mut agreed, made)?;
            }
            if rule.is_sure && (rule.takes == Takes::All || given.n_arguments.is_some()) {
                break;
            }
        }
        agreed
    }

    /// Returns what one rule defines; inside that, `None` for a rule that hands all on to another rule of its macro.
    fn made_by_rule(
        &self,
        idx: SymbolIdx,
        rule: &MacroRule,
        given: &Given<'_>,
        depth: u32,
    ) -> Option<Option<BTreeSet<Made>>> {
        let row = &self.linker.symbols[idx as usize];
        let own_name = self.linker.strings.text(row.name);
        let (mut made, mut is_handed_on) = (BTreeSet::new(), false);
        let is_each = matches!(rule.takes, Takes::EachName(_));
        for makes in &rule.makes {
            let (name, handed, n_arguments) = match makes {
                Makes::Item { place, kind, visibility } => {
                    let (first, n) = if is_each { (0, given.names.len()) } else { (*place, 1) };
                    let named = given.names.iter().skip(first as usize).take(n);
                    let places = named.filter_map(|name| name.place);
                    made.extend(places.map(|place| (place, *kind, *visibility)));
                    continue;
                }
                Makes::Through { name, handed, n_arguments } => (name, handed, *n_arguments),
            };
            let is_same = |(handed, at): (&Handed, u32)| *handed == Handed::Argument(at);
            if *name == *own_name && n_arguments.is_none() && handed.iter().zip(0..).all(is_same) {
                is_handed_on = true;
                continue;
            }
            if depth >= THROUGH_MAX {
                return None;
            }
            // A macro that is not here, or that defines nothing by a name, adds nothing.
            let near = self.near(row.file, name).into_iter();
            let near: Vec<SymbolIdx> =
                near.filter(|it| self.linker.rules.contains_key(it)).collect();
            if near.is_empty() {
                continue;
            }
            let n_each = if is_each { given.names.len() } else { 1 };
            for first in 0..n_each {
                let given = handed_on(handed, given, first, n_arguments);
                made.extend(self.made_by_all(near.iter().copied(), &given, depth + 1)?);
            }
        }
        Some(if is_handed_on && made.is_empty() { None } else { Some(made) })
    }

    /// Returns the macros that an invocation may mean.
    fn meant_by(&self, file: FileIdx, invocation: &Invocation) -> Vec<SymbolIdx> {
        let (module, name) =
            invocation.path.rsplit_once("::").unwrap_or(("", invocation.path.as_str()));
        let Some(name_id) = self.linker.strings.find(name.as_bytes()) else { return vec![] };
        if !module.is_empty() {
            return self.of_module(file, module, name_id);
        }
        let strings = &self.linker.strings;
        let is_seen = |idx: &SymbolIdx| {
            let row = &self.linker.symbols[*idx as usize];
            row.region.start < invocation.region.start
                && super::resolve::is_within(&invocation.container, &strings.text(row.container))
        };
        let of_file = self.by_file.get(&(file, name_id)).into_iter().flatten().copied();
        let seen: Vec<SymbolIdx> = of_file.filter(is_seen).collect();
        if !seen.is_empty() {
            return seen;
        }
        let imports = &self.linker.files[file as usize].imports;
        let import = imports.iter().find_map(|import| match &import.imported {
            Imported::Name(own) if import.alias.as_ref().unwrap_or(own) == name => {
                Some((import.module.as_str(), own.as_str()))
            }
            _ => None,
        });
        match import {
            Some((module, own)) => {
                let own = strings.find(own.as_bytes());
                own.map(|own| self.of_module(file, module, own)).unwrap_or_default()
            }
            None => self.of_crate(self.crate_dir(file), name_id),
        }
    }

    /// Returns the macros that a rule of a macro in `file` may mean by a name.
    fn near(&self, file: FileIdx, name: &str) -> Vec<SymbolIdx> {
        let Some(name) = self.linker.strings.find(name.as_bytes()) else { return vec![] };
        match self.by_file.get(&(file, name)) {
            Some(found) => found.clone(),
            None => self.of_crate(self.crate_dir(file), name),
        }
    }

    /// Returns the macros of a name in the crate that a path begins with: wherever they stand in it, `macro_export` puts them at
    /// its top.
    fn of_module(&self, file: FileIdx, module: &str, name: StringId) -> Vec<SymbolIdx> {
        let module = module.strip_prefix("::").unwrap_or(module);
        match module.split("::").next() {
            Some("crate" | "self" | "super" | "$crate") => {
                self.of_crate(self.crate_dir(file), name)
            }
            Some(first) => self.of_crate(self.modules.rust_crate(first), name),
            None => vec![],
        }
    }

    fn of_crate(&self, crate_dir: Option<&str>, name: StringId) -> Vec<SymbolIdx> {
        let found = crate_dir.and_then(|crate_dir| self.by_crate.get(&(crate_dir, name)));
        found.cloned().unwrap_or_default()
    }

    fn crate_dir(&self, file: FileIdx) -> Option<&str> {
        self.modules.rust_module(file).map(|module| module.crate_dir.as_str())
    }
}

/// Whether a rule is for what a macro is given.
enum Fit {
    Is,
    Not,
    Unknown,
}

fn fit(takes: &Takes, given: &Given<'_>) -> Fit {
    let fits = |mark: &str, name: &GivenName<'_>| mark == "*" || mark == name.mark;
    match takes {
        Takes::NoName => Fit::Not,
        Takes::All => Fit::Is,
        Takes::Anything => Fit::Unknown,
        Takes::EachName(mark) if !given.names.first().is_some_and(|it| fits(mark, it)) => Fit::Not,
        Takes::EachName(_) if given.is_whole => Fit::Is,
        Takes::EachName(_) => Fit::Unknown,
        Takes::First(taken) => {
            let mut pairs = taken.iter().zip(&given.names);
            let is_fit = pairs.all(|(taken, name)| match taken {
                Taken::Name(mark) => fits(mark, name),
                Taken::Word(word) => word == name.text && name.mark.is_empty(),
            });
            match is_fit {
                false => Fit::Not,
                true if taken.len() <= given.names.len() => Fit::Is,
                true if given.are_all_names => Fit::Not,
                true => Fit::Unknown,
            }
        }
    }
}

/// Returns what another macro is given.
///
/// - `first`: which argument is meant where a rule takes each alike.
fn handed_on<'a>(
    handed: &'a [Handed],
    given: &Given<'a>,
    first: usize,
    n_arguments: Option<u32>,
) -> Given<'a> {
    let mut names = vec![];
    for it in handed {
        match it {
            Handed::Word(text) => names.push(GivenName { text, mark: "", place: None }),
            Handed::Argument(place) => {
                let name = given.names.get(first + *place as usize);
                names.extend(name.map(|name| GivenName { mark: "", ..*name }));
            }
            Handed::All => {
                names.extend(&given.names);
                return Given {
                    names,
                    are_all_names: given.are_all_names,
                    is_whole: given.is_whole && handed.len() == 1,
                    n_arguments: n_arguments.zip(given.n_arguments).map(|(own, all)| own + all),
                };
            }
        }
    }
    Given { names, are_all_names: false, is_whole: false, n_arguments }
}

/// Takes in what one of several says; `None` when it is not what the others said.
fn agree(agreed: &mut Option<BTreeSet<Made>>, made: BTreeSet<Made>) -> Option<()> {
    match agreed {
        Some(agreed) => (*agreed == made).then_some(()),
        None => {
            *agreed = Some(made);
            Some(())
        }
    }
}
