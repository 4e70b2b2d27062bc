"""Groups in which nobody has an advantage are dropped before the update."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mrsearch.credit import NEEDS_PEERS, GroupStatistics
from mrsearch.verl_plugin.attempt_columns import Attempts
from mrsearch.verl_plugin.dropping import padding_spread, rows_that_teach

# Two tokens a row: the last of attempt 1 and the last of attempt 2.
IDS = torch.tensor([[0, 1]] * 6)
GROUPS = ["equal", "equal", "differs", "differs", "alone", "lost"]
REWARDS = torch.tensor([[0.0, 1], [0, 1], [1, 0], [0, 1], [1, 1], [0, 0]])


def teaches(estimator: str = "turn_rloo", rows: slice = slice(None), kl: bool = False) -> list[bool]:
    ids = IDS.clone()
    ids[5] = -1
    attempts = Attempts(ids[rows], 2, np.arange(6)[rows])
    algorithm = SimpleNamespace(adv_estimator=estimator, use_kl_in_reward=kl, gamma=1.0)
    return rows_that_teach(REWARDS[rows], attempts, GROUPS[rows], algorithm)[0].tolist()


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
    algorithm = SimpleNamespace(adv_estimator="turn_rloo", use_kl_in_reward=False, gamma=1.0)
    found, _ = rows_that_teach(rewards, attempts, ["g"] * 4 + ["h"] * 4, algorithm)
    assert found.tolist() == [False] * 4 + [True] * 4


@pytest.mark.parametrize("estimator", ["trajectory_rloo", "trajectory_grpo"])
def test_who_differs_is_the_estimators_to_say(estimator: str) -> None:
    # Of two groups that differ in their first attempts, one ends alike.
    rewards = torch.tensor([[0.0, 1], [1, 1], [0, 1], [0, 0]])
    attempts = Attempts(IDS[:4], 2, np.arange(4))
    algorithm = SimpleNamespace(adv_estimator=estimator, use_kl_in_reward=False, gamma=1.0)
    teaching, grouped = rows_that_teach(rewards, attempts, ["alike", "alike", "apart", "apart"], algorithm)
    assert teaching.tolist() == [False, False, True, True]
    assert grouped.statistics == GroupStatistics(groups=2, without_peers=0, all_equal=1)


@pytest.mark.parametrize("estimator", NEEDS_PEERS)
def test_equal_rewards_that_are_no_round_numbers_teach_nothing(estimator: str) -> None:
    rewards = torch.tensor([[0.1, 0.7]] * 3 + [[0.1, 0.3]] * 2 + [[0.9, 0.2]])
    attempts = Attempts(IDS, 2, np.arange(6))
    algorithm = SimpleNamespace(adv_estimator=estimator, use_kl_in_reward=False, gamma=0.9)
    teaching, _ = rows_that_teach(rewards, attempts, ["equal"] * 3 + ["differs"] * 3, algorithm)
    assert teaching.tolist() == [False] * 3 + [True] * 3


def test_every_update_has_its_share_of_what_is_left() -> None:
    # 260 of 512 groups of 5 are left for two updates on 8 ranks; verl puts the padding at each rank's end.
    ranks, updates, each = 8, 2, 320
    padding = ([False] * 163 + [True] * 157) * 4 + ([False] * 162 + [True] * 158) * 4
    order = padding_spread(padding, ranks, updates)
    assert sorted(order) == list(range(ranks * each))
    real = (~np.array(padding)[order]).reshape(ranks, updates, each // updates).sum(axis=2)
    assert real.sum() == 260 * 5
    assert (real.max(), real.min()) == (82, 81)
    assert all(row // each == place // each for place, row in enumerate(order)), "no row changes its rank"
