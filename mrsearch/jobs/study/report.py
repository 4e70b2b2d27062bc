"""The study's report: tables in Markdown and figures, from the result files alone."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from mrsearch.errors import UserError
from mrsearch.jobs.study.analysis import (
    ArmResults,
    arms_of,
    by_seed,
    difference,
    estimate,
    final,
    matched,
    questions_by_hops,
)
from mrsearch.jobs.study.figures import plot_curves, plot_differences, plot_scaling
from mrsearch.jobs.study.plan import Experiment, Plan
from mrsearch.jobs.study.results import read_results
from mrsearch.runs import write_atomically

OURS = "mr_search"
_TESTS = {"greedy": "greedy", "sampled": "temperature 1"}


def write_report(plan: Plan, out: Path) -> Path:
    """Writes `report.md` and `figures/` from all results of a folder; returns the report's path.

    Raises:
        UserError: there is no result yet, or a file is none.
    """
    results = read_results(out)
    parts, figures = ["# Study"], out / "figures"
    for name, experiment in plan.experiments.items():
        if arms := arms_of(plan, name, results):
            parts += _experiment(name, experiment, arms)
            plot_scaling(arms, figures / f"{name}_attempts.png")
            plot_curves(arms, figures / f"{name}_curves.png")
    if len(parts) == 1:
        raise UserError(f"{out} holds no result yet; run `mrsearch study --out {out}`.")
    compared = {name: arms_of(plan, name, results) for name in plan.experiments}
    plot_differences(plan, compared, OURS, figures / "differences.png")
    report = out / "report.md"
    write_atomically(report, "\n\n".join(parts) + "\n")
    return report


def _experiment(name: str, experiment: Experiment, arms: Sequence[ArmResults]) -> Iterable[str]:
    questions = arms[0].right("greedy", 1).shape[1]
    yield f"## {name}\n\n{experiment.about[0].upper() + experiment.about[1:]}; {questions} held-out questions."
    for test, words in _TESTS.items():
        yield f"Exact match, {words}:\n\n" + _main_table(experiment, arms, test)
    if any(arm.has_independent for arm in arms):
        yield f"{experiment.attempts} independent attempts, temperature 1:\n\n" + _independent(experiment, arms)
    yield "By attempts at test time, greedy:\n\n" + _scaling(arms)
    yield "What attempts cost and find, greedy, by attempt:\n\n" + _behaviour(experiment, arms)
    by_hops = questions_by_hops(arms)
    if by_hops:
        yield "Last attempt by hops:\n\n" + _by_hops(experiment, arms)
    if any(arm.name == OURS for arm in arms):
        yield f"`{OURS}` minus each, last attempt:\n\n" + _differences(experiment, arms)
        if by_hops:
            yield f"`{OURS}` minus each, last attempt by hops:\n\n" + _differences_by_hops(experiment, arms)
        yield f"`{OURS}` minus each, first attempt:\n\n" + _exploration(arms)


def _main_table(experiment: Experiment, arms: Sequence[ArmResults], test: str) -> str:
    attempts = range(1, experiment.attempts + 1)
    head = ["arm", "seeds", *(f"attempt {n}" for n in attempts), "any"]
    rows = [
        [
            _label(arm),
            str(len(arm.results)),
            *(str(estimate(arm.right(test, n))) for n in attempts),
            str(estimate(arm.any_right(test, experiment.attempts))),
        ]
        for arm in arms
    ]
    return _table(head, rows)


def _independent(experiment: Experiment, arms: Sequence[ArmResults]) -> str:
    k = experiment.attempts
    rows = [
        [
            _label(arm),
            str(estimate(arm.right("independent", 1))),
            str(estimate(arm.vote(k))),
            str(estimate(arm.any_right("independent", k))),
        ]
        for arm in arms
        if arm.has_independent
    ]
    return _table(["arm", "one", f"vote of {k}", f"best of {k} (oracle)"], rows)


def _scaling(arms: Sequence[ArmResults]) -> str:
    attempts = range(1, arms[0].attempts + 1)
    rows = [[_label(arm), *(f"{arm.right('greedy', n).mean():.3f}" for n in attempts)] for arm in arms]
    return _table(["arm", *map(str, attempts)], rows)


def _behaviour(experiment: Experiment, arms: Sequence[ArmResults]) -> str:
    def row(arm: ArmResults) -> list[str]:
        figures = (arm.mean("greedy", name)[: experiment.attempts] for name in ("searches", "tokens", "coverage"))
        searches, tokens, coverage = figures
        trained = [result.training for result in arm.results if result.training]
        return [
            _label(arm),
            " / ".join(f"{x:.2f}" for x in searches),
            " / ".join(f"{x:.0f}" for x in tokens),
            " / ".join(f"{x:.2f}" for x in coverage),
            f"{sum(t['steps'] for t in trained) / len(trained):.0f}" if trained else "–",
            f"{sum(t['tokens'] for t in trained) / len(trained) / 1000:.0f} k" if trained else "–",
        ]

    return _table(
        ["arm", "searches", "tokens", "gold passages shown so far", "steps", "tokens trained"],
        [row(arm) for arm in arms],
    )


def _differences(experiment: Experiment, arms: Sequence[ArmResults]) -> str:
    rows = []
    for ours, arm in _pairs(arms):
        cells = []
        for test in _TESTS:
            a, b = final(ours, experiment, test), final(arm, experiment, test)
            cells += [difference(a, b).signed, ", ".join(f"{d:+.2f}" for d in by_seed(a, b))]
        rows.append([_label(arm), *cells])
    return _table(["arm", "greedy", "by seed", "temperature 1", "by seed"], rows)


def _by_hops(experiment: Experiment, arms: Sequence[ArmResults]) -> str:
    parts = questions_by_hops(arms)
    rows = [
        [_label(arm), *(str(estimate(final(arm, experiment, test)[:, of])) for test in _TESTS for of in parts.values())]
        for arm in arms
    ]
    return _table(_hops_head(parts), rows)


def _differences_by_hops(experiment: Experiment, arms: Sequence[ArmResults]) -> str:
    parts = questions_by_hops(arms)
    rows = []
    for ours, arm in _pairs(arms):
        finals = [(final(ours, experiment, test), final(arm, experiment, test)) for test in _TESTS]
        cells = [difference(a[:, of], b[:, of]).signed for a, b in finals for of in parts.values()]
        rows.append([_label(arm), *cells])
    return _table(_hops_head(parts), rows)


def _hops_head(parts: Iterable[str]) -> list[str]:
    return ["arm", *(f"{words}, {hops}" for words in _TESTS.values() for hops in parts)]


def _exploration(arms: Sequence[ArmResults]) -> str:
    """Whether a first attempt that is credited for later ones searches more and finds more."""
    rows = []
    for ours, arm in _pairs([arm.detailed for arm in arms]):
        cells = [
            difference(figure(ours, test, 1), figure(arm, test, 1)).signed
            for figure in (ArmResults.searched, ArmResults.coverage)
            for test in _TESTS
        ]
        rows.append([_label(arm), *cells])
    head = ["arm", "searches, greedy", "temperature 1", "gold passages shown, greedy", "temperature 1"]
    return _table(head, rows)


def _pairs(arms: Sequence[ArmResults]) -> Iterable[tuple[ArmResults, ArmResults]]:
    """Our arm beside each other one, with the seeds that both have."""
    (ours,) = (arm for arm in arms if arm.name == OURS)
    for arm in arms:
        pair = matched(ours, arm)
        if arm is not ours and all(part.results for part in pair):
            yield pair


def _label(arm: ArmResults) -> str:
    return f"`{arm.name}`"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
