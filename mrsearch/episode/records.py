"""The record of a meta-episode: a token-level transcript and one entry per attempt, as JSON lines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from mrsearch.episode.types import StopReason


class Maker(StrEnum):
    """Who made a token."""

    PROMPT = "prompt"
    POLICY = "policy"
    OBSERVATION = "observation"
    REFLECTION_PROMPT = "reflection_prompt"
    STEP_PROMPT = "step_prompt"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of tokens made in one go.

    Attributes:
        maker: who made them.
        attempt: 1-based attempt they belong to; 0 for the first prompt. Any later prompt belongs to the attempt that
            it opens.
        turn: 1-based turn of the attempt that sampled them or that they answer; 0 for prompts.
        ids: the token ids.
        trained: whether the policy is trained on them, which is: whether it sampled them.
        logprobs: sampling log-probability of each token; None for tokens nobody sampled, and where the
            policy does not tell.
    """

    maker: Maker
    attempt: int
    turn: int
    ids: list[int]
    trained: bool
    logprobs: list[float] | None = None


@dataclass(slots=True)
class Transcript:
    """All tokens of a meta-episode, in order; it grows by appending segments and in no other way.

    A segment of `Maker.PROMPT` begins a sequence: what the policy is asked to continue goes back to the last of them
    and no further. In a full context there is one; in a short one, attempts after the first begin their own.

    Kept as segments and seen as parallel arrays over the T tokens: `ids`, `makers`, `attempts`, `turns`,
    `trained` and `logprobs` (NaN where nobody sampled).
    """

    segments: list[Segment] = field(default_factory=list)

    def append(self, maker: Maker, attempt: int, turn: int, ids: Sequence[int]) -> None:
        """Appends tokens of the environment; nothing is appended for no tokens."""
        if ids:
            self.segments.append(Segment(maker, attempt, turn, list(ids), trained=False))

    def append_sampled(self, attempt: int, turn: int, ids: Sequence[int], logprobs: Sequence[float] | None) -> None:
        """Appends tokens the policy sampled, with their log-probabilities where it tells."""
        if ids:
            known = None if logprobs is None else list(logprobs)
            self.segments.append(Segment(Maker.POLICY, attempt, turn, list(ids), True, known))

    def sequences(self) -> list["Transcript"]:
        """The transcript cut where prompts begin; one after the other, the parts are the whole."""
        parts: list[Transcript] = []
        for segment in self.segments:
            if segment.maker is Maker.PROMPT:
                parts.append(Transcript())
            parts[-1].segments.append(segment)
        return parts

    def __len__(self) -> int:
        return sum(len(segment.ids) for segment in self.segments)

    @property
    def ids(self) -> list[int]:
        return [token for segment in self.segments for token in segment.ids]

    @property
    def makers(self) -> list[Maker]:
        return [segment.maker for segment in self.segments for _ in segment.ids]

    @property
    def attempts(self) -> list[int]:
        return [segment.attempt for segment in self.segments for _ in segment.ids]

    @property
    def turns(self) -> list[int]:
        return [segment.turn for segment in self.segments for _ in segment.ids]

    @property
    def trained(self) -> list[bool]:
        return [segment.trained for segment in self.segments for _ in segment.ids]

    @property
    def logprobs(self) -> list[float]:
        return [p for segment in self.segments for p in (segment.logprobs or [math.nan] * len(segment.ids))]


@dataclass(frozen=True, slots=True)
class ShownPassage:
    """A passage as the policy saw it: neutralised, and cut to its share of the observation's tokens."""

    id: str
    title: str
    text: str
    score: float


@dataclass(slots=True)
class Turn:
    """One turn: what the policy wrote and what it was shown.

    Attributes:
        kind: "search", "answer", "invalid" or "reflection".
        text: the sampled text, tags included.
        content: the query, the answer or the reflection.
        thinking: the text before the action.
        passages: what the search brought, best first.
        error: why the search failed, if it did.
    """

    kind: str
    text: str
    content: str
    thinking: str
    passages: list[ShownPassage] = field(default_factory=list)
    error: str | None = None


@dataclass(slots=True)
class Attempt:
    """One attempt, or at step level one step of an attempt.

    Attributes:
        number: 1-based.
        stop_reason: why it ended.
        answer: the answer as written, or None.
        turns: its turns, in order.
        tokens: tokens sampled in it.
        model_seconds, search_seconds: time spent waiting for the policy and for the searcher.
    """

    number: int
    stop_reason: StopReason
    answer: str | None = None
    turns: list[Turn] = field(default_factory=list)
    tokens: int = 0
    model_seconds: float = 0.0
    search_seconds: float = 0.0

    @property
    def queries(self) -> list[str]:
        return [turn.content for turn in self.turns if turn.kind == "search"]

    @property
    def passages(self) -> list[ShownPassage]:
        return [passage for turn in self.turns for passage in turn.passages]

    @property
    def reflection(self) -> str | None:
        """The explicit reflection that opened the attempt, or None."""
        return next((turn.content for turn in self.turns if turn.kind == "reflection"), None)

    @property
    def invalid_turns(self) -> int:
        return sum(turn.kind == "invalid" for turn in self.turns)


@dataclass(slots=True)
class MetaEpisode:
    """All attempts at one question."""

    question: str
    attempts: list[Attempt]
    transcript: Transcript

    @property
    def search_failed(self) -> bool:
        """Whether the infrastructure failed it: kept for the record, out of every update and score."""
        return any(attempt.stop_reason is StopReason.SEARCH_FAILED for attempt in self.attempts)

    @property
    def answers(self) -> list[str | None]:
        return [attempt.answer for attempt in self.attempts]

    def to_json(self) -> dict[str, Any]:
        """A value that `json.dumps` takes and `from_json` turns back into an equal meta-episode; lists are shared."""
        attempts = [
            _fields(attempt)
            | {"turns": [_fields(turn) | {"passages": [*map(_fields, turn.passages)]} for turn in attempt.turns]}
            for attempt in self.attempts
        ]
        transcript = {"segments": [*map(_fields, self.transcript.segments)]}
        return {"question": self.question, "attempts": attempts, "transcript": transcript}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(
            question=data["question"],
            attempts=[_attempt(item) for item in data["attempts"]],
            transcript=Transcript([_segment(item) for item in data["transcript"]["segments"]]),
        )


def _fields(value: Any) -> dict[str, Any]:
    """A dataclass as a dict, one level deep: `dataclasses.asdict` copies every token."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def _segment(data: dict[str, Any]) -> Segment:
    return Segment(**data | {"maker": Maker(data["maker"])})


def _attempt(data: dict[str, Any]) -> Attempt:
    return Attempt(
        **data | {"stop_reason": StopReason(data["stop_reason"]), "turns": [_turn(turn) for turn in data["turns"]]}
    )


def _turn(data: dict[str, Any]) -> Turn:
    return Turn(**data | {"passages": [ShownPassage(**passage) for passage in data["passages"]]})
