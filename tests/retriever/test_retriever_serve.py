"""The service on Ray Serve, end to end, on a Ray cluster of its own."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from retriever_sample import PASSAGES

from retriever.clients import HandleSearcher, HttpSearcher, Searcher, open_searcher
from retriever.errors import BadIndex, BadRequest, ServeFailed
from retriever.indexes import Index, open_index
from retriever.indexes.bm25 import Bm25Index, build_index
from retriever.indexes.sharding import build_shards
from retriever.service.ray_cluster import ray_cluster
from retriever.service.ray_serve import Scaling, Service, check_port, deploy, undeploy
from retriever.types import Passage

pytestmark = pytest.mark.slow

QUERIES = ["fox", "wolf dog", "Paris", "germinal \U0001f600", "", 'AND (title:"x"^2', "wolf " * 3000]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    with ray_cluster():
        yield
    left = [process for process in psutil.Process().children(recursive=True) if process.pid not in before]
    assert psutil.wait_procs(left, timeout=30)[1] == []


@pytest.fixture(scope="module")
def sharded(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    folder = tmp_path_factory.mktemp("index") / "sharded"
    build_shards(corpus, folder, 2, build_index)
    opened = open_index(folder)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def url(sharded: Index) -> Iterator[str]:
    """A sharded index: two processes with a shard each, and one before them."""
    port = free_port()
    service = deploy(sharded.folder, name="wiki", port=port)
    assert service == Service("wiki", f"http://127.0.0.1:{port}")
    yield str(service.url)
    undeploy("wiki")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{service.url}/health", trust_env=False)


def search(searcher: Searcher, queries: list[str], topk: int = 3) -> list[list[Passage]]:
    async def run() -> list[list[Passage]]:
        answers = await asyncio.gather(*(searcher.search([query], topk) for query in queries))
        await searcher.close()
        return [ranked for [ranked] in answers]

    return asyncio.run(run())


def ask(url: str, path: str, **body: Any) -> Any:
    """The answer's JSON: of a POST where there is a body."""
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        return (client.post(path, json=body) if body else client.get(path)).json()


def test_http_is_that_of_a_single_process(url: str, sharded: Index) -> None:
    [[fox]] = sharded.search(["fox"], 2)
    document = {"id": "fox", "contents": f'"{fox.title}"\n{fox.text}', "title": fox.title, "text": fox.text}
    request = {"queries": ["fox", "zebra"], "topk": 2, "return_scores": True}
    assert ask(url, "/retrieve", **request) == {"result": [[{"document": document, "score": fox.score}], []]}
    assert ask(url, "/health") == {"status": "alive"}
    assert ask(url, "/ready") == {"status": "ready"}
    assert ask(url, "/retrieve", queries=[])["detail"].startswith("body.queries: List should have at least 1 item")


def test_documents_come_from_whichever_shard_holds_them(url: str) -> None:
    title, text = PASSAGES["paris"]
    paris = {"id": "paris", "title": title, "text": text}
    assert ask(url, "/v1/documents/paris") == paris
    found = ask(url, "/v1/documents", ids=[*PASSAGES, "none"])["documents"]
    assert [document and document["id"] for document in found] == [*PASSAGES, None]
    assert ask(url, "/v1/index")["parameters"] == {"shards": ["shard-0", "shard-1"], "shard_type": "bm25"}


def test_all_clients_agree_with_the_index_in_this_process(url: str, sharded: Index) -> None:
    expected = sharded.search(QUERIES, 3)
    assert search(HttpSearcher(url), QUERIES) == expected
    assert search(HandleSearcher("wiki"), QUERIES) == expected


def test_the_handle_works_inside_an_actor(url: str, sharded: Index) -> None:
    import ray

    @ray.remote(num_cpus=0)
    class Rollout:
        def __init__(self) -> None:
            self.searcher = HandleSearcher("wiki")

        async def search(self, query: str) -> list[Passage]:
            return (await self.searcher.search([query], 2))[0]

    actor: Any = Rollout.remote()
    queries = ["wolf", "fox", "paris"] * 10
    assert ray.get([actor.search.remote(query) for query in queries]) == sharded.search(queries, 2)
    ray.kill(actor)


