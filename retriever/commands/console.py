"""What the commands share: how errors are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from retriever.errors import RetrieverError

errors = Console(stderr=True)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turns an error of this package into its sentence on standard error and exit status 1."""
    try:
        yield
    except RetrieverError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
