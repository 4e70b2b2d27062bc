"""The Ray Serve application: one BM25 index behind Search-R1's HTTP protocol and a deployment handle.

HTTP: `POST /retrieve` and `GET /health`. Handle: `search(queries, topk)`, see `client.HandleSearcher`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import ray
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from ray import serve
from ray.exceptions import RayError
from ray.serve.config import HTTPOptions, ProxyLocation
from ray.serve.exceptions import RayServeException
from ray.serve.schema import LoggingConfig

from retriever.batcher import Batcher
from retriever.errors import BadRequest, Busy, ServeFailed
from retriever.indexes.bm25 import Bm25Index
from retriever.indexes.java import find_anserini, find_java
from retriever.limits import DEFAULT_TOPK
from retriever.manifest import read_manifest
from retriever.service.wire import RetrieveRequest, answer, refusal
from retriever.types import Passage

PROBE_QUERY = "health"
_PROBE_TIMEOUT_S = 5.0
_HEALTHY_WITHIN_S = 30.0
_QUIET = LoggingConfig(log_level="WARNING", enable_access_log=False)

# Serve pickles this app when the class below is defined: its handlers may use only what is defined by then.
api = FastAPI(title="retriever", docs_url=None, redoc_url=None)


@api.exception_handler(RequestValidationError)
async def _refuse(_: Request, error: RequestValidationError) -> JSONResponse:
    return JSONResponse({"detail": refusal(error)}, status_code=422)


@api.exception_handler(Busy)
async def _turn_away(_: Request, error: Busy) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=503, headers={"Retry-After": "1"})


@serve.deployment
@serve.ingress(api)
class Retriever:
    """One replica: holds the index and batches the queries of all its requests."""

    def __init__(self, folder: str) -> None:
        self._index = Bm25Index.open(Path(folder))
        self._index.search([PROBE_QUERY], 1)
        self._batcher = Batcher(self._engine)

    async def _engine(self, queries: list[str], topk: int) -> list[list[Passage]]:
        return await asyncio.wrap_future(self._index.submit(queries, topk))

    @api.post("/retrieve")
    async def retrieve(self, request: RetrieveRequest) -> JSONResponse:
        """Answers in Search-R1's form."""
        ranked = await self._batcher.search(request.queries, request.topk or DEFAULT_TOPK)
        # Handing FastAPI a finished response skips its own walk over every field.
        return JSONResponse(answer(ranked, request.return_scores))

    @api.get("/health")
    async def health(self) -> JSONResponse:
        """200 once the index is loaded and answers a probe query, else 503."""
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                await self._batcher.search([PROBE_QUERY], 1)
        except Exception as error:
            cause = str(error) or f"the probe query was not answered within {_PROBE_TIMEOUT_S:g} s"
            return JSONResponse({"status": "failing", "detail": cause}, status_code=503)
        manifest = self._index.manifest
        return JSONResponse({"status": "ok", "passages": manifest.passages, "type": manifest.type})

    async def search(self, queries: list[str], topk: int) -> list[list[tuple[str, str, str, float]]]:
        """For the Serve handle: rows of id, title, text and score, one ranked list per query."""
        ranked = await self._batcher.search(queries, topk)
        return [[(p.id, p.title, p.text, p.score) for p in passages] for passages in ranked]


@dataclass(frozen=True, slots=True)
class Service:
    """A deployed retriever: the name of its Serve application and, where it listens, its address."""

    name: str
    url: str | None

    @property
    def target(self) -> str:
        """What `open_searcher` takes to search through the handle."""
        return f"serve:{self.name}"


def check_index(index: Path) -> None:
    """Checks, without starting anything, that this machine can open an index.

    Raises:
        BadIndex: the folder is not an index.
        JavaMissing: there is no Java to open it with.
    """
    read_manifest(index)
    find_java()
    find_anserini()


def check_port(host: str, port: int) -> None:
    """Checks that nothing listens there yet.

    Raises:
        BadRequest: the port is out of range.
        ServeFailed: it cannot be listened on.
    """
    if not 1 <= port <= 65535:
        raise BadRequest(f"port must be from 1 to 65535, found {port}.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            cause = error.strerror or error
            raise ServeFailed(f"Port {port} on {host} cannot be used ({cause}); choose another port.") from error


def deploy(
    index: Path,
    *,
    name: str = "retriever",
    host: str = "127.0.0.1",
    port: int | None = None,
    replicas: int = 1,
) -> Service:
    """Deploys an index on Ray Serve in the cluster this process has joined, and waits until it is healthy.

    Args:
        index: an index folder, at the same path on every node.
        name: name of the Serve application.
        host: address that the HTTP proxy on the head node binds.
        port: its port; None for no HTTP, only the handle.
        replicas: number of replicas, each a process with one JVM.

    Raises:
        BadIndex: the folder is not an index.
        BadRequest: a parameter is out of range.
        JavaMissing: this machine has no Java to open the index with.
        ServeFailed: the port is taken, there is no Ray cluster, or the application did not become healthy.
    """
    check_index(index)
    if replicas < 1:
        raise BadRequest(f"replicas must be at least 1, found {replicas}.")
    if not ray.is_initialized():
        raise ServeFailed("This process has not joined a Ray cluster; call ray.init first.")
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    url = _start_serve(host, port)
    _run_application(index, name, replicas, url)
    return Service(name, url)


def undeploy(name: str = "retriever") -> None:
    """Deletes the application; ends Serve and its HTTP proxy too where no application is left."""
    serve.delete(name)
    if not serve.status().applications:
        serve.shutdown()


def _start_serve(host: str, port: int | None) -> str | None:
    if port is None:
        serve.start(proxy_location=ProxyLocation.Disabled, logging_config=_QUIET)
        return None
    # A Serve that runs already listens on its own port; whether it is this one, the health check shows.
    if not serve.status().proxies:
        check_port(host, port)
    options = HTTPOptions(host=host, port=port)
    serve.start(proxy_location=ProxyLocation.HeadOnly, http_options=options, logging_config=_QUIET)
    return f"http://{host}:{port}"


def _run_application(index: Path, name: str, replicas: int, url: str | None) -> None:
    deployment = Retriever.options(  # type: ignore[attr-defined]
        num_replicas=replicas,
        max_ongoing_requests=1024,
        ray_actor_options={"num_cpus": 0},
        graceful_shutdown_wait_loop_s=0.1,
        graceful_shutdown_timeout_s=5,
        logging_config=_QUIET,
    )
    try:
        application = deployment.bind(str(index.resolve()))
        handle = serve.run(application, name=name, route_prefix="/" if url else None)
        if url:
            _await_health(url)
        else:
            handle.search.remote([PROBE_QUERY], 1).result(timeout_s=_HEALTHY_WITHIN_S)
    except (RayError, RayServeException, RuntimeError, TimeoutError, ServeFailed) as error:
        undeploy(name)
        cause = " ".join(str(error).split()) or type(error).__name__
        raise ServeFailed(f'The Serve application "{name}" did not become healthy: {cause[:500]}') from error


def _await_health(url: str) -> None:
    deadline = time.monotonic() + _HEALTHY_WITHIN_S
    cause = "no answer"
    while time.monotonic() < deadline:
        try:
            response = httpx.get(f"{url}/health", timeout=_PROBE_TIMEOUT_S, trust_env=False)
            if response.status_code == 200:
                return
            cause = f"status {response.status_code}"
        except httpx.HTTPError as error:
            cause = str(error) or type(error).__name__
        time.sleep(0.05)
    raise ServeFailed(f"{url}/health was not ready within {_HEALTHY_WITHIN_S:g} s ({cause}).")
