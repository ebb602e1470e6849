"""How well does a description find its function, by `carnet search` itself?

Usage: eval_search.py CARNET DIR SCRATCH [QUESTIONS]

The Python sources of DIR are copied without comments and docstrings into a repository of their own; the first paragraph of
a docstring is the question, all functions and methods are candidates. Printed is the mean reciprocal rank within the first
ten: of the verb, and of BM25 over weighted fields, on descriptions as written and without the words of the function's name.
"""

import ast
import collections
import io
import json
import math
import os
import pathlib
import random
import re
import subprocess
import sys
import tokenize


def main():
    carnet, top, scratch = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    n_questions = int(sys.argv[4]) if len(sys.argv) > 4 else 200
    functions, questions = [], []
    for path in sorted(top.rglob("*.py")):
        relative = path.relative_to(top)
        try:
            source = path.read_text()
            tree = ast.parse(source)
        except (SyntaxError, UnicodeDecodeError, ValueError):
            continue
        bare = without_comments(source, tree)
        if bare is None:
            continue
        (scratch / relative).parent.mkdir(parents=True, exist_ok=True)
        (scratch / relative).write_text(bare)
        lines = bare.splitlines()
        for name, node in named(tree):
            start, end = node.lineno, node.end_lineno
            functions.append((str(relative), name, "\n".join(lines[start - 1 : end])))
            first = (ast.get_docstring(node) or "").split("\n\n")[0]
            first = " ".join(first.split())
            if 4 <= len(first.split()) <= 60:
                questions.append((first, str(relative), name))
    counts = collections.Counter(question for question, _, _ in questions)
    questions = [it for it in questions if counts[it[0]] == 1]
    random.Random(1).shuffle(questions)
    git = ["git", "-C", str(scratch), "-c", "user.name=eval", "-c", "user.email=eval@example.com"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "sources"], check=True)
    environment = os.environ | {"CARNET_DAEMON": "off"}
    subprocess.run([carnet, "-C", str(scratch), "daemon", "--once"], check=True, stdout=subprocess.DEVNULL, env=environment)
    bm25 = Bm25(functions)
    sums, n = collections.defaultdict(float), 0
    for question, path, name in questions:
        if n == n_questions:
            break
        own = set(words(name.rsplit(".")[-1]))
        rest = " ".join(word for word in re.findall(r"\w+", question) if not own & set(words(word)))
        plain = re.sub(r"[\"/]", " ", question)
        if len(rest.split()) < 2:
            continue
        n += 1
        for kind, text in (("as written", plain), ("without the name's words", rest)):
            sums["carnet search", kind] += reciprocal(verb(carnet, scratch, text, environment), (path, name))
            sums["weighted BM25", kind] += reciprocal(bm25.best(text), (path, name))
    print(json.dumps({
        "functions": len(functions), "questions": n,
        **{f"{system}, {kind}": round(points / max(n, 1), 4) for (system, kind), points in sums.items()},
    }))


def named(tree, outer=()):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield ".".join((*outer, node.name)), node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from named(node, (*outer, node.name))
        elif hasattr(node, "body") and not isinstance(node, ast.expr):
            yield from named(node, outer)


def without_comments(source, tree):
    """The same lines; docstrings become `...`, comments nothing."""
    lines = source.splitlines(keepends=True)
    try:
        comments = [it for it in tokenize.generate_tokens(io.StringIO(source).readline) if it.type == tokenize.COMMENT]
    except (tokenize.TokenError, IndentationError):
        return None
    for comment in comments:
        row, column = comment.start
        lines[row - 1] = lines[row - 1][:column].rstrip() + "\n"
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list) or not body or not isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        first = body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            start, end = first.lineno, first.end_lineno
            indent = lines[start - 1].encode()[: first.col_offset].decode(errors="ignore")
            tail = lines[end - 1].encode()[first.end_col_offset :].decode(errors="ignore")
            for row in range(start, end):
                lines[row] = "\n"
            lines[start - 1] = indent + "..." + (tail if tail.strip().startswith(";") else "\n")
    return "".join(lines)


def verb(carnet, scratch, text, environment):
    args = [carnet, "-C", str(scratch), "search", "--json", "--no-wait", "-n", "10", "--kind", "function", "--kind", "method", "--", text]
    ran = subprocess.run(args, capture_output=True, text=True, env=environment)
    if ran.returncode not in (0, 3):
        sys.exit(f"{ran.args}: {ran.stderr}")
    return [(hit["path"], hit["symbol"]) for hit in json.loads(ran.stdout)["hits"]] if ran.stdout else []


def reciprocal(found, wanted):
    return 1 / (found.index(wanted) + 1) if wanted in found else 0.0


STOP = set("a an and are as at be by can do for from has have if in into is it its not of on or that the this to was when which will with".split())


def words(text):
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", text)
    return [word.lower() for word in re.findall(r"[A-Za-z]+|[0-9]+", split)]


class Bm25:
    WEIGHTS = (3.0, 1.0, 1.0)

    def __init__(self, functions):
        self.names = [(path, name) for path, name, _ in functions]
        fields = [[words(name), words(path), words(body)] for path, name, body in functions]
        self.postings = []
        for field in range(3):
            mean = sum(len(it[field]) for it in fields) / max(len(fields), 1)
            postings = collections.defaultdict(list)
            for idx, it in enumerate(fields):
                norm = 1.2 * (0.25 + 0.75 * len(it[field]) / max(mean, 1e-9))
                for word, count in collections.Counter(it[field]).items():
                    postings[word].append((idx, count * 2.2 / (count + norm)))
            self.postings.append(postings)

    def best(self, text):
        scores = collections.defaultdict(float)
        for weight, postings in zip(self.WEIGHTS, self.postings):
            for word in set(words(text)) - STOP:
                found = postings.get(word, ())
                rarity = math.log(1 + (len(self.names) - len(found) + 0.5) / (len(found) + 0.5))
                for idx, score in found:
                    scores[idx] += weight * rarity * score
        best = sorted(scores, key=lambda idx: (-scores[idx], idx))[:10]
        return [self.names[idx] for idx in best]


main()
