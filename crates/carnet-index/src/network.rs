//! The graph of a snapshot as nodes and edges, whole or around some definitions, for whoever draws or exports it.
//!
//! Only resolved calls are edges; candidates are names, not places, and never become one.

use std::collections::{BTreeMap, HashMap, VecDeque};

use carnet_core::RepoPath;
use carnet_parse::{Language, SymbolKind, Visibility};

use crate::{
    Evidence, IndexError, Snapshot, format::SectionKind, name::Query, rows::NONE,
    snapshot::CodeFile,
};

/// Nodes and edges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// Files and definitions, by path and place; a file comes before what it defines.
    pub nodes: Vec<Node>,
    /// Edges, by where they begin and end.
    pub edges: Vec<Edge>,
    /// Nodes that would belong here and were left out, because there are too many.
    pub n_left_out: usize,
}

/// A file or a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The file.
    pub path: RepoPath,
    /// Its language.
    pub language: Language,
    /// The definition; `None` for the file itself, to which the calls at its top belong.
    pub definition: Option<NodeDefinition>,
    /// Calls in a row from what the graph is drawn around: negative for callers, 0 for that itself and in a whole graph.
    pub layer: i32,
}

/// What a node defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDefinition {
    /// Its kind.
    pub kind: SymbolKind,
    /// Container and name, joined by `.`.
    pub qualified_name: String,
    /// From where it can be used.
    pub visibility: Visibility,
    /// Line of its name.
    pub line: u32,
    /// Its last line.
    pub end_line: u32,
}

/// An edge between two positions in the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// What contains or calls.
    pub from: usize,
    /// What is contained or called.
    pub to: usize,
    /// Which of both.
    pub link: Link,
}

/// What an edge says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The one is defined right inside the other.
    Contains,
    /// The one calls the other.
    Calls {
        /// Why the first of the calls is held to mean it.
        evidence: Evidence,
        /// How many calls there are.
        n_calls: u32,
        /// Line of the first.
        line: u32,
    },
}

/// A definition by its position, or the top of a file past all of those: as calls are stored.
type Maker = u32;

