"""How long and how often a searcher asks before a search has failed."""

from __future__ import annotations

import random
from dataclasses import dataclass

from retriever.errors import BadRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """The limits that a searcher keeps.

    The circuit breaker opens only when tries have failed for a whole `deadline_s` without a success between them, so
    that a shorter outage, such as a restart, loses no search.

    Attributes:
        deadline_s: seconds that one search may take in all: waiting for its turn, every try and the waits between.
        try_timeout_s: seconds that one try may take.
        retries: further tries after the first; None for as many as the deadline allows.
        backoff_s: longest wait before the first further try, in seconds; doubled for each one after it.
        max_backoff_s: where the doubling ends.
        in_flight: batches under way at once.
        max_waiting: queries that may wait for their turn.
        breaker_failures: failed tries in a row before the circuit may open.
        breaker_open_s: seconds for which an open circuit refuses before it lets one try through.
    """

    deadline_s: float = 60.0
    try_timeout_s: float = 20.0
    retries: int | None = None
    backoff_s: float = 0.2
    max_backoff_s: float = 5.0
    in_flight: int = 4
    max_waiting: int = 16384
    breaker_failures: int = 5
    breaker_open_s: float = 10.0

    def __post_init__(self) -> None:
        for name in ("deadline_s", "try_timeout_s"):
            if not getattr(self, name) > 0:
                raise BadRequest(f"{name} must be more than 0 seconds, found {getattr(self, name)!r}.")
        for name in ("in_flight", "max_waiting", "breaker_failures"):
            if getattr(self, name) < 1:
                raise BadRequest(f"{name} must be at least 1, found {getattr(self, name)!r}.")
        for name in ("retries", "backoff_s", "max_backoff_s", "breaker_open_s"):
            if (getattr(self, name) or 0) < 0:
                raise BadRequest(f"{name} must be at least 0, found {getattr(self, name)!r}.")

    def backoff(self, tries: int) -> float:
        """A random wait in seconds after so many failed tries.

        Anything from 0 to the bound is equally likely ("full jitter", Brooker, "Exponential Backoff And Jitter", AWS
        Architecture Blog, 2015), so that clients that failed together do not return together.
        """
        return random.uniform(0, min(self.max_backoff_s, self.backoff_s * 2 ** min(tries - 1, 20)))
