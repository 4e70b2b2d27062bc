"""Figures of one training step, from the columns of its batch."""

from collections.abc import Mapping

import numpy as np
import torch

from mrsearch.credit import group_statistics
from mrsearch.episode import StopReason
from mrsearch.verl_plugin.attempt_columns import STOP_REASONS


def attempt_metrics(columns: Mapping[str, torch.Tensor], group_B: np.ndarray, real_B: np.ndarray) -> dict[str, float]:
    """Rewards, searches, invalid turns and stop reasons by 1-based attempt, over the B rows that are no padding.

    Raises:
        RuntimeError: every meta-episode of the step lost a search, so there is nothing to learn from.
    """
    rewards, reasons = (columns[name].numpy()[real_B] for name in ("attempt_rewards", "stop_reasons"))
    failed = STOP_REASONS.index(StopReason.SEARCH_FAILED)
    lost = (reasons == failed).any(axis=1)
    if lost.all():
        raise RuntimeError("every meta-episode of this step lost a search: is the retriever up?")
    figures: dict[str, float] = {
        "episodes/n": float(len(rewards)),
        "episodes/search_failed": float(lost.mean()),
    }
    for n, reward in enumerate(rewards[~lost].mean(axis=0), start=1):
        figures[f"attempt_{n}/reward"] = float(reward)
    figures["attempts/any_reward"] = float(rewards[~lost].max(axis=1).mean())
    for name in ("searches", "invalid_turns"):
        for n, count in enumerate(columns[name].numpy()[real_B][~lost].mean(axis=0), start=1):
            figures[f"attempt_{n}/{name}"] = float(count)
    for code, reason in enumerate(STOP_REASONS):
        figures[f"stop/{reason}"] = float((reasons == code).mean())
    groups = group_statistics(rewards, group_B[real_B], ~lost)
    figures["groups/n"] = groups.groups
    figures["groups/without_peers"] = groups.without_peers
    figures["groups/all_equal"] = groups.all_equal
    return figures


def mismatch_metrics(columns: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """How far engine and trainer disagree about sampled tokens: |Δ log-probability|, mean and largest."""
    sampled = columns["attempt_ids"] >= 0
    gap = (columns["old_log_probs"] - columns["rollout_log_probs"]).abs()[sampled]
    return {"mismatch/logprob_abs_mean": gap.mean().item(), "mismatch/logprob_abs_max": gap.max().item()}
