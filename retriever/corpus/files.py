"""Streams the passages of corpus files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from retriever.corpus.ids import IdHashes, hash_id
from retriever.corpus.json_lines import json_records
from retriever.corpus.parquet import parquet_records
from retriever.corpus.record import ACCEPTED, parse_record
from retriever.errors import BadCorpus
from retriever.types import Document

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")


def read_files(path: Path, hashes: IdHashes, on_bytes: Callable[[int], None] | None = None) -> Iterator[Document]:
    """Streams the passages of a corpus file or folder; adds the hash of each id to `hashes`.

    Ids are compared at the end, by their hashes, and only where two are equal are the files read again to find
    out which: the memory taken is 8 bytes a passage.

    Raises:
        BadCorpus: names the file, the line or row, and what was expected; a duplicate id after the last passage.
    """
    for _, document, position in _passages(path):
        hashes.add(document.id)
        yield document
        if on_bytes:
            on_bytes(position)
    if not len(hashes):
        raise BadCorpus(f"{path} holds no passages; each has {ACCEPTED}.")
    if repeated := hashes.repeated():
        _refuse_duplicate(path, repeated)


def corpus_files(path: Path) -> list[Path]:
    """The files of a corpus that is no store, in reading order.

    Raises:
        BadCorpus: there is none.
    """
    if path.is_dir():
        inside = (file for file in path.rglob("*") if file.name.endswith(SUFFIXES) and file.is_file())
        files = sorted(file for file in inside if not any(p.startswith(".") for p in file.relative_to(path).parts))
        if files:
            return files
        raise BadCorpus(f"{path} is not a file and holds none that ends in {', '.join(SUFFIXES)}; give a corpus.")
    if not path.is_file():
        raise BadCorpus(f"{path} is not a file; give a corpus, {', '.join(SUFFIXES)} or a folder of such files.")
    return [path]


def _passages(path: Path) -> Iterator[tuple[str, Document, int]]:
    before = 0
    for file in corpus_files(path):
        for where, record, position in _records(file):
            yield where, parse_record(record, where), before + position
        before += file.stat().st_size


def _records(file: Path) -> Iterator[tuple[str, dict[str, Any], int]]:
    return parquet_records(file) if file.suffix == ".parquet" else json_records(file)


def _refuse_duplicate(path: Path, repeated: set[int]) -> None:
    seen: set[str] = set()
    for where, document, _ in _passages(path):
        if document.id in seen:
            raise BadCorpus(f'{where}: duplicate id "{document.id}"; every id must be unique.')
        if hash_id(document.id) in repeated:
            seen.add(document.id)
