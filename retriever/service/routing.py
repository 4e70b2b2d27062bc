"""Routes that take a JSON body from its raw bytes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError

from retriever.errors import BadRequest
from retriever.service.problems import TooLarge
from retriever.service.wire import Body, refusal


class BodyRoute(APIRoute):
    """A FastAPI route whose one parameter, if any, is its body.

    The OpenAPI document is FastAPI's; the request goes past its dependencies. The body is read in pieces up to
    the limit, then parsed and checked in one step, whatever its content type claims.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute`."""
        if self.body_field is None:
            return super().get_route_handler()
        model: type[Body] = self.body_field.field_info.annotation  # type: ignore[assignment]
        endpoint = self.endpoint

        async def handle(request: Request) -> Response:
            limit = request.app.state.service.settings.max_body_bytes
            raw = await _read(request, limit)
            try:
                body = model.model_validate_json(raw)
            except ValidationError as error:
                raise BadRequest(refusal(error, model.accepted)) from error
            request.scope["queries"] = len(getattr(body, "queries", ()))
            response: Response = await endpoint(body)
            return response

        return handle


async def _read(request: Request, limit: int) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it is larger than the limit; nothing beyond it was kept.
    """
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise TooLarge(f"The body of a request may have at most {limit:,} bytes; send fewer queries.")
        pieces.append(piece)
    return b"".join(pieces)
