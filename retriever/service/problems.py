"""How what goes wrong is answered: with a status and one sentence."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from retriever.errors import BadRequest, Busy, NotReady, RetrieverError
from retriever.service.wire import Problem

logger = logging.getLogger(__name__)


class NoSuchPassage(BadRequest):
    """The index does not hold the passage that an address names."""


class TooLarge(BadRequest):
    """The body of a request has too many bytes."""


_STATUS: dict[type[RetrieverError], int] = {
    NoSuchPassage: 404,
    TooLarge: 413,
    BadRequest: 422,
    Busy: 503,
    NotReady: 503,
}
CLIENT_LEFT = 499
"""The status that nginx gave to requests whose client did not wait for the answer."""

_MEANING = {
    401: "The token is missing or wrong.",
    404: "The index holds no such passage.",
    413: "The body has too many bytes.",
    422: "The request lies outside what is accepted.",
    500: "The engine failed.",
    503: "The index is not ready, or too many queries are waiting; `Retry-After` says when to come back.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How these statuses are described in the OpenAPI document."""
    return {status: {"model": Problem, "description": _MEANING[status]} for status in statuses}


def add_problem_handlers(app: FastAPI) -> None:
    """Makes every refusal and failure of an application a sentence, and counts it."""
    errors = app.state.service.metrics.errors

    def answer(status: int, sentence: str, kind: str, headers: dict[str, str] | None = None) -> JSONResponse:
        errors.labels(kind).inc()
        return JSONResponse({"detail": sentence}, status, headers)

    @app.exception_handler(RetrieverError)
    async def foreseen(_: Request, error: RetrieverError) -> JSONResponse:
        status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
        if status == 500:
            logger.error("A request failed: %s", error)
        return answer(status, str(error), type(error).__name__, {"Retry-After": "1"} if status == 503 else None)

    @app.exception_handler(HTTPException)
    async def not_routed(request: Request, error: HTTPException) -> JSONResponse:
        path = request.scope["path"][:200]
        reason = f"{path} does not take {request.method}" if error.status_code == 405 else f"There is nothing at {path}"
        kind = error.detail.replace(" ", "")
        return answer(error.status_code, f"{reason}; /docs shows what there is.", kind, dict(error.headers or {}))

    @app.exception_handler(ClientDisconnect)
    async def left(_: Request, error: ClientDisconnect) -> JSONResponse:
        return answer(CLIENT_LEFT, "The client left.", "ClientLeft")

    @app.exception_handler(Exception)
    async def unforeseen(_: Request, error: Exception) -> JSONResponse:
        return answer(500, "The server failed; its log says why.", type(error).__name__)
