"""What 64 concurrent searches of one process cost through a client, against the engine called in batches of 64.

The engine is called by one thread of this process, without a service between: nothing that serves it is faster.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from retriever.bench.processes import server
from retriever.clients import Searcher, open_searcher
from retriever.indexes import Index, open_index

_TOPK = 3


def compare(
    index: Path, queries: list[str], *, searches: int = 64, seconds: float = 6.0, repeats: int = 3
) -> dict[str, Any]:
    """Measures the engine, the Ray Serve handle and HTTP to a single process in turn, `repeats` times.

    Returns:
        Median queries per second of each, its range, and its share of the engine's within the same repeat.
    """
    with _served(index) as targets, _opened(index) as engine:
        ways: dict[str, Callable[[], float]] = {"engine": lambda: _direct(engine, queries, searches, seconds)}
        for name, target in targets.items():
            ways[name] = lambda target=target: asyncio.run(_coalesced(target, queries, searches, seconds))  # type: ignore[misc]
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, measure in ways.items():
                found[name].append(measure())
    return {name: _summary(rates, found["engine"]) for name, rates in found.items()}


@contextmanager
def _served(index: Path) -> Iterator[dict[str, str]]:
    from retriever.service.ray_cluster import ray_cluster
    from retriever.service.ray_serve import deploy, undeploy
    from retriever.service.settings import ServiceSettings

    with ray_cluster():
        service = deploy(index, name="bench", settings=ServiceSettings(cache_passages=0))
        with server("retriever", "serve", index, "--cache", "0", "--no-access-log") as plain:
            yield {"ray_serve_handle": service.target, "http_single_process": plain.url}
        undeploy("bench")


@contextmanager
def _opened(index: Path) -> Iterator[Index]:
    opened = open_index(index)
    try:
        yield opened
    finally:
        opened.close()


def _direct(engine: Index, queries: list[str], batch: int, seconds: float) -> float:
    upcoming = cycle(queries)
    engine.search(list(islice(upcoming, batch)), _TOPK)
    started, answered = time.perf_counter(), 0
    while time.perf_counter() < started + seconds:
        answered += len(engine.search(list(islice(upcoming, batch)), _TOPK))
    return answered / (time.perf_counter() - started)


async def _coalesced(target: str, queries: list[str], searches: int, seconds: float) -> float:
    upcoming = cycle(queries)
    searcher = open_searcher(target)
    await searcher.search(list(islice(upcoming, searches)), _TOPK)
    started = time.perf_counter()
    answered = await asyncio.gather(*(_episode(searcher, upcoming, started + seconds) for _ in range(searches)))
    rate = sum(answered) / (time.perf_counter() - started)
    await searcher.close()
    return rate


async def _episode(searcher: Searcher, upcoming: Iterator[str], end: float) -> int:
    answered = 0
    while time.perf_counter() < end:
        answered += len(await searcher.search([next(upcoming)], _TOPK))
    return answered


def _summary(rates: list[float], engine: list[float]) -> dict[str, Any]:
    return {
        "per_second": round(statistics.median(rates), 1),
        "per_second_range": [round(min(rates), 1), round(max(rates), 1)],
        "share_of_engine": round(statistics.median(a / b for a, b in zip(rates, engine, strict=True)), 3),
        "n": len(rates),
    }
