"""Figures of a training step."""

import math

import pytest
import torch

from mrsearch.episode import StopReason
from mrsearch.verl_plugin.attempt_columns import STOP_REASONS
from mrsearch.verl_plugin.step_metrics import attempt_metrics, mismatch_metrics

ANSWERED, LOST = STOP_REASONS.index(StopReason.ANSWERED), STOP_REASONS.index(StopReason.SEARCH_FAILED)


def columns(stop_reasons: list[list[int]]) -> dict[str, torch.Tensor]:
    return {
        "attempt_rewards": torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]]),
        "stop_reasons": torch.tensor(stop_reasons),
        "searches": torch.tensor([[1, 2], [1, 0], [3, 3]]),
        "invalid_turns": torch.tensor([[0, 0], [1, 0], [0, 0]]),
    }


def test_figures_leave_out_lost_searches() -> None:
    figures = attempt_metrics(columns([[ANSWERED, ANSWERED], [ANSWERED, ANSWERED], [ANSWERED, LOST]]))
    assert figures["episodes/n"] == 3
    assert figures["episodes/search_failed"] == pytest.approx(1 / 3)
    assert (figures["attempt_1/reward"], figures["attempt_2/reward"]) == (0.5, 1.0)
    assert figures["attempts/any_reward"] == 1.0
    assert (figures["attempt_1/searches"], figures["attempt_2/searches"]) == (1.0, 1.0)
    assert figures["stop/search_failed"] == pytest.approx(1 / 6)
    assert figures["final/reward"] == 1.0
    assert figures["actions/invalid_rate"] == pytest.approx(1 / (1 + 5 + 10))


def test_a_step_without_any_search_stops_the_run() -> None:
    with pytest.raises(RuntimeError, match="is the retriever up"):
        attempt_metrics(columns([[LOST, LOST]] * 3))


def test_mismatch_counts_sampled_tokens_only() -> None:
    figures = mismatch_metrics(
        {
            "attempt_ids": torch.tensor([[0, -1, 1]]),
            "old_log_probs": torch.tensor([[-1.0, -5.0, -2.0]]),
            "rollout_log_probs": torch.tensor([[-1.5, 0.0, -2.25]]),
        }
    )
    assert (figures["mismatch/logprob_abs_mean"], figures["mismatch/logprob_abs_max"]) == (0.375, 0.5)
    k3 = (math.exp(0.5) - 1.5 + math.exp(0.25) - 1.25) / 2
    assert figures["mismatch/kl"] == pytest.approx(k3)
    assert figures["mismatch/ratio_max"] == pytest.approx(math.exp(0.5))


def test_mismatch_of_nothing_sampled_is_none() -> None:
    nothing = {
        "attempt_ids": torch.tensor([[-1]]),
        "old_log_probs": torch.zeros(1, 1),
        "rollout_log_probs": torch.ones(1, 1),
    }
    assert set(mismatch_metrics(nothing).values()) == {0.0, 1.0}
