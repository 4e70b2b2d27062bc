"""Many threads against one server for a minute, every answer checked against the engine."""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from retriever_sample import PASSAGES
from retriever_server import address, serve_command

from retriever.indexes.bm25 import Bm25Index

SECONDS = float(os.environ.get("RETRIEVER_LOAD_SECONDS", "60"))
THREADS = 40
WORDS = sorted({word for title, text in PASSAGES.values() for word in f"{title} {text}".split()})

Hits = list[tuple[str, float]]
Expected = dict[tuple[str, int], Hits]


def expectations(index: Bm25Index) -> Expected:
    """What the engine answers to 200 queries at every topk from 1 to 8."""
    draw = random.Random(0)
    queries = [" ".join(draw.choices(WORDS, k=draw.randint(0, 12))) for _ in range(200)]
    return {
        (query, topk): [(passage.id, passage.score) for passage in ranked]
        for topk in range(1, 9)
        for query, ranked in zip(queries, index.search(queries, topk), strict=True)
    }


def caller(url: str, number: int, expected: Expected) -> int:
    """Asks until the time is over; returns how many queries were answered, all as expected."""
    draw = random.Random(number)
    keys = list(expected)
    answered = 0
    end = time.monotonic() + SECONDS
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        while time.monotonic() < end:
            topk = draw.randint(1, 8)
            queries = [query for query, _ in draw.choices(keys, k=draw.choice([1, 1, 1, 2, 9]))]
            results = client.post("/v1/search", json={"queries": queries, "topk": topk}).json()["results"]
            found = [[(hit["id"], hit["score"]) for hit in hits] for hits in results]
            assert found == [expected[query, topk] for query in queries]
            refused = client.post("/v1/search", json={"queries": queries, "topk": 0})
            assert refused.status_code == 422
            answered += len(queries)
    return answered


@pytest.mark.slow
def test_every_answer_is_right_under_load(index: Bm25Index, index_folder: Path) -> None:
    expected = expectations(index)
    # So small a cache that queries are found in it, missed and forgotten all the time.
    options = ("--port", "0", "--no-access-log", "--cache", "500")
    with serve_command(index_folder, *options) as server, ThreadPoolExecutor(THREADS) as threads:
        url = address(server)
        answered = list(threads.map(caller, [url] * THREADS, range(THREADS), [expected] * THREADS))
    assert len(answered) == THREADS
    assert min(answered) > 0
