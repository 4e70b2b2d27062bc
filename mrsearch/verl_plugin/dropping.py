"""Which rows of a step's batch teach nothing, and need not be updated on."""

from typing import Any

import numpy as np
import torch

from mrsearch.credit import NEEDS_PEERS
from mrsearch.credit.groups import Groups, group_rewards
from mrsearch.verl_plugin.attempt_columns import Attempts
from mrsearch.verl_plugin.estimator import meta_episodes


def rows_that_teach(rewards_BT: torch.Tensor, attempts: Attempts, group_B: Groups, algorithm: Any) -> np.ndarray:
    """False for the rows of groups in which nobody has an advantage: without peers, or with equal rewards throughout.

    True for all rows where the advantages do not come from the group alone (an estimator that needs no peers, a KL
    term in the reward), and where no row would be left, for verl's step needs a batch.

    Args:
        rewards_BT: rewards at the tokens.
        attempts: of the rows.
        group_B: group of each row.
        algorithm: verl's algorithm configuration.
    """
    everyone = np.ones(len(rewards_BT), dtype=np.bool_)
    if algorithm.adv_estimator not in NEEDS_PEERS or algorithm.use_kl_in_reward:
        return everyone
    episodes = meta_episodes(rewards_BT.numpy(), attempts)
    grouped = group_rewards(episodes.rewards, np.asarray(group_B, dtype=object)[episodes.first], episodes.valid)
    differs_G = (grouped.size > 1) & (grouped.low != grouped.high).any(axis=1)
    teaches_B: np.ndarray = differs_G[grouped.code][episodes.of_row]
    return teaches_B if teaches_B.any() else everyone
