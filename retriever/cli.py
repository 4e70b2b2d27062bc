"""The command line: build an index, serve it, search it. Run as `python -m retriever`."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from retriever.bm25 import build_index
from retriever.client import open_searcher
from retriever.errors import RetrieverError
from retriever.limits import DEFAULT_TOPK
from retriever.types import Passage

app = typer.Typer(no_args_is_help=True, help="Build, serve and search passage indexes.", add_completion=False)
_errors = Console(stderr=True)


class IndexType(StrEnum):
    """Types of index that can be built."""

    BM25 = "bm25"


_BUILDERS = {IndexType.BM25: build_index}


@app.command()
def index(
    corpus: Annotated[Path, typer.Argument(help="Corpus of JSON lines, .jsonl or .jsonl.gz.")],
    out: Annotated[Path, typer.Option(help="Index folder to create.")],
    index_type: Annotated[IndexType, typer.Option("--type", help="Type of index.")] = IndexType.BM25,
    k1: Annotated[float, typer.Option(help="BM25 term saturation, at least 0.")] = 0.9,
    b: Annotated[float, typer.Option(help="BM25 length normalisation, from 0 to 1.")] = 0.4,
    threads: Annotated[int, typer.Option(min=1, help="Threads that analyse passages.")] = 2,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an index at --out.")] = False,
) -> None:
    """Build an index of a corpus."""
    columns = (TextColumn("Indexing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with _one_sentence(), Progress(*columns, console=_errors, transient=True) as bar:
        task = bar.add_task("index", total=None)
        manifest = _BUILDERS[index_type](
            corpus,
            out,
            k1=k1,
            b=b,
            threads=threads,
            overwrite=overwrite,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    typer.echo(f"{manifest.passages} passages indexed in {manifest.build_seconds:.1f} s: {out}")


@app.command()
def serve(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Index folder.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    replicas: Annotated[int, typer.Option(min=1, help="Replicas, one process each.")] = 1,
) -> None:
    """Serve an index over HTTP until Ctrl-C or SIGTERM."""
    import ray

    from retriever.server import check_index, check_port, deploy

    with _one_sentence():
        check_index(folder)
        check_port(host, port)
        try:
            ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
            stop = _stop_signal()
            service = deploy(folder, host=host, port=port, replicas=replicas)
            typer.echo(f"Serving {folder} at {service.url} (POST /retrieve, GET /health); Ctrl-C ends it.")
            stop.wait()
        finally:
            # The cluster is this command's own, and Serve ends with it.
            ray.shutdown()


@app.command()
def search(
    target: Annotated[str, typer.Argument(metavar="DIR|URL", help="Index folder or server address.")],
    query: Annotated[str, typer.Argument(help="Words to search for.")],
    topk: Annotated[int, typer.Option(help="How many passages to show.")] = DEFAULT_TOPK,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per passage and line.")] = False,
) -> None:
    """Search an index folder or a server with one query."""
    with _one_sentence():
        passages = asyncio.run(_search(target, query, topk))
    for rank, passage in enumerate(passages, start=1):
        typer.echo(_json(passage) if as_json else _paragraph(rank, passage))
    if not passages and not as_json:
        typer.echo("No passage matches.")


async def _search(target: str, query: str, topk: int) -> list[Passage]:
    searcher = open_searcher(target)
    try:
        return (await searcher.search([query], topk))[0]
    finally:
        await searcher.close()


def _json(passage: Passage) -> str:
    record = {"id": passage.id, "title": passage.title, "text": passage.text, "score": passage.score}
    return json.dumps(record, ensure_ascii=False)


def _paragraph(rank: int, passage: Passage) -> str:
    return f"{rank}. {passage.title} [{passage.id}]  {passage.score:.4f}\n   {' '.join(passage.text.split())}"


def _stop_signal() -> threading.Event:
    """An event that Ctrl-C and SIGTERM set; to be called after `ray.init`, which sets handlers of its own."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Turns an error of this package into its sentence on standard error and exit status 1."""
    try:
        yield
    except RetrieverError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
