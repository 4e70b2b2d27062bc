"""The command line: build an index, serve it, search it, describe it, measure it. Run as `python -m retriever`."""

from __future__ import annotations

import typer

from retriever.commands.bench import bench
from retriever.commands.evaluate import evaluate
from retriever.commands.index import index
from retriever.commands.info import info
from retriever.commands.search import search
from retriever.commands.serve import serve

app = typer.Typer(no_args_is_help=True, help="Build, serve and search passage indexes.", add_completion=False)
for command in (index, serve, search, info, bench):
    app.command()(command)
app.command("eval")(evaluate)
