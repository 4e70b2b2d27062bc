"""What each web search engine is asked and how it answers, after the documentation that its entry names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One web search engine.

    Attributes:
        name: for people.
        url: where requests go.
        variables: the environment variables that hold the key and, for Google, the search engine's id.
        page_size: the most results of one request.
        max_results: the most results of all requests for a query.
        request: the parts of the request (as of `httpx.request`) for a query, a page from 0 on, and the values of the
            variables.
        results: finds the results in the body of an answer; raises KeyError or TypeError where it is of another form.
        fields: of a result, the names of its address, title and snippet.
        bad_key: what an answer with status 400 or 422 holds where the key is refused.
    """

    name: str
    url: str
    variables: tuple[str, ...]
    page_size: int
    max_results: int
    request: Callable[[str, int, tuple[str, ...]], dict[str, Any]]
    results: Callable[[dict[str, Any]], list[dict[str, Any]]]
    fields: tuple[str, str, str]
    bad_key: str = ""


def _serper_request(query: str, page: int, keys: tuple[str, ...]) -> dict[str, Any]:
    return {"method": "POST", "json": {"q": query, "page": page + 1}, "headers": {"X-API-KEY": keys[0]}}


def _serper_results(body: dict[str, Any]) -> list[dict[str, Any]]:
    body["searchParameters"]
    return list(body.get("organic", []))


def _serpapi_request(query: str, page: int, keys: tuple[str, ...]) -> dict[str, Any]:
    return {"method": "GET", "params": {"engine": "google", "q": query, "start": 10 * page, "api_key": keys[0]}}


def _serpapi_results(body: dict[str, Any]) -> list[dict[str, Any]]:
    # A search that found nothing is a success with an "error" that says so; any other "error" has another status.
    if body["search_metadata"]["status"] != "Success":
        raise KeyError("search_metadata.status is not Success")
    return list(body.get("organic_results", []))


def _google_request(query: str, page: int, keys: tuple[str, ...]) -> dict[str, Any]:
    key, engine_id = keys
    return {"method": "GET", "params": {"key": key, "cx": engine_id, "q": query, "num": 10, "start": 10 * page + 1}}


def _google_results(body: dict[str, Any]) -> list[dict[str, Any]]:
    body["queries"]
    return list(body.get("items", []))


def _brave_request(query: str, page: int, keys: tuple[str, ...]) -> dict[str, Any]:
    # Brave refuses queries of more than 50 words or 400 characters.
    params = {
        "q": " ".join(query.split()[:50])[:400],
        "count": 20,
        "offset": page,
        "text_decorations": "false",
        "result_filter": "web",
    }
    return {"method": "GET", "params": params, "headers": {"X-Subscription-Token": keys[0]}}


def _brave_results(body: dict[str, Any]) -> list[dict[str, Any]]:
    body["query"]
    return list(body.get("web", {}).get("results", []))


ENGINES = {
    # https://serper.dev/playground
    "serper": Engine(
        name="Serper",
        url="https://google.serper.dev/search",
        variables=("SERPER_API_KEY",),
        page_size=10,
        max_results=100,
        request=_serper_request,
        results=_serper_results,
        fields=("link", "title", "snippet"),
    ),
    # https://serpapi.com/search-api and https://serpapi.com/search-errors
    "serpapi": Engine(
        name="SerpAPI",
        url="https://serpapi.com/search.json",
        variables=("SERPAPI_API_KEY",),
        page_size=10,
        max_results=100,
        request=_serpapi_request,
        results=_serpapi_results,
        fields=("link", "title", "snippet"),
    ),
    # https://developers.google.com/custom-search/v1/reference/rest/v1/cse/list (for customers of before 2026; Google
    # ends it on 1 January 2027)
    "google": Engine(
        name="Google Programmable Search",
        url="https://www.googleapis.com/customsearch/v1",
        variables=("GOOGLE_API_KEY", "GOOGLE_CSE_ID"),
        page_size=10,
        max_results=100,
        request=_google_request,
        results=_google_results,
        fields=("link", "title", "snippet"),
        bad_key="API_KEY_INVALID",
    ),
    # https://api-dashboard.search.brave.com/api-reference/web/search/get
    "brave": Engine(
        name="Brave",
        url="https://api.search.brave.com/res/v1/web/search",
        variables=("BRAVE_API_KEY",),
        page_size=20,
        max_results=200,
        request=_brave_request,
        results=_brave_results,
        fields=("url", "title", "description"),
        bad_key="SUBSCRIPTION_TOKEN_INVALID",
    ),
}
