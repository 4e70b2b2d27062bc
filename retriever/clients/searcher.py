"""What all searchers share: coalescing of concurrent callers, bounded tries, repeated after a random wait."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence

from retriever.batcher import Batcher
from retriever.errors import SearchFailed
from retriever.limits import check_topk, clean_queries
from retriever.types import Passage


class UnavailableError(Exception):
    """A try failed for a reason that may pass; its text is the cause."""


class Searcher(ABC):
    """What the three searchers share.

    Args:
        target: how errors name this searcher's target.
        timeout_s: seconds that one try may take.
        retries: further tries after the first.
        in_flight: batches under way at once.
        backoff_s: mean seconds before the first further try; doubles each time.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout_s: float = 20.0,
        retries: int = 2,
        in_flight: int = 1,
        backoff_s: float = 0.2,
    ) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._retries = retries
        self._backoff_s = backoff_s
        self._batcher = Batcher(self._try_repeatedly, in_flight=in_flight)

    async def search(self, queries: Sequence[str], topk: int) -> list[list[Passage]]:
        """One ranked list per query, best first, in the order of the queries.

        Queries are cut to their first 4,096 characters.

        Raises:
            BadRequest: a query is not a string, or `topk` is not from 1 to 1,000.
            Busy: too many queries are waiting in this process.
            SearchFailed: the target did not answer within all tries.
        """
        check_topk(topk)
        return await self._batcher.search(clean_queries(queries), topk)

    async def close(self) -> None:
        """Gives back what the searcher holds; queries under way fail."""
        await self._batcher.close()

    @abstractmethod
    async def _try(self, queries: list[str], topk: int) -> list[list[Passage]]:
        """Asks the target once; raises `UnavailableError` where asking again may help."""

    async def _try_repeatedly(self, queries: list[str], topk: int) -> list[list[Passage]]:
        tries = self._retries + 1
        cause = ""
        for number in range(tries):
            if number:
                await asyncio.sleep(self._backoff_s * 2 ** (number - 1) * random.uniform(0.5, 1.5))
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._try(queries, topk)
            except TimeoutError:
                cause = f"no answer within {self._timeout_s:g} s"
            except UnavailableError as error:
                cause = str(error)
        raise SearchFailed(f"{self._target} did not answer in {tries} tries: {cause}.")


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
