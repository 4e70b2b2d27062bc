"""What happens to every request before and after the application: the token, the access log, the counts."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retriever.service.metrics import Metrics
from retriever.service.problems import CLIENT_LEFT

OPEN_PATHS = frozenset({"/health", "/ready", "/docs", "/openapi.json"})
"""Answered without a token: whether the service works, for load balancers, and what it is, for browsers."""

_UNAUTHORIZED = orjson.dumps({"detail": "This service needs a token: send the header Authorization: Bearer TOKEN."})


class Edge:
    """ASGI middleware. As a plain wrapper of `send` it costs microseconds, unlike Starlette's BaseHTTPMiddleware.

    Args:
        app: the application.
        metrics: where requests are counted.
        token: see `ServiceSettings`.
        log: takes one JSON line per request; None for no access log.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, token: str | None, log: Callable[[bytes], Any] | None) -> None:
        self._app = app
        self._metrics = metrics
        self._token = token.encode() if token else None
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request, see ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, sent = time.perf_counter(), 500, 0

        async def observed(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        try:
            if self._token is None or scope["path"] in OPEN_PATHS or self._admits(scope):
                await self._app(scope, receive, observed)
            else:
                self._metrics.errors.labels("Unauthorized").inc()
                await _refuse(observed)
        except asyncio.CancelledError:
            status = CLIENT_LEFT
            raise
        finally:
            self._record(scope, status, sent, time.perf_counter() - started)

    def _admits(self, scope: Scope) -> bool:
        for name, value in scope["headers"]:
            if name == b"authorization":
                scheme, _, token = value.partition(b" ")
                return scheme.lower() == b"bearer" and secrets.compare_digest(token.strip(), self._token)
        return False

    def _record(self, scope: Scope, status: int, sent: int, seconds: float) -> None:
        # The route's own path, since paths as they came have no end.
        path = getattr(scope.get("route"), "path_format", "other")
        self._metrics.requests.labels(path, status).inc()
        self._metrics.seconds.labels(path).observe(seconds)
        if self._log is not None:
            client = scope.get("client")
            record = {
                "time": datetime.now(UTC),
                "client": client[0] if client else None,
                "method": scope["method"],
                "path": scope["path"][:200],
                "status": status,
                "queries": scope.get("queries", 0),
                "bytes": sent,
                "ms": round(seconds * 1000, 3),
            }
            self._log(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))


def log_to_stderr(line: bytes) -> None:
    """Writes a line to standard error, past Python's buffers; where it cannot be written, it is lost."""
    with suppress(OSError):
        os.write(sys.stderr.fileno(), line)


async def _refuse(send: Send) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(_UNAUTHORIZED)).encode()),
        (b"www-authenticate", b"Bearer"),
    ]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": _UNAUTHORIZED})
