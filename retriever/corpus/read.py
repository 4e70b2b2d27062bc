"""Streams a corpus, whatever its form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from retriever.corpus.files import corpus_files, read_files
from retriever.corpus.ids import IdHashes
from retriever.corpus.store import ARROW, is_store, open_store
from retriever.types import Document


def read_corpus(path: Path, on_bytes: Callable[[int], None] | None = None) -> Iterator[Document]:
    """Streams the passages of a corpus.

    Args:
        path: a file, a folder of files, or a store; see `retriever.corpus`.
        on_bytes: called after each passage with the bytes read so far, of those that `corpus_size` tells.

    Raises:
        BadCorpus: names the file, the line or row, and what was expected; a duplicate id after the last passage.
    """
    if not is_store(path):
        yield from read_files(path, IdHashes(), on_bytes)
        return
    store, size = open_store(path), corpus_size(path)
    try:
        for row in range(len(store)):
            yield from store.documents([row])
            if on_bytes:
                on_bytes((row + 1) * size // len(store))
    finally:
        store.close()


def corpus_size(path: Path) -> int:
    """Size in bytes of what `read_corpus` reads.

    Raises:
        BadCorpus: there is nothing to read.
    """
    files = [path / ARROW] if is_store(path) else corpus_files(path)
    return sum(file.stat().st_size for file in files)
