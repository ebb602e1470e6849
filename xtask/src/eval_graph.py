"""Compares the resolved calls of a graph (carnet graph export --format json) with what jedi says of the same sources.

Usage: eval_graph.py DIR GRAPH.json [SITES]

A call is an edge from the innermost function, class or file around it to the function or class that is called. Files are
taken in a random order (always the same) until SITES calls were looked at; edges from other files are left out. Where jedi
finds nothing, or something that is neither function nor class, nothing is held against anyone.
"""

import ast
import json
import pathlib
import random
import sys

import jedi

KINDS = ("function", "method", "class", "file")


def main():
    top = pathlib.Path(sys.argv[1]).resolve()
    graph = json.load(open(sys.argv[2]))
    n_sites = int(sys.argv[3]) if len(sys.argv) > 3 else 3000
    nodes = {node["id"]: node for node in graph["nodes"]}
    outer = {edge["target"]: edge["source"] for edge in graph["edges"] if edge["kind"] == "contains"}

    def caller(node):
        while nodes[node]["kind"] not in KINDS:
            node = outer[node]
        return nodes[node]["path"], nodes[node]["line"] or 0

    ours = {}
    for edge in graph["edges"]:
        if edge["kind"] == "calls":
            target = nodes[edge["target"]]
            ours[caller(edge["source"]), (target["path"], target["line"])] = (edge["evidence"], target["name"])

    paths = sorted({node["path"] for node in graph["nodes"] if node["language"] == "python"})
    random.Random(1).shuffle(paths)
    project = jedi.Project(top)
    truth, permitted, unknown, looked_at, n = set(), set(), set(), set(), 0
    for path in paths:
        if n >= n_sites:
            break
        source = (top / path).read_bytes()
        try:
            tree, script = ast.parse(source), jedi.Script(source.decode(), path=top / path, project=project)
        except (SyntaxError, UnicodeDecodeError, ValueError):
            continue
        looked_at.add(path)
        lines = source.decode().splitlines()
        for function, line, is_decorator in calls(tree):
            name, at, column = place(function)
            if name is None:
                continue
            n += 1
            column = len(lines[at - 1].encode()[:column].decode(errors="ignore"))
            try:
                found = script.goto(at, column, follow_imports=True)
            except Exception:  # A bug of jedi's says nothing of ours.
                found = []
            known = [it for it in found if it.type in ("function", "class") and it.module_path]
            if not known:
                unknown.add(((path, line), name))
            for it in known:
                place_of = pathlib.Path(it.module_path).resolve()
                inside = place_of.is_relative_to(top)
                target = (str(place_of.relative_to(top)) if inside else str(place_of), it.line)
                permitted.add(((path, line), target))
                if inside and not is_decorator and len(known) == 1:
                    truth.add(((path, line), target))

    mine = {edge for edge in ours if edge[0][0] in looked_at}
    by_evidence = {}
    for edge in mine:
        evidence, name = ours[edge]
        counts = by_evidence.setdefault(evidence, [0, 0, 0])
        is_unknown = (edge[0], name.rsplit(".")[-1]) in unknown
        counts[0 if edge in permitted else 2 if is_unknown else 1] += 1
    defined = {(node["path"], node["line"]) for node in graph["nodes"] if node["kind"] in KINDS[:3]}
    truth = {edge for edge in truth if edge[1] in defined}
    right = sum(counts[0] for counts in by_evidence.values())
    wrong = sum(counts[1] for counts in by_evidence.values())
    found = len(truth & mine)
    print(json.dumps({
        "files": len(looked_at), "sites": n, "edges": len(mine), "right": right, "wrong": wrong,
        "precision": round(right / max(right + wrong, 1), 4),
        "truth": len(truth), "found": found, "recall": round(found / max(len(truth), 1), 4),
        "by_evidence": {name: {"right": a, "wrong": b, "not judged": c} for name, (a, b, c) in sorted(by_evidence.items())},
    }))
    if len(sys.argv) > 4:
        for edge in sorted(mine - permitted):
            if (edge[0], ours[edge][1].rsplit(".")[-1]) not in unknown:
                print("wrong", edge, ours[edge])
        for edge in sorted(truth - mine):
            print("missed", edge)


def calls(tree):
    """Yields (called expression, line of the innermost definition around it or 0, whether it is a decorator)."""

    def walk(node, line):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            for decorator in node.decorator_list:
                if not isinstance(decorator, ast.Call):
                    yield decorator, line, True
                    yield decorator, node.lineno, True
                else:
                    yield decorator.func, node.lineno, True
                yield from walk(decorator, line)
            inner = [child for child in ast.iter_child_nodes(node) if child not in node.decorator_list]
            for child in inner:
                yield from walk(child, node.lineno)
            return
        if isinstance(node, ast.Call):
            yield node.func, line, False
        for child in ast.iter_child_nodes(node):
            yield from walk(child, line)

    yield from walk(tree, 0)


def place(function):
    if isinstance(function, ast.Name):
        return function.id, function.lineno, function.col_offset
    if isinstance(function, ast.Attribute):
        return function.attr, function.end_lineno, function.end_col_offset - len(function.attr.encode())
    return None, 0, 0


main()
