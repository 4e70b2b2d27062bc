"""Searchers, with one interface: in this process, through a Ray Serve handle, over HTTP, of the web.

Each has `async search(queries, topk)` and `async close()`. All coalesce the queries of concurrent callers and keep the
limits of one `Patience`: a deadline for each search, tries repeated after random waits, a circuit breaker, bounds.
What fails raises `SearchFailed`, or a kind of it, which names the target and the cause.
`SyncSearcher` makes any of them usable without asyncio.
"""

from __future__ import annotations

from pathlib import Path

from retriever.clients.handle import HandleSearcher
from retriever.clients.http import HttpSearcher
from retriever.clients.local import LocalSearcher
from retriever.clients.patience import Patience
from retriever.clients.searcher import Searcher
from retriever.clients.sync import SyncSearcher
from retriever.clients.web import WebSearcher
from retriever.errors import BadRequest

__all__ = [
    "HandleSearcher",
    "HttpSearcher",
    "LocalSearcher",
    "Patience",
    "Searcher",
    "SyncSearcher",
    "WebSearcher",
    "open_searcher",
    "open_sync",
]


def open_searcher(target: str, *, patience: Patience | None = None) -> Searcher:
    """Opens the searcher that a target names.

    Nothing is connected or loaded yet.

    Args:
        target: an `http(s)://…` address, `serve:NAME`, `web:serper`, `web:serpapi`, `web:google`, `web:brave`, or an
            index folder, which must exist.
        patience: in place of the default of that kind of searcher.

    Raises:
        BadRequest: the target is none of these, or the key of a web search engine is not in the environment.
    """
    kind, _, name = target.partition(":")
    if kind in ("http", "https"):
        return HttpSearcher(target, patience=patience)
    if kind == "serve" and name:
        return HandleSearcher(name, patience=patience)
    if kind == "web":
        return WebSearcher(name, patience=patience)
    if target and Path(target).is_dir():
        return LocalSearcher(Path(target), patience=patience)
    raise BadRequest(
        f"{target!r} is not a retriever; give an http:// or https:// address, serve:NAME, web:ENGINE, "
        "or an existing index folder."
    )


def open_sync(target: str, *, patience: Patience | None = None) -> SyncSearcher:
    """Opens what `open_searcher` opens, for use without asyncio; close it, or use it in a `with` statement.

    Raises:
        BadRequest: see `open_searcher`.
    """
    return SyncSearcher(open_searcher(target, patience=patience))
