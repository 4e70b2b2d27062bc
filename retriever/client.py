"""Three ways to search with one interface: in this process, through a Ray Serve handle, over HTTP.

Each has `async search(queries, topk)` and `async close()`. All coalesce the queries of concurrent callers,
bound the time of every try, and repeat failed tries after a random wait.
What still fails raises `SearchFailed`, which names the target and the cause.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retriever.batcher import Batcher
from retriever.bm25 import Bm25Index
from retriever.errors import BadRequest, Busy, RetrieverError, SearchFailed
from retriever.limits import check_topk, clean_queries
from retriever.types import Passage, split_contents

if TYPE_CHECKING:
    import httpx


class _UnavailableError(Exception):
    """A try failed for a reason that may pass; its text is the cause."""


class Searcher(ABC):
    """What the three searchers share.

    Args:
        target: how errors name this searcher's target.
        timeout_s: seconds that one try may take.
        retries: further tries after the first.
        in_flight: batches under way at once.
        backoff_s: mean seconds before the first further try; doubles each time.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout_s: float = 20.0,
        retries: int = 2,
        in_flight: int = 1,
        backoff_s: float = 0.2,
    ) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._retries = retries
        self._backoff_s = backoff_s
        self._batcher = Batcher(self._try_repeatedly, in_flight=in_flight)

    async def search(self, queries: Sequence[str], topk: int) -> list[list[Passage]]:
        """One ranked list per query, best first, in the order of the queries.

        Queries are cut to their first 4,096 characters.

        Raises:
            BadRequest: a query is not a string, or `topk` is not from 1 to 1,000.
            Busy: too many queries are waiting in this process.
            SearchFailed: the target did not answer within all tries.
        """
        check_topk(topk)
        return await self._batcher.search(clean_queries(queries), topk)

    async def close(self) -> None:
        """Gives back what the searcher holds; queries under way fail."""
        await self._batcher.close()

    @abstractmethod
    async def _try(self, queries: list[str], topk: int) -> list[list[Passage]]:
        """Asks the target once; raises `_UnavailableError` where asking again may help."""

    async def _try_repeatedly(self, queries: list[str], topk: int) -> list[list[Passage]]:
        tries = self._retries + 1
        cause = ""
        for number in range(tries):
            if number:
                await asyncio.sleep(self._backoff_s * 2 ** (number - 1) * random.uniform(0.5, 1.5))
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._try(queries, topk)
            except TimeoutError:
                cause = f"no answer within {self._timeout_s:g} s"
            except _UnavailableError as error:
                cause = str(error)
        raise SearchFailed(f"{self._target} did not answer in {tries} tries: {cause}.")


class LocalSearcher(Searcher):
    """Searches an index folder in this process; the index is loaded by the first search."""

    def __init__(self, folder: Path, *, timeout_s: float = 60.0) -> None:
        super().__init__(f"The index {folder}", timeout_s=timeout_s, retries=0)
        self._folder = folder
        self._index: Bm25Index | None = None

    async def close(self) -> None:
        """Closes the index."""
        await super().close()
        if self._index is not None:
            await asyncio.to_thread(self._index.close)
        self._index = None

    async def _try(self, queries: list[str], topk: int) -> list[list[Passage]]:
        if self._index is None:
            try:
                self._index = await asyncio.to_thread(Bm25Index.open, self._folder)
            except RetrieverError as error:
                raise SearchFailed(f"{self._target} cannot be searched: {error}") from error
        return await asyncio.wrap_future(self._index.submit(queries, topk))


class HandleSearcher(Searcher):
    """Searches through the handle of a Ray Serve application, from the driver or from inside any actor.

    The handle is fetched by the first search, in the Ray cluster that this process belongs to.
    """

    def __init__(self, app_name: str = "retriever", *, timeout_s: float = 20.0, retries: int = 2) -> None:
        super().__init__(f'The Serve application "{app_name}"', timeout_s=timeout_s, retries=retries, in_flight=2)
        self._app_name = app_name
        self._handle: Any = None

    async def _try(self, queries: list[str], topk: int) -> list[list[Passage]]:
        from ray.exceptions import RayError, RayTaskError
        from ray.serve.exceptions import RayServeException

        try:
            if self._handle is None:
                self._handle = await asyncio.to_thread(_app_handle, self._app_name)
            rows = await self._handle.search.remote(queries, topk)
        except RayTaskError as error:
            if isinstance(error.cause, RetrieverError) and not isinstance(error.cause, Busy):
                raise error.cause from error
            raise _UnavailableError(_first_line(error.cause)) from error
        except (RayError, RayServeException) as error:
            # The application may have been deployed anew, which needs a new handle.
            self._handle = None
            raise _UnavailableError(_first_line(error)) from error
        return [[Passage(*row) for row in ranked] for ranked in rows]


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
            raise _UnavailableError(_first_line(error)) from error
        status = response.status_code
        if status in (408, 429) or status >= 500:
            raise _UnavailableError(f"HTTP status {status}")
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


def _app_handle(name: str) -> Any:
    import ray
    from ray import serve

    # Without this, Serve would start a Ray cluster of its own.
    if not ray.is_initialized():
        raise _UnavailableError("this process has not joined a Ray cluster")
    return serve.get_app_handle(name)


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


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
