"""Building a dense index in bounded memory, in stages that an interrupted build does not repeat.

The corpus becomes a store, its passages are encoded into a flat FAISS file, and of that file the index is made.
Everything lies in the unfinished folder until it is complete.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import psutil

from retriever.corpus import CorpusStore, build_store, is_store, open_store
from retriever.encoders.base import Encoder, Vectors
from retriever.errors import BadIndex, BadModel
from retriever.folder import new_folder
from retriever.indexes.dense.checkpoint import Checkpoint
from retriever.indexes.dense.engine import check_metric, open_engine
from retriever.indexes.dense.faiss_files import map_index, write_index
from retriever.indexes.dense.inverted import fill, is_inverted
from retriever.indexes.dense.recall import recall_against_flat
from retriever.indexes.dense.recipe import Recipe, choose_recipe, default_search, training_rows
from retriever.indexes.dense.vectors import VectorFile, open_vectors, write_flat
from retriever.manifest import Manifest, read_manifest

INDEX, CORPUS = "index.faiss", "corpus"
_ENCODED, _TRAINED = "vectors.faiss", "trained.faiss"
_CHUNK = 2048
"""Passages between two checkpoints of encoding."""
_TRAINING_PER_LIST, _TRAINING_LEAST = 64, 65_536

Report = Callable[[str, int, int], None]
"""Told of progress: the stage, how much of it is done, and how much there is."""


def build_dense(
    corpus: Path,
    out: Path,
    encoder: Encoder,
    *,
    kind: str = "ivf-sq8",
    vectors: Path | None = None,
    overwrite: bool = False,
    progress: Report | None = None,
) -> Manifest:
    """Builds a dense index of a corpus.

    The index appears at `out` complete or not at all; a build that was interrupted goes on when it is called again
    with the same arguments.

    Args:
        corpus: see `retriever.corpus`.
        out: a folder that does not exist, is empty or, with `overwrite`, is an index.
        encoder: of passages now, of queries later; kept in the manifest.
        kind: see `recipe.choose_recipe`.
        vectors: passages encoded before, in the order of the corpus: a flat index folder, or a FAISS or `.npy` file.
        progress: see `Report`.

    Raises:
        BadCorpus, BadIndex, BadModel, BadRequest: what they say.
    """
    started = time.monotonic()
    report = progress or (lambda stage, done, total: None)
    state = corpus.stat() if corpus.exists() else None
    settings = {
        "corpus": [str(corpus.resolve()), state and [state.st_size, state.st_mtime_ns]],
        "encoder": encoder.spec,
        "kind": kind,
        "vectors": vectors and str(vectors.resolve()),
    }
    with new_folder(out, overwrite, resume=True) as building:
        checkpoint = Checkpoint(building, settings)
        store = _store(corpus, building / CORPUS, report)
        recipe = choose_recipe(kind, len(store), encoder.dimension)
        source = _given(vectors, store, encoder) if vectors else _encode(store, encoder, building, checkpoint, report)
        figures = build_index(source, recipe, building, report)
        manifest = _manifest(building, store, encoder, kind, recipe, figures, started)
        store.close()
        for name in (_ENCODED, _TRAINED):
            (building / name).unlink(missing_ok=True)
        checkpoint.remove()
        manifest.write(building)
    return manifest


def build_index(vectors: VectorFile, recipe: Recipe, folder: Path, report: Report) -> dict[str, Any]:
    """Makes `index.faiss` of a file of vectors, in a folder where it may have been begun.

    Returns:
        Figures for the manifest: how many vectors trained it, and its recall@10 against the exact answer.

    Raises:
        BadIndex: the index does not fit into memory, or cannot be written.
        BadRequest: FAISS does not know the type.
    """
    path = folder / INDEX
    if recipe.factory == "Flat":
        _take_over(vectors, path, report)
        return {}
    trained, figures = _train(vectors, recipe, folder / _TRAINED, report)
    if not path.exists():
        if is_inverted(trained):
            fill(folder / _TRAINED, vectors, path, lambda rows: report("adding", rows, vectors.count))
        else:
            _add_in_memory(trained, vectors, path, report)
    report("measuring recall", 0, 1)
    engine = open_engine(path, recipe.search)
    recall = recall_against_flat(engine, vectors)
    engine.close()
    return figures | {"recall_at_10_against_flat": recall}


def adopt(index_file: Path, corpus: Path, out: Path, encoder: Encoder, *, overwrite: bool = False) -> Manifest:
    """Makes an index folder of a published FAISS file without building it again; links it, or copies it elsewhere.

    Raises:
        BadIndex: the file is broken, does not rank by inner product, or has another number of vectors than the
            corpus has passages, or another dimension than the encoder.
    """
    started = time.monotonic()
    with new_folder(out, overwrite) as building:
        index = map_index(index_file)
        check_metric(index, index_file)
        store = build_store(corpus, building / CORPUS)
        _check_shape(index_file, (index.ntotal, index.d), store, encoder)
        _link(index_file, building / INDEX)
        recipe = Recipe("Flat" if isinstance(index, faiss.IndexFlat) else "adopted", search=default_search(index))
        manifest = _manifest(building, store, encoder, "adopted", recipe, {}, started)
        store.close()
        manifest.write(building)
    return manifest


def _store(corpus: Path, folder: Path, report: Report) -> CorpusStore:
    if is_store(folder):
        return open_store(folder)
    return build_store(corpus, folder, lambda done, total: report("reading", done, total))


def _encode(store: CorpusStore, encoder: Encoder, building: Path, checkpoint: Checkpoint, report: Report) -> VectorFile:
    def chunks(start: int) -> Iterator[Vectors]:
        for documents in store.batches(_CHUNK, start):
            yield _checked(encoder.encode_passages(documents), len(documents), encoder.dimension)

    def note(rows: int) -> None:
        checkpoint.note(rows)
        report("encoding", rows, len(store))

    path = building / _ENCODED
    return write_flat(path, len(store), encoder.dimension, chunks, done=checkpoint.encoded, on_chunk=note)


def _checked(vectors: Vectors, rows: int, dimension: int) -> Vectors:
    import numpy as np

    if vectors.shape != (rows, dimension):
        raise BadModel(f"The encoder gave vectors of shape {vectors.shape}, expected {(rows, dimension)}.")
    if not np.isfinite(vectors).all():
        raise BadModel("The encoder gave a vector with a number that is not finite; use 32-bit floats.")
    return vectors


def _given(path: Path, store: CorpusStore, encoder: Encoder) -> VectorFile:
    if path.is_dir():
        manifest = read_manifest(path)
        if manifest.corpus_sha256 != store.sha256:
            raise BadIndex(f"{path} holds vectors of another corpus; encode this one.")
        if manifest.encoder != encoder.spec:
            raise BadIndex(f"{path} holds vectors of another encoder; give the same, or encode the corpus again.")
        path = path / INDEX
    vectors = open_vectors(path)
    _check_shape(path, (vectors.count, vectors.dimension), store, encoder)
    return vectors


def _check_shape(path: Path, shape: tuple[int, int], store: CorpusStore, encoder: Encoder) -> None:
    expected = (len(store), encoder.dimension)
    if shape != expected:
        raise BadIndex(
            f"{path} holds {shape[0]} vectors of {shape[1]} numbers; the corpus and the encoder need "
            f"{expected[0]} of {expected[1]}."
        )


def _take_over(vectors: VectorFile, path: Path, report: Report) -> None:
    if path.exists():
        return
    if vectors.path.name == _ENCODED:
        vectors.path.rename(path)
    elif vectors.path.suffix != ".npy":
        _link(vectors.path, path)
    else:
        unfinished = path.with_suffix(".unfinished")
        blocks = (block for _, block in vectors.blocks())
        write_flat(
            unfinished,
            vectors.count,
            vectors.dimension,
            lambda start: blocks,
            done=0,
            on_chunk=lambda rows: report("writing", rows, vectors.count),
        )
        unfinished.rename(path)


def _link(source: Path, path: Path) -> None:
    try:
        os.link(source, path)
    except OSError:
        # Another file system, or one without links.
        shutil.copyfile(source, path)


def _train(vectors: VectorFile, recipe: Recipe, path: Path, report: Report) -> tuple[Any, dict[str, Any]]:
    index = recipe.new_index(vectors.dimension)
    sample = training_rows(index, vectors.count)
    if path.exists():
        return faiss.read_index(str(path)), {"training_vectors": sample}
    if sample:
        report(f"training on {sample:,} vectors", 0, 1)
        _train_on(index, vectors.sample(sample, seed=0), recipe)
    write_index(index, path)
    return index, {"training_vectors": sample}


def _train_on(index: Any, sample: Vectors, recipe: Recipe) -> None:
    try:
        index.train(sample)
    except RuntimeError as error:
        cause = " ".join(str(error).split()).rsplit(": ", 1)[-1]
        raise BadIndex(f"{len(sample)} vectors are too few to train {recipe.factory} ({cause}).") from error


def _add_in_memory(index: Any, vectors: VectorFile, path: Path, report: Report) -> None:
    # The vectors and, for a graph, some 300 bytes of links each: more than any of these types takes.
    needed = vectors.count * (4 * vectors.dimension + 300)
    free = psutil.virtual_memory().available
    if needed > free:
        raise BadIndex(
            f"This type of index is built in memory and needs up to {needed / 2**30:.1f} GiB; {free / 2**30:.1f} are "
            "free. Take ivf-sq8 or ivf-pq."
        )
    for first, block in vectors.blocks(rows=_CHUNK * 8):
        index.add(block)
        report("adding", first + len(block), vectors.count)
    write_index(index, path)


def _manifest(
    folder: Path,
    store: CorpusStore,
    encoder: Encoder,
    kind: str,
    recipe: Recipe,
    figures: dict[str, Any],
    started: float,
) -> Manifest:
    files = sorted(path for path in (*folder.glob("index.*"), *(folder / CORPUS).iterdir()) if path.is_file())
    return Manifest(
        type="dense",
        passages=len(store),
        corpus_sha256=store.sha256,
        parameters={
            "kind": kind,
            "factory": recipe.factory,
            "dimension": encoder.dimension,
            "search": dict(recipe.search),
        },
        versions={"faiss": faiss.__version__},
        build={"seconds": round(time.monotonic() - started, 3), **figures},
        files={path.relative_to(folder).as_posix(): path.stat().st_size for path in files},
        encoder=encoder.spec,
    )
