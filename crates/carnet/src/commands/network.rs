//! `carnet graph`: the graph of calls as a picture or a list, around a file or a symbol, and whole for other programs.

use std::fmt::Write as _;

use carnet_core::ExitCode;
use carnet_index::{Link, Network, Node};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::{
    graph::indexed_path,
    picture,
    query::{Asked, IndexLine, is_false},
};
use crate::{cli::FreshArgs, error::CommandResult, ui::Ui};

/// Options of `graph`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct GraphArgs {
    #[command(subcommand)]
    command: Option<GraphCommand>,
    #[command(flatten)]
    around: AroundArgs,
}

/// Verbs of `graph`.
#[derive(Debug, Subcommand)]
enum GraphCommand {
    /// Write the whole graph for another program: files, definitions, resolved calls.
    #[command(
        after_help = "Examples:\n  carnet graph export >graph.graphml                   networkx, Gephi, yEd\n  carnet graph export --format cypher | cypher-shell     Neo4j, Memgraph\n  carnet graph export --format json | jq '.edges | length'"
    )]
    Export(ExportArgs),
}

/// Options of `graph export`.
#[derive(Debug, Args)]
struct ExportArgs {
    /// The form.
    #[arg(long, value_enum, default_value_t)]
    format: GraphFormat,
    #[command(flatten)]
    fresh: FreshArgs,
}

/// Options of `graph FILE|SYMBOL`.
#[derive(Debug, Args)]
struct AroundArgs {
    /// A file, or a symbol's name.
    #[arg(value_name = "FILE|SYMBOL", required = true)]
    target: Option<String>,
    /// Draw a picture.
    #[arg(long, conflicts_with = "json")]
    svg: bool,
    /// Most calls in a row that are followed, to callers and to what is called.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    depth: u32,
    /// Most nodes; the nearest are kept.
    #[arg(long, default_value_t = 120, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=2000))]
    nodes: u16,
    #[command(flatten)]
    fresh: FreshArgs,
    /// Write JSON (`carnet/graph/1`).
    #[arg(long)]
    json: bool,
}

/// Forms of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum GraphFormat {
    /// GraphML.
    #[default]
    Graphml,
    /// Statements of openCypher.
    Cypher,
    /// JSON (`carnet/graph/1`).
    Json,
}

/// `carnet graph --json` and `carnet graph export --format json`.
#[derive(Serialize)]
struct GraphReport {
    format: &'static str,
    index: IndexLine,
    nodes: Vec<NodeLine>,
    edges: Vec<EdgeLine>,
    n_left_out: usize,
}

/// A node, as every form has it.
#[derive(Serialize)]
struct NodeLine {
    id: String,
    /// `file`, or the kind of a definition.
    kind: &'static str,
    name: String,
    path: String,
    language: &'static str,
    line: Option<u32>,
    end_line: Option<u32>,
    visibility: Option<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    uncommitted: bool,
}

/// An edge, as every form has it.
#[derive(Serialize)]
struct EdgeLine {
    source: String,
    target: String,
    /// `contains` or `calls`.
    kind: &'static str,
    evidence: Option<&'static str>,
    /// From 0 to 1.
    confidence: Option<f64>,
    n_calls: Option<u32>,
    line: Option<u32>,
}

/// Draws, lists or exports the graph.
pub fn graph(ui: &Ui, args: &GraphArgs) -> CommandResult {
    match &args.command {
        Some(GraphCommand::Export(args)) => export(ui, args),
        None => around(ui, &args.around),
    }
}

fn export(ui: &Ui, args: &ExportArgs) -> CommandResult {
    let asked = Asked::open(ui, args.fresh)?;
    let network = asked.snapshot.network()?;
    match args.format {
        GraphFormat::Json => ui.json(&report(&asked, &network)),
        GraphFormat::Graphml => ui.out(&graphml(&asked, &network)),
        GraphFormat::Cypher => ui.out(&cypher(&asked, &network)),
    }
    ui.err(&asked.footer());
    Ok(if asked.is_level() { ExitCode::Done } else { ExitCode::Incomplete })
}

fn around(ui: &Ui, args: &AroundArgs) -> CommandResult {
    let asked = Asked::open(ui, args.fresh)?;
    let target = args.target.as_deref().unwrap_or_default();
    let n_max = usize::from(args.nodes);
    let network = match indexed_path(&asked, target)? {
        Some(path) => asked.snapshot.network_around_file(&path, args.depth, n_max)?,
        None => asked.snapshot.network_around_symbol(target, args.depth, n_max)?,
    };
    if network.nodes.is_empty() {
        return asked.ending(false, target);
    }
    if args.json {
        ui.json(&report(&asked, &network));
    } else if args.svg {
        let commit = asked.snapshot.commit().short();
        let title = format!("{target} at commit {commit}");
        ui.out(&picture::svg(&network, &title, &|path| asked.is_uncommitted(path)));
    } else {
        ui.out(&calls_list(ui, &asked, &network));
    }
    if network.n_left_out > 0 {
        let left_out = network.n_left_out;
        ui.err(&format!("{left_out} further nodes left out; see more with --nodes\n"));
    }
    ui.err(&asked.footer());
    asked.ending(true, target)
}

