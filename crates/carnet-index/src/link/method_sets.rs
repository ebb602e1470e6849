//! Which types of Go have the methods of which interfaces: Go does not say, the compiler compares.
//!
//! Names are compared, not signatures; so what comes out is a candidate. An interface that embeds another is taken with
//! its own methods alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use carnet_parse::{Language, SymbolKind};

use crate::link::{BaseRow, Linker, StringId, SymbolIdx, modules};

/// Most interfaces that are compared.
const INTERFACES_MAX: usize = 20_000;
/// Most types found to implement one interface; an interface of one common method has no more to say.
const TYPES_MAX: usize = 1_000;

/// Returns a row for each interface and type whose method names include the interface's.
pub(super) fn implementations(linker: &Linker) -> Vec<BaseRow> {
    let (interfaces, types) = gather(linker);
    let mut by_method: HashMap<StringId, Vec<&(String, StringId)>> = HashMap::new();
    for (ty, methods) in &types {
        methods.iter().for_each(|method| by_method.entry(*method).or_default().push(ty));
    }
    let definitions = definitions(linker);
    let mut found = vec![];
    for (interface, methods) in interfaces.iter().take(INTERFACES_MAX) {
        let rarest = methods.iter().map(|it| by_method.get(it).map_or(&[][..], |it| it));
        let Some(candidates) = rarest.min_by_key(|types| types.len()) else { continue };
        let fits = |ty: &&&(String, StringId)| methods.is_subset(&types[**ty]);
        for ty in candidates.iter().filter(fits).take(TYPES_MAX) {
            let Some(idx) = definitions.get(*ty).copied() else { continue };
            found.push((linker.symbols[*interface as usize].name, idx));
        }
    }
    let row = |(supertype, idx): (StringId, SymbolIdx)| {
        let symbol = &linker.symbols[idx as usize];
        BaseRow {
            supertype,
            qualifier: None,
            subtype: symbol.name,
            symbol: Some(idx),
            file: symbol.file,
            line: symbol.name_region.start_line,
            column: symbol.name_region.start_column,
            is_said: false,
        }
    };
    found.into_iter().map(row).collect()
}

type Methods = BTreeSet<StringId>;

/// Returns the method names of each interface, and those of each type by its package's directory and name.
fn gather(
    linker: &Linker,
) -> (BTreeMap<SymbolIdx, Methods>, BTreeMap<(String, StringId), Methods>) {
    let mut interfaces: BTreeMap<SymbolIdx, Methods> = BTreeMap::new();
    let mut types: BTreeMap<(String, StringId), Methods> = BTreeMap::new();
    for symbol in &linker.symbols {
        let file = &linker.files[symbol.file as usize];
        if symbol.kind != SymbolKind::Method || file.language != Language::Go {
            continue;
        }
        match symbol.parent {
            Some(interface) => {
                interfaces.entry(interface).or_default().insert(symbol.name);
            }
            None => {
                let key = (directory(linker, symbol.file), symbol.container);
                types.entry(key).or_default().insert(symbol.name);
            }
        }
    }
    (interfaces, types)
}

fn definitions(linker: &Linker) -> HashMap<(String, StringId), SymbolIdx> {
    let symbols = linker.symbols.iter().enumerate();
    let types = symbols.filter(|(_, symbol)| {
        let file = &linker.files[symbol.file as usize];
        let is_type = matches!(symbol.kind, SymbolKind::Struct | SymbolKind::Type);
        is_type && file.language == Language::Go && symbol.parent.is_none()
    });
    types
        .map(|(idx, symbol)| ((directory(linker, symbol.file), symbol.name), idx as SymbolIdx))
        .collect()
}

fn directory(linker: &Linker, file: u32) -> String {
    let path = linker.strings.get(linker.files[file as usize].path);
    String::from_utf8_lossy(modules::directory(path)).into_owned()
}
