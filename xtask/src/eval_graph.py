"""Compares a graph (carnet graph export --format json) and its definitions with what another program says of the same sources.

Usage: eval_graph.py CARNET CLONE GRAPH.json TRUTH.jsonl NAMES [LIST]

An edge goes from the innermost function, method or class around a call, or from the file, to a function, method or class that the
repository defines. Right is one that the truth knows from there; wrong, one where it knows only others of that name. Recall is of
the edges of calls; an edge found among candidates is one whose call `carnet who-calls` lists as a candidate of the target's name.
NAMES definitions are drawn at random (always the same) and asked of `carnet where-defined`. LIST writes out each miss.
"""

import bisect
import json
import os
import random
import subprocess
import sys
from collections import Counter

KINDS = ("function", "method", "class")


def main():
    carnet, clone, graph_file, truth_file, n_names = sys.argv[1:6]
    graph = Graph(json.load(open(graph_file)))
    truth = Truth(graph, clone, (json.loads(line) for line in open(truth_file)))
    ask = Asking(carnet, clone)

    mine = {edge for edge in graph.calls if edge[0][0] in truth.files and edge[1] in graph.functions}
    by_evidence, wrong_edges = {}, []
    for edge in mine:
        evidence, name = graph.calls[edge]
        counts = by_evidence.setdefault(evidence, Counter())
        named = (edge[0], name)
        if edge in truth.permitted:
            counts["right"] += 1
        elif named in truth.unknown or named not in truth.known:
            counts["not judged"] += 1
        else:
            counts["wrong"] += 1
            wrong_edges.append(edge)
    right = sum(counts["right"] for counts in by_evidence.values())
    wrong = sum(counts["wrong"] for counts in by_evidence.values())

    missed = {edge: name for edge, name in truth.edges.items() if not any((a, b) in mine for a in edge[0] for b in edge[1])}
    listed = {edge for edge, name in missed.items() if any(graph.caller(*call) in edge[0] for call in ask.candidates(name))}
    n_truth, n_found = len(truth.edges), len(truth.edges) - len(missed)
    names, missing = ask.where_defined(truth.definitions, int(n_names))
    defined = {"where-defined": share(names - len(missing), names), "names": names}
    print(json.dumps(defined if not truth.files else {
        "files": len(truth.files), "edges": len(mine), "right": right, "wrong": wrong,
        "precision": share(right, right + wrong),
        "truth": n_truth, "found": n_found, "recall": share(n_found, n_truth),
        "with candidates": share(n_found + len(listed), n_truth),
        **defined,
        "by evidence": {name: dict(counts) for name, counts in sorted(by_evidence.items())},
    }))
    if len(sys.argv) > 6:
        with open(sys.argv[6], "w") as out:
            for edge in sorted(wrong_edges):
                print("wrong", edge, graph.calls[edge], file=out)
            for edge in sorted(missed):
                print("missed" if edge not in listed else "candidate", edge, missed[edge], truth.at[edge], file=out)
            for definition in sorted(missing):
                print("undefined", definition, file=out)


def share(part, whole):
    return round(part / whole, 4) if whole else None


class Graph:
    """Definitions and resolved calls: carnet's answer."""

    def __init__(self, graph):
        nodes = {node["id"]: node for node in graph["nodes"]}
        outer = {edge["target"]: edge["source"] for edge in graph["edges"] if edge["kind"] == "contains"}
        self.functions = {
            (node["path"], node["line"]): node["name"].rsplit(".")[-1] for node in nodes.values() if node["kind"] in KINDS
        }
        self.spans = {}
        for node in nodes.values():
            if node["kind"] in KINDS:
                self.spans.setdefault(node["path"], []).append((node["line"], node["end_line"]))
        for spans in self.spans.values():
            spans.sort()

        def caller(node):
            while nodes[node]["kind"] not in KINDS and nodes[node]["kind"] != "file":
                node = outer[node]
            return nodes[node]["path"], nodes[node]["line"] or 0

        self.calls = {}
        for edge in graph["edges"]:
            if edge["kind"] == "calls":
                target = nodes[edge["target"]]
                name = target["name"].rsplit(".")[-1]
                self.calls[caller(edge["source"]), (target["path"], target["line"])] = (edge["evidence"], name)

    def caller(self, path, line):
        """The innermost function, method or class around a line, or the file."""
        spans = self.spans.get(path, [])
        around = [start for start, end in spans[: bisect.bisect_right(spans, (line, 1 << 40))] if end >= line]
        return path, around[-1] if around else 0

    def next_below(self, path, line):
        spans = self.spans.get(path, [])
        at = bisect.bisect_right(spans, (line, 1 << 40))
        return (path, spans[at][0]) if at < len(spans) else (path, 0)


