"""Answers as bytes, and the sentences that answer a body outside the limits."""

import json

import pytest
from pydantic import ValidationError

from retriever.service.wire import (
    DocumentsRequest,
    RetrieveRequest,
    SearchRequest,
    documents_answer,
    refusal,
    retrieve_answer,
    search_answer,
    to_json,
)
from retriever.types import Document, Passage

FOX = Passage("7", "Red\nfox", "A “fox”.", 1.25)


def test_the_answers_are_written_as_they_are_described() -> None:
    contents = '{"id":"7","contents":"\\"Red fox\\"\\nA “fox”.","title":"Red\\nfox","text":"A “fox”."}'
    assert retrieve_answer([[FOX], []], scores=False).decode() == f'{{"result":[[{contents}],[]]}}'
    assert retrieve_answer([[FOX]], scores=True).decode() == f'{{"result":[[{{"document":{contents},"score":1.25}}]]}}'
    hit = '{"id":"7","title":"Red\\nfox","text":"A “fox”.","score":1.25}'
    assert search_answer([[FOX], []]).decode() == f'{{"results":[[{hit}],[]]}}'
    document = '{"id":"a","title":"","text":"b"}'
    assert documents_answer([Document("a", "", "b"), None]).decode() == f'{{"documents":[{document},null]}}'


def test_unpaired_surrogates_become_question_marks() -> None:
    assert json.loads(search_answer([[Passage("\ud800", "t", "a\udfffb", 1.0)]])) == {
        "results": [[{"id": "?", "title": "t", "text": "a?b", "score": 1.0}]]
    }


def test_what_is_no_json_is_an_error() -> None:
    with pytest.raises(TypeError):
        to_json({"a": object()})


def test_an_absent_topk_stands_for_the_default() -> None:
    assert RetrieveRequest.model_validate_json('{"queries": ["a"]}').topk is None
    assert SearchRequest.model_validate_json('{"queries": ["a"]}').topk == 3


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert SearchRequest.model_validate_json('{"queries": ["a"], "topk": 7.0}').topk == 7


def test_a_refusal_is_one_sentence_about_the_first_fault() -> None:
    with pytest.raises(ValidationError) as caught:
        DocumentsRequest.model_validate_json('{"ids": [1, 2], "more": 3}')
    assert refusal(caught.value, DocumentsRequest.accepted) == (
        "body.ids.0: Input should be a valid string; "
        "accepted are 1 to 1024 ids, each a string of at most 4096 characters, and nothing else."
    )


def test_a_refusal_quotes_little_of_what_was_sent() -> None:
    with pytest.raises(ValidationError) as caught:
        DocumentsRequest.model_validate_json(json.dumps({"ids": ["a"], "x" * 10_000: 1}))
    assert len(refusal(caught.value, DocumentsRequest.accepted)) < 300
