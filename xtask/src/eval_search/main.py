"""How well does a description find its function, by `carnet search` itself and by others?

Usage: main.py CARNET WORK QUESTIONS with|without DIR[:COMMIT]…

The sources of each commit are put without comments into a repository of their own below WORK. The first sentence of a comment
is the question, all functions of the repository are candidates. Printed is the mean reciprocal rank within the first ten, for
each kind of question and each system, MiniLM among them or not; last the mean over the repositories.
"""

import collections
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

import numpy as np

from functions import gather
from minilm import MiniLm
from peers import Bm25, fused, reciprocal, reciprocal_ranks_fused
from questions import KINDS, ask

HITS = 10
DEFINITIONS_ALONE = ("--kind", "function", "--kind", "method")


def main():
    carnet, work, n_questions, model = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), MiniLm() if sys.argv[4] == "with" else None
    print("mean reciprocal rank: " + " / ".join(KINDS))
    means = collections.defaultdict(list)
    for asked in sys.argv[5:]:
        clone, _, commit = asked.partition(":")
        place = work / pathlib.Path(clone).resolve().as_posix().replace("/", "_")
        for system, points in measure(carnet, clone, commit or "HEAD", place, n_questions, model).items():
            means[system].append(points)
            print(f"  {system:<26} {line(points)}", flush=True)
    print(f"mean over {len(sys.argv[5:])} repositories")
    for system, points in means.items():
        print(f"  {system:<26} {line(np.mean(points, axis=0))}")


def line(points):
    return " ".join(f"{it:.3f}" for it in points)


def measure(carnet, clone, commit, work, n_questions, model):
    """Returns for each system the mean for each kind of question."""
    commit = subprocess.run(["git", "-C", clone, "rev-parse", commit], capture_output=True, text=True, check=True).stdout.strip()
    bare = work / "repository"
    functions = put(clone, commit, bare)
    questions = ask(functions)
    random.Random(1).shuffle(questions)
    questions = questions[:n_questions]
    environment = os.environ | {"CARNET_DAEMON": "off"}
    subprocess.run([carnet, "-C", bare, "daemon", "--once"], check=True, stdout=subprocess.DEVNULL, env=environment)
    bm25 = Bm25(functions)
    units = model and cached(work / f"minilm-{commit[:12]}.npy", lambda: model.encode([f"{it.path}\n{it.qualified}\n{it.code}" for it in functions]))
    verb = Verb(carnet, bare, functions, environment)
    points, n_asked = collections.defaultdict(list), []
    for kind in KINDS:
        asked = [(question[kind], right) for question, right in questions if question[kind]]
        n_asked.append(len(asked))
        if not asked:
            continue
        texts = [text for text, _ in asked]
        words = bm25.scores(texts)
        systems = {"weighted BM25": words}
        if model:
            vectors = model.encode(texts) @ units.T
            systems["MiniLM"] = vectors
            systems["MiniLM and BM25"] = fused(words, vectors, 0.5)
            systems["MiniLM and BM25, by ranks"] = reciprocal_ranks_fused(words, vectors)
        for idx, (text, right) in enumerate(asked):
            for system, scores in systems.items():
                points[system, kind].append(reciprocal(scores[idx], right))
            points["carnet search", kind].append(verb.reciprocal(text, right, DEFINITIONS_ALONE))
            points["carnet search, all kinds", kind].append(verb.reciprocal(text, right, ()))
    print(f"{clone} {commit}: {len(functions)} functions, {' / '.join(map(str, n_asked))} questions")
    systems = dict.fromkeys(system for system, _ in points)
    return {system: [float(np.mean(points[system, kind] or [0])) for kind in KINDS] for system in systems}


def put(clone, commit, bare):
    """Writes the sources without comments and commits them; returns all functions."""
    shutil.rmtree(bare, ignore_errors=True)
    bare.mkdir(parents=True)
    functions = []
    for path, text, found in gather(clone, commit):
        (bare / path).parent.mkdir(parents=True, exist_ok=True)
        (bare / path).write_bytes(text)
        functions += found
    git = ["git", "-C", bare, "-c", "user.name=eval", "-c", "user.email=eval@example.com", "-c", "commit.gpgsign=false"]
    for args in (["init", "-q"], ["add", "-A", "-f"], ["commit", "-q", "--no-verify", "-m", "sources without comments"]):
        subprocess.run([*git, *args], check=True)
    return functions


def cached(path, make):
    if not path.exists():
        np.save(path, make())
    return np.load(path)


class Verb:
    """The verb as anyone asks it: a process for each question."""

    def __init__(self, carnet, bare, functions, environment):
        self.command = [carnet, "-C", bare, "search", "--json", "--no-wait", "-n", str(HITS)]
        self.environment = environment
        self.functions = collections.defaultdict(list)
        for idx, function in enumerate(functions):
            self.functions[function.path, function.name].append((function.start, idx))

    def reciprocal(self, text, right, options):
        ran = subprocess.run([*self.command, *options, "--", text], capture_output=True, text=True, env=self.environment)
        if ran.returncode not in (0, 3):
            # A question that cannot be asked finds nothing.
            print(f"`{text}`: {ran.stderr}", file=sys.stderr)
        hits = json.loads(ran.stdout)["hits"] if ran.returncode == 0 else []
        for rank, hit in enumerate(hits, 1):
            if self.function_of(hit) in right:
                return 1 / rank
        return 0.0

    def function_of(self, hit):
        name = (hit["symbol"] or "").replace("::", ".").rsplit(".", 1)[-1]
        inside = [it for it in self.functions[hit["path"], name] if hit["start_line"] <= it[0] <= hit["end_line"]]
        return min(inside)[1] if inside else None


main()
