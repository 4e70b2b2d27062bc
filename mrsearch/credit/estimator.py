"""What every estimator takes and gives."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from mrsearch.credit.groups import Groups


class Estimator(Protocol):
    """A pure function from the rewards of a batch to the advantages of its attempts; `turn_rloo` says what is what.

    Each reads of this what its equations need: `tokens_BN`, the number of tokens sampled in every attempt, is read by
    `step_rloo` (which steps were reached) and `reinforce_plus_plus` (how much an attempt weighs) only. None stands for
    one token in every attempt of every valid meta-episode.
    """

    def __call__(
        self,
        rewards_BN: npt.ArrayLike,
        group_B: Groups,
        valid_B: npt.ArrayLike,
        gamma: float = 1.0,
        tokens_BN: npt.ArrayLike | None = None,
    ) -> npt.NDArray[np.float64]: ...


def sampled_tokens(
    valid_B: npt.NDArray[np.bool_], attempts: int, tokens_BN: npt.ArrayLike | None
) -> npt.NDArray[np.intp]:
    """Tokens sampled in every attempt, (B, N), 0 in meta-episodes that are not valid.

    Raises:
        ValueError: the counts have another shape, or one is negative.
    """
    shape = (len(valid_B), attempts)
    counts_BN = np.ones(shape, np.intp) if tokens_BN is None else np.asarray(tokens_BN, dtype=np.intp)
    if counts_BN.shape != shape or (counts_BN < 0).any():
        raise ValueError(f"token counts of shape {counts_BN.shape} must be {shape} (B, N) and not negative")
    return counts_BN * valid_B[:, None]
