//! `carnet mcp`: the questions to the index as tools of the Model Context Protocol, over standard input and output.
//!
//! Each tool answers what the verb of its name prints with `--json`, cut to a budget of tokens; what failed is an answer too,
//! so that an agent can read it. Standard output carries the protocol alone.

use std::sync::Arc;

use carnet_core::ExitCode;
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt as _,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, Implementation, JsonObject,
        ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
        ToolAnnotations,
    },
    service::RequestContext,
    transport::io::stdio,
};
use serde_json::{Value, json};

use super::{
    graph::{
        call_list, impact_of, implementation_list, outline_list, outlined, own_name, reached_list,
    },
    pack,
    query::{Asked, definition_list},
    search::{self, ScopeArgs},
    status,
};
use crate::{
    cli::FreshArgs,
    error::{CommandError, CommandResult},
    ui::Ui,
};

/// Tokens that an answer is cut to where the caller names no budget.
const TOKENS_DEFAULT: u64 = 2_000;
/// Most tokens that a caller may ask for.
const TOKENS_MAX: u64 = 50_000;
/// Bytes of JSON that count as one token.
const TOKEN_BYTES: u64 = 4;
/// Longest line of a text inside an answer, in characters.
const LINE_CHARS_MAX: usize = 400;
/// The lists that are cut, in the order they are filled.
const LISTS: [&str; 6] =
    ["resolved", "definitions", "implementations", "reached", "candidates", "hits"];

const INSTRUCTIONS: &str = "Questions about the code of this git repository, answered from an index that follows each commit. \
Every answer names the commit it is bound to. `resolved` calls are known to mean the definition; `candidates` only share the name. \
Uncommitted edits are seen with `dirty`, and what comes from them is marked `uncommitted`. Ask search_code for what you cannot name, and pack for what a question needs in one answer.";

/// A tool: its name, what it is for, and its own arguments as (name, type, what it is).
type ToolSpec = (&'static str, &'static str, &'static [(&'static str, &'static str, &'static str)]);

const NAME: (&str, &str, &str) =
    ("name", "string", "the symbol: `parse`, `Config.load` or `Config::load`");
const DEPTH: (&str, &str, &str) =
    ("depth", "integer", "most calls in a row that are followed, 1 to 64");

/// Arguments that may be left out.
const OPTIONAL: [&str; 6] = ["depth", "path_glob", "language", "kind", "limit", "budget"];

const QUERY: (&str, &str, &str) = (
    "query",
    "string",
    "words, \"an exact phrase\", /a regular expression/; words rank, phrases and expressions must stand in the text",
);
const PATH_GLOB: (&str, &str, &str) = (
    "path_glob",
    "string",
    "only files that this glob matches, or below this directory: `src`, `**/*.py`",
);
const LANGUAGE: (&str, &str, &str) =
    ("language", "string", "only this language or extension: `rust`, `markdown`, `toml`");

const TOOLS: [ToolSpec; 9] = [
    (
        "where_defined",
        "Where a symbol is defined, with signature, visibility and comment. Use it instead of grep when you know the name.",
        &[NAME],
    ),
    (
        "who_calls",
        "Who calls a symbol. With `depth` above 1, callers of callers with the way, along resolved calls alone.",
        &[NAME, DEPTH],
    ),
    ("calls", "What a symbol calls: itself and what is nested in it.", &[NAME]),
    (
        "impact_set",
        "What a change may break: what reaches a file, a symbol, or the lines that a range of commits `A..B` changed. A lower bound.",
        &[("target", "string", "a file, a symbol, or a range of commits that ends at HEAD"), DEPTH],
    ),
    (
        "implementations",
        "Which types extend or implement a type; in Go those that have its methods.",
        &[NAME],
    ),
    (
        "outline",
        "What a file defines, in its order. Use it before reading a long file.",
        &[("path", "string", "the file, from the top of the repository")],
    ),
    (
        "search_code",
        "Finds definitions and text by what they are about. Use it when you do not know the name; where you do, where_defined is exact.",
        &[
            QUERY,
            PATH_GLOB,
            LANGUAGE,
            (
                "kind",
                "string",
                "only this kind: `function`, `method`, `class`, `struct`, …, or `text`",
            ),
            ("limit", "integer", "most hits, 1 to 100 (default 10)"),
        ],
    ),
    (
        "pack",
        "What a question needs to know, in one answer within a budget: lines of the best hits, signatures of what they call and who calls them, citations. Use it before a task; not to look up one name.",
        &[
            QUERY,
            (
                "budget",
                "integer",
                "tokens that the answer may take, 200 to 50000 (default 4000); max_tokens is not looked at",
            ),
            DEPTH,
            PATH_GLOB,
            LANGUAGE,
        ],
    ),
    ("status", "How fresh the index is and what it covers.", &[]),
];

