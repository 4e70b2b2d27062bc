"""`index`: a corpus becomes an index folder."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from retriever.commands.console import errors, one_sentence
from retriever.indexes.bm25 import build_index


class IndexType(StrEnum):
    """Types of index that can be built."""

    BM25 = "bm25"


_BUILDERS = {IndexType.BM25: build_index}


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
    with one_sentence(), Progress(*columns, console=errors, transient=True) as bar:
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
    typer.echo(f"{manifest.passages} passages indexed in {manifest.build['seconds']:.1f} s: {out}")
