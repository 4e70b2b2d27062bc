"""Rerankers: a small cross-encoder with random weights on top of a real index."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
import transformers
from retriever_sample import PASSAGES, write_corpus

from retriever.errors import BadIndex, BadModel, BadRequest
from retriever.indexes import Index, open_index
from retriever.indexes.bm25 import Bm25Index, build_index
from retriever.indexes.rerank import build_rerank
from retriever.types import Document, Passage


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "cross-encoder"
    return tiny_models.save_bert(folder, transformers.BertForSequenceClassification, num_labels=1)


@pytest.fixture(scope="module")
def reranked(index_folder: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    folder = tmp_path_factory.mktemp("rerank") / "index"
    build_rerank(index_folder, folder, str(model))
    index = open_index(folder)
    yield index
    index.close()


def score(model: Path, query: str, passage: Passage) -> float:
    """Straight from transformers, one pair at a time."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(model).eval()
    pair = tokenizer(query, f"{passage.title} {passage.text}", truncation=True, max_length=64, return_tensors="pt")
    with torch.no_grad():
        return float(network(**pair).logits[0, 0])


def test_the_candidates_are_ordered_by_the_model_s_score(index: Bm25Index, reranked: Index, model: Path) -> None:
    query = "the fox and the wolf hunt deer in Paris"
    [candidates] = index.search([query], 50)
    assert len(candidates) == 4
    expected = sorted(((score(model, query, passage), passage.id) for passage in candidates), reverse=True)
    [found] = reranked.search([query], 10)
    assert [passage.id for passage in found] == [key for _, key in expected] != [passage.id for passage in candidates]
    assert [passage.score for passage in found] == pytest.approx([value for value, _ in expected], abs=1e-5)
    assert [(passage.title, passage.text) for passage in found] == [PASSAGES[passage.id] for passage in found]
    assert reranked.search([query], 2) == [found[:2]]


def test_only_the_first_passages_below_are_put_in_order(
    index_folder: Path, index: Bm25Index, model: Path, tmp_path: Path
) -> None:
    build_rerank(index_folder, tmp_path / "index", str(model), depth=2)
    shallow = open_index(tmp_path / "index")
    query = "the fox and the wolf hunt deer in Paris"
    first = {passage.id for passage in index.search([query], 2)[0]}
    assert {passage.id for passage in shallow.search([query], 1)[0]} < first
    assert len(shallow.search([query], 4)[0]) == 4
    shallow.close()


def test_a_query_gets_the_same_answer_alone_in_a_batch_and_from_many_threads(reranked: Index) -> None:
    queries = [f"{title} {text}"[: 10 + 3 * n] for n in range(10) for title, text in PASSAGES.values()][:64]
    together = reranked.search(queries, 5)
    with ThreadPoolExecutor(8) as pool:
        assert together == list(pool.map(lambda query: reranked.search([query], 5)[0], queries))


def test_passages_of_one_score_are_ordered_by_id(reranked: Index) -> None:
    [twins] = reranked.search(["identical"], 5)
    assert [passage.id for passage in twins] == ["twin-a", "twin-b"]
    assert twins[0].score == twins[1].score


@pytest.mark.parametrize("query", ["", "zebra", "fox " * 5000, "fox \U0001f600\x00", "\ud800 fox"])
def test_hostile_queries_are_answered(index: Bm25Index, reranked: Index, query: str) -> None:
    assert {passage.id for passage in reranked.search([query], 5)[0]} == {
        passage.id for passage in index.search([query], 5)[0]
    }


def test_documents_are_those_of_the_corpus(reranked: Index) -> None:
    assert reranked.documents(["fox", "none"]) == [Document("fox", *PASSAGES["fox"]), None]


def test_refuses_topk_out_of_range(reranked: Index) -> None:
    with pytest.raises(BadRequest, match="topk must be a whole number from 1 to 1000, found 0"):
        reranked.search(["fox"], 0)


def test_the_manifest_names_the_model_and_the_index_below(index_folder: Path, reranked: Index, model: Path) -> None:
    manifest = reranked.manifest
    reranker = manifest.parameters["reranker"]
    assert reranker == {"model": str(model), "revision": reranker["revision"], "max_length": 64, "dtype": "auto"}
    assert (manifest.type, manifest.passages, manifest.parameters["depth"]) == ("rerank", 7, 50)
    assert (reranked.folder / manifest.parameters["member"]).resolve() == index_folder
    assert [path.name for path in reranked.folder.iterdir()] == ["manifest.json"]


def test_a_model_with_several_scores_is_no_reranker(index_folder: Path, tmp_path: Path) -> None:
    classifier = transformers.BertForSequenceClassification
    folder = tiny_models.save_bert(tmp_path / "model", classifier, num_labels=3)
    with pytest.raises(BadModel, match="gives 3 scores; a reranker must be a cross-encoder with one"):
        build_rerank(index_folder, tmp_path / "index", str(folder))


def test_an_encoder_is_no_reranker(index_folder: Path, tmp_path: Path) -> None:
    folder = tiny_models.save_bert(tmp_path / "model", num_labels=1)
    build_rerank(index_folder, tmp_path / "index", str(folder))
    with pytest.raises(
        BadModel, match=r"is no BertForSequenceClassification: 2 weights are missing, such as classifier"
    ):
        open_index(tmp_path / "index")


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"depth": 0}, BadRequest, "depth must be from 1 to 1000, found 0"),
        ({"max_length": 65}, BadRequest, "max_length must be from 8 to 64 tokens"),
        ({"dtype": "int8"}, BadRequest, "dtype must be one of auto"),
        ({"revision": "sha256:0"}, BadModel, "is no longer the model it was"),
    ],
)
def test_refuses_bad_arguments(
    index_folder: Path, model: Path, tmp_path: Path, options: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        build_rerank(index_folder, tmp_path / "index", str(model), **options)
    assert not (tmp_path / "index").exists()


def test_never_replaces_the_index_below(corpus: Path, model: Path, tmp_path: Path) -> None:
    build_index(corpus, tmp_path / "index")
    with pytest.raises(BadRequest, match="of which it is to be made; choose another --out"):
        build_rerank(tmp_path / "index", tmp_path / "index", str(model), overwrite=True)


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"member": "gone"}, BadIndex, "gone is not an index folder"),
        ({"reranker": None}, BadIndex, 'parameter "reranker" must be of type dict'),
        ({"reranker": {"model": "x"}}, BadModel, 'The reranker\'s field "revision" must be of type str'),
        ({"depth": "deep"}, BadIndex, 'parameter "depth" must be of type int'),
    ],
)
def test_refuses_a_broken_manifest(
    index_folder: Path, model: Path, tmp_path: Path, change: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    build_rerank(index_folder, tmp_path / "index", str(model))
    path = tmp_path / "index" / "manifest.json"
    record = json.loads(path.read_text())
    record["parameters"] |= change
    path.write_text(json.dumps(record))
    with pytest.raises(error, match=sentence):
        open_index(tmp_path / "index")


def test_an_index_below_that_was_built_anew_of_another_corpus_is_noticed(
    corpus: Path, model: Path, tmp_path: Path
) -> None:
    build_index(corpus, tmp_path / "below")
    build_rerank(tmp_path / "below", tmp_path / "index", str(model))
    build_index(write_corpus(tmp_path / "other.jsonl", {"a": ("A", "fox")}), tmp_path / "below", overwrite=True)
    with pytest.raises(BadIndex, match="are over different corpora"):
        open_index(tmp_path / "index")
