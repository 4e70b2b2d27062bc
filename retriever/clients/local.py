"""Searches an index folder in this process."""

from __future__ import annotations

import asyncio
from pathlib import Path

from retriever.clients.searcher import Searcher
from retriever.errors import RetrieverError, SearchFailed
from retriever.indexes import Index, open_index
from retriever.types import Passage


class LocalSearcher(Searcher):
    """Searches an index folder in this process; the index is loaded by the first search."""

    def __init__(self, folder: Path, *, timeout_s: float = 60.0) -> None:
        super().__init__(f"The index {folder}", timeout_s=timeout_s, retries=0)
        self._folder = folder
        self._index: Index | None = None

    async def close(self) -> None:
        """Closes the index."""
        await super().close()
        if self._index is not None:
            await asyncio.to_thread(self._index.close)
        self._index = None

    async def _try(self, queries: list[str], topk: int) -> list[list[Passage]]:
        if self._index is None:
            try:
                self._index = await asyncio.to_thread(open_index, self._folder)
            except RetrieverError as error:
                raise SearchFailed(f"{self._target} cannot be searched: {error}") from error
        return await asyncio.wrap_future(self._index.submit(queries, topk))
