"""Runs side by side, and how each differs from the first on the questions they share."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrsearch.errors import UserError
from mrsearch.evaluation.metrics import Row, latest, mean_difference, paired, read_rows, summarise_benchmarks
from mrsearch.runs import RunFolder, read_json_lines


def compare(runs: Sequence[Path]) -> dict[str, Any]:
    """Compares evaluations with the first of them.

    Returns:
        `runs`: of each its path (`run`) and figures (`benchmarks`, `macro`); `benchmarks`: the names of all;
        `differences`: of each run but the first its path (`run`), by shared benchmark what `paired` says of it minus
        the first, and under `macro` the mean difference over the shared benchmarks (see `mean_difference`).

    Raises:
        UserError: fewer than two runs are given, one holds no evaluation, or one shares no question with the first or
            has another question of the same id.
    """
    if len(runs) < 2:
        raise UserError("There is nothing to compare; give two run folders or more.")
    rows = [read_run(run) for run in runs]
    reports = [summarise_benchmarks(part) for part in rows]
    return {
        "runs": [{"run": str(run), **report} for run, report in zip(runs, reports, strict=True)],
        "benchmarks": sorted({name for report in reports for name in report["benchmarks"]}),
        "differences": [_difference(runs[0], rows[0], run, part) for run, part in zip(runs[1:], rows[1:], strict=True)],
    }


def read_run(run: Path) -> list[Row]:
    """The meta-episodes of an evaluation's run folder; of those recorded twice, the later.

    Raises:
        UserError: there are none, or a line is not one.
    """
    path = RunFolder(run).episodes("test", 0)
    if not path.is_file():
        raise UserError(f"{run} holds no evaluation (no {path.relative_to(run)}); give run folders of `mrsearch eval`.")
    try:
        rows = latest(read_rows(read_json_lines(path)))
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(
            f"{path} holds a line that is no record of a meta-episode ({reason}); evaluate again into a new folder."
        ) from error
    if not rows:
        raise UserError(f"{run} holds no meta-episode yet; evaluate something first.")
    return rows


def _difference(first: Path, first_rows: Sequence[Row], run: Path, rows: Sequence[Row]) -> dict[str, Any]:
    ours, theirs = _by_source(rows), _by_source(first_rows)
    shared = sorted(ours.keys() & theirs.keys())
    if other := _asked_otherwise(rows, first_rows):
        raise UserError(
            f"{run} and {first} ask different questions as {' '.join(other)}; compare runs on the same question files."
        )
    pairs = {source: paired(ours[source], theirs[source]) for source in shared}
    pairs = {source: pair for source, pair in pairs.items() if pair["n"]}
    if not pairs:
        raise UserError(f"{run} and {first} have no scored question in common; compare runs on the same benchmarks.")
    macro = mean_difference([(ours[source], theirs[source]) for source in pairs])
    return {"run": str(run), "against": str(first), "benchmarks": pairs, "macro": macro}


def _asked_otherwise(rows: Sequence[Row], others: Sequence[Row]) -> tuple[str, str] | None:
    """A question that two runs know by the same benchmark and id and not by the same words, if there is one."""
    asked = {row.question: row.asked for row in others}
    return next((row.question for row in rows if asked.get(row.question, row.asked) != row.asked), None)


def _by_source(rows: Sequence[Row]) -> Mapping[str, list[Row]]:
    sources: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        sources[row.source].append(row)
    return sources
