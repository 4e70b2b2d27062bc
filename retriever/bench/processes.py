"""Servers as child processes: started, awaited, metered and ended."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from retriever.errors import ServeFailed

_READY_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs; `seconds_to_ready` is counted from the start of its process."""

    url: str
    processes: tuple[psutil.Process, ...]
    seconds_to_ready: float

    def cpu_seconds(self) -> float:
        """Processor time used so far, of the process and what it started."""
        times = [process.cpu_times() for process in self.processes]
        return sum(t.user + t.system for t in times)


@contextmanager
def server(module: str, *arguments: object) -> Iterator[Server]:
    """Runs `python -m MODULE ARGUMENTS --port PORT` on a free port until the block ends.

    Raises:
        ServeFailed: it ended or was not ready within five minutes; the text holds the end of what it printed.
    """
    port = free_port()
    command = [sys.executable, "-m", module, *map(str, arguments), "--port", str(port)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    url = f"http://127.0.0.1:{port}"
    try:
        await_ready(url, process)
        seconds = time.perf_counter() - started
        family = psutil.Process(process.pid)
        yield Server(url, (family, *family.children(recursive=True)), seconds)
    finally:
        process.terminate()
        process.communicate()


def await_ready(url: str, process: subprocess.Popen[str]) -> None:
    """Waits until the server's `/ready` answers 200; raises as `server` does."""
    deadline = time.monotonic() + _READY_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/ready", trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.02)
    process.terminate()
    printed = (process.communicate()[0] or "").strip()[-1000:]
    raise ServeFailed(f"The server at {url} was not ready: {printed}")


def ask_from_elsewhere(url: str, queries: Path, *, clients: int, seconds: float) -> dict[str, Any]:
    """Runs `retriever.bench.load` in a process of its own."""
    return _json_of("retriever.bench.load", url, queries, "--clients", clients, "--seconds", seconds)


def free_port() -> int:
    """A port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _json_of(module: str, *arguments: object) -> dict[str, Any]:
    command: Sequence[str] = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServeFailed(f"{module} failed: {done.stderr.strip()[-1000:]}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures
