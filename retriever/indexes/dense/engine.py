"""Searching a FAISS index so that the answer to a query does not depend on the queries beside it.

FAISS itself does not promise that: it multiplies many queries with BLAS and few by loops of its own, BLAS takes another
path for every shape, and the last bits of the scores, hence the order of near ties, differ. So:

* a flat index is searched in batches, which is what makes them fast, for more candidates than were asked for. The inner
  product of query and candidate is then computed again by a loop over the one pair. Where rounding could have kept
  a passage out of the candidates, the query is searched alone.
* every other index is asked one query at a time, by as many threads as OpenMP would use. That costs little: only flat
  indexes, and the choice of the lists of an IVF index, gain from BLAS.
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
_ROUNDING = 1e-5
"""Bounds, relative to the lengths of query and passage, how far two ways of adding an inner product differ: ten times
what 1,024 numbers of 32 bits show."""


class Engine(ABC):
    """An opened FAISS index file; to be used from one thread at a time.

    As many threads as OpenMP allows work on a batch: the cores this process may run on, or `OMP_NUM_THREADS`.
    """

    def __init__(self, index: Any) -> None:
        self.index = index

    @property
    def count(self) -> int:
        """Number of vectors."""
        return int(self.index.ntotal)

    @abstractmethod
    def search(self, queries: Vectors, topk: int) -> tuple[Scores, Rows]:
        """The best rows of each query, by falling score and, where scores are equal, by row.

        Args:
            queries: shape (queries, dimension).
            topk: at most `count`.

        Returns:
            Scores and rows, both of shape (queries, topk); where an approximate index finds fewer, row −1 fills up.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends the threads; safe to call twice."""


class FlatEngine(Engine):
    """Exact search of a flat index."""

    def __init__(self, index: Any) -> None:
        super().__init__(index)
        some = np.linspace(0, self.count - 1, num=min(self.count, 256), dtype=np.int64)
        # Encoders give vectors of one length or nearly so; twice the longest of some bounds them all.
        self._longest = 2 * float(np.linalg.norm(index.reconstruct_batch(some), axis=1).max())

    def search(self, queries: Vectors, topk: int) -> tuple[Scores, Rows]:
        """See `Engine.search`."""
        fetch = min(topk + _SPARE, self.count)
        rough, rows = self.index.search(queries, fetch)
        scores = self._inner_products(queries, rows)
        if len(queries) > 1 and fetch < self.count:
            for number in self._uncertain(queries, scores, rough, topk):
                alone = queries[number : number + 1]
                rows[number] = self.index.search(alone, fetch)[1]
                scores[number] = self._inner_products(alone, rows[number : number + 1])
        return _ranked(scores, rows, topk)

    def close(self) -> None:
        """See `Engine.close`."""

    def _inner_products(self, queries: Vectors, rows: Rows) -> Scores:
        """Shape (queries, candidates); each product is added up on its own, in an order that never changes."""
        rows = np.ascontiguousarray(rows)
        products = np.empty(rows.shape, np.float32)
        faiss.fvec_inner_products_by_idx(
            faiss.swig_ptr(products),
            faiss.swig_ptr(queries),
            self.index.get_xb(),
            faiss.swig_ptr(rows),
            self.index.d,
            *rows.shape,
        )
        return products

    def _uncertain(self, queries: Vectors, scores: Scores, rough: Scores, topk: int) -> list[int]:
        """The queries for which a passage outside the candidates may be as good as the last of the best `topk`."""
        last = np.partition(scores, -topk, axis=1)[:, -topk]
        rounding = 2 * _ROUNDING * np.linalg.norm(queries, axis=1) * self._longest
        return np.flatnonzero(last <= rough[:, -1] + rounding).tolist()


class ApproximateEngine(Engine):
    """Search of any other index."""

    def __init__(self, index: Any) -> None:
        super().__init__(index)
        self._threads = faiss.omp_get_max_threads()
        self._pool = ThreadPoolExecutor(self._threads, "retriever-faiss", initializer=_use_one_core)

    def search(self, queries: Vectors, topk: int) -> tuple[Scores, Rows]:
        """See `Engine.search`."""
        fetch = min(topk + _SPARE, self.count)
        scores = np.empty((len(queries), fetch), np.float32)
        rows = np.empty((len(queries), fetch), np.int64)

        def search_every(start: int) -> None:
            for number in range(start, len(queries), self._threads):
                one = slice(number, number + 1)
                self.index.search(queries[one], fetch, D=scores[one], I=rows[one])

        list(self._pool.map(search_every, range(min(self._threads, len(queries)))))
        return _ranked(scores, rows, topk)

    def close(self) -> None:
        """See `Engine.close`."""
        self._pool.shutdown()


def open_engine(path: Path, search: Mapping[str, float]) -> Engine:
    """Opens an index file memory-mapped.

    Args:
        path: a FAISS file.
        search: FAISS's search parameters by name, such as `nprobe` or `efSearch`.

    Raises:
        BadIndex: the file is broken, or does not rank by inner product.
        BadRequest: the index has no such parameter.
    """
    index = map_index(path)
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise BadIndex(f"{path} ranks by another measure than the inner product; build it with METRIC_INNER_PRODUCT.")
    set_parameters(index, search)
    return FlatEngine(index) if isinstance(index, faiss.IndexFlat) else ApproximateEngine(index)


def set_parameters(index: Any, values: Mapping[str, float]) -> None:
    """Sets parameters of an index by FAISS's names for them.

    Raises:
        BadRequest: the index has no such parameter.
    """
    for name, value in values.items():
        try:
            faiss.ParameterSpace().set_index_parameter(index, name, value)
        except RuntimeError as error:
            raise BadRequest(f'A FAISS index of this type has no parameter "{name}" that can be {value}.') from error


def _use_one_core() -> None:
    faiss.omp_set_num_threads(1)


def _ranked(scores: Scores, rows: Rows, topk: int) -> tuple[Scores, Rows]:
    order = np.lexsort((rows, -scores), axis=1)[:, :topk]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)
