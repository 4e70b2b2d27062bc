"""Ways of asking a question, all walked by the one meta-episode."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mrsearch.episode import EpisodeConfig
from mrsearch.errors import UserError


@dataclass(frozen=True, slots=True)
class Mode:
    """A way of asking.

    Attributes:
        changes: what it sets in the episode's configuration.
        searches: whether it needs a retriever.
        votes: whether each of the N attempts is a meta-episode of its own, sampled without sight of the others.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    searches: bool = True
    votes: bool = False

    def episode(self, config: EpisodeConfig) -> EpisodeConfig:
        """The configuration of one meta-episode."""
        return replace(config, **self.changes)

    def samples(self, config: EpisodeConfig, samples: int) -> int:
        """Meta-episodes per question, where `samples` of each are asked for."""
        return samples * config.attempts if self.votes else samples


MODES: dict[str, Mode] = {
    # Several attempts in one context, with reflection between them (MR-Search).
    "mr-search": Mode(),
    # One attempt (Search-R1).
    "single": Mode({"attempts": 1}),
    # Independent attempts, decided by majority vote.
    "independent": Mode({"attempts": 1}, votes=True),
    # The question itself is searched for once, before the model says anything.
    "naive-rag": Mode({"attempts": 1, "max_searches": 0, "prompts": "rag"}),
    # The model answers from what it knows.
    "no-search": Mode({"attempts": 1, "max_searches": 0, "prompts": "direct"}, searches=False),
}


def find_mode(name: str) -> Mode:
    """A mode by its name.

    Raises:
        UserError: there is none of this name.
    """
    if name not in MODES:
        raise UserError(f"There is no mode {name!r}; choose one of {', '.join(MODES)}.")
    return MODES[name]
