"""The few calls into Anserini and Lucene. Everything here runs on the Java thread (see `java.py`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retriever.indexes.analyzer import Analyzer
from retriever.indexes.java import java_class
from retriever.manifest import MANIFEST
from retriever.types import Document, Passage, split_contents

# SimpleIndexer buffers up to 2 GB in the heap; committing after this many characters lets a small heap do.
_COMMIT_CHARS = 200_000_000
# Lucene's hits hold their passages, so this bounds the heap that one call takes.
_CALL_PASSAGES = 32_768
# Anserini starts a pool of threads for every batch, which costs as much CPU as one query: 0.9 ms.
_FEW = 4


def is_lucene(folder: Path) -> bool:
    """Whether a folder is a Lucene index itself, as Pyserini builds them, and not one of this package."""
    return not (folder / MANIFEST).exists() and any(folder.glob("segments_*"))


class LuceneWriter:
    """Writes a new index folder that Pyserini's LuceneSearcher can open; raw records are stored."""

    def __init__(self, folder: Path, analyzer: Analyzer, threads: int) -> None:
        self._args = java_class("io.anserini.index.IndexCollection$Args")()
        self._args.collectionClass = "JsonCollection"
        self._args.input = ""
        self._args.index = str(folder)
        self._args.storeRaw = True
        self._args.language = analyzer.language
        self._args.stemmer = analyzer.stemmer
        self._args.keepStopwords = analyzer.keep_stopwords
        self._args.threads = threads
        self._indexer: Any = None
        self._chars = 0

    def add(self, records: list[str]) -> int:
        """Adds JSON records with `id` and `contents`; returns how many the index took."""
        if self._indexer is None:
            self._indexer = java_class("io.anserini.index.SimpleIndexer")(self._args)
            self._args.append = True
        added: int = self._indexer.addRawDocuments(records)
        self._chars += sum(map(len, records))
        if self._chars > _COMMIT_CHARS:
            self.close(merge=False)
        return added

    def close(self, merge: bool) -> None:
        """Commits; `merge` also merges the index into one segment, which searches fastest."""
        if self._indexer is not None:
            self._indexer.close(merge)
        self._indexer = None
        self._chars = 0


class LuceneReader:
    """Searches an index folder with BM25.

    Ranking is Pyserini's: score descending, equal scores by passage id; scores are rounded to 4 decimals and
    then lowered by a millionth per rank within a tie.
    """

    def __init__(self, folder: Path, k1: float, b: float, analyzer: Analyzer) -> None:
        # Lucene refuses more than 1,024 terms; here the length of a query is what bounds them.
        java_class("org.apache.lucene.search.IndexSearcher").setMaxClauseCount(2**31 - 1)
        self._searcher: Any = java_class("io.anserini.search.SimpleSearcher")(str(folder))
        self._searcher.set_analyzer(analyzer.to_java())
        self._searcher.set_bm25(k1, b)

    def count(self) -> int:
        """Number of passages in the index."""
        return int(self._searcher.get_total_num_docs())

    def stores_passages(self) -> bool:
        """Whether the first passage can be read back, its raw record or its contents."""
        stored = self._searcher.doc(0)
        return stored is not None and _contents(stored) is not None

    def search(self, queries: Sequence[str], topk: int) -> list[list[Passage]]:
        """One ranked list per query; a query without index terms gets an empty list."""
        size = max(1, _CALL_PASSAGES // topk)
        parts = [self._search(queries[start : start + size], topk) for start in range(0, len(queries), size)]
        return [ranked for part in parts for ranked in part]

    def documents(self, ids: Sequence[str]) -> list[Document | None]:
        """The passages with these ids; None where there is none."""
        return [self._document(key) for key in ids]

    def close(self) -> None:
        """Closes the index files; safe to call twice."""
        if self._searcher is not None:
            self._searcher.close()
        self._searcher = None

    def _document(self, key: str) -> Document | None:
        # No id has an unpaired surrogate, and Java could not be asked for it.
        valid = key.encode("utf-8", errors="replace").decode("utf-8") == key
        stored = self._searcher.doc(key) if valid else None
        return Document(key, *_title_and_text(stored)) if stored else None

    def _search(self, queries: Sequence[str], topk: int) -> list[list[Passage]]:
        if len(queries) <= _FEW:
            return [[_passage(hit) for hit in self._searcher.search(query, topk)] for query in queries]
        array_list = java_class("java.util.ArrayList")
        texts, keys = array_list(), array_list()
        for number, query in enumerate(queries):
            texts.add(query)
            keys.add(str(number))
        # The last argument is a thread count that Anserini ignores: its pool has one thread per core.
        hits = self._searcher.batch_search(texts, keys, topk, 1)
        return [[_passage(hit) for hit in hits.get(str(number))] for number in range(len(queries))]


def _passage(hit: Any) -> Passage:
    # Scores are 32-bit: six decimals hide the digits that the widening to 64 bits invents.
    return Passage(hit.docid, *_title_and_text(hit.lucene_document), round(hit.score, 6))


def _title_and_text(stored: Any) -> tuple[str, str]:
    return split_contents(_contents(stored) or "")


def _contents(stored: Any) -> str | None:
    """The contents of a stored passage, of its raw record where it is JSON, as `LuceneWriter` and Pyserini write it."""
    raw: str | None = stored.get("raw")
    if raw is None:
        contents: str | None = stored.get("contents")
        return contents
    try:
        record = json.loads(raw)
    except ValueError:
        return raw
    contents = record.get("contents") if isinstance(record, dict) else None
    return contents if isinstance(contents, str) else raw
