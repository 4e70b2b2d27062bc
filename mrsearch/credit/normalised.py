"""Group-normalised credit per attempt: the turn-level form of GRPO."""

import numpy as np
import numpy.typing as npt

from mrsearch.credit.groups import Groups, group_rewards
from mrsearch.credit.later import with_later

_EPSILON = 1e-6
"""Beside a standard deviation, as in verl."""


def turn_grpo(
    rewards_BN: npt.ArrayLike,
    group_B: Groups,
    valid_B: npt.ArrayLike,
    gamma: float = 1.0,
    tokens_BN: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Normalises the reward of every attempt index over its group, then sums over the later attempts.

        ã[i, n] = (r[i, n] − mean over j of r[j, n]) / (standard deviation over j of r[j, n] + 10⁻⁶)
        A[i, n] = Σ_{k ≥ n} gamma^(k − n) · ã[i, k]

    j runs over the valid members of i's group, i included; the deviation is the sample's (n − 1). This is GRPO's
    normalisation (arXiv 2402.03300) at every attempt, MR-Search's ablation of its leave-one-out. Arguments, the rule
    for groups without peers, and what is raised are those of `turn_rloo`.

    An attempt that one of two members gets right counts ±1/√2 whatever the reward's scale; all others are as good as
    each other:

    >>> turn_grpo([[0, 9], [0, 0]], ["a", "a"], [True, True], gamma=0.0).round(3)
    array([[ 0.   ,  0.707],
           [ 0.   , -0.707]])
    """
    grouped = group_rewards(rewards_BN, group_B, valid_B)
    with_peers_B = grouped.valid & (grouped.size > 1)[grouped.code]
    code_C = grouped.code[with_peers_B]  # C: the rows that have peers
    size_C1 = grouped.size[code_C][:, None]

    # Measured from the group's least reward, equal rewards are exact zeros.
    above_CN = grouped.rewards[with_peers_B] - grouped.low[code_C]
    centred_CN = above_CN - _sums(above_CN, grouped.low.shape, code_C)[code_C] / size_C1
    centred_CN[(grouped.low == grouped.high)[code_C]] = 0.0
    deviation_CN = np.sqrt(_sums(centred_CN**2, grouped.low.shape, code_C)[code_C] / (size_C1 - 1))

    advantages_BN = np.zeros_like(grouped.rewards)
    advantages_BN[with_peers_B] = centred_CN / (deviation_CN + _EPSILON)
    return with_later(advantages_BN, gamma)


def _sums(
    values_CN: npt.NDArray[np.float64], shape: tuple[int, ...], code_C: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """Sums within the groups: (G, N)."""
    sums_GN = np.zeros(shape)
    np.add.at(sums_GN, code_C, values_CN)
    return sums_GN
