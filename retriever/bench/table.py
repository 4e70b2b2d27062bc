"""Dense search with the encoder left out: a query is the number of its vector in a table.

Run: python -m retriever.bench.table INDEX VECTORS.npy --port PORT
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from retriever.encoders.base import Vectors
from retriever.errors import BadRequest
from retriever.types import Document


class TableEncoder:
    """Looks vectors up; a query that is no number, such as a probe, gets the first."""

    def __init__(self, table: Vectors) -> None:
        self._table = table

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return int(self._table.shape[1])

    @property
    def spec(self) -> dict[str, Any]:
        """Says that there is no model."""
        return {"model": "table"}

    def encode_queries(self, queries: Sequence[str]) -> Vectors:
        """One row per query."""
        rows = self._table[[int(query) if query.isdecimal() else 0 for query in queries]]
        return np.ascontiguousarray(rows)

    def encode_passages(self, documents: Sequence[Document]) -> Vectors:
        """Never: the vectors of passages are given as a file."""
        raise BadRequest("A table of queries encodes no passages; give their vectors.")


def main() -> None:
    """Serves until ended, without a cache."""
    from retriever.indexes.dense import DenseIndex
    from retriever.service.process import serve_index
    from retriever.service.settings import ServiceSettings

    parser = argparse.ArgumentParser()
    parser.add_argument("index", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    encoder = TableEncoder(np.load(given.vectors))
    opened = partial(DenseIndex.open, given.index, encoder=encoder)
    serve_index(opened, "127.0.0.1", given.port, ServiceSettings(cache_passages=0), print)


if __name__ == "__main__":
    main()
