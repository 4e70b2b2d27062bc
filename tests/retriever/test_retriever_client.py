"""The searchers: over HTTP against a small loopback server, in this process, and by the target that names them."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from scripted_server import DROP, HANG, Reply, Request, ScriptedServer, echo

from retriever.clients import (
    HandleSearcher,
    HttpSearcher,
    LocalSearcher,
    Patience,
    Searcher,
    WebSearcher,
    open_searcher,
)
from retriever.errors import (
    BadRequest,
    CircuitOpen,
    DeadlineExceeded,
    RetrieverError,
    SearchFailed,
    Unauthorised,
)
from retriever.indexes.bm25 import Bm25Index
from retriever.limits import MAX_QUERY_CHARS
from retriever.types import Passage

QUICK = Patience(deadline_s=10, try_timeout_s=1, backoff_s=0.001)


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETRIEVER_TOKEN", raising=False)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    running = ScriptedServer()
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


# What is sent and how answers are read


def test_http_speaks_search_r1(server: ScriptedServer) -> None:
    assert ask(HttpSearcher(server.url), ["a", "é\U0001f600"], 4) == [echoed("a"), echoed("é\U0001f600")]
    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/retrieve")
    assert request.body == {"queries": ["a", "é\U0001f600"], "topk": 4, "return_scores": True}
    assert request.headers["content-type"] == "application/json"
    assert "authorization" not in request.headers


@pytest.mark.parametrize("address", ["", "/", "/retrieve", "/retrieve/"])
def test_http_address_with_and_without_the_path(server: ScriptedServer, address: str) -> None:
    assert ask(HttpSearcher(server.url + address), ["a"]) == [echoed("a")]


def test_documents_without_an_id_are_read(server: ScriptedServer) -> None:
    server.script = [Reply(body={"result": [[{"document": {"contents": '"T"\ntext'}, "score": 2}]]})]
    assert ask(HttpSearcher(server.url), ["a"]) == [[Passage("", "T", "text", 2.0)]]


def test_connections_are_reused(server: ScriptedServer) -> None:
    async def run() -> None:
        searcher = HttpSearcher(server.url)
        for n in range(20):
            assert await searcher.search([f"q{n}"], 1) == [echoed(f"q{n}")]
        await searcher.close()

    asyncio.run(run())
    assert (len(server.requests), server.connections) == (20, 1)


def test_concurrent_callers_share_a_request(server: ScriptedServer) -> None:
    async def run() -> list[list[list[Passage]]]:
        searcher = HttpSearcher(server.url, patience=Patience(in_flight=1))
        answers = await asyncio.gather(*(searcher.search([f"q{n}"], 1) for n in range(64)))
        await searcher.close()
        return answers

    assert asyncio.run(run()) == [[echoed(f"q{n}")] for n in range(64)]
    assert len(server.requests) == 1


def test_a_search_larger_than_the_servers_limits_is_split(server: ScriptedServer) -> None:
    queries = [f"q{n}" for n in range(1500)]
    assert ask(HttpSearcher(server.url), queries) == [echoed(query) for query in queries]
    assert max(len(request.body["queries"]) for request in server.requests) == 512
    server.requests.clear()
    assert ask(HttpSearcher(server.url), queries[:250], topk=1000) == [echoed(query) for query in queries[:250]]
    # 100,000 passages is the most of one request.
    assert sorted(len(request.body["queries"]) for request in server.requests) == [50, 100, 100]


def test_queries_are_cut_to_what_a_server_accepts(server: ScriptedServer) -> None:
    assert ask(HttpSearcher(server.url), ["x" * 5000, "\ud800"]) == [echoed("x" * MAX_QUERY_CHARS), echoed("?")]


def test_no_queries_no_answers(server: ScriptedServer) -> None:
    assert ask(HttpSearcher(server.url), []) == []
    assert server.requests == []


@pytest.mark.parametrize("topk", [0, -1, 1001, 10**9, True, "3", 2.0])
def test_refuses_topk_out_of_range(server: ScriptedServer, topk: Any) -> None:
    with pytest.raises(BadRequest, match="topk must be a whole number from 1 to 1000"):
        ask(HttpSearcher(server.url), ["a"], topk)
    assert server.requests == []


# Tokens


def test_a_token_travels_as_bearer_token(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIEVER_TOKEN", " from-environment\n")
    ask(HttpSearcher(server.url), ["a"])
    ask(HttpSearcher(server.url, token="given"), ["a"])
    tokens = [request.headers["authorization"] for request in server.requests]
    assert tokens == ["Bearer from-environment", "Bearer given"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_told_at_once_and_not_shown(server: ScriptedServer, status: int) -> None:
    server.script = [Reply(status, {"detail": "bad token s3cret"})]
    with pytest.raises(Unauthorised) as caught:
        ask(HttpSearcher(server.url, token="s3cret"), ["a"])
    assert str(caught.value) == (
        f"{server.url}/retrieve refused the credentials "
        f'(status {status}: {{"detail": "bad token ***"}}); check RETRIEVER_TOKEN.'
    )
    assert len(server.requests) == 1


@pytest.mark.parametrize("token", ["s3cret\n", "s3crét", "s3\x00cret"])
def test_a_token_that_cannot_travel_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(BadRequest, match="token must be printable ASCII characters; copy it again") as caught:
        HttpSearcher("http://127.0.0.1:1", token=token)
    assert "s3" not in str(caught.value)


# Failures that pass, and those that do not


@pytest.mark.parametrize(
    "failures",
    [[Reply(503)], [Reply(500), Reply(429)], [Reply(408)], [Reply(502), HANG], [DROP], [DROP, DROP, Reply(504), DROP]],
)
def test_what_may_pass_is_tried_again(server: ScriptedServer, failures: list[Reply]) -> None:
    server.script = list(failures)
    assert ask(HttpSearcher(server.url, patience=replace(QUICK, try_timeout_s=0.2)), ["a"]) == [echoed("a")]
    assert len(server.requests) == len(failures) + 1


def test_retries_can_be_limited(server: ScriptedServer) -> None:
    server.script = [Reply(503)] * 9
    with pytest.raises(SearchFailed) as caught:
        ask(HttpSearcher(server.url, patience=replace(QUICK, retries=2)), ["a", "b"])
    assert str(caught.value) == f"{server.url}/retrieve did not answer in 3 tries: HTTP status 503."
    assert len(server.requests) == 3


def test_without_a_server(server: ScriptedServer) -> None:
    server.close()
    with pytest.raises(SearchFailed, match=r"did not answer in 3 tries: All connection attempts failed"):
        ask(HttpSearcher(server.url, patience=replace(QUICK, retries=2)), ["a"])


def test_a_body_cut_short_is_tried_again(server: ScriptedServer) -> None:
    server.script = [Reply(200, b'{"result": [', headers={"Content-Length": "500", "Connection": "close"})]
    assert ask(HttpSearcher(server.url, patience=QUICK), ["a"]) == [echoed("a")]
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refusal_is_not_tried_again(server: ScriptedServer, status: int) -> None:
    server.script = [Reply(status, {"detail": "too long"})]
    with pytest.raises(BadRequest) as caught:
        ask(HttpSearcher(server.url), ["a"])
    refused = f'refused the request (status {status}: {{"detail": "too long"}}).'
    assert str(caught.value) == f"{server.url}/retrieve {refused}"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(404, {"detail": "Not Found"}),
        Reply(301, headers={"Location": "/elsewhere"}),
        Reply(200, {"result": [[{"id": "1"}]]}),
        Reply(200, {"result": [[{"document": {"contents": "x"}, "score": "high"}]]}),
        Reply(200, {"result": None}),
        Reply(200, {"result": []}),
        Reply(200, {"result": [[], []]}),
        Reply(200, []),
        Reply(200, b"<html>hello</html>"),
        Reply(200, b""),
    ],
)
def test_a_server_that_is_no_retriever(server: ScriptedServer, reply: Reply) -> None:
    server.script = [reply]
    with pytest.raises(SearchFailed, match=f"{server.url}/retrieve") as caught:
        ask(HttpSearcher(server.url), ["a"])
    assert "\n" not in str(caught.value)
    assert len(server.requests) == 1


def test_a_web_page_is_not_quoted(server: ScriptedServer) -> None:
    server.script = [Reply(502, b"<html>Bad Gateway</html>")]
    with pytest.raises(SearchFailed, match=r"did not answer in 1 tries: HTTP status 502\.$"):
        ask(HttpSearcher(server.url, patience=replace(QUICK, retries=0)), ["a"])


def fails_on_bad_queries(status: int) -> Callable[[Request], Reply]:
    return lambda request: Reply(status) if "bad" in request.body["queries"] else echo(request)


@pytest.mark.parametrize(("status", "error"), [(500, SearchFailed), (422, BadRequest)])
def test_only_the_query_at_fault_is_lost(status: int, error: type[RetrieverError]) -> None:
    server = ScriptedServer(default=fails_on_bad_queries(status))

    async def run() -> list[Any]:
        searcher = HttpSearcher(server.url, patience=replace(QUICK, in_flight=1))
        queries = ["a", "bad", "b", "c"]
        answers = await asyncio.gather(*(searcher.search([q], 1) for q in queries), return_exceptions=True)
        await searcher.close()
        return answers

    first, bad, *rest = asyncio.run(run())
    server.close()
    assert [first, *rest] == [[echoed("a")], [echoed("b")], [echoed("c")]]
    assert type(bad) is error


def test_tries_given_up_in_the_middle_leave_the_connections_usable() -> None:
    delays = cycle([0, 0.02, 0.045, 0.05, 0.2, 0])

    def slow(request: Request) -> Reply:
        time.sleep(next(delays))
        return echo(request)

    server = ScriptedServer(default=slow)
    patience = Patience(try_timeout_s=0.05, backoff_s=0.001, max_backoff_s=0.002, in_flight=2)

    async def run() -> None:
        searcher = HttpSearcher(server.url, patience=patience)
        for n in range(20):
            answers = await asyncio.gather(*(searcher.search([f"{n}-{m}"], 1) for m in range(4)))
            assert answers == [[echoed(f"{n}-{m}")] for m in range(4)]
        await searcher.close()

    asyncio.run(run())
    server.close()
    assert len(server.requests) > 20


# Deadline


def test_a_caller_is_kept_no_longer_than_the_deadline(server: ScriptedServer) -> None:
    server.script = [HANG] * 9
    with pytest.raises(DeadlineExceeded, match=r"/retrieve gave no answer within the deadline of 0\.2 s: "):
        ask(HttpSearcher(server.url, patience=Patience(deadline_s=0.2, try_timeout_s=60)), ["a"])


def test_the_deadline_covers_all_tries_and_names_the_last_cause(server: ScriptedServer) -> None:
    server.script = [Reply(503)] * 9999
    with pytest.raises(DeadlineExceeded, match=r"within the deadline of 0\.3 s: HTTP status 503\.$"):
        ask(HttpSearcher(server.url, patience=replace(QUICK, deadline_s=0.3)), ["a"])
    assert len(server.requests) > 1


# Retry-After


def test_retry_after_is_kept(server: ScriptedServer) -> None:
    server.script = [Reply(429, headers={"Retry-After": "0.25"})]
    assert ask(HttpSearcher(server.url, patience=QUICK), ["a"]) == [echoed("a")]
    refused, answered = server.requests
    assert answered.at - refused.at >= 0.25


@pytest.mark.parametrize("value", ["3600", "Fri, 01 Jan 2100 00:00:00 GMT", "inf"])
def test_retry_after_beyond_the_deadline_is_not_waited_for(server: ScriptedServer, value: str) -> None:
    server.script = [Reply(503, headers={"Retry-After": value})]
    with pytest.raises(DeadlineExceeded, match=r"deadline of 60 s: HTTP status 503, retry after .* s\.$"):
        ask(HttpSearcher(server.url), ["a"])
    assert len(server.requests) == 1


@pytest.mark.parametrize("value", ["soon", "", "-5", "nan", "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 1970 -0000"])
def test_a_retry_after_that_says_nothing_is_as_if_it_were_not_there(server: ScriptedServer, value: str) -> None:
    server.script = [Reply(503, headers={"Retry-After": value})]
    assert ask(HttpSearcher(server.url, patience=QUICK), ["a"]) == [echoed("a")]


# Circuit breaker


def test_after_a_long_outage_searches_fail_at_once_until_the_target_answers_again(server: ScriptedServer) -> None:
    server.script = [Reply(503)] * 9999
    patience = Patience(deadline_s=0.3, backoff_s=0.01, breaker_failures=3, breaker_open_s=0.5)

    async def search_until(searcher: Searcher, awaited: type[Exception] | None) -> str:
        for _ in range(1000):
            try:
                assert await searcher.search(["a"], 1) == [echoed("a")]
                raised = None
            except SearchFailed as error:
                raised = error
            if (type(raised) if raised else None) is awaited:
                return str(raised)
            await asyncio.sleep(0.01)
        raise AssertionError(f"never {awaited}")

    async def run() -> None:
        searcher = HttpSearcher(server.url, patience=patience)
        told, _, again = (await search_until(searcher, CircuitOpen)).rpartition("; ")
        assert told == f"{server.url}/retrieve has not answered for long (HTTP status 503)"
        assert again in [f"it is asked again in 0.{tenths} s." for tenths in range(6)]
        server.script = []
        await search_until(searcher, None)
        await searcher.close()

    asyncio.run(run())


# Patience


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"deadline_s": 0}, "deadline_s must be more than 0 seconds, found 0."),
        ({"try_timeout_s": float("nan")}, "try_timeout_s must be more than 0 seconds, found nan."),
        ({"in_flight": 0}, "in_flight must be at least 1, found 0."),
        ({"retries": -1}, "retries must be at least 0, found -1."),
    ],
)
def test_impossible_patience_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadRequest) as caught:
        Patience(**wrong)
    assert str(caught.value) == sentence


def test_waits_double_up_to_a_bound_and_take_any_length_up_to_it() -> None:
    patience = Patience(backoff_s=1, max_backoff_s=8)
    for tries, bound in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (5000, 8)]:
        waits = [patience.backoff(tries) for _ in range(500)]
        assert bound * 0.9 < max(waits) <= bound
        assert min(waits) < bound * 0.1


# In this process, through the handle, by target


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


@pytest.mark.slow
def test_handle_searcher_outside_a_cluster() -> None:
    with pytest.raises(SearchFailed) as caught:
        ask(HandleSearcher("wiki"), ["a"])
    assert str(caught.value) == (
        'The Serve application "wiki" cannot be reached: this process has not joined a Ray cluster.'
    )


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("http://127.0.0.1:1", HttpSearcher),
        ("https://host/retrieve", HttpSearcher),
        ("serve:wiki", HandleSearcher),
        ("web:serper", WebSearcher),
    ],
)
def test_a_target_names_its_searcher(
    target: str, kind: Callable[..., Searcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERPER_API_KEY", "key")
    assert type(open_searcher(target)) is kind


def test_a_folder_names_a_local_searcher(tmp_path: Path) -> None:
    assert type(open_searcher(str(tmp_path))) is LocalSearcher


@pytest.mark.parametrize("target", ["", "serve:", "/no/such/folder", "ftp://host", __file__])
def test_other_targets_are_refused(target: str) -> None:
    with pytest.raises(BadRequest, match=r"is not a retriever; give an http:// or https:// address, serve:NAME"):
        open_searcher(target)


@pytest.mark.parametrize("url", ["http:", "http://", "http://[", "http://host:99999", "https://ho st", "http://h\nost"])
def test_addresses_that_cannot_be_one_are_refused(url: str) -> None:
    with pytest.raises(BadRequest, match=r"is not the address of a server; give one such as http://127\.0\.0\.1:8000"):
        open_searcher(url)
