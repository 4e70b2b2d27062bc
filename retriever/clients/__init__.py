"""Searchers, with one interface: in this process, through a Ray Serve handle, over HTTP.

Each has `async search(queries, topk)` and `async close()`. All coalesce the queries of concurrent callers,
bound the time of every try, and repeat failed tries after a random wait.
What still fails raises `SearchFailed`, which names the target and the cause.
"""

from __future__ import annotations

from pathlib import Path

from retriever.clients.handle import HandleSearcher
from retriever.clients.http import HttpSearcher
from retriever.clients.local import LocalSearcher
from retriever.clients.searcher import Searcher
from retriever.errors import BadRequest

__all__ = ["HandleSearcher", "HttpSearcher", "LocalSearcher", "Searcher", "open_searcher"]


def open_searcher(target: str) -> Searcher:
    """Opens the searcher that a target names: an `http(s)://…` address, `serve:NAME`, or an index folder.

    Nothing is connected or loaded yet, except that an index folder must exist.

    Raises:
        BadRequest: the target is none of these.
    """
    if target.startswith(("http://", "https://")):
        return HttpSearcher(target)
    if target.startswith("serve:") and target != "serve:":
        return HandleSearcher(target.removeprefix("serve:"))
    if target and Path(target).is_dir():
        return LocalSearcher(Path(target))
    raise BadRequest(
        f"{target!r} is not a retriever; give an http:// or https:// address, serve:NAME, or an existing index folder."
    )
