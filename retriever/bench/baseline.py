"""The usual retrieval server, to compare with: a blocking FastAPI handler that fetches each document again.

Run: python -m retriever.bench.baseline (bm25 INDEX | dense INDEX CORPUS VECTORS) --port PORT
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from retriever.manifest import read_manifest

Search = Callable[[str, int], tuple[list[dict[str, Any]], list[float]]]


class QueryRequest(BaseModel):
    """The body of a request."""

    queries: list[str]
    topk: int | None = None
    return_scores: bool = False


def bm25(lucene: Path) -> Search:
    """One query at a time; as pyjnius allows one call at a time, handlers wait for each other."""
    from retriever.indexes import java

    def open_searcher() -> Any:
        searcher = java.java_class("io.anserini.search.SimpleSearcher")(str(lucene))
        searcher.set_bm25(0.9, 0.4)
        return searcher

    searcher = java.call(open_searcher)

    def ask(query: str, topk: int) -> tuple[list[dict[str, Any]], list[float]]:
        hits = searcher.search(query, topk)
        contents = [json.loads(searcher.doc_raw(hit.docid))["contents"] for hit in hits]
        return [{"id": hit.docid, "contents": text} for hit, text in zip(hits, contents, strict=True)], [
            hit.score for hit in hits
        ]

    return lambda query, topk: java.call(ask, query, topk)


def dense(folder: Path, corpus_file: Path, vectors_file: Path) -> Search:
    """One vector at a time, the passages from a `datasets` table; the query names its vector."""
    import datasets
    import faiss

    index = faiss.read_index(str(folder / "index.faiss"), faiss.IO_FLAG_ONDISK_SAME_DIR)
    for name, value in read_manifest(folder).parameters["search"].items():
        faiss.ParameterSpace().set_index_parameter(index, name, value)
    corpus = datasets.load_dataset("json", data_files=str(corpus_file), split="train")
    vectors = np.load(vectors_file)

    def ask(query: str, topk: int) -> tuple[list[dict[str, Any]], list[float]]:
        scores, rows = index.search(vectors[[int(query)]], topk)
        return [corpus[int(row)] for row in rows[0]], scores[0].tolist()

    return ask


def main() -> None:
    """Serves until ended."""
    import uvicorn
    from fastapi import FastAPI

    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=["bm25", "dense"])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    search = bm25(*given.files) if given.engine == "bm25" else dense(*given.files)
    app = FastAPI()

    @app.post("/retrieve")
    def retrieve(request: QueryRequest) -> dict[str, Any]:
        answers = []
        for query in request.queries:
            documents, scores = search(query, request.topk or 3)
            answers.append([{"document": d, "score": s} for d, s in zip(documents, scores, strict=True)])
        return {"result": answers}

    @app.get("/ready")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
