"""Turn-level leave-one-out credit as a verl advantage estimator."""

from typing import Any

import numpy as np
import torch
from verl.trainer.ppo.core_algos import register_adv_est

from mrsearch.credit import spread, turn_rloo
from mrsearch.verl_plugin.attempt_columns import ATTEMPT_IDS


@register_adv_est("turn_rloo")  # type: ignore[untyped-decorator]
def turn_rloo_estimator(
    token_level_rewards: torch.Tensor, response_mask: torch.Tensor, index: np.ndarray, config: Any, **_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Advantages and returns, both float32 [B, T]; see `mrsearch.credit.turn_rloo` for the formula.

    Args:
        token_level_rewards: rewards at the tokens, [B, T]; an attempt's reward is the sum over its tokens.
        response_mask: 1 where the policy sampled, [B, T].
        index: group of each row, [B].
        config: verl's algorithm configuration; `gamma` discounts later attempts.

    Raises:
        ValueError: the mask and the attempts disagree about what was sampled.
    """
    attempt_ids = ATTEMPT_IDS.get().numpy()
    if not np.array_equal(attempt_ids >= 0, response_mask.numpy() > 0):
        raise ValueError("response mask and attempt ids disagree about which tokens were sampled")
    rewards = rewards_by_attempt(token_level_rewards.numpy(), attempt_ids)
    advantages = turn_rloo(rewards, index, (attempt_ids >= 0).any(axis=1), gamma=config.gamma)
    tokens = torch.from_numpy(spread(advantages, attempt_ids))
    return tokens, tokens


def rewards_by_attempt(token_rewards: np.ndarray, attempt_ids: np.ndarray) -> np.ndarray:
    """Sums token rewards [B, T] over each attempt's tokens: float64 [B, N], N the number of attempts seen.

    An attempt without tokens has reward 0.
    """
    rows, attempts = len(attempt_ids), int(attempt_ids.max(initial=0)) + 1
    cells = np.arange(rows)[:, None] * (attempts + 1) + attempt_ids + 1
    sums = np.bincount(cells.ravel(), weights=token_rewards.ravel(), minlength=rows * (attempts + 1))
    return sums.reshape(rows, attempts + 1)[:, 1:]
