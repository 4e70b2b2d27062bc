"""The settings of a meta-episode."""

from dataclasses import dataclass, replace
from typing import Literal

from mrsearch.episode.prompts import PROMPTS, Prompts
from mrsearch.episode.reflection_prompts import check_reflection_prompt, reflection_words
from mrsearch.episode.tool_prompts import TOOL_PROMPTS
from mrsearch.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeConfig:
    """Settings of a meta-episode; all token counts are counts of the policy's own tokens.

    Attributes:
        attempts: attempts at one question (N).
        max_searches: searches allowed in one attempt (S).
        topk: passages asked for in one search.
        max_invalid: invalid turns forgiven in one attempt; one more ends it.
        final_turn: after the last search, grant one more turn in which only an answer counts (Search-R1).
            False ends the attempt on the passages (MR-Search's authors).
        level: "attempt" gives each attempt up to S searches and one answer. "step" demands an answer after every
            search (the paper's step level): each of the N·S steps is an entry of its own in the record, with its own
            answer, reward and credit, and what is said here of one attempt holds for one step. The estimator that
            belongs to it is `step_rloo`.
        context: "full" keeps everything in one growing context. "short" starts every attempt after the first from a
            fresh prompt that keeps of the earlier attempts their reflections and answers only.
        protocol: "tags" is Search-R1's, `<search>` and `<information>`; "hermes" is that of Qwen's tool calls,
            `<tool_call>` and the chat template's own tool messages.
        reflection: "implicit" leaves the reflection to the first turn of the next attempt (as published);
            "explicit" gives it a turn of its own that ends with `</reflection>`.
        reflection_prompt: what asks for the reflection: None for the words of `prompts`, a name in
            `reflection_prompts.REFLECTION_PROMPTS`, or "text:" and words of your own.
        turn_tokens: most tokens sampled in one turn.
        observation_tokens: most tokens of passage text in one observation.
        attempt_tokens: most tokens of one attempt, its prompt aside; None for no limit of its own.
        context_tokens: most tokens of one context, its prompt included.
        prompts: name of the words the environment uses, a key of `prompts.PROMPTS`.
    """

    attempts: int = 3
    max_searches: int = 3
    topk: int = 3
    max_invalid: int = 1
    final_turn: bool = True
    level: Literal["attempt", "step"] = "attempt"
    context: Literal["full", "short"] = "full"
    protocol: Literal["tags", "hermes"] = "tags"
    reflection: Literal["implicit", "explicit"] = "implicit"
    reflection_prompt: str | None = None
    turn_tokens: int = 1024
    observation_tokens: int = 1024
    attempt_tokens: int | None = None
    context_tokens: int = 8192
    prompts: str = "base"

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UserError(f"episode.{name} is {value!r}; it must be a whole number of at least {least}.")
        tokens = self.attempt_tokens
        if tokens is not None and (not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 1):
            raise UserError(f"episode.attempt_tokens is {tokens!r}; it must be a whole number of at least 1, or null.")
        if not isinstance(self.final_turn, bool):
            raise UserError(f"episode.final_turn is {self.final_turn!r}; it must be true or false.")
        for name, (one, other) in _EITHER.items():
            if getattr(self, name) not in (one, other):
                raise UserError(f"episode.{name} is {getattr(self, name)!r}; it must be {one!r} or {other!r}.")
        if not isinstance(self.prompts, str) or self.prompts not in PROMPTS:
            raise UserError(f"episode.prompts is {self.prompts!r}; it must be one of {', '.join(PROMPTS)}.")
        check_reflection_prompt(self.reflection_prompt)
        if self.level == "step" and not self.final_turn:
            raise UserError(
                "episode.level is 'step', which demands an answer after every search; set episode.final_turn to true."
            )

    @property
    def steps(self) -> int:
        """Entries of the record that one attempt makes: its steps, or 1."""
        return max(1, self.max_searches) if self.level == "step" else 1

    @property
    def searches_before_answer(self) -> int:
        """Searches after which an answer is due."""
        return min(1, self.max_searches) if self.level == "step" else self.max_searches

    @property
    def words(self) -> Prompts:
        """What the environment says under these settings."""
        words = (TOOL_PROMPTS if self.protocol == "hermes" else PROMPTS)[self.prompts]
        if self.level == "step":
            words = replace(words, answer_due=words.step_answer_due)
        if self.reflection_prompt is not None:
            words = replace(words, reflection=reflection_words(self.reflection_prompt, words.restated))
        return words


_LEAST = {
    "attempts": 1,
    "max_searches": 0,
    "topk": 1,
    "max_invalid": 0,
    "turn_tokens": 1,
    "observation_tokens": 1,
    "context_tokens": 1,
}

_EITHER = {
    "level": ("attempt", "step"),
    "context": ("full", "short"),
    "protocol": ("tags", "hermes"),
    "reflection": ("implicit", "explicit"),
}
