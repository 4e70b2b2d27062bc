"""Building, opening and searching a BM25 index with real Lucene."""

import gzip
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from retriever_sample import PASSAGES, write_corpus

from retriever.corpus import build_store
from retriever.errors import BadCorpus, BadIndex, BadRequest
from retriever.indexes import bm25, lucene
from retriever.indexes.bm25 import Bm25Index, build_index
from retriever.indexes.java import find_java
from retriever.limits import MAX_QUERY_CHARS
from retriever.types import Passage

# Index terms of each passage, counted by hand: stop words ("the", "is", "of", "a", "in") are not among them.
TERMS = {"fox": 7, "dog": 5, "wolf": 8, "zola": 11, "paris": 4, "twin-a": 3, "twin-b": 3}


def bm25_by_hand(tf: int, df: int, length: int, k1: float, b: float) -> float:
    """Lucene's BM25 of one term: idf · tf / (tf + k1 (1 − b + b · length / mean length))."""
    mean = sum(TERMS.values()) / len(TERMS)
    idf = math.log(1 + (len(TERMS) - df + 0.5) / (df + 0.5))
    return idf * tf / (tf + k1 * (1 - b + b * length / mean))


def ids(ranked: list[Passage]) -> list[str]:
    return [passage.id for passage in ranked]


def test_finds_the_right_passages_in_order(index: Bm25Index) -> None:
    found = index.search(["wolf", "who wrote germinal?", "capital of france", "foxes"], 3)
    assert [ids(ranked) for ranked in found] == [["wolf", "dog"], ["zola"], ["paris"], ["fox"]]
    title, text = PASSAGES["zola"]
    assert (found[1][0].title, found[1][0].text) == (title, text)


def test_scores_are_bm25(index: Bm25Index) -> None:
    [[fox], [wolf, dog]] = index.search(["fox", "wolf"], 5)
    assert fox.score == pytest.approx(bm25_by_hand(tf=3, df=1, length=TERMS["fox"], k1=0.9, b=0.4), abs=6e-5)
    assert wolf.score == pytest.approx(bm25_by_hand(tf=2, df=2, length=TERMS["wolf"], k1=0.9, b=0.4), abs=6e-5)
    assert dog.score == pytest.approx(bm25_by_hand(tf=1, df=2, length=TERMS["dog"], k1=0.9, b=0.4), abs=6e-5)


def test_the_manifest_keeps_the_parameters_of_bm25(corpus: Path, tmp_path: Path) -> None:
    build_index(corpus, tmp_path / "index", k1=2.0, b=0.75)
    other = Bm25Index.open(tmp_path / "index")
    [[fox]] = other.search(["fox"], 5)
    other.close()
    assert fox.score == pytest.approx(bm25_by_hand(tf=3, df=1, length=TERMS["fox"], k1=2.0, b=0.75), abs=6e-5)


def test_equal_scores_are_ordered_by_id(index: Bm25Index) -> None:
    [twins] = index.search(["identical twin"], 5)
    assert ids(twins) == ["twin-a", "twin-b"]
    assert twins[0].score == pytest.approx(twins[1].score, abs=2e-6)


@pytest.mark.parametrize("query", ["", " \t\n", "?!... -- ()", "\x00", "the of is", "\U0001f468‍\U0001f469"])
def test_a_query_without_index_terms_finds_nothing(index: Bm25Index, query: str) -> None:
    assert index.search([query], 3) == [[]]


@pytest.mark.parametrize(
    "query",
    [
        'AND (title:"fox"^2',
        "fox~ OR [a TO *} \\",
        "\ud800 fox",
        "fox\x00",
        "</search> fox",
        "fox " * 5000,
        "fox " + " ".join(f"term{n}" for n in range(5000)),
        "fox " + "".join(chr(0x4E00 + n) for n in range(5000)),
    ],
)
def test_hostile_queries_are_bags_of_words(index: Bm25Index, query: str) -> None:
    [ranked] = index.search([query], 1)
    assert ids(ranked) == ["fox"]


def test_an_emoji_is_a_word(index: Bm25Index) -> None:
    assert ids(index.search(["\U0001f600"], 3)[0]) == ["zola"]


def test_characters_beyond_the_limit_are_ignored(index: Bm25Index) -> None:
    assert index.search(["x" * MAX_QUERY_CHARS + " fox"], 3) == [[]]


def test_a_query_gets_the_same_answer_alone_and_in_a_batch(index: Bm25Index) -> None:
    queries = [f"{title} {text}"[: 10 + n] for n in range(10) for title, text in PASSAGES.values()][:64]
    assert len(queries) == 64
    assert index.search(queries, 5) == [index.search([query], 5)[0] for query in queries]


