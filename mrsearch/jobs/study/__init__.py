"""`mrsearch study`: ways of training, compared from one warm start at equal sampled tokens."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mrsearch.jobs.study.plan import Plan
from mrsearch.jobs.study.report import write_report
from mrsearch.jobs.study.run import run_study
from mrsearch.verl_plugin.recipes import RECIPES

PLAN = RECIPES / "study" / "study.yaml"


def study(
    experiments: Sequence[str],
    out: Path,
    console: Console,
    *,
    plan: Path | None,
    seeds: int,
    minutes: float,
    overrides: Sequence[str],
) -> None:
    """Runs what has no result yet, then reports on all results of the folder.

    Raises:
        UserError: the plan, an experiment's name or a setting is wrong.
        JobFailed: a run failed.
    """
    planned = Plan.read(plan or PLAN)
    jobs = list(planned.jobs(experiments or list(planned.experiments), seeds))
    if minutes:
        run_study(planned, jobs, out, console, minutes=minutes, overrides=overrides)
    report = write_report(planned, out)
    console.print(f"Report: {report}", soft_wrap=True)
