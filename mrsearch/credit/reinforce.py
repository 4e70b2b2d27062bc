"""Credit without peers: returns normalised over the whole batch (REINFORCE++)."""

import numpy as np
import numpy.typing as npt

from mrsearch.credit.estimator import sampled_tokens
from mrsearch.credit.groups import Groups, group_rewards
from mrsearch.credit.later import with_later

_EPSILON = 1e-8
"""Beside a variance, as in verl."""


def reinforce_plus_plus(
    rewards_BN: npt.ArrayLike,
    group_B: Groups,
    valid_B: npt.ArrayLike,
    gamma: float = 1.0,
    tokens_BN: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """REINFORCE++ (arXiv 2501.03262) over attempts: the return of every attempt, normalised over the batch.

        G[i, n] = Σ_{k ≥ n} gamma^(k − n) · r[i, k]
        A[i, n] = (G[i, n] − mean of G) / √(variance of G + 10⁻⁸)

    Mean and (unbiased) variance run over the sampled tokens of the whole batch, each with its attempt's G, so an
    attempt weighs as many times as it has tokens: the paper normalises token by token (its equation for
    `A_norm[q, o_t]`), as verl does. With gamma = 1 this is verl's own `reinforce_plus_plus` on these rewards. With
    less, verl's discounts by tokens, and ours by attempts; and verl's takes every training row for an episode of its
    own, where an attempt may have a row to itself.

    Groups play no part and nobody needs peers. A batch in which all returns are equal gets exact zeros; where only
    the rewards are equal and not 0, earlier attempts stand above later ones, having more to come. Other arguments,
    and what is raised, are those of `turn_rloo`.

    Args:
        tokens_BN: tokens sampled in each attempt; None for equally long ones.

    Three returns are 1 and one is 0; only the last attempt of the second has nothing to come. The first attempts are
    three times as long as the second ones, so the mean over the tokens is (3·1 + 1·1 + 3·1 + 1·0) / 8 = 7/8:

    >>> reinforce_plus_plus([[0, 1], [1, 0]], ["a", "b"], [True, True], tokens_BN=[[3, 1], [3, 1]]).round(3)
    array([[ 0.354,  0.354],
           [ 0.354, -2.475]])
    """
    grouped = group_rewards(rewards_BN, group_B, valid_B)
    tokens_BN = sampled_tokens(grouped.valid, grouped.rewards.shape[1], tokens_BN)
    sampled_BN, total = tokens_BN > 0, int(tokens_BN.sum())
    advantages_BN = np.zeros_like(grouped.rewards)
    if total < 2:
        return advantages_BN
    returns_C, weights_C = with_later(grouped.rewards, gamma)[sampled_BN], tokens_BN[sampled_BN]
    # Measured from the least return, equal returns are exact zeros.
    above_C = returns_C - returns_C.min()
    centred_C = above_C - (weights_C * above_C).sum() / total
    variance = (weights_C * centred_C**2).sum() / (total - 1)
    advantages_BN[sampled_BN] = centred_C / np.sqrt(variance + _EPSILON)
    return advantages_BN
