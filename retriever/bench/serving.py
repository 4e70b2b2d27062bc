"""Queries per second, latency and processor time of servers, alternating over repeats in one run."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from retriever.bench.processes import Server, ask_from_elsewhere, server

Command = tuple[str, ...]
"""A module and its arguments, see `processes.server`."""


def compare(
    commands: Mapping[str, Command], queries: Path, *, clients: int = 64, seconds: float = 6.0, repeats: int = 3
) -> dict[str, Any]:
    """Loads each server in turn, `repeats` times; all stay up, so that only the one that is asked works.

    Returns:
        For each name the median of every figure, `cpu_ms_per_request` of the server among them, the range of
        requests per second over the repeats, and the seconds to ready.
    """
    with ExitStack() as stack:
        servers = {name: stack.enter_context(server(*command)) for name, command in commands.items()}
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in servers}
        for _ in range(repeats):
            for name, running in servers.items():
                runs[name].append(_measure(running, queries, clients, seconds))
    return {
        name: {"seconds_to_ready": round(servers[name].seconds_to_ready, 2), **_medians(found)}
        for name, found in runs.items()
    }


def write_queries(path: Path, queries: Sequence[str]) -> Path:
    """Writes queries as the load generator reads them."""
    path.write_text(json.dumps(list(queries)), encoding="utf-8")
    return path


def _measure(running: Server, queries: Path, clients: int, seconds: float) -> dict[str, Any]:
    before = running.cpu_seconds()
    figures = ask_from_elsewhere(running.url, queries, clients=clients, seconds=seconds)
    asked = max(figures["all_requests"], 1)
    return figures | {"cpu_ms_per_request": 1000 * (running.cpu_seconds() - before) / asked}


def _medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    medians = {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}
    per_second = [run["per_second"] for run in runs]
    return medians | {"per_second_range": [round(min(per_second), 1), round(max(per_second), 1)], "n": len(runs)}
