"""The estimators of `mrsearch.credit` as verl's advantage estimators, by the names that `ESTIMATORS` has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from verl.trainer.ppo.core_algos import register_adv_est

from mrsearch.credit import ESTIMATORS, Estimator, spread
from mrsearch.verl_plugin.attempt_columns import ATTEMPTS, Attempts

TokenEstimator = Callable[..., tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True, slots=True)
class MetaEpisodes:
    """The E meta-episodes of B rows.

    Attributes:
        rewards: sum over each attempt's tokens, [E, N]; 0 for an attempt without tokens.
        tokens: number of tokens sampled in each attempt, [E, N].
        of_row: meta-episode of every row, [B].
        first: first row of every meta-episode, [E].
    """

    rewards: np.ndarray
    tokens: np.ndarray
    of_row: np.ndarray
    first: np.ndarray

    @property
    def valid(self) -> np.ndarray:
        """Whether anything was sampled, [E]: what was masked out teaches nothing and is nobody's peer."""
        return np.asarray(self.tokens.any(axis=1))


def _over_tokens(estimate: Estimator) -> TokenEstimator:
    def estimator(
        token_level_rewards: torch.Tensor, response_mask: torch.Tensor, index: np.ndarray, config: Any, **_: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Advantages and returns, both float32 [B, T].

        A meta-episode is estimated once, however many rows it has. Tokens that a rollout correction took out of the
        mask are out of the loss, but their attempt was made all the same.

        Args:
            token_level_rewards: rewards at the tokens, [B, T]; an attempt's reward is the sum over its tokens.
            response_mask: 1 where the policy sampled, [B, T].
            index: group of each row, [B].
            config: verl's algorithm configuration; `gamma` discounts later attempts.

        Raises:
            ValueError: the mask has tokens that nobody sampled, or the rows of a meta-episode are in two groups.
        """
        attempts = ATTEMPTS.get()
        attempt_ids = attempts.ids.numpy()
        if ((attempt_ids < 0) & (response_mask.numpy() > 0)).any():
            raise ValueError("response mask and attempt ids disagree about which tokens were sampled")
        episodes = meta_episodes(token_level_rewards.numpy(), attempts)
        groups = index[episodes.first]
        if (groups[episodes.of_row] != index).any():
            raise ValueError("the rows of a meta-episode are in different groups")
        advantages = estimate(episodes.rewards, groups, episodes.valid, gamma=config.gamma, tokens_BN=episodes.tokens)
        tokens = torch.from_numpy(spread(advantages[episodes.of_row], attempt_ids))
        return tokens, tokens

    return estimator


for _name, _estimate in ESTIMATORS.items():
    register_adv_est(_name)(_over_tokens(_estimate))


def meta_episodes(token_rewards: np.ndarray, attempts: Attempts) -> MetaEpisodes:
    """Brings the rows of each meta-episode together, in the order of their labels.

    Args:
        token_rewards: rewards at the tokens, [B, T].
        attempts: of the rows.
    """
    ids = attempts.ids.numpy()
    _, first, of_row = np.unique(attempts.episodes, return_index=True, return_inverse=True)
    # One cell for every attempt of every meta-episode, and one before them for what nobody sampled.
    cells = (of_row[:, None] * (attempts.number + 1) + ids + 1).ravel()
    shape = (len(first), attempts.number + 1)
    rewards = np.bincount(cells, weights=token_rewards.ravel(), minlength=shape[0] * shape[1]).reshape(shape)
    tokens = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    return MetaEpisodes(rewards[:, 1:], tokens[:, 1:], of_row, first)
