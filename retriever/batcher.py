"""Collects the queries of concurrent callers into few engine calls. Knows nothing of any engine."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from retriever.errors import Busy, SearchFailed
from retriever.limits import MAX_PASSAGES
from retriever.types import Passage

Engine = Callable[[list[str], int], Awaitable[list[list[Passage]]]]
"""Queries and topk in, one ranked list per query out."""


@dataclass(slots=True)
class _Waiting:
    query: str
    topk: int
    answer: asyncio.Future[list[Passage]]


class Batcher:
    """Micro-batches queries: whatever waits when the engine is free goes out together.

    There is no waiting time to tune: a lone query leaves at once, and while the engine works the next batch
    gathers. Where a batch raises, its queries are tried one by one, so that only those at fault fail;
    `SearchFailed` concerns the engine and not a query, and is given to the whole batch.

    Args:
        engine: answers one batch of queries that share a topk.
        max_batch: the most queries in one engine call.
        max_passages: the most passages, queries times topk, that one engine call may ask for.
        max_waiting: the most queries waiting; beyond it `search` raises `Busy`.
        in_flight: how many engine calls may be under way at once.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        max_batch: int = 512,
        max_passages: int = MAX_PASSAGES,
        max_waiting: int = 16384,
        in_flight: int = 1,
    ) -> None:
        self._engine = engine
        self._max_batch = max_batch
        self._max_passages = max_passages
        self._max_waiting = max_waiting
        self._in_flight = in_flight
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: deque[_Waiting] = deque()
        self._filled = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []

    @property
    def waiting(self) -> int:
        """How many queries wait now."""
        return len(self._queue)

    async def search(self, queries: Sequence[str], topk: int) -> list[list[Passage]]:
        """One ranked list per query, in the order of the queries.

        Raises:
            Busy: the queue has no room for all of these queries; none was taken.
            Exception: whatever the engine raised for one of the queries.
        """
        self._start()
        if self.waiting + len(queries) > self._max_waiting:
            raise Busy(f"{self.waiting} queries are waiting and at most {self._max_waiting} may; try later.")
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(query, topk, loop.create_future()) for query in queries]
        self._queue.extend(waiting)
        self._filled.set()
        return await asyncio.gather(*(item.answer for item in waiting))

    async def close(self) -> None:
        """Stops the workers; queries still waiting raise `SearchFailed`."""
        if self._loop is asyncio.get_running_loop():
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
            _fail(self._queue, SearchFailed("The searcher was closed before this query was sent."))
        self._loop, self._workers = None, []

    def _start(self) -> None:
        """Starts the workers on the running loop, anew where an earlier loop has ended."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        self._loop = loop
        self._queue, self._filled = deque(), asyncio.Event()
        self._workers = [loop.create_task(self._work()) for _ in range(self._in_flight)]

    async def _work(self) -> None:
        while True:
            while not self._queue:
                self._filled.clear()
                await self._filled.wait()
            taken = self._take()
            try:
                for topk, group in groupby(taken, key=lambda item: item.topk):
                    await self._answer(list(group), topk)
            finally:
                _fail(taken, SearchFailed("The searcher was closed before this query was answered."))

    def _take(self) -> list[_Waiting]:
        """What waits and fits into one engine call, by topk; at least one query, unless all callers have left."""
        taken: list[_Waiting] = []
        passages = 0
        while self._queue and len(taken) < self._max_batch:
            item = self._queue[0]
            if not item.answer.done():
                passages += item.topk
                if taken and passages > self._max_passages:
                    break
                taken.append(item)
            self._queue.popleft()
        return sorted(taken, key=lambda item: item.topk)

    async def _answer(self, group: list[_Waiting], topk: int) -> None:
        try:
            results = await self._engine([item.query for item in group], topk)
            if len(results) != len(group):
                raise SearchFailed(f"The engine gave {len(results)} answers to {len(group)} queries.")
        except Exception as error:
            if len(group) == 1 or isinstance(error, SearchFailed):
                _fail(group, error)
                return
            for item in group:
                await self._answer([item], topk)
            return
        for item, passages in zip(group, results, strict=True):
            if not item.answer.done():
                item.answer.set_result(passages)


def _fail(items: Iterable[_Waiting], error: Exception) -> None:
    for item in items:
        if not item.answer.done():
            item.answer.set_exception(error)
