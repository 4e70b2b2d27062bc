"""BM25 indexes: building one from a corpus, opening one, searching it.

An index folder holds `manifest.json` and `lucene/`, a Lucene index that Pyserini's LuceneSearcher also opens. A
Lucene index that Pyserini's indexer built is opened where it is.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from retriever.corpus import corpus_size, read_corpus
from retriever.errors import BadIndex, BadRequest, JavaFailed
from retriever.folder import new_folder
from retriever.indexes import java
from retriever.indexes.analyzer import ENGLISH, Analyzer
from retriever.indexes.base import Index
from retriever.indexes.lucene import LuceneReader, LuceneWriter, is_lucene
from retriever.limits import check_topk, clean_queries
from retriever.manifest import MANIFEST, Manifest, read_manifest
from retriever.types import Document, Passage

DEFAULT_K1, DEFAULT_B = 0.9, 0.4
_LUCENE, _LOCK = "lucene", "write.lock"
_BATCH = 1000


def build_index(
    corpus: Path,
    out: Path,
    *,
    k1: float = DEFAULT_K1,
    b: float = DEFAULT_B,
    analyzer: Analyzer = ENGLISH,
    threads: int = 2,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Builds a BM25 index of a corpus.

    The index appears at `out` complete or not at all; with `overwrite`, an index there stays until then.

    Args:
        corpus: see `retriever.corpus`.
        out: a folder that does not exist, is empty or, with `overwrite`, is an index.
        k1: term saturation, at least 0. Applied when searching, kept in the manifest.
        b: length normalisation, from 0 to 1. Likewise.
        analyzer: how passages, and later queries, become index terms.
        threads: Java threads that analyse passages.
        progress: called with the bytes of the corpus read so far and its size in bytes.

    Raises:
        BadCorpus, BadIndex, BadRequest, JavaMissing, JavaFailed: what they say.
    """
    _check_parameters(k1, b)
    if threads < 1:
        raise BadRequest(f"threads must be at least 1, found {threads}.")
    started = time.monotonic()
    with new_folder(out, overwrite) as building:
        lucene = building / _LUCENE
        passages, fingerprint = _write_lucene(corpus, lucene, analyzer, threads, progress)
        _check_written(lucene, passages, out)
        manifest = Manifest(
            type="bm25",
            passages=passages,
            corpus_sha256=fingerprint,
            parameters={"k1": float(k1), "b": float(b), "analyzer": asdict(analyzer)},
            versions={"pyserini": importlib.metadata.version("pyserini"), "java": java.find_java().version},
            build={"seconds": round(time.monotonic() - started, 3)},
            files=_file_sizes(building),
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
        """Loads the index of a folder that `build_index` made, or a Lucene folder as `adopt` does.

        Raises:
            BadIndex: the manifest or the Lucene index is missing, broken, or they contradict each other.
            JavaMissing: there is no Java to open it with.
        """
        if is_lucene(folder):
            return cls.adopt(folder)
        manifest = read_manifest(folder)
        if manifest.type != "bm25":
            raise BadIndex(f'{folder} is an index of type "{manifest.type}"; this needs one of type "bm25".')
        k1, b = manifest.parameter("k1", float, folder), manifest.parameter("b", float, folder)
        analyzer = _analyzer(manifest, folder)
        manifest.check_files(folder)
        reader = _open_reader(folder / _LUCENE, k1, b, analyzer)
        count = java.call(reader.count)
        if count != manifest.passages:
            java.call(reader.close)
            said = manifest.passages
            raise BadIndex(f"{folder} holds {count} passages, its manifest says {said}; build it again.")
        return cls(folder, manifest, reader)

    @classmethod
    def adopt(
        cls, folder: Path, *, k1: float = DEFAULT_K1, b: float = DEFAULT_B, analyzer: Analyzer = ENGLISH
    ) -> Bm25Index:
        """Loads a Lucene index that Pyserini's or Anserini's indexer built, where it is; nothing is written.

        Args:
            folder: holds Lucene's files, with the raw records (`--storeRaw`) or the contents stored.
            k1: term saturation, at least 0.
            b: length normalisation, from 0 to 1.
            analyzer: the one that the index was built with; Lucene does not keep it.

        Raises:
            BadIndex: the folder is no Lucene index, is broken, or stores no passages.
            BadRequest: a parameter is out of range.
            JavaMissing: there is no Java to open it with.
        """
        _check_parameters(k1, b)
        reader = _open_reader(folder, k1, b, analyzer)
        if not java.call(reader.stores_passages):
            java.call(reader.close)
            raise BadIndex(f"{folder} stores no passages, only index terms; build it again with --storeRaw.")
        parameters = {"k1": float(k1), "b": float(b), "analyzer": asdict(analyzer)}
        return cls(folder, Manifest("bm25", java.call(reader.count), "", parameters, {}, {}), reader)

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


def _check_parameters(k1: float, b: float) -> None:
    if not (math.isfinite(k1) and k1 >= 0):
        raise BadRequest(f"k1 must be a number of at least 0, found {k1}.")
    if not 0 <= b <= 1:
        raise BadRequest(f"b must be a number from 0 to 1, found {b}.")


def _analyzer(manifest: Manifest, folder: Path) -> Analyzer:
    try:
        return Analyzer(**manifest.parameters["analyzer"])
    except (KeyError, TypeError, BadRequest) as error:
        raise BadIndex(
            f'{folder / MANIFEST}: parameter "analyzer" must have a language, a stemmer and keep_stopwords that '
            f"this version knows ({error}); build the index again."
        ) from error


def _write_lucene(
    corpus: Path, folder: Path, analyzer: Analyzer, threads: int, progress: Callable[[int, int], None] | None
) -> tuple[int, str]:
    digest = hashlib.sha256()
    passages = 0
    writer = java.call(LuceneWriter, folder, analyzer, threads)
    try:
        for batch in _batches(corpus, progress):
            digest.update("".join(f"{record}\n" for record in batch).encode("ascii"))
            if java.call(writer.add, batch) != len(batch):
                # Closing raises what adding has only logged, such as a full disk.
                java.call(writer.close, False)
                raise BadIndex(f"Lucene refused one of the {len(batch)} passages after number {passages}.")
            passages += len(batch)
    except BaseException:
        with suppress(JavaFailed):
            java.call(writer.close, False)
        raise
    java.call(writer.close, True)
    return passages, digest.hexdigest()


def _batches(corpus: Path, progress: Callable[[int, int], None] | None) -> Iterator[list[str]]:
    size = corpus_size(corpus)
    position = 0

    def remember(read: int) -> None:
        nonlocal position
        position = read

    documents = read_corpus(corpus, remember)
    while batch := [document.to_json() for document in islice(documents, _BATCH)]:
        yield batch
        if progress:
            progress(position, size)


def _file_sizes(folder: Path) -> dict[str, int]:
    files = [file for file in sorted((folder / _LUCENE).iterdir()) if file.name != _LOCK]
    return {f"{_LUCENE}/{file.name}": file.stat().st_size for file in files}


def _open_reader(folder: Path, k1: float, b: float, analyzer: Analyzer) -> LuceneReader:
    try:
        return java.call(LuceneReader, folder, k1, b, analyzer)
    except JavaFailed as error:
        raise BadIndex(f"{folder} cannot be opened as a Lucene index ({error}); build it again.") from error


def _check_written(folder: Path, passages: int, out: Path) -> None:
    """Lucene logs a failed commit or merge instead of raising, so what it wrote is counted."""
    count = 0
    with suppress(BadIndex):
        reader = _open_reader(folder, DEFAULT_K1, DEFAULT_B, ENGLISH)
        count = java.call(reader.count)
        java.call(reader.close)
    segments = len(list(folder.glob("*.si")))
    if count != passages or segments != 1:
        raise BadIndex(
            f"{out} was not built (Lucene wrote {count} of {passages} passages, in {segments} segments instead of 1); "
            "free disk space or choose another --out."
        )
