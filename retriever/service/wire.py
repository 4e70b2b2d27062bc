"""The HTTP protocol: what requests may hold, what answers look like, and how answers become bytes.

Answers are written straight from passages; their models only describe them in the OpenAPI document.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any, ClassVar

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from retriever.limits import DEFAULT_TOPK, MAX_ID_CHARS, MAX_IDS, MAX_PASSAGES, MAX_QUERIES, MAX_QUERY_CHARS, MAX_TOPK
from retriever.types import Document, Passage

Queries = Annotated[
    list[Annotated[StrictStr, Field(max_length=MAX_QUERY_CHARS)]],
    Field(min_length=1, max_length=MAX_QUERIES, description=f"Queries times topk is at most {MAX_PASSAGES:,}."),
]


def _whole(value: Any) -> Any:
    """JSON has one kind of number, so 3.0 is as whole as 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Topk = Annotated[StrictInt, Field(ge=1, le=MAX_TOPK), BeforeValidator(_whole)]
Ids = Annotated[list[Annotated[StrictStr, Field(max_length=MAX_ID_CHARS)]], Field(min_length=1, max_length=MAX_IDS)]

_ACCEPTED_SEARCH = (
    f"accepted are 1 to {MAX_QUERIES} queries, each a string of at most {MAX_QUERY_CHARS} characters, "
    f"topk from 1 to {MAX_TOPK}"
)


class Body(BaseModel):
    """The body of a request; `accepted` completes the sentence that answers one outside the limits."""

    accepted: ClassVar[str]


class RetrieveRequest(Body):
    """The body of `POST /retrieve`, Search-R1's; an absent or null topk stands for the default, 3."""

    accepted = f"{_ACCEPTED_SEARCH}, and return_scores true or false."
    queries: Queries
    topk: Topk | None = None
    return_scores: StrictBool = False


class SearchRequest(Body):
    """The body of `POST /v1/search`."""

    model_config = ConfigDict(extra="forbid")
    accepted = f"{_ACCEPTED_SEARCH}, and nothing else."
    queries: Queries
    topk: Topk = DEFAULT_TOPK


class DocumentsRequest(Body):
    """The body of `POST /v1/documents`."""

    model_config = ConfigDict(extra="forbid")
    accepted = f"accepted are 1 to {MAX_IDS} ids, each a string of at most {MAX_ID_CHARS} characters, and nothing else."
    ids: Ids


class Contents(BaseModel):
    """A passage in Search-R1's form; `contents` is the title in double quotes, a line break, and the text."""

    id: str
    contents: str
    title: str
    text: str


class Scored(BaseModel):
    """A passage with its score; scores are comparable only within one query."""

    document: Contents
    score: float


class RetrieveAnswer(BaseModel):
    """One ranked list per query, best first; with scores where they were asked for."""

    result: list[list[Scored]] | list[list[Contents]]


class DocumentAnswer(BaseModel):
    """One passage of the corpus."""

    id: str
    title: str
    text: str


class Hit(DocumentAnswer):
    """A passage found; larger scores are better, and comparable only within one query."""

    score: float


class SearchAnswer(BaseModel):
    """One ranked list per query, best first."""

    results: list[list[Hit]]


class DocumentsAnswer(BaseModel):
    """One passage per id, in the order of the ids; null for an id that the index does not hold."""

    documents: list[DocumentAnswer | None]


class State(BaseModel):
    """How the service is."""

    status: str


class Problem(BaseModel):
    """Why a request was not answered, and what would have been accepted."""

    detail: str


def refusal(error: ValidationError, accepted: str) -> str:
    """The sentence that answers a body outside the limits of its model."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(["body", *map(str, first["loc"])])[:100]
    return f"{place}: {first['msg']}; {accepted}"


def retrieve_answer(ranked: list[list[Passage]], scores: bool) -> bytes:
    """A `RetrieveAnswer`."""
    shape = _scored if scores else _contents
    return to_json({"result": [[shape(passage) for passage in passages] for passages in ranked]})


def search_answer(ranked: list[list[Passage]]) -> bytes:
    """A `SearchAnswer`."""
    return to_json({"results": ranked})


def documents_answer(documents: list[Document | None]) -> bytes:
    """A `DocumentsAnswer`."""
    return to_json({"documents": documents})


def to_json(value: Any) -> bytes:
    """JSON in UTF-8; unpaired surrogates, which UTF-8 has no form for, become question marks."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, default=asdict, ensure_ascii=False).encode("utf-8", errors="replace")


def _contents(passage: Passage) -> dict[str, Any]:
    return {"id": passage.id, "contents": passage.contents, "title": passage.title, "text": passage.text}


def _scored(passage: Passage) -> dict[str, Any]:
    return {"document": _contents(passage), "score": passage.score}
