"""Servers of the tests: in a thread of this process, and as a child process."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from retriever.indexes import Index
from retriever.service.core import SearchService
from retriever.service.process import http_server, listen
from retriever.service.settings import ServiceSettings


@contextmanager
def serving(open_index: Callable[[], Index], settings: ServiceSettings | None = None) -> Iterator[httpx.Client]:
    """A client of a server in a thread, whose index may still be loading."""
    listener = listen("127.0.0.1", 0)
    service = SearchService(open_index, settings or ServiceSettings())
    server = http_server(service)

    async def run() -> None:
        serving = asyncio.create_task(server.serve([listener]))
        await service.load()
        await serving

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        with httpx.Client(base_url=address, trust_env=False, timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        assert not thread.is_alive()


def await_ready(client: httpx.Client, within_s: float = 60) -> list[int]:
    """Asks until `/ready` answers 200; returns the statuses before."""
    statuses: list[int] = []
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            status = client.get("/ready").status_code
        except httpx.TransportError:
            status = 0
        if status == 200:
            return statuses
        statuses.append(status)
        time.sleep(0.02)
    raise AssertionError(f"not ready within {within_s} s: {statuses[-5:]}")


@contextmanager
def serve_command(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m retriever serve` as a child process, without a token of ours, which is gone afterwards."""
    command = [sys.executable, "-m", "retriever", "serve", str(folder), *options]
    environment = {name: value for name, value in os.environ.items() if name != "RETRIEVER_TOKEN"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def address(server: subprocess.Popen[str]) -> str:
    """The address in the line by which a server tells that it is ready."""
    assert server.stdout is not None
    line = server.stdout.readline()
    return next(word for word in line.split() if word.startswith("http://"))
