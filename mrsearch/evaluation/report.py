"""Tables and pictures of results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.table import Table


def table(rows: Mapping[str, Mapping[str, Any]]) -> Table:
    """Exact match of every attempt and of any attempt, with n and 95 % intervals, one row per named summary."""
    attempts = max(len(figures["exact_match"]) for figures in rows.values())
    result = Table(title="Exact match on held-out questions (95 % interval)")
    result.add_column("")
    for number in range(1, attempts + 1):
        result.add_column(f"attempt {number}", justify="right")
    result.add_column("any", justify="right")
    result.add_column("n", justify="right")
    for name, figures in rows.items():
        if not figures["n"]:
            result.add_row(name, *["–"] * (attempts + 1), "0")
            continue
        means = [*figures["exact_match"], figures["any"]]
        intervals = [*figures["exact_match_ci"], figures["any_ci"]]
        cells = [f"{mean:.2f} ({low:.2f}–{high:.2f})" for mean, (low, high) in zip(means, intervals, strict=True)]
        result.add_row(name, *cells, str(figures["n"]))
    return result


def mean_mismatch(steps: Sequence[Mapping[str, Any]]) -> float:
    """Mean over the steps of the mean |Δ log-probability| of sampled tokens, engine against trainer."""
    return fmean(step["mismatch/logprob_abs_mean"] for step in steps)


def plot_learning_curves(steps: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Mean reward of every attempt over the training steps, smoothed over five steps, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    numbers = [step["step"] for step in steps]
    attempt = 1
    while (name := f"attempt_{attempt}/reward") in steps[0]:
        axes.plot(numbers, _smooth([step[name] for step in steps]), label=f"attempt {attempt}", linewidth=2)
        attempt += 1
    axes.set(xlabel="training step", ylabel="exact match of sampled attempts", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    draft = path.with_suffix(".draft.png")
    figure.savefig(draft)
    draft.replace(path)


def _smooth(values: Sequence[float], width: int = 5) -> list[float]:
    """Means over a trailing window."""
    return [fmean(values[max(0, end - width) : end]) for end in range(1, len(values) + 1)]
