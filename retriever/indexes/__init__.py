"""Indexes of every type behind one interface; `open_index` finds out which a folder holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from retriever.errors import BadIndex
from retriever.indexes.base import Index
from retriever.manifest import read_manifest

__all__ = ["OPENERS", "Index", "open_index"]


def _bm25(folder: Path) -> Index:
    from retriever.indexes.bm25 import Bm25Index

    return Bm25Index.open(folder)


OPENERS: dict[str, Callable[[Path], Index]] = {"bm25": _bm25}
"""By the type in the manifest; each imports its engine only when called."""


def open_index(folder: Path) -> Index:
    """Loads the index of a folder.

    Raises:
        BadIndex: the folder is no index, is broken, or is of a type that this version does not know.
        RetrieverError: what its engine needs is missing.
    """
    kind = read_manifest(folder).type
    if kind not in OPENERS:
        known = ", ".join(sorted(OPENERS))
        raise BadIndex(f'{folder} is an index of type "{kind}"; this version opens {known}.')
    return OPENERS[kind](folder)
