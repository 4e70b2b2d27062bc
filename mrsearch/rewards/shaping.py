"""What is trained on where it is more than the attempts' rewards: the shaping of MR-Search's authors, and of format."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from mrsearch.episode import MetaEpisode, StopReason
from mrsearch.errors import UserError
from mrsearch.rewards.text import normalise


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaping:
    """Weights of the terms that `shaped_rewards` adds up; by default it leaves the rewards as they are.

    Attributes:
        own: of an attempt's own reward (the authors' β).
        outcome: of the final attempt's reward, in every attempt (the authors' α).
        improvement: of an attempt's reward less that of the attempt before (the authors' g).
        repetition: of the share of answers that repeat another one, taken off the final attempt (the authors' λ).
        format: of ending with an answer and without an invalid turn.

    Raises:
        UserError: a weight is negative or not finite, or no reward is left.
    """

    own: float = 1.0
    outcome: float = 0.0
    improvement: float = 0.0
    repetition: float = 0.0
    format: float = 0.0

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise UserError(f"shaping.{name} is {value!r}; it must be a finite number of at least 0.")
        if self.own == self.outcome == 0:
            raise UserError("shaping.own and shaping.outcome are both 0; set one above 0, or no answer is rewarded.")

    @property
    def on(self) -> bool:
        """Whether shaped rewards can differ from the rewards."""
        return self != Shaping()


def shaped_rewards(rewards: Sequence[float], episode: MetaEpisode, shaping: Shaping) -> list[float]:
    """The rewards that are trained on, one for each attempt n = 1 .. N:

        own · (r[n] + improvement · (r[n] − r[n−1])) + outcome · r[N] + format · f[n]
            − repetition · (1 − distinct answers / N), in the final attempt

    The first attempt improves on nothing: r[0] = r[1]. f[n] is 1 for an attempt that ended answered and had no
    invalid turn, else 0. Answers are distinct if their normal forms are, and an attempt without an answer has none,
    so that saying nothing costs what repeating oneself does. An attempt in which nothing was sampled has no tokens
    to reward, and 0.

    Args:
        rewards: r[n], as `attempt_rewards` gives them.
        episode: the record they are of.
        shaping: the weights.

    Right, then wrong, then the same wrong answer again:

    >>> from mrsearch.episode import Attempt, Transcript
    >>> answers = ["Rome", "Bari", "bari."]
    >>> attempts = [Attempt(n, StopReason.ANSWERED, answer, tokens=9) for n, answer in enumerate(answers, start=1)]
    >>> episode, rewards = MetaEpisode("?", attempts, Transcript()), [1.0, 0.0, 0.0]
    >>> shaped_rewards(rewards, episode, Shaping())
    [1.0, 0.0, 0.0]
    >>> shaped_rewards(rewards, episode, Shaping(improvement=0.5))
    [1.0, -0.5, 0.0]
    >>> shaped_rewards(rewards, episode, Shaping(repetition=0.3))
    [1.0, 0.0, -0.1]
    >>> shaped_rewards(rewards[::-1], episode, Shaping(own=0.5, outcome=0.5, format=0.125))
    [0.625, 0.625, 1.125]
    """
    shaped = []
    for n, attempt in enumerate(episode.attempts):
        gain = rewards[n] - rewards[max(n - 1, 0)]
        well_formed = attempt.stop_reason is StopReason.ANSWERED and not attempt.invalid_turns
        value = shaping.own * (rewards[n] + shaping.improvement * gain) + shaping.outcome * rewards[-1]
        shaped.append(value + shaping.format * well_formed if attempt.tokens else 0.0)
    if shaped and episode.attempts[-1].tokens:
        shaped[-1] -= shaping.repetition * _repeated(episode)
    return shaped


def _repeated(episode: MetaEpisode) -> float:
    """Share of the attempts whose answer is missing or an earlier one."""
    distinct = {normalise(answer) for answer in episode.answers if answer is not None}
    return 1 - len(distinct) / len(episode.attempts)
