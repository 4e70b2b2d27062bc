"""Validation during training, with the figures of evaluation."""

from collections.abc import Iterable, Mapping
from typing import Any

from mrsearch.evaluation.metrics import latest, read_rows, summarise_benchmarks


def validation_metrics(records: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """What `summarise` says of each data set, as `val/SOURCE/NAME` or, by attempt, `val/SOURCE/NAME/attempt_N`.

    A validation that was interrupted and run again has recorded some meta-episodes twice; the later one counts.
    """
    report = summarise_benchmarks(latest(read_rows(records)))
    return {
        f"val/{source}/{name}": value
        for source, figures in report["benchmarks"].items()
        for name, value in _flat(figures)
    }


def _flat(figures: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    for name, value in figures.items():
        if isinstance(value, int | float):
            yield name, float(value)
        # An interval is two numbers, and not one for each attempt.
        elif isinstance(value, list) and not name.endswith("_ci"):
            numbered = enumerate(value, start=1)
            yield from ((f"{name}/attempt_{n}", float(item)) for n, item in numbered if isinstance(item, int | float))
        elif isinstance(value, dict):
            yield from ((f"{name}/{part}", number) for part, number in _flat(value))
