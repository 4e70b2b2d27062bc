"""Searching a FAISS index so that the answer to a query does not depend on the queries beside it.

FAISS itself does not promise that: it multiplies many queries with BLAS and few by loops of its own, BLAS takes another
path for every shape, and the last bits of the scores, hence the order of near ties, differ. So:

* a flat index is searched in batches, which is what makes them fast, for more candidates than were asked for. The inner
  product of query and candidate is then computed again by a loop over the one pair. Where rounding could have kept
  a passage out of the candidates, the query is searched alone.
* every other index is asked one query at a time. That costs little: of its work only the choice of the lists of an IVF
  index gains from BLAS.

Threads are Python's, each with one core, instead of OpenMP's: those wait for each other in a busy loop, and on cores
that others use too a batch of 64 took 20 times as long as on idle ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from retriever.encoders.base import Vectors
from retriever.errors import BadIndex, BadRequest
from retriever.indexes.dense.faiss_files import map_index

Rows = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]

_SPARE = 16
_BLOCKS_A_THREAD = 4
_ROUNDING = 1e-5
"""Bounds, relative to the lengths of query and passage, how far two ways of adding an inner product differ: ten times
what 1,024 numbers of 32 bits show."""

# From how many numbers (queries times dimension) on FAISS uses BLAS. Its 128,000 is 333 queries of 384 numbers, but
# BLAS is faster from 4 queries on, and at 64 it takes a seventh of the time.
faiss.cvar.distance_compute_blas_threshold = 2048


class Engine(ABC):
    """An opened FAISS index file, searched by as many threads as OpenMP would use.

    That is the number of cores this process may run on, or `OMP_NUM_THREADS`.
    """

    def __init__(self, index: Any) -> None:
        self._index = index
        self._threads = int(faiss.omp_get_max_threads())
        self._pool = ThreadPoolExecutor(self._threads, "retriever-faiss", initializer=_use_one_core)

    @property
    def count(self) -> int:
        """Number of vectors."""
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return int(self._index.d)

    def search(self, queries: Vectors, topk: int) -> tuple[Scores, Rows]:
        """The best rows of each query, by falling score and, where scores are equal, by row.

        Args:
            queries: shape (queries, dimension).
            topk: from 1 to `count`.

        Returns:
            Scores and rows, both of shape (queries, topk); where an approximate index finds fewer, row −1 fills up.
        """
        scores, rows = self._candidates(queries, topk, min(topk + _SPARE, self.count))
        order = np.lexsort((rows, -scores), axis=1)[:, :topk]
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)

    def close(self) -> None:
        """Ends the threads; safe to call twice."""
        self._pool.shutdown()

    @abstractmethod
    def _candidates(self, queries: Vectors, topk: int, fetch: int) -> tuple[Scores, Rows]:
        """Scores and rows, both of shape (queries, fetch) and in any order, the best `topk` among them."""


class FlatEngine(Engine):
    """Exact search of a flat index."""

    def __init__(self, index: Any) -> None:
        super().__init__(index)
        shape = (self.count, self.dimension)
        self._vectors: Vectors = faiss.rev_swig_ptr(index.get_xb(), self.count * self.dimension).reshape(shape)
        blocks = _BLOCKS_A_THREAD * self._threads
        self._bounds: list[int] = np.unique(np.linspace(0, self.count, blocks + 1, dtype=np.int64)).tolist()
        # Encoders give vectors of one length or nearly so; twice the longest of some bounds them all.
        some = self._vectors[np.linspace(0, self.count - 1, num=256, dtype=np.int64)]
        self._longest = 2 * float(np.linalg.norm(some, axis=1).max())

    def _candidates(self, queries: Vectors, topk: int, fetch: int) -> tuple[Scores, Rows]:
        rough, rows = self._search_blocks(queries, fetch)
        scores = self._inner_products(queries, rows)
        if len(queries) > 1 and fetch < self.count:
            for number in self._uncertain(queries, scores, rough.min(axis=1), topk):
                alone = slice(number, number + 1)
                rows[alone] = self._search_blocks(queries[alone], fetch)[1]
                scores[alone] = self._inner_products(queries[alone], rows[alone])
        return scores, rows

    def _search_blocks(self, queries: Vectors, fetch: int) -> tuple[Scores, Rows]:
        def search(start: int, stop: int) -> tuple[Scores, Rows]:
            block = self._vectors[start:stop]
            scores, rows = faiss.knn(queries, block, min(fetch, stop - start), faiss.METRIC_INNER_PRODUCT)
            return scores, rows + start

        found = list(self._pool.map(search, self._bounds[:-1], self._bounds[1:]))
        scores, rows = (np.concatenate(part, axis=1) for part in zip(*found, strict=True))
        best = np.argpartition(-scores, fetch - 1, axis=1)[:, :fetch]
        return np.take_along_axis(scores, best, axis=1), np.take_along_axis(rows, best, axis=1)

    def _inner_products(self, queries: Vectors, rows: Rows) -> Scores:
        """Shape (queries, candidates); each product is added up on its own, in an order that never changes."""
        products = np.empty(rows.shape, np.float32)
        faiss.fvec_inner_products_by_idx(  # type: ignore[attr-defined]
            faiss.swig_ptr(products),
            faiss.swig_ptr(queries),
            self._index.get_xb(),
            faiss.swig_ptr(rows),
            self.dimension,
            *rows.shape,
        )
        return products

    def _uncertain(self, queries: Vectors, scores: Scores, worst: Scores, topk: int) -> list[int]:
        """The queries for which a passage outside the candidates may be as good as the last of the best `topk`."""
        last = np.partition(scores, -topk, axis=1)[:, -topk]
        rounding = 2 * _ROUNDING * np.linalg.norm(queries, axis=1) * self._longest
        return [int(number) for number in np.flatnonzero(last <= worst + rounding)]


class ApproximateEngine(Engine):
    """Search of any other index."""

    def _candidates(self, queries: Vectors, topk: int, fetch: int) -> tuple[Scores, Rows]:
        scores = np.empty((len(queries), fetch), np.float32)
        rows = np.empty((len(queries), fetch), np.int64)

        def search_some(first: int) -> None:
            for number in range(first, len(queries), self._threads):
                one = slice(number, number + 1)
                self._index.search(queries[one], fetch, D=scores[one], I=rows[one])

        list(self._pool.map(search_some, range(min(self._threads, len(queries)))))
        return scores, rows


def open_engine(path: Path, search: Mapping[str, float]) -> Engine:
    """Opens an index file memory-mapped.

    Args:
        path: a FAISS file.
        search: FAISS's search parameters by name, such as `nprobe` or `efSearch`.

    Raises:
        BadIndex: the file is broken, empty, or does not rank by inner product.
        BadRequest: the index has no such parameter.
    """
    index = map_index(path)
    check_metric(index, path)
    if index.ntotal == 0:
        raise BadIndex(f"{path} holds no vectors; build the index again.")
    set_parameters(index, search)
    return FlatEngine(index) if isinstance(index, faiss.IndexFlat) else ApproximateEngine(index)


def check_metric(index: Any, path: Path) -> None:
    """Raises `BadIndex` unless the index ranks by inner product."""
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise BadIndex(f"{path} ranks by another measure than the inner product; build it with METRIC_INNER_PRODUCT.")


def set_parameters(index: Any, values: Mapping[str, float]) -> None:
    """Sets parameters of an index by FAISS's names for them.

    Raises:
        BadRequest: the index has no such parameter.
    """
    for name, value in values.items():
        try:
            faiss.ParameterSpace().set_index_parameter(index, name, value)
        except (RuntimeError, TypeError) as error:
            raise BadRequest(f'A FAISS index of this type has no parameter "{name}" that can be {value!r}.') from error


def _use_one_core() -> None:
    faiss.omp_set_num_threads(1)
