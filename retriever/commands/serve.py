"""`serve`: an index folder becomes a server."""

from __future__ import annotations

import ipaddress
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from retriever.commands.console import one_sentence
from retriever.errors import BadRequest
from retriever.service.settings import ServiceSettings, read_token

_DEFAULTS = ServiceSettings()


def serve(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Index folder.")],
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that requests must carry; else RETRIEVER_TOKEN.")
    ] = None,
    cache: Annotated[
        int, typer.Option(min=0, help="Passages of recent answers to keep for repeated queries.")
    ] = _DEFAULTS.cache_passages,
    max_batch: Annotated[int, typer.Option(min=1, help="Most queries in one engine call.")] = _DEFAULTS.max_batch,
    max_waiting: Annotated[
        int, typer.Option(min=1, help="Most queries waiting; further requests get status 503.")
    ] = _DEFAULTS.max_waiting,
    access_log: Annotated[
        bool | None,
        typer.Option(
            "--access-log/--no-access-log", help="Write a JSON line per request to standard error; off with --ray."
        ),
    ] = None,
    on_ray: Annotated[bool, typer.Option("--ray", help="Serve with Ray Serve instead of in this process.")] = False,
    replicas: Annotated[int, typer.Option(min=1, help="With --ray: replicas, one process each.")] = 1,
    max_replicas: Annotated[
        int | None, typer.Option(min=1, help="With --ray: scale between --replicas and this many.")
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option(help="With --ray: cluster to join, such as auto; else one of its own is started.")
    ] = None,
) -> None:
    """Serve an index over HTTP until Ctrl-C or SIGTERM."""
    with one_sentence():
        settings = ServiceSettings(
            cache_passages=cache,
            max_batch=max_batch,
            max_waiting=max_waiting,
            token=read_token(token_file),
            access_log=not on_ray if access_log is None else access_log,
        )
        _warn_if_open(host, settings.token)
        if on_ray:
            _serve_on_ray(folder, host, port, settings, replicas, max_replicas, ray_address)
            return
        if replicas > 1 or max_replicas or ray_address:
            raise BadRequest("Replicas and a Ray address need --ray; without it the service is one process.")
        from retriever.service.process import run

        run(folder, host, port, settings, lambda url: _announce(folder, url))


def _announce(folder: Path, url: str) -> None:
    typer.echo(f"Serving {folder} at {url} (POST /retrieve, GET /docs); Ctrl-C ends it.")


def _warn_if_open(host: str, token: str | None) -> None:
    if token is None and not _is_loopback(host):
        typer.echo(
            f"Warning: {host} can be reached from other machines and no token is asked for; set RETRIEVER_TOKEN.",
            err=True,
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _serve_on_ray(
    folder: Path,
    host: str,
    port: int,
    settings: ServiceSettings,
    replicas: int,
    max_replicas: int | None,
    address: str | None,
) -> None:
    from retriever.service.ray_cluster import ray_cluster
    from retriever.service.ray_serve import Scaling, check_index, check_port, deploy, undeploy

    scaling = Scaling(replicas=replicas, max_replicas=max_replicas)
    check_index(folder)
    check_port(host, port)
    with ray_cluster(address):
        stop = _stop_signal()
        service = deploy(folder, host=host, port=port, scaling=scaling, settings=settings)
        _announce(folder, str(service.url))
        stop.wait()
        if address:
            undeploy(service.name)


def _stop_signal() -> threading.Event:
    """An event that Ctrl-C and SIGTERM set; to be called after Ray has set handlers of its own."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
