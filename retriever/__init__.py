"""Passage retrieval for search agents: BM25 indexes, a Ray Serve service and async clients.

Importing this package is cheap: Java, Ray and httpx are loaded on first use.
"""

from retriever.bm25 import Bm25Index, build_index
from retriever.client import HandleSearcher, HttpSearcher, LocalSearcher, open_searcher
from retriever.errors import RetrieverError
from retriever.types import Passage

__all__ = [
    "Bm25Index",
    "HandleSearcher",
    "HttpSearcher",
    "LocalSearcher",
    "Passage",
    "RetrieverError",
    "build_index",
    "open_searcher",
]