/// One line for each pair of which the one calls the other.
fn calls_list(ui: &Ui, asked: &Asked, network: &Network) -> String {
    let mut text = String::new();
    for edge in &network.edges {
        let Link::Calls { evidence, n_calls, line } = edge.link else { continue };
        let (from, to) = (&network.nodes[edge.from], &network.nodes[edge.to]);
        let place = ui.bold_out(&format!("{}:{line}", from.path));
        let times = if n_calls > 1 { format!(" ({n_calls} times)") } else { String::new() };
        let (evidence, mark) = (ui.dim_out(evidence.name()), asked.mark(ui, &from.path));
        let (from, to) = (label(from), label(to));
        let _ = writeln!(text, "{place}  {from} → {to}{times}  {evidence}{mark}");
    }
    text
}

/// A definition's name, or the file's path.
pub(super) fn label(node: &Node) -> String {
    match &node.definition {
        Some(definition) => definition.qualified_name.clone(),
        None => node.path.to_text(),
    }
}

fn report(asked: &Asked, network: &Network) -> GraphReport {
    GraphReport {
        format: "carnet/graph/1",
        index: asked.line(),
        nodes: node_lines(asked, network),
        edges: edge_lines(network),
        n_left_out: network.n_left_out,
    }
}

fn node_lines(asked: &Asked, network: &Network) -> Vec<NodeLine> {
    let line = |(idx, node): (usize, &Node)| {
        let definition = node.definition.as_ref();
        NodeLine {
            id: format!("n{idx}"),
            kind: definition.map_or("file", |it| it.kind.name()),
            name: label(node),
            path: node.path.to_text(),
            language: node.language.name(),
            line: definition.map(|it| it.line),
            end_line: definition.map(|it| it.end_line),
            visibility: definition.map(|it| it.visibility.name()),
            uncommitted: asked.is_uncommitted(&node.path),
        }
    };
    network.nodes.iter().enumerate().map(line).collect()
}

fn edge_lines(network: &Network) -> Vec<EdgeLine> {
    let line = |edge: &carnet_index::Edge| {
        let (kind, evidence, n_calls, line) = match edge.link {
            Link::Contains => ("contains", None, None, None),
            Link::Calls { evidence, n_calls, line } => {
                ("calls", Some(evidence), Some(n_calls), Some(line))
            }
        };
        let (source, target) = (format!("n{}", edge.from), format!("n{}", edge.to));
        let confidence = evidence.map(carnet_index::Evidence::confidence);
        let evidence = evidence.map(carnet_index::Evidence::name);
        EdgeLine { source, target, kind, evidence, confidence, n_calls, line }
    };
    network.edges.iter().map(line).collect()
}

const GRAPHML_HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://graphml.graphdrawing.org/xmlns http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd">
  <key id="kind" for="node" attr.name="kind" attr.type="string"/>
  <key id="name" for="node" attr.name="name" attr.type="string"/>
  <key id="path" for="node" attr.name="path" attr.type="string"/>
  <key id="language" for="node" attr.name="language" attr.type="string"/>
  <key id="line" for="node" attr.name="line" attr.type="int"/>
  <key id="end_line" for="node" attr.name="end_line" attr.type="int"/>
  <key id="visibility" for="node" attr.name="visibility" attr.type="string"/>
  <key id="uncommitted" for="node" attr.name="uncommitted" attr.type="boolean"/>
  <key id="link" for="edge" attr.name="kind" attr.type="string"/>
  <key id="evidence" for="edge" attr.name="evidence" attr.type="string"/>
  <key id="confidence" for="edge" attr.name="confidence" attr.type="double"/>
  <key id="n_calls" for="edge" attr.name="n_calls" attr.type="int"/>
  <key id="call_line" for="edge" attr.name="line" attr.type="int"/>
  <graph id="carnet" edgedefault="directed">
"#;

