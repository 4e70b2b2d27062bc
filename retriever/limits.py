"""What one search request may hold; the same for every searcher and for the server."""

from __future__ import annotations

from collections.abc import Sequence

from retriever.errors import BadRequest

MAX_QUERIES = 1024
MAX_QUERY_CHARS = 4096
MAX_TOPK = 1000
MAX_PASSAGES = 100_000
"""Queries times topk: the most passages of one answer."""
MAX_IDS = 1024
MAX_ID_CHARS = 4096
DEFAULT_TOPK = 3


def check_topk(topk: int) -> None:
    """Raises `BadRequest` unless `topk` is a whole number from 1 to `MAX_TOPK`."""
    if isinstance(topk, bool) or not isinstance(topk, int) or not 1 <= topk <= MAX_TOPK:
        raise BadRequest(f"topk must be a whole number from 1 to {MAX_TOPK}, found {topk!r}.")


def check_size(queries: int, topk: int) -> None:
    """Raises `BadRequest` unless a request of so many queries asks for at most `MAX_PASSAGES` passages."""
    if queries * topk > MAX_PASSAGES:
        raise BadRequest(
            f"one request may ask for at most {MAX_PASSAGES:,} passages (queries times topk), "
            f"found {queries:,} queries with topk {topk:,}; send fewer queries at once."
        )


def check_ids(ids: Sequence[str]) -> None:
    """Raises `BadRequest` unless these are at most `MAX_IDS` ids of at most `MAX_ID_CHARS` characters."""
    if len(ids) > MAX_IDS or any(len(key) > MAX_ID_CHARS for key in ids):
        raise BadRequest(f"one request may ask for at most {MAX_IDS} ids, each of at most {MAX_ID_CHARS} characters.")


def clean_queries(queries: Sequence[str]) -> list[str]:
    """Returns the queries cut to `MAX_QUERY_CHARS` characters, with unpaired surrogates replaced.

    Searchers cut instead of refusing because a policy, not a programmer, writes these queries.

    Raises:
        BadRequest: `queries` is a bare string or holds something that is not a string.
    """
    if isinstance(queries, str):
        raise BadRequest("queries must be a list of strings, found one string.")
    return [_clean(query) for query in queries]


def _clean(query: str) -> str:
    if not isinstance(query, str):
        raise BadRequest(f"every query must be a string, found {type(query).__name__}.")
    return query[:MAX_QUERY_CHARS].encode("utf-8", errors="replace").decode("utf-8")
