"""Prints what jedi says of the calls in Python sources, as eval_graph.py reads it, one JSON object a line.

Usage: truth_jedi.py DIR SITES

Files are taken in a random order (always the same) until SITES calls were looked at. Where jedi finds several definitions, each
is permitted and none is asked for.
"""

import ast
import json
import pathlib
import random
import subprocess
import sys

import jedi


def main():
    top = pathlib.Path(sys.argv[1]).resolve()
    listed = subprocess.run(["git", "-C", top, "ls-files", "-z", "*.py"], stdout=subprocess.PIPE, check=True)
    paths = sorted(listed.stdout.decode(errors="replace").split("\0")[:-1])
    random.Random(1).shuffle(paths)
    roots = [str(top / root) for root in ("src", "lib", "python") if (top / root).is_dir()]
    project, n = jedi.Project(top, added_sys_path=roots), 0
    for path in paths:
        if n >= int(sys.argv[2]):
            break
        try:
            source = (top / path).read_bytes().decode()
            tree, script = ast.parse(source), jedi.Script(source, path=top / path, project=project)
        except (OSError, SyntaxError, ValueError):
            continue
        show(file=path)
        lines = source.splitlines()
        for function in calls(tree):
            name, line, column = place(function)
            if name is None:
                continue
            n += 1
            column = len(lines[line - 1].encode()[:column].decode(errors="ignore"))
            try:
                found = script.goto(line, column, follow_imports=True)
            except Exception:  # A bug of jedi's says nothing of ours.
                found = []
            known = [it for it in found if it.type in ("function", "class") and it.module_path]
            # jedi's own stubs of a package shadow the package that is looked at, in another version.
            known = [] if any("third_party" in it.module_path.parts for it in known) else known
            if not known:
                show(unknown=name, at=(path, line))
                continue
            targets = [target(top, it) for it in known]
            show(reference=name, call=len(known) == 1, kind="function", at=(path, line), targets=[it for it in targets if it])


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node.func
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from (it for it in node.decorator_list if not isinstance(it, ast.Call))


def place(function):
    if isinstance(function, ast.Name):
        return function.id, function.lineno, function.col_offset
    if isinstance(function, ast.Attribute):
        return function.attr, function.end_lineno, function.end_col_offset - len(function.attr.encode())
    return None, 0, 0


def target(top, found):
    path = pathlib.Path(found.module_path).resolve()
    return (str(path.relative_to(top)), found.line) if path.is_relative_to(top) else None


def show(**fact):
    print(json.dumps(fact))


main()
