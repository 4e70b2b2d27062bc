"""The service in a single process: one uvicorn server with one index, for a laptop or a plain machine."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from retriever.errors import BadRequest, ServeFailed
from retriever.indexes import Index, index_type, open_index
from retriever.service.core import SearchService
from retriever.service.settings import ServiceSettings

if TYPE_CHECKING:
    import uvicorn

GRACE_S = 10
"""Seconds that requests under way, and then the index, get to end once the server is told to."""


def run(folder: Path, host: str, port: int, settings: ServiceSettings, announce: Callable[[str], None]) -> None:
    """Serves an index until SIGINT or SIGTERM.

    The port is open while the index is loaded: `/health` answers, and `/ready` says when the rest does. Once this
    has returned, the process is to end; where a thread of the engine keeps it from that, it is ended.

    Args:
        folder: the index folder.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        settings: see `ServiceSettings`.
        announce: called with the server's address once it is ready.

    Raises:
        BadIndex: the folder is no index, or cannot be loaded.
        BadRequest: the port is out of range.
        ServeFailed: the port cannot be listened on.
        RetrieverError: what the index needs is missing.
    """
    index_type(folder)
    serve_index(partial(open_index, folder), host, port, settings, announce)


def serve_index(
    opener: Callable[[], Index], host: str, port: int, settings: ServiceSettings, announce: Callable[[str], None]
) -> None:
    """`run` for an index that `opener` opens; called once, in a thread of its own."""
    with listen(host, port) as listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        _on_signals(_leave)
        service = SearchService(opener, settings)
        runner.run(_serve(service, listener, partial(announce, _address(host, listener))))


def listen(host: str, port: int) -> socket.socket:
    """Opens a port.

    Raises:
        BadRequest: the port is out of range.
        ServeFailed: it cannot be listened on.
    """
    if not 0 <= port <= 65535:
        raise BadRequest(f"port must be from 1 to 65535, or 0 for a free one, found {port}.")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        cause = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise ServeFailed(f"Port {port} on {host} cannot be used ({cause}); choose another port.") from error


async def _serve(service: SearchService, listener: socket.socket, announce: Callable[[], None]) -> None:
    loading = asyncio.create_task(service.load())
    # The index loads in a thread of its own while this one imports the server.
    await asyncio.sleep(0)
    server = http_server(service)
    # Uvicorn raises the signals it caught once more when it has ended; by then they have done their work.
    _on_signals(signal.SIG_IGN)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        await asyncio.wait((loading, serving), return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            loading.result()
            # All there is now stays; walking it again and again would make the collector's pauses longer.
            gc.freeze()
            announce()
        await serving
    finally:
        server.should_exit = True
        await serving
        _leave_within(GRACE_S)
        loading.cancel()
        await service.close()


def http_server(service: SearchService) -> uvicorn.Server:
    """The uvicorn server of a service, not started yet; it neither loads nor closes the service."""
    import uvicorn

    from retriever.service.app import create_app

    config = uvicorn.Config(
        create_app(service),
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_S,
    )
    return uvicorn.Server(config)


def _address(host: str, listener: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"


def _on_signals(action: Callable[..., object] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, action)


def _leave(*_: object) -> None:
    raise SystemExit(0)


def _leave_within(seconds: float) -> None:
    """Ends the process even where a thread of the engine hangs."""
    watchdog = threading.Timer(seconds, os._exit, (1,))
    watchdog.daemon = True
    watchdog.start()
