"""The service on Ray Serve: replicas on one or many machines, behind HTTP and a handle.

HTTP is that of a single process (see `app.py`). Handle: `search(queries, topk)`, see `clients.HandleSearcher`.
"""

from __future__ import annotations

import logging
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from retriever.errors import BadRequest, ServeFailed
from retriever.indexes import index_type
from retriever.indexes.java import find_anserini, find_java
from retriever.indexes.sharded import shard_folders
from retriever.manifest import read_manifest
from retriever.service.core import PROBE_QUERY
from retriever.service.settings import ServiceSettings

_READY_WITHIN_S = 60.0
_GRACE_S = 5.0
_HEALTH_CHECK_TIMEOUT_S = 60.0
"""A health check waits its turn behind the batches under way, which on a large flat index take long."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many replicas there are, and how much each takes on. Of a sharded index, each shard has as many.

    Attributes:
        replicas: how many; with autoscaling, the fewest.
        max_replicas: the most; None for no autoscaling.
        target_requests: requests under way per replica that autoscaling aims at. A client that coalesces sends
            the queries of all its callers in few requests.
        max_requests: the most requests under way in a replica; further ones wait.
        max_queued: the most requests that wait for a replica; further ones are answered with status 503.
        cpus: processors that Ray sets aside for a replica. As many as a machine has puts one on each.
        gpus: GPUs that Ray sets aside for a replica that encodes queries; without one it encodes on processors.
    """

    replicas: int = 1
    max_replicas: int | None = None
    target_requests: float = 64
    max_requests: int = 1024
    max_queued: int = 4096
    cpus: float = 0
    gpus: float = 0

    def __post_init__(self) -> None:
        for name, least in (("replicas", 1), ("max_requests", 1), ("max_queued", 0), ("cpus", 0), ("gpus", 0)):
            if getattr(self, name) < least:
                raise BadRequest(f"{name} must be at least {least}, found {getattr(self, name)}.")
        if self.target_requests <= 0:
            raise BadRequest(f"target_requests must be more than 0, found {self.target_requests}.")
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise BadRequest(f"max_replicas must be at least replicas, {self.replicas}, found {self.max_replicas}.")

    def options(self, *, encodes: bool) -> dict[str, Any]:
        """The same for `Deployment.options`; `encodes` tells whether these replicas encode queries."""
        autoscaling = {
            "min_replicas": self.replicas,
            "max_replicas": self.max_replicas,
            "target_ongoing_requests": self.target_requests,
        }
        many = {"num_replicas": self.replicas} if self.max_replicas is None else {"autoscaling_config": autoscaling}
        return many | {
            "max_ongoing_requests": self.max_requests,
            "max_queued_requests": self.max_queued,
            "ray_actor_options": {"num_cpus": self.cpus, "num_gpus": self.gpus if encodes else 0},
        }


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
        BadIndex: the folder, or a shard that it names, is not an index.
        JavaMissing: there is no Java to open it with.
    """
    if "bm25" in {index_type(folder) for folder in (index, *_shards(index))}:
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
    scaling: Scaling | None = None,
    settings: ServiceSettings | None = None,
) -> Service:
    """Deploys an index on Ray Serve in the cluster this process has joined, and waits until it is ready.

    A sharded index gets a deployment for each shard and one before them that asks all shards and merges.

    Args:
        index: an index folder, at the same path on every node.
        name: name of the Serve application.
        host: address that every node which takes requests binds; `0.0.0.0` where replicas are on other nodes.
        port: its port; None for no HTTP, only the handle.
        replicas: number of replicas, each a process; short for `Scaling(replicas=…)`.
        scaling: see `Scaling`; wins over `replicas`.
        settings: see `ServiceSettings`.

    Raises:
        BadIndex: the folder is not an index.
        BadRequest: a parameter is out of range.
        JavaMissing: this machine has no Java to open the index with.
        ServeFailed: the port is taken, there is no Ray cluster, or the application did not become ready.
    """
    import ray
    from ray import serve  # noqa: F401  it sets the level of its logger when it is imported

    check_index(index)
    scaling = scaling or Scaling(replicas)
    if not ray.is_initialized():
        raise ServeFailed("This process has not joined a Ray cluster; call ray.init first.")
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    url = _start_serve(host, port)
    _run_application(index.resolve(), name, scaling, settings or ServiceSettings(), url)
    return Service(name, url)


def undeploy(name: str = "retriever") -> None:
    """Deletes the application; ends Serve and its HTTP proxy too where no application is left."""
    from ray import serve

    serve.delete(name)
    if not serve.status().applications:
        serve.shutdown()


def _shards(index: Path) -> list[Path]:
    return shard_folders(index, read_manifest(index)) if index_type(index) == "sharded" else []


def _quiet() -> Any:
    from ray.serve.schema import LoggingConfig

    return LoggingConfig(log_level="WARNING", enable_access_log=False)


def _start_serve(host: str, port: int | None) -> str | None:
    from ray import serve
    from ray.serve.config import HTTPOptions, ProxyLocation

    if port is None:
        serve.start(proxy_location=ProxyLocation.Disabled, logging_config=_quiet())
        return None
    # A Serve that runs already listens on its own port; whether it is this one, the probe shows.
    if not serve.status().proxies:
        check_port(host, port)
    options = HTTPOptions(host=host, port=port)
    serve.start(proxy_location=ProxyLocation.EveryNode, http_options=options, logging_config=_quiet())
    return f"http://{host}:{port}"


def _run_application(index: Path, name: str, scaling: Scaling, settings: ServiceSettings, url: str | None) -> None:
    from ray import serve
    from ray.exceptions import RayError
    from ray.serve.exceptions import RayServeException

    try:
        handle = serve.run(_application(index, scaling, settings), name=name, route_prefix="/" if url else None)
        if url:
            _await_ready(url)
        else:
            handle.search.remote([PROBE_QUERY], 1).result(timeout_s=_READY_WITHIN_S)
    except (RayError, RayServeException, RuntimeError, TimeoutError, ServeFailed) as error:
        cause = _cause(name) or " ".join(str(error).split()) or type(error).__name__
        undeploy(name)
        raise ServeFailed(f'The Serve application "{name}" did not become ready: {cause[:500]}') from error


def _application(index: Path, scaling: Scaling, settings: ServiceSettings) -> Any:
    from retriever.service.ray_app import Retriever, Shard

    common = {
        "logging_config": _quiet(),
        "graceful_shutdown_wait_loop_s": 0.1,
        "graceful_shutdown_timeout_s": _GRACE_S,
        "health_check_timeout_s": _HEALTH_CHECK_TIMEOUT_S,
    }
    shard = Shard.options(**common, **scaling.options(encodes=False))  # type: ignore[attr-defined]
    retriever = Retriever.options(**common, **scaling.options(encodes=True))  # type: ignore[attr-defined]
    shards = [shard.options(name=f"Shard{number}").bind(str(folder)) for number, folder in enumerate(_shards(index))]
    return retriever.bind(str(index), settings, *shards)


def _cause(name: str) -> str | None:
    """The sentence of the `RetrieverError` that kept the application from starting, where it was one."""
    from ray import serve

    application = serve.status().applications.get(name)
    messages = [deployment.message for deployment in application.deployments.values()] if application else []
    lines = (line.strip() for message in messages for line in message.splitlines())
    sentences = [line.partition(": ")[2] for line in lines if line.startswith("retriever.errors.")]
    return sentences[-1] if sentences else None


def _await_ready(url: str) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    cause = "no answer"
    while time.monotonic() < deadline:
        try:
            response = httpx.get(f"{url}/ready", timeout=_READY_WITHIN_S, trust_env=False)
            if response.status_code == 200:
                return
            cause = f"status {response.status_code}"
        except httpx.HTTPError as error:
            cause = str(error) or type(error).__name__
        time.sleep(0.05)
    raise ServeFailed(f"{url}/ready was not answered with status 200 within {_READY_WITHIN_S:g} s ({cause}).")
