"""Searches a server over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import orjson

from retriever.clients.connection import Connection
from retriever.clients.patience import Patience
from retriever.clients.searcher import Searcher
from retriever.clients.secret import check_secret, read_secret
from retriever.errors import BadRequest, SearchFailed
from retriever.types import Passage, split_contents

TOKEN_VARIABLE = "RETRIEVER_TOKEN"
_JSON = {"Content-Type": "application/json"}


class HttpSearcher(Searcher):
    """Searches a server that speaks Search-R1's protocol, ours or another's.

    Args:
        url: the server's address; `/retrieve` is added unless it is already there.
        token: sent as bearer token; by default that of the environment variable `RETRIEVER_TOKEN`, if there is one.
        patience: deadline, tries, bounds.

    Raises:
        BadRequest: the address or the token cannot be one.
    """

    def __init__(self, url: str, *, token: str | None = None, patience: Patience | None = None) -> None:
        self._url = _retrieve_url(url)
        token = read_secret(TOKEN_VARIABLE) if token is None else check_secret(token, "token")
        patience = patience or Patience()
        super().__init__(self._url, patience)
        self._connection = Connection(
            self._url,
            variable=TOKEN_VARIABLE,
            secrets=(token,) if token else (),
            limit=patience.in_flight,
            headers={"Authorization": f"Bearer {token}"} if token else None,
        )

    async def close(self) -> None:
        """Closes the connections."""
        await super().close()
        await self._connection.close()

    async def _try(self, queries: list[str], topk: int) -> list[list[Passage]]:
        body = orjson.dumps({"queries": queries, "topk": topk, "return_scores": True})
        answer = await self._connection.send("POST", self._url, content=body, headers=_JSON)
        try:
            return [[_passage(hit) for hit in ranked] for ranked in orjson.loads(answer)["result"]]
        except (ValueError, KeyError, TypeError) as error:
            form = '{"result": [[{"document": …, "score": …}]]}'
            raise SearchFailed(f"{self._url} did not answer in Search-R1's form {form}: {error!r}.") from error


def _retrieve_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or " " in url:
        raise BadRequest(f"{url!r} is not the address of a server; give one such as http://127.0.0.1:8000.")
    base = url.rstrip("/")
    return base if base.endswith("/retrieve") else f"{base}/retrieve"


def _passage(hit: dict[str, Any]) -> Passage:
    document = hit["document"]
    title, text = split_contents(document["contents"])
    return Passage(str(document.get("id", "")), title, text, float(hit["score"]))
