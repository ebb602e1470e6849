//! `carnet graph`: what is exported is read by a program that no one here wrote, and says what the other verbs say.

use std::{fs, path::Path};

use carnet_testkit::python_venv;
use serde_json::Value;

use crate::support::{Walk, everyone};

const SOURCES: &str = r#"
mkdir -p lib
printf 'def low():\n    return 1\n\n\ndef mid():\n    return low() + low()\n' >lib/core.py
printf 'from lib.core import mid\n\n\nclass Tool:\n    def run(self):\n        return mid()\n\n\nmid()\n' >lib/tool.py
printf 'def apart():\n    pass\n' >'lib/a & "b" <c>.py'
"#;

/// Calls as text: `FROM -> TO evidence times`.
fn calls(graph: &Value) -> Vec<String> {
    let nodes = graph["nodes"].as_array().unwrap();
    let name = |id: &Value| nodes.iter().find(|node| node["id"] == *id).unwrap()["name"].clone();
    let edges = graph["edges"].as_array().unwrap().iter().filter(|edge| edge["kind"] == "calls");
    edges
        .map(|edge| {
            let (from, to) = (name(&edge["source"]), name(&edge["target"]));
            let (evidence, times) = (edge["evidence"].as_str().unwrap(), &edge["n_calls"]);
            format!("{} -> {} {evidence} {times}", from.as_str().unwrap(), to.as_str().unwrap())
        })
        .collect()
}

#[test]
fn the_graph_around_a_target_reaches_as_far_as_it_is_told() {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    let graph = |args: &[&str]| calls(&walk.json(&[&["graph", "--json"], args].concat()));
    let all =
        ["mid -> low same-scope 2", "lib/tool.py -> mid import 1", "Tool.run -> mid import 1"];
    assert_eq!(graph(&["low"]), all);
    assert_eq!(graph(&["low", "--depth", "1"]), all[..1]);
    assert_eq!(graph(&["lib/tool.py", "--depth", "1"]), all[1..]);
    let few = walk.json(&["graph", "low", "--nodes", "2", "--json"]);
    assert_eq!((few["nodes"].as_array().unwrap().len(), &few["n_left_out"]), (2, &2.into()));
    let one = walk.json(&["who-calls", "mid", "--json"]);
    assert_eq!(one["resolved"][0]["confidence"], 0.99);
    let text = walk.carnet(&["graph", "low", "--depth", "1"]).expect_code(0).stdout;
    assert_eq!(text, "lib/core.py:6  mid → low (2 times)  same-scope\n");
    walk.carnet(&["graph", "no_such_name"]).expect_code(3);
    walk.carnet(&["graph"]).expect_code(2);
}

#[test]
fn networkx_reads_what_is_exported_and_an_xml_parser_the_picture() {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    let export =
        |format: &str| walk.carnet(&["graph", "export", "--format", format]).expect_code(0).stdout;
    let json: Value = serde_json::from_str(&export("json")).unwrap();
    let kinds: Vec<&str> =
        json["nodes"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "file").count(), 3, "{kinds:?}");
    let cypher = export("cypher");
    assert!(cypher.contains(r#"path:'lib/a & "b" <c>.py'"#), "{cypher}");
    assert!(cypher.contains("CREATE (a)-[:CALLS {evidence: row.evidence"), "{cypher}");
    let picture = walk.carnet(&["graph", "low", "--svg"]).expect_code(0).stdout;
    assert!(picture.contains(">Tool.run</text>"), "{picture}");

    let venvs = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let Some(venv) = python_venv(venvs, "networkx", &["networkx==3.4.2"]) else { return };
    let dir = walk.repo.root();
    fs::write(dir.join("graph.graphml"), export("graphml")).unwrap();
    fs::write(dir.join("graph.svg"), picture).unwrap();
    let program = r#"
import json, networkx, xml.dom.minidom
graph = networkx.read_graphml("graph.graphml")
name = lambda node: graph.nodes[node]["name"]
calls = [f"{name(a)} -> {name(b)} {e['evidence']} {e['n_calls']}" for a, b, e in graph.edges(data=True) if e["kind"] == "calls"]
files = sorted(d["path"] for _, d in graph.nodes(data=True) if d["kind"] == "file")
boxes = xml.dom.minidom.parse("graph.svg").getElementsByTagName("rect").length
print(json.dumps([sorted(calls), files, graph.number_of_nodes(), graph.number_of_edges(), boxes]))
"#;
    let mut python = std::process::Command::new(venv.join("bin/python"));
    let ran = python.args(["-c", program]).current_dir(dir).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let read: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let mut expected = calls(&json);
    expected.sort();
    assert_eq!(read[0], serde_json::to_value(expected).unwrap());
    assert_eq!(read[1][0], "lib/a & \"b\" <c>.py");
    let counts = [&json["nodes"], &json["edges"]].map(|it| it.as_array().unwrap().len());
    assert_eq!((&read[2], &read[3]), (&counts[0].into(), &counts[1].into()));
    assert_eq!(read[4], 4, "low, mid, Tool.run and the top of lib/tool.py");
}
