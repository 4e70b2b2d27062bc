"""Groups in which nobody has an advantage are dropped before the update."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mrsearch.verl_plugin.attempt_columns import Attempts
from mrsearch.verl_plugin.dropping import rows_that_teach

# Two tokens a row: the last of attempt 1 and the last of attempt 2.
IDS = torch.tensor([[0, 1]] * 6)
GROUPS = ["equal", "equal", "differs", "differs", "alone", "lost"]
REWARDS = torch.tensor([[0.0, 1], [0, 1], [1, 0], [0, 1], [1, 1], [0, 0]])


def teaches(estimator: str = "turn_rloo", rows: slice = slice(None), kl: bool = False) -> list[bool]:
    ids = IDS.clone()
    ids[5] = -1
    attempts = Attempts(ids[rows], 2, np.arange(6)[rows])
    algorithm = SimpleNamespace(adv_estimator=estimator, use_kl_in_reward=kl)
    return rows_that_teach(REWARDS[rows], attempts, GROUPS[rows], algorithm).tolist()


def test_equal_groups_and_groups_without_peers_are_dropped_though_their_sums_differ() -> None:
    assert teaches() == [False, False, True, True, False, False]


def test_a_batch_is_never_emptied() -> None:
    assert teaches(rows=slice(2)) == [True, True]


@pytest.mark.parametrize(("estimator", "kl"), [("gae", False), ("turn_rloo", True)])
def test_where_credit_is_not_the_groups_alone_everyone_stays(estimator: str, kl: bool) -> None:
    assert teaches(estimator, kl=kl) == [True] * 6


def test_rows_of_one_meta_episode_count_once() -> None:
    # Each attempt a row of its own: members a and b of one group, equal; c and d of another, which differ.
    ids = torch.tensor([[0], [1]] * 4)
    rewards = torch.tensor([[0.0], [1], [0], [1], [1], [0], [0], [0]])
    attempts = Attempts(ids, 2, np.array(["a", "a", "b", "b", "c", "c", "d", "d"]))
    algorithm = SimpleNamespace(adv_estimator="turn_rloo", use_kl_in_reward=False)
    found = rows_that_teach(rewards, attempts, ["g"] * 4 + ["h"] * 4, algorithm)
    assert found.tolist() == [False] * 4 + [True] * 4
