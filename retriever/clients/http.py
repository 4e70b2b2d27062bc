"""Searches a server over HTTP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from retriever.clients.searcher import Searcher, UnavailableError, first_line
from retriever.errors import BadRequest, SearchFailed
from retriever.types import Passage, split_contents

if TYPE_CHECKING:
    import httpx


class HttpSearcher(Searcher):
    """Searches a server that speaks Search-R1's protocol, ours or another's.

    Args:
        url: the server's address; `/retrieve` is added unless it is already there.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 20.0,
        retries: int = 2,
        connections: int = 4,
        backoff_s: float = 0.2,
    ) -> None:
        base = url.rstrip("/")
        self._url = base if base.endswith("/retrieve") else f"{base}/retrieve"
        super().__init__(self._url, timeout_s=timeout_s, retries=retries, in_flight=connections, backoff_s=backoff_s)
        self._connections = connections
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def close(self) -> None:
        """Closes the connections."""
        await super().close()
        if self._client is not None and self._loop is asyncio.get_running_loop():
            await self._client.aclose()
        self._client = None

    async def _try(self, queries: list[str], topk: int) -> list[list[Passage]]:
        import httpx

        body = {"queries": queries, "topk": topk, "return_scores": True}
        try:
            response = await self._connect().post(self._url, json=body)
        except httpx.HTTPError as error:
            raise UnavailableError(first_line(error)) from error
        status = response.status_code
        if status in (408, 429) or status >= 500:
            raise UnavailableError(f"HTTP status {status}")
        if status in (400, 413, 422):
            raise BadRequest(f"{self._url} refused the request ({status}): {response.text[:300]}")
        if status != 200:
            raise SearchFailed(f"{self._url} answered with HTTP status {status}; is it a retriever?")
        return _passages(response, self._url)

    def _connect(self) -> httpx.AsyncClient:
        import httpx

        # Connections belong to an event loop, so a new loop needs a new client.
        if self._client is None or self._loop is not asyncio.get_running_loop():
            self._loop = asyncio.get_running_loop()
            limits = httpx.Limits(max_connections=self._connections)
            self._client = httpx.AsyncClient(timeout=None, limits=limits, trust_env=False)
        return self._client


def _passages(response: httpx.Response, url: str) -> list[list[Passage]]:
    try:
        return [[_passage(hit) for hit in ranked] for ranked in response.json()["result"]]
    except (ValueError, KeyError, TypeError) as error:
        form = '{"result": [[{"document": …, "score": …}]]}'
        raise SearchFailed(f"{url} did not answer in Search-R1's form {form}: {error!r}.") from error


def _passage(hit: dict[str, Any]) -> Passage:
    document = hit["document"]
    title, text = split_contents(document["contents"])
    return Passage(str(document.get("id", "")), title, text, float(hit["score"]))
