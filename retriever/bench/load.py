"""Loads a server with concurrent clients of one query each; a process of its own, so that its work is not the server's.

Run: python -m retriever.bench.load URL QUERIES.json --clients 64 --seconds 5
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import orjson


async def load(url: str, queries: list[str], clients: int, seconds: float, topk: int) -> dict[str, Any]:
    """Asks for `seconds`, after a tenth of that as warm-up, and counts.

    Returns:
        requests answered after the warm-up, all requests, failures, requests per second, and the median and 99th
        percentile of their latency in ms.
    """
    bodies = cycle([orjson.dumps({"queries": [query], "topk": topk, "return_scores": True}) for query in queries])
    started = time.perf_counter() + seconds / 10
    latencies: list[float] = []
    failures = everything = 0

    async def client(session: aiohttp.ClientSession) -> None:
        nonlocal failures, everything
        while (asked := time.perf_counter()) < started + seconds:
            async with session.post(f"{url}/retrieve", data=next(bodies), headers=_JSON) as response:
                body = await response.read()
            everything += 1
            if response.status != 200 or len(body) < 100:
                failures += 1
            elif asked >= started:
                latencies.append(time.perf_counter() - asked)

    connector = aiohttp.TCPConnector(limit=clients)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(client(session) for _ in range(clients)))
    p50, p99 = np.percentile(latencies, [50, 99]) * 1000 if latencies else (float("nan"), float("nan"))
    return {
        "requests": len(latencies),
        "all_requests": everything,
        "failures": failures,
        "per_second": len(latencies) / seconds,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
    }


_JSON = {"Content-Type": "application/json"}


def main() -> None:
    """Prints the figures as one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("queries", type=Path)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--topk", type=int, default=3)
    given = parser.parse_args()
    queries = json.loads(given.queries.read_text(encoding="utf-8"))
    json.dump(asyncio.run(load(given.url, queries, given.clients, given.seconds, given.topk)), sys.stdout)


if __name__ == "__main__":
    main()
