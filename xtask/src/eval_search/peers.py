"""Others that rank functions: BM25 over weighted fields, MiniLM's vectors, and both fused."""

import functools
import os
import re

import numpy as np
import scipy.sparse as sparse

from questions import STEM, subwords

# Weights of body, name and path.
WEIGHTS = (1.0, 1.0, 0.3)
K1, B = 1.2, 0.75
# Best of each list that are brought to 0..1 and weighed against each other.
WINDOW = 200


@functools.lru_cache(1 << 20)
def tokens_of(identifier):
    parts = subwords(identifier)
    whole = ("=" + identifier.lower().strip("_"),) if len(parts) > 1 else ()
    return tuple(map(STEM, parts)) + whole


def tokens(text):
    return [token for identifier in re.findall(r"[A-Za-z0-9_]+", text) for token in tokens_of(identifier)]


class Bm25:
    def __init__(self, functions):
        fields = (lambda it: it.code, lambda it: it.qualified, lambda it: os.path.splitext(it.path)[0])
        self.fields = [Bm25Field([tokens(field(it)) for it in functions]) for field in fields]

    def scores(self, questions):
        asked = [tokens(question) for question in questions]
        return sum(weight * field.scores(asked) for weight, field in zip(WEIGHTS, self.fields))


class Bm25Field:
    def __init__(self, texts):
        self.words, rows, columns, counts = {}, [], [], []
        lengths = np.array([len(text) for text in texts], np.float32)
        for row, text in enumerate(texts):
            for word, count in count_of(text).items():
                rows.append(row)
                columns.append(self.words.setdefault(word, len(self.words)))
                counts.append(count)
        n = len(texts)
        matrix = sparse.csr_matrix((np.array(counts, np.float32), (rows, columns)), shape=(n, len(self.words)))
        with_word = np.bincount(matrix.indices, minlength=len(self.words))
        rarity = np.log(1 + (n - with_word + 0.5) / (with_word + 0.5)).astype(np.float32)
        norm = K1 * (1 - B + B * lengths / max(lengths.mean(), 1e-9))
        row_of = np.repeat(np.arange(n), np.diff(matrix.indptr))
        matrix.data = (matrix.data * (K1 + 1) / (matrix.data + norm[row_of]) * rarity[matrix.indices]).astype(np.float32)
        self.matrix = matrix.T.tocsr()

    def scores(self, asked):
        rows, columns = [], []
        for row, text in enumerate(asked):
            known = {self.words[word] for word in text if word in self.words}
            rows += [row] * len(known)
            columns += known
        matrix = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(len(asked), len(self.words)))
        return np.asarray((matrix @ self.matrix).todense(), np.float32)


def count_of(words):
    counts = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return counts


def fused(a, b, share):
    """Both brought to 0..1 over their best, then weighed: `share` of `b`."""
    return (1 - share) * placed(a) + share * placed(b)


def reciprocal_ranks_fused(a, b):
    return 1 / (60 + ranked(a)) + 1 / (60 + ranked(b))


def ranked(scores):
    ranks = np.full(scores.shape, np.inf, np.float32)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :WINDOW]
    np.put_along_axis(ranks, best, np.arange(1, best.shape[1] + 1, dtype=np.float32)[None].repeat(len(scores), 0), 1)
    return ranks


def placed(scores):
    n = min(WINDOW, scores.shape[1])
    best = -np.partition(-scores, n - 1, axis=1)[:, :n]
    low, high = best.min(1, keepdims=True), best.max(1, keepdims=True)
    return np.clip((scores - low) / np.maximum(high - low, 1e-9), 0, None)


def reciprocal(scores, right):
    """The reciprocal rank of the best right answer within the first ten; of equals half stand before it."""
    best = scores[right].max()
    rank = 1 + int((scores > best).sum()) + (int((scores == best).sum()) - 1) // 2
    return 1 / rank if rank <= 10 else 0.0