/// Serves until standard input ends.
pub fn mcp(ui: &Ui) -> CommandResult {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::of(ExitCode::Io, &error))?;
    let served = runtime.block_on(async {
        let running = Server { ui: *ui }.serve(stdio()).await.map_err(|error| error.to_string())?;
        running.waiting().await.map_err(|error| error.to_string())
    });
    // A read of standard input may still be waiting on a thread of its own.
    runtime.shutdown_background();
    match served {
        Ok(_) => Ok(ExitCode::Done),
        Err(error) => Err(CommandError::new(ExitCode::Usage, format!("serve MCP: {error}"))
            .hint("An agent starts this, not a person: see docs/agents.md for its configuration.")),
    }
}

struct Server {
    ui: Ui,
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        let mut info = ServerConfig::new(capabilities);
        info.server_info = Implementation::new("carnet", env!("CARGO_PKG_VERSION"));
        info.instructions = Some(INSTRUCTIONS.to_owned());
        info
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(TOOLS.iter().map(tool).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let known = TOOLS.iter().find(|(name, ..)| *name == request.name);
        let Some((name, _, arguments)) = known else {
            return Err(ErrorData::invalid_params(
                format!("there is no tool `{}`", request.name),
                None,
            ));
        };
        let ui = self.ui;
        let given = request.arguments.unwrap_or_default();
        let given = Arguments::check(given, arguments)
            .map_err(|message| ErrorData::invalid_params(message, None))?;
        let answered = tokio::task::spawn_blocking(move || answer(&ui, name, &given)).await;
        let result = match answered {
            Ok(Ok(value)) => CallToolResult::structured(value),
            Ok(Err(error)) => CallToolResult::structured_error(error_value(&error)),
            Err(error) => return Err(ErrorData::internal_error(error.to_string(), None)),
        };
        Ok(result.into())
    }
}

fn tool((name, description, arguments): &ToolSpec) -> Tool {
    let property = |(name, kind, about): &(&str, &str, &str)| {
        ((*name).to_owned(), json!({ "type": kind, "description": about }))
    };
    let mut properties: JsonObject = arguments.iter().map(property).collect();
    if *name != "status" {
        let about = "answer for the work tree, uncommitted edits included (default false)";
        properties.insert("dirty".to_owned(), json!({ "type": "boolean", "description": about }));
    }
    let about =
        format!("tokens to cut the answer to (default {TOKENS_DEFAULT}, at most {TOKENS_MAX})");
    properties.insert("max_tokens".to_owned(), json!({ "type": "integer", "description": about }));
    let about = "where to go on: `truncated.next_cursor` of the answer before";
    properties.insert("cursor".to_owned(), json!({ "type": "integer", "description": about }));
    let required: Vec<_> =
        arguments.iter().map(|it| it.0).filter(|it| !OPTIONAL.contains(it)).collect();
    let schema = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    let schema = schema.as_object().cloned().unwrap_or_default();
    let hints = ToolAnnotations::new().read_only(true).open_world(false);
    let tool = Tool::new(*name, *description, Arc::new(schema)).with_annotations(hints);
    match output_schema(name) {
        Some(Value::Object(schema)) => tool.with_raw_output_schema(Arc::new(schema)),
        _ => tool,
    }
}

