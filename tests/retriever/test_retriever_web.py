"""Web search engines, played by a loopback server that answers in the form of their public documentation."""

import asyncio
import logging
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from scripted_server import DROP, Reply, Request, ScriptedServer

from retriever.clients import Patience, open_searcher
from retriever.clients.web import WebSearcher
from retriever.errors import BadRequest, RetrieverError, SearchFailed, Unauthorised
from retriever.types import Passage

KEY = "k3y/+=secret"
QUICK = Patience(deadline_s=10, retries=3, backoff_s=0.001, in_flight=8)
ENGINES = ["serper", "serpapi", "google", "brave"]
PAGE_SIZE = {"serper": 10, "serpapi": 10, "google": 10, "brave": 20}


def results(start: int, stop: int) -> list[tuple[str, str, str]]:
    """Address, title and snippet of the results from one rank up to another."""
    return [(f"https://example.org/{n}", f"Title {n}", f"Snippet {n} …") for n in range(start, stop)]


def body(engine: str, found: list[tuple[str, str, str]]) -> dict[str, Any]:
    """An answer in the engine's documented form, cut to some of its fields."""
    link = [{"position": n, "title": t, "link": a, "snippet": s} for n, (a, t, s) in enumerate(found, 1)]
    if engine == "serper":
        return {
            "searchParameters": {"q": "apple", "type": "search", "engine": "google"},
            "knowledgeGraph": {"title": "Apple", "type": "Technology company"},
            "organic": link,
            "peopleAlsoAsk": [{"question": "What?", "snippet": "…", "title": "…", "link": "https://example.org/q"}],
            "credits": 1,
        }
    if engine == "serpapi":
        state = {"organic_results_state": "Results for exact spelling" if found else "Fully empty"}
        return {
            "search_metadata": {"id": "1", "status": "Success"},
            "search_parameters": {"engine": "google", "q": "apple"},
            "search_information": state,
            **({"organic_results": link} if found else {"error": "Google hasn't returned any results for this query."}),
        }
    if engine == "google":
        items = [{"kind": "customsearch#result", "htmlTitle": f"<b>{r['title']}</b>", **r} for r in link]
        return {
            "kind": "customsearch#search",
            "queries": {"request": [{"searchTerms": "apple", "count": 10, "startIndex": 1}]},
            "searchInformation": {"totalResults": str(len(found))},
            **({"items": items} if found else {}),
        }
    web = [{"type": "search_result", "title": t, "url": a, "description": s} for a, t, s in found]
    return {
        "type": "search",
        "query": {"original": "apple", "more_results_available": True},
        **({"web": {"type": "search", "results": web}} if found else {}),
    }


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SERPER_API_KEY", "SERPAPI_API_KEY", "GOOGLE_API_KEY", "BRAVE_API_KEY"):
        monkeypatch.setenv(variable, KEY)
    monkeypatch.setenv("GOOGLE_CSE_ID", "engine:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    running = ScriptedServer(default=lambda request: Reply(404))
    yield running
    running.close()


def ask(server: ScriptedServer, engine: str, queries: list[str], topk: int = 3) -> list[list[Passage]]:
    async def run() -> list[list[Passage]]:
        searcher = WebSearcher(engine, url=f"{server.url}/search", patience=QUICK)
        try:
            return await searcher.search(queries, topk)
        finally:
            await searcher.close()

    return asyncio.run(run())


# What is sent


def sent(server: ScriptedServer, engine: str, topk: int) -> Request:
    server.script = [Reply(body=body(engine, results(0, 30)))]
    ask(server, engine, ["émile & zola"], topk)
    return server.requests[-1]


def test_serper_is_asked_as_documented(server: ScriptedServer) -> None:
    request = sent(server, "serper", 3)
    assert (request.method, request.path, request.parameters) == ("POST", "/search", {})
    assert request.body == {"q": "émile & zola", "page": 1}
    assert (request.headers["x-api-key"], request.headers["content-type"]) == (KEY, "application/json")


def test_serpapi_is_asked_as_documented(server: ScriptedServer) -> None:
    request = sent(server, "serpapi", 3)
    assert (request.method, request.body) == ("GET", None)
    assert request.parameters == {"engine": "google", "q": "émile & zola", "start": "0", "api_key": KEY}


def test_google_is_asked_as_documented(server: ScriptedServer) -> None:
    request = sent(server, "google", 3)
    assert (request.method, request.body) == ("GET", None)
    assert request.parameters == {"key": KEY, "cx": "engine:1", "q": "émile & zola", "num": "10", "start": "1"}


def test_brave_is_asked_as_documented(server: ScriptedServer) -> None:
    request = sent(server, "brave", 3)
    assert (request.method, request.body) == ("GET", None)
    options = {"count": "20", "offset": "0", "text_decorations": "false", "result_filter": "web"}
    assert request.parameters == {"q": "émile & zola", **options}
    assert request.headers["x-subscription-token"] == KEY


def test_brave_takes_no_more_than_50_words_and_400_characters(server: ScriptedServer) -> None:
    server.script = [Reply(body=body("brave", []))] * 2
    ask(server, "brave", [" ".join(["w"] * 60), "x" * 500])
    assert {request.parameters["q"] for request in server.requests} == {" ".join(["w"] * 50), "x" * 400}


# How answers are read


def test_results_become_passages_with_falling_scores(server: ScriptedServer, engine: str) -> None:
    server.script = [Reply(body=body(engine, results(0, 8)))]
    assert ask(server, engine, ["apple"], 3) == [
        [
            Passage("https://example.org/0", "Title 0", "Snippet 0 …", 1.0),
            Passage("https://example.org/1", "Title 1", "Snippet 1 …", 1 / 2),
            Passage("https://example.org/2", "Title 2", "Snippet 2 …", 1 / 3),
        ]
    ]


def test_one_request_for_each_query(server: ScriptedServer, engine: str) -> None:
    server.script = [Reply(body=body(engine, results(n, n + 1))) for n in range(3)]
    found = ask(server, engine, ["a", "b", "c"])
    assert sorted(passages[0].id for passages in found) == [f"https://example.org/{n}" for n in range(3)]
    assert len(server.requests) == 3


def test_nothing_found(server: ScriptedServer, engine: str) -> None:
    server.script = [Reply(body=body(engine, []))]
    assert ask(server, engine, ["apple"]) == [[]]


def test_an_empty_query_finds_nothing_and_costs_nothing(server: ScriptedServer, engine: str) -> None:
    assert ask(server, engine, ["", " \n"]) == [[], []]
    assert server.requests == []


def test_more_results_than_a_page_are_paged(server: ScriptedServer, engine: str) -> None:
    size = PAGE_SIZE[engine]
    pages = [results(0, size), results(size - 1, 2 * size - 1), results(2 * size - 1, 3 * size - 1)]
    server.script = [Reply(body=body(engine, page)) for page in pages]
    [passages] = ask(server, engine, ["apple"], 2 * size + 5)
    # Pages may overlap: each address counts once.
    assert [passage.id for passage in passages] == [f"https://example.org/{n}" for n in range(2 * size + 5)]
    assert [passage.score for passage in passages[-2:]] == [1 / (2 * size + 4), 1 / (2 * size + 5)]
    places = {
        "serper": [request.body and request.body["page"] for request in server.requests],
        "serpapi": [request.parameters.get("start") for request in server.requests],
        "google": [request.parameters.get("start") for request in server.requests],
        "brave": [request.parameters.get("offset") for request in server.requests],
    }
    expected = {"serper": [1, 2, 3], "serpapi": ["0", "10", "20"], "google": ["1", "11", "21"]}
    assert places[engine] == expected.get(engine, ["0", "1", "2"])


def test_an_empty_page_is_the_last(server: ScriptedServer, engine: str) -> None:
    server.script = [Reply(body=body(engine, results(0, 4))), Reply(body=body(engine, []))]
    [passages] = ask(server, engine, ["apple"], 90)
    assert (len(passages), len(server.requests)) == (4, 2)


def test_more_than_the_engine_gives_is_refused(server: ScriptedServer, engine: str) -> None:
    most = {"brave": 200}.get(engine, 100)
    with pytest.raises(BadRequest, match=rf"gives at most {most} passages for a query, found topk {most + 1}\."):
        ask(server, engine, ["apple"], most + 1)


def test_missing_fields(server: ScriptedServer, engine: str) -> None:
    answer = body(engine, results(0, 3))
    found = {"serper": "organic", "serpapi": "organic_results", "google": "items"}
    listed = answer["web"]["results"] if engine == "brave" else answer[found[engine]]
    del listed[0]["title"]
    listed[0]["description" if engine == "brave" else "snippet"] = None
    for name in ("link", "url"):
        listed[1].pop(name, None)
    server.script = [Reply(body=answer)]
    assert ask(server, engine, ["apple"]) == [
        [
            Passage("https://example.org/0", "", "", 1.0),
            Passage("https://example.org/2", "Title 2", "Snippet 2 …", 1 / 2),
        ]
    ]


@pytest.mark.parametrize("answer", [b"{", b"", b"<html>", b"[]", b"{}", b"null", b'{"organic": 5}'])
def test_answers_of_another_form(server: ScriptedServer, engine: str, answer: bytes) -> None:
    server.script = [Reply(200, answer)]
    with pytest.raises(SearchFailed, match="did not answer in its documented form: "):
        ask(server, engine, ["apple"])
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("engine", "answer"),
    [
        ("serper", {"searchParameters": {}, "organic": 5}),
        ("serper", {"searchParameters": {}, "organic": ["x"]}),
        ("serpapi", {"search_metadata": {"status": "Processing"}}),
        ("google", {"queries": {}, "items": [None]}),
        ("brave", {"query": {}, "web": []}),
    ],
)
def test_answers_that_are_odd_inside(server: ScriptedServer, engine: str, answer: dict[str, Any]) -> None:
    server.script = [Reply(body=answer)]
    with pytest.raises(SearchFailed, match="did not answer in its documented form: "):
        ask(server, engine, ["apple"])


