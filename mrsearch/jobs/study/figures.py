"""The study's figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrsearch.files import whole_file
from mrsearch.jobs.study.analysis import ArmResults, curve, difference, estimate, final, matched, questions_by_hops
from mrsearch.jobs.study.plan import Plan


def plot_scaling(arms: Sequence[ArmResults], path: Path) -> None:
    """Exact match by attempts at test time, greedy, with intervals."""
    figure, axes = _figure()
    for arm in arms:
        attempts = range(1, arm.attempts + 1)
        estimates = [estimate(arm.right("greedy", n)) for n in attempts]
        values = [e.value for e in estimates]
        (line,) = axes.plot(attempts, values, marker="o", linewidth=2, label=arm.name)
        axes.fill_between(
            attempts, [e.low for e in estimates], [e.high for e in estimates], alpha=0.12, color=line.get_color()
        )
    axes.set(xlabel="attempts at test time", ylabel="exact match, greedy", ylim=(0, 1.02))
    _save(figure, axes, path)


def plot_curves(arms: Sequence[ArmResults], path: Path) -> None:
    """Reward of the last attempt against sampled tokens, mean over seeds and their range."""
    figure, axes = _figure()
    for arm in arms:
        if arm.results[0].curve:
            end = min(result.curve[-1]["tokens"] for result in arm.results)
            points = np.linspace(0, end, 100)
            curve_SP = np.array([curve(result, points) for result in arm.results])
            (line,) = axes.plot(points / 1000, curve_SP.mean(axis=0), linewidth=2, label=arm.name)
            axes.fill_between(
                points / 1000, curve_SP.min(axis=0), curve_SP.max(axis=0), alpha=0.12, color=line.get_color()
            )
    axes.set(xlabel="sampled tokens, thousands", ylabel="exact match of the last attempt in training", ylim=(0, 1.02))
    _save(figure, axes, path)


def plot_differences(plan: Plan, compared: Mapping[str, Sequence[ArmResults]], ours: str, path: Path) -> None:
    """Several attempts minus one long attempt with as many searches, by experiment and by hops, with intervals."""
    pairs = {name: pair for name, arms in compared.items() if (pair := _ours_and_long(arms, ours))}
    figure, axes = _figure(height=1.4 + 0.8 * len(pairs))
    for place, (name, pair) in enumerate(pairs.items()):
        a_SQ, b_SQ = (final(arm, plan.experiments[name], "greedy") for arm in pair)
        parts: dict[str, Any] = {"all questions": slice(None), **questions_by_hops(pair)}
        for step, (label, questions) in enumerate(parts.items()):
            e = difference(a_SQ[:, questions], b_SQ[:, questions])
            errors = [[e.value - e.low], [e.high - e.value]]
            y, color = place + 0.18 * step, f"C{step}"
            axes.errorbar(e.value, y, xerr=errors, fmt="o", capsize=3, color=color, label=None if place else label)
    axes.axvline(0, color="grey", linewidth=1)
    axes.set_yticks(range(len(pairs)), pairs)
    axes.set(xlabel="exact match, greedy: several attempts minus one long attempt", ylim=(len(pairs) - 0.1, -0.4))
    _save(figure, axes, path, legend=bool(pairs))


def _ours_and_long(arms: Sequence[ArmResults], ours: str) -> tuple[ArmResults, ArmResults] | None:
    by_name = {arm.name: arm for arm in arms}
    if not {ours, "long"} <= by_name.keys():
        return None
    pair = matched(by_name[ours], by_name["long"])
    return pair if all(arm.results for arm in pair) else None


def _figure(height: float = 4.2) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, height), dpi=150, layout="constrained")
    return figure, figure.add_subplot()


def _save(figure: Any, axes: Any, path: Path, *, legend: bool = True) -> None:
    axes.grid(alpha=0.3)
    if legend:
        axes.legend(frameon=False, fontsize=8)
    with whole_file(path) as partial:
        figure.savefig(partial, format="png")
