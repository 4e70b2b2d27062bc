"""The service without HTTP: one index, and in front of it a batcher, a cache and metrics. Knows no engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from retriever.batcher import Batcher
from retriever.errors import Busy, NotReady
from retriever.indexes.base import Index
from retriever.limits import check_ids, check_size, check_topk, clean_queries
from retriever.service.cache import AnswerCache
from retriever.service.metrics import Metrics
from retriever.service.settings import ServiceSettings
from retriever.types import Document, Passage

PROBE_QUERY = "health"
PROBE_TIMEOUT_S = 30.0
"""A probe waits its turn behind the call under way, which on a large flat index takes long."""
CALL_PASSAGES = 4096
"""Passages that one engine call may ask for: about a second of BM25, so that probes are answered in between."""


class SearchService:
    """Answers the queries of many concurrent callers from one index. Belongs to one event loop.

    Args:
        open_index: opens the index; called by `load`, in another thread.
        settings: see `ServiceSettings`.
    """

    def __init__(self, open_index: Callable[[], Index], settings: ServiceSettings) -> None:
        self.settings = settings
        self._open_index = open_index
        self._index: Index | None = None
        self._cache = AnswerCache(settings.cache_passages)
        self._batcher = Batcher(
            self._answer,
            max_batch=settings.max_batch,
            max_passages=CALL_PASSAGES,
            max_waiting=settings.max_waiting,
        )
        self._probe: asyncio.Task[list[list[Passage]]] | None = None
        self._documents_waiting = 0
        self.metrics = Metrics(lambda: self._batcher.waiting, lambda: self._index is not None)

    @property
    def index(self) -> Index:
        """The loaded index.

        Raises:
            NotReady: it is still being loaded.
        """
        if self._index is None:
            raise NotReady("The index is being loaded; try again in a moment.")
        return self._index

    async def load(self) -> None:
        """Opens the index and asks it a first query.

        Raises:
            RetrieverError: the index cannot be opened or does not answer.
        """
        index = await asyncio.to_thread(self._open_index)
        await asyncio.wrap_future(index.submit([PROBE_QUERY], 1))
        self._index = index

    async def close(self) -> None:
        """Closes the index; queries under way fail."""
        await self._batcher.close()
        if self._index is not None:
            await asyncio.to_thread(self._index.close)
        self._index = None

    async def search(self, queries: Sequence[str], topk: int) -> list[list[Passage]]:
        """One ranked list per query, best first, in the order of the queries. The lists are not to be changed.

        Raises:
            BadRequest: the request lies outside `retriever.limits`.
            Busy: too many queries are waiting; none of these was taken.
            NotReady: the index is still being loaded.
            RetrieverError: the engine failed.
        """
        check_topk(topk)
        check_size(len(queries), topk)
        queries = clean_queries(queries)
        found = [self._cache.get(query, topk) for query in queries]
        unknown = [query for query, answer in zip(queries, found, strict=True) if answer is None]
        answers = iter(await self._batcher.search(unknown, topk))
        self.metrics.queries.inc(len(queries))
        self.metrics.cache_hits.inc(len(queries) - len(unknown))
        return [next(answers) if answer is None else answer for answer in found]

    async def documents(self, ids: Sequence[str]) -> list[Document | None]:
        """The passages with these ids, None for an id that the index does not hold.

        Raises:
            BadRequest: the ids lie outside `retriever.limits`.
            Busy: too many ids are waiting.
            NotReady: the index is still being loaded.
        """
        check_ids(ids)
        index = self.index
        if self._documents_waiting + len(ids) > self.settings.max_waiting:
            waiting, most = self._documents_waiting, self.settings.max_waiting
            raise Busy(f"{waiting} ids are waiting and at most {most} may; try later.")
        self._documents_waiting += len(ids)
        try:
            return await asyncio.to_thread(index.documents, ids)
        finally:
            self._documents_waiting -= len(ids)

    async def probe(self) -> None:
        """Returns once the index has answered a query, past cache and queue.

        Callers share the probe that is under way, so that however many they are, one is.

        Raises:
            NotReady: the index is still being loaded, failed, or did not answer in time.
        """
        index = self.index
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(_ask(index))
        try:
            await asyncio.shield(self._probe)
        except TimeoutError as error:
            raise NotReady(f"The index did not answer a probe query within {PROBE_TIMEOUT_S:g} s.") from error
        except Exception as error:
            raise NotReady(f"The index failed to answer a probe query: {error}") from error

    async def _answer(self, queries: list[str], topk: int) -> list[list[Passage]]:
        """One engine call: equal queries are asked once, those answered since they were queued not at all."""
        known = {query: answer for query in queries if (answer := self._cache.get(query, topk)) is not None}
        unknown = [query for query in dict.fromkeys(queries) if query not in known]
        if unknown:
            answering = self.index.submit(unknown, topk)
            self.metrics.batch_queries.observe(len(unknown))
            answers = await asyncio.wrap_future(answering)
            for query, answer in zip(unknown, answers, strict=True):
                self._cache.put(query, topk, answer)
                known[query] = answer
        self.metrics.cache_hits.inc(len(queries) - len(unknown))
        self.metrics.cache_misses.inc(len(unknown))
        return [known[query] for query in queries]


async def _ask(index: Index) -> list[list[Passage]]:
    async with asyncio.timeout(PROBE_TIMEOUT_S):
        return await asyncio.wrap_future(index.submit([PROBE_QUERY], 1))
