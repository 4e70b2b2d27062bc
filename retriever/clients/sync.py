"""Searches without asyncio: for scripts, notebooks and threads."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import Self

from retriever.clients.searcher import Searcher
from retriever.errors import BadRequest, SearchFailed
from retriever.types import Passage


class SyncSearcher:
    """A searcher whose calls block; any number of threads may call at once, and their queries travel together.

    The searcher lives in an event loop of its own, in a background thread. A thread does not survive a fork: open a
    searcher in each process, after the fork. Inside an event loop use the searcher itself, or calls would block the
    loop.

    Args:
        searcher: what to search; it is closed with this one.
    """

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self._process = os.getpid()
        self._gate = threading.Lock()
        self._open = True
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="retriever-searcher", daemon=True)
        self._thread.start()

    def search(self, queries: Sequence[str], topk: int) -> list[list[Passage]]:
        """One ranked list per query; see `Searcher.search`.

        Raises:
            BadRequest: this process was forked from the one that opened the searcher; or see `Searcher.search`.
            RetrieverError: see `Searcher.search`.
        """
        answer = self._submit(queries, topk)
        try:
            return answer.result()
        except CancelledError:
            raise SearchFailed("The searcher was closed before this query was answered.") from None
        finally:
            answer.cancel()

    def close(self) -> None:
        """Closes the searcher and ends its thread; searches under way raise `SearchFailed`. May be called twice."""
        if os.getpid() != self._process:
            return
        with self._gate:
            was_open, self._open = self._open, False
        if was_open:
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _submit(self, queries: Sequence[str], topk: int) -> Future[list[list[Passage]]]:
        if os.getpid() != self._process:
            raise BadRequest("This searcher was opened before the process forked; open one after the fork.")
        with self._gate:
            if not self._open:
                raise SearchFailed("The searcher is closed; open another.")
            return asyncio.run_coroutine_threadsafe(self._searcher.search(queries, topk), self._loop)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        await self._end.wait()
        await self._searcher.close()