/// What the answers of the tools that search look like.
fn output_schema(tool: &str) -> Option<Value> {
    let (text, number) = (json!({ "type": "string" }), json!({ "type": "integer" }));
    let truth = json!({ "type": "boolean" });
    let maybe = json!({ "type": ["string", "null"] });
    let list = |item: Value, required: Value| json!({ "type": "array", "items": { "type": "object", "properties": item, "required": required } });
    let (member, items) = match tool {
        "search_code" => (
            "hits",
            list(
                json!({
                    "citation": text, "path": text, "start_line": number, "end_line": number, "kind": text,
                    "symbol": maybe, "signature": maybe, "language": text, "score": { "type": "number" },
                    "parts": { "type": "object", "additionalProperties": { "type": "number" } },
                    "snippet": { "type": "object", "properties": { "start_line": number, "text": text } },
                    "uncommitted": truth,
                }),
                json!(["citation", "path", "start_line", "end_line", "kind", "score", "snippet"]),
            ),
        ),
        "pack" => (
            "items",
            list(
                json!({
                    "citation": text, "role": { "enum": ["hit", "callee", "caller"] }, "depth": number,
                    "kind": text, "symbol": maybe, "language": text, "signature": text, "doc": text,
                    "start_line": number, "text": text, "uncommitted": truth,
                }),
                json!(["citation", "role", "depth", "kind"]),
            ),
        ),
        _ => return None,
    };
    let index = json!({
        "type": "object",
        "properties": { "commit": text, "head": text, "behind_commits": { "type": ["integer", "null"] } },
        "required": ["commit", "head"],
    });
    let truncated = json!({
        "type": "object",
        "properties": { "shown": number, "total": number, "next_cursor": { "type": ["integer", "null"] } },
        "required": ["shown", "total"],
    });
    Some(json!({
        "type": "object",
        "properties": { "format": text, "index": index, member: items, "truncated": truncated },
        "required": ["format", "index", member],
    }))
}

/// The arguments of one call, of the types that the tool's schema names.
struct Arguments(JsonObject);

