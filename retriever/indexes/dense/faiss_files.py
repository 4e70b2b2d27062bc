"""Reading and writing FAISS index files, with errors of one sentence."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import faiss

from retriever.errors import BadIndex

LISTS_SUFFIX = ".ivfdata"


@contextmanager
def faiss_errors(what: str) -> Iterator[None]:
    """Turns an error of FAISS into `BadIndex`: `what`, and FAISS's own words without its source lines."""
    try:
        yield
    except RuntimeError as error:
        message = re.sub(r"Error in .*? at \S+:\d+: ", "", " ".join(str(error).split()))
        raise BadIndex(f"{what} ({message.rstrip('.')}).") from error


def map_index(path: Path) -> Any:
    """Opens an index file memory-mapped: of all that grows with the passages, nothing is read before it is asked for.

    `IO_FLAG_MMAP_IFC` maps flat, HNSW and IVF indexes alike. `IO_FLAG_MMAP` reads flat and HNSW into memory, and for
    IVF it starts 32 threads in every search to prefetch lists, which makes a lone query 3 times as slow. Lists in a
    file of their own (`.ivfdata` beside the index) are always mapped; the rest of such an index is small.

    Raises:
        BadIndex: the file is missing, cut short or no index.
    """
    apart = path.with_suffix(LISTS_SUFFIX).exists()
    flags = faiss.IO_FLAG_ONDISK_SAME_DIR | faiss.IO_FLAG_READ_ONLY if apart else faiss.IO_FLAG_MMAP_IFC
    with faiss_errors(f"{path} cannot be opened as a FAISS index"), stdout_to_stderr() if apart else nullcontext():
        index = faiss.read_index(str(path), flags)
    if apart:
        lists: Any = faiss.extract_index_ivf(index).invlists
        faiss.downcast_InvertedLists(lists).prefetch_nthread = 0  # type: ignore[attr-defined]
    return index


def write_index(index: Any, path: Path) -> None:
    """Writes an index file that is complete and on the disk, or not there at all.

    Raises:
        BadIndex: it cannot be written.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    with faiss_errors(f"{path} could not be written"):
        faiss.write_index(index, str(unfinished))
    # FAISS does not say when closing the file fails, but it finds the end missing.
    map_index(unfinished)
    publish(unfinished, path)


def publish(unfinished: Path, path: Path) -> None:
    """Renames a complete file, after its bytes are on the disk."""
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """FAISS prints where it makes or finds a file of lists; standard output belongs to the caller."""
    flush = ctypes.CDLL(None).fflush
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        flush(None)
        os.dup2(kept, 1)
        os.close(kept)
