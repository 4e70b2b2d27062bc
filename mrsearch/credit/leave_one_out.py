"""Turn-level leave-one-out credit: MR-Search's estimator (arXiv 2603.11327, multi-turn advantage)."""

import numpy as np
import numpy.typing as npt

from mrsearch.credit.groups import Groups, group_rewards
from mrsearch.credit.later import with_later


def turn_rloo(
    rewards_BN: npt.ArrayLike,
    group_B: Groups,
    valid_B: npt.ArrayLike,
    gamma: float = 1.0,
    tokens_BN: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """The advantage of every attempt: leave-one-out per attempt index, then summed over the later attempts.

        ã[i, n] = r[i, n] − mean over j ≠ i of r[j, n]
        A[i, n] = Σ_{k ≥ n} gamma^(k − n) · ã[i, k]

    j runs over the valid members of i's group; nothing is divided by a standard deviation. One rule for
    groups too small: no valid peers, no advantage. A group whose rewards are all equal gets exact zeros.

    Args:
        rewards_BN: reward of attempt n of meta-episode i; rows that are not valid may hold anything.
        group_B: hashable labels, one for each occurrence of a question (UUID strings in practice).
        valid_B: false for meta-episodes that neither learn nor serve as peers.
        gamma: discount between attempts; 0 credits each attempt with its own reward only.
        tokens_BN: not read; an attempt that could not start counts as a failed one.

    Returns:
        Advantages of shape (B, N), in units of reward; 0 for invalid rows and rows without valid peers.

    Raises:
        ValueError: shapes disagree, or a valid reward is not finite.

    Three meta-episodes of one question, two attempts each. The first improves, the second never answers, the
    third is right at once; the fourth, of another question, has no peers:

    >>> rewards = [[0, 1], [0, 0], [1, 1], [1, 1]]
    >>> turn_rloo(rewards, ["a", "a", "a", "b"], [True] * 4)
    array([[ 0. ,  0.5],
           [-1.5, -1. ],
           [ 1.5,  0.5],
           [ 0. ,  0. ]])

    ã of the first is (0 − (0 + 1)/2, 1 − (0 + 1)/2) = (−0.5, 0.5), and its first attempt, though wrong, is
    not blamed, because the second came right: A = (−0.5 + 0.5, 0.5).
    """
    grouped = group_rewards(rewards_BN, group_B, valid_B)
    with_peers_B = grouped.valid & (grouped.size > 1)[grouped.code]
    code_C = grouped.code[with_peers_B]  # C: the rows that have peers

    # Measured from the group's least reward, equal rewards are exact zeros and stay so through the sums.
    above_CN = grouped.rewards[with_peers_B] - grouped.low[code_C]
    sum_GN = np.zeros_like(grouped.low)
    np.add.at(sum_GN, code_C, above_CN)
    peers_C1 = grouped.size[code_C][:, None] - 1

    advantages_BN = np.zeros_like(grouped.rewards)
    advantages_BN[with_peers_B] = above_CN - (sum_GN[code_C] - above_CN) / peers_C1
    return with_later(advantages_BN, gamma)


def spread(advantages_BN: npt.ArrayLike, attempt_BT: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Gives every token the advantage of the attempt in which it was sampled.

    Args:
        advantages_BN: advantage per attempt.
        attempt_BT: 0-based attempt of each token, −1 where nobody sampled; int8 is enough and fastest.

    Returns:
        float32 of shape (B, T), exactly 0 where nobody sampled.

    Raises:
        ValueError: shapes disagree, or an index is outside −1 .. N − 1.

    >>> spread([[0.5, -1.0]], np.array([[-1, 0, 0, -1, 1, -1]])).tolist()
    [[0.0, 0.5, 0.5, 0.0, -1.0, 0.0]]
    """
    advantages_BN = np.asarray(advantages_BN, dtype=np.float32)
    if advantages_BN.ndim != 2 or attempt_BT.ndim != 2 or len(advantages_BN) != len(attempt_BT):
        raise ValueError(
            f"advantages of shape {advantages_BN.shape} (B, N) came with attempts of shape {attempt_BT.shape} (B, T)"
        )
    batch, attempts = advantages_BN.shape
    if attempt_BT.size and not -1 <= attempt_BT.min() <= attempt_BT.max() < attempts:
        raise ValueError(f"an attempt index is outside -1 .. {attempts - 1}")

    table_BN = np.zeros((batch, attempts + 1), np.float32)
    table_BN[:, :-1] = advantages_BN
    out_BT = np.empty(attempt_BT.shape, np.float32)
    # Row by row, the index is never widened to int64 for the whole batch: twice as fast as take_along_axis.
    # Wrapping sends -1 to the last column, which is 0.
    for table_N, attempt_T, out_T in zip(table_BN, attempt_BT, out_BT, strict=True):
        np.take(table_N, attempt_T, out=out_T, mode="wrap")
    return out_BT
