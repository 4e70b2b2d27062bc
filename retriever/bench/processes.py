"""Servers as child processes: started, awaited, metered and ended."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
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
    process: psutil.Process
    seconds_to_ready: float

    @property
    def processes(self) -> list[psutil.Process]:
        """The process and all that it has started and that runs now."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Processor time that these have used so far."""
        total = 0.0
        for process in self.processes:
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total


@contextmanager
def server(module: str, *arguments: object) -> Iterator[Server]:
    """Runs `python -m MODULE ARGUMENTS --port PORT` on a free port until the block ends.

    Raises:
        ServeFailed: it ended or was not ready within five minutes; the text holds the end of what it printed.
    """
    port = free_port()
    command = [sys.executable, "-m", module, *map(str, arguments), "--port", str(port)]
    started = time.perf_counter()
    url = f"http://127.0.0.1:{port}"
    # A file: nobody reads a pipe while the server works.
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT)
        try:
            if not _is_ready(url, process):
                printed.seek(0)
                said = printed.read().decode(errors="replace").strip()[-1000:]
                raise ServeFailed(f"{' '.join(command)} was not ready: {said}")
            seconds = time.perf_counter() - started
            yield Server(url, psutil.Process(process.pid), seconds)
        finally:
            process.terminate()
            process.wait()


def _is_ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + _READY_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/ready", trust_env=False).status_code == 200:
                return True
        except httpx.HTTPError:
            pass
        time.sleep(0.02)
    return False


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