impl Snapshot {
    /// Returns the graph of all files, definitions and resolved calls.
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] when what was touched does not hold.
    pub fn network(&self) -> Result<Network, IndexError> {
        let (n_symbols, n_files) = self.n_makers()?;
        let layers = (0..n_symbols + n_files).map(|maker| (maker, 0)).collect();
        self.network_of(&layers)
    }

    /// Returns the graph around a file (what is defined there) or a symbol, along resolved calls in both directions.
    ///
    /// - `depth_max`: most calls in a row. `n_max`: most nodes; the nearest are kept.
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] when what was touched does not hold.
    pub fn network_around_file(
        &self,
        path: &RepoPath,
        depth_max: u32,
        n_max: usize,
    ) -> Result<Network, IndexError> {
        let (n_symbols, _) = self.n_makers()?;
        let Some((file, symbols)) = self.file_of(path)? else { return Ok(Network::default()) };
        let mut seeds: Vec<Maker> = symbols.chain(self.made_in(file)?).collect();
        seeds.push(n_symbols + file);
        self.network_around(seeds, depth_max, n_max)
    }

    /// Returns the graph around the definitions of a name, as [`Snapshot::network_around_file`] does.
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] when what was touched does not hold.
    pub fn network_around_symbol(
        &self,
        name: &str,
        depth_max: u32,
        n_max: usize,
    ) -> Result<Network, IndexError> {
        let mut seeds = Vec::new();
        for (idx, _) in self.symbols_named(&Query::new(name))? {
            seeds.extend(self.nested(idx)?);
        }
        self.network_around(seeds, depth_max, n_max)
    }

    fn network_around(
        &self,
        mut seeds: Vec<Maker>,
        depth_max: u32,
        n_max: usize,
    ) -> Result<Network, IndexError> {
        seeds.sort_unstable();
        seeds.dedup();
        let mut layers: BTreeMap<Maker, i32> = seeds.iter().map(|maker| (*maker, 0)).collect();
        for step in [1, -1] {
            let mut queue: VecDeque<(Maker, i32)> = seeds.iter().map(|it| (*it, 0)).collect();
            while let Some((maker, layer)) = queue.pop_front() {
                if layer.unsigned_abs() >= depth_max {
                    continue;
                }
                for next in if step > 0 { self.callees(maker)? } else { self.callers(maker)? } {
                    if let std::collections::btree_map::Entry::Vacant(entry) = layers.entry(next) {
                        entry.insert(layer + step);
                        queue.push_back((next, layer + step));
                    }
                }
            }
        }
        let mut nearest: Vec<(Maker, i32)> = layers.into_iter().collect();
        nearest.sort_by_key(|(maker, layer)| (layer.unsigned_abs(), *maker));
        let n_left_out = nearest.len().saturating_sub(n_max);
        nearest.truncate(n_max);
        let network = self.network_of(&nearest.into_iter().collect())?;
        Ok(Network { n_left_out, ..network })
    }

    fn network_of(&self, layers: &BTreeMap<Maker, i32>) -> Result<Network, IndexError> {
        let (n_symbols, _) = self.n_makers()?;
        let mut order = Vec::with_capacity(layers.len());
        for (maker, layer) in layers {
            let file = match maker.checked_sub(n_symbols) {
                Some(file) => file,
                None => self.symbol(*maker)?.file,
            };
            order.push((file, *maker < n_symbols, *maker, *layer));
        }
        order.sort_unstable();
        let mut network = Network::default();
        let mut positions: HashMap<Maker, usize> = HashMap::new();
        for (file, _, maker, layer) in &order {
            positions.insert(*maker, network.nodes.len());
            network.nodes.push(self.node(*file, *maker, n_symbols, *layer)?);
        }
        for (from, (file, is_symbol, maker, _)) in order.iter().enumerate() {
            if *is_symbol {
                let outer = match self.symbol(*maker)?.parent {
                    NONE => n_symbols + file,
                    parent => parent,
                };
                if let Some(outer) = positions.get(&outer) {
                    network.edges.push(Edge { from: *outer, to: from, link: Link::Contains });
                }
            }
            let mut calls: BTreeMap<usize, Link> = BTreeMap::new();
            for call in self.outgoing_calls(*maker)? {
                let Some(to) = positions.get(&call.target) else { continue };
                let first = Link::Calls { evidence: call.evidence, n_calls: 0, line: call.line };
                if let Link::Calls { n_calls, .. } = calls.entry(*to).or_insert(first) {
                    *n_calls += 1;
                }
            }
            network.edges.extend(calls.into_iter().map(|(to, link)| Edge { from, to, link }));
        }
        network.edges.sort_by_key(|edge| (edge.from, edge.to));
        Ok(network)
    }

    fn node(
        &self,
        file: u32,
        maker: Maker,
        n_symbols: u32,
        layer: i32,
    ) -> Result<Node, IndexError> {
        let CodeFile { path, row } = self.file(file)?;
        let language = row.language;
        if maker >= n_symbols {
            return Ok(Node { path, language, definition: None, layer });
        }
        let found = self.definition(self.symbol(maker)?)?;
        let definition = NodeDefinition {
            kind: found.symbol.kind,
            qualified_name: found.symbol.qualified_name(),
            visibility: found.symbol.visibility,
            line: found.symbol.name_region.start_line,
            end_line: found.symbol.region.end_line,
        };
        let (path, language) = (found.path, found.language);
        Ok(Node { path, language, definition: Some(definition), layer })
    }

    fn n_makers(&self) -> Result<(u32, u32), IndexError> {
        let n_symbols = self.sections.n_rows(SectionKind::Symbols)?;
        let n_files = self.sections.n_rows(SectionKind::Files)?;
        match n_symbols.checked_add(n_files) {
            Some(_) => Ok((n_symbols, n_files)),
            None => Err(self.sections.corrupt("it has too many symbols")),
        }
    }

    fn callees(&self, maker: Maker) -> Result<Vec<Maker>, IndexError> {
        let calls = self.outgoing_calls(maker)?;
        Ok(calls.iter().map(|call| call.target).filter(|target| *target != NONE).collect())
    }

    fn callers(&self, maker: Maker) -> Result<Vec<Maker>, IndexError> {
        let (n_symbols, _) = self.n_makers()?;
        if maker >= n_symbols {
            return Ok(Vec::new()); // Nobody calls the top of a file.
        }
        let incoming = self.incoming(self.symbol(maker)?.name)?;
        let incoming = incoming.get(&maker).into_iter().flatten();
        Ok(incoming.map(|call| call.enclosing.unwrap_or(n_symbols + call.file)).collect())
    }
}
