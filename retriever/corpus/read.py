"""Reads a JSON-lines corpus, plain or gzipped, one passage per line.

Two forms of line are accepted and may be mixed: `{"id": "7", "contents": "\\"Title\\"\\ntext"}`, which is
Search-R1's, and `{"id": "7", "title": "…", "text": "…"}`.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from retriever.errors import BadCorpus
from retriever.types import Document, split_contents

_ACCEPTED = 'a JSON object with string fields "id" and "contents", or "id", "title" and "text"'


def read_corpus(path: Path, on_bytes: Callable[[int], None] | None = None) -> Iterator[Document]:
    """Streams the passages of a corpus; blank lines are skipped.

    Args:
        path: a `.jsonl` file, or a gzipped one whose name ends in `.gz`.
        on_bytes: called after each passage with the number of bytes of the file read so far.

    Raises:
        BadCorpus: names the file, the line and what was expected. Ids are held in memory to find duplicates.
    """
    seen: set[str] = set()
    for number, line, position in _lines(path):
        if not line.strip():
            continue
        document = _parse(line, f"{path}, line {number}")
        if document.id in seen:
            raise BadCorpus(f'{path}, line {number}: duplicate id "{document.id}"; every id must be unique.')
        seen.add(document.id)
        yield document
        if on_bytes:
            on_bytes(position)
    if not seen:
        raise BadCorpus(f"{path} holds no passages; each line must be {_ACCEPTED}.")


def _lines(path: Path) -> Iterator[tuple[int, bytes, int]]:
    if not path.is_file():
        raise BadCorpus(f"{path} is not a file; give a corpus of JSON lines (.jsonl or .jsonl.gz).")
    number = 0
    with path.open("rb") as raw, gzip.open(raw) if path.suffix == ".gz" else nullcontext(raw) as stream:
        try:
            for number, line in enumerate(stream, start=1):
                yield number, line, raw.tell()
        except (OSError, EOFError, zlib.error) as error:
            raise BadCorpus(f"{path} cannot be read after line {number}: {error}.") from error


def _parse(line: bytes, where: str) -> Document:
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadCorpus(f"{where}: not UTF-8 text; each line must be {_ACCEPTED}.") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadCorpus(f"{where}: invalid JSON ({error}); each line must be {_ACCEPTED}.") from error
    if not isinstance(record, dict):
        raise BadCorpus(f"{where}: found {type(record).__name__}; each line must be {_ACCEPTED}.")
    return _document(record, where)


def _document(record: dict[str, Any], where: str) -> Document:
    identifier = _string(record, "id", where)
    if not identifier.strip():
        raise BadCorpus(f'{where}: field "id" is empty; it must be a non-empty string.')
    if "contents" in record:
        title, text = split_contents(_string(record, "contents", where))
    elif "title" in record or "text" in record:
        title, text = _string(record, "title", where), _string(record, "text", where)
    else:
        raise BadCorpus(f'{where}: missing field "contents"; each line must be {_ACCEPTED}.')
    if not title.strip() and not text.strip():
        raise BadCorpus(f"{where}: the passage has neither title nor text; at least one must be non-empty.")
    return Document(identifier, title, text)


def _string(record: dict[str, Any], field: str, where: str) -> str:
    if field not in record:
        raise BadCorpus(f'{where}: missing field "{field}"; each line must be {_ACCEPTED}.')
    value = record[field]
    if not isinstance(value, str):
        raise BadCorpus(f'{where}: field "{field}" must be a string, found {json.dumps(value)[:40]}.')
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadCorpus(f'{where}: field "{field}" has an unpaired surrogate; use valid Unicode.') from error
    return value
