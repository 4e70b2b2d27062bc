"""Building a dense index in bounded memory, in stages that an interrupted build does not repeat.

The corpus becomes a store, its passages are encoded into a flat FAISS file, and of that file the index is made.
Everything lies in the unfinished folder, `.NAME.building` beside the index, until it is complete.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss

from retriever.corpus import CorpusStore, build_store, is_store, open_store
from retriever.corpus.files import corpus_files
from retriever.encoders.base import Encoder, Vectors
from retriever.errors import BadIndex
from retriever.folder import new_folder
from retriever.indexes.dense.checkpoint import Checkpoint
from retriever.indexes.dense.construct import INDEX, TRAINED, WORK, Report, build_index, timed
from retriever.indexes.dense.encoded import checked
from retriever.indexes.dense.inverted import is_inverted
from retriever.indexes.dense.recipe import Recipe, check_memory, choose_recipe
from retriever.indexes.dense.vectors import VectorFile, open_vectors, write_flat
from retriever.manifest import Manifest, read_manifest

CORPUS = "corpus"
_ENCODED = "vectors.faiss"
_CHUNK = 2048
"""Passages between two checkpoints of encoding."""
_MANY = 1_000_000


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

    The index appears at `out` complete or not at all. A build that was interrupted, or for which the disk was full,
    goes on when it is called again with the same arguments; where the corpus, the encoder or another argument has
    changed since, it begins anew.

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
    # A bad kind is refused before the corpus is read; of how many passages, is not known yet.
    choose_recipe(kind, _MANY, encoder.dimension)
    settings = {
        "corpus": _state([corpus / "corpus.json"] if is_store(corpus) else corpus_files(corpus)),
        "encoder": encoder.spec,
        "kind": kind,
        "vectors": vectors and _state([vectors / INDEX if vectors.is_dir() else vectors]),
        "rows": _CHUNK,
    }
    report = progress or (lambda stage, done, total: None)
    with new_folder(out, overwrite, resume=True) as building:
        checkpoint = Checkpoint(building, settings)
        try:
            if not checkpoint.complete:
                _build(corpus, building, encoder, kind, vectors, checkpoint, report)
        except BaseException:
            if not checkpoint.encoded and not (building / WORK / TRAINED).exists():
                shutil.rmtree(building)
            raise
        shutil.rmtree(building / WORK, ignore_errors=True)
        checkpoint.remove()
    return read_manifest(out)


def _build(
    corpus: Path,
    building: Path,
    encoder: Encoder,
    kind: str,
    vectors: Path | None,
    checkpoint: Checkpoint,
    report: Report,
) -> None:
    seconds: dict[str, float] = {}
    with timed(seconds, "reading"):
        store = _store(corpus, building / CORPUS, report)
    recipe = choose_recipe(kind, len(store), encoder.dimension)
    index = recipe.new_index(encoder.dimension)
    if recipe.factory != "Flat" and not is_inverted(index):
        check_memory(index, len(store))
    with timed(seconds, "encoding"):
        source = _given(vectors, store, encoder) if vectors else _encode(store, encoder, building, checkpoint, report)
    figures = build_index(source, recipe, building, report)
    figures["stages"] = seconds | figures["stages"]
    dense_manifest(building, store, encoder, kind, recipe, figures).write(building)
    store.close()
    checkpoint.note(checkpoint.encoded, complete=True)


def check_shape(path: Path, shape: tuple[int, int], store: CorpusStore, encoder: Encoder) -> None:
    """Raises `BadIndex` unless a file holds a vector of the encoder's dimension for every passage."""
    expected = (len(store), encoder.dimension)
    if shape != expected:
        raise BadIndex(
            f"{path} holds {shape[0]} vectors of {shape[1]} numbers; the corpus and the encoder need "
            f"{expected[0]} of {expected[1]}."
        )


def dense_manifest(
    folder: Path, store: CorpusStore, encoder: Encoder, kind: str, recipe: Recipe, figures: dict[str, Any]
) -> Manifest:
    """The manifest of a complete index folder; `figures` holds the seconds of each stage by name."""
    files = sorted(path for path in (folder / INDEX, *(folder / CORPUS).iterdir()) if path.is_file())
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
        build={"seconds": round(sum(figures["stages"].values()), 3), **figures},
        files={path.relative_to(folder).as_posix(): path.stat().st_size for path in files},
        encoder=encoder.spec,
    )


def _state(files: list[Path]) -> list[tuple[str, int, int]]:
    """Which files these are and whether they changed: path, size, and time of the last change in ns."""
    found = [(path, path.stat()) for path in files if path.exists()]
    return [(str(path.resolve()), state.st_size, state.st_mtime_ns) for path, state in found]


def _store(corpus: Path, folder: Path, report: Report) -> CorpusStore:
    if is_store(folder):
        return open_store(folder)
    return build_store(corpus, folder, lambda done, total: report("reading", done, total))


def _encode(store: CorpusStore, encoder: Encoder, building: Path, checkpoint: Checkpoint, report: Report) -> VectorFile:
    def chunks(start: int) -> Iterator[Vectors]:
        for documents in store.batches(_CHUNK, start):
            yield checked(encoder.encode_passages(documents), len(documents), encoder)

    def note(rows: int) -> None:
        checkpoint.note(rows)
        report("encoding", rows, len(store))

    (building / WORK).mkdir(exist_ok=True)
    path = building / WORK / _ENCODED
    return write_flat(path, len(store), encoder.dimension, chunks, done=checkpoint.encoded, on_chunk=note)


def _given(path: Path, store: CorpusStore, encoder: Encoder) -> VectorFile:
    if path.is_dir():
        manifest = read_manifest(path)
        if manifest.corpus_sha256 != store.sha256:
            raise BadIndex(f"{path} holds vectors of another corpus; encode this one.")
        if manifest.encoder != encoder.spec:
            raise BadIndex(f"{path} holds vectors of another encoder; give the same, or encode the corpus again.")
        path = path / INDEX
    vectors = open_vectors(path)
    check_shape(path, (vectors.count, vectors.dimension), store, encoder)
    return vectors
