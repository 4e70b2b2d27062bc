"""BM25 indexes: building one from a corpus, opening one, searching it.

An index folder holds `manifest.json` and `lucene/`, a Lucene index that Pyserini's LuceneSearcher also opens.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from itertools import islice
from pathlib import Path

from retriever.corpus import read_corpus
from retriever.errors import BadIndex, BadRequest, JavaFailed
from retriever.folder import new_folder
from retriever.indexes import java
from retriever.indexes.base import Index
from retriever.indexes.lucene import LuceneReader, LuceneWriter
from retriever.limits import check_topk, clean_queries
from retriever.manifest import Manifest, read_manifest
from retriever.types import Document, Passage

_LUCENE = "lucene"
_BATCH = 1000


def build_index(
    corpus: Path,
    out: Path,
    *,
    k1: float = 0.9,
    b: float = 0.4,
    threads: int = 2,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Builds a BM25 index of a JSON-lines corpus.

    The index appears at `out` complete or not at all; with `overwrite`, an index there stays until then.

    Args:
        corpus: see `retriever.corpus`.
        out: a folder that does not exist, is empty or, with `overwrite`, is an index.
        k1: term saturation, at least 0. Applied when searching, kept in the manifest.
        b: length normalisation, from 0 to 1. Likewise.
        threads: Java threads that analyse passages.
        progress: called with the bytes of the corpus file read so far and its size in bytes.

    Raises:
        BadCorpus, BadIndex, BadRequest, JavaMissing, JavaFailed: what they say.
    """
    _check_parameters(k1, b, threads)
    started = time.monotonic()
    with new_folder(out, overwrite) as building:
        passages, fingerprint = _write_lucene(corpus, building / _LUCENE, threads, progress)
        _check_count(building / _LUCENE, passages)
        manifest = Manifest(
            type="bm25",
            passages=passages,
            corpus_sha256=fingerprint,
            parameters={"k1": float(k1), "b": float(b)},
            versions={"pyserini": importlib.metadata.version("pyserini")},
            build={"seconds": round(time.monotonic() - started, 3)},
        )
        manifest.write(building)
    return manifest


class Bm25Index(Index):
    """A loaded BM25 index: queries are bags of words, without operators or fields."""

    def __init__(self, folder: Path, manifest: Manifest, reader: LuceneReader) -> None:
        super().__init__(folder, manifest)
        self._reader = reader

    @classmethod
    def open(cls, folder: Path) -> Bm25Index:
        """Loads the index of a folder that `build_index` made.

        Raises:
            BadIndex: the manifest or the Lucene index is missing, broken, or they contradict each other.
            JavaMissing: there is no Java to open it with.
        """
        manifest = read_manifest(folder)
        if manifest.type != "bm25":
            raise BadIndex(f'{folder} is an index of type "{manifest.type}"; this needs one of type "bm25".')
        k1, b = manifest.parameter("k1", float, folder), manifest.parameter("b", float, folder)
        reader = _open_reader(folder / _LUCENE, k1, b)
        count = java.call(reader.count)
        if count != manifest.passages:
            java.call(reader.close)
            said = manifest.passages
            raise BadIndex(f"{folder} holds {count} passages, its manifest says {said}; build it again.")
        return cls(folder, manifest, reader)

    def submit(self, queries: Sequence[str], topk: int) -> Future[list[list[Passage]]]:
        """See `Index.submit`; batches are answered in order."""
        check_topk(topk)
        return java.submit(self._reader.search, clean_queries(queries), min(topk, self.manifest.passages))

    def documents(self, ids: Sequence[str]) -> list[Document | None]:
        """See `Index.documents`."""
        return java.call(self._reader.documents, ids)

    def close(self) -> None:
        """Closes the index files."""
        java.call(self._reader.close)


def _check_parameters(k1: float, b: float, threads: int) -> None:
    if not (math.isfinite(k1) and k1 >= 0):
        raise BadRequest(f"k1 must be a number of at least 0, found {k1}.")
    if not 0 <= b <= 1:
        raise BadRequest(f"b must be a number from 0 to 1, found {b}.")
    if threads < 1:
        raise BadRequest(f"threads must be at least 1, found {threads}.")


def _write_lucene(
    corpus: Path, folder: Path, threads: int, progress: Callable[[int, int], None] | None
) -> tuple[int, str]:
    digest = hashlib.sha256()
    passages = 0
    writer = java.call(LuceneWriter, folder, threads)
    try:
        for batch in _batches(corpus, progress):
            digest.update("".join(f"{record}\n" for record in batch).encode("ascii"))
            if java.call(writer.add, batch) != len(batch):
                raise BadIndex(f"Lucene refused one of the {len(batch)} passages after number {passages}.")
            passages += len(batch)
    except BaseException:
        java.call(writer.close, False)
        raise
    java.call(writer.close, True)
    return passages, digest.hexdigest()


def _batches(corpus: Path, progress: Callable[[int, int], None] | None) -> Iterator[list[str]]:
    size = corpus.stat().st_size if corpus.is_file() else 0
    position = 0

    def remember(read: int) -> None:
        nonlocal position
        position = read

    documents = read_corpus(corpus, remember)
    while batch := [document.to_json() for document in islice(documents, _BATCH)]:
        yield batch
        if progress:
            progress(position, size)


def _open_reader(folder: Path, k1: float, b: float) -> LuceneReader:
    try:
        return java.call(LuceneReader, folder, k1, b)
    except JavaFailed as error:
        raise BadIndex(f"{folder} cannot be opened as a Lucene index ({error}); build it again.") from error


def _check_count(folder: Path, passages: int) -> None:
    """Lucene logs a failed commit instead of raising, so the index is opened and counted."""
    reader = _open_reader(folder, 0.9, 0.4)
    count = java.call(reader.count)
    java.call(reader.close)
    if count != passages:
        raise BadIndex(f"{folder} took {count} of {passages} passages; free disk space and build again.")
