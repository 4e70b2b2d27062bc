"""Figures of one training step, from the columns of its batch."""

from collections.abc import Mapping

import numpy as np
import torch

from mrsearch.credit import GroupStatistics
from mrsearch.episode import StopReason
from mrsearch.verl_plugin.attempt_columns import STOP_REASONS


def attempt_metrics(columns: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Rewards, searches, invalid turns and stop reasons by 1-based attempt, over the step's B meta-episodes.

    Raises:
        RuntimeError: every meta-episode of the step lost a search, so there is nothing to learn from.
    """
    rewards, reasons = (columns[name].numpy() for name in ("attempt_rewards", "stop_reasons"))
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
    figures["final/reward"] = float(rewards[~lost, -1].mean())
    figures["attempts/any_reward"] = float(rewards[~lost].max(axis=1).mean())
    for name in ("searches", "invalid_turns"):
        for n, count in enumerate(columns[name].numpy()[~lost].mean(axis=0), start=1):
            figures[f"attempt_{n}/{name}"] = float(count)
    figures["actions/invalid_rate"] = _invalid_rate(columns, reasons)
    for code, reason in enumerate(STOP_REASONS):
        figures[f"stop/{reason}"] = float((reasons == code).mean())
    return figures


def group_metrics(groups: GroupStatistics, dropped: int) -> dict[str, float]:
    """How many of a step's groups teach nothing, by the estimator's own rule, and how many the update leaves out."""
    return {
        "groups/n": float(groups.groups),
        "groups/without_peers": float(groups.without_peers),
        "groups/all_equal": float(groups.all_equal),
        "groups/dropped": float(dropped),
    }


def _invalid_rate(columns: Mapping[str, torch.Tensor], reasons: np.ndarray) -> float:
    """Share of invalid turns among all actions: searches, answers and invalid turns; 0 where there is no action."""
    invalid = float(columns["invalid_turns"].sum())
    answers = float((reasons == STOP_REASONS.index(StopReason.ANSWERED)).sum())
    actions = invalid + answers + float(columns["searches"].sum())
    return invalid / actions if actions else 0.0


def mismatch_metrics(columns: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """How far engine and trainer disagree about sampled tokens, by Δ = log-probability of trainer − of engine.

    |Δ|, mean and largest; KL(engine ‖ trainer), estimated as the mean of exp(Δ) − Δ − 1 (Schulman's k3); and the
    largest ratio of probabilities, exp(Δ), either way round. Nothing sampled, no disagreement.
    """
    sampled = columns["attempt_ids"] >= 0
    gap = (columns["old_log_probs"] - columns["rollout_log_probs"])[sampled].double()
    if not len(gap):
        gap = torch.zeros(1, dtype=torch.float64)
    return {
        "mismatch/logprob_abs_mean": gap.abs().mean().item(),
        "mismatch/logprob_abs_max": gap.abs().max().item(),
        "mismatch/kl": (gap.exp() - gap - 1).mean().item(),
        "mismatch/ratio_max": gap.abs().max().exp().item(),
    }
