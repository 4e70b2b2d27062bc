"""What runs inside Ray Serve: replicas that hold an index, and replicas of its shards behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from retriever.errors import NotReady
from retriever.indexes import Index, open_index
from retriever.indexes.sharded import LocalShard, Questions, ShardedIndex, open_encoder, shard_folders
from retriever.manifest import read_manifest
from retriever.service.app import create_app
from retriever.service.core import PROBE_QUERY, SearchService
from retriever.service.settings import ServiceSettings
from retriever.types import Document, Passage

Row: TypeAlias = tuple[str, str, str, float]
"""Id, title, text and score: what travels between processes."""


@serve.deployment
@serve.ingress()
class Retriever:
    """A whole index in one process, or the front of its shards; batches the queries of all its callers.

    Args:
        folder: the index folder.
        settings: see `ServiceSettings`.
        shards: where given, the index is sharded and these are its shards, in their order.
    """

    # Serve awaits the constructor.
    async def __init__(  # type: ignore[misc]
        self, folder: str, settings: ServiceSettings, *shards: DeploymentHandle
    ) -> None:
        self._holds_index = not shards
        opener = partial(_open_remote, shards, asyncio.get_running_loop()) if shards else open_index
        self._service = SearchService(partial(opener, Path(folder)), settings)
        await self._service.load()

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_app(self._service)

    async def search(self, queries: list[str], topk: int) -> list[list[Row]]:
        """For the handle: one ranked list per query."""
        return _rows(await self._service.search(queries, topk))

    async def check_health(self) -> None:
        """Raises where the index does not answer; Serve then replaces this process.

        Shards check themselves: another process before them would not help.
        """
        if self._holds_index:
            await asyncio.wrap_future(self._service.index.submit([PROBE_QUERY], 1))

    async def __del__(self) -> None:
        await self._service.close()


@serve.deployment
class Shard:
    """One shard of an index; what it is asked has been batched before."""

    async def __init__(self, folder: str) -> None:  # type: ignore[misc]
        self._shard = await asyncio.to_thread(LocalShard, Path(folder), open_index)
        await self.check_health()

    async def search(self, questions: Questions, topk: int) -> list[list[Row]]:
        """One ranked list per question."""
        return _rows(await asyncio.wrap_future(self._shard.ask(questions, topk)))

    async def documents(self, ids: list[str]) -> list[tuple[str, str, str] | None]:
        """Id, title and text of each passage, None for an id that the shard does not hold."""
        found = await asyncio.to_thread(self._shard.documents, ids)
        return [None if document is None else (document.id, document.title, document.text) for document in found]

    async def check_health(self) -> None:
        """Raises where the shard does not answer; Serve then replaces this process."""
        await asyncio.wrap_future(self._shard.probe())

    async def __del__(self) -> None:
        await asyncio.to_thread(self._shard.close)


class RemoteShard:
    """A shard in other processes, reached through its handle."""

    def __init__(self, name: str, handle: DeploymentHandle, loop: asyncio.AbstractEventLoop) -> None:
        self._name = name
        self._handle = handle
        self._loop = loop

    def ask(self, questions: Questions, topk: int) -> Future[list[list[Passage]]]:
        """See `Shard.ask`."""
        return asyncio.run_coroutine_threadsafe(self._search(questions, topk), self._loop)

    def documents(self, ids: Sequence[str]) -> list[Document | None]:
        """See `Index.documents`; not to be called on the event loop."""
        return asyncio.run_coroutine_threadsafe(self._documents(ids), self._loop).result()

    def close(self) -> None:
        """The shard is not this process's to close."""

    async def _search(self, questions: Questions, topk: int) -> list[list[Passage]]:
        rows = await self._answer(self._handle.search.remote(questions, topk))
        return [[Passage(*row) for row in ranked] for ranked in rows]

    async def _documents(self, ids: Sequence[str]) -> list[Document | None]:
        rows = await self._answer(self._handle.documents.remote(ids))
        return [row and Document(*row) for row in rows]

    async def _answer(self, response: Any) -> Any:
        try:
            return await response
        except (RayError, RayServeException) as error:
            cause = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise NotReady(f"The shard {self._name} does not answer ({cause}); try again in a moment.") from error


def _rows(ranked: list[list[Passage]]) -> list[list[Row]]:
    """Tuples pickle in a third of the time of dataclasses."""
    return [[(p.id, p.title, p.text, p.score) for p in passages] for passages in ranked]


def _open_remote(handles: Sequence[DeploymentHandle], loop: asyncio.AbstractEventLoop, folder: Path) -> Index:
    manifest = read_manifest(folder)
    folders = shard_folders(folder, manifest)
    shards = [RemoteShard(shard.name, handle, loop) for shard, handle in zip(folders, handles, strict=True)]
    return ShardedIndex(folder, manifest, shards, open_encoder(manifest))
