"""Leave-one-out credit where every search is followed by an answer: MR-Search's step-level variant."""

import numpy as np
import numpy.typing as npt

from mrsearch.credit.estimator import sampled_tokens
from mrsearch.credit.groups import Groups, group_rewards
from mrsearch.credit.later import with_later
from mrsearch.credit.leave_one_out import turn_rloo


def step_rloo(
    rewards_BN: npt.ArrayLike,
    group_B: Groups,
    valid_B: npt.ArrayLike,
    gamma: float = 1.0,
    tokens_BN: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """`turn_rloo` over steps, of which a meta-episode may have reached some only.

        ã[i, n] = r[i, n] − mean over j ≠ i of r[j, n],   j among those that reached step n
        A[i, n] = Σ_{k ≥ n} gamma^(k − n) · ã[i, k],      k among the steps that i reached

    A column is a step here, one search and the answer after it, and reached if a token was sampled in it. A step that
    was not reached has no advantage and is nobody's peer, where `turn_rloo` counts it as a failed attempt. With every
    step reached, this is `turn_rloo` to the last bit. Arguments, the rule for groups without peers, and what is raised
    are those of `turn_rloo`; what stands in a step that was not reached is not read.

    Args:
        tokens_BN: tokens sampled in each step; None for every step reached.

    The third broke off after its first step, so the second step of the others is compared between the two of them:

    >>> rewards, tokens = [[0, 1], [0, 0], [1, 0]], [[9, 9], [9, 9], [9, 0]]
    >>> step_rloo(rewards, ["a"] * 3, [True] * 3, tokens_BN=tokens)
    array([[ 0.5,  1. ],
           [-1.5, -1. ],
           [ 1. ,  0. ]])
    """
    rewards_BN = np.asarray(rewards_BN, dtype=np.float64)
    batch, steps = rewards_BN.shape
    reached_BN = sampled_tokens(np.asarray(valid_B, dtype=np.bool_), steps, tokens_BN) > 0
    rewards_BN = np.where(reached_BN, rewards_BN, 0.0)
    grouped = group_rewards(rewards_BN, group_B, valid_B)

    # Every step of a group is a group of its own, of meta-episodes with that one step.
    cell_BN = grouped.code[:, None] * steps + np.arange(steps)
    own_BN = turn_rloo(rewards_BN.reshape(-1, 1), cell_BN.ravel(), reached_BN.ravel()).reshape(batch, steps)
    return np.where(reached_BN, with_later(own_BN, gamma), 0.0)
