"""Passage retrieval for search agents: indexes of several types, a service and clients.

Importing this package is cheap: Java, FAISS, torch, Ray and httpx are loaded on first use.
"""

from retriever.clients import (
    HandleSearcher,
    HttpSearcher,
    LocalSearcher,
    Patience,
    Searcher,
    SyncSearcher,
    WebSearcher,
    open_searcher,
    open_sync,
)
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
    "Patience",
    "RetrieverError",
    "Searcher",
    "SyncSearcher",
    "WebSearcher",
    "open_index",
    "open_searcher",
    "open_sync",
]
