"""Every estimator against its equations, word by word, on random groups."""

import doctest
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mrsearch.credit.later
import mrsearch.credit.normalised
import mrsearch.credit.reinforce
import mrsearch.credit.step
import mrsearch.credit.trajectory
from mrsearch.credit import ESTIMATORS, NEEDS_PEERS, step_rloo, turn_rloo


@dataclass
class Batch:
    """Rewards and sampled tokens as lists of rows."""

    rewards: list[list[float]]
    groups: list[str]
    valid: list[bool]
    gamma: float
    tokens: list[list[int]]

    @property
    def attempts(self) -> range:
        return range(len(self.rewards[0]))

    def members(self, i: int) -> list[int]:
        """Valid meta-episodes of i's group."""
        return [j for j, group in enumerate(self.groups) if group == self.groups[i] and self.valid[j]]

    def reached(self, i: int, n: int) -> bool:
        return self.valid[i] and self.tokens[i][n] > 0


# Rewards and own index of an attempt's peers, itself among them: the attempt's own advantage.
Own = Callable[[list[float], int], float]
Definition = Callable[[Batch, int, int], float]


def leave_one_out(rewards: list[float], i: int) -> float:
    others = rewards[:i] + rewards[i + 1 :]
    return rewards[i] - sum(others) / len(others)


def normalised(rewards: list[float], i: int) -> float:
    return (rewards[i] - statistics.fmean(rewards)) / (statistics.stdev(rewards) + 1e-6)


def own_of(own: Own, batch: Batch, peers: list[int], i: int, n: int) -> float:
    if i not in peers or len(peers) < 2:
        return 0.0
    return own([batch.rewards[j][n] for j in peers], peers.index(i))


def per_attempt(own: Own) -> Definition:
    def advantage(batch: Batch, i: int, n: int) -> float:
        later = [k for k in batch.attempts if k >= n]
        return sum(batch.gamma ** (k - n) * own_of(own, batch, batch.members(i), i, k) for k in later)

    return advantage


def per_step(batch: Batch, i: int, n: int) -> float:
    if not batch.reached(i, n):
        return 0.0
    total = 0.0
    for k in batch.attempts:
        if k >= n and batch.reached(i, k):
            peers = [j for j in batch.members(i) if batch.reached(j, k)]
            total += batch.gamma ** (k - n) * own_of(leave_one_out, batch, peers, i, k)
    return total


def by_final_attempt(own: Own) -> Definition:
    return lambda batch, i, n: own_of(own, batch, batch.members(i), i, batch.attempts[-1])


def over_the_batch(batch: Batch, i: int, n: int) -> float:
    if not batch.reached(i, n):
        return 0.0

    def to_come(j: int, m: int) -> float:
        return sum(batch.gamma ** (k - m) * batch.rewards[j][k] for k in batch.attempts if k >= m)

    by_token = [
        to_come(j, m)
        for j in range(len(batch.rewards))
        for m in batch.attempts
        if batch.valid[j]
        for _ in range(batch.tokens[j][m])
    ]
    if len(by_token) < 2:
        return 0.0
    return (to_come(i, n) - statistics.fmean(by_token)) / math.sqrt(statistics.variance(by_token) + 1e-8)


DEFINITIONS: dict[str, Definition] = {
    "turn_rloo": per_attempt(leave_one_out),
    "turn_grpo": per_attempt(normalised),
    "step_rloo": per_step,
    "trajectory_rloo": by_final_attempt(leave_one_out),
    "trajectory_grpo": by_final_attempt(normalised),
    "turn_reinforce_plus_plus": over_the_batch,
}


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    size, attempts = draw(st.integers(1, 12)), draw(st.integers(1, 4))

    def rows(cells: st.SearchStrategy[Any]) -> list[list[Any]]:
        return draw(
            st.lists(st.lists(cells, min_size=attempts, max_size=attempts), min_size=size, max_size=size),
        )

    def column(cells: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(cells, min_size=size, max_size=size))

    return Batch(
        rewards=rows(st.sampled_from([0.0, 0.25, 0.5, 1.0])),
        groups=column(st.sampled_from("abc")),
        valid=column(st.booleans()),
        gamma=draw(st.floats(0, 1)),
        tokens=rows(st.sampled_from([0, 1, 2, 7])),
    )