class Truth:
    """What the other program says."""

    def __init__(self, graph, clone, facts):
        self.files, self.definitions = set(), set()
        # By caller and name; by caller and target; calls by callers and targets that are as good, with their name.
        self.known, self.unknown, self.permitted, self.edges, self.at = set(), set(), set(), {}, {}
        lines = {}
        for fact in facts:
            if "_type" in fact:  # A line of ctags.
                if fact["_type"] == "tag" and "__anon" not in fact["name"] and "nonymousFunction" not in fact["name"]:
                    self.definitions.add((fact["name"], fact["path"], fact["line"]))
                continue
            if "file" in fact:
                path = fact["file"]
                self.files.add(path)
                with open(os.path.join(clone, path), "rb") as source:
                    lines[path] = source.read().split(b"\n")
                continue
            path, line = fact["at"]
            if "definition" in fact:
                self.definitions.add((fact["definition"], path, line))
                continue
            callers = [graph.caller(path, line)]
            if path.endswith(".py") and lines[path][line - 1].lstrip().startswith(b"@"):
                callers.append(graph.next_below(path, line))  # A decorator's call belongs to what it decorates, or around it.
            name = fact.get("reference") or fact["unknown"]
            if "unknown" in fact:
                self.unknown.update((caller, name) for caller in callers)
                continue
            targets = tuple(sorted(tuple(target) for target in fact["targets"]))
            if "named" in fact and any(graph.functions.get(target, fact["named"]) != fact["named"] for target in targets):
                if fact["call"]:
                    self.unknown.update((caller, name) for caller in callers)
                continue  # A parameter: what is called is what somebody gives.
            self.known.update((caller, name) for caller in callers)
            self.permitted.update((caller, target) for caller in callers for target in targets)
            is_function = fact["kind"] == "function" or any(target in graph.functions for target in targets)
            if fact["call"] and targets and is_function:
                edge = (tuple(callers), targets)
                named = [graph.functions[target] for target in targets if target in graph.functions]
                self.edges.setdefault(edge, named[0] if named else name)
                self.at.setdefault(edge, (path, line))


class Asking:
    """carnet's verbs."""

    def __init__(self, carnet, clone):
        self.carnet, self.clone, self.known = carnet, clone, {}

    def read(self, *words):
        env = {**os.environ, "CARNET_DAEMON": "off"}
        answer = subprocess.run([self.carnet, words[0], "--json", "--", *words[1:]], cwd=self.clone, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return json.loads(answer.stdout) if answer.stdout.strip() else {}

    def candidates(self, name):
        if name not in self.known:
            found = self.read("who-calls", name).get("candidates", [])
            self.known[name] = {(it["path"], it["line"]) for it in found}
        return self.known[name]

    def where_defined(self, definitions, n):
        """Returns how many were asked for, and those that were not named."""
        drawn = sorted(definitions)
        random.Random(1).shuffle(drawn)
        drawn = drawn[:n]
        missing = []
        for name, path, line in drawn:
            found = self.read("where-defined", name).get("definitions", [])
            if not any((it["path"], it["line"]) == (path, line) for it in found):
                missing.append((name, path, line))
        return len(drawn), missing


main()
