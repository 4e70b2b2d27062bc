"""`mrsearch compare`: evaluations side by side."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mrsearch.evaluation.comparison import compare as compare_runs
from mrsearch.evaluation.reports import comparison_table
from mrsearch.jobs.output import write_out


def compare(runs: Sequence[Path], out: Path | None, console: Console, *, as_json: bool) -> None:
    """Shows runs side by side with their differences from the first.

    Args:
        runs: run folders of evaluations, two or more.
        out: JSON file for the whole comparison; None for none.
        console: shows the table.
        as_json: show the whole comparison as JSON and nothing else.

    Raises:
        UserError: something given is no evaluation, or shares no question with the first, or `out` cannot be written.
    """
    comparison = compare_runs(runs)
    text = json.dumps(comparison, indent=2)
    if out is not None:
        write_out(out, text + "\n", "The comparison")
    if as_json:
        console.print(text, markup=False, highlight=False, soft_wrap=True)
        return
    console.print(comparison_table(comparison))
    for number, difference in enumerate(comparison["differences"], start=2):
        pairs = difference["benchmarks"].values()
        common, here, there = (sum(pair[name] for pair in pairs) for name in ("n", "only_in_a", "only_in_b"))
        console.print(f"{number} − 1: {common} questions in common, {here} only in {number}, {there} only in 1.")
    console.print("p: two-sided paired sign-flip test (McNemar's exact test where answers are right or wrong).")
