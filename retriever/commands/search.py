"""`search`: one query from the shell."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from retriever.clients import Patience, open_sync
from retriever.commands.console import one_sentence
from retriever.limits import DEFAULT_TOPK
from retriever.types import Passage


def search(
    target: Annotated[
        str, typer.Argument(metavar="DIR|URL|web:ENGINE", help="Index folder, server address or web search engine.")
    ],
    query: Annotated[str, typer.Argument(help="Words to search for.")],
    topk: Annotated[int, typer.Option(help="How many passages to show.")] = DEFAULT_TOPK,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the answer.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per passage and line.")] = False,
) -> None:
    """Search an index folder, a server or the web with one query."""
    with one_sentence():
        patience = Patience(deadline_s=timeout, try_timeout_s=timeout, retries=2)
        with open_sync(target, patience=patience) as searcher:
            [passages] = searcher.search([query], topk)
    for rank, passage in enumerate(passages, start=1):
        typer.echo(_json(passage) if as_json else _paragraph(rank, passage))
    if not passages and not as_json:
        typer.echo("No passage matches.")


def _json(passage: Passage) -> str:
    record = {"id": passage.id, "title": passage.title, "text": passage.text, "score": passage.score}
    return json.dumps(record, ensure_ascii=False)


def _paragraph(rank: int, passage: Passage) -> str:
    return f"{rank}. {passage.title} [{passage.id}]  {passage.score:.4f}\n   {' '.join(passage.text.split())}"
