//! `carnet search`: words, phrases and regular expressions over definitions and text files.

use std::fmt::Write as _;

use carnet_core::ExitCode;
use carnet_index::{Found, Hit, QueryError, Scope, SearchQuery, suspect_words};
use clap::Args;
use serde::Serialize;

use super::embedding;
use super::query::{Asked, IndexLine, is_false};
use crate::{
    cli::FreshArgs,
    error::{CommandError, CommandResult},
    ui::Ui,
};

/// Bytes of an answer that count as one token, wherever a budget of tokens is kept.
pub(super) const TOKEN_BYTES: usize = 4;

/// What of the repository is searched.
#[derive(Debug, Args)]
pub struct ScopeArgs {
    /// Only paths that this glob matches (`*` stays in a directory, `**` does not), or below this directory; repeatable.
    #[arg(long, value_name = "GLOB")]
    pub path: Vec<String>,
    /// Only this language, or text files with this extension: `rust`, `markdown`, `toml`; repeatable.
    #[arg(long, value_name = "NAME")]
    pub lang: Vec<String>,
}

/// Options of `search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// Words, `"an exact phrase"`, `/a regular expression/`; in a sentence, beside more than four words that say something, quotation
    /// marks and slashes are punctuation.
    #[arg(required = true, value_name = "QUERY")]
    query: Vec<String>,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Only this kind of definition (`function`, `method`, `class`, …), or `text`; repeatable.
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Most hits.
    #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Tokens to cut the answer to: four bytes of what is printed count as one.
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    #[command(flatten)]
    fresh: FreshArgs,
    /// Write JSON.
    #[arg(long)]
    json: bool,
}

/// What to type where the ceiling of memory leaves something out.
pub(super) const RAISE: &str =
    "the index would take more memory than git config carnet.memoryMiB allows (600 unless set)";

/// `carnet search --json`.
#[derive(Serialize)]
pub(super) struct HitList {
    format: &'static str,
    query: String,
    index: IndexLine,
    hits: Vec<HitLine>,
    /// Files that are not searched: binary, larger than 1 MiB, minified or generated.
    files_left_out: u64,
    /// Files whose content could not be read when they were indexed.
    files_missing: u64,
    /// Files that a phrase or an expression may stand in, past the bound on the text that one search reads.
    files_not_looked_at: u64,
    /// Words of the query past its bound.
    words_ignored: usize,
    /// What is not searched, since the ceiling of memory has no room for it: `vectors`, `vectors and bodies`.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<&'static str>,
    /// The graph of neighbours is damaged: all vectors were looked through, and it is made anew.
    #[serde(skip_serializing_if = "is_false")]
    graph_damaged: bool,
    /// Why the model that git's configuration names does not answer, or not for all files; the embedded table does.
    #[serde(skip_serializing_if = "Option::is_none")]
    degraded: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<Truncated>,
}

#[derive(Serialize)]
pub(super) struct Truncated {
    pub shown: usize,
    pub total: u64,
}

#[derive(Serialize)]
pub(super) struct HitLine {
    citation: String,
    path: String,
    start_line: u32,
    end_line: u32,
    kind: &'static str,
    symbol: Option<String>,
    signature: Option<String>,
    language: String,
    blob: String,
    score: f64,
    parts: serde_json::Map<String, serde_json::Value>,
    #[serde(skip_serializing_if = "is_false")]
    uncommitted: bool,
    snippet: SnippetLine,
}

#[derive(Serialize)]
struct SnippetLine {
    start_line: u32,
    text: String,
}

/// Prints what answers a query.
pub fn search(ui: &Ui, args: &SearchArgs) -> CommandResult {
    let text = args.query.join(" ");
    let scope = scope(&args.scope, &args.kind, args.limit as usize)?;
    let (asked, found) = find(ui, args.fresh, &text, &scope)?;
    if args.json {
        let mut answer = hit_list(&asked, &text, &found)?;
        if let Some(budget) = args.max_tokens {
            cut(&mut answer, |it| pretty_tokens(it) <= budget);
        }
        ui.json(&answer);
    } else {
        print_hits(ui, &asked, &found, args.max_tokens);
    }
    ending(&asked, !found.hits.is_empty(), &text)
}

