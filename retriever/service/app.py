"""The HTTP application, the same behind both fronts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Response
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST

from retriever.limits import DEFAULT_TOPK
from retriever.manifest import Manifest
from retriever.service import wire
from retriever.service.core import SearchService
from retriever.service.edge import Edge, log_to_stderr
from retriever.service.problems import NoSuchPassage, add_problem_handlers, problems
from retriever.service.routing import BodyRoute

_ABOUT = """Passage retrieval. `POST /retrieve` is Search-R1's protocol; `/v1` is typed.

Whatever is refused or fails is answered with `{"detail": "…"}`, one sentence that says what is accepted."""


def create_app(service: SearchService) -> FastAPI:
    """The application of one service. Whoever calls this also loads and closes the service."""
    settings = service.settings
    app = FastAPI(title="retriever", description=_ABOUT, redoc_url=None, redirect_slashes=False)
    app.state.service = service
    add_problem_handlers(app)
    app.include_router(_open(service))
    app.include_router(_guarded(service))
    log = log_to_stderr if settings.access_log else None
    app.add_middleware(Edge, metrics=service.metrics, token=settings.token, log=log)
    return app


def _open(service: SearchService) -> APIRouter:
    """What needs no token, see `OPEN_PATHS`."""
    router = APIRouter(tags=["state"])

    @router.get("/health", response_model=wire.State, responses=problems(500))
    async def health() -> Response:
        """The process answers; nothing is said about the index."""
        return _json({"status": "alive"})

    @router.get("/ready", response_model=wire.State, responses=problems(500, 503))
    async def ready() -> Response:
        """The index is loaded and has just answered a probe query."""
        await service.probe()
        return _json({"status": "ready"})

    return router


def _guarded(service: SearchService) -> APIRouter:
    """What needs the token, where there is one."""
    # These dependencies only show the token in the OpenAPI document; `Edge` asks for it, before a body is read.
    shown = [Depends(HTTPBearer(auto_error=False))] if service.settings.token else []
    router = APIRouter(route_class=BodyRoute, dependencies=shown)
    refused = problems(401, 413, 422, 500, 503)

    @router.post("/retrieve", response_model=wire.RetrieveAnswer, responses=refused, tags=["Search-R1"])
    async def retrieve(body: wire.RetrieveRequest) -> Response:
        """The best passages of each query, in Search-R1's form."""
        ranked = await service.search(body.queries, body.topk or DEFAULT_TOPK)
        return _json(wire.retrieve_answer(ranked, body.return_scores))

    @router.post("/v1/search", response_model=wire.SearchAnswer, responses=refused, tags=["v1"])
    async def search(body: wire.SearchRequest) -> Response:
        """The best passages of each query."""
        return _json(wire.search_answer(await service.search(body.queries, body.topk)))

    @router.post("/v1/documents", response_model=wire.DocumentsAnswer, responses=refused, tags=["v1"])
    async def documents(body: wire.DocumentsRequest) -> Response:
        """Passages by their ids."""
        return _json(wire.documents_answer(await service.documents(body.ids)))

    @router.get(
        "/v1/documents/{identifier:path}",
        response_model=wire.DocumentAnswer,
        responses=problems(401, 404, 422, 500, 503),
        tags=["v1"],
    )
    async def document(identifier: str) -> Response:
        """One passage by its id, which may hold slashes."""
        [found] = await service.documents([identifier])
        if found is None:
            raise NoSuchPassage(f"The index holds no passage with the id {identifier[:100]!r}.")
        return _json(found)

    @router.get("/v1/index", response_model=Manifest, responses=problems(401, 500, 503), tags=["v1"])
    async def index() -> Response:
        """What the index holds, of what it was made and how."""
        return _json(asdict(service.index.manifest))

    @router.get("/metrics", response_class=PlainTextResponse, responses=problems(401, 500), tags=["state"])
    async def metrics() -> Response:
        """Counters in Prometheus' text form."""
        return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})

    return router


def _json(value: Any) -> Response:
    return Response(value if isinstance(value, bytes) else wire.to_json(value), media_type="application/json")
