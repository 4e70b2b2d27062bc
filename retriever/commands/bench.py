"""`bench`: the figures of the service, side by side with a stated baseline in one run."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from retriever.commands.console import one_sentence


def bench(
    passages: Annotated[int, typer.Option(min=1000, help="Passages of the synthetic corpus.")] = 200_000,
    repeats: Annotated[int, typer.Option(min=1, help="Alternating repeats of each measurement.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.5, help="Seconds of load per measurement.")] = 6.0,
    clients: Annotated[int, typer.Option(min=1, help="Concurrent clients, one query per request.")] = 64,
    work: Annotated[Path | None, typer.Option(help="Folder to keep corpora and indexes in for the next run.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Measure only this; may be repeated.")] = None,
) -> None:
    """Measure the service on this machine; prints JSON."""
    from retriever.bench.suite import Suite

    with one_sentence(), tempfile.TemporaryDirectory() as scratch:
        suite = Suite(work or Path(scratch), passages, repeats=repeats, seconds=seconds, clients=clients)
        typer.echo(json.dumps(suite.run(only), indent=2))
