"""Credit: per-attempt rewards become per-token advantages. Pure functions on numpy arrays.

Shape suffixes: `_B` meta-episodes, `_N` attempts, `_T` tokens, `_G` groups, `_C` a selection.
"""

from mrsearch.credit.estimator import Estimator
from mrsearch.credit.groups import Grouped, GroupStatistics, group_rewards
from mrsearch.credit.leave_one_out import spread, turn_rloo
from mrsearch.credit.normalised import turn_grpo
from mrsearch.credit.reinforce import reinforce_plus_plus
from mrsearch.credit.step import step_rloo
from mrsearch.credit.trajectory import grpo, trajectory_rloo

__all__ = [
    "ESTIMATORS",
    "FINAL_ONLY",
    "NEEDS_PEERS",
    "Estimator",
    "GroupStatistics",
    "Grouped",
    "group_rewards",
    "grpo",
    "reinforce_plus_plus",
    "spread",
    "step_rloo",
    "trajectory_rloo",
    "turn_grpo",
    "turn_rloo",
]

ESTIMATORS: dict[str, Estimator] = {
    "turn_rloo": turn_rloo,
    "turn_grpo": turn_grpo,
    "step_rloo": step_rloo,
    "trajectory_rloo": trajectory_rloo,
    "trajectory_grpo": grpo,
    "turn_reinforce_plus_plus": reinforce_plus_plus,
}
"""By the name that `algorithm.adv_estimator` takes.

verl has a `grpo`, over the sum of a meta-episode's rewards, and a `reinforce_plus_plus`, by tokens, so ours have
other names there. The estimator with a critic is verl's own, `gae`.
"""

NEEDS_PEERS = ("turn_rloo", "turn_grpo", "step_rloo", "trajectory_rloo", "trajectory_grpo")
"""Those that compare a meta-episode with others of its group, and give a group of one, or of equals, no advantage."""

FINAL_ONLY = ("trajectory_rloo", "trajectory_grpo")
"""Those that read the final attempt's reward only."""
