"""Reading and writing FAISS index files, with errors of one sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss

from retriever.errors import BadIndex


@contextmanager
def faiss_errors(what: str) -> Iterator[None]:
    """Turns an error of FAISS into `BadIndex`: `what`, and FAISS's own words without its source lines."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        message = re.sub(r"Error in .*? at \S+:\d+: ", "", " ".join(str(error).split()))
        raise BadIndex(f"{what} ({message.rstrip('.')}).") from error


def map_index(path: Path) -> Any:
    """Opens an index file memory-mapped: of all that grows with the passages, nothing is read before it is asked for.

    `IO_FLAG_MMAP_IFC` maps flat, HNSW and IVF indexes alike. `IO_FLAG_MMAP` reads flat and HNSW into memory, and for
    IVF it starts 32 threads in every search to prefetch lists, which makes a lone query 3 times as slow.

    Raises:
        BadIndex: the file is missing, cut short or no index.
    """
    with faiss_errors(f"{path} cannot be opened as a FAISS index"):
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)


def write_index(index: Any, path: Path) -> None:
    """Writes an index file that is complete and on the disk, or not there at all.

    Raises:
        OSError: it cannot be written.
    """
    unfinished = unfinished_of(path)
    # Given a name instead, FAISS does not say when closing the file fails.
    with unfinished.open("wb") as file:
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))  # type: ignore[attr-defined]
    publish(unfinished, path)


def unfinished_of(path: Path) -> Path:
    """Where a file is written until `publish`."""
    return path.with_name(f"{path.name}.unfinished")


def publish(unfinished: Path, path: Path) -> None:
    """Renames a complete file, after its bytes are on the disk."""
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)
