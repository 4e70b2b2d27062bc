"""Leave-one-out per attempt index, summed over later attempts, and given to the tokens."""

import doctest
import math
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mrsearch.credit.groups
import mrsearch.credit.leave_one_out
from mrsearch.credit import GroupStatistics, group_rewards, spread, turn_rloo


@pytest.mark.parametrize("module", [mrsearch.credit.groups, mrsearch.credit.leave_one_out])
def test_documented_examples(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted > 0
    assert result.failed == 0


def test_worked_example() -> None:
    """Three meta-episodes with three attempts each, by hand.

    Column means of the others: attempt 1 (½, ½, 0), attempt 2 (½, 0, ½), attempt 3 (½, 1, ½).
    """
    rewards = [[0, 0, 1], [0, 1, 0], [1, 0, 1]]
    own = [[-0.5, -0.5, 0.5], [-0.5, 1.0, -1.0], [1.0, -0.5, 0.5]]
    np.testing.assert_array_equal(turn_rloo(rewards, ["q"] * 3, [True] * 3, gamma=0.0), own)
    summed = [[-0.5, 0.0, 0.5], [-0.5, 0.0, -1.0], [1.0, 0.0, 0.5]]
    np.testing.assert_array_equal(turn_rloo(rewards, ["q"] * 3, [True] * 3), summed)
    halved = [[-0.625, -0.25, 0.5], [-0.25, 0.5, -1.0], [0.875, -0.25, 0.5]]
    np.testing.assert_array_equal(turn_rloo(rewards, ["q"] * 3, [True] * 3, gamma=0.5), halved)


def test_only_valid_members_are_peers() -> None:
    """The failed one neither learns nor moves its peers' baseline, whatever its row holds."""
    rewards: list[list[float]] = [[1, 1], [0, 1], [math.nan, math.inf]]
    advantages = turn_rloo(rewards, ["q"] * 3, [True, True, False])
    np.testing.assert_array_equal(advantages, [[1, 0], [-1, 0], [0, 0]])


def test_no_peers_no_advantage() -> None:
    rewards = [[1.0, 1.0], [1.0, 0.0], [0.5, 0.5]]
    advantages = turn_rloo(rewards, ["alone", "q", "q"], [True, True, False])
    np.testing.assert_array_equal(advantages, np.zeros((3, 2)))


def test_equal_rewards_are_exact_zeros() -> None:
    advantages = turn_rloo([[0.1, 2 / 3, 0.7]] * 5, ["q"] * 5, [True] * 5)
    np.testing.assert_array_equal(advantages, np.zeros((5, 3)))


@pytest.mark.parametrize(
    "groups",
    [
        [0, 1, 0, 1],
        np.array([7, -3, 7, -3]),
        ["a", "b", "a", "b"],
        np.array(["a", "b", "a", "b"]),
        np.array([("nq", 1), ("hotpotqa", 1), ("nq", 1), ("hotpotqa", 1)], dtype="U8,i8"),
        [("nq", 1), ("hotpotqa", 1), ("nq", 1), ("hotpotqa", 1)],
    ],
)
def test_labels_may_be_anything_hashable(groups: Any) -> None:
    """Groups need not be neighbours, and equal row numbers of two data sets are two groups."""
    advantages = turn_rloo([[1.0], [1.0], [0.0], [1.0]], groups, [True] * 4)
    np.testing.assert_array_equal(advantages, [[1.0], [0.0], [-1.0], [0.0]])


@pytest.mark.parametrize(
    ("rewards", "groups", "valid", "sentence"),
    [
        ([1.0, 0.0], ["q", "q"], [True, True], "rewards of shape"),
        ([[1.0], [0.0]], ["q"], [True, True], "1 group labels"),
        ([[1.0], [0.0]], ["q", "q"], [True], "validity of shape"),
        ([[1.0], [math.nan]], ["q", "q"], [True, True], "not finite"),
    ],
)
def test_bad_input_is_refused(rewards: Any, groups: Any, valid: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        turn_rloo(rewards, groups, valid)


def by_definition(rewards: np.ndarray, groups: list[str], valid: np.ndarray, gamma: float) -> np.ndarray:
    """The two equations, word by word."""
    batch, attempts = rewards.shape
    advantages = np.zeros_like(rewards)
    for i in range(batch):
        peers = [j for j in range(batch) if j != i and groups[j] == groups[i] and valid[j]]
        if not valid[i] or not peers:
            continue
        own = [rewards[i, n] - sum(rewards[j, n] for j in peers) / len(peers) for n in range(attempts)]
        for n in range(attempts):
            advantages[i, n] = sum(gamma ** (k - n) * own[k] for k in range(n, attempts))
    return advantages


@settings(deadline=None, database=None)
@given(st.data())
def test_equals_the_definition(data: st.DataObject) -> None:
    batch, attempts = data.draw(st.integers(0, 12)), data.draw(st.integers(1, 4))
    numbers = st.floats(-2, 2, width=32)
    rewards = np.array(
        data.draw(st.lists(numbers, min_size=batch * attempts, max_size=batch * attempts)), float
    ).reshape(batch, attempts)
    groups = data.draw(st.lists(st.sampled_from("abc"), min_size=batch, max_size=batch))
    valid = np.array(data.draw(st.lists(st.booleans(), min_size=batch, max_size=batch)), bool)
    gamma = data.draw(st.floats(0, 1))
    advantages = turn_rloo(rewards, groups, valid, gamma)
    np.testing.assert_allclose(advantages, by_definition(rewards, groups, valid, gamma), atol=1e-12)
    assert not advantages[~valid].any()


def test_advantages_of_a_full_group_sum_to_zero() -> None:
    rewards = np.random.default_rng(0).random((40, 3))
    labels = [str(uuid4()) for _ in range(8)]
    advantages = turn_rloo(rewards, [labels[i % 8] for i in range(40)], np.ones(40, bool))
    for group in range(8):
        np.testing.assert_allclose(advantages[group::8].sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_spread(dtype: type[np.signedinteger[Any]]) -> None:
    attempts = np.array([[-1, 0, 0, -1, 1, -1], [-1, 0, -1, 1, 1, 2]], dtype)
    tokens = spread([[0.5, -1.0, 9.0], [0.25, 2.0, -3.0]], attempts)
    np.testing.assert_array_equal(tokens, [[0, 0.5, 0.5, 0, -1, 0], [0, 0.25, 0, 2, 2, -3]])
    assert tokens.dtype == np.float32
    assert not np.signbit(tokens[attempts == -1]).any()


@pytest.mark.parametrize("shape", [(0, 3, 5), (2, 3, 0)])
def test_spread_of_nothing(shape: tuple[int, int, int]) -> None:
    batch, attempts, tokens = shape
    assert spread(np.ones((batch, attempts)), np.zeros((batch, tokens), np.int8)).shape == (batch, tokens)


@pytest.mark.parametrize("index", [-2, 2])
def test_spread_refuses_attempts_that_do_not_exist(index: int) -> None:
    with pytest.raises(ValueError, match=r"outside -1 \.\. 1"):
        spread([[1.0, 2.0]], np.array([[0, index]]))


def test_spread_refuses_another_batch() -> None:
    with pytest.raises(ValueError, match="came with attempts of shape"):
        spread([[1.0, 2.0]], np.array([[0], [1]]))


def test_group_statistics() -> None:
    rewards = [
        [0, 1], [0, 1],          # a: equal on every attempt, though the attempts differ
        [0, 1], [1, 0],          # b: a signal, though the sums are equal
        [1, 1],                  # c: alone
        [1, 1], [0, 0],          # d: one valid member
        [1, 1], [1, 1], [0, 0],  # e: its valid members are equal
        [0, 0], [0, 0],          # f: no valid member
    ]  # fmt: skip
    groups = list("aabbcddeeeff")
    valid = [True] * 6 + [False] + [True, True, False] + [False, False]
    statistics = group_rewards(rewards, groups, valid).statistics
    assert statistics == GroupStatistics(groups=6, without_peers=3, all_equal=2)
    assert statistics.with_signal == 1


def test_statistics_of_nothing() -> None:
    assert group_rewards(np.zeros((0, 3)), [], []).statistics == GroupStatistics(0, 0, 0)
