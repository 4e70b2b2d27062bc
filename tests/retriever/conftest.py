"""The sample index, built once: all tests of a process share one JVM."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from retriever_sample import write_corpus

from retriever.indexes.bm25 import Bm25Index, build_index


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "corpus.jsonl")


@pytest.fixture(scope="session")
def index_folder(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index") / "bm25"
    build_index(corpus, folder)
    return folder


@pytest.fixture(scope="session")
def index(index_folder: Path) -> Iterator[Bm25Index]:
    opened = Bm25Index.open(index_folder)
    yield opened
    opened.close()
