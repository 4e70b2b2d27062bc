"""`search`: one query from the shell."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

from retriever.clients import open_searcher
from retriever.commands.console import one_sentence
from retriever.limits import DEFAULT_TOPK
from retriever.types import Passage


def search(
    target: Annotated[str, typer.Argument(metavar="DIR|URL", help="Index folder or server address.")],
    query: Annotated[str, typer.Argument(help="Words to search for.")],
    topk: Annotated[int, typer.Option(help="How many passages to show.")] = DEFAULT_TOPK,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per passage and line.")] = False,
) -> None:
    """Search an index folder or a server with one query."""
    with one_sentence():
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
