"""When a training ends before its last step: its tokens are spent, or its policy has collapsed."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from mrsearch.errors import UserError

_ALARMS = {
    "min_reward": ("final/reward", min),
    "min_entropy": ("actor/entropy", min),
    "max_entropy": ("actor/entropy", max),
    "max_invalid_rate": ("actions/invalid_rate", max),
    "max_mismatch_kl": ("mismatch/kl", max),
}
"""Settings of `mrsearch.alarms`: the figure of a step they watch, and the side on which their bound lies."""


class Collapsed(Exception):
    """The policy has been out of bounds for too long; the message says which bound."""


class Alarms:
    """Watches the figures of every step against the bounds of `mrsearch.alarms`.

    Args:
        settings: `patience`, the steps on end for which a bound must be crossed, and the bounds by name; a bound of
            None is not watched.

    Raises:
        UserError: a name is not known, or a value is not a number.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        check_alarms(settings)
        self._patience: int = settings["patience"]
        self._bounds = {name: settings[name] for name in _ALARMS if settings.get(name) is not None}
        self._crossed: Counter[str] = Counter()

    def watch(self, figures: Mapping[str, float]) -> str | None:
        """Takes in one step; says what is wrong once a bound has been crossed for `patience` steps on end."""
        for name, bound in self._bounds.items():
            figure, side = _ALARMS[name]
            value = figures[figure]
            # NaN is on no side of any bound, and is the worst of collapses.
            crossed = math.isnan(value) or side(value, bound) == value != bound
            self._crossed[name] = self._crossed[name] + 1 if crossed else 0
            if self._crossed[name] >= self._patience:
                where = "below" if side is min else "above"
                return f"{figure} is {value:.3g}, {where} mrsearch.alarms.{name}={bound:g} for {self._patience} steps"
        return None


def check_alarms(settings: Mapping[str, Any]) -> None:
    """Checks the settings of `Alarms`.

    Raises:
        UserError: a name is not known, or a value is not a number.
    """
    for name, value in settings.items():
        if name == "patience":
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UserError(f"mrsearch.alarms.patience is {value!r}; it must be a whole number of at least 1.")
        elif name not in _ALARMS:
            raise UserError(f"There is no alarm {name!r}; choose of {', '.join(_ALARMS)}.")
        elif value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise UserError(f"mrsearch.alarms.{name} is {value!r}; it must be a number, or null to watch nothing.")


def spent(tokens: float, budget: int | None) -> bool:
    """Whether the sampled tokens of a run have reached its budget; None is no budget."""
    return budget is not None and tokens >= budget
