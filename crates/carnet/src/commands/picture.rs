//! A picture of a part of the graph, as SVG: callers to the left, what is called to the right.
//!
//! Each column holds one distance; inside it boxes stand near the middle of what they are joined to, so that fewer lines
//! cross. Nothing is measured: letters of a monospaced font have one width.

use std::{collections::BTreeMap, fmt::Write as _};

use carnet_core::RepoPath;
use carnet_index::{Link, Network, Node};

use super::network::{escape_xml, label};

const CHAR_PX: f32 = 7.3;
const BOX_HEIGHT: f32 = 36.0;
const ROW_GAP: f32 = 12.0;
const COLUMN_GAP: f32 = 90.0;
const MARGIN: f32 = 24.0;
const TITLE_HEIGHT: f32 = 30.0;
/// Longest text in a box, in letters.
const LABEL_CHARS_MAX: usize = 42;
/// How often boxes are moved towards their neighbours.
const ROUNDS: usize = 6;

const STYLE: &str = "text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#1f2328}\
.p{font-size:10px;fill:#59636e}.t{font-size:13px;font-weight:600}\
rect{fill:#f6f8fa;stroke:#8c959f}.s rect{fill:#ddf4ff;stroke:#0969da}.f rect{stroke-dasharray:4 3}.u rect{stroke:#bf8700;stroke-width:2}\
path{fill:none;stroke:#8c959f}marker path{fill:#8c959f;stroke:none}\
@media(prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#e6edf3}.p{fill:#9198a1}rect{fill:#161b22}.s rect{fill:#0c2d6b}}";

#[derive(Clone, Copy, Default)]
struct Spot {
    x: f32,
    y: f32,
    width: f32,
}

/// Returns a picture of the nodes that a call joins, and of those in the middle.
///
/// - `is_uncommitted`: tells of which files the work tree is shown, not the commit; their boxes have another border.
pub(super) fn svg(
    network: &Network,
    title: &str,
    is_uncommitted: &dyn Fn(&RepoPath) -> bool,
) -> String {
    let calls: Vec<(usize, usize, String)> = network.edges.iter().filter_map(call).collect();
    let is_drawn = |idx: usize| {
        let node = &network.nodes[idx];
        let is_joined = calls.iter().any(|(from, to, _)| *from == idx || *to == idx);
        is_joined || (node.layer == 0 && node.definition.is_some())
    };
    let drawn: Vec<usize> = (0..network.nodes.len()).filter(|idx| is_drawn(*idx)).collect();
    let spots = arrange(network, &drawn, &calls);
    let right = spots.values().map(|spot| spot.x + spot.width).fold(0.0, f32::max);
    let bottom = spots.values().map(|spot| spot.y + BOX_HEIGHT).fold(0.0, f32::max);
    let width = (right + MARGIN).max(title.chars().count() as f32 * 8.0 + 2.0 * MARGIN);
    let height = bottom + MARGIN;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\">\n\
         <title>{0}</title>\n<style>{STYLE}</style>\n\
         <defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\"/></marker></defs>\n\
         <text class=\"t\" x=\"{MARGIN}\" y=\"{MARGIN}\">{0}</text>\n",
        escape_xml(title)
    );
    for (from, to, about) in &calls {
        let _ = writeln!(text, "{}", line(spots[from], spots[to], about));
    }
    for idx in drawn {
        let _ = writeln!(text, "{}", node_box(&network.nodes[idx], spots[&idx], is_uncommitted));
    }
    text + "</svg>\n"
}

fn call(edge: &carnet_index::Edge) -> Option<(usize, usize, String)> {
    let Link::Calls { evidence, n_calls, line } = edge.link else { return None };
    let about = format!("line {line}, {} ({n_calls})", evidence.name());
    Some((edge.from, edge.to, about))
}

