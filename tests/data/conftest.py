"""A small world, its index, and the modules of the warm start."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mrsearch.data import World, WorldParameters, make_world, write_world
from retriever.indexes.bm25 import Bm25Index, build_index

sys.path.append(str(Path(__file__).parents[2] / "recipes" / "warm_start"))

SMALL = WorldParameters(names=200, warm_start_questions=150, train_questions=90, test_questions=60, distractors=0.5)


@pytest.fixture(scope="session")
def small_world() -> World:
    return make_world(SMALL, seed=3)


@pytest.fixture(scope="session")
def small_folder(small_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "small"
    write_world(small_world, folder)
    return folder


@pytest.fixture(scope="session")
def small_index_folder(small_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index") / "bm25"
    build_index(small_folder / "corpus.jsonl", folder)
    return folder


@pytest.fixture(scope="session")
def small_index(small_index_folder: Path) -> Iterator[Bm25Index]:
    opened = Bm25Index.open(small_index_folder)
    yield opened
    opened.close()
