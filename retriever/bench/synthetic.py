"""Synthetic passages, queries and vectors of any number, the same for the same seed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from retriever.encoders.base import Vectors
from retriever.types import Document

VOCABULARY = 100_000
WORDS = 92
QUERY_WORDS = 6
_CHUNK = 5_000


def write_passages(path: Path, count: int, seed: int = 0) -> None:
    """Writes a corpus of JSON lines: about 670 characters a passage, word frequencies after Zipf and Mandelbrot."""
    with path.open("w", encoding="utf-8") as file:
        for document in passages(count, seed):
            file.write(document.to_json() + "\n")


def passages(count: int, seed: int = 0) -> Iterator[Document]:
    """The passages of a synthetic corpus; ids are their numbers."""
    words, cumulative = _vocabulary(seed)
    rng = np.random.default_rng((seed, 1))
    for start in range(0, count, _CHUNK):
        drawn = words[np.searchsorted(cumulative, rng.random((min(_CHUNK, count - start), WORDS)))]
        for number, row in enumerate(drawn, start=start):
            yield Document(str(number), f"{row[0]} {row[1]}", " ".join(row))


def queries(corpus: Path, count: int, seed: int = 0) -> list[str]:
    """Each takes six words of one of the corpus's first passages, which is thereby an answer."""
    rng = np.random.default_rng((seed, 2))
    with corpus.open(encoding="utf-8") as lines:
        texts = [json.loads(line)["contents"].split() for _, line in zip(range(count), lines, strict=False)]
    return [" ".join(rng.choice(text, QUERY_WORDS, replace=False)) for text in texts]


def vectors(count: int, dimension: int, seed: int = 0) -> Vectors:
    """Unit vectors around random centres, shape (count, dimension)."""
    return around(centres(dimension), count, seed)


def centres(dimension: int, count: int = 1_000) -> Vectors:
    """Where the clusters lie, shape (count, dimension)."""
    return np.random.default_rng(3).standard_normal((count, dimension), dtype=np.float32)


def around(middles: Vectors, count: int, seed: int) -> Vectors:
    """Unit vectors around given centres, shape (count, dimension): each has some neighbours near, the rest far."""
    rng = np.random.default_rng((4, seed % 2**32))
    found = middles[rng.integers(len(middles), size=count)]
    found += 0.7 * rng.standard_normal(found.shape, dtype=np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def _vocabulary(seed: int) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.float64]]:
    rng = np.random.default_rng((seed, 0))
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    lengths = rng.integers(4, 9, size=VOCABULARY)
    words = np.array(["".join(letters[rng.integers(26, size=length)]) for length in lengths])
    frequency = 1 / (np.arange(VOCABULARY) + 100.0)
    return words, np.cumsum(frequency / frequency.sum())
