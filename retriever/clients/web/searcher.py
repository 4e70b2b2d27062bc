"""Searches the web through a search engine's API."""

from __future__ import annotations

from math import ceil
from typing import Any

import orjson

from retriever.clients.connection import Connection
from retriever.clients.patience import Patience
from retriever.clients.searcher import Searcher
from retriever.clients.secret import read_secret
from retriever.clients.web.engines import ENGINES
from retriever.errors import BadRequest, SearchFailed
from retriever.types import Passage


class WebSearcher(Searcher):
    """Searches the web: one request per query and page of results, a few at once.

    A passage's id is the page's address and its text the snippet. Engines rank but give no scores, so the score is
    one divided by the rank. There may be fewer than `topk` passages, since engines fill their pages unevenly and
    every further page costs: only as many pages are asked for as `topk` results need at the least.

    Keys are read from the environment: `SERPER_API_KEY`; `SERPAPI_API_KEY`; `GOOGLE_API_KEY` and `GOOGLE_CSE_ID`;
    `BRAVE_API_KEY`. They appear in no error and no log.

    Args:
        engine: `serper`, `serpapi`, `google` or `brave`.
        url: where requests go, if not to the engine itself.
        patience: deadline, tries, bounds; by default few tries, since engines count them, and 8 requests at once.

    Raises:
        BadRequest: there is no such engine, or its key is not in the environment.
    """

    def __init__(self, engine: str, *, url: str | None = None, patience: Patience | None = None) -> None:
        if engine not in ENGINES:
            raise BadRequest(f'There is no web search engine "{engine}"; accepted are {", ".join(ENGINES)}.')
        self._engine = ENGINES[engine]
        self._url = url or self._engine.url
        self._keys = tuple(_key(variable, self._engine.name) for variable in self._engine.variables)
        patience = patience or Patience(retries=3, backoff_s=1.0, in_flight=8)
        super().__init__(self._engine.name, patience, max_batch=1, max_topk=self._engine.max_results)
        self._connection = Connection(
            self._engine.name,
            variable=" and ".join(self._engine.variables),
            secrets=self._keys,
            bad_key=self._engine.bad_key,
            limit=patience.in_flight,
            proxies=True,
        )

    async def close(self) -> None:
        """Closes the connections."""
        await super().close()
        await self._connection.close()

    async def _try(self, queries: list[str], topk: int) -> list[list[Passage]]:
        [query] = queries
        results = await self._results(query, topk) if query.strip() else {}
        passages = [
            Passage(address, title, snippet, 1 / rank)
            for rank, (address, (title, snippet)) in enumerate(results.items(), start=1)
        ]
        return [passages[:topk]]

    async def _results(self, query: str, topk: int) -> dict[str, tuple[str, str]]:
        """Title and snippet by address, best first; pages may overlap."""
        found: dict[str, tuple[str, str]] = {}
        for page in range(ceil(topk / self._engine.page_size)):
            request = self._engine.request(query, page, self._keys)
            new = self._parse(await self._connection.send(url=self._url, **request))
            if not new:
                break
            found |= new
        return found

    def _parse(self, body: bytes) -> dict[str, tuple[str, str]]:
        address, title, snippet = self._engine.fields
        try:
            results = self._engine.results(orjson.loads(body))
            return {str(r[address]): _texts(r, title, snippet) for r in results if r.get(address)}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SearchFailed(f"{self._engine.name} did not answer in its documented form: {error!r}.") from error


def _texts(result: dict[str, Any], title: str, snippet: str) -> tuple[str, str]:
    return str(result.get(title) or ""), str(result.get(snippet) or "")


def _key(variable: str, engine: str) -> str:
    key = read_secret(variable)
    if key is None:
        raise BadRequest(f"{engine} needs the environment variable {variable}; it is not set.")
    return key
