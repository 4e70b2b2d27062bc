"""Filling an IVF index in bounded memory: blocks on disk, each a checkpoint, merged list by list into one file.

The file is what FAISS writes of an index with `ArrayInvertedLists`, so any FAISS reads it, and `map_index` maps it.
Lists in a file of their own (`faiss.contrib.ondisk`) would name that file by a path, and end the process with SIGBUS
where the disk is full.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import faiss
import numpy as np

from retriever.errors import BadIndex
from retriever.indexes.dense.faiss_files import map_index, publish, unfinished_of, write_index
from retriever.indexes.dense.vectors import VectorFile

BLOCK_BYTES = 1 << 30
"""Of vectors, as 32-bit floats; the block itself takes what they are coded to."""


def is_inverted(index: Any) -> bool:
    """Whether an index is one of the IVF types whose lists can be merged, or a transform before one.

    Others, such as those for fast scan or with a refinement after them, keep more than the lists.
    """
    inner: Any = faiss.downcast_index(index.index) if isinstance(index, faiss.IndexPreTransform) else index
    return type(inner) in (faiss.IndexIVFFlat, faiss.IndexIVFScalarQuantizer, faiss.IndexIVFPQ)


def fill(trained: Path, vectors: VectorFile, out: Path, on_rows: Callable[[int], None]) -> None:
    """Adds all vectors to a trained, empty index and writes it to `out`.

    Blocks, which lie beside `trained`, are not made again where they are there already. The lists hold rows in rising
    order, so the result is the same with and without an interruption.

    Raises:
        BadIndex: the disk is full, or this FAISS writes another form.
    """
    rows = max(1, BLOCK_BYTES // (4 * vectors.dimension))
    blocks = []
    for start in range(0, vectors.count, rows):
        stop = min(start + rows, vectors.count)
        block = trained.with_name(f"block-{start}.faiss")
        if not block.exists():
            index = faiss.read_index(str(trained))
            for first, part in vectors.blocks(start, stop):
                index.add_with_ids(part, np.arange(first, first + len(part)))
                on_rows(first + len(part))
            write_index(index, block)
        blocks.append(block)
    _merge(trained, blocks, out)


def _merge(trained: Path, blocks: Sequence[Path], out: Path) -> None:
    index = faiss.read_index(str(trained))
    # The opened blocks are kept, for their lists are only views.
    opened = [map_index(block) for block in blocks]
    lists = [faiss.extract_index_ivf(block).invlists for block in opened]
    index.ntotal = sum(block.ntotal for block in opened)
    faiss.extract_index_ivf(index).ntotal = index.ntotal
    unfinished = unfinished_of(out)
    with unfinished.open("wb") as file:
        file.write(_without_lists(index))
        _write_lists(file, lists)
    publish(unfinished, out)


def _without_lists(index: Any) -> bytes:
    """What FAISS writes of an index whose lists are empty, up to where the lists begin."""
    lists: Any = faiss.extract_index_ivf(index).invlists
    empty = struct.pack("<4sQQ4sQ", b"ilar", lists.nlist, lists.code_size, b"sprs", 0)
    written = bytes(faiss.serialize_index(index).tobytes())
    if not written.endswith(empty):
        raise BadIndex(f"FAISS {faiss.__version__} writes IVF indexes in another form; install 1.15.")
    return written[: -len(empty)]


def _write_lists(file: BinaryIO, parts: Sequence[Any]) -> None:
    """Writes `ArrayInvertedLists`: the sizes of all lists, then the codes and the ids of each."""
    count, code_size = parts[0].nlist, parts[0].code_size
    sizes = np.array([[part.list_size(number) for part in parts] for number in range(count)], dtype=np.int64)
    file.write(struct.pack("<4sQQ4sQ", b"ilar", count, code_size, b"full", count))
    file.write(sizes.sum(axis=1).tobytes())
    for number in range(count):
        held = [(part, int(size)) for part, size in zip(parts, sizes[number], strict=True) if size]
        for part, size in held:
            file.write(faiss.rev_swig_ptr(part.get_codes(number), size * code_size).data)
        for part, size in held:
            file.write(faiss.rev_swig_ptr(part.get_ids(number), size).view(np.uint8).data)
