"""Corpus files of JSON lines, plain or gzipped."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from retriever.corpus.record import ACCEPTED
from retriever.errors import BadCorpus


def json_records(path: Path) -> Iterator[tuple[str, dict[str, Any], int]]:
    """The records of a `.jsonl` or `.jsonl.gz` file; blank lines are skipped.

    Yields:
        File and line for error messages, the record, and the bytes of the file read so far.

    Raises:
        BadCorpus: names the file, the line and what was expected.
    """
    for number, line, position in _lines(path):
        if line.strip():
            where = f"{path}, line {number}"
            yield where, _record(line, where), position


def _lines(path: Path) -> Iterator[tuple[int, bytes, int]]:
    number = 0
    with path.open("rb") as raw, gzip.open(raw) if path.suffix == ".gz" else nullcontext(raw) as stream:
        try:
            for number, line in enumerate(stream, start=1):
                yield number, line, raw.tell()
        except (OSError, EOFError, zlib.error) as error:
            raise BadCorpus(f"{path} cannot be read after line {number}: {error}.") from error


def _record(line: bytes, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadCorpus(f"{where}: not UTF-8 text; each line must be a JSON object with {ACCEPTED}.") from error
    except (ValueError, RecursionError) as error:
        raise BadCorpus(f"{where}: invalid JSON ({error}); each line must be an object with {ACCEPTED}.") from error
    if not isinstance(record, dict):
        raise BadCorpus(f"{where}: found {type(record).__name__}; each line must be a JSON object with {ACCEPTED}.")
    return record
