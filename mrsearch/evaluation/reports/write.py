"""The report of an evaluation: report.json, report.md and report.html in its run folder."""

import json
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mrsearch.evaluation.metrics import Row, summarise_benchmarks
from mrsearch.evaluation.reports.grids import Grid, Section
from mrsearch.evaluation.reports.sections import sections
from mrsearch.runs import RunFolder, write_atomically


def write_report(run: RunFolder, settings: Mapping[str, Any], rows: Iterable[Row]) -> dict[str, Any]:
    """Summarises the meta-episodes of an evaluation and writes the report in its three forms.

    Args:
        run: the folder to write to.
        settings: what was evaluated and how; shown as it is.
        rows: every meta-episode once.

    Returns:
        What is written to report.json: `benchmarks`, `macro` (see `summarise_benchmarks`) and `settings`.
    """
    report = summarise_benchmarks(rows) | {"settings": dict(settings)}
    parts = sections(report)
    model = str(settings.get("model", "a model"))
    title = f"Evaluation of {model if '://' in model else Path(model).name}"
    write_atomically(run.path / "report.md", _markdown(title, parts))
    write_atomically(run.path / "report.html", _html(title, report, parts))
    write_atomically(run.report, json.dumps(report, indent=2) + "\n")
    return report


def _markdown(title: str, parts: Iterable[Section]) -> str:
    lines = [f"# {_cell(title)}", ""]
    for part in parts:
        lines += [f"## {part.title}", ""]
        lines += [_cell(part.note), ""] if part.note else []
        for grid in part.grids:
            lines += [*_grid(grid), ""]
    return "\n".join(lines)


def _grid(grid: Grid) -> list[str]:
    rows = [grid.header, ["---", *["---:"] * (len(grid.header) - 1)], *grid.rows]
    return [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]


def _cell(text: str) -> str:
    """Text that can neither end a cell nor become markup."""
    return escape(" ".join(text.split()), quote=False).replace("|", "\\|")


def _html(title: str, report: Mapping[str, Any], parts: Iterable[Section]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(title=title, report=report, sections=list(parts))
