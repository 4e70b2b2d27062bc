"""Remembers the answers to recent queries."""

from __future__ import annotations

from collections import OrderedDict

from retriever.types import Passage


class AnswerCache:
    """A least-recently-used cache of ranked lists by query and topk.

    What bounds it is memory, and that goes with passages: an answer takes as many places as it has passages, and
    one more.

    Args:
        places: how many places there are; 0 keeps nothing.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._taken = 0
        self._answers: OrderedDict[tuple[str, int], list[Passage]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, query: str, topk: int) -> list[Passage] | None:
        """The answer, if it is still known."""
        key = (query, topk)
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        return answer

    def put(self, query: str, topk: int, answer: list[Passage]) -> None:
        """Keeps an answer, and forgets those not asked for the longest."""
        key = (query, topk)
        if key in self._answers or len(answer) >= self._places:
            return
        self._answers[key] = answer
        self._taken += 1 + len(answer)
        while self._taken > self._places:
            _, oldest = self._answers.popitem(last=False)
            self._taken -= 1 + len(oldest)
