"""Passage ids as 64-bit hashes: finding duplicates and rows of millions of them in 8 bytes each."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

HASHES, ROWS = "ids.hashes.npy", "ids.rows.npy"

Hashes = npt.NDArray[np.uint64]


def hash_id(identifier: str) -> int:
    """The 64-bit hash of an id, the same on every machine."""
    return int.from_bytes(
        hashlib.blake2b(identifier.encode("utf-8", errors="surrogatepass"), digest_size=8).digest(), "little"
    )


class IdHashes:
    """The hashes of the ids of a corpus, in its order."""

    def __init__(self) -> None:
        self._hashes = array("Q")

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, identifier: str) -> None:
        """Appends the id of the next passage."""
        self._hashes.append(hash_id(identifier))

    def repeated(self) -> set[int]:
        """The hashes that occur more than once: of duplicate ids or, rarely, of ids that collide."""
        ordered = np.sort(self._array())
        return set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())

    def write(self, folder: Path) -> None:
        """Writes the table that `IdTable` searches: the hashes in ascending order, and the row of each."""
        hashes = self._array()
        order = np.argsort(hashes, kind="stable")
        np.save(folder / HASHES, hashes[order])
        np.save(folder / ROWS, order.astype(np.min_scalar_type(len(self))))

    def _array(self) -> Hashes:
        return np.frombuffer(self._hashes, dtype=np.uint64)


class IdTable:
    """Finds the row of an id in a memory-mapped table that `IdHashes.write` wrote.

    Args:
        folder: the folder that holds the table.
        id_of: the id in a row; hashes are only a hint, the id decides.
    """

    def __init__(self, folder: Path, id_of: Callable[[int], str]) -> None:
        self._hashes: Hashes = np.load(folder / HASHES, mmap_mode="r").view(np.ndarray)
        self._rows = np.load(folder / ROWS, mmap_mode="r").view(np.ndarray)
        self._id_of = id_of

    def rows(self, ids: Sequence[str]) -> list[int | None]:
        """The row of each id; None where there is no such id."""
        hashes = np.fromiter(map(hash_id, ids), np.uint64, len(ids))
        first = np.searchsorted(self._hashes, hashes)
        last = np.searchsorted(self._hashes, hashes, side="right")
        return [self._row(*place) for place in zip(ids, first.tolist(), last.tolist(), strict=True)]

    def _row(self, identifier: str, first: int, last: int) -> int | None:
        candidates = self._rows[first:last].tolist()
        return next((row for row in candidates if self._id_of(row) == identifier), None)
