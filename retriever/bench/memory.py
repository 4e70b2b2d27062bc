"""Memory of one and of several replicas over the same index, what they share counted once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from retriever.bench.processes import ask_from_elsewhere, server
from retriever.bench.serving import Command


def measure_replicas(
    command: Command,
    queries: Path,
    *,
    replicas: Sequence[int] = (1, 2),
    option: str | None = None,
    seconds: float = 10.0,
) -> dict[str, Any]:
    """Starts so many replicas at a time, has them answer queries for a while, and adds up their memory.

    Args:
        command: of a server: a module and its arguments, see `processes.server`.
        queries: see `bench.load`; the parts of the index that they need are then in memory.
        replicas: how many.
        option: of the command, that sets the number of its replicas; None starts as many servers.
        seconds: how long each server is asked.

    Returns:
        For each number, in MB of 10⁶ bytes, `total_mb` with shared pages counted once, and `private_mb`, the part of
        it that no other process shares; of all processes that a server consists of, such as those of a Ray cluster.
        `ratio` is the last total over the first.
    """
    measured = {
        str(count): _memory_of([(*command, option, str(count))] if option else [command] * count, queries, seconds)
        for count in replicas
    }
    totals = [figures["total_mb"] for figures in measured.values()]
    return measured | {"ratio": round(totals[-1] / totals[0], 3)}


def memory(processes: Iterable[psutil.Process]) -> dict[str, float]:
    """Memory of processes in MB: each shared page as its share (Linux's PSS), so that the sum counts it once."""
    rollups = [_rollup(process.pid) for process in processes]
    return {
        "total_mb": round(sum(rollup["Pss"] for rollup in rollups) / 1e6, 1),
        "private_mb": round(sum(rollup["Private_Clean"] + rollup["Private_Dirty"] for rollup in rollups) / 1e6, 1),
    }


def _memory_of(commands: Sequence[Command], queries: Path, seconds: float) -> dict[str, float]:
    with ExitStack() as stack:
        servers = [stack.enter_context(server(*command)) for command in commands]
        for running in servers:
            ask_from_elsewhere(running.url, queries, clients=16, seconds=seconds)
        return memory(process for running in servers for process in running.processes)


def _rollup(pid: int) -> dict[str, int]:
    """Sizes in bytes by name, see proc(5)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    return {name.rstrip(":"): int(size) * 1024 for name, size, _ in map(str.split, lines)}
