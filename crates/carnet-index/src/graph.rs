//! Walks over the graph of calls: what a definition calls, and what reaches it.
//!
//! Only resolved calls are walked along, so what is reached is a lower bound; candidates are never followed.

use std::collections::{HashMap, HashSet, VecDeque};

use carnet_core::Region;

use crate::{
    CallSite, Callers, Change, Hit, Implementation, IndexError, Neighbour, Reached, Snapshot,
    format::SectionKind,
    name::Query,
    rows::{BaseRow, CallRow, NONE},
};

/// Most definitions that one walk reaches.
const REACHED_MAX: usize = 20_000;
/// Most neighbours of one definition.
const NEIGHBOURS_MAX: usize = 200;

/// Where a resolved call of one definition stands.
#[derive(Clone, Copy)]
pub(crate) struct Incoming {
    pub file: u32,
    pub enclosing: Option<u32>,
    line: u32,
}

/// Resolved calls by the definition that they mean.
pub(crate) type ByTarget = HashMap<u32, Vec<Incoming>>;

impl Snapshot {
    /// Returns the calls made inside the definitions of a name, what is nested in them included.
    ///
    /// - `name`: as for [`Snapshot::where_defined`].
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] when what was touched does not hold.
    pub fn calls(&self, name: &str) -> Result<Callers, IndexError> {
        let mut calls = Callers::default();
        let mut seen = HashSet::new();
        for (idx, _) in self.symbols_named(&Query::new(name))? {
            for inner in self.nested(idx)? {
                if seen.insert(inner) {
                    self.outgoing(inner, &mut calls)?;
                }
            }
        }
        let place = |call: &CallSite| (call.path.clone(), call.region.start);
        calls.resolved.sort_by_key(place);
        calls.candidates.sort_by_key(place);
        Ok(calls)
    }

    /// Returns what reaches a definition of a name through resolved calls, nearest first.
    ///
    /// - `depth_max`: most calls in a row; 1 is who calls it directly.
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] when what was touched does not hold.
    pub fn who_reaches(&self, name: &str, depth_max: u32) -> Result<Vec<Reached>, IndexError> {
        let seeds = self.symbols_named(&Query::new(name))?.into_iter().map(|(idx, _)| idx);
        self.reach(seeds.collect(), depth_max)
    }

    /// Returns what reaches the definitions that changes touch, nearest first; a change inside a nested definition touches
    /// that one alone.
    ///
    /// - `changes`: a path that is not in the snapshot touches nothing.
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] when what was touched does not hold.
    pub fn impact(&self, changes: &[Change], depth_max: u32) -> Result<Vec<Reached>, IndexError> {
        let mut seeds = vec![];
        for Change { path, lines } in changes {
            let Some(symbols) = self.symbols_in_order(path)? else { continue };
            let regions: Vec<Region> = symbols.iter().map(|(_, row)| row.region).collect();
            for (at, (idx, _)) in symbols.iter().enumerate() {
                let touches = |range: &(u32, u32)| touches_itself(&regions[at..], *range);
                if lines.as_ref().is_none_or(|lines| lines.iter().any(touches)) {
                    seeds.push(*idx);
                }
            }
        }
        self.reach(seeds, depth_max)
    }

    /// Returns the types that extend or implement a type, those that say so before those that only have its methods.
    ///
    /// - `name`: the own name of the supertype, without its container.
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] when what was touched does not hold.
    pub fn implementations(&self, name: &str) -> Result<Vec<Implementation>, IndexError> {
        let n_rows = self.sections.n_rows(SectionKind::Bases)?;
        let (mut low, mut high) = (0, n_rows);
        while low < high {
            let middle = low + (high - low) / 2;
            let supertype = self.text(self.base_row(middle)?.supertype)?;
            if supertype.as_str() < name { low = middle + 1 } else { high = middle }
        }
        let mut found = vec![];
        for idx in low..n_rows {
            let row = self.base_row(idx)?;
            if self.text(row.supertype)? != name {
                break;
            }
            found.push(self.implementation(&row)?);
        }
        Ok(found)
    }

    fn base_row(&self, idx: u32) -> Result<BaseRow, IndexError> {
        self.sections.row(SectionKind::Bases, idx)
    }

    fn implementation(&self, row: &BaseRow) -> Result<Implementation, IndexError> {
        let definition = match row.symbol {
            NONE => None,
            idx => Some(self.definition(self.symbol(idx)?)?),
        };
        Ok(Implementation {
            path: self.file(row.file)?.path,
            line: row.line,
            column: row.column,
            subtype: self.text(row.subtype)?,
            definition,
            is_said: row.is_said,
        })
    }

    /// Walks from the seeds along resolved calls to their callers, breadth first.
    fn reach(&self, seeds: Vec<u32>, depth_max: u32) -> Result<Vec<Reached>, IndexError> {
        let mut by_name: HashMap<u32, ByTarget> = HashMap::new();
        let mut seen: HashSet<u32> = seeds.iter().copied().collect();
        let mut seen_files = HashSet::new();
        let mut queue: VecDeque<(u32, u32, Option<usize>)> =
            seeds.into_iter().map(|idx| (idx, 0, None)).collect();
        let mut reached: Vec<Reached> = vec![];
        while let Some((idx, depth, via)) = queue.pop_front() {
            if depth >= depth_max || reached.len() >= REACHED_MAX {
                continue;
            }
            let name = self.symbol(idx)?.name;
            if let std::collections::hash_map::Entry::Vacant(entry) = by_name.entry(name) {
                entry.insert(self.incoming(name)?);
            }
            let incoming = by_name[&name].get(&idx).cloned().unwrap_or_default();
            for call in incoming {
                let is_new = match call.enclosing {
                    Some(enclosing) => seen.insert(enclosing),
                    None => seen_files.insert(call.file),
                };
                if !is_new {
                    continue;
                }
                let caller = call.enclosing.map(|idx| self.place(idx)).transpose()?;
                reached.push(Reached {
                    path: self.file(call.file)?.path,
                    line: call.line,
                    caller,
                    callee: self.place(idx)?,
                    depth: depth + 1,
                    via,
                });
                if let Some(enclosing) = call.enclosing {
                    queue.push_back((enclosing, depth + 1, Some(reached.len() - 1)));
                }
            }
        }
        Ok(reached)
    }

    /// Returns the resolved calls that are listed under a name, by what they mean.
    pub(crate) fn incoming(&self, name: u32) -> Result<ByTarget, IndexError> {
        let mut by_target = ByTarget::new();
        let Some(row) = self.name_row(&self.text(name)?)? else { return Ok(by_target) };
        for call in self.calls_of_name(&row)? {
            if call.target != NONE {
                let enclosing = (call.enclosing != NONE).then_some(call.enclosing);
                let incoming = Incoming { file: call.file, enclosing, line: call.line };
                by_target.entry(call.target).or_default().push(incoming);
            }
        }
        Ok(by_target)
    }

    /// Returns a symbol and the symbols inside it, in source order: those that its file defines by itself follow it until one
    /// begins after its end; those that macros define stand behind them all.
    pub(crate) fn nested(&self, idx: u32) -> Result<Vec<u32>, IndexError> {
        let outer = self.symbol(idx)?;
        let file = self.file(outer.file)?.row;
        let own = file.first_symbol..file.first_symbol.saturating_add(file.n_symbols);
        let made = self.made_in(outer.file)?;
        let following = if own.contains(&idx) { idx + 1..own.end } else { own };
        let mut inside = vec![idx];
        for inners in [following, made] {
            for inner in inners.filter(|inner| *inner != idx) {
                let start = self.symbol(inner)?.region.start;
                if start >= outer.region.end {
                    break;
                }
                if start >= outer.region.start {
                    inside.push(inner);
                }
            }
        }
        Ok(inside)
    }

    /// Returns what a definition calls and who calls it, along resolved calls, nearest first.
    ///
    /// - `hit`: what has no definition has no neighbours.
    /// - `depth_max`: most calls in a row.
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] when what was touched does not hold.
    pub fn neighbours(&self, hit: &Hit, depth_max: u32) -> Result<Vec<Neighbour>, IndexError> {
        let mut neighbours = vec![];
        let mut seen: HashSet<u32> = hit.symbol_idx.into_iter().collect();
        let mut queue: VecDeque<(u32, u32)> =
            hit.symbol_idx.map(|idx| (idx, 0)).into_iter().collect();
        while let Some((idx, depth)) = queue.pop_front() {
            if depth >= depth_max || neighbours.len() >= NEIGHBOURS_MAX {
                continue;
            }
            let mut found = vec![];
            for inner in self.nested(idx)? {
                let calls = self.outgoing_calls(inner)?;
                let targets = calls.iter().map(|call| call.target);
                found.extend(targets.filter(|it| *it != NONE).map(|target| (target, false)));
            }
            let incoming = self.incoming(self.symbol(idx)?.name)?;
            let callers = incoming.get(&idx).into_iter().flatten();
            found.extend(callers.filter_map(|call| Some((call.enclosing?, true))));
            for (other, is_caller) in found {
                if seen.insert(other) && neighbours.len() < NEIGHBOURS_MAX {
                    let definition = self.definition(self.symbol(other)?)?;
                    neighbours.push(Neighbour { definition, is_caller, depth: depth + 1 });
                    queue.push_back((other, depth + 1));
                }
            }
        }
        Ok(neighbours)
    }

    fn outgoing(&self, idx: u32, calls: &mut Callers) -> Result<(), IndexError> {
        let file = self.file(self.symbol(idx)?.file)?;
        for call in self.outgoing_calls(idx)? {
            let site = self.call_site(&call, &file, &self.text(call.name)?)?;
            match site.target.is_some() {
                true => calls.resolved.push(site),
                false => calls.candidates.push(site),
            }
        }
        Ok(())
    }

    /// Returns the calls made right in a definition, or at the top of a file (past all symbols, by its position).
    pub(crate) fn outgoing_calls(&self, maker: u32) -> Result<Vec<CallRow>, IndexError> {
        let n_symbols = self.sections.n_rows(SectionKind::Symbols)?;
        let (file, bytes, enclosing) = match maker.checked_sub(n_symbols) {
            Some(file) => (file, 0..usize::MAX, NONE),
            None => {
                let symbol = self.symbol(maker)?;
                (symbol.file, symbol.region.start..symbol.region.end, maker)
            }
        };
        let file = self.file(file)?.row;
        let end = file.first_call.checked_add(file.n_calls);
        let end = end.ok_or_else(|| self.sections.corrupt("a file has too many calls"))?;
        let call = |idx| self.sections.row::<CallRow>(SectionKind::Calls, idx);
        let (mut first, mut high) = (file.first_call, end);
        while first < high {
            let middle = first + (high - first) / 2;
            let is_before = (call(middle)?.start as usize) < bytes.start;
            if is_before { first = middle + 1 } else { high = middle }
        }
        let mut calls = vec![];
        for idx in first..end {
            let call = call(idx)?;
            if call.start as usize >= bytes.end {
                break;
            }
            if call.enclosing == enclosing {
                calls.push(call);
            }
        }
        Ok(calls)
    }
}

/// Tells whether a range of lines touches a definition where no definition inside it stands.
///
/// - `regions`: the definition's, then those that follow it in its file, by where they begin.
fn touches_itself(regions: &[Region], (first, last): (u32, u32)) -> bool {
    let Some((own, following)) = regions.split_first() else { return false };
    let (mut line, last) = (first.max(own.start_line), last.min(own.end_line));
    for inner in following.iter().take_while(|inner| inner.start < own.end) {
        if line > last || line < inner.start_line {
            break;
        }
        line = line.max(inner.end_line + 1);
    }
    line <= last
}

/// Returns the chain of callers from what was reached down to the definition it began with.
pub fn chain<'r>(reached: &'r [Reached], at: &'r Reached) -> Vec<&'r Reached> {
    let mut chain = vec![at];
    let mut via = at.via;
    while let Some(next) = via.and_then(|idx| reached.get(idx)) {
        chain.push(next);
        via = next.via;
    }
    chain
}
