"""What an agent loop tells the trainer about its attempts, as columns of verl's batch.

verl hands a registered estimator rewards, mask and group ids only. Every tensor that an output's `as_dict` returns
becomes a column in TransferQueue; the trainer fetches these and publishes them around the estimator's call.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np
import torch
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput

from mrsearch.episode import MetaEpisode, StopReason

STOP_REASONS = list(StopReason)


class Attempts(NamedTuple):
    """What an estimator has to know of a batch.

    Attributes:
        ids: 0-based attempt of every response token, -1 where nobody sampled, [batch, response].
        number: attempts of a meta-episode (N), those that could not start included.
        episodes: label of each row's meta-episode, [batch]; the rows of one share it.
    """

    ids: torch.Tensor
    number: int
    episodes: np.ndarray


ATTEMPTS: ContextVar[Attempts] = ContextVar("ATTEMPTS")
"""Set while the estimator runs."""

COLUMNS = ("attempt_ids", "attempt_rewards", "stop_reasons", "searches", "invalid_turns")


class MetaEpisodeOutput(AgentLoopOutput):  # type: ignore[misc]  # verl ships no types
    """One meta-episode as a training row: T response tokens, N attempts.

    Attributes:
        attempt_ids: 0-based attempt of every response token, -1 where nobody sampled; length T.
        attempt_rewards: reward of each attempt; length N.
        stop_reasons: index into `STOP_REASONS` for each attempt; length N.
        searches, invalid_turns: counts for each attempt; length N.
    """

    attempt_ids: list[int]
    attempt_rewards: list[float]
    stop_reasons: list[int]
    searches: list[int]
    invalid_turns: list[int]

    def as_dict(self) -> dict[str, Any]:
        row: dict[str, Any] = super().as_dict()
        for name in COLUMNS:
            kind = torch.float32 if name == "attempt_rewards" else torch.int64
            row[name] = torch.tensor(row[name], dtype=kind)
        row["rm_scores"] = rewards_on_last_tokens(self.attempt_ids, self.attempt_rewards)
        return row


def rewards_on_last_tokens(attempt_ids: Sequence[int], rewards: Sequence[float]) -> torch.Tensor:
    """Token-level rewards, float32 of length T: each attempt's reward on its last sampled token.

    >>> rewards_on_last_tokens([0, 0, -1, 1], [0.5, 1.0]).tolist()
    [0.0, 0.5, 0.0, 1.0]
    """
    scores = torch.zeros(len(attempt_ids), dtype=torch.float32)
    last = {attempt: place for place, attempt in enumerate(attempt_ids) if attempt >= 0}
    for attempt, place in last.items():
        scores[place] = rewards[attempt]
    return scores


def training_row(episode: MetaEpisode, rewards: Sequence[float], pad_id: int) -> dict[str, Any]:
    """The fields of a `MetaEpisodeOutput` that follow from the meta-episode: what was sampled, bit for bit.

    The prompt is the transcript's first segment, the response is all the rest. A meta-episode whose search
    failed keeps its tokens and loses its mask, so nothing of it reaches a loss or a statistic.
    """
    prompt, *rest = episode.transcript.segments
    kept = not episode.search_failed
    ids, mask, attempts, logprobs = [], [], [], []
    for segment in rest:
        n, trained = len(segment.ids), segment.trained and kept
        ids += segment.ids
        mask += [int(trained)] * n
        attempts += [segment.attempt - 1 if trained else -1] * n
        logprobs += segment.logprobs or [0.0] * n
    if not ids:  # verl needs a response; nobody sampled this token and nothing trains it
        ids, mask, attempts, logprobs = [pad_id], [0], [-1], [0.0]
    return {
        "prompt_ids": prompt.ids,
        "response_ids": ids,
        "response_mask": mask,
        "response_logprobs": logprobs,
        "attempt_ids": attempts,
        "attempt_rewards": list(rewards),
        "stop_reasons": [STOP_REASONS.index(attempt.stop_reason) for attempt in episode.attempts],
        "searches": [len(attempt.queries) for attempt in episode.attempts],
        "invalid_turns": [attempt.invalid_turns for attempt in episode.attempts],
        "reward_score": float(sum(rewards)),
    }
