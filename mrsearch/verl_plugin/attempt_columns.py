"""What an agent loop tells the trainer about its attempts, as columns of verl's batch.

verl hands a registered estimator rewards, mask and group ids only. Every tensor that an output's `as_dict` returns
becomes a column in TransferQueue; the trainer fetches these and publishes them around the estimator's call.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np
import torch
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput

from mrsearch.episode import MetaEpisode, StopReason, Transcript

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
    """One training row of a meta-episode: T response tokens, N attempts, of which the row may hold some only.

    Attributes:
        attempt_ids: 0-based attempt of every response token, -1 where nobody sampled; length T.
        attempt_rewards: reward of each attempt; length N.
        shaped_rewards: what each attempt is trained on, where that is something else.
        stop_reasons: index into `STOP_REASONS` for each attempt; length N.
        searches, invalid_turns: counts for each attempt; length N.
    """

    attempt_ids: list[int]
    attempt_rewards: list[float]
    stop_reasons: list[int]
    searches: list[int]
    invalid_turns: list[int]
    shaped_rewards: list[float] | None = None

    def as_dict(self) -> dict[str, Any]:
        row: dict[str, Any] = super().as_dict()
        for name in COLUMNS:
            kind = torch.float32 if name == "attempt_rewards" else torch.int64
            row[name] = torch.tensor(row[name], dtype=kind)
        trained_on = row.pop("shaped_rewards", None) or self.attempt_rewards
        row["rm_scores"] = rewards_on_last_tokens(self.attempt_ids, trained_on)
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


def training_rows(episode: MetaEpisode, rewards: Sequence[float], pad_id: int) -> list[dict[str, Any]]:
    """The fields of a `MetaEpisodeOutput` that follow from the meta-episode, for each of its rows.

    Every sequence in which something was sampled is a row, so a full context gives one: its prompt is the sequence's
    first segment, its response all the rest, bit for bit. The columns of attempts tell of the whole meta-episode and
    are the same in all rows; each attempt's tokens are in one row. A meta-episode whose search failed keeps its
    tokens and loses its mask, so nothing of it reaches a loss or a statistic. There is always a row.
    """
    sequences = episode.transcript.sequences()
    sampled = [sequence for sequence in sequences if any(segment.trained for segment in sequence.segments)]
    shared = {
        "attempt_rewards": list(rewards),
        "stop_reasons": [STOP_REASONS.index(attempt.stop_reason) for attempt in episode.attempts],
        "searches": [len(attempt.queries) for attempt in episode.attempts],
        "invalid_turns": [attempt.invalid_turns for attempt in episode.attempts],
        "reward_score": float(sum(rewards)),
    }
    return [
        shared | _tokens(sequence, pad_id, kept=not episode.search_failed) | _costs(episode, sequence)
        for sequence in sampled or sequences[:1]
    ]


def _tokens(sequence: Transcript, pad_id: int, *, kept: bool) -> dict[str, Any]:
    prompt, *rest = sequence.segments
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
    }


def _costs(episode: MetaEpisode, sequence: Transcript) -> dict[str, Any]:
    """Turns and seconds of the attempts that a sequence holds; the first prompt belongs to the first attempt."""
    numbers = {max(1, segment.attempt) for segment in sequence.segments}
    attempts = [attempt for attempt in episode.attempts if attempt.number in numbers]
    return {
        "num_turns": sum(len(attempt.turns) for attempt in attempts),
        "metrics": AgentLoopMetrics(
            generate_sequences=sum(attempt.model_seconds for attempt in attempts),
            tool_calls=sum(attempt.search_seconds for attempt in attempts),
        ),
    }
