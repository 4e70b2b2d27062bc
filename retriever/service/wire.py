"""The HTTP protocol, Search-R1's: what a request may hold and how passages are written in the answer."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, StrictBool, StrictInt, StrictStr

from retriever.limits import MAX_QUERIES, MAX_QUERY_CHARS, MAX_TOPK
from retriever.types import Passage

_ACCEPTED = (
    f"accepted are 1 to {MAX_QUERIES} queries, each a string of at most {MAX_QUERY_CHARS} characters, "
    f"topk from 1 to {MAX_TOPK}, and return_scores true or false."
)


class RetrieveRequest(BaseModel):
    """The body of `POST /retrieve`; an absent or null topk stands for the default."""

    queries: Annotated[
        list[Annotated[StrictStr, Field(max_length=MAX_QUERY_CHARS)]],
        Field(min_length=1, max_length=MAX_QUERIES),
    ]
    topk: Annotated[StrictInt, Field(ge=1, le=MAX_TOPK)] | None = None
    return_scores: StrictBool = False


def refusal(error: RequestValidationError) -> str:
    """The sentence that answers a request outside the limits."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}; {_ACCEPTED}"


def answer(ranked: list[list[Passage]], return_scores: bool) -> dict[str, Any]:
    """The body of the answer, with or without scores."""
    shape = _scored if return_scores else _document
    return {"result": [[shape(passage) for passage in passages] for passages in ranked]}


def _document(passage: Passage) -> dict[str, Any]:
    return {"id": passage.id, "contents": passage.contents, "title": passage.title, "text": passage.text}


def _scored(passage: Passage) -> dict[str, Any]:
    return {"document": _document(passage), "score": passage.score}
