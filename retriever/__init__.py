"""Passage retrieval for search agents: indexes of several types, a service and async clients.

Importing this package is cheap: Java, FAISS, torch, Ray and httpx are loaded on first use.
"""

from retriever.clients import HandleSearcher, HttpSearcher, LocalSearcher, Searcher, open_searcher
from retriever.errors import RetrieverError
from retriever.indexes import Index, open_index
from retriever.types import Document, Passage

__all__ = [
    "Document",
    "HandleSearcher",
    "HttpSearcher",
    "Index",
    "LocalSearcher",
    "Passage",
    "RetrieverError",
    "Searcher",
    "open_index",
    "open_searcher",
]
