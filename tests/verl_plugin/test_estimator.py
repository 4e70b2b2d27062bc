"""The estimator verl calls gives every sampled token its attempt's credit."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from verl.trainer.ppo.core_algos import get_adv_estimator_fn

from mrsearch.credit import ESTIMATORS
from mrsearch.verl_plugin import estimator
from mrsearch.verl_plugin.attempt_columns import ATTEMPTS as CONTEXT
from mrsearch.verl_plugin.attempt_columns import Attempts

ATTEMPTS = torch.tensor([[0, 0, -1, 1], [0, -1, 1, 1], [-1, -1, -1, -1]])
REWARDS = torch.tensor([[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])


def advantages(gamma: float, mask: torch.Tensor | None = None, name: str = "turn_rloo") -> np.ndarray:
    mask = (ATTEMPTS >= 0).long() if mask is None else mask
    return estimate(name, REWARDS, Attempts(ATTEMPTS, 2, np.arange(3)), ["q", "q", "q"], gamma, mask)


def estimate(
    name: str,
    rewards: torch.Tensor,
    attempts: Attempts,
    groups: list[str],
    gamma: float = 1.0,
    mask: torch.Tensor | None = None,
) -> np.ndarray:
    """As verl's trainer calls it."""
    token = CONTEXT.set(attempts)
    try:
        tokens, returns = get_adv_estimator_fn(name)(
            token_level_rewards=rewards,
            response_mask=(attempts.ids >= 0).long() if mask is None else mask,
            index=np.array(groups, dtype=object),
            config=SimpleNamespace(gamma=gamma),
        )
    finally:
        CONTEXT.reset(token)
    assert torch.equal(tokens, returns)
    return tokens.numpy()


def test_earlier_attempt_is_credited_for_the_later_reward() -> None:
    # Row 0 scores 0 then 1, row 1 scores 1 then 0; row 2 sampled nothing and is nobody's peer.
    np.testing.assert_allclose(advantages(gamma=1.0), [[0, 0, 0, 1], [0, 0, -1, -1], [0, 0, 0, 0]])


