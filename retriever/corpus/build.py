"""Makes a store of a corpus."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from retriever.corpus.files import corpus_files, read_files
from retriever.corpus.ids import IdHashes
from retriever.corpus.store import ARROW, BATCH_ROWS, COLUMNS, FILES, SUMMARY, CorpusStore, is_store, open_store
from retriever.types import Document


def build_store(corpus: Path, folder: Path, progress: Callable[[int, int], None] | None = None) -> CorpusStore:
    """Makes a store of a corpus, replacing one there; of a corpus that is a store already, by linking its files.

    The memory taken does not depend on the texts; it is some 40 bytes a passage and one batch of texts.

    Args:
        corpus: see `retriever.corpus`.
        folder: where to; made where it is missing.
        progress: called with the bytes of the corpus files read so far and their size in bytes.

    Raises:
        BadCorpus: the corpus cannot be read or holds something else than passages; no file is left in `folder`.
    """
    if is_store(corpus) and folder.is_dir() and folder.samefile(corpus):
        return open_store(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Never written over: another store may share the files by links.
    _remove(folder)
    try:
        if is_store(corpus):
            _link(corpus, folder)
        else:
            _write(corpus, folder, progress)
    except BaseException:
        _remove(folder)
        raise
    return open_store(folder)


def _remove(folder: Path) -> None:
    for name in (SUMMARY, *FILES):
        (folder / name).unlink(missing_ok=True)


def _link(corpus: Path, folder: Path) -> None:
    open_store(corpus).close()
    for name in (*FILES, SUMMARY):
        try:
            os.link(corpus / name, folder / name)
        except OSError:
            # Another file system, or one without links.
            shutil.copyfile(corpus / name, folder / name)


def _write(corpus: Path, folder: Path, progress: Callable[[int, int], None] | None) -> None:
    size = sum(file.stat().st_size for file in corpus_files(corpus))
    position = 0

    def remember(read: int) -> None:
        nonlocal position
        position = read

    hashes, digest = IdHashes(), hashlib.sha256()
    documents = read_files(corpus, hashes, remember)
    for batch in _write_arrow(documents, folder / ARROW):
        for document in batch:
            digest.update(f"{document.to_json()}\n".encode("ascii"))
        if progress:
            progress(position, size)
    hashes.write(folder)
    sizes = {name: (folder / name).stat().st_size for name in FILES}
    summary = {"passages": len(hashes), "sha256": digest.hexdigest(), "files": sizes}
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _write_arrow(documents: Iterator[Document], path: Path) -> Iterator[list[Document]]:
    """Writes the passages and yields them in batches, each after it was written."""
    import pyarrow as pa

    schema = pa.schema([(name, pa.large_string()) for name in COLUMNS])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        while batch := list(islice(documents, BATCH_ROWS)):
            columns = [[getattr(document, name) for document in batch] for name in COLUMNS]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            yield batch