/// Gives each box its column by its distance, and its place in the column by those it is joined to.
fn arrange(
    network: &Network,
    drawn: &[usize],
    calls: &[(usize, usize, String)],
) -> BTreeMap<usize, Spot> {
    let mut columns: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for idx in drawn {
        columns.entry(network.nodes[*idx].layer).or_default().push(*idx);
    }
    let mut rows: BTreeMap<usize, f32> = BTreeMap::new();
    for column in columns.values() {
        rows.extend(column.iter().enumerate().map(|(row, idx)| (*idx, row as f32)));
    }
    let mut joined: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (from, to, _) in calls {
        joined.entry(*from).or_default().push(*to);
        joined.entry(*to).or_default().push(*from);
    }
    for _ in 0..ROUNDS {
        for column in columns.values_mut() {
            let middle = |idx: &usize| {
                let others = joined.get(idx).map_or(&[][..], Vec::as_slice);
                let sum: f32 = others.iter().map(|other| rows[other]).sum();
                if others.is_empty() { rows[idx] } else { sum / others.len() as f32 }
            };
            column.sort_by(|a, b| middle(a).total_cmp(&middle(b)).then(a.cmp(b)));
            rows.extend(column.iter().enumerate().map(|(row, idx)| (*idx, row as f32)));
        }
    }
    let longest = columns.values().map(Vec::len).max().unwrap_or(0) as f32;
    let (mut spots, mut x) = (BTreeMap::new(), MARGIN);
    for column in columns.values() {
        let letters = column.iter().map(|idx| box_chars(&network.nodes[*idx])).max().unwrap_or(0);
        let width = letters as f32 * CHAR_PX + 20.0;
        let first = (longest - column.len() as f32) / 2.0;
        for (row, idx) in column.iter().enumerate() {
            let y = MARGIN + TITLE_HEIGHT + (first + row as f32) * (BOX_HEIGHT + ROW_GAP);
            spots.insert(*idx, Spot { x, y, width });
        }
        x += width + COLUMN_GAP;
    }
    spots
}

fn line(from: Spot, to: Spot, about: &str) -> String {
    let (y1, y2) = (from.y + BOX_HEIGHT / 2.0, to.y + BOX_HEIGHT / 2.0);
    let (x1, x2) = (from.x + from.width, to.x);
    // Inside a column, and backwards, the line goes round on the right.
    let (x2, bend1, bend2) = if x2 > x1 {
        (x2, (x1 + x2) / 2.0, (x1 + x2) / 2.0)
    } else {
        let x2 = to.x + to.width;
        (x2, x1.max(x2) + COLUMN_GAP * 0.6, x1.max(x2) + COLUMN_GAP * 0.6)
    };
    format!(
        "<path marker-end=\"url(#a)\" d=\"M{x1:.0} {y1:.0}C{bend1:.0} {y1:.0} {bend2:.0} {y2:.0} {x2:.0} {y2:.0}\"><title>{}</title></path>",
        escape_xml(about)
    )
}

fn node_box(node: &Node, spot: Spot, is_uncommitted: &dyn Fn(&RepoPath) -> bool) -> String {
    let Spot { x, y, width } = spot;
    let class = match (node.layer, &node.definition) {
        (0, _) => " class=\"s\"",
        (_, None) => " class=\"f\"",
        _ => "",
    };
    let (name, place) = (cut(&label(node)), cut(&place(node)));
    let (class, mark) = match is_uncommitted(&node.path) {
        true => (" class=\"u\"", "uncommitted "),
        false => (class, ""),
    };
    format!(
        "<g{class}><title>{mark}{}</title><rect x=\"{x:.0}\" y=\"{y:.0}\" width=\"{width:.0}\" height=\"{BOX_HEIGHT}\" rx=\"6\"/>\
         <text x=\"{:.0}\" y=\"{:.0}\">{}</text><text class=\"p\" x=\"{:.0}\" y=\"{:.0}\">{}</text></g>",
        escape_xml(&format!("{} ({})", label(node), self::place(node))),
        x + 10.0,
        y + 15.0,
        escape_xml(&name),
        x + 10.0,
        y + 29.0,
        escape_xml(&place),
    )
}

fn place(node: &Node) -> String {
    match &node.definition {
        Some(definition) => format!("{}:{}", node.path, definition.line),
        None => "top of the file".to_owned(),
    }
}

fn box_chars(node: &Node) -> usize {
    cut(&label(node)).chars().count().max(cut(&place(node)).chars().count())
}

/// Keeps the end of a long text: that is where names differ.
fn cut(text: &str) -> String {
    let n_chars = text.chars().count();
    if n_chars <= LABEL_CHARS_MAX {
        return text.to_owned();
    }
    let end: String = text.chars().skip(n_chars - LABEL_CHARS_MAX + 1).collect();
    format!("…{end}")
}
