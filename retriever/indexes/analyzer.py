"""How texts become index terms: the choices that Anserini offers. Queries are analysed as the passages were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from retriever.errors import BadRequest
from retriever.indexes.java import java_class

STEMMERS = ("porter", "krovetz", "none")
LANGUAGES = (
    *("ar", "bn", "da", "de", "en", "es", "fa", "fi", "fr", "hi", "hu", "id", "it", "ja", "ko", "nl", "no", "pl"),
    *("pt", "ru", "sv", "te", "th", "tr", "uk", "zh"),
)


@dataclass(frozen=True, slots=True)
class Analyzer:
    """A chain of tokenizer, stop words and stemmer.

    Attributes:
        language: one of `LANGUAGES`; all but English bring stop words and stemmer of their own.
        stemmer: one of `STEMMERS`, for English.
        keep_stopwords: whether Lucene's English stop words are indexed.

    Raises:
        BadRequest: a value is not accepted.
    """

    language: str = "en"
    stemmer: str = "porter"
    keep_stopwords: bool = False

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise BadRequest(f"language must be one of {', '.join(LANGUAGES)}, found {self.language!r}.")
        if self.stemmer not in STEMMERS:
            raise BadRequest(f"stemmer must be one of {', '.join(STEMMERS)}, found {self.stemmer!r}.")
        if not isinstance(self.keep_stopwords, bool):
            raise BadRequest(f"keep_stopwords must be true or false, found {self.keep_stopwords!r}.")
        if self.language != "en" and (self.stemmer, self.keep_stopwords) != ("porter", False):
            raise BadRequest(
                f"stemmer and stop words can be chosen for English only, found language {self.language!r}."
            )

    def to_java(self) -> Any:
        """The Lucene analyzer, the one that Anserini's indexer makes of these settings; on the Java thread."""
        if self.language != "en":
            return java_class("io.anserini.analysis.AnalyzerMap").getLanguageSpecificAnalyzer(self.language)
        english = java_class("io.anserini.analysis.DefaultEnglishAnalyzer")
        return english.fromArguments(self.stemmer, self.keep_stopwords, None)


ENGLISH = Analyzer()
"""Pyserini's default."""
