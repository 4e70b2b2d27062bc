"""Credit of the whole meta-episode by its final attempt: what turn-level credit is compared with."""

import numpy as np
import numpy.typing as npt

from mrsearch.credit.groups import Groups
from mrsearch.credit.leave_one_out import turn_rloo
from mrsearch.credit.normalised import turn_grpo


def trajectory_rloo(
    rewards_BN: npt.ArrayLike,
    group_B: Groups,
    valid_B: npt.ArrayLike,
    gamma: float = 1.0,
    tokens_BN: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Leave-one-out on the final attempt's reward (RLOO, arXiv 2402.14740), one advantage for all tokens.

        A[i, n] = r[i, N] − mean over j ≠ i of r[j, N]

    `gamma` plays no part. The other arguments, the rule for groups without peers, and what is raised are those of
    `turn_rloo`.

    The first came right in the end and the second did not; all that they said before is credited alike:

    >>> trajectory_rloo([[0, 1], [1, 0]], ["a", "a"], [True, True])
    array([[ 1.,  1.],
           [-1., -1.]])
    """
    return _to_all(turn_rloo(_final(rewards_BN), group_B, valid_B), rewards_BN)


def grpo(
    rewards_BN: npt.ArrayLike,
    group_B: Groups,
    valid_B: npt.ArrayLike,
    gamma: float = 1.0,
    tokens_BN: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """GRPO's outcome supervision (arXiv 2402.03300, section 4.1.2) on the final attempt, one advantage for all tokens.

        A[i, n] = (r[i, N] − mean over j of r[j, N]) / (standard deviation over j of r[j, N] + 10⁻⁶)

    `gamma` plays no part. The other arguments, the rule for groups without peers, and what is raised are those of
    `turn_rloo`.

    >>> grpo([[0, 1], [1, 0]], ["a", "a"], [True, True]).round(3)
    array([[ 0.707,  0.707],
           [-0.707, -0.707]])
    """
    return _to_all(turn_grpo(_final(rewards_BN), group_B, valid_B), rewards_BN)


def _final(rewards_BN: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.asarray(rewards_BN, dtype=np.float64)[:, -1:]


def _to_all(advantages_B1: npt.NDArray[np.float64], rewards_BN: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The one column for every attempt: (B, N)."""
    return np.repeat(advantages_B1, np.shape(rewards_BN)[1], axis=1)
