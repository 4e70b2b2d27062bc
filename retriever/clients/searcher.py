"""What all searchers share: coalescing of concurrent callers, a deadline, repeated tries and a circuit breaker."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

from retriever.batcher import Batcher
from retriever.clients.breaker import Breaker
from retriever.clients.patience import Patience
from retriever.errors import BadRequest, CircuitOpen, DeadlineExceeded, RetrieverError, SearchFailed
from retriever.limits import MAX_TOPK, check_topk, clean_queries
from retriever.types import Passage

_RETRIES_OF_A_SUSPECT = 3
_NO_TROUBLE = "no try of it has ended"


class Unavailable(Exception):
    """A try failed for a reason that may pass; its text is the cause.

    Attributes:
        retry_after_s: seconds that the target asks to wait.
        suspect: whether a query, rather than the target, may be at fault.
    """

    def __init__(self, cause: str, *, retry_after_s: float = 0.0, suspect: bool = False) -> None:
        super().__init__(cause)
        self.retry_after_s = retry_after_s
        self.suspect = suspect


class Searcher(ABC):
    """Answers queries, with the patience it was given.

    The queries of concurrent callers travel together. Each caller still has a deadline of its own, counted from its
    call: a batch is repeated for as long as the youngest of its callers may wait, and who may wait no longer, or is
    cancelled, leaves without harm to the others. Where a query may be the reason why its batch failed, each query is
    tried alone, so that only the one at fault is lost.

    A searcher serves one event loop at a time: it may be used in one `asyncio.run` after another, but threads need
    `SyncSearcher`, and a process that was forked needs a searcher of its own.

    Args:
        target: how errors name what is searched.
        patience: deadline, tries, bounds.
        max_batch: the most queries that travel together.
        max_topk: the most passages that the target gives for a query.
    """

    def __init__(self, target: str, patience: Patience, *, max_batch: int = 512, max_topk: int = MAX_TOPK) -> None:
        self._target = target
        self._patience = patience
        self._max_topk = max_topk
        self._breaker = Breaker(patience.breaker_failures, patience.deadline_s, patience.breaker_open_s)
        self._batcher = Batcher(
            self._answer, max_batch=max_batch, max_waiting=patience.max_waiting, in_flight=patience.in_flight
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._trouble = _NO_TROUBLE

    async def search(self, queries: Sequence[str], topk: int) -> list[list[Passage]]:
        """One ranked list per query, best first, in the order of the queries.

        Queries are cut to their first 4,096 characters.

        Raises:
            BadRequest: a query is not a string, `topk` is not from 1 to what the target gives, or the target refused.
            Busy: too many queries are waiting in this process.
            DeadlineExceeded: there was no answer in time.
            CircuitOpen: the target has been out for long and is not asked now.
            Unauthorised: the target does not accept the token or key.
            SearchFailed: the target failed otherwise; the three above are kinds of it.
            RetrieverError: an index, in this process or behind the handle, failed on a query.
        """
        check_topk(topk)
        if topk > self._max_topk:
            raise BadRequest(f"{self._target} gives at most {self._max_topk} passages for a query, found topk {topk}.")
        cleaned = clean_queries(queries)
        self._claim_loop()
        try:
            async with asyncio.timeout(self._patience.deadline_s):
                return await self._batcher.search(cleaned, topk)
        except TimeoutError:
            raise self._deadline_exceeded() from None

    async def close(self) -> None:
        """Gives back what the searcher holds; queries under way fail with `SearchFailed`."""
        await self._batcher.close()

    @abstractmethod
    async def _try(self, queries: list[str], topk: int) -> list[list[Passage]]:
        """Asks the target once; raises `Unavailable` where asking again may help."""

    def _claim_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop and self._loop is not None and self._loop.is_running():
            raise BadRequest("A searcher serves one event loop at a time; open one for each loop, or use SyncSearcher.")
        self._loop = loop

    async def _answer(self, queries: list[str], topk: int) -> list[list[Passage]]:
        """One batch, tried until it is answered, no caller may wait any longer, or trying again is of no use."""
        now = asyncio.get_running_loop().time
        # All callers of this batch called before now, so none of their deadlines is later than this.
        end = now() + self._patience.deadline_s
        failures: list[Unavailable] = []
        while (left := end - now()) > 0:
            try:
                return await self._guarded_try(queries, topk, min(left, self._patience.try_timeout_s))
            except Unavailable as failure:
                failures.append(failure)
            wait = self._wait_after(failures, len(queries))
            if wait >= end - now():
                break
            await asyncio.sleep(wait)
        raise self._deadline_exceeded()

    async def _guarded_try(self, queries: list[str], topk: int, timeout_s: float) -> list[list[Passage]]:
        """One try, if the breaker admits it, and what it tells about the target."""
        ticket = self._breaker.admit()
        if ticket is None:
            again = f"it is asked again in {self._breaker.retry_in_s():.1f} s"
            raise CircuitOpen(f"{self._target} has not answered for long ({self._trouble}); {again}.")
        verdict = self._breaker.abandoned
        try:
            answers = await self._timed_try(queries, topk, timeout_s)
            verdict, self._trouble = self._breaker.succeeded, _NO_TROUBLE
            return answers
        except Unavailable as failure:
            verdict, self._trouble = self._breaker.failed, str(failure)
            raise
        except RetrieverError:
            verdict = self._breaker.succeeded  # A refusal, too, is an answer.
            raise
        finally:
            verdict(ticket)

    async def _timed_try(self, queries: list[str], topk: int, timeout_s: float) -> list[list[Passage]]:
        try:
            async with asyncio.timeout(timeout_s):
                answers = await self._try(queries, topk)
        except TimeoutError:
            raise Unavailable(f"a try took more than {timeout_s:g} s") from None
        if len(answers) != len(queries):
            raise SearchFailed(f"{self._target} gave {len(answers)} answers to {len(queries)} queries.")
        return answers

    def _wait_after(self, failures: list[Unavailable], queries: int) -> float:
        """Seconds to wait before the next try of a batch; raises where there is to be none."""
        last, tries = failures[-1], len(failures)
        if last.suspect and queries > 1:
            raise last  # The batcher then has each query tried alone.
        # The other queries of its batch wait for a suspect, so it gets few tries.
        suspect = sum(failure.suspect for failure in failures) > _RETRIES_OF_A_SUSPECT
        if suspect or (self._patience.retries is not None and tries > self._patience.retries):
            raise SearchFailed(f"{self._target} did not answer in {tries} tries: {last}.") from last
        return last.retry_after_s + self._patience.backoff(tries)

    def _deadline_exceeded(self) -> DeadlineExceeded:
        deadline = f"{self._patience.deadline_s:g} s"
        return DeadlineExceeded(f"{self._target} gave no answer within the deadline of {deadline}: {self._trouble}.")


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
