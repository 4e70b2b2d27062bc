"""Which rows of a step's batch teach nothing, and how those that are left are shared out over its updates."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mrsearch.credit import ESTIMATORS, NEEDS_PEERS, Grouped, group_rewards
from mrsearch.credit.groups import Groups
from mrsearch.verl_plugin.attempt_columns import Attempts
from mrsearch.verl_plugin.estimator import meta_episodes


def rows_that_teach(
    rewards_BT: torch.Tensor, attempts: Attempts, group_B: Groups, algorithm: Any
) -> tuple[np.ndarray, Grouped]:
    """False for the rows of groups in which nobody has an advantage: without peers, or of equals.

    Who is equal is the estimator's to say: one that reads the final attempt only finds no difference in earlier ones.
    True for all rows where the advantages do not come from the group alone (an estimator that needs no peers, a KL
    term in the reward), and where no row would be left, for verl's step needs a batch.

    Args:
        rewards_BT: rewards at the tokens.
        attempts: of the rows.
        group_B: group of each row.
        algorithm: verl's algorithm configuration.

    Returns:
        The rows, and the groups by what was compared in them: the meta-episodes' advantages, or, of an estimator that
        needs no peers, their rewards.
    """
    episodes = meta_episodes(rewards_BT.numpy(), attempts)
    groups, values = np.asarray(group_B, dtype=object)[episodes.first], episodes.rewards
    compares = algorithm.adv_estimator in NEEDS_PEERS
    if compares:
        estimate = ESTIMATORS[algorithm.adv_estimator]
        values = estimate(values, groups, episodes.valid, gamma=algorithm.gamma, tokens_BN=episodes.tokens)
    grouped = group_rewards(values, groups, episodes.valid)
    teaches_B: np.ndarray = grouped.differs[grouped.code][episodes.of_row]
    if not compares or algorithm.use_kl_in_reward or not teaches_B.any():
        teaches_B = np.ones(len(rewards_BT), dtype=np.bool_)
    return teaches_B, grouped


def padding_spread(padding_B: Sequence[bool], ranks: int, updates: int) -> list[int]:
    """An order of the rows in which every update of every rank has its share of the padding.

    verl 0.9.1 fills up a batch that has lost rows and leaves the padding at each rank's end, so that the last update
    of a step would be made on the few rows that are left over for it.

    Args:
        padding_B: whether a row is padding; the rows of a rank stand together, as many for each.
        ranks: processes that train.
        updates: of a step, each on the same number of consecutive rows of a rank.

    >>> padding_spread([False, False, False, False, True, True], ranks=1, updates=2)
    [0, 2, 4, 1, 3, 5]
    """
    each = len(padding_B) // ranks
    order: list[int] = []
    for rank in range(ranks):
        rows = sorted(range(rank * each, (rank + 1) * each), key=lambda row: padding_B[row])
        order += [row for update in range(updates) for row in rows[update::updates]]
    return order
