"""`eval`: how well an index or a server finds the gold passages of questions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from retriever.clients import Patience, open_sync
from retriever.commands.console import one_sentence
from retriever.errors import BadRequest


def evaluate(
    target: Annotated[str, typer.Argument(metavar="DIR|URL", help="Index folder or server address.")],
    questions: Annotated[list[Path], typer.Option(help="Questions as JSON lines; may be given several times.")],
    k: Annotated[str, typer.Option(help="Cutoffs, such as 3,10.")] = "3,10",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for 64 answers.")] = 600.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Measure recall, MRR and nDCG against gold passages, with 95 % confidence intervals."""
    from retriever.evaluation import evaluate, read_questions

    with one_sentence():
        ks = _cutoffs(k)
        sets = [(path, read_questions(path)) for path in questions]
        patience = Patience(deadline_s=timeout, try_timeout_s=timeout, retries=2)
        with open_sync(target, patience=patience) as searcher:
            found = [{"questions": str(path)} | evaluate(searcher.search, asked, ks) for path, asked in sets]
    if as_json:
        typer.echo(json.dumps({"target": target, "ks": ks, "results": found}, indent=2, ensure_ascii=False))
        return
    for figures in found:
        _show(figures)


def _cutoffs(text: str) -> list[int]:
    try:
        return sorted({int(part) for part in text.split(",")})
    except ValueError as error:
        raise BadRequest(
            f'--k must be whole numbers with commas between them, such as 3,10; found "{text}".'
        ) from error


def _show(figures: dict[str, Any]) -> None:
    kinds = [("gold passages", "n"), ("answers in passages", "answers_n")]
    counts = ", ".join(f"{label}: n = {figures[key]}" for label, key in kinds if key in figures)
    typer.echo(f"{figures['questions']} ({counts})")
    table = Table("figure", "mean", "95 % interval")
    for name, value in figures.items():
        if isinstance(value, float):
            low, high = figures[f"{name}_ci95"]
            table.add_row(name, f"{value:.3f}", f"{low:.3f} to {high:.3f}")
    Console().print(table)