def test_without_discounted_sum_only_the_own_reward_counts() -> None:
    np.testing.assert_allclose(advantages(gamma=0.0), [[-1, -1, 0, 1], [1, 0, -1, -1], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("name", "final", "first"),
    [
        ("turn_grpo", 2**-0.5, 0.0),
        ("step_rloo", 1.0, 0.0),
        ("trajectory_rloo", 1.0, 1.0),
        ("trajectory_grpo", 2**-0.5, 2**-0.5),
    ],
)
def test_every_estimator_is_registered(name: str, final: float, first: float) -> None:
    expected = [[first, first, 0, final], [-first, 0, -final, -final], [0, 0, 0, 0]]
    np.testing.assert_allclose(advantages(gamma=1.0, name=name), expected, atol=1e-5)


def test_mask_with_tokens_that_nobody_sampled_is_refused() -> None:
    with pytest.raises(ValueError, match="disagree"):
        advantages(gamma=1.0, mask=torch.ones_like(ATTEMPTS))


def test_what_a_rollout_correction_took_out_of_the_mask_is_still_compared() -> None:
    mask = (ATTEMPTS >= 0).long()
    mask[0] = 0
    np.testing.assert_array_equal(advantages(gamma=1.0, mask=mask), advantages(gamma=1.0))


def test_rewards_are_summed_over_an_attempts_tokens() -> None:
    attempts = Attempts(torch.tensor([[0, 0, -1, 1]]), 3, np.arange(1))
    sums = estimator.meta_episodes(np.array([[0.25, 0.5, 9.0, 1.0]]), attempts)
    np.testing.assert_allclose(sums.rewards, [[0.75, 1.0, 0.0]])
    np.testing.assert_array_equal(sums.tokens, [[2, 1, 0]])


def test_rows_of_different_groups_are_no_meta_episode() -> None:
    attempts = Attempts(ATTEMPTS, 2, np.array(["e", "e", "f"], dtype=object))
    with pytest.raises(ValueError, match="in different groups"):
        estimate("turn_rloo", REWARDS, attempts, ["q", "p", "q"])


def test_a_meta_episode_of_several_rows_counts_once() -> None:
    """Members score (0, 1), (1, 0) and (0, 0); the first has a row for each attempt, the third began only one."""
    ids = torch.tensor([[1, 1, -1], [0, 1, -1], [0, 0, 0], [0, -1, -1]])
    rewards = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    attempts = Attempts(ids, 2, np.array(["q_0", "q_1", "q_0", "q_2"], dtype=object))
    tokens = estimate("turn_rloo", rewards, attempts, ["q"] * 4)
    # By attempt: (-0.5, 1), (1, -0.5) and (-0.5, -0.5).
    np.testing.assert_allclose(tokens, [[1, 1, 0], [0.5, -0.5, 0], [0.5, 0.5, 0.5], [-1, 0, 0]])


def test_a_row_without_sampled_tokens_adds_nothing_to_a_meta_episode_that_has_others() -> None:
    ids = torch.tensor([[0, 0], [-1, -1], [0, -1], [-1, -1]])
    rewards = torch.tensor([[0.0, 1.0], [7.0, 0.0], [0.0, 0.0], [7.0, 7.0]])
    attempts = Attempts(ids, 1, np.array(["a", "a", "b", "c"], dtype=object))
    np.testing.assert_allclose(estimate("turn_rloo", rewards, attempts, ["q"] * 4), [[1, 1], [0, 0], [-1, 0], [0, 0]])


@pytest.mark.parametrize("name", ESTIMATORS)
@settings(deadline=None, database=None, max_examples=50)
@given(data=st.data())
def test_tokens_have_the_same_credit_however_they_lie_in_rows(name: str, data: st.DataObject) -> None:
    """One row for each meta-episode, against one for each attempt, in any order."""
    size, number, length = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 3)), 6
    seed, gamma = data.draw(st.integers(0, 99)), data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    rng = np.random.default_rng(seed)
    ids = np.sort(rng.integers(-1, number, (size, length)), axis=1)
    rewards = rng.integers(0, 2, (size, length)) * (ids >= 0)
    groups = [str(label) for label in rng.integers(0, 2, size)]
    whole = estimate(
        name, torch.tensor(rewards).float(), Attempts(torch.tensor(ids), number, np.arange(size)), groups, gamma
    )

    places = [(i, n) for i in range(size) for n in range(number)]
    rng.shuffle(places)
    of_row, attempt = np.array(places).T
    in_row = ids[of_row] == attempt[:, None]
    apart = estimate(
        name,
        torch.tensor(np.where(in_row, rewards[of_row], 0)).float(),
        Attempts(torch.tensor(np.where(in_row, ids[of_row], -1)), number, np.array([f"e{i}" for i in of_row])),
        [groups[i] for i in of_row],
        gamma,
    )
    joined = np.zeros_like(whole)
    np.add.at(joined, of_row, apart)
    np.testing.assert_allclose(joined, whole, atol=1e-6)


def test_reinforce_plus_plus_is_verls_where_every_row_is_a_meta_episode_and_nothing_is_discounted() -> None:
    rng = np.random.default_rng(0)
    ids = torch.tensor(np.sort(rng.integers(-1, 3, (20, 30)), axis=1))
    ids[:, ::5] = -1  # between the attempts, and inside them
    rewards = torch.tensor(rng.random((20, 30)) * rng.integers(0, 2, (20, 30))).float()
    last = torch.zeros_like(rewards)
    for row, row_ids in enumerate(ids):
        for attempt in range(3):
            if len(where := torch.nonzero(row_ids == attempt)):
                last[row, where[-1]] = rewards[row, where[-1]]
    ours = estimate("turn_reinforce_plus_plus", last, Attempts(ids, 3, np.arange(20)), ["q"] * 20)
    mask = (ids >= 0).long()
    verls, _ = get_adv_estimator_fn("reinforce_plus_plus")(last, mask, config=SimpleNamespace(gamma=1.0))
    np.testing.assert_allclose(ours, verls.numpy(), atol=1e-5)