# Failures


REFUSED_KEYS = [
    ("serper", 403, {"message": "Unauthorized.", "statusCode": 403}),
    ("serpapi", 401, {"error": f"Invalid API key {KEY}. Your API key should be here: https://serpapi.com/manage-api-key"}),
    ("google", 403, {"error": {"code": 403, "message": "Requests from this IP are blocked.", "status": "FORBIDDEN"}}),
    ("google", 400, {"error": {"code": 400, "message": "Not valid.", "details": [{"reason": "API_KEY_INVALID"}]}}),
    ("brave", 422, {"type": "ErrorResponse", "error": {"code": "SUBSCRIPTION_TOKEN_INVALID", "status": 422}}),
]  # fmt: skip


@pytest.mark.parametrize(("engine", "status", "answer"), REFUSED_KEYS)
def test_a_refused_key_is_told_at_once(server: ScriptedServer, engine: str, status: int, answer: Any) -> None:
    server.script = [Reply(status, answer)]
    with pytest.raises(Unauthorised, match=r"refused the credentials \(status .*\); check [A-Z_]+API_KEY") as caught:
        ask(server, engine, ["apple"])
    assert KEY not in str(caught.value)
    assert len(server.requests) == 1


def test_a_query_that_is_refused(server: ScriptedServer, engine: str) -> None:
    server.script = [Reply(400, {"message": "Missing query parameter"})]
    with pytest.raises(BadRequest, match=r"refused the request \(status 400: .*Missing query parameter"):
        ask(server, engine, ["apple"])
    assert len(server.requests) == 1


