"""Groups of meta-episodes of one question occurrence, and how many of them teach nothing."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Groups = Sequence[Hashable] | npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class GroupStatistics:
    """How many groups carry a signal.

    Attributes:
        groups: distinct groups, those without a valid member included.
        without_peers: groups with fewer than two valid members.
        all_equal: other groups whose valid members have the same values on every attempt.
    """

    groups: int
    without_peers: int
    all_equal: int

    @property
    def with_signal(self) -> int:
        """Groups in which at least one advantage can differ from 0."""
        return self.groups - self.without_peers - self.all_equal


@dataclass(frozen=True, slots=True)
class Grouped:
    """Values (rewards, or advantages) of the valid meta-episodes with their group's codes.

    Attributes:
        rewards: (B, N), 0 in invalid rows, whatever they held.
        valid: (B,).
        code: (B,), group of each row, 0 .. G − 1.
        size: (G,), valid members of each group.
        low, high: (G, N), least and greatest value among them; +inf and −inf where there are none.
    """

    rewards: npt.NDArray[np.float64]
    valid: npt.NDArray[np.bool_]
    code: npt.NDArray[np.intp]
    size: npt.NDArray[np.intp]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]

    @property
    def differs(self) -> npt.NDArray[np.bool_]:
        """Groups with peers that differ on some attempt: (G,)."""
        differs_G: npt.NDArray[np.bool_] = (self.size > 1) & (self.low != self.high).any(axis=1)
        return differs_G

    @property
    def statistics(self) -> GroupStatistics:
        """The groups that teach nothing, each counted once."""
        without_peers = int((self.size <= 1).sum())
        return GroupStatistics(len(self.size), without_peers, len(self.size) - without_peers - int(self.differs.sum()))


def group_rewards(rewards_BN: npt.ArrayLike, group_B: Groups, valid_B: npt.ArrayLike) -> Grouped:
    """Checks and prepares what the functions of this room take.

    Args:
        rewards_BN: a value per attempt.
        group_B: hashable labels, equal within a group.
        valid_B: false for meta-episodes that count for nothing.

    Raises:
        ValueError: shapes disagree, or a valid value is not finite.

    >>> rewards = [[0, 1], [0, 1], [0, 0], [1, 1], [1, 1]]
    >>> group_rewards(rewards, ["a", "a", "b", "b", "c"], [True] * 5).statistics
    GroupStatistics(groups=3, without_peers=1, all_equal=1)
    """
    rewards_BN = np.array(rewards_BN, dtype=np.float64)
    valid_B = np.asarray(valid_B, dtype=np.bool_)
    if rewards_BN.ndim != 2 or valid_B.shape != (len(rewards_BN),) or len(group_B) != len(rewards_BN):
        raise ValueError(
            f"rewards of shape {rewards_BN.shape} (B, N) came with {len(group_B)} group labels "
            f"and validity of shape {valid_B.shape}"
        )
    rewards_BN[~valid_B] = 0.0
    if not np.isfinite(rewards_BN).all():
        raise ValueError("a valid meta-episode has a reward that is not finite")

    codes: dict[Hashable, int] = {}
    labels = group_B.tolist() if isinstance(group_B, np.ndarray) else group_B
    code_B = np.fromiter((codes.setdefault(label, len(codes)) for label in labels), np.intp, len(labels))
    low_GN = np.full((len(codes), rewards_BN.shape[1]), np.inf)
    high_GN = -low_GN
    np.minimum.at(low_GN, code_B[valid_B], rewards_BN[valid_B])
    np.maximum.at(high_GN, code_B[valid_B], rewards_BN[valid_B])
    size_G = np.bincount(code_B[valid_B], minlength=len(codes))
    return Grouped(rewards_BN, valid_B, code_B, size_G, low_GN, high_GN)
