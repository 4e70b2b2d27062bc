"""Figures of a training step."""

import numpy as np
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


GROUPS = np.array(["q", "q", "r"], dtype=object)


def test_figures_leave_out_padding_and_lost_searches() -> None:
    figures = attempt_metrics(
        columns([[ANSWERED, ANSWERED], [ANSWERED, ANSWERED], [ANSWERED, LOST]]), GROUPS, np.array([True, True, True])
    )
    assert figures["episodes/n"] == 3
    assert figures["episodes/search_failed"] == pytest.approx(1 / 3)
    assert (figures["attempt_1/reward"], figures["attempt_2/reward"]) == (0.5, 1.0)
    assert figures["attempts/any_reward"] == 1.0
    assert (figures["attempt_1/searches"], figures["attempt_2/searches"]) == (1.0, 1.0)
    assert figures["stop/search_failed"] == pytest.approx(1 / 6)
    padded = attempt_metrics(columns([[ANSWERED] * 2] * 3), GROUPS, np.array([True, True, False]))
    assert (padded["episodes/n"], padded["groups/n"]) == (2, 1)


def test_a_step_without_any_search_stops_the_run() -> None:
    with pytest.raises(RuntimeError, match="is the retriever up"):
        attempt_metrics(columns([[LOST, LOST]] * 3), GROUPS, np.array([True, True, True]))


def test_mismatch_counts_sampled_tokens_only() -> None:
    figures = mismatch_metrics(
        {
            "attempt_ids": torch.tensor([[0, -1, 1]]),
            "old_log_probs": torch.tensor([[-1.0, -5.0, -2.0]]),
            "rollout_log_probs": torch.tensor([[-1.5, 0.0, -2.25]]),
        }
    )
    assert figures == {"mismatch/logprob_abs_mean": 0.375, "mismatch/logprob_abs_max": 0.5}