def test_a_rate_limit_is_waited_for(server: ScriptedServer, engine: str) -> None:
    server.script = [Reply(429, headers={"Retry-After": "0.2"}), DROP, Reply(body=body(engine, results(0, 1)))]
    [[passage]] = ask(server, engine, ["apple"])
    assert passage.id == "https://example.org/0"
    limited, dropped, _ = server.requests
    assert dropped.at - limited.at >= 0.2


def test_one_query_that_fails_does_not_lose_the_others(server: ScriptedServer) -> None:
    async def run() -> list[Any]:
        searcher = WebSearcher("serper", url=server.url, patience=QUICK)
        queries = ["a", "bad", "c"]
        answers = await asyncio.gather(*(searcher.search([q], 1) for q in queries), return_exceptions=True)
        await searcher.close()
        return answers

    server._default = lambda r: Reply(500) if r.body["q"] == "bad" else Reply(body=body("serper", results(0, 1)))
    first, bad, last = asyncio.run(run())
    assert [[passage.id for passage in ranked] for [ranked] in (first, last)] == [["https://example.org/0"]] * 2
    assert str(bad) == "Serper did not answer in 4 tries: HTTP status 500."


# Keys


@pytest.mark.parametrize(
    ("engine", "name", "variable"),
    [
        ("serper", "Serper", "SERPER_API_KEY"),
        ("serpapi", "SerpAPI", "SERPAPI_API_KEY"),
        ("google", "Google Programmable Search", "GOOGLE_API_KEY"),
        ("google", "Google Programmable Search", "GOOGLE_CSE_ID"),
        ("brave", "Brave", "BRAVE_API_KEY"),
    ],
)
@pytest.mark.parametrize("value", [None, "", " "])
def test_a_missing_key_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, engine: str, name: str, variable: str, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    with pytest.raises(BadRequest) as caught:
        open_searcher(f"web:{engine}")
    assert str(caught.value) == f"{name} needs the environment variable {variable}; it is not set."


