"""Servers and replicas that end under running clients and come back."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest
from scripted_server import HANG, ScriptedServer

from retriever.clients import HttpSearcher, Searcher, open_searcher
from retriever.indexes.bm25 import Bm25Index
from retriever.types import Passage

CALLERS = 16


async def search_throughout(
    searcher: Searcher, expected: dict[str, list[Passage]], topk: int, restart: Callable[[], Awaitable[None]]
) -> None:
    """Callers search without a pause before, during and after the restart; every answer must come and be right."""
    queries = list(expected)
    rounds = [0] * CALLERS
    enough = asyncio.Event()

    async def caller(number: int) -> None:
        while not enough.is_set():
            query = queries[(number + rounds[number]) % len(queries)]
            assert await searcher.search([query], topk) == [expected[query]]
            rounds[number] += 1

    async def conductor() -> None:
        await until_all_have(3)
        await restart()
        await until_all_have(max(rounds) + 20)
        enough.set()

    async def until_all_have(answers: int) -> None:
        while min(rounds) < answers:
            await asyncio.sleep(0.01)

    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        group.create_task(conductor())
        for number in range(CALLERS):
            group.create_task(caller(number))
    await searcher.close()


def test_no_answer_is_lost_while_a_server_is_gone() -> None:
    first = ScriptedServer()
    running = [first]
    expected = {f"q{n}": [Passage("1", "Echo", f"q{n}", 0.5)] for n in range(50)}

    async def restart() -> None:
        first.script = [HANG] * 4
        await asyncio.sleep(0.1)
        await asyncio.to_thread(first.close)
        await asyncio.sleep(0.3)
        running.append(ScriptedServer(port=first.port))

    asyncio.run(search_throughout(HttpSearcher(first.url), expected, 3, restart))
    for server in running:
        server.close()
    assert len(running[1].requests) > 0


@contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "retriever", "serve", str(folder), "--port", str(port), "--no-access-log"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found
            yield process, found.group()
        finally:
            process.kill()


QUERIES = ["fox", "wolf dog", "Paris", "germinal \U0001f600", "nothing matches this", "twin"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_answer_is_lost_while_the_retriever_restarts(
    index_folder: Path, index: Bm25Index, number: signal.Signals
) -> None:
    expected = dict(zip(QUERIES, index.search(QUERIES, 2), strict=True))
    with ExitStack() as servers:
        process, url = servers.enter_context(serving(index_folder))

        async def restart() -> None:
            os.kill(process.pid, number)
            await asyncio.to_thread(process.wait)
            port = int(url.rsplit(":", 1)[1])
            await asyncio.to_thread(servers.enter_context, serving(index_folder, port))

        asyncio.run(search_throughout(HttpSearcher(url), expected, 2, restart))


def replicas(application: str) -> set[int]:
    """The processes of the application's replicas."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if f"ServeReplica:{application}:" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


@pytest.mark.slow
def test_no_answer_is_lost_while_a_replica_dies(index_folder: Path, index: Bm25Index) -> None:
    from retriever.service.ray_cluster import ray_cluster

    expected = dict(zip(QUERIES, index.search(QUERIES, 2), strict=True))

    async def kill_one() -> None:
        os.kill(min(replicas("dying")), signal.SIGKILL)

    # What the cluster sets in the environment lasts no longer than this test.
    with patch.dict(os.environ), ray_cluster():
        from retriever.service.ray_serve import deploy, undeploy

        service = deploy(index_folder, name="dying", replicas=2)
        asyncio.run(search_throughout(open_searcher(service.target), expected, 2, kill_one))
        undeploy("dying")
