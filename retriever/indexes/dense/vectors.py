"""Files of vectors, one row per passage: read by plain file reads, so that no page of them counts as memory.

Two forms: a flat FAISS index (`IndexFlatIP`), which is also the form in which encoded passages are kept, and a `.npy`
array of shape (passages, dimension).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from retriever.encoders.base import Vectors
from retriever.errors import BadIndex

_BLOCK_BYTES = 64 << 20
_FLAT = b"IxFI"


@dataclass(frozen=True, slots=True)
class VectorFile:
    """Rows of a file: `count` vectors of `dimension` numbers from byte `offset` on."""

    path: Path
    count: int
    dimension: int
    offset: int
    dtype: npt.DTypeLike = np.float32

    def read(self, start: int, stop: int) -> Vectors:
        """Rows `start` to `stop` (exclusive), shape (rows, dimension).

        Raises:
            BadIndex: a number is not finite, or the file is shorter than it says.
        """
        size = self.dimension * np.dtype(self.dtype).itemsize
        numbers = (stop - start) * self.dimension
        found = np.fromfile(self.path, self.dtype, numbers, offset=self.offset + start * size)
        if len(found) != numbers:
            raise BadIndex(f"{self.path} ends before row {stop}; write the vectors again.")
        rows = found.reshape(-1, self.dimension).astype(np.float32, copy=False)
        if not np.isfinite(rows).all():
            row = start + int(np.argmin(np.isfinite(rows).all(axis=1)))
            raise BadIndex(f"{self.path}: row {row} holds a number that is not finite; write the vectors again.")
        return rows

    def blocks(self, start: int = 0, stop: int | None = None, rows: int | None = None) -> Iterator[tuple[int, Vectors]]:
        """The first row and the vectors of each block of a range; blocks of 64 MiB where `rows` is not given."""
        end = self.count if stop is None else stop
        step = rows or max(1, _BLOCK_BYTES // (4 * self.dimension))
        for first in range(start, end, step):
            yield first, self.read(first, min(first + step, end))

    def sample(self, rows: int, seed: int) -> Vectors:
        """So many different rows, drawn at random, in the order of the file; reads the file once from end to end."""
        chosen = np.sort(np.random.default_rng(seed).choice(self.count, rows, replace=False))
        taken = np.empty((rows, self.dimension), np.float32)
        for first, block in self.blocks():
            begin, end = np.searchsorted(chosen, (first, first + len(block)))
            taken[begin:end] = block[chosen[begin:end] - first]
        return taken


def open_vectors(path: Path) -> VectorFile:
    """Opens a flat FAISS index of inner products, or a `.npy` array of 16- or 32-bit floats.

    Raises:
        BadIndex: the file is missing, broken or something else.
    """
    try:
        opened = _open_npy(path) if path.suffix == ".npy" else _open_flat(path)
    except (OSError, ValueError, RuntimeError, struct.error) as error:
        raise BadIndex(f"{path} cannot be read as vectors ({' '.join(str(error).split())}).") from error
    size = path.stat().st_size
    expected = opened.offset + opened.count * opened.dimension * np.dtype(opened.dtype).itemsize
    if size != expected:
        raise BadIndex(f"{path} has {size:,} bytes, its header says {expected:,}; write the vectors again.")
    return opened


def write_flat(
    path: Path,
    count: int,
    dimension: int,
    chunks: Callable[[int], Iterable[Vectors]],
    *,
    done: int,
    on_chunk: Callable[[int], None],
) -> VectorFile:
    """Streams vectors into a flat FAISS index, the same bytes that `faiss.write_index` would write.

    Args:
        path: the file; continued where `done` is not 0, and rows beyond are cut off.
        count: number of vectors that the complete file has.
        dimension: numbers in a vector.
        chunks: yields the vectors from a given row on.
        done: rows that are known to be in the file.
        on_chunk: called with the number of rows that now are on the disk, after every chunk.
    """
    header = flat_header(count, dimension)
    with path.open("r+b" if done else "wb") as file:
        file.truncate(len(header) + done * dimension * 4)
        file.write(header)
        file.seek(0, os.SEEK_END)
        for chunk in chunks(done):
            file.write(np.ascontiguousarray(chunk, dtype="<f4").data)
            file.flush()
            os.fsync(file.fileno())
            done += len(chunk)
            on_chunk(done)
    return VectorFile(path, count, dimension, len(header))


def flat_header(count: int, dimension: int) -> bytes:
    """What a FAISS file of an `IndexFlatIP` holds before its vectors: FAISS's own, with other counts.

    Raises:
        BadIndex: this FAISS writes another form.
    """
    header = _with_counts(_serialized(dimension, 0), count, dimension)
    one = _serialized(dimension, 1)
    if one[: len(header)] != _with_counts(header, 1, dimension) or len(one) != len(header) + 4 * dimension:
        raise BadIndex(f"FAISS {faiss.__version__} writes flat indexes in another form; install 1.15.")
    return header


def _serialized(dimension: int, count: int) -> bytes:
    index = faiss.IndexFlatIP(dimension)
    index.add(np.zeros((count, dimension), np.float32))
    return bytes(faiss.serialize_index(index).tobytes())


def _with_counts(header: bytes, count: int, dimension: int) -> bytes:
    """The header starts with a mark, the dimension and the count; it ends with how many numbers follow."""
    return header[:8] + struct.pack("<q", count) + header[16:-8] + struct.pack("<q", count * dimension)


def _open_flat(path: Path) -> VectorFile:
    with path.open("rb") as file:
        mark, dimension, count = struct.unpack("<4siq", file.read(16))
    if mark != _FLAT:
        raise ValueError("it is no flat FAISS index of inner products")
    return VectorFile(path, count, dimension, len(flat_header(count, dimension)))


def _open_npy(path: Path) -> VectorFile:
    array: Any = np.load(path, mmap_mode="r")
    if array.ndim != 2 or array.dtype not in (np.float16, np.float32) or not array.flags.c_contiguous:
        raise ValueError(
            f"it must be of shape (passages, dimension) and type float16 or float32, in C order; "
            f"found shape {array.shape} and type {array.dtype}"
        )
    return VectorFile(path, array.shape[0], array.shape[1], array.offset, array.dtype)
