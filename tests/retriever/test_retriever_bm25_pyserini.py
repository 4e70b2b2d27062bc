"""Pyserini and this package open each other's indexes. Its indexer and searcher are the real ones, in a child."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from retriever_sample import PASSAGES, write_corpus

from retriever.errors import BadIndex, BadRequest
from retriever.indexes import open_index
from retriever.indexes.analyzer import Analyzer
from retriever.indexes.bm25 import Bm25Index, build_index

pytestmark = pytest.mark.slow

# Pyserini asks for a Java module that the packaged runtime lacks, unless a Java runs already.
START = "import json, runpy, sys; from retriever.indexes import java; java.call(lambda: None); "
INDEX = """
for options in json.loads(sys.argv[1]):
    sys.argv = ["index", "--collection", "JsonCollection", "--threads", "1", *options]
    runpy.run_module("pyserini.index.lucene", run_name="__main__")
"""
SEARCH = """
from pyserini.search.lucene import LuceneSearcher
searcher = LuceneSearcher(sys.argv[1])
searcher.set_bm25(0.9, 0.4)
hits = searcher.search("wolf fox", 5)
print(json.dumps([[hit.docid, round(hit.score, 6), json.loads(hit.lucene_document.get("raw"))] for hit in hits]))
"""


def pyserini(code: str, argument: str) -> str:
    # Its import builds an OpenAI client, which wants a key and never uses it here.
    environment = {**os.environ, "OPENAI_API_KEY": "none"}
    command = [sys.executable, "-c", START + code, argument]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Indexes of the sample that Pyserini's own command built, with different fields stored."""
    folder = tmp_path_factory.mktemp("pyserini")
    (folder / "corpus").mkdir()
    write_corpus(folder / "corpus" / "corpus.jsonl")
    stored = {"raw": ["--storeRaw"], "contents": ["--storeContents"], "nothing": [], "unstemmed": ["--storeRaw"]}
    stored["unstemmed"] += ["--stemmer", "none"]
    common = ["--input", str(folder / "corpus")]
    pyserini(INDEX, json.dumps([[*common, "--index", str(folder / name), *flags] for name, flags in stored.items()]))
    return folder


@pytest.fixture(params=["raw", "contents"])
def adopted(built: Path, request: pytest.FixtureRequest) -> Iterator[Bm25Index]:
    with closing(open_index(built / request.param)) as index:
        assert isinstance(index, Bm25Index)
        yield index


def test_an_index_that_pyserini_built_gives_the_same_answers(adopted: Bm25Index, index: Bm25Index) -> None:
    queries = ["wolf fox", "who wrote germinal?", "identical twin", "none of these"]
    assert adopted.search(queries, 5) == index.search(queries, 5)
    assert adopted.documents(["zola", "none"]) == index.documents(["zola", "none"])
    assert (adopted.manifest.type, adopted.manifest.passages) == ("bm25", len(PASSAGES))
    assert adopted.manifest.parameters == index.manifest.parameters


def test_nothing_is_written_into_an_adopted_folder(built: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (built / "raw").iterdir()}
    open_index(built / "raw").close()
    assert {path: path.stat().st_mtime_ns for path in (built / "raw").iterdir()} == before


def test_parameters_of_an_adopted_index_can_be_given(built: Path, corpus: Path, tmp_path: Path) -> None:
    parameters: dict[str, Any] = {"k1": 2.0, "b": 0.75, "analyzer": Analyzer(stemmer="none")}
    build_index(corpus, tmp_path / "index", **parameters)
    queries = ["foxes", "fox", "domesticated wolf"]
    with (
        closing(Bm25Index.adopt(built / "unstemmed", **parameters)) as adopted,
        closing(open_index(tmp_path / "index")) as ours,
    ):
        assert adopted.search(queries, 5) == ours.search(queries, 5)
    with pytest.raises(BadRequest, match="k1 must be a number of at least 0"):
        Bm25Index.adopt(built / "raw", k1=-1)


def test_refuses_an_index_that_stores_no_passages(built: Path) -> None:
    with pytest.raises(BadIndex, match=r"nothing stores no passages, only index terms; build it again with --storeRaw"):
        open_index(built / "nothing")


def test_pyserini_opens_an_index_of_ours(index_folder: Path, index: Bm25Index) -> None:
    hits = json.loads(pyserini(SEARCH, str(index_folder / "lucene")).splitlines()[-1])
    [ranked] = index.search(["wolf fox"], 5)
    assert [(key, score) for key, score, _ in hits] == [(passage.id, passage.score) for passage in ranked]
    assert [raw for _, _, raw in hits] == [{"id": passage.id, "contents": passage.contents} for passage in ranked]
