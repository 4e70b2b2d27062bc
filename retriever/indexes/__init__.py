"""Indexes of every type behind one interface; `open_index` finds out which a folder holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from retriever.errors import BadIndex
from retriever.indexes.base import Index
from retriever.indexes.lucene import is_lucene
from retriever.manifest import read_manifest

__all__ = ["OPENERS", "Index", "index_type", "open_index"]


def _bm25(folder: Path) -> Index:
    from retriever.indexes.bm25 import Bm25Index

    return Bm25Index.open(folder)


def _dense(folder: Path) -> Index:
    from retriever.indexes.dense import DenseIndex

    return DenseIndex.open(folder)


def _sharded(folder: Path) -> Index:
    from retriever.indexes.sharded import ShardedIndex

    return ShardedIndex.open(folder, open_index)


def _hybrid(folder: Path) -> Index:
    from retriever.indexes.hybrid import HybridIndex

    return HybridIndex.open(folder, open_index)


def _rerank(folder: Path) -> Index:
    from retriever.indexes.rerank import RerankIndex

    return RerankIndex.open(folder, open_index)


OPENERS: dict[str, Callable[[Path], Index]] = {
    "bm25": _bm25,
    "dense": _dense,
    "hybrid": _hybrid,
    "rerank": _rerank,
    "sharded": _sharded,
}
"""By the type in the manifest; each imports its engine only when called."""


def open_index(folder: Path) -> Index:
    """Loads the index of a folder, or a Lucene index that Pyserini built.

    Raises:
        BadIndex: the folder is no index, is broken, or is of a type that this version does not know.
        RetrieverError: what its engine needs is missing.
    """
    return OPENERS[index_type(folder)](folder)


def index_type(folder: Path) -> str:
    """The type of the index in a folder, a key of `OPENERS`, without loading it.

    Raises:
        BadIndex: the folder is no index, or of a type that this version does not know.
    """
    kind = "bm25" if is_lucene(folder) else read_manifest(folder).type
    if kind not in OPENERS:
        known = ", ".join(sorted(OPENERS))
        raise BadIndex(f'{folder} is an index of type "{kind}"; this version opens {known}.')
    return kind
