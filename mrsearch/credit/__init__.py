"""Credit: per-attempt rewards become per-token advantages. Pure functions on numpy arrays.

Shape suffixes: `_B` meta-episodes, `_N` attempts, `_T` tokens, `_G` groups.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mrsearch.credit.groups import GroupStatistics, group_statistics
from mrsearch.credit.leave_one_out import spread, turn_rloo
from mrsearch.credit.normalised import turn_grpo
from mrsearch.credit.trajectory import grpo, trajectory_rloo

__all__ = [
    "ESTIMATORS",
    "NEEDS_PEERS",
    "Estimator",
    "GroupStatistics",
    "group_statistics",
    "grpo",
    "spread",
    "trajectory_rloo",
    "turn_grpo",
    "turn_rloo",
]

Estimator = Callable[..., npt.NDArray[np.float64]]

ESTIMATORS: dict[str, Estimator] = {
    "turn_rloo": turn_rloo,
    "turn_grpo": turn_grpo,
    "trajectory_rloo": trajectory_rloo,
    "trajectory_grpo": grpo,
}
"""By the name that `algorithm.adv_estimator` takes, each with the arguments of `turn_rloo`.

verl has a GRPO of its own, over the sum of a meta-episode's rewards, so ours has another name there.
"""

NEEDS_PEERS = frozenset(ESTIMATORS)
"""Estimators that compare a meta-episode with the others of its group."""