/// Reads the scope of a search.
pub(super) fn scope(
    args: &ScopeArgs,
    kinds: &[String],
    limit: usize,
) -> Result<Scope, CommandError> {
    Scope::new(&args.path, &args.lang, kinds, limit)
        .map_err(|message| CommandError::new(ExitCode::Usage, message))
}

/// Searches a snapshot that is as fresh as it could be made. Words that turn out to be damaged are made anew, once.
pub(super) fn find(
    ui: &Ui,
    fresh: FreshArgs,
    text: &str,
    scope: &Scope,
) -> Result<(Asked, Found), CommandError> {
    let mut query = SearchQuery::parse(text)?;
    let mut is_healed = false;
    loop {
        let asked = Asked::open(ui, fresh)?;
        let dir = carnet_daemon::index_dir(&asked.repo);
        let degraded = embedding::ask(&asked, &mut query);
        match asked.snapshot.search(&dir, &query, scope, &carnet_daemon::blobs(&asked.repo)) {
            Ok(found) => return Ok((asked, Found { degraded, ..found })),
            Err(error) if error.is_damaged_words() && !is_healed && !fresh.no_wait => {
                ui.err(&format!("carnet: {error}; they are made anew\n"));
                suspect_words(&dir).map_err(|error| CommandError::of(ExitCode::Io, &error))?;
                is_healed = true;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// How a search ends for whoever reads the exit code.
pub(super) fn ending(asked: &Asked, found: bool, text: &str) -> CommandResult {
    match found || !asked.is_level() {
        true => asked.ending(true, text),
        false => Err(CommandError::new(
            ExitCode::NothingToLookAt,
            format!("nothing in the index answers `{text}`"),
        )
        .hint("Say it in other words, or leave out `--path`, `--lang` and `--kind`.")),
    }
}

/// What `search --json` prints.
pub(super) fn hit_list(asked: &Asked, text: &str, found: &Found) -> Result<HitList, CommandError> {
    let words_ignored = SearchQuery::parse(text)?.n_words_left();
    let mut answer = HitList {
        format: "carnet/search/1",
        query: text.to_owned(),
        index: asked.line(),
        hits: found.hits.iter().map(|it| hit_line(asked, it)).collect(),
        files_left_out: found.n_files_left_out,
        files_missing: found.n_files_missing,
        files_not_looked_at: found.n_files_not_looked_at,
        words_ignored,
        left_out: found.left_out,
        graph_damaged: found.is_graph_damaged,
        degraded: found.degraded.clone(),
        truncated: None,
    };
    answer.note_truncation(found.n_total);
    Ok(answer)
}

impl HitList {
    fn note_truncation(&mut self, total: u64) {
        let shown = self.hits.len();
        self.truncated = ((shown as u64) < total).then_some(Truncated { shown, total });
    }
}

/// Takes hits away from the end until the answer fits.
pub(super) fn cut(answer: &mut HitList, fits: impl Fn(&HitList) -> bool) {
    let total = answer.truncated.as_ref().map_or(answer.hits.len() as u64, |it| it.total);
    while !answer.hits.is_empty() && !fits(answer) {
        answer.hits.pop();
        answer.note_truncation(total);
    }
}

/// Tokens of a document as `Ui::json` prints it.
pub(super) fn pretty_tokens(value: &impl Serialize) -> usize {
    let text = serde_json::to_string_pretty(value);
    tokens(text.expect("because an answer has string keys").len() + 1)
}

/// Tokens of so many bytes.
pub(super) fn tokens(n_bytes: usize) -> usize {
    n_bytes.div_ceil(TOKEN_BYTES)
}

fn hit_line(asked: &Asked, hit: &Hit) -> HitLine {
    let round = |points: f32| (f64::from(points) * 1000.0).round() / 1000.0;
    HitLine {
        citation: hit.citation().to_string(),
        path: hit.path.to_text(),
        start_line: hit.lines.start,
        end_line: hit.lines.end,
        kind: hit.kind(),
        symbol: hit.symbol.as_ref().map(|symbol| symbol.qualified_name()),
        signature: hit.symbol.as_ref().map(|symbol| symbol.signature.trim().to_owned()),
        language: hit.language.clone(),
        blob: hit.blob_id.to_string(),
        score: round(hit.score),
        parts: hit
            .parts
            .iter()
            .map(|(name, points)| ((*name).to_owned(), round(*points).into()))
            .collect(),
        uncommitted: asked.is_uncommitted(&hit.path),
        snippet: SnippetLine { start_line: hit.snippet_start, text: hit.snippet.join("\n") },
    }
}

fn print_hits(ui: &Ui, asked: &Asked, found: &Found, max_tokens: Option<usize>) {
    let mut left = max_tokens.map_or(usize::MAX, |budget| budget.saturating_mul(TOKEN_BYTES));
    let mut shown = 0;
    for hit in &found.hits {
        let text = hit_text(ui, asked, hit);
        if text.len() > left {
            break;
        }
        left -= text.len();
        shown += 1;
        ui.out(&text);
    }
    let mut notes = String::new();
    if (shown as u64) < found.n_total {
        let more = if shown < found.hits.len() { "--max-tokens" } else { "--limit" };
        let _ = writeln!(notes, "{shown} of {} shown; more with `{more}`", found.n_total);
    }
    for (n_files, what) in [
        (found.n_files_missing, "could not be read when it was indexed"),
        (found.n_files_not_looked_at, "not looked at: too much text; narrow it down with `--path`"),
    ] {
        if n_files > 0 {
            let files = super::report::count(n_files as usize, "file");
            let _ = writeln!(notes, "{files} {what}");
        }
    }
    if let Some(degraded) = &found.degraded {
        let _ = writeln!(notes, "degraded: {degraded}; words, names and the embedded table answer");
    }
    if found.is_graph_damaged {
        let _ = writeln!(
            notes,
            "the graph of neighbours is damaged: all vectors were looked through; the daemon makes it anew, or `carnet daemon vectors`"
        );
    }
    if let Some(left_out) = found.left_out {
        let _ = writeln!(notes, "searched without {left_out}: {RAISE}");
    }
    ui.err(&notes);
    ui.err(&asked.footer());
}

/// `src/config.rs:40-52  function parse_config  12.3`, the lines, and the citation.
fn hit_text(ui: &Ui, asked: &Asked, hit: &Hit) -> String {
    let place = format!("{}:{}-{}", hit.path, hit.lines.start, hit.lines.end);
    let name = hit.symbol.as_ref().map_or(String::new(), |it| format!(" {}", it.qualified_name()));
    let score = ui.dim_out(&format!("{:.1}", hit.score));
    let mark = asked.mark(ui, &hit.path);
    let mut text = format!("{}  {}{name}  {score}{mark}\n", ui.bold_out(&place), hit.kind());
    for (at, line) in hit.snippet.iter().enumerate() {
        let _ = writeln!(text, "{:>6}  {line}", hit.snippet_start as usize + at);
    }
    let _ = writeln!(text, "        {}", ui.dim_out(&hit.citation().to_string()));
    text
}

impl From<QueryError> for CommandError {
    fn from(error: QueryError) -> CommandError {
        CommandError::of(ExitCode::Usage, &error).hint(
            "A query is words, \"an exact phrase\" or /a regular expression/: `carnet search --help`.",
        )
    }
}
