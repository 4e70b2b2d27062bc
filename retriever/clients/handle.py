"""Searches through the handle of a Ray Serve application."""

from __future__ import annotations

import asyncio
from typing import Any

from retriever.clients.searcher import Searcher, UnavailableError, first_line
from retriever.errors import Busy, RetrieverError
from retriever.types import Passage


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
            raise UnavailableError(first_line(error.cause)) from error
        except (RayError, RayServeException) as error:
            # The application may have been deployed anew, which needs a new handle.
            self._handle = None
            raise UnavailableError(first_line(error)) from error
        return [[Passage(*row) for row in ranked] for ranked in rows]


def _app_handle(name: str) -> Any:
    import ray
    from ray import serve

    # Without this, Serve would start a Ray cluster of its own.
    if not ray.is_initialized():
        raise UnavailableError("this process has not joined a Ray cluster")
    return serve.get_app_handle(name)
