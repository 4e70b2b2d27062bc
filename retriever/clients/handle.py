"""Searches through the handle of a Ray Serve application."""

from __future__ import annotations

import asyncio
from typing import Any

from retriever.clients.patience import Patience
from retriever.clients.searcher import Searcher, Unavailable, first_line
from retriever.errors import Busy, NotReady, RetrieverError, SearchFailed
from retriever.types import Passage


class HandleSearcher(Searcher):
    """Searches through the handle of a Ray Serve application, from the driver or from inside any actor.

    The handle is fetched by the first search, in the Ray cluster that this process belongs to.

    Args:
        app_name: name of the application.
        patience: deadline, tries, bounds; by default two batches are under way at once.
    """

    def __init__(self, app_name: str = "retriever", *, patience: Patience | None = None) -> None:
        super().__init__(f'The Serve application "{app_name}"', patience or Patience(in_flight=2))
        self._app_name = app_name
        self._handle: Any = None

    async def _try(self, queries: list[str], topk: int) -> list[list[Passage]]:
        from ray.exceptions import RayError, RayTaskError
        from ray.serve.exceptions import RayServeException

        try:
            if self._handle is None:
                self._handle = await asyncio.to_thread(self._fetch_handle)
            rows = await self._handle.search.remote(queries, topk)
        except RayTaskError as error:
            raise _reason(error.cause) from error
        except (RayError, RayServeException) as error:
            # The application may have been deployed anew, which needs a new handle.
            self._handle = None
            raise Unavailable(first_line(error)) from error
        return [[Passage(*row) for row in ranked] for ranked in rows]

    def _fetch_handle(self) -> Any:
        import ray
        from ray import serve

        # Without this, Serve would start a Ray cluster of its own.
        if not ray.is_initialized():
            raise SearchFailed(f"{self._target} cannot be reached: this process has not joined a Ray cluster.")
        return serve.get_app_handle(self._app_name)


def _reason(cause: Exception) -> Exception:
    """What a failure inside a replica means: one that is full, starting or ending may be asked again."""
    if isinstance(cause, (Busy, NotReady, SearchFailed)):
        return Unavailable(first_line(cause))
    return cause if isinstance(cause, RetrieverError) else Unavailable(first_line(cause), suspect=True)
