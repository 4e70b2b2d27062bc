"""A published FAISS file becomes an index folder as it is."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import faiss
import numpy as np

from retriever.corpus import CorpusStore, build_store
from retriever.encoders.base import Encoder
from retriever.errors import BadIndex
from retriever.folder import new_folder
from retriever.indexes.dense.build import CORPUS, check_shape, dense_manifest
from retriever.indexes.dense.construct import INDEX, link_or_copy
from retriever.indexes.dense.encoded import checked
from retriever.indexes.dense.engine import check_metric, open_engine
from retriever.indexes.dense.faiss_files import map_index
from retriever.indexes.dense.recipe import Recipe, default_search
from retriever.manifest import Manifest, read_manifest

_SAMPLE = 8
_TOPK = 100


def adopt(
    index_file: Path, corpus: Path, out: Path, encoder: Encoder, *, link: bool = True, overwrite: bool = False
) -> Manifest:
    """Makes an index folder of a published FAISS file without building it again.

    Row n of the file must be passage n of the corpus. That, and that the encoder is the one that made the file, is
    tried with a few passages, each of which must lead to itself.

    Args:
        index_file: a FAISS index of any type, such as the `e5_Flat.index` of 2018 Wikipedia.
        corpus: see `retriever.corpus`.
        out: a folder that does not exist, is empty or, with `overwrite`, is an index.
        encoder: that of the file; kept in the manifest.
        link: whether the folder may share the file by a hard link, where it would be copied otherwise.
        overwrite: whether an index at `out` may be replaced.

    Raises:
        BadIndex: the file is broken, does not rank by inner product, has another number of vectors than the corpus
            has passages or another dimension than the encoder, or its vectors are not those of the passages.
        BadCorpus, BadModel: what they say.
    """
    started = time.monotonic()
    index = map_index(index_file)
    check_metric(index, index_file)
    recipe = Recipe("Flat" if isinstance(index, faiss.IndexFlat) else "adopted", search=default_search(index))
    with new_folder(out, overwrite) as building:
        store = build_store(corpus, building / CORPUS)
        check_shape(index_file, (index.ntotal, index.d), store, encoder)
        _try(index_file, recipe, store, encoder)
        (link_or_copy if link else shutil.copyfile)(index_file, building / INDEX)
        stages = {"adopting": round(time.monotonic() - started, 3)}
        dense_manifest(building, store, encoder, "adopted", recipe, {"stages": stages}).write(building)
        store.close()
    return read_manifest(out)


def _try(index_file: Path, recipe: Recipe, store: CorpusStore, encoder: Encoder) -> None:
    """Searches for passages with their own vectors: most of them must be found."""
    rows = np.linspace(0, len(store) - 1, min(_SAMPLE, len(store)), dtype=np.int64)
    vectors = checked(encoder.encode_passages(store.documents(rows.tolist())), len(rows), encoder)
    engine = open_engine(index_file, recipe.search)
    found = engine.search(vectors, min(_TOPK, engine.count))[1]
    engine.close()
    if 2 * int((found == rows[:, None]).any(axis=1).sum()) < len(rows):
        raise BadIndex(
            f"{index_file} does not find passages of the corpus by their own vectors; give the encoder (with its "
            "pooling and prefixes) that made it, and the corpus in the same order."
        )
