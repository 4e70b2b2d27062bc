"""Searches an index folder in this process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Lock

from retriever.clients.patience import Patience
from retriever.clients.searcher import Searcher
from retriever.errors import RetrieverError, SearchFailed
from retriever.indexes import Index, open_index
from retriever.types import Passage


class LocalSearcher(Searcher):
    """Searches an index folder in this process; the index is loaded by the first search.

    Args:
        folder: an index folder.
        patience: deadline, bounds; by default 2 minutes, for loading, too, and one batch at a time.
    """

    def __init__(self, folder: Path, *, patience: Patience | None = None) -> None:
        default = Patience(deadline_s=120, try_timeout_s=120, in_flight=1)
        super().__init__(f"The index {folder}", patience or default)
        self._folder = folder
        self._index: Index | None = None
        self._loading = Lock()

    async def close(self) -> None:
        """Closes the index."""
        await super().close()
        await asyncio.to_thread(self._unload)

    async def _try(self, queries: list[str], topk: int) -> list[list[Passage]]:
        index = self._index if self._index is not None else await asyncio.to_thread(self._load)
        return await asyncio.wrap_future(index.submit(queries, topk))

    def _load(self) -> Index:
        # The lock keeps a try that follows one out of time from loading the index a second time.
        with self._loading:
            if self._index is None:
                try:
                    self._index = open_index(self._folder)
                except RetrieverError as error:
                    raise SearchFailed(f"{self._target} cannot be searched: {error}") from error
            return self._index

    def _unload(self) -> None:
        with self._loading:
            index, self._index = self._index, None
        if index is not None:
            index.close()