impl Arguments {
    fn check(given: JsonObject, known: &[(&str, &str, &str)]) -> Result<Arguments, String> {
        let common =
            [("max_tokens", "integer", ""), ("cursor", "integer", ""), ("dirty", "boolean", "")];
        for (name, value) in &given {
            let spec = known.iter().chain(&common).find(|spec| spec.0 == name);
            let Some((_, kind, _)) = spec else {
                return Err(format!("there is no argument `{name}`"));
            };
            let fits = match *kind {
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                _ => value.is_u64(),
            };
            if !fits {
                return Err(format!("`{name}` must be of type {kind}"));
            }
        }
        let missing =
            known.iter().find(|(name, ..)| !OPTIONAL.contains(name) && !given.contains_key(*name));
        match missing {
            Some((name, ..)) => Err(format!("the argument `{name}` is missing")),
            None => Ok(Arguments(given)),
        }
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn optional(&self, name: &str) -> Option<String> {
        Some(self.text(name).to_owned()).filter(|text| !text.is_empty())
    }

    fn fresh(&self) -> FreshArgs {
        let dirty = self.0.get("dirty").and_then(Value::as_bool).unwrap_or(false);
        FreshArgs { dirty, ..FreshArgs::default() }
    }

    fn scope(&self) -> ScopeArgs {
        let list = |name| self.optional(name).into_iter().collect();
        ScopeArgs { path: list("path_glob"), lang: list("language") }
    }

    fn number(&self, name: &str, default: u64) -> u64 {
        self.0.get(name).and_then(Value::as_u64).unwrap_or(default)
    }

    fn depth(&self, default: u64) -> u32 {
        u32::try_from(self.number("depth", default).clamp(1, 64)).unwrap_or(64)
    }
}

fn answer(ui: &Ui, tool: &str, given: &Arguments) -> Result<Value, CommandError> {
    let value = match tool {
        "status" => to_value(&status::look()?.1),
        "search_code" => search_code(ui, given)?,
        // It is cut to its own budget.
        "pack" => return packed(ui, given),
        _ => ask(&Asked::open(ui, given.fresh())?, tool, given)?,
    };
    Ok(cut(
        value,
        given.number("max_tokens", TOKENS_DEFAULT).min(TOKENS_MAX),
        given.number("cursor", 0),
    ))
}

fn search_code(ui: &Ui, given: &Arguments) -> Result<Value, CommandError> {
    let (query, cursor) = (given.text("query"), given.number("cursor", 0));
    let limit = given.number("limit", 10).clamp(1, 100).saturating_add(cursor);
    let kinds: Vec<String> = given.optional("kind").into_iter().collect();
    let scope =
        search::scope(&given.scope(), &kinds, usize::try_from(limit).unwrap_or(usize::MAX))?;
    let (asked, found) = search::find(ui, given.fresh(), query, &scope)?;
    search::hit_list(&asked, query, &found).map(|answer| to_value(&answer))
}

fn packed(ui: &Ui, given: &Arguments) -> Result<Value, CommandError> {
    let budget = given.number("budget", pack::BUDGET_DEFAULT as u64).min(TOKENS_MAX);
    let wanted = pack::Wanted {
        question: given.text("query"),
        budget: usize::try_from(budget).unwrap_or(pack::BUDGET_MAX),
        depth: given.depth(1),
        scope: &given.scope(),
        fresh: given.fresh(),
    };
    let (_, pack) = pack::packed(ui, &wanted, &|pack| {
        search::tokens(serde_json::to_string(pack).map_or(usize::MAX, |text| text.len()))
    })?;
    Ok(to_value(&pack))
}

fn ask(asked: &Asked, tool: &str, given: &Arguments) -> Result<Value, CommandError> {
    let snapshot = &asked.snapshot;
    let name = given.text("name");
    let known = |found: bool| match found || !snapshot.where_defined(name)?.is_empty() {
        true => Ok(()),
        false => asked.ending(false, name).map(drop),
    };
    Ok(match tool {
        "where_defined" => {
            let definitions = snapshot.where_defined(name)?;
            known(!definitions.is_empty())?;
            to_value(&definition_list(asked, name, &definitions))
        }
        "who_calls" if given.depth(1) > 1 => {
            let reached = snapshot.who_reaches(name, given.depth(1))?;
            known(!reached.is_empty())?;
            let format = "carnet/who-reaches/1";
            to_value(&reached_list(asked, format, name, given.depth(1), &reached))
        }
        "who_calls" | "calls" => {
            let (calls, format) = match tool {
                "calls" => (snapshot.calls(name)?, "carnet/calls/1"),
                _ => (snapshot.who_calls(name)?, "carnet/callers/1"),
            };
            known(!calls.resolved.is_empty() || !calls.candidates.is_empty())?;
            to_value(&call_list(asked, format, name, &calls))
        }
        "impact_set" => {
            let (target, depth) = (given.text("target"), given.depth(5));
            let (reached, found) = impact_of(asked, target, depth)?;
            if !found {
                asked.ending(false, target)?;
            }
            to_value(&reached_list(asked, "carnet/impact-set/1", target, depth, &reached))
        }
        "implementations" => {
            let found = snapshot.implementations(own_name(name))?;
            known(!found.is_empty())?;
            to_value(&implementation_list(asked, name, &found))
        }
        _ => {
            let (path, definitions) = outlined(asked, given.text("path"))?;
            to_value(&outline_list(asked, &path, &definitions))
        }
    })
}

fn to_value(answer: &impl serde::Serialize) -> Value {
    serde_json::to_value(answer).expect("because an answer has string keys")
}

fn error_value(error: &CommandError) -> Value {
    json!({
        "error": {
            "exit_code": error.exit as i32,
            "message": error.message,
            "causes": error.causes,
            "hints": error.hints,
        }
    })
}

/// Cuts an answer's lists to a budget and its texts to a length; says in `truncated` what was left out.
fn cut(mut answer: Value, max_tokens: u64, cursor: u64) -> Value {
    shorten(&mut answer);
    let Some(members) = answer.as_object_mut() else { return answer };
    let mut budget = max_tokens.saturating_mul(TOKEN_BYTES);
    // A search counts what it found beyond what it gives.
    let counted = members.get("truncated").and_then(|it| it["total"].as_u64()).unwrap_or(0);
    let (mut total, mut shown) = (0_u64, 0_u64);
    for list in LISTS {
        let Some(Value::Array(items)) = members.get_mut(list) else { continue };
        let mut kept = vec![];
        for item in std::mem::take(items) {
            let position = total;
            total += 1;
            let n_bytes = item.to_string().len() as u64;
            // The first always fits, or nothing would ever be shown; after the first that does not, none does.
            let fits = position == cursor + shown && (shown == 0 || n_bytes <= budget);
            if fits {
                budget = budget.saturating_sub(n_bytes);
                shown += 1;
                kept.push(item);
            }
        }
        *items = kept;
    }
    let total = total.max(counted);
    if shown < total {
        let next = Some(cursor + shown).filter(|next| *next < total);
        let truncated = json!({ "shown": shown, "total": total, "next_cursor": next });
        members.insert("truncated".to_owned(), truncated);
    }
    answer
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) => {
            let is_long = |line: &str| line.char_indices().nth(LINE_CHARS_MAX).is_some();
            if text.lines().any(is_long) {
                let cut = |line: &str| match line.char_indices().nth(LINE_CHARS_MAX) {
                    Some((end, _)) => format!("{}…", &line[..end]),
                    None => line.to_owned(),
                };
                *text = text.lines().map(cut).collect::<Vec<_>>().join("\n");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(members) => members.values_mut().for_each(shorten),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_answer_can_be_read_on_to_its_end() {
        let items =
            |n: std::ops::Range<u32>| -> Vec<Value> { n.map(|at| json!({ "at": at })).collect() };
        let whole = json!({ "resolved": items(0..5), "candidates": items(5..9) });
        let (mut cursor, mut seen) = (0, vec![]);
        for _ in 0..20 {
            let page = cut(whole.clone(), 5, cursor);
            for list in ["resolved", "candidates"] {
                seen.extend(page[list].as_array().unwrap().clone());
            }
            match page["truncated"]["next_cursor"].as_u64() {
                Some(next) => cursor = next,
                None => break,
            }
        }
        assert_eq!(seen, items(0..9));
        assert_eq!(cut(whole.clone(), 1_000, 0), whole);
        assert_eq!(
            cut(whole, 0, 0)["truncated"],
            json!({ "shown": 1, "total": 9, "next_cursor": 1 })
        );
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let value = cut(json!({ "doc": "é".repeat(500) }), 10, 0);
        assert_eq!(value["doc"].as_str().unwrap().chars().count(), LINE_CHARS_MAX + 1);
        let lines = cut(json!({ "text": format!("a\n{}\nb", "x".repeat(500)) }), 10, 0);
        let lines = lines["text"].as_str().unwrap();
        assert_eq!(lines, format!("a\n{}…\nb", "x".repeat(LINE_CHARS_MAX)));
    }

    #[test]
    fn arguments_must_be_those_of_the_schema() {
        let check = |given: Value| {
            Arguments::check(given.as_object().unwrap().clone(), &[NAME, DEPTH]).map(drop)
        };
        assert_eq!(check(json!({ "name": "f", "depth": 2, "cursor": 0 })), Ok(()));
        assert!(check(json!({})).unwrap_err().contains("`name` is missing"));
        assert!(check(json!({ "name": 1 })).unwrap_err().contains("type string"));
        assert!(check(json!({ "name": "f", "depth": -1 })).unwrap_err().contains("type integer"));
        assert!(check(json!({ "name": "f", "x": 1 })).unwrap_err().contains("no argument `x`"));
    }
}
