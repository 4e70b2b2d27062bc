"""Hybrid indexes: rankings of real indexes, fused by reciprocal rank."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from retriever_sample import PASSAGES, write_corpus

from retriever.errors import BadIndex, BadRequest
from retriever.indexes import Index, open_index
from retriever.indexes.bm25 import build_index
from retriever.indexes.hybrid import build_hybrid, fuse
from retriever.types import Document, Passage


@pytest.fixture(scope="module")
def members(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two indexes that rank differently: the second ignores how long a passage is and how often a word is in it."""
    place = tmp_path_factory.mktemp("members")
    build_index(corpus, place / "one", k1=0.9, b=0.4)
    build_index(corpus, place / "two", k1=0.0, b=0.0)
    return [place / "one", place / "two"]


@pytest.fixture(scope="module")
def hybrid(members: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    folder = tmp_path_factory.mktemp("hybrid") / "index"
    build_hybrid(members, folder)
    index = open_index(folder)
    yield index
    index.close()


def passage(key: str, score: float = 0.0) -> Passage:
    title, text = PASSAGES[key]
    return Passage(key, title, text, score)


def test_fusion_by_hand() -> None:
    first = [passage("fox", 9.0), passage("dog", 8.0), passage("wolf", 7.0)]
    second = [passage("dog", 0.5), passage("zola", 0.4)]
    assert fuse([first, second], [1.0, 1.0], k=60) == [
        passage("dog", 1 / 62 + 1 / 61),
        passage("fox", 1 / 61),
        passage("zola", 1 / 62),
        passage("wolf", 1 / 63),
    ]
    heavier = fuse([first, second], [0.1, 2.0], k=1)
    assert [(found.id, found.score) for found in heavier] == [
        ("dog", pytest.approx(0.1 / 3 + 2 / 2)),
        ("zola", pytest.approx(2 / 3)),
        ("fox", pytest.approx(0.1 / 2)),
        ("wolf", pytest.approx(0.1 / 4)),
    ]


def test_equal_scores_are_ordered_by_id() -> None:
    fused = fuse([[passage("wolf"), passage("dog")], [passage("dog"), passage("wolf")]], [1.0, 1.0], k=60)
    assert [found.id for found in fused] == ["dog", "wolf"]
    assert fused[0].score == fused[1].score


def test_fuses_what_its_members_find(members: list[Path], hybrid: Index) -> None:
    queries = ["wolf dog", "the fox and the wolf", "zebra", "identical twin"]
    opened = [open_index(member) for member in members]
    rankings = [index.search(queries, 100) for index in opened]
    for index in opened:
        index.close()
    assert rankings[0] != rankings[1]
    expected = [fuse(ranked, [1.0, 1.0], k=20) for ranked in zip(*rankings, strict=True)]
    assert hybrid.search(queries, 100) == expected
    assert hybrid.search(queries, 2) == [ranked[:2] for ranked in expected]


def test_a_query_gets_the_same_answer_alone_and_in_a_batch_and_from_many_threads(hybrid: Index) -> None:
    queries = [text[: 10 + n] for n in range(10) for _, text in PASSAGES.values()][:64]
    together = hybrid.search(queries, 5)
    with ThreadPoolExecutor(8) as pool:
        assert together == list(pool.map(lambda query: hybrid.search([query], 5)[0], queries))


def test_documents_are_those_of_the_corpus(hybrid: Index) -> None:
    assert hybrid.documents(["fox", "none"]) == [Document("fox", *PASSAGES["fox"]), None]


@pytest.mark.parametrize("topk", [0, -1, 1001, True])
def test_refuses_topk_out_of_range(hybrid: Index, topk: int) -> None:
    with pytest.raises(BadRequest, match="topk must be a whole number from 1 to 1000"):
        hybrid.search(["fox"], topk)


def test_its_folder_holds_only_a_manifest_and_moves_with_its_members(corpus: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        build_index(corpus, tmp_path / "here" / name)
    manifest = build_hybrid(
        [tmp_path / "here" / "one", tmp_path / "here" / "two"], tmp_path / "here" / "sub" / "both", weights=[1, 2]
    )
    assert manifest.parameters == {"members": ["../../one", "../../two"], "weights": [1.0, 2.0], "k": 20, "depth": 100}
    assert (manifest.type, manifest.passages) == ("hybrid", len(PASSAGES))
    assert [path.name for path in (tmp_path / "here" / "sub" / "both").iterdir()] == ["manifest.json"]
    (tmp_path / "here").rename(tmp_path / "there")
    moved = open_index(tmp_path / "there" / "sub" / "both")
    assert [found.id for found in moved.search(["fox"], 3)[0]] == ["fox"]
    moved.close()


def test_refuses_members_over_different_corpora(members: list[Path], tmp_path: Path) -> None:
    build_index(write_corpus(tmp_path / "other.jsonl", {"a": ("A", "fox")}), tmp_path / "other")
    changed = dict(PASSAGES) | {"fox": ("Fox", "Another text.")}
    build_index(write_corpus(tmp_path / "changed.jsonl", changed), tmp_path / "changed")
    for other, passages in (("other", 1), ("changed", 7)):
        with pytest.raises(
            BadIndex, match=rf"\(7 passages\) and .* \({passages} passages\) are over different corpora"
        ):
            build_hybrid([members[0], tmp_path / other], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_a_member_that_was_built_anew_of_another_corpus_is_noticed(corpus: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        build_index(corpus, tmp_path / name)
    build_hybrid([tmp_path / "one", tmp_path / "two"], tmp_path / "both")
    build_index(write_corpus(tmp_path / "other.jsonl", {"a": ("A", "fox")}), tmp_path / "two", overwrite=True)
    with pytest.raises(BadIndex, match="are over different corpora"):
        open_index(tmp_path / "both")


@pytest.mark.parametrize(
    ("names", "options", "sentence"),
    [
        (["one"], {}, "a hybrid index needs two or more different indexes"),
        (["one", "one"], {}, "a hybrid index needs two or more different indexes"),
        (["one", "two"], {"weights": [1.0]}, "weights must be 2 numbers above 0"),
        (["one", "two"], {"weights": [1.0, 0.0]}, "weights must be 2 numbers above 0"),
        (["one", "two"], {"weights": [1.0, float("nan")]}, "weights must be 2 numbers above 0"),
        (["one", "two"], {"k": 0}, "k must be at least 1, found 0"),
        (["one", "two"], {"depth": 1001}, "depth must be from 1 to 1000, found 1001"),
    ],
)
def test_refuses_bad_arguments(
    members: list[Path], tmp_path: Path, names: list[str], options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadRequest, match=sentence):
        build_hybrid([members[0].parent / name for name in names], tmp_path / "both", **options)


def test_never_replaces_a_member(corpus: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        build_index(corpus, tmp_path / "outer" / name)
    inside = [tmp_path / "outer" / "one", tmp_path / "outer" / "two"]
    for out in (inside[1], tmp_path / "outer"):
        with pytest.raises(BadRequest, match="of which it is to be made; choose another --out"):
            build_hybrid(inside, out, overwrite=True)


def test_refuses_what_is_no_index(members: list[Path], tmp_path: Path) -> None:
    with pytest.raises(BadIndex, match="nowhere is not an index folder"):
        build_hybrid([members[0], tmp_path / "nowhere"], tmp_path / "both")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"members": "one"}, 'parameter "members" must be of type list'),
        ({"members": [3, 4]}, 'parameters "members" and "weights" must be as many folders and numbers'),
        ({"weights": [1.0]}, 'parameters "members" and "weights" must be as many folders and numbers'),
        ({"members": ["gone", "gone"]}, "gone is not an index folder"),
        ({"k": "60"}, 'parameter "k" must be of type int'),
    ],
)
def test_refuses_a_broken_manifest(members: list[Path], tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    build_hybrid(members, tmp_path / "both")
    path = tmp_path / "both" / "manifest.json"
    record = json.loads(path.read_text())
    record["parameters"] |= change
    path.write_text(json.dumps(record))
    with pytest.raises(BadIndex, match=sentence):
        open_index(tmp_path / "both")