def test_no_answer_is_lost_while_a_shard_is_replaced(url: str, sharded: Index) -> None:
    expected = dict(zip(QUERIES, sharded.search(QUERIES, 3), strict=True))

    async def ask_throughout(searcher: Searcher) -> None:
        rounds = 0
        while rounds < 5 or not_replaced():
            assert await asyncio.gather(*(searcher.search([query], 3) for query in expected)) == [
                [answer] for answer in expected.values()
            ]
            rounds += 1
        await searcher.close()

    def not_replaced() -> bool:
        return killed in processes("wiki:Shard0") or not processes("wiki:Shard0")

    async def run() -> None:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(ask_throughout(HttpSearcher(url)))
            group.create_task(ask_throughout(HandleSearcher("wiki")))
            await asyncio.sleep(0.1)
            os.kill(killed, signal.SIGKILL)

    [killed] = processes("wiki:Shard0")
    asyncio.run(run())


def processes(deployment: str) -> set[int]:
    """Those of a deployment's replicas."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if f"ServeReplica:{deployment}" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


def test_replicas_that_are_full_turn_requests_away_and_clients_ask_again(
    url: str, index_folder: Path, index: Bm25Index
) -> None:
    """A second application: one request under way in each of two replicas, and one that waits for them."""
    from ray import serve
    from ray.serve.exceptions import BackPressureError

    service = deploy(index_folder, name="second", scaling=Scaling(2, max_requests=1, max_queued=1))
    assert service == Service("second", None)
    assert len(processes("second:Retriever")) == 2
    queries = [f"wolf dog {number}" for number in range(60)]

    async def flood() -> list[Any]:
        handle = serve.get_app_handle("second")
        return await asyncio.gather(*(handle.search.remote([q], 3) for q in queries), return_exceptions=True)

    answers = asyncio.run(flood())
    turned_away = [answer for answer in answers if isinstance(answer, BackPressureError)]
    assert 0 < len(turned_away) < 60
    assert all(isinstance(answer, list) for answer in answers if answer not in turned_away)
    assert search(open_searcher(service.target), queries) == index.search(queries, 3)
    undeploy("second")
    assert ask(url, "/ready") == {"status": "ready"}


def test_an_index_that_cannot_be_opened_is_one_sentence_and_leaves_nothing(
    url: str, index_folder: Path, tmp_path: Path
) -> None:
    from ray import serve

    (tmp_path / "manifest.json").write_bytes((index_folder / "manifest.json").read_bytes())
    with pytest.raises(ServeFailed) as caught:
        deploy(tmp_path, name="broken")
    opening = f'The Serve application "broken" did not become ready: {tmp_path}/lucene/'
    assert re.fullmatch(rf"{re.escape(opening)}\S+ is missing; build the index again\.", str(caught.value))
    assert set(serve.status().applications) == {"wiki"}
    assert processes("broken") == set()


def test_bad_deployments_are_refused(url: str, index_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadIndex, match="is not an index folder"):
        deploy(tmp_path)
    with pytest.raises(BadRequest, match="replicas must be at least 1, found 0"):
        deploy(index_folder, replicas=0)
    with pytest.raises(BadRequest, match="port must be from 1 to 65535, found 0"):
        check_port("127.0.0.1", 0)
    with pytest.raises(ServeFailed, match=r"cannot be used \(Address already in use\)"):
        check_port("127.0.0.1", int(url.rsplit(":", 1)[1]))


def test_the_serve_command_beside_another_cluster(url: str, index_folder: Path, index: Bm25Index) -> None:
    """It has a Ray cluster of its own, which ends with it."""
    port = free_port()
    command = [sys.executable, "-m", "retriever", "serve", str(index_folder), "--ray", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stderr is not None
        assert f"at http://127.0.0.1:{port} " in server.stdout.readline()
        assert search(HttpSearcher(f"http://127.0.0.1:{port}"), QUERIES) == index.search(QUERIES, 3)
        assert ask(url, "/ready") == {"status": "ready"}
        started = psutil.Process(server.pid).children(recursive=True)
        os.kill(server.pid, signal.SIGTERM)
        assert server.wait(timeout=60) == 0
        assert (server.stdout.read(), server.stderr.read()) == ("", "")
    assert psutil.wait_procs(started, timeout=30)[1] == []


def test_a_port_in_use_is_one_sentence_before_anything_starts(index_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "retriever", "serve", str(index_folder), "--ray", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"Port {port} on 127.0.0.1 cannot be used (Address already in use); choose another port.\n"
    assert done.stdout == ""