fn graphml(asked: &Asked, network: &Network) -> String {
    let mut text = GRAPHML_HEAD.to_owned();
    let data = |text: &mut String, key: &str, value: Option<&str>| {
        if let Some(value) = value {
            let _ = write!(text, r#"<data key="{key}">{}</data>"#, escape_xml(value));
        }
    };
    let number = |number: Option<u32>| number.map(|it| it.to_string());
    for node in node_lines(asked, network) {
        let _ = write!(text, r#"    <node id="{}">"#, node.id);
        for (key, value) in [
            ("kind", node.kind),
            ("name", &node.name),
            ("path", &node.path),
            ("language", node.language),
        ] {
            data(&mut text, key, Some(value));
        }
        data(&mut text, "line", number(node.line).as_deref());
        data(&mut text, "end_line", number(node.end_line).as_deref());
        data(&mut text, "visibility", node.visibility);
        data(&mut text, "uncommitted", node.uncommitted.then_some("true"));
        text += "</node>\n";
    }
    for edge in edge_lines(network) {
        let _ = write!(text, r#"    <edge source="{}" target="{}">"#, edge.source, edge.target);
        data(&mut text, "link", Some(edge.kind));
        data(&mut text, "evidence", edge.evidence);
        data(&mut text, "confidence", edge.confidence.map(|it| it.to_string()).as_deref());
        data(&mut text, "n_calls", number(edge.n_calls).as_deref());
        data(&mut text, "call_line", number(edge.line).as_deref());
        text += "</edge>\n";
    }
    text + "  </graph>\n</graphml>\n"
}

/// Escapes a text for XML 1.0; what that has no place for becomes U+FFFD.
pub(super) fn escape_xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\t' => escaped += "&#9;",
            '\n' => escaped += "&#10;",
            '\r' => escaped += "&#13;",
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(char),
        }
    }
    escaped
}

/// Rows of one statement: large statements are slow to read, many small ones to run.
const CYPHER_ROWS: usize = 500;

/// Statements that make the graph: nodes `Code` with their properties, relations `CONTAINS` and `CALLS`.
fn cypher(asked: &Asked, network: &Network) -> String {
    let mut text =
        "CREATE CONSTRAINT carnet_code IF NOT EXISTS FOR (n:Code) REQUIRE n.id IS UNIQUE;\n"
            .to_owned();
    let mut rows = Vec::new();
    for node in node_lines(asked, network) {
        let mut row = format!(
            "{{id:{},kind:{},name:{},path:{},language:{}",
            quote(&node.id),
            quote(node.kind),
            quote(&node.name),
            quote(&node.path),
            quote(node.language)
        );
        for (key, value) in [("line", node.line), ("end_line", node.end_line)] {
            let _ = value.map(|value| write!(row, ",{key}:{value}"));
        }
        let _ = node.visibility.map(|it| write!(row, ",visibility:{}", quote(it)));
        if node.uncommitted {
            row += ",uncommitted:true";
        }
        rows.push(row + "}");
    }
    for rows in rows.chunks(CYPHER_ROWS) {
        let rows = rows.join(",\n ");
        let _ = writeln!(text, "UNWIND [{rows}] AS row CREATE (n:Code) SET n = row;");
    }
    let (contains, calls): (Vec<EdgeLine>, Vec<EdgeLine>) =
        edge_lines(network).into_iter().partition(|edge| edge.kind == "contains");
    for (edges, name, set) in [
        (contains, "CONTAINS", ""),
        (
            calls,
            "CALLS",
            " {evidence: row.evidence, confidence: row.confidence, n_calls: row.n_calls, line: row.line}",
        ),
    ] {
        for edges in edges.chunks(CYPHER_ROWS) {
            let rows: Vec<String> = edges.iter().map(cypher_edge).collect();
            let rows = rows.join(",\n ");
            let _ = writeln!(
                text,
                "UNWIND [{rows}] AS row MATCH (a:Code {{id: row.source}}), (b:Code {{id: row.target}}) CREATE (a)-[:{name}{set}]->(b);"
            );
        }
    }
    text
}

fn cypher_edge(edge: &EdgeLine) -> String {
    let mut row = format!("{{source:{},target:{}", quote(&edge.source), quote(&edge.target));
    let _ = edge.evidence.map(|it| write!(row, ",evidence:{}", quote(it)));
    let _ = edge.confidence.map(|it| write!(row, ",confidence:{it}"));
    for (key, value) in [("n_calls", edge.n_calls), ("line", edge.line)] {
        let _ = value.map(|value| write!(row, ",{key}:{value}"));
    }
    row + "}"
}

/// A string literal of openCypher.
fn quote(text: &str) -> String {
    let mut quoted = "'".to_owned();
    for char in text.chars() {
        match char {
            '\'' | '\\' => quoted.extend(['\\', char]),
            char if char.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(char));
            }
            char => quoted.push(char),
        }
    }
    quoted + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_kind_stay_inside_their_quotes() {
        assert_eq!(quote("it's \\ \n\u{7f}ü"), "'it\\'s \\\\ \\u000a\\u007fü'");
        assert_eq!(
            escape_xml("a<b> & \"c\"\u{1}\n"),
            "a&lt;b&gt; &amp; &quot;c&quot;\u{fffd}&#10;"
        );
    }
}
