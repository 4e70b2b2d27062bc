"""The searchers: in this process, and over HTTP against a small loopback server."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from retriever.clients import HandleSearcher, HttpSearcher, LocalSearcher, Searcher, open_searcher
from retriever.errors import BadRequest, SearchFailed
from retriever.indexes.bm25 import Bm25Index
from retriever.limits import MAX_QUERY_CHARS
from retriever.types import Passage

Reply = tuple[int, Any]


def echo(request: dict[str, Any]) -> Reply:
    """Answers each query with one passage whose text is the query."""
    documents = ({"id": "1", "contents": f'"Echo"\n{query}'} for query in request["queries"])
    return 200, {"result": [[{"document": document, "score": 0.5}] for document in documents]}


class Server:
    """A loopback server that plays a script of replies, then echoes; it keeps every request body."""

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.requests: list[dict[str, Any]] = []
        self.hang = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(body)
                status, answer = outer.script.pop(0) if outer.script else echo(body)
                if status == 0:
                    outer.hang.wait(30)
                    return
                payload = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self.hang.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def ask(searcher: Searcher, queries: list[str], topk: int = 3) -> list[list[Passage]]:
    """One search in an event loop of its own, then closes the searcher."""

    async def run() -> list[list[Passage]]:
        try:
            return await searcher.search(queries, topk)
        finally:
            await searcher.close()

    return asyncio.run(run())


def echoed(text: str) -> list[Passage]:
    return [Passage("1", "Echo", text, 0.5)]


def test_http_speaks_search_r1(server: Server) -> None:
    assert ask(HttpSearcher(server.url), ["a", "b"], 4) == [echoed("a"), echoed("b")]
    assert server.requests == [{"queries": ["a", "b"], "topk": 4, "return_scores": True}]


@pytest.mark.parametrize("address", ["", "/", "/retrieve", "/retrieve/"])
def test_http_address_with_and_without_the_path(server: Server, address: str) -> None:
    assert ask(HttpSearcher(server.url + address), ["a"]) == [echoed("a")]


@pytest.mark.parametrize("failures", [[(503, {})], [(500, {}), (429, {})], [(502, {}), (0, None)]])
def test_http_tries_again(server: Server, failures: list[Reply]) -> None:
    server.script = list(failures)
    assert ask(HttpSearcher(server.url, backoff_s=0.001, timeout_s=1.0), ["a"]) == [echoed("a")]
    assert len(server.requests) == len(failures) + 1


def test_http_gives_up_after_all_tries(server: Server) -> None:
    server.script = [(503, {})] * 9
    with pytest.raises(SearchFailed) as caught:
        ask(HttpSearcher(server.url, backoff_s=0.001), ["a", "b"])
    assert str(caught.value) == f"{server.url}/retrieve did not answer in 3 tries: HTTP status 503."
    assert len(server.requests) == 3


def test_http_has_a_deadline(server: Server) -> None:
    server.script = [(0, None)]
    with pytest.raises(SearchFailed, match=r"did not answer in 1 tries: no answer within 0\.05 s"):
        ask(HttpSearcher(server.url, timeout_s=0.05, retries=0), ["a"])


def test_http_without_a_server(server: Server) -> None:
    server.close()
    with pytest.raises(SearchFailed, match=r"did not answer in 3 tries: All connection attempts failed"):
        ask(HttpSearcher(server.url, backoff_s=0.001), ["a"])


def test_http_refusal_is_not_tried_again(server: Server) -> None:
    server.script = [(422, {"detail": "too long"})]
    with pytest.raises(BadRequest, match=r"refused the request \(422\): .*too long"):
        ask(HttpSearcher(server.url), ["a"])
    assert len(server.requests) == 1


@pytest.mark.parametrize("reply", [(404, {}), (200, {"result": [[{"id": "1"}]]}), (200, []), (200, None)])
def test_http_server_that_is_no_retriever(server: Server, reply: Reply) -> None:
    server.script = [reply]
    with pytest.raises(SearchFailed, match=f"{server.url}/retrieve"):
        ask(HttpSearcher(server.url), ["a"])
    assert len(server.requests) == 1


def test_http_coalesces_concurrent_callers(server: Server) -> None:
    async def run() -> list[list[list[Passage]]]:
        searcher = HttpSearcher(server.url, connections=1)
        answers = await asyncio.gather(*(searcher.search([f"q{n}"], 1) for n in range(64)))
        await searcher.close()
        return answers

    assert asyncio.run(run()) == [[echoed(f"q{n}")] for n in range(64)]
    assert len(server.requests) == 1


def test_queries_are_cut_to_what_a_server_accepts(server: Server) -> None:
    assert ask(HttpSearcher(server.url), ["x" * 5000]) == [echoed("x" * MAX_QUERY_CHARS)]


def test_no_queries_no_answers(server: Server) -> None:
    assert ask(HttpSearcher(server.url), []) == []
    assert server.requests == []


@pytest.mark.parametrize("topk", [0, 1001])
def test_refuses_topk_out_of_range(server: Server, topk: int) -> None:
    with pytest.raises(BadRequest, match="topk must be a whole number from 1 to 1000"):
        ask(HttpSearcher(server.url), ["a"], topk)


def test_local_searcher_equals_the_index(index_folder: Path, index: Bm25Index) -> None:
    async def run() -> list[list[list[Passage]]]:
        searcher = LocalSearcher(index_folder)
        answers = await asyncio.gather(*(searcher.search([query, "wolf"], 2) for query in ("fox", "paris")))
        await searcher.close()
        return answers

    assert asyncio.run(run()) == [index.search(["fox", "wolf"], 2), index.search(["paris", "wolf"], 2)]


def test_local_searcher_of_a_broken_index(tmp_path: Path) -> None:
    with pytest.raises(SearchFailed, match=r"cannot be searched: .* is not an index folder"):
        ask(LocalSearcher(tmp_path), ["a", "b"])


def test_handle_searcher_outside_a_cluster() -> None:
    with pytest.raises(SearchFailed) as caught:
        ask(HandleSearcher("wiki", retries=0), ["a"])
    assert str(caught.value) == (
        'The Serve application "wiki" did not answer in 1 tries: this process has not joined a Ray cluster.'
    )


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("http://127.0.0.1:1", HttpSearcher),
        ("https://host/retrieve", HttpSearcher),
        ("serve:wiki", HandleSearcher),
    ],
)
def test_a_target_names_its_searcher(target: str, kind: Callable[..., Searcher]) -> None:
    assert type(open_searcher(target)) is kind


def test_a_folder_names_a_local_searcher(tmp_path: Path) -> None:
    assert type(open_searcher(str(tmp_path))) is LocalSearcher


@pytest.mark.parametrize("target", ["", "serve:", "/no/such/folder", "ftp://host", __file__])
def test_other_targets_are_refused(target: str) -> None:
    with pytest.raises(BadRequest, match=r"is not a retriever; give an http:// or https:// address, serve:NAME"):
        open_searcher(target)
