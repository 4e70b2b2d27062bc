"""An index that a test can hold up and break."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from retriever.errors import SearchFailed
from retriever.indexes import Index
from retriever.manifest import Manifest
from retriever.service.core import PROBE_QUERY
from retriever.types import Document, Passage


class Echo(Index):
    """Answers a query with itself, keeps every call, waits while it is held."""

    def __init__(self) -> None:
        manifest = Manifest("echo", 3, "", {}, {}, {})
        super().__init__(Path("echo"), manifest)
        self.calls: list[tuple[list[str], int]] = []
        self.free = threading.Event()
        self.free.set()
        self.broken = False
        self.closed = False
        self.held = 0
        self._thread = ThreadPoolExecutor(1)

    def submit(self, queries: Sequence[str], topk: int) -> Future[list[list[Passage]]]:
        return self._thread.submit(self._answer, list(queries), topk)

    def _answer(self, queries: list[str], topk: int) -> list[list[Passage]]:
        self._wait()
        if self.broken:
            raise SearchFailed("The engine is broken.")
        if queries != [PROBE_QUERY]:
            self.calls.append((queries, topk))
        return [[passage(query)] * min(topk, 2) for query in queries]

    def documents(self, ids: Sequence[str]) -> list[Document | None]:
        self._wait()
        return [Document(key, "", key) if key in "abc" else None for key in ids]

    def close(self) -> None:
        self.closed = True

    def _wait(self) -> None:
        self.held += not self.free.is_set()
        assert self.free.wait(30)


def passage(query: str) -> Passage:
    return Passage(query, "", query, 1.0)
