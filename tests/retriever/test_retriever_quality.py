"""Retrieval quality on real questions and passages, where they lie beside the project."""

import json
from pathlib import Path

import pytest

from retriever.indexes.bm25 import Bm25Index, build_index

QA = Path(__file__).parents[2].parent / "shared" / "qa"


@pytest.mark.slow
@pytest.mark.skipif(not QA.is_dir(), reason="the real questions (shared/qa) do not lie beside this project")
def test_share_of_gold_titles_found_for_hotpotqa(tmp_path: Path) -> None:
    build_index(QA / "corpus" / "wiki_mini.jsonl", tmp_path / "index", k1=0.9, b=0.4)
    lines = (QA / "questions" / "hotpotqa.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    index = Bm25Index.open(tmp_path / "index")
    ranked = index.search([row["question"] for row in rows], 10)
    index.close()

    def found(k: int) -> float:
        shares = []
        for row, passages in zip(rows, ranked, strict=True):
            gold = set(row["metadata"]["supporting_facts"]["title"])
            shares.append(len(gold & {passage.title for passage in passages[:k]}) / len(gold))
        return sum(shares) / len(shares)

    assert found(3) == pytest.approx(0.665, abs=0.001)
    assert found(10) == pytest.approx(0.835, abs=0.001)
