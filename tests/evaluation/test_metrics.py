"""Figures of scored meta-episodes."""

import pytest

from mrsearch.evaluation.metrics import summarise


def record(rewards: list[float], stop: str = "answered", kinds: tuple[str, ...] = ("search", "answer")) -> dict:
    turns = [{"kind": kind} for kind in kinds]
    return {"rewards": rewards, "attempts": [{"stop_reason": stop, "turns": turns, "tokens": 5} for _ in rewards]}


def test_means_by_attempt_and_of_any_attempt() -> None:
    figures = summarise([record([0, 1]), record([1, 0]), record([0, 0]), record([0, 1], kinds=("invalid", "answer"))])
    assert figures["n"] == 4
    assert figures["exact_match"] == [0.25, 0.5]
    assert figures["any"] == 0.75
    assert figures["stop_reasons"] == {"answered": 1.0}
    assert (figures["searches"], figures["invalid_turns"], figures["tokens"]) == (1.5, 0.5, 10.0)


def test_intervals_hold_the_mean_shrink_with_n_and_repeat() -> None:
    few, many = ([record([0.0]), record([1.0])] * n for n in (10, 1000))
    (low, high), (lower, upper) = summarise(few)["exact_match_ci"][0], summarise(many)["exact_match_ci"][0]
    assert low < lower < 0.5 < upper < high
    # The normal approximation for n = 2,000: 0.5 ± 1.96 · 0.5 / √2000.
    assert (lower, upper) == pytest.approx((0.478, 0.522), abs=0.004)
    assert summarise(few) == summarise(few[::-1])


def test_a_lost_search_is_counted_and_left_out_of_the_scores() -> None:
    figures = summarise([record([1, 1]), record([0, 0], stop="search_failed")])
    assert (figures["n"], figures["search_failed"], figures["exact_match"]) == (1, 1, [1.0, 1.0])


def test_nothing_scored_is_no_score() -> None:
    figures = summarise([record([0, 0], stop="search_failed")])
    assert (figures["n"], figures["any"], figures["exact_match"]) == (0, None, [])
