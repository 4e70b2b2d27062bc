"""`serve`: an index folder becomes a server."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from retriever.commands.console import one_sentence


def serve(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Index folder.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    replicas: Annotated[int, typer.Option(min=1, help="Replicas, one process each.")] = 1,
) -> None:
    """Serve an index over HTTP until Ctrl-C or SIGTERM."""
    import ray

    from retriever.service.ray_serve import check_index, check_port, deploy

    with one_sentence():
        check_index(folder)
        check_port(host, port)
        try:
            ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
            stop = _stop_signal()
            service = deploy(folder, host=host, port=port, replicas=replicas)
            typer.echo(f"Serving {folder} at {service.url} (POST /retrieve, GET /health); Ctrl-C ends it.")
            stop.wait()
        finally:
            # The cluster is this command's own, and Serve ends with it.
            ray.shutdown()


def _stop_signal() -> threading.Event:
    """An event that Ctrl-C and SIGTERM set; to be called after `ray.init`, which sets handlers of its own."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
