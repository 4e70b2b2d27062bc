"""Credit: per-attempt rewards become per-token advantages. Pure functions on numpy arrays.

Shape suffixes: `_B` meta-episodes, `_N` attempts, `_T` tokens, `_G` groups.
"""

from mrsearch.credit.groups import GroupStatistics, group_statistics
from mrsearch.credit.leave_one_out import spread, turn_rloo

__all__ = ["GroupStatistics", "group_statistics", "spread", "turn_rloo"]
