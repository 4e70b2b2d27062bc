"""The few calls into Anserini and Lucene. Everything here runs on the Java thread (see `java.py`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retriever.indexes.java import java_class
from retriever.limits import MAX_QUERY_CHARS
from retriever.types import Document, Passage, split_contents

# SimpleIndexer buffers up to 2 GB in the heap; committing after this many characters lets a small heap do.
_COMMIT_CHARS = 200_000_000


class LuceneWriter:
    """Writes a new index folder that Pyserini's LuceneSearcher can open; raw records are stored."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._args = java_class("io.anserini.index.IndexCollection$Args")()
        self._args.collectionClass = "JsonCollection"
        self._args.input = ""
        self._args.index = str(folder)
        self._args.storeRaw = True
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

    def __init__(self, folder: Path, k1: float, b: float) -> None:
        # A query cannot hold more terms than characters, so with this it cannot hold too many clauses either.
        java_class("org.apache.lucene.search.IndexSearcher").setMaxClauseCount(MAX_QUERY_CHARS)
        self._searcher: Any = java_class("io.anserini.search.SimpleSearcher")(str(folder))
        self._searcher.set_bm25(k1, b)

    def count(self) -> int:
        """Number of passages in the index."""
        return int(self._searcher.get_total_num_docs())

    def search(self, queries: Sequence[str], topk: int) -> list[list[Passage]]:
        """One ranked list per query; a query without index terms gets an empty list."""
        array_list = java_class("java.util.ArrayList")
        texts, keys = array_list(), array_list()
        for number, query in enumerate(queries):
            texts.add(query)
            keys.add(str(number))
        # The last argument is a thread count that Anserini ignores: its pool has one thread per core.
        hits = self._searcher.batch_search(texts, keys, topk, 1)
        return [[_passage(hit) for hit in hits.get(str(number))] for number in range(len(queries))]

    def documents(self, ids: Sequence[str]) -> list[Document | None]:
        """The passages with these ids; None where there is none."""
        return [_document(self._searcher.doc_raw(key)) for key in ids]

    def close(self) -> None:
        """Closes the index files; safe to call twice."""
        if self._searcher is not None:
            self._searcher.close()
        self._searcher = None


def _document(raw: str | None) -> Document | None:
    if raw is None:
        return None
    record = json.loads(raw)
    title, text = split_contents(record["contents"])
    return Document(record["id"], title, text)


def _passage(hit: Any) -> Passage:
    record = json.loads(hit.lucene_document.get("raw"))
    title, text = split_contents(record["contents"])
    # Scores are 32-bit: six decimals hide the digits that the widening to 64 bits invents.
    return Passage(record["id"], title, text, round(hit.score, 6))
