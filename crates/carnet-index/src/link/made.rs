//! What macros of Rust define: an invocation where items stand is as good as what the macro's rules define by its arguments.
//!
//! Nothing is expanded. An invocation defines something where every macro that it may mean, and every rule of it that fits how the
//! arguments begin, defines the same; else it defines nothing. A macro is looked for in the file, among its imports, then
//! in its crate. What is defined so stands behind all other symbols: its existence hangs on two files, and the positions of those
//! that a file defines by itself must not.

use std::collections::{BTreeSet, HashMap};

use carnet_parse::{
    Imported, Invocation, Language, MacroRule, Makes, SymbolKind, Takes, Visibility,
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

/// How an invocation's arguments begin.
struct Given<'a> {
    marks: Vec<&'a str>,
    /// Whether these are all the arguments, all alike; `None` where nothing is known of what follows them.
    is_whole: Option<bool>,
    first_name: &'a str,
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
        let given = Given {
            marks: invocation.arguments.iter().map(|it| it.mark.as_str()).collect(),
            is_whole: Some(invocation.is_whole),
            first_name: invocation.arguments.first().map_or("", |it| &it.name),
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
            let is_each = match &rule.takes {
                Takes::Anything => return None,
                Takes::Token(token) if token == given.first_name => return None,
                Takes::Token(_) => continue,
                Takes::EachName(mark) if !fits(mark, given.marks.first()) => continue,
                Takes::EachName(_) if given.is_whole != Some(true) => return None,
                Takes::EachName(_) => true,
                Takes::Names(marks) => {
                    let n_known = marks.len().min(given.marks.len());
                    let mut pairs = marks[..n_known].iter().zip(&given.marks);
                    if !pairs.all(|(mark, found)| fits(mark, Some(found))) {
                        continue;
                    }
                    match given.is_whole {
                        _ if n_known == marks.len() => false,
                        Some(_) => continue,
                        None => return None,
                    }
                }
            };
            if let Some(made) = self.made_by_rule(idx, rule, depth)? {
                let n_given = given.marks.len() as u32;
                let each = |(_, kind, visibility): Made| {
                    (0..n_given).map(move |place| (place, kind, visibility))
                };
                let made = if is_each { made.into_iter().flat_map(each).collect() } else { made };
                agree(&mut agreed, made)?;
            }
        }
        agreed
    }

    /// Returns what one rule defines; inside that, `None` for a rule that hands all on to another rule of its macro.
    fn made_by_rule(
        &self,
        idx: SymbolIdx,
        rule: &MacroRule,
        depth: u32,
    ) -> Option<Option<BTreeSet<Made>>> {
        let row = &self.linker.symbols[idx as usize];
        let own_name = self.linker.strings.text(row.name);
        let (mut made, mut is_handed_on) = (BTreeSet::new(), false);
        for makes in &rule.makes {
            match makes {
                Makes::Item { place, kind, visibility } => {
                    made.insert((*place, *kind, *visibility));
                }
                Makes::Through { name, places } if *name == *own_name => {
                    let is_same = places.iter().zip(0..).all(|(place, at)| *place == at);
                    if !is_same {
                        return None;
                    }
                    is_handed_on = true;
                }
                Makes::Through { name, places } => {
                    let given =
                        Given { marks: vec![""; places.len()], is_whole: None, first_name: "" };
                    let near = self.near(row.file, name);
                    if depth >= THROUGH_MAX {
                        return None;
                    }
                    // A macro that is not here, or that defines nothing by a name, adds nothing.
                    let through = near.iter().filter(|it| self.linker.rules.contains_key(it));
                    let through: Vec<SymbolIdx> = through.copied().collect();
                    if through.is_empty() {
                        continue;
                    }
                    let through = self.made_by_all(through, &given, depth + 1)?;
                    let own = through.into_iter().filter_map(|(place, kind, visibility)| {
                        Some((*places.get(place as usize)?, kind, visibility))
                    });
                    made.extend(own);
                }
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

fn fits(mark: &str, found: Option<&&str>) -> bool {
    mark == "*" || found == Some(&mark)
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