@pytest.mark.parametrize("target", ["web:", "web:bing", "web:Serper"])
def test_other_engines_are_refused(target: str) -> None:
    with pytest.raises(BadRequest, match=r"no web search engine .*; accepted are serper, serpapi, google, brave\."):
        open_searcher(target)


def test_a_key_that_cannot_travel_is_not_shown(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    for variable in ("SERPER_API_KEY", "SERPAPI_API_KEY", "GOOGLE_API_KEY", "BRAVE_API_KEY"):
        monkeypatch.setenv(variable, "k3y\r\nHost: evil")
    with pytest.raises(BadRequest, match="API_KEY must be printable ASCII characters") as caught:
        open_searcher(f"web:{engine}")
    assert "k3y" not in str(caught.value)


@pytest.mark.parametrize(
    "failure",
    [
        DROP,
        Reply(401, {"error": f"Invalid key {KEY}"}),
        Reply(404, {"path": f"/search?api_key={KEY}"}),
        Reply(400, {"error": f"key={KEY} is bad", "url": "/search?api_key=k3y%2F%2B%3Dsecret"}),
        Reply(503, f"no key {KEY}".encode()),
        Reply(200, f'{{"key": "{KEY}"'.encode()),
        Reply(200, {"key": KEY}),
        Reply(307, headers={"Location": f"/search?api_key={KEY}"}),
    ],
)
def test_keys_appear_in_no_error_and_no_log(
    server: ScriptedServer,
    engine: str,
    failure: Reply,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    # Libraries that other tests import quieten httpx for the whole process.
    for name in ("httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, logger=name)
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
    server.script = [failure] * 9
    with pytest.raises(RetrieverError) as caught:
        ask(server, engine, ["apple"])
    told = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert any(record.name == "httpx" for record in caplog.records) or failure is DROP
    for form in (KEY, "k3y%2F%2B%3Dsecret", "k3y"):
        assert form not in told
