"""How texts become index terms: the same settings for passages and queries, kept in the manifest."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from retriever_sample import write_corpus

from retriever.errors import BadRequest
from retriever.indexes import java, open_index
from retriever.indexes.analyzer import LANGUAGES, Analyzer
from retriever.indexes.bm25 import build_index

Search = Callable[[str], list[str]]


@pytest.fixture
def search_with(tmp_path: Path) -> Iterator[Callable[..., Search]]:
    """Builds an index of texts, opens it, and returns a search for the texts that match a query."""
    with ExitStack() as opened:

        def make(analyzer: Analyzer, *texts: str) -> Search:
            corpus = write_corpus(tmp_path / "corpus.jsonl", {text: ("", text) for text in texts})
            build_index(corpus, tmp_path / "index", analyzer=analyzer)
            index = opened.enter_context(closing(open_index(tmp_path / "index")))
            return lambda query: sorted(passage.id for passage in index.search([query], 10)[0])

        yield make


@pytest.mark.parametrize(
    ("stemmer", "matches"),
    [
        ("porter", ["general ideas", "generalizations", "generals"]),
        ("krovetz", ["general ideas", "generals"]),
        ("none", ["generals"]),
    ],
)
def test_the_stemmer_applies_to_passages_and_queries(
    search_with: Callable[..., Search], stemmer: str, matches: list[str]
) -> None:
    search = search_with(Analyzer(stemmer=stemmer), "general ideas", "generalizations", "generals")
    assert search("Generals") == matches


def test_stop_words_can_be_kept(search_with: Callable[..., Search]) -> None:
    search = search_with(Analyzer(keep_stopwords=True, stemmer="none"), "the who", "a band")
    assert search("The") == ["the who"]


@pytest.mark.parametrize(
    ("language", "texts", "query", "matches"),
    [
        ("de", ["die Häuser", "der Hund"], "das Haus", ["die Häuser"]),
        ("zh", ["北京是中国的首都", "上海"], "中国", ["北京是中国的首都"]),
        ("ja", ["関西国際空港", "東京駅"], "空港", ["関西国際空港"]),
    ],
)
def test_languages_have_analyzers_of_their_own(
    search_with: Callable[..., Search], language: str, texts: list[str], query: str, matches: list[str]
) -> None:
    assert search_with(Analyzer(language=language), *texts)(query) == matches


def test_all_of_anserinis_languages_are_accepted() -> None:
    def languages() -> set[str]:
        return set(java.java_class("io.anserini.analysis.AnalyzerMap").analyzerMap.keySet().toArray())

    assert set(LANGUAGES) == java.call(languages) | {"en"}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"language": "xx"}, "language must be one of ar, bn, .*, zh, found 'xx'"),
        ({"stemmer": "snowball"}, "stemmer must be one of porter, krovetz, none, found 'snowball'"),
        ({"keep_stopwords": "yes"}, "keep_stopwords must be true or false, found 'yes'"),
        ({"language": "de", "stemmer": "none"}, "stemmer and stop words can be chosen for English only, found .* 'de'"),
        ({"language": "de", "keep_stopwords": True}, "can be chosen for English only"),
    ],
)
def test_refuses_settings_that_do_not_exist(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        Analyzer(**settings)
