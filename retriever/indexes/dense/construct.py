"""From a file of vectors to an index file, in steps that an interrupted build does not repeat."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss

from retriever.errors import BadIndex
from retriever.indexes.dense.engine import open_engine
from retriever.indexes.dense.faiss_files import publish, unfinished_of, write_index
from retriever.indexes.dense.inverted import fill, is_inverted
from retriever.indexes.dense.recall import recall_against_flat
from retriever.indexes.dense.recipe import Recipe, training_rows
from retriever.indexes.dense.vectors import VectorFile, write_flat

INDEX, WORK = "index.faiss", "work"
TRAINED = "trained.faiss"
_IN_MEMORY_ROWS = 16_384

Report = Callable[[str, int, int], None]
"""Told of progress: the stage, how much of it is done, and how much there is."""


def build_index(vectors: VectorFile, recipe: Recipe, folder: Path, report: Report) -> dict[str, Any]:
    """Makes `index.faiss` of a file of vectors, in a folder where it may have been begun.

    What is only needed meanwhile lies in the folder's `work`. IVF types go on from the last block of vectors that was
    added; other types, which are built in memory, add all vectors again.

    Returns:
        Figures for the manifest: seconds of each stage, how many vectors trained the index, and its recall@10 against
        the exact answer.

    Raises:
        BadIndex: the index cannot be trained with so few vectors, or cannot be written.
        BadRequest: FAISS does not know the type.
    """
    seconds: dict[str, float] = {}
    path = folder / INDEX
    if recipe.factory == "Flat":
        with timed(seconds, "writing"):
            _take_over(vectors, path, report)
        return {"stages": seconds}
    (folder / WORK).mkdir(exist_ok=True)
    with timed(seconds, "training"):
        trained, rows = _train(vectors, recipe, folder / WORK / TRAINED, report)
    with timed(seconds, "adding"):
        if not path.exists():
            add = fill if is_inverted(trained) else _add_in_memory
            add(folder / WORK / TRAINED, vectors, path, lambda done: report("adding", done, vectors.count))
    with timed(seconds, "measuring"):
        report("measuring recall", 0, 1)
        engine = open_engine(path, recipe.search)
        recall = recall_against_flat(engine, vectors)
        engine.close()
    return {"stages": seconds, "training_vectors": rows, "recall_at_10_against_flat": recall}


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Notes how long a stage took; in a build that was interrupted, since it went on."""
    started = time.monotonic()
    yield
    seconds[stage] = round(time.monotonic() - started, 3)


def link_or_copy(source: Path, path: Path) -> None:
    """Makes `path` another name of a file or, where that cannot be, a copy."""
    try:
        os.link(source, path)
    except OSError:
        # Another file system, or one without links.
        shutil.copyfile(source, path)


def _take_over(vectors: VectorFile, path: Path, report: Report) -> None:
    unfinished = unfinished_of(path)
    unfinished.unlink(missing_ok=True)
    if vectors.path.suffix != ".npy":
        link_or_copy(vectors.path, unfinished)
    else:
        write_flat(
            unfinished,
            vectors.count,
            vectors.dimension,
            lambda start: (block for _, block in vectors.blocks(start)),
            done=0,
            on_chunk=lambda rows: report("writing", rows, vectors.count),
        )
    publish(unfinished, path)


def _train(vectors: VectorFile, recipe: Recipe, path: Path, report: Report) -> tuple[Any, int]:
    """The trained, empty index, which then lies at `path`, and how many vectors it learnt from."""
    index = recipe.new_index(vectors.dimension)
    rows = training_rows(index, vectors.count)
    if path.exists():
        return faiss.read_index(str(path)), rows
    if rows:
        report(f"training on {rows:,} vectors", 0, 1)
        try:
            index.train(vectors.sample(rows, seed=0))
        except RuntimeError as error:
            cause = " ".join(str(error).split()).rsplit(": ", 1)[-1]
            raise BadIndex(f"{rows} vectors are too few to train {recipe.factory} ({cause}); use flat.") from error
    write_index(index, path)
    return index, rows


def _add_in_memory(trained: Path, vectors: VectorFile, out: Path, on_rows: Callable[[int], None]) -> None:
    index = faiss.read_index(str(trained))
    for first, block in vectors.blocks(rows=_IN_MEMORY_ROWS):
        index.add(block)
        on_rows(first + len(block))
    write_index(index, out)
