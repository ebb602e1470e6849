//! `carnet pack`: what a question needs to know, within a budget of tokens: the lines of the best hits, then the summaries of
//! what they call and who calls them, then the summaries of further hits, then citations alone.

use std::{collections::HashSet, fmt::Write as _};

use carnet_core::ExitCode;
use carnet_index::{Citation, Definition, Found, Hit, LineRange, Neighbour};
use clap::Args;
use serde::Serialize;

use super::{
    query::{Asked, IndexLine, is_false},
    search::{ScopeArgs, Truncated, ending, find, pretty_tokens, scope, tokens},
};
use crate::{
    cli::FreshArgs,
    error::{CommandError, CommandResult},
    ui::Ui,
};

/// Budget where none is given, in tokens.
pub(super) const BUDGET_DEFAULT: usize = 4_000;
/// The least and the most that a budget may be.
pub(super) const BUDGET_MIN: usize = 200;
pub(super) const BUDGET_MAX: usize = 200_000;
/// Hits that a pack is made of.
const HITS_MAX: usize = 60;
/// Hits whose neighbours are looked for.
const HITS_WITH_NEIGHBOURS: usize = 8;
/// Shares of the budget, in hundredths: what lines of hits may fill, and what neighbours may fill it up to.
const LINES_SHARE: usize = 60;
const NEIGHBOURS_SHARE: usize = 80;

/// Options of `pack`.
#[derive(Debug, Args)]
pub struct PackArgs {
    /// The question: words, `"an exact phrase"`, `/a regular expression/`.
    #[arg(required = true, value_name = "QUESTION")]
    question: Vec<String>,
    /// Tokens that the pack may take; four bytes of what is printed count as one.
    #[arg(long, value_name = "N", default_value_t = BUDGET_DEFAULT as u64, value_parser = clap::value_parser!(u64).range(BUDGET_MIN as u64..=BUDGET_MAX as u64))]
    budget: u64,
    /// Most calls in a row between a hit and a neighbour.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=8))]
    depth: u32,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    fresh: FreshArgs,
    /// Write JSON.
    #[arg(long)]
    json: bool,
}

/// `carnet pack --json`.
#[derive(Serialize)]
pub(super) struct Pack {
    format: &'static str,
    question: String,
    index: IndexLine,
    budget: usize,
    items: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<Truncated>,
}

/// One thing that a pack holds, with as much of it as fits.
#[derive(Serialize, Clone)]
struct Item {
    citation: String,
    /// `hit`, `callee` or `caller`.
    role: &'static str,
    /// Calls in a row from a hit; 0 for a hit.
    depth: u32,
    kind: &'static str,
    symbol: Option<String>,
    language: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doc: Option<String>,
    /// The line that `text` begins at.
    #[serde(skip_serializing_if = "Option::is_none")]
    start_line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    uncommitted: bool,
}

/// How much of something is packed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Lines,
    Summary,
    Citation,
}

/// Prints what a question needs to know.
pub fn pack(ui: &Ui, args: &PackArgs) -> CommandResult {
    let question = args.question.join(" ");
    let budget = usize::try_from(args.budget).unwrap_or(BUDGET_MAX);
    let measure: fn(&Pack) -> usize = if args.json { pretty_tokens } else { text_tokens };
    let wanted = Wanted {
        question: &question,
        budget,
        depth: args.depth,
        scope: &args.scope,
        fresh: args.fresh,
    };
    let (asked, pack) = packed(ui, &wanted, &measure)?;
    if args.json {
        ui.json(&pack);
    } else {
        ui.out(&text_of(&pack));
        let n_items = super::report::count(pack.items.len(), "item");
        ui.err(&format!("{n_items}, {} of {budget} tokens\n", measure(&pack)));
        ui.err(&asked.footer());
    }
    ending(&asked, !pack.items.is_empty(), &question)
}

/// What is asked of a pack.
pub(super) struct Wanted<'w> {
    pub question: &'w str,
    pub budget: usize,
    pub depth: u32,
    pub scope: &'w ScopeArgs,
    pub fresh: FreshArgs,
}

/// Makes a pack that `measure` finds to be within the budget.
pub(super) fn packed(
    ui: &Ui,
    wanted: &Wanted<'_>,
    measure: &dyn Fn(&Pack) -> usize,
) -> Result<(Asked, Pack), CommandError> {
    let Wanted { question, budget, .. } = *wanted;
    if !(BUDGET_MIN..=BUDGET_MAX).contains(&budget) {
        let message =
            format!("a budget of {budget} tokens is not between {BUDGET_MIN} and {BUDGET_MAX}");
        return Err(CommandError::new(ExitCode::Usage, message));
    }
    let scope = scope(wanted.scope, &[], HITS_MAX)?;
    let (asked, found) = find(ui, wanted.fresh, question, &scope)?;
    let neighbours = neighbours(&asked, &found, wanted.depth)?;
    let mut pack = Pack {
        format: "carnet/pack/1",
        question: question.to_owned(),
        index: asked.line(),
        budget,
        items: vec![],
        truncated: None,
    };
    fill(&mut pack, &asked, &found, &neighbours, measure);
    Ok((asked, pack))
}

