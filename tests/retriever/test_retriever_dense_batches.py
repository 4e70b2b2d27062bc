"""The answer to a query does not depend on its batch, where FAISS's own does."""

from pathlib import Path

import faiss
import numpy as np
import pytest

from retriever.encoders.base import Vectors
from retriever.indexes.dense.engine import open_engine
from retriever.indexes.dense.faiss_files import write_index
from retriever.indexes.dense.recipe import Recipe, default_search

DIMENSION = 128
BATCHES = (2, 17, 64)


def unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def passages() -> Vectors:
    """2,000 of which every tenth is, but for the last bits, the same."""
    vectors = np.random.default_rng(0).standard_normal((2000, DIMENSION), dtype=np.float32)
    vectors[::10] = vectors[0] + 1e-7 * vectors[::10]
    return unit(vectors)


@pytest.fixture(scope="module")
def queries(passages: Vectors) -> Vectors:
    """64, every second near those that are nearly the same."""
    drawn = np.random.default_rng(1).standard_normal((64, DIMENSION), dtype=np.float32)
    drawn[::2] = passages[0] + 0.05 * drawn[::2]
    return unit(drawn)


def test_faiss_itself_depends_on_the_batch(passages: Vectors, queries: Vectors) -> None:
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(passages)
    together = index.search(queries, 10)
    alone = [np.concatenate(part) for part in zip(*(index.search(one[None], 10) for one in queries), strict=True)]
    assert (together[0] != alone[0]).any() and (together[1] != alone[1]).any()


@pytest.mark.parametrize("factory", ["Flat", "HNSW8", "IVF8,SQ8", "PCA64,IVF8,PQ16x4", "SQ8"])
@pytest.mark.parametrize("topk", [1, 100])
def test_rows_and_scores_are_the_same_to_the_last_bit(
    tmp_path: Path, passages: Vectors, queries: Vectors, factory: str, topk: int
) -> None:
    index = Recipe(factory).new_index(DIMENSION)
    index.train(passages)
    index.add(passages)
    write_index(index, tmp_path / "index")
    engine = open_engine(tmp_path / "index", default_search(index))
    alone = [np.concatenate(part) for part in zip(*(engine.search(one[None], topk) for one in queries), strict=True)]
    for size in BATCHES:
        found = [engine.search(queries[first : first + size], topk) for first in range(0, len(queries), size)]
        for expected, part in zip(alone, zip(*found, strict=True), strict=True):
            assert np.array_equal(np.concatenate(part), expected)
    engine.close()


def test_flat_search_is_exact(tmp_path: Path, passages: Vectors, queries: Vectors) -> None:
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(passages)
    write_index(index, tmp_path / "index")
    engine = open_engine(tmp_path / "index", {})
    scores, rows = engine.search(queries, 300)
    products = queries.astype(np.float64) @ passages.astype(np.float64).T
    best = -np.sort(-products, axis=1)[:, :300]
    assert np.abs(scores - best).max() < 1e-6
    assert np.abs(np.take_along_axis(products, rows, axis=1) - best).max() < 1e-6
    assert all(len(set(row)) == 300 for row in rows.tolist())
    engine.close()
