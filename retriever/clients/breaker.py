"""A circuit breaker: after a long outage a target is asked only now and then, until it answers again."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum


class State(StrEnum):
    """Of a circuit: every try may go, none may, or one may go to find out."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Closed until `failures` tries in a row have failed over at least `outage_s`, then open for `open_s` at a time.

    When an opening is over the circuit is half-open: one try goes as a probe. A success closes the circuit, the
    failure of the probe opens it again (Nygard, "Release It!", 2007, chapter 5).

    Args:
        failures: failed tries in a row that open the circuit.
        outage_s: seconds that must lie between the first and the last of them.
        open_s: seconds for which an open circuit refuses.
        clock: seconds that never go backwards.
    """

    def __init__(
        self, failures: int, outage_s: float, open_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._outage_s = outage_s
        self._open_s = open_s
        self._clock = clock
        self._failures = 0
        self._failing_since = 0.0
        self._opened_at: float | None = None
        self._tickets = 0
        self._probe: int | None = None

    @property
    def state(self) -> State:
        """What the circuit is now."""
        if self._opened_at is None:
            return State.CLOSED
        return State.OPEN if self.retry_in_s() > 0 else State.HALF_OPEN

    def retry_in_s(self) -> float:
        """Seconds until a try may go; 0 where one may go now or is under way as a probe."""
        if self._opened_at is None:
            return 0.0
        return max(0.0, self._opened_at + self._open_s - self._clock())

    def admit(self) -> int | None:
        """A ticket for one try, to be given back with what came of it; None where no try may go now."""
        if self.state is State.OPEN or self._probe is not None:
            return None
        self._tickets += 1
        if self.state is State.HALF_OPEN:
            self._probe = self._tickets
        return self._tickets

    def succeeded(self, ticket: int) -> None:
        """The target answered; even an answer to a try from before the outage closes the circuit."""
        self._failures, self._opened_at, self._probe = 0, None, None

    def failed(self, ticket: int) -> None:
        """The target did not answer."""
        now = self._clock()
        if not self._failures:
            self._failing_since = now
        self._failures += 1
        if ticket == self._probe:
            self._opened_at, self._probe = now, None
        elif self._opened_at is None and self._is_outage(now):
            self._opened_at = now

    def abandoned(self, ticket: int) -> None:
        """The try ended without showing whether the target answers."""
        if ticket == self._probe:
            self._probe = None

    def _is_outage(self, now: float) -> bool:
        return self._failures >= self._limit and now - self._failing_since >= self._outage_s
