"""A corpus as a folder of memory-mapped files, with access to any passage by row or id.

* `passages.arrow`: an Arrow IPC file of the columns id, title and text, `BATCH_ROWS` rows in every batch but the last;
* `ids.hashes.npy`, `ids.rows.npy`: where each id is (see `retriever.corpus.ids`);
* `corpus.json`: number of passages, fingerprint and file sizes; written last, so that it marks a complete store.

Nothing is read before it is asked for, and all processes of a machine share one copy of what was.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from retriever.corpus.ids import HASHES, ROWS, IdTable
from retriever.errors import BadCorpus
from retriever.types import Document

ARROW, SUMMARY = "passages.arrow", "corpus.json"
FILES = (ARROW, HASHES, ROWS)
COLUMNS = ("id", "title", "text")
BATCH_ROWS = 4096

_Strings = tuple[memoryview, memoryview]
"""A column of one batch: where each string starts (64-bit, one more than rows), and the UTF-8 bytes of all."""


class CorpusStore:
    """An open store. Get one with `open_store`; all methods but `close` may be called from any thread."""

    def __init__(self, folder: Path, passages: int, sha256: str) -> None:
        import pyarrow as pa

        self.folder = folder
        self.sha256 = sha256
        self._passages = passages
        self._reader: Any = pa.ipc.open_file(pa.memory_map(str(folder / ARROW)))
        self._batches: list[list[_Strings] | None] = [None] * self._reader.num_record_batches
        self._loading = Lock()
        self._table = IdTable(folder, self._id)

    def __len__(self) -> int:
        return self._passages

    def documents(self, rows: Sequence[int]) -> list[Document]:
        """The passages in these rows.

        Raises:
            IndexError: a row is negative or beyond the last.
        """
        return [self._document(row) for row in rows]

    def rows(self, ids: Sequence[str]) -> list[int | None]:
        """The row of each id; None where the corpus has no such id."""
        return self._table.rows(ids)

    def batches(self, size: int, start: int = 0) -> Iterator[list[Document]]:
        """All passages from row `start` on, in lists of `size`; the last may be shorter."""
        for first in range(start, self._passages, size):
            yield self.documents(range(first, min(first + size, self._passages)))

    def close(self) -> None:
        """Lets go of the files; safe to call twice."""
        self._passages, self._batches, self._reader = 0, [], None

    def _document(self, row: int) -> Document:
        if not 0 <= row < self._passages:
            raise IndexError(f"row {row} is not in {self.folder}, which holds {self._passages} passages")
        number, place = divmod(row, BATCH_ROWS)
        columns = self._batches[number] or self._load(number)
        # Slices of memoryviews take 3.4 µs a passage where Arrow's scalars take 8.4 and its `take` 250.
        return Document(*[str(data[starts[place] : starts[place + 1]], "utf-8") for starts, data in columns])

    def _id(self, row: int) -> str:
        return self._document(row).id

    def _load(self, number: int) -> list[_Strings]:
        with self._loading:
            batch = self._reader.get_batch(number)
        buffers = [batch.column(name).buffers() for name in COLUMNS]
        columns = [(memoryview(starts).cast("q"), memoryview(data)) for _, starts, data in buffers]
        self._batches[number] = columns
        return columns


def is_store(path: Path) -> bool:
    """Whether a folder holds a complete store."""
    return (path / SUMMARY).is_file()


def open_store(folder: Path) -> CorpusStore:
    """Opens a store in constant time.

    Raises:
        BadCorpus: the folder holds no store, or a broken one.
    """
    passages, sha256, sizes = _read_summary(folder / SUMMARY)
    for name in FILES:
        path = folder / name
        found = path.stat().st_size if path.is_file() else 0
        if found != sizes[name]:
            raise BadCorpus(f"{path} has {found:,} bytes, {SUMMARY} says {sizes[name]:,}; build the store again.")
    return CorpusStore(folder, passages, sha256)


def _read_summary(path: Path) -> tuple[int, str, dict[str, int]]:
    if not path.is_file():
        raise BadCorpus(f"{path.parent} holds no complete corpus store (no {SUMMARY}); build it from a corpus file.")
    try:
        summary = json.loads(path.read_bytes())
        return int(summary["passages"]), str(summary["sha256"]), {name: int(summary["files"][name]) for name in FILES}
    except (ValueError, TypeError, KeyError) as error:
        raise BadCorpus(f"{path} is damaged ({error!r}); build the store again.") from error
