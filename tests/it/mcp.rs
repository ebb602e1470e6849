//! The MCP server against the official Python client, and against a client that speaks badly.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::Stdio,
};

use carnet_testkit::python_venv;
use serde_json::{Value, json};

use crate::support::{Walk, carnet_path, everyone};

const SOURCES: &str = "\
printf 'def low():\\n    return 1\\n\\ndef mid():\\n    return low()\\n\\ndef top():\\n    return mid()\\n' >core.py
";

const SESSION: &str = r#"
import asyncio, json, os, sys
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

async def main():
    server = StdioServerParameters(command=sys.argv[1], args=["-C", sys.argv[2], "mcp"], env=dict(os.environ))
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        info = await session.initialize()
        server_info = getattr(info, "serverInfo", None) or info.server_info
        tools = await session.list_tools()
        out = {"server": server_info.name, "tools": [tool.name for tool in tools.tools]}
        async def ask(tool, **arguments):
            answer = (await session.call_tool(tool, arguments)).model_dump(by_alias=True)
            return {"error": answer["isError"], "value": answer["structuredContent"]}
        out["where"] = await ask("where_defined", name="low")
        out["reach"] = await ask("who_calls", name="low", depth=4)
        out["impact"] = await ask("impact_set", target="core.py")
        out["cut"] = await ask("outline", path="core.py", max_tokens=1)
        out["search"] = await ask("search_code", query="mid", kind="function", limit=1)
        out["pack"] = await ask("pack", query="mid", budget=600)
        out["schemas"] = [tool.name for tool in tools.tools if getattr(tool, "outputSchema", None) or getattr(tool, "output_schema", None)]
        out["bad"] = await ask("search_code", query="\"open")
        out["huge"] = await ask("search_code", query="x" * 10_000_000)
        out["status"] = await ask("status")
        open(os.path.join(sys.argv[2], "fresh.py"), "w").write("def fresh():\n    pass\n")
        out["dirty"] = await ask("where_defined", name="fresh", dirty=True)
        out["nothing"] = await ask("where_defined", name="no_such_name")
        print(json.dumps(out))

asyncio.run(main())
"#;

#[test]
fn the_official_python_client_lists_and_calls_the_tools() {
    let venvs = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let Some(venv) = python_venv(venvs, "mcp", &["mcp"]) else { return };
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    let python = std::fs::canonicalize(venv.join("bin")).unwrap().join("python");
    let repo = walk.repo.path().to_str().unwrap();
    let args = ["-c", SESSION, carnet_path().to_str().unwrap(), repo];
    let ran = walk.runner(&python).args(args).run().expect_code(0);
    let out: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(out["server"], "carnet");
    let tools = [
        "where_defined",
        "who_calls",
        "calls",
        "impact_set",
        "implementations",
        "outline",
        "search_code",
        "pack",
        "status",
    ];
    assert_eq!(out["tools"], json!(tools));
    assert_eq!(out["where"]["value"]["definitions"][0]["path"], "core.py");
    assert_eq!(out["where"]["value"]["index"]["behind_commits"], 0);
    let callers: Vec<_> = out["reach"]["value"]["reached"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["caller"])
        .collect();
    assert_eq!(callers, ["mid", "top"]);
    assert_eq!(out["impact"]["value"]["reached"], json!([]));
    assert_eq!(
        out["cut"]["value"]["truncated"],
        json!({ "shown": 1, "total": 3, "next_cursor": 1 })
    );
    assert_eq!(out["status"]["value"]["index"]["n_symbols"], 3);
    assert_eq!(out["schemas"], json!(["search_code", "pack"]));
    let hit = &out["search"]["value"]["hits"][0];
    assert_eq!(
        (&hit["symbol"], &hit["start_line"]),
        (&json!("mid"), &json!(4)),
        "{}",
        out["search"]
    );
    assert_eq!(
        out["search"]["value"]["truncated"],
        json!({ "shown": 1, "total": 2, "next_cursor": 1 })
    );
    let items = out["pack"]["value"]["items"].as_array().unwrap();
    let roles: Vec<_> = items.iter().map(|it| (&it["symbol"], &it["role"])).collect();
    assert_eq!(roles[0], (&json!("mid"), &json!("hit")), "{}", out["pack"]);
    assert!(roles.contains(&(&json!("low"), &json!("callee"))), "{}", out["pack"]);
    assert!(out["pack"]["value"].to_string().len() <= 600 * 4);
    let fresh = &out["dirty"]["value"]["definitions"][0];
    assert_eq!((&fresh["path"], &fresh["uncommitted"]), (&json!("fresh.py"), &json!(true)));
    for refused in ["bad", "huge"] {
        assert_eq!(out[refused]["value"]["error"]["exit_code"], 2, "{}", out[refused]);
    }
    assert_eq!(out["nothing"]["error"], true);
    let message = out["nothing"]["value"]["error"]["message"].as_str().unwrap();
    assert!(message.contains("no_such_name"), "{message}");
}

/// Sends lines to the server, reads `n_answers`, then ends the session; returns them by id.
fn speak(walk: &Walk, lines: &[Value], n_answers: usize) -> Vec<Value> {
    let mut command = walk.repo.command(carnet_path());
    command.arg("mcp").env("CARNET_DAEMON", "off").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = command.spawn().unwrap();
    let mut input = server.stdin.take().unwrap();
    for line in lines {
        writeln!(input, "{line}").unwrap();
    }
    let output = BufReader::new(server.stdout.take().unwrap());
    let read = output.lines().take(n_answers);
    let mut answers: Vec<Value> =
        read.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    drop(input);
    assert!(server.wait().unwrap().success());
    answers.sort_by_key(|it| it["id"].as_u64());
    answers
}

#[test]
fn wrong_calls_are_answered_and_the_session_goes_on() {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    let hello = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": { "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "0" } },
    });
    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let call = |id: u32, tool: &str, arguments: Value| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool, "arguments": arguments } });
    let answers = speak(
        &walk,
        &[
            hello,
            ready,
            call(2, "no_such_tool", json!({})),
            call(3, "where_defined", json!({})),
            call(4, "where_defined", json!({ "name": 7 })),
            call(5, "outline", json!({ "path": "../../etc/passwd" })),
            call(6, "calls", json!({ "name": "top" })),
        ],
        6,
    );
    assert_eq!(answers[0]["result"]["serverInfo"]["name"], "carnet");
    for at in [1, 2, 3] {
        assert_eq!(answers[at]["error"]["code"], -32602, "{}", answers[at]);
    }
    assert_eq!(answers[4]["result"]["isError"], true, "{}", answers[4]);
    // The first questions come at once and all find no index: one makes it, the others wait for it.
    let called = &answers[5]["result"]["structuredContent"]["resolved"];
    assert_eq!(called[0]["callee"], "mid", "{}", answers[5]);
}