@pytest.mark.parametrize(
    "module",
    [
        mrsearch.credit.later,
        mrsearch.credit.normalised,
        mrsearch.credit.reinforce,
        mrsearch.credit.step,
        mrsearch.credit.trajectory,
    ],
    ids=lambda m: m.__name__,
)
def test_documented_examples(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert (result.attempted > 0, result.failed) == (True, 0)


def test_every_estimator_has_its_definition_here() -> None:
    assert DEFINITIONS.keys() == ESTIMATORS.keys()
    assert set(NEEDS_PEERS) == ESTIMATORS.keys() - {"turn_reinforce_plus_plus"}


@pytest.mark.parametrize("name", ESTIMATORS)
@settings(deadline=None, database=None)
@given(batch=batches())
def test_equals_the_definition(name: str, batch: Batch) -> None:
    advantages = ESTIMATORS[name](batch.rewards, batch.groups, batch.valid, batch.gamma, batch.tokens)
    expected = [[DEFINITIONS[name](batch, i, n) for n in batch.attempts] for i in range(len(batch.rewards))]
    np.testing.assert_allclose(advantages, expected, atol=1e-6)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_empty_batch_has_no_advantages(name: str) -> None:
    assert ESTIMATORS[name](np.zeros((0, 3)), [], []).shape == (0, 3)


@pytest.mark.parametrize("name", NEEDS_PEERS)
def test_equal_rewards_and_lone_members_are_exact_zeros(name: str) -> None:
    rewards = [[0.1, 2 / 3, 0.7]] * 5 + [[1.0, 0.0, 1.0]]
    advantages = ESTIMATORS[name](rewards, ["q"] * 5 + ["alone"], [True] * 6)
    np.testing.assert_array_equal(advantages, np.zeros((6, 3)))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_what_is_not_valid_neither_learns_nor_counts(name: str) -> None:
    rewards = [[0.0, 1.0], [1.0, 0.0], [np.nan, np.inf]]
    advantages = ESTIMATORS[name](rewards, ["q"] * 3, [True, True, False], tokens_BN=[[3, 4]] * 3)
    alone = ESTIMATORS[name](rewards[:2], ["q"] * 2, [True] * 2, tokens_BN=[[3, 4]] * 2)
    np.testing.assert_array_equal(advantages[:2], alone)
    np.testing.assert_array_equal(advantages[2], [0, 0])


@settings(deadline=None, database=None)
@given(batch=batches())
def test_with_every_step_reached_step_level_credit_is_turn_level_credit(batch: Batch) -> None:
    arguments = (batch.rewards, batch.groups, batch.valid, batch.gamma)
    expected = turn_rloo(*arguments)
    np.testing.assert_array_equal(step_rloo(*arguments), expected)
    np.testing.assert_array_equal(step_rloo(*arguments, tokens_BN=np.ones_like(batch.rewards)), expected)


def test_a_step_that_one_member_alone_reached_teaches_nothing() -> None:
    advantages = step_rloo([[0, 1], [0, 0], [0, 0]], ["q"] * 3, [True] * 3, tokens_BN=[[5, 5], [5, 0], [5, 0]])
    np.testing.assert_array_equal(advantages, np.zeros((3, 2)))
    counted_as_failed = turn_rloo([[0, 1], [0, 0], [0, 0]], ["q"] * 3, [True] * 3, tokens_BN=[[5, 5], [5, 0], [5, 0]])
    assert counted_as_failed[0].tolist() == [1, 1]


def test_what_stands_in_a_step_that_was_not_reached_is_not_read() -> None:
    advantages = step_rloo([[0, 1], [1, np.nan]], ["q"] * 2, [True] * 2, tokens_BN=[[5, 5], [5, 0]])
    np.testing.assert_array_equal(advantages, [[-1, 0], [1, 0]])


@pytest.mark.parametrize("reward", [0.0, 0.1])
def test_a_batch_of_equal_returns_is_exact_zeros(reward: float) -> None:
    rewards = [[0.0, 0.0, reward]] * 7
    tokens = [[3, 4, 5]] * 7
    advantages = ESTIMATORS["turn_reinforce_plus_plus"](rewards, list("aabcdef"), [True] * 7, tokens_BN=tokens)
    np.testing.assert_array_equal(advantages, np.zeros((7, 3)))


def test_normalised_over_the_batch_the_tokens_have_mean_zero_and_variance_one() -> None:
    rng = np.random.default_rng(0)
    rewards, tokens = rng.integers(0, 2, (40, 3)), rng.integers(0, 50, (40, 3))
    advantages = ESTIMATORS["turn_reinforce_plus_plus"](rewards, range(40), [True] * 40, 0.9, tokens)
    by_token = np.repeat(advantages.ravel(), tokens.ravel())
    assert by_token.mean() == pytest.approx(0, abs=1e-12)
    assert by_token.var(ddof=1) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("tokens", [[[1, 1]], [[1], [1]], [[1, 1], [1, -1]]])
@pytest.mark.parametrize("name", ["step_rloo", "turn_reinforce_plus_plus"])
def test_token_counts_that_cannot_be_are_refused(name: str, tokens: Any) -> None:
    with pytest.raises(ValueError, match="token counts of shape"):
        ESTIMATORS[name]([[0, 1], [1, 0]], ["q", "q"], [True, True], tokens_BN=tokens)
