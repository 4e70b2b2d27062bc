"""Published FAISS files become index folders."""

from pathlib import Path

import faiss
import numpy as np
import pytest
from dense_sample import DIMENSION, WordEncoder, write_word_corpus

from retriever.corpus import read_corpus
from retriever.encoders.base import Vectors
from retriever.errors import BadIndex
from retriever.indexes.dense import DenseIndex, adopt
from retriever.manifest import read_manifest

ROWS = 300


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_word_corpus(tmp_path_factory.mktemp("words") / "corpus.jsonl", ROWS)


@pytest.fixture(scope="module")
def vectors(words: Path) -> Vectors:
    return WordEncoder().encode_passages(list(read_corpus(words)))


def publish(path: Path, vectors: Vectors, factory: str = "Flat", metric: int = faiss.METRIC_INNER_PRODUCT) -> Path:
    index = faiss.index_factory(vectors.shape[1], factory, metric)
    index.train(vectors)
    index.add(vectors)
    faiss.write_index(index, str(path))
    return path


@pytest.mark.parametrize(
    ("factory", "search"), [("Flat", {}), ("HNSW8", {"efSearch": 256}), ("IVF4,SQ8", {"nprobe": 4})]
)
def test_a_published_file_is_searched_as_it_is(
    words: Path, vectors: Vectors, tmp_path: Path, factory: str, search: dict[str, int]
) -> None:
    file = publish(tmp_path / "e5_Flat.index", vectors, factory)
    manifest = adopt(file, words, tmp_path / "index", WordEncoder())
    assert (manifest.passages, manifest.parameters["search"]) == (ROWS, search)
    assert (tmp_path / "index" / "index.faiss").samefile(file)
    index = DenseIndex.open(tmp_path / "index", encoder=WordEncoder())
    document = list(read_corpus(words))[42]
    assert index.search([f"{document.title} {document.text}"], 1)[0][0].id == "42"
    index.close()


def test_the_file_can_be_copied(words: Path, vectors: Vectors, tmp_path: Path) -> None:
    file = publish(tmp_path / "flat", vectors)
    adopt(file, words, tmp_path / "index", WordEncoder(), link=False)
    assert not (tmp_path / "index" / "index.faiss").samefile(file)
    assert (tmp_path / "index" / "index.faiss").read_bytes() == file.read_bytes()
    with pytest.raises(BadIndex, match="already holds an index"):
        adopt(file, words, tmp_path / "index", WordEncoder())
    adopt(file, words, tmp_path / "index", WordEncoder(), overwrite=True)
    assert read_manifest(tmp_path / "index").parameters["factory"] == "Flat"


def test_files_that_do_not_fit_are_refused(words: Path, vectors: Vectors, tmp_path: Path) -> None:
    def complaint(file: Path) -> str:
        with pytest.raises(BadIndex) as caught:
            adopt(file, words, tmp_path / "index", WordEncoder())
        assert not (tmp_path / "index").exists()
        return str(caught.value).removeprefix(f"{file} ")

    file = tmp_path / "published"
    assert complaint(publish(file, vectors, metric=faiss.METRIC_L2)).startswith("ranks by another measure than the inn")
    assert complaint(publish(file, vectors[1:])) == (
        f"holds 299 vectors of {DIMENSION} numbers; the corpus and the encoder need 300 of {DIMENSION}."
    )
    assert complaint(publish(file, np.ascontiguousarray(vectors[:, :16]))).startswith("holds 300 vectors of 16 numbers")
    assert complaint(publish(file, vectors[::-1].copy())).startswith("does not find passages of the corpus by their")
    file.write_bytes(file.read_bytes()[:-8])
    assert complaint(file).startswith("cannot be opened as a FAISS index")
    assert complaint(tmp_path / "missing").startswith("cannot be opened as a FAISS index")
    assert {path.name for path in tmp_path.iterdir()} == {"published"}
