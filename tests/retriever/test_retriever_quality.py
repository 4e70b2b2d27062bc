"""Retrieval quality on real questions and passages, where they lie beside the project."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from retriever.indexes.bm25 import Bm25Index, build_index
from retriever.types import Passage

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bm25(shared_qa: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bm25Index]:
    folder = tmp_path_factory.mktemp("quality") / "bm25"
    build_index(shared_qa / "corpus" / "wiki_mini.jsonl", folder)
    with closing(Bm25Index.open(folder)) as index:
        yield index


def read_questions(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def share_of_gold_titles(rows: list[dict[str, Any]], ranked: list[list[Passage]], k: int) -> float:
    """The share of the titles of gold passages that the first k passages have, mean over the questions."""
    shares = []
    for row, passages in zip(rows, ranked, strict=True):
        gold = set(row["metadata"]["supporting_facts"]["title"])
        shares.append(len(gold & {passage.title for passage in passages[:k]}) / len(gold))
    return sum(shares) / len(shares)


@pytest.mark.parametrize(("name", "at_3", "at_10"), [("hotpotqa", 0.665, 0.835), ("musique", 0.4475, 0.5667)])
def test_bm25_finds_gold_passages(shared_qa: Path, bm25: Bm25Index, name: str, at_3: float, at_10: float) -> None:
    rows = read_questions(shared_qa / "questions" / f"{name}.jsonl")
    ranked = bm25.search([row["question"] for row in rows], 10)
    assert len(rows) == 100
    assert share_of_gold_titles(rows, ranked, 3) == pytest.approx(at_3, abs=0.0005)
    assert share_of_gold_titles(rows, ranked, 10) == pytest.approx(at_10, abs=0.0005)


def test_real_questions_get_the_same_answers_alone_and_in_a_batch(shared_qa: Path, bm25: Bm25Index) -> None:
    questions = [row["question"] for row in read_questions(shared_qa / "questions" / "nq.jsonl")[:64]]
    assert bm25.search(questions, 10) == [bm25.search([question], 10)[0] for question in questions]
