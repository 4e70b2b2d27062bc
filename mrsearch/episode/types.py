"""The two protocols that hold the system together: who samples, and who searches."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from mrsearch.episode.actions import RESERVED_TAGS


class Passage(Protocol):
    """One retrieved passage, best first in a ranking."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def score(self) -> float: ...


class Searcher(Protocol):
    """Queries in, one ranked list of at most `topk` passages per query out.

    Whatever it raises counts as a failed search: retries belong inside the searcher.
    """

    async def search(self, queries: Sequence[str], topk: int) -> Sequence[Sequence[Passage]]: ...


@dataclass(frozen=True, slots=True)
class Sampled:
    """One uninterrupted stretch of sampled tokens.

    Attributes:
        token_ids: the ids exactly as sampled, a stop string's or end-of-sequence token included.
        logprobs: natural-log probability of each id under the sampling distribution, same length; None where the
            policy does not tell, which only evaluation allows.
        finish: why the engine stopped. Only "aborted" and "overflow" (the model takes no context so long) change what
            happens next.
    """

    token_ids: Sequence[int]
    logprobs: Sequence[float] | None
    finish: Literal["stop", "length", "aborted", "overflow"] = "stop"

    def __post_init__(self) -> None:
        if self.logprobs is not None and len(self.token_ids) != len(self.logprobs):
            raise ValueError(f"{len(self.token_ids)} sampled ids came with {len(self.logprobs)} log-probabilities")


class ChatLike(Protocol):
    """Renders what the environment says as tokens, and reads sampled ones; `Chat` says what each member does."""

    @property
    def closing_ids(self) -> frozenset[int]: ...
    def require_tools(self) -> None: ...
    def first_prompt(self, system: str | None, user: str, *, tools: bool = False) -> list[int]: ...
    def user_message(self, content_ids: Sequence[int], *, closed: bool) -> list[int]: ...
    def tool_message(self, content_ids: Sequence[int], *, closed: bool) -> list[int]: ...
    def encode(self, text: str) -> list[int]: ...
    def decode(self, ids: Sequence[int]) -> str: ...
    def neutralise(self, text: str, reserved: tuple[str, ...] = RESERVED_TAGS) -> str: ...
    def neutralise_markers(self, text: str) -> str: ...


class Policy(Protocol):
    """Token ids in, sampled token ids with log-probabilities and a stop reason out."""

    async def sample(self, prompt_ids: Sequence[int], *, max_tokens: int, stop: Sequence[str]) -> Sampled:
        """Continues `prompt_ids` by at most `max_tokens` tokens, up to and including the first `stop` string."""
        ...


class StopReason(StrEnum):
    """Why an attempt ended."""

    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    INVALID = "invalid"
    SEARCH_FAILED = "search_failed"
    ATTEMPT_BUDGET = "attempt_budget"
    CONTEXT_OVERFLOW = "context_overflow"
    ABORTED = "aborted"
