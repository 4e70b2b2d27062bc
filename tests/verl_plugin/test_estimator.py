"""The estimator verl calls gives every sampled token its attempt's credit."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from verl.trainer.ppo.core_algos import get_adv_estimator_fn

from mrsearch.verl_plugin import estimator
from mrsearch.verl_plugin.attempt_columns import ATTEMPTS as CONTEXT
from mrsearch.verl_plugin.attempt_columns import Attempts

ATTEMPTS = torch.tensor([[0, 0, -1, 1], [0, -1, 1, 1], [-1, -1, -1, -1]])
REWARDS = torch.tensor([[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])


def advantages(gamma: float, mask: torch.Tensor | None = None, name: str = "turn_rloo") -> np.ndarray:
    token = CONTEXT.set(Attempts(ATTEMPTS, 2, np.arange(3)))
    try:
        tokens, returns = get_adv_estimator_fn(name)(
            token_level_rewards=REWARDS,
            response_mask=(ATTEMPTS >= 0).long() if mask is None else mask,
            index=np.array(["q", "q", "q"], dtype=object),
            config=SimpleNamespace(gamma=gamma),
        )
    finally:
        CONTEXT.reset(token)
    assert torch.equal(tokens, returns)
    return tokens.numpy()


def test_earlier_attempt_is_credited_for_the_later_reward() -> None:
    # Row 0 scores 0 then 1, row 1 scores 1 then 0; row 2 sampled nothing and is nobody's peer.
    np.testing.assert_allclose(advantages(gamma=1.0), [[0, 0, 0, 1], [0, 0, -1, -1], [0, 0, 0, 0]])


def test_without_discounted_sum_only_the_own_reward_counts() -> None:
    np.testing.assert_allclose(advantages(gamma=0.0), [[-1, -1, 0, 1], [1, 0, -1, -1], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("name", "final", "first"),
    [("turn_grpo", 2**-0.5, 0.0), ("trajectory_rloo", 1.0, 1.0), ("trajectory_grpo", 2**-0.5, 2**-0.5)],
)
def test_every_estimator_is_registered(name: str, final: float, first: float) -> None:
    expected = [[first, first, 0, final], [-first, 0, -final, -final], [0, 0, 0, 0]]
    np.testing.assert_allclose(advantages(gamma=1.0, name=name), expected, atol=1e-5)


def test_mask_that_disagrees_with_the_attempts_is_refused() -> None:
    with pytest.raises(ValueError, match="disagree"):
        advantages(gamma=1.0, mask=torch.ones_like(ATTEMPTS))


def test_rewards_are_summed_over_an_attempts_tokens() -> None:
    sums = estimator.rewards_by_attempt(np.array([[0.25, 0.5, 9.0, 1.0]]), np.array([[0, 0, -1, 1]]), 3)
    np.testing.assert_allclose(sums, [[0.75, 1.0, 0.0]])
