"""HTTP connections to one server: kept alive, one set per event loop, failures told as this package's errors."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from retriever.clients.searcher import Unavailable, first_line
from retriever.clients.secret import Redaction
from retriever.errors import BadRequest, SearchFailed, Unauthorised

if TYPE_CHECKING:
    import ssl

    import httpx

# Uvicorn and others close a connection that was idle for 5 s; this side is earlier, so that no request meets that.
_KEEP_ALIVE_S = 4.0
_QUOTED_CHARS = 300


class Connection:
    """Sends requests to one server.

    Args:
        target: how errors name the server.
        variable: the environment variable of the token or key, named where the server refuses it.
        secrets: what must not appear in errors and logs.
        bad_key: what the body of an answer with status 400 or 422 holds where the key, not the request, is refused.
        limit: connections at once.
        headers: sent with every request.
        proxies: whether the proxies that the environment names are used.
    """

    def __init__(
        self,
        target: str,
        *,
        variable: str,
        secrets: tuple[str, ...],
        limit: int,
        bad_key: str = "",
        headers: dict[str, str] | None = None,
        proxies: bool = False,
    ) -> None:
        self._target = target
        self._variable = variable
        self._bad_key = bad_key
        self._limit = limit
        self._headers = headers or {}
        self._proxies = proxies
        self._redact = Redaction(secrets)
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(self, method: str, url: str, **parts: Any) -> bytes:
        """The body of the answer to one request; `parts` are those of `httpx.request`.

        Raises:
            Unavailable: the request may succeed later.
            BadRequest, Unauthorised, SearchFailed: it will not.
        """
        import httpx

        try:
            response = await self._connect().request(method, url, **parts)
        except httpx.HTTPError as error:
            raise Unavailable(self._redact(first_line(error))) from None
        if response.status_code != 200:
            raise self._failure(response)
        return response.content

    async def close(self) -> None:
        """Closes the connections of the running event loop; those of an earlier one ended with it."""
        if self._client is not None and self._loop is asyncio.get_running_loop():
            await self._client.aclose()
        self._client = None
        self._redact.remove()

    def _connect(self) -> httpx.AsyncClient:
        import httpx

        if self._client is None or self._loop is not asyncio.get_running_loop():
            self._loop = asyncio.get_running_loop()
            limits = httpx.Limits(max_connections=self._limit, keepalive_expiry=_KEEP_ALIVE_S)
            self._client = httpx.AsyncClient(
                timeout=None, limits=limits, trust_env=self._proxies, headers=self._headers, verify=_certificates()
            )
            self._redact.install()
        return self._client

    def _failure(self, response: httpx.Response) -> Exception:
        status, said = response.status_code, _said(self._redact(response.text))
        told = f"status {status}: {said}" if said else f"status {status}"
        if status in (408, 429) or status >= 500:
            wait = _retry_after_s(response.headers.get("Retry-After", ""))
            asks = f", retry after {wait:g} s" if wait else ""
            return Unavailable(f"HTTP {told}{asks}", retry_after_s=wait, suspect=status == 500)
        if status in (401, 403) or (status in (400, 422) and self._bad_key and self._bad_key in response.text):
            return Unauthorised(f"{self._target} refused the credentials ({told}); check {self._variable}.")
        if status in (400, 413, 422):
            return BadRequest(f"{self._target} refused the request ({told}).")
        return SearchFailed(f"{self._target} answered with HTTP {told}; is its address right?")


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    """The authorities that are trusted; reading them takes some 20 ms, which each new client would take again."""
    import httpx

    return httpx.create_ssl_context()


def _said(body: str) -> str:
    """What the server says about a failure, on one line; nothing where it answers with a web page."""
    text = " ".join(body.split())
    return "" if text.startswith("<") or text in ("{}", "null") else text[:_QUOTED_CHARS].rstrip(".")


def _retry_after_s(value: str) -> float:
    """Seconds from a Retry-After header, which holds seconds or a date (RFC 9110, section 10.2.3); else 0."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.0