/// Fills a pack: lines of hits, neighbours, summaries of further hits, citations.
fn fill(
    pack: &mut Pack,
    asked: &Asked,
    found: &Found,
    neighbours: &[Neighbour],
    measure: &dyn Fn(&Pack) -> usize,
) {
    // What says how much was left out takes its place from the beginning.
    let total = found.n_total.max(found.hits.len() as u64) + neighbours.len() as u64;
    pack.truncated = Some(Truncated { shown: usize::MAX, total: u64::MAX });
    let mut is_packed = vec![false; found.hits.len()];
    let share = |pack: &Pack, hundredths: usize| pack.budget * hundredths / 100;
    for (at, hit) in found.hits.iter().enumerate() {
        let limit = share(pack, LINES_SHARE);
        is_packed[at] = try_add(pack, hit_item(asked, hit, Form::Lines), limit, measure);
        if !is_packed[at] {
            break;
        }
    }
    for neighbour in neighbours {
        let limit = share(pack, NEIGHBOURS_SHARE);
        if !try_add(pack, neighbour_item(asked, neighbour), limit, measure) {
            break;
        }
    }
    for form in [Form::Lines, Form::Summary, Form::Citation] {
        for (at, hit) in found.hits.iter().enumerate() {
            // The best hit comes with its lines, if it takes all there is.
            let is_turn = form != Form::Lines || at == 0;
            if is_turn && !is_packed[at] {
                let limit = share(pack, 100);
                is_packed[at] = try_add(pack, hit_item(asked, hit, form), limit, measure);
            }
        }
    }
    let shown = pack.items.len();
    pack.truncated = ((shown as u64) < total).then_some(Truncated { shown, total });
}

/// Adds an item where the whole then still fits.
fn try_add(pack: &mut Pack, item: Item, limit: usize, measure: &dyn Fn(&Pack) -> usize) -> bool {
    pack.items.push(item);
    let fits = measure(pack) <= limit;
    if !fits {
        pack.items.pop();
    }
    fits
}

/// Returns what the best hits call and who calls them, nearest first, without the hits themselves.
fn neighbours(asked: &Asked, found: &Found, depth: u32) -> Result<Vec<Neighbour>, CommandError> {
    let place = |path: &carnet_core::RepoPath, start: usize| (path.clone(), start);
    let mut seen: HashSet<_> = found
        .hits
        .iter()
        .filter_map(|hit| Some(place(&hit.path, hit.symbol.as_ref()?.region.start)))
        .collect();
    let mut neighbours = vec![];
    for hit in found.hits.iter().take(HITS_WITH_NEIGHBOURS) {
        for neighbour in asked.snapshot.neighbours(hit, depth)? {
            let Definition { path, symbol, .. } = &neighbour.definition;
            if seen.insert(place(path, symbol.region.start)) {
                neighbours.push(neighbour);
            }
        }
    }
    neighbours.sort_by_key(|neighbour| neighbour.depth);
    Ok(neighbours)
}

fn hit_item(asked: &Asked, hit: &Hit, form: Form) -> Item {
    let with_text =
        |text: &dyn Fn() -> Option<String>| if form == Form::Citation { None } else { text() };
    let signature = || hit.symbol.as_ref().map(|it| it.signature.trim().to_owned());
    let doc = || hit.symbol.as_ref().map(|it| it.doc.clone()).filter(|doc| !doc.is_empty());
    let is_whole = form == Form::Lines;
    Item {
        citation: hit.citation().to_string(),
        role: "hit",
        depth: 0,
        kind: hit.kind(),
        symbol: hit.symbol.as_ref().map(|symbol| symbol.qualified_name()),
        language: hit.language.clone(),
        // Lines that begin the definition say both by themselves.
        signature: with_text(&signature)
            .filter(|_| !is_whole || hit.snippet_start != hit.lines.start),
        doc: with_text(&doc).filter(|_| !is_whole || hit.snippet_start != hit.lines.start),
        start_line: is_whole.then_some(hit.snippet_start),
        text: is_whole.then(|| hit.snippet.join("\n")),
        uncommitted: asked.is_uncommitted(&hit.path),
    }
}

fn neighbour_item(asked: &Asked, neighbour: &Neighbour) -> Item {
    let Definition { path, language, blob_id, symbol } = &neighbour.definition;
    let lines = LineRange { start: symbol.region.start_line, end: symbol.region.end_line };
    Item {
        citation: Citation::new(path, lines, blob_id).to_string(),
        role: if neighbour.is_caller { "caller" } else { "callee" },
        depth: neighbour.depth,
        kind: symbol.kind.name(),
        symbol: Some(symbol.qualified_name()),
        language: language.name().to_owned(),
        signature: Some(symbol.signature.trim().to_owned()),
        doc: symbol.doc.lines().next().map(str::to_owned),
        start_line: None,
        text: None,
        uncommitted: asked.is_uncommitted(path),
    }
}

/// A pack as text: Markdown, so that it can be put before a question as it is.
fn text_of(pack: &Pack) -> String {
    let mut text = String::new();
    for item in &pack.items {
        let role = match item.depth {
            0 => String::new(),
            depth => format!(" ({}, depth {depth})", item.role),
        };
        let name = item.symbol.as_deref().map_or(String::new(), |name| format!(" `{name}`"));
        let mark = if item.uncommitted { " (uncommitted)" } else { "" };
        let _ = writeln!(text, "### {}{name}{role} — {}{mark}", item.kind, item.citation);
        if let Some(signature) = &item.signature {
            let _ = writeln!(text, "`{signature}`");
        }
        if let Some(doc) = &item.doc {
            let _ = writeln!(text, "{doc}");
        }
        if let Some(lines) = &item.text {
            let fence = fence_of(lines);
            let _ = writeln!(text, "{fence}{}\n{lines}\n{fence}", item.language);
        }
        text.push('\n');
    }
    text
}

fn text_tokens(pack: &Pack) -> usize {
    tokens(text_of(pack).len())
}

/// Returns a fence that does not stand in the text.
fn fence_of(text: &str) -> String {
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    fence
}
