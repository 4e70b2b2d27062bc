"""Filling an IVF index in bounded memory: blocks on disk, each a checkpoint, merged into lists on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from faiss.contrib.ondisk import merge_ondisk

from retriever.indexes.dense.faiss_files import LISTS_SUFFIX, faiss_errors, stdout_to_stderr, write_index
from retriever.indexes.dense.vectors import VectorFile

BLOCK_BYTES = 1 << 30
"""Of vectors, as 32-bit floats; the block itself takes what they are coded to."""


def fill(trained: Path, vectors: VectorFile, out: Path, on_rows: Callable[[int], None]) -> None:
    """Adds all vectors to a trained, empty index and writes it to `out`, its lists to a file beside it.

    Blocks that are there already are not made again. The lists hold rows in rising order, so the result is the same
    with and without an interruption.
    """
    rows = max(1, BLOCK_BYTES // (4 * vectors.dimension))
    blocks = []
    for number, start in enumerate(range(0, vectors.count, rows)):
        stop = min(start + rows, vectors.count)
        block = out.parent / f"block-{number}.faiss"
        if not block.exists():
            index = faiss.read_index(str(trained))
            for first, part in vectors.blocks(start, stop):
                index.add_with_ids(part, np.arange(first, first + len(part)))
                on_rows(first + len(part))
            write_index(index, block)
        blocks.append(block)
    index = faiss.read_index(str(trained))
    lists = out.with_suffix(LISTS_SUFFIX)
    with faiss_errors(f"{lists} could not be written"), stdout_to_stderr():
        merge_ondisk(index, [str(block) for block in blocks], str(lists))
    write_index(index, out)
    for block in blocks:
        block.unlink()


def is_inverted(index: Any) -> bool:
    """Whether an index keeps its vectors in inverted lists."""
    return faiss.try_extract_index_ivf(index) is not None
