"""A run ends when a bound has been crossed for long enough, and not before."""

import math

import pytest

from mrsearch.errors import UserError
from mrsearch.verl_plugin.stopping import Alarms, spent

FINE = {"final/reward": 0.5, "actor/entropy": 1.0, "actions/invalid_rate": 0.1, "mismatch/kl": 1e-6}


def test_a_bound_must_be_crossed_for_all_of_patience_on_end() -> None:
    alarms = Alarms({"patience": 2, "min_entropy": 0.1})
    low = FINE | {"actor/entropy": 0.05}
    assert [alarms.watch(step) for step in (low, FINE, low)] == [None, None, None]
    assert alarms.watch(low) == "actor/entropy is 0.05, below mrsearch.alarms.min_entropy=0.1 for 2 steps"


@pytest.mark.parametrize(
    ("bound", "figure", "inside", "outside"),
    [
        ("min_reward", "final/reward", 0.2, 0.19),
        ("min_entropy", "actor/entropy", 0.2, 0.19),
        ("max_entropy", "actor/entropy", 0.2, 0.21),
        ("max_invalid_rate", "actions/invalid_rate", 0.2, 0.21),
        ("max_mismatch_kl", "mismatch/kl", 0.2, math.nan),
    ],
)
def test_the_bound_itself_is_inside(bound: str, figure: str, inside: float, outside: float) -> None:
    alarms = Alarms({"patience": 1, bound: 0.2})
    assert alarms.watch(FINE | {figure: inside}) is None
    assert bound in (alarms.watch(FINE | {figure: outside}) or "")


def test_what_is_null_is_not_watched() -> None:
    assert Alarms({"patience": 1, "min_reward": None}).watch({}) is None


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"patience": 0}, "patience is 0; it must be a whole number of at least 1"),
        ({"patience": 1, "min_rewards": 0.1}, "There is no alarm 'min_rewards'; choose of min_reward"),
        ({"patience": 1, "min_reward": "low"}, "min_reward is 'low'; it must be a number"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Alarms(settings)


def test_budget() -> None:
    assert [spent(99, 100), spent(100, 100), spent(1e9, None)] == [False, True, False]
