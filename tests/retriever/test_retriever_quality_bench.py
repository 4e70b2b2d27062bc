"""The benchmark of quality: every type of index on one small corpus; real figures come from the command itself."""

import json
from pathlib import Path

import pytest
import tiny_models
from retriever_sample import write_corpus

from retriever.bench.quality import compare
from retriever.encoders import new_encoder

WORDS = [f"{a}{b}" for a in ("ba", "co", "di", "fu", "ge", "ho", "ki") for b in ("lan", "mer", "nos", "pit", "rux")]


@pytest.mark.slow
def test_every_type_is_measured_against_flat_and_bm25(tmp_path: Path) -> None:
    passages = {
        str(n): (f"Title {n}", f"number{n} " + " ".join(WORDS[(n * k) % len(WORDS)] for k in range(3, 9)))
        for n in range(600)
    }
    corpus = write_corpus(tmp_path / "corpus.jsonl", passages)
    asked = [{"question": passages[str(n)][1], "gold_ids": [str(n)]} for n in range(0, 600, 20)]
    questions = tmp_path / "known.jsonl"
    questions.write_text("".join(json.dumps(record) + "\n" for record in asked))
    encoder = new_encoder(str(tiny_models.save_bert(tmp_path / "e5-small")), device="cpu")

    found = compare(corpus, [questions], tmp_path / "work", encoder)["known"]

    assert list(found) == ["bm25", "flat", "hnsw", "ivf-sq8", "ivf-pq", "hybrid", "hybrid-ivf-sq8"]
    assert {figures["n"] for figures in found.values()} == {30}
    # Each question holds a word that only its gold passage has.
    assert found["bm25"]["recall@3"] == 1.0
    flat, exact = found["flat"]["recall@10"], 1e-4
    assert 0 < flat < 1
    for name in ("hnsw", "ivf-sq8", "ivf-pq"):
        assert found[name]["loss"]["recall@10"] == pytest.approx(flat - found[name]["recall@10"], abs=exact)
    better = max(1.0, found["flat"]["recall@3"])
    assert found["hybrid"]["gain"]["recall@3"] == pytest.approx(found["hybrid"]["recall@3"] - better, abs=exact)
    assert compare(corpus, [questions], tmp_path / "work", encoder)["known"] == found