def test_topk_beyond_the_index_gives_every_match(index: Bm25Index) -> None:
    assert sorted(ids(index.search(["fox dog wolf zola paris twin"], 1000)[0])) == sorted(PASSAGES)


@pytest.mark.parametrize("topk", [0, -1, 1001, 3_000_000_000, True, 2.0])
def test_refuses_topk_out_of_range(index: Bm25Index, topk: int) -> None:
    with pytest.raises(BadRequest, match="topk must be a whole number from 1 to 1000"):
        index.search(["fox"], topk)


def test_refuses_queries_that_are_not_strings(index: Bm25Index) -> None:
    with pytest.raises(BadRequest, match="every query must be a string, found int"):
        index.search(["fox", 3], 1)  # type: ignore[list-item]
    with pytest.raises(BadRequest, match="found one string"):
        index.search("fox", 1)


def test_the_manifest_describes_the_index(corpus: Path, index: Bm25Index, tmp_path: Path) -> None:
    canonical = (
        json.dumps({"id": key, "contents": f'"{title}"\n{text}'}) + "\n" for key, (title, text) in PASSAGES.items()
    )
    assert index.manifest.corpus_sha256 == hashlib.sha256("".join(canonical).encode()).hexdigest()
    analyzer = {"language": "en", "stemmer": "porter", "keep_stopwords": False}
    assert (index.manifest.type, index.manifest.passages) == ("bm25", len(PASSAGES))
    assert index.manifest.parameters == {"k1": 0.9, "b": 0.4, "analyzer": analyzer}
    assert index.manifest.versions == {"pyserini": version("pyserini"), "java": find_java().version}
    assert index.manifest.files == {
        f"lucene/{path.name}": path.stat().st_size
        for path in (index.folder / "lucene").iterdir()
        if path.name != "write.lock"
    }
    zipped = tmp_path / "corpus.jsonl.gz"
    zipped.write_bytes(gzip.compress(corpus.read_bytes()))
    assert build_index(zipped, tmp_path / "index").corpus_sha256 == index.manifest.corpus_sha256


