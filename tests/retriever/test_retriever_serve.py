"""The Ray Serve application end to end, on a Ray cluster of its own."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from retriever.clients import HandleSearcher, HttpSearcher, Searcher, open_searcher
from retriever.errors import BadIndex, BadRequest, ServeFailed
from retriever.indexes.bm25 import Bm25Index
from retriever.types import Passage

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    import ray

    before = {process.pid for process in psutil.Process().children(recursive=True)}
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()
    left = [process for process in psutil.Process().children(recursive=True) if process.pid not in before]
    assert psutil.wait_procs(left, timeout=30)[1] == []


@pytest.fixture(scope="module")
def url(cluster: None, index_folder: Path) -> Iterator[str]:
    from retriever.service.ray_serve import deploy, undeploy

    port = free_port()
    service = deploy(index_folder, name="wiki", port=port)
    assert (service.url, service.target) == (f"http://127.0.0.1:{port}", "serve:wiki")
    yield service.url
    undeploy("wiki")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{service.url}/health", trust_env=False)


def post(url: str, body: object) -> httpx.Response:
    return httpx.post(f"{url}/retrieve", json=body, trust_env=False, timeout=30)


def test_health_tells_what_is_served(url: str) -> None:
    response = httpx.get(f"{url}/health", trust_env=False)
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "passages": 7, "type": "bm25"}


def test_answers_with_scores(url: str, index: Bm25Index) -> None:
    response = post(url, {"queries": ["fox", "zebra"], "topk": 2, "return_scores": True})
    [[fox]] = index.search(["fox"], 2)
    document = {"id": "fox", "contents": f'"{fox.title}"\n{fox.text}', "title": fox.title, "text": fox.text}
    assert response.json() == {"result": [[{"document": document, "score": fox.score}], []]}


def test_answers_without_scores_and_with_three_passages_by_default(url: str) -> None:
    body = post(url, {"queries": ["fox fox fox, dog dog, wolf, Paris"]}).json()
    assert [document["id"] for document in body["result"][0]] == ["fox", "dog", "paris"]
    assert set(body["result"][0][0]) == {"id", "contents", "title", "text"}
    assert post(url, {"queries": ["wolf"], "topk": None}).json()["result"][0][0]["id"] == "wolf"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"queries": []}, "body.queries: List should have at least 1 item"),
        ({"queries": ["a"] * 1025}, "body.queries: List should have at most 1024 items"),
        ({"queries": ["a" * 4097]}, "body.queries.0: String should have at most 4096 characters"),
        ({"queries": ["a", 3]}, "body.queries.1: Input should be a valid string"),
        ({"queries": "a"}, "body.queries: Input should be a valid list"),
        ({"queries": ["a"], "topk": 0}, "body.topk: Input should be greater than or equal to 1"),
        ({"queries": ["a"], "topk": -1}, "body.topk: Input should be greater than or equal to 1"),
        ({"queries": ["a"], "topk": 3_000_000_000}, "body.topk: Input should be less than or equal to 1000"),
        ({"queries": ["a"], "topk": "3"}, "body.topk: Input should be a valid integer"),
        ({"queries": ["a"], "return_scores": 2}, "body.return_scores: Input should be a valid boolean"),
        ({}, "body.queries: Field required"),
        ([], "body: Input should be a valid dictionary"),
    ],
)
def test_requests_outside_the_limits_are_refused(url: str, body: object, complaint: str) -> None:
    response = post(url, body)
    assert response.status_code == 422
    assert response.json()["detail"].startswith(complaint)
    assert "accepted are 1 to 1024 queries" in response.json()["detail"]


def test_the_largest_request_is_answered(url: str) -> None:
    terms = " ".join(f"t{n}" for n in range(900))[:4096]
    response = post(url, {"queries": [terms] * 1023 + ["fox"], "topk": 1000})
    assert [len(ranked) for ranked in response.json()["result"]] == [0] * 1023 + [1]


def search(searcher: Searcher, queries: list[str]) -> list[list[Passage]]:
    async def run() -> list[list[Passage]]:
        answers = await asyncio.gather(*(searcher.search([query], 3) for query in queries))
        await searcher.close()
        return [ranked for [ranked] in answers]

    return asyncio.run(run())


def test_all_clients_agree(url: str, index: Bm25Index) -> None:
    queries = ["fox", "", "germinal \U0001f600", 'AND (title:"x"^2', "wolf " * 3000, "\ud800 twin"]
    expected = index.search(queries, 3)
    assert search(HttpSearcher(url), queries) == expected
    assert search(HandleSearcher("wiki"), queries) == expected


def test_handle_works_inside_an_actor(url: str, index: Bm25Index) -> None:
    import ray

    @ray.remote(num_cpus=0)
    class Rollout:
        def __init__(self) -> None:
            self.searcher = HandleSearcher("wiki")

        async def search(self, query: str) -> list[Passage]:
            return (await self.searcher.search([query], 2))[0]

    actor: Any = Rollout.remote()
    queries = ["wolf", "fox", "paris"] * 10
    assert ray.get([actor.search.remote(query) for query in queries]) == index.search(queries, 2)
    ray.kill(actor)


def test_a_second_application_without_http(url: str, index_folder: Path, index: Bm25Index) -> None:
    from retriever.service.ray_serve import deploy, undeploy

    service = deploy(index_folder, name="second", replicas=2)
    assert (service.url, service.target) == (None, "serve:second")
    assert search(open_searcher(service.target), ["fox", "wolf"]) == index.search(["fox", "wolf"], 3)
    undeploy("second")
    assert search(open_searcher(url), ["fox"]) == index.search(["fox"], 3)


def test_a_deployment_that_cannot_load_is_one_sentence_and_leaves_nothing(
    url: str, index_folder: Path, tmp_path: Path
) -> None:
    from ray import serve

    from retriever.service.ray_serve import deploy

    (tmp_path / "manifest.json").write_bytes((index_folder / "manifest.json").read_bytes())
    with pytest.raises(ServeFailed, match=r'"broken" did not become healthy: .*') as caught:
        deploy(tmp_path, name="broken")
    assert "\n" not in str(caught.value)
    assert set(serve.status().applications) == {"wiki"}


def test_a_port_in_use_is_one_sentence_before_anything_starts(index_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "retriever", "serve", str(index_folder), "--port", str(port)],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr == (f"Port {port} on 127.0.0.1 cannot be used (Address already in use); choose another port.\n")
    assert done.stdout == ""


def test_bad_deployments_are_refused(url: str, index_folder: Path, tmp_path: Path) -> None:
    from retriever.service.ray_serve import check_port, deploy

    with pytest.raises(BadIndex, match="is not an index folder"):
        deploy(tmp_path)
    with pytest.raises(BadRequest, match="replicas must be at least 1, found 0"):
        deploy(index_folder, replicas=0)
    with pytest.raises(BadRequest, match="port must be from 1 to 65535, found 0"):
        check_port("127.0.0.1", 0)
    with pytest.raises(ServeFailed, match=r"cannot be used \(Address already in use\)"):
        check_port("127.0.0.1", int(url.rsplit(":", 1)[1]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_command_ends_cleanly(index_folder: Path, number: signal.Signals) -> None:
    port = free_port()
    command = [sys.executable, "-m", "retriever", "serve", str(index_folder), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stderr is not None
        assert f"at http://127.0.0.1:{port} " in server.stdout.readline()
        assert search(HttpSearcher(f"http://127.0.0.1:{port}"), ["fox"])[0][0].id == "fox"
        started = psutil.Process(server.pid).children(recursive=True)
        os.kill(server.pid, number)
        assert server.wait(timeout=60) == 0
        assert server.stderr.read() == ""
    assert psutil.wait_procs(started, timeout=30)[1] == []
