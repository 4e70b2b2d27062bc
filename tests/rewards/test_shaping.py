"""What is trained on beside the rewards of the attempts."""

import doctest
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mrsearch.rewards.shaping
from mrsearch.episode import Attempt, MetaEpisode, StopReason, Transcript, Turn
from mrsearch.errors import UserError
from mrsearch.rewards import Shaping, scored_record, shaped_rewards


def attempt(answer: str | None, stop: StopReason = StopReason.ANSWERED, invalid: int = 0, tokens: int = 9) -> Attempt:
    turns = [Turn("invalid", "?", "", "?") for _ in range(invalid)]
    return Attempt(1, stop if answer is not None else StopReason.NO_ANSWER, answer, turns, tokens)


def meta_episode(*attempts: Attempt) -> MetaEpisode:
    return MetaEpisode("who?", list(attempts), Transcript())


def shape(rewards: list[float], *attempts: Attempt, **weights: float) -> list[float]:
    return shaped_rewards(rewards, meta_episode(*attempts), Shaping(**weights))


def test_documented_examples() -> None:
    result = doctest.testmod(mrsearch.rewards.shaping)
    assert (result.attempted > 0, result.failed) == (True, 0)


def test_by_default_the_rewards_are_what_they_were() -> None:
    assert not Shaping().on
    assert shape([0.0, 0.8, 1.0], attempt(None), attempt("a", invalid=1), attempt("a")) == [0.0, 0.8, 1.0]


@pytest.mark.parametrize("name", ["outcome", "improvement", "repetition", "format"])
def test_one_weight_turns_it_on(name: str) -> None:
    assert Shaping(**{name: 0.1}).on


def test_what_was_gained_and_lost_since_the_attempt_before_counts_again() -> None:
    three = [attempt("a"), attempt("b"), attempt("c")]
    assert shape([0.0, 1.0, 0.0], *three, improvement=0.5) == [0.0, 1.5, -0.5]
    assert shape([1.0, 1.0, 1.0], *three, improvement=0.5) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("answers", "share"),
    [
        (["a", "b", "c"], 0),
        (["Paris", "the paris.", "Rome"], 1 / 3),
        (["Paris", "paris", "Paris!"], 2 / 3),
        (["a", None, "b"], 1 / 3),  # saying nothing is no way round
        ([None, None, None], 1),
        (["a"], 0),
    ],
)
def test_repeated_answers_are_taken_off_the_final_attempt(answers: list[str | None], share: float) -> None:
    shaped = shape([0.5] * len(answers), *map(attempt, answers), repetition=0.3)
    assert shaped[:-1] == [0.5] * (len(answers) - 1)
    assert shaped[-1] == pytest.approx(0.5 - 0.3 * share)


def test_outcome_of_the_final_attempt_is_mixed_into_every_one() -> None:
    assert shape([0.0, 0.5, 1.0], *[attempt(a) for a in "abc"], own=0.5, outcome=0.25) == [0.25, 0.5, 0.75]
    assert shape([1.0, 0.5, 0.0], *[attempt(a) for a in "abc"], own=0.0, outcome=2.0) == [0.0, 0.0, 0.0]


def test_format_is_rewarded_where_the_attempt_ended_answered_without_an_invalid_turn() -> None:
    attempts = [attempt("a"), attempt("b", invalid=1), attempt(None), attempt("c", StopReason.ATTEMPT_BUDGET)]
    assert shape([0.0] * 4, *attempts, format=0.1) == [0.1, 0.0, 0.0, 0.0]


def test_an_attempt_that_could_not_start_has_nothing_to_reward() -> None:
    unstarted = attempt(None, tokens=0)
    shaped = shape([1.0, 0.0], attempt("a"), unstarted, improvement=0.5, repetition=0.5, outcome=0.5)
    assert shaped == [1.0, 0.0]


@given(
    rewards=st.lists(st.floats(0, 1), min_size=1, max_size=5),
    weights=st.fixed_dictionaries(
        {name: st.floats(0.01, 2) for name in ("own", "outcome", "improvement", "repetition", "format")}
    ),
    data=st.data(),
)
def test_terms_add_up(rewards: list[float], weights: dict[str, float], data: st.DataObject) -> None:
    answers = data.draw(st.lists(st.sampled_from(["x", "y", None]), min_size=len(rewards), max_size=len(rewards)))
    invalid = data.draw(st.lists(st.integers(0, 1), min_size=len(rewards), max_size=len(rewards)))
    last = len(rewards) - 1
    expected = []
    for n, reward in enumerate(rewards):
        value = weights["own"] * reward + weights["outcome"] * rewards[last]
        if n > 0:
            value += weights["own"] * weights["improvement"] * (reward - rewards[n - 1])
        if answers[n] is not None and not invalid[n]:
            value += weights["format"]
        if n == last:
            distinct = len({answer for answer in answers if answer is not None})
            value -= weights["repetition"] * (1 - distinct / len(rewards))
        expected.append(value)
    attempts = [attempt(answer, invalid=count) for answer, count in zip(answers, invalid, strict=True)]
    assert shape(rewards, *attempts, **weights) == pytest.approx(expected)


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, "much", None, True])
@pytest.mark.parametrize("name", ["own", "outcome", "improvement", "repetition", "format"])
def test_weights_that_cannot_be_are_refused(name: str, value: Any) -> None:
    with pytest.raises(UserError) as refusal:
        Shaping(**{name: value})
    assert str(refusal.value) == f"shaping.{name} is {value!r}; it must be a finite number of at least 0."


def test_no_reward_at_all_is_refused() -> None:
    with pytest.raises(UserError, match=r"shaping.own and shaping.outcome are both 0"):
        Shaping(own=0, format=1)


def test_record_has_the_shaped_rewards_where_there_are_any_and_the_others_always() -> None:
    def record(shaped: list[float] | None) -> dict[str, Any]:
        return scored_record(meta_episode(attempt("a")), [1.0], question_id="q", source="s", golds=["a"], shaped=shaped)

    assert record([0.5])["shaped_rewards"] == [0.5]
    assert record([0.5])["rewards"] == record(None)["rewards"] == [1.0]
    assert "shaped_rewards" not in record(None)