def test_reports_progress_in_bytes(corpus: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    build_index(corpus, tmp_path / "index", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (corpus.stat().st_size, corpus.stat().st_size)


def test_passages_beyond_one_batch_are_all_indexed(tmp_path: Path) -> None:
    many = {str(n): (f"Title {n}", f"word{n} text") for n in range(2 * bm25._BATCH + 1)}
    manifest = build_index(write_corpus(tmp_path / "many.jsonl", many), tmp_path / "index", threads=3)
    assert manifest.passages == len(many)
    opened = Bm25Index.open(tmp_path / "index")
    assert ids(opened.search([f"word{2 * bm25._BATCH}"], 3)[0]) == [str(2 * bm25._BATCH)]
    opened.close()


@pytest.fixture
def old_index(tmp_path: Path) -> Iterator[Path]:
    """An index with one passage, and afterwards a check that nothing else was left beside it."""
    build_index(write_corpus(tmp_path / "old.jsonl", {"old": ("Old", "fox")}), tmp_path / "index")
    yield tmp_path / "index"
    assert {path.name for path in tmp_path.iterdir()} <= {"old.jsonl", "bad.jsonl", "index"}


def passages_in(folder: Path) -> list[str]:
    opened = Bm25Index.open(folder)
    found = ids(opened.search(["fox"], 5)[0])
    opened.close()
    return found


def test_refuses_a_folder_that_holds_an_index(corpus: Path, old_index: Path) -> None:
    with pytest.raises(BadIndex, match=r"already holds an index; add --overwrite to replace it"):
        build_index(corpus, old_index)
    assert passages_in(old_index) == ["old"]


def test_overwrite_replaces_an_index(corpus: Path, old_index: Path) -> None:
    build_index(corpus, old_index, overwrite=True)
    assert passages_in(old_index) == ["fox"]


def test_a_failed_build_leaves_the_old_index_and_nothing_else(old_index: Path, tmp_path: Path) -> None:
    many = {str(n): ("Title", f"text {n}") for n in range(bm25._BATCH + 10)}
    bad = write_corpus(tmp_path / "bad.jsonl", many)
    with bad.open("a") as stream:
        stream.write("{broken\n")
    with pytest.raises(BadCorpus, match=rf"line {bm25._BATCH + 11}: invalid JSON"):
        build_index(bad, old_index, overwrite=True)
    assert passages_in(old_index) == ["old"]


def test_a_failed_first_build_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadCorpus, match="is not a file"):
        build_index(tmp_path / "none.jsonl", tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_build_leaves_nothing(corpus: Path, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(corpus, tmp_path / "index", progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_overwrite_never_replaces_what_is_not_an_index(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("precious")
    with pytest.raises(BadIndex, match="is neither empty nor an index"):
        build_index(corpus, tmp_path / "thesis", overwrite=True)
    (tmp_path / "file").touch()
    with pytest.raises(BadIndex, match="exists and is not a folder"):
        build_index(corpus, tmp_path / "file", overwrite=True)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "precious"


def test_builds_into_an_empty_folder_and_below_missing_ones(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    build_index(corpus, tmp_path / "empty")
    build_index(corpus, tmp_path / "a" / "b" / "index")
    assert passages_in(tmp_path / "empty") == passages_in(tmp_path / "a" / "b" / "index") == ["fox"]


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"k1": -0.1}, "k1 must be a number of at least 0, found -0.1"),
        ({"k1": math.nan}, "k1 must be a number of at least 0, found nan"),
        ({"b": 1.5}, "b must be a number from 0 to 1, found 1.5"),
        ({"b": math.nan}, "b must be a number from 0 to 1, found nan"),
        ({"threads": 0}, "threads must be at least 1, found 0"),
    ],
)
def test_refuses_bad_parameters(corpus: Path, tmp_path: Path, parameters: dict[str, float], sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        build_index(corpus, tmp_path / "index", **parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        (None, "is not an index folder"),
        ("{", "is not valid JSON"),
        ("[]", "is not a JSON object"),
        ('{"type": 3}', 'field "type" must be of type str'),
        ({"parameters": {"k1": "0.9", "b": 0.4}}, 'parameter "k1" must be of type float'),
        ({"passages": True}, 'field "passages" must be of type int'),
        ({"type": "dense"}, 'is an index of type "dense"'),
        ({"parameters": {"k1": 0.9, "b": 0.4}}, 'parameter "analyzer" must have a language'),
        (
            {"parameters": {"k1": 0.9, "b": 0.4, "analyzer": {"language": "xx"}}},
            "language must be one of ar, bn, .* 'xx'",
        ),
        ({"passages": 99}, "holds 7 passages, its manifest says 99"),
    ],
)
def test_refuses_a_broken_index(
    index_folder: Path, tmp_path: Path, manifest: str | dict[str, object] | None, sentence: str
) -> None:
    (tmp_path / "lucene").symlink_to(index_folder / "lucene")
    if isinstance(manifest, dict):
        manifest = json.dumps(json.loads((index_folder / "manifest.json").read_text()) | manifest)
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(BadIndex, match=sentence):
        Bm25Index.open(tmp_path)


@pytest.fixture
def broken(index_folder: Path, tmp_path: Path) -> Path:
    """A copy of the index, to be damaged."""
    return Path(shutil.copytree(index_folder, tmp_path / "broken"))


def test_refuses_an_index_that_lacks_a_file(broken: Path) -> None:
    shutil.rmtree(broken / "lucene")
    with pytest.raises(BadIndex, match=r"broken/lucene/\S+ is missing; build the index again"):
        Bm25Index.open(broken)


def test_refuses_a_truncated_file(broken: Path) -> None:
    [path] = (broken / "lucene").glob("*.fdt")
    size = path.stat().st_size
    os.truncate(path, size - 1)
    with pytest.raises(BadIndex, match=rf"{path} has {size - 1:,} bytes, its manifest says {size:,}"):
        Bm25Index.open(broken)


def test_refuses_a_damaged_file(broken: Path) -> None:
    [path] = (broken / "lucene").glob("segments_*")
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(BadIndex, match=r"broken/lucene cannot be opened as a Lucene index .*; build it again"):
        Bm25Index.open(broken)


def test_builds_from_a_store(corpus: Path, index: Bm25Index, tmp_path: Path) -> None:
    store = build_store(corpus, tmp_path / "store")
    manifest = build_index(store.folder, tmp_path / "index")
    assert manifest.corpus_sha256 == store.sha256 == index.manifest.corpus_sha256
    assert passages_in(tmp_path / "index") == ["fox"]


def test_gives_passages_by_id(index: Bm25Index) -> None:
    ids = ["zola", "none", "", "\ud800", "\x00", "fox"]
    found = index.documents(ids)
    assert [document and (document.id, document.title) for document in found] == [
        ("zola", "Émile Zola"),
        None,
        None,
        None,
        None,
        ("fox", "Red fox"),
    ]


def test_many_queries_with_a_large_topk_are_searched_in_parts(
    index: Bm25Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = ["wolf", "fox", "paris", "zola", "dog"]
    whole = index.search(queries, 7)
    monkeypatch.setattr(lucene, "_CALL_PASSAGES", 15)
    assert index.search(queries, 7) == whole
