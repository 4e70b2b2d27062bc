"""verl's own estimator with a critic, on rewards at the attempts' last tokens and rows with tokens nobody sampled."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from verl.trainer.ppo.core_algos import compute_gae_advantage_return

from mrsearch.verl_plugin.attempt_columns import rewards_on_last_tokens
from mrsearch.verl_plugin.checks import check
from mrsearch.verl_plugin.recipes import compose_recipe


def verls(
    rewards: np.ndarray, values: np.ndarray, mask: np.ndarray, gamma: float, lam: float
) -> tuple[np.ndarray, np.ndarray]:
    tensors = (torch.tensor(part, dtype=torch.float64) for part in (rewards, values, mask))
    advantages, returns = compute_gae_advantage_return(*tensors, gamma=gamma, lam=lam)
    return advantages.numpy(), returns.numpy()


def by_definition(
    rewards: np.ndarray, values: np.ndarray, mask: np.ndarray, gamma: float, lam: float
) -> tuple[np.ndarray, np.ndarray]:
    """Every row as if its sampled tokens stood side by side; NaN where nobody sampled."""
    advantages = np.full(mask.shape, np.nan)
    for row, row_mask in enumerate(mask):
        places = np.flatnonzero(row_mask)
        worth = [*values[row, places], 0.0]
        surprise = [rewards[row, place] + gamma * worth[j + 1] - worth[j] for j, place in enumerate(places)]
        for j, place in enumerate(places):
            advantages[row, place] = sum((gamma * lam) ** (k - j) * surprise[k] for k in range(j, len(places)))
    sampled = advantages[mask > 0]
    whitened = (advantages - sampled.mean()) / np.sqrt(sampled.var(ddof=1) + 1e-8)
    return whitened, advantages + values


@settings(deadline=None, database=None)
@given(
    seed=st.integers(0, 999),
    rows=st.integers(1, 4),
    length=st.integers(2, 12),
    gamma=st.floats(0, 1),
    lam=st.floats(0, 1),
)
def test_tokens_that_nobody_sampled_are_stepped_over(
    seed: int, rows: int, length: int, gamma: float, lam: float
) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, 2, (rows, length))
    mask[0, :2] = 1  # verl refuses a batch with fewer than two sampled tokens
    rewards, values = rng.random((rows, length)) * mask, rng.normal(size=(rows, length))
    sampled = mask > 0
    advantages, returns = verls(rewards, values, mask, gamma, lam)
    expected_advantages, expected_returns = by_definition(rewards, values, mask, gamma, lam)
    np.testing.assert_allclose(advantages[sampled], expected_advantages[sampled], atol=1e-6)
    np.testing.assert_allclose(returns[sampled], expected_returns[sampled], atol=1e-6)

    values[~sampled] = 1e3 * rng.normal(size=(~sampled).sum())
    elsewhere, _ = verls(rewards, values, mask, gamma, lam)
    np.testing.assert_allclose(elsewhere[sampled], advantages[sampled], atol=1e-6)


def test_a_later_attempts_reward_reaches_the_earlier_one() -> None:
    attempts = [0, 0, -1, -1, 1, 1, -1]
    rewards = rewards_on_last_tokens(attempts, [0.0, 1.0]).numpy()[None]
    mask = np.array([[attempt >= 0 for attempt in attempts]], dtype=float)
    values = np.array([[0.5, 0.25, 9.0, 9.0, 0.5, 0.75, 9.0]])
    _, returns = verls(rewards, values, mask, gamma=1.0, lam=1.0)
    assert returns[mask > 0].tolist() == [1.0, 1.0, 1.0, 1.0]
    # One step ahead only, the first attempt's last token looks at the second's first one.
    _, returns = verls(rewards, values, mask, gamma=1.0, lam=0.0)
    assert returns[mask > 0].tolist() == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_one_setting_switches_the_critic(platform: str) -> None:
    def composed(*overrides: str) -> object:
        settings = [f"platform={platform}", "mrsearch.run=run", "mrsearch.train_questions=questions.jsonl"]
        config = compose_recipe("quickstart", [*settings, *overrides])
        check(config)
        return config

    assert composed().critic.enable is False  # type: ignore[attr-defined]
    critic = composed("algorithm.adv_estimator=gae").critic  # type: ignore[attr-defined]
    assert critic.enable is True
    assert critic.model.path.endswith("quickstart/model")
