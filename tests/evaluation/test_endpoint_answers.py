"""What endpoints of different makes answer, and how it is read."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from endpoint_server import Asked, PlayedEndpoint, Reply, refusal, said, streamed

from mrsearch.errors import UserError
from mrsearch.evaluation.policies import PolicySpec
from mrsearch.evaluation.policies.endpoint_policies import open_endpoint
from retriever.clients import Patience

STOPS = ("</search>", "</answer>")


def turns(
    server: PlayedEndpoint, number: int = 1, on_text: Any = None, temperature: float = 0.0, **spec: Any
) -> list[str]:
    """The texts of as many turns, each the first of its meta-episode."""

    async def run() -> list[str]:
        patience = Patience(deadline_s=20.0, retries=1, backoff_s=0.0)
        async with server, open_endpoint(PolicySpec(model=server.url, **spec), on_text, patience) as opened:
            prompt = opened.chat.first_prompt(None, "Where is Rome?")
            sampled = [
                await opened.policy(0, temperature).sample(prompt, max_tokens=64, stop=STOPS) for _ in range(number)
            ]
            return [opened.chat.decode(turn.token_ids) for turn in sampled]

    return asyncio.run(run())


def answering(content: Any, **more: Any) -> PlayedEndpoint:
    choice = {"message": {"content": content}, "finish_reason": "stop", **more}
    return PlayedEndpoint(lambda asked: Reply({"choices": [choice]}))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<answer> Rome </answer>", "<answer> Rome </answer>"),
        ("", ""),
        (None, ""),
        ([], ""),
        (
            [{"type": "text", "text": "<answer> "}, {"type": "text", "text": "Rome </answer>"}],
            "<answer> Rome </answer>",
        ),
        (
            [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "<search> a </search>"}],
            "<search> a </search>",
        ),
        ("<answer> Rome </answer>\nuser\n<answer> Oslo </answer>", "<answer> Rome </answer>"),
    ],
    ids=["whole", "empty", "null", "no parts", "parts", "other parts", "more behind the stop"],
)
def test_content_in_all_its_forms(content: Any, text: str) -> None:
    assert turns(answering(content)) == [text]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({}, "<search> a </search>"),
        ({"finish_reason": "length"}, "<search> a "),
        ({"finish_reason": "content_filter"}, "<search> a "),
        ({"stop_reason": "</search>"}, "<search> a </search>"),
        ({"stop_reason": None}, "<search> a "),
        ({"matched_stop": "</search>"}, "<search> a </search>"),
        ({"matched_stop": 151645}, "<search> a "),
    ],
    ids=["stopped", "cut", "filtered", "vLLM: stopped", "vLLM: ended", "SGLang: stopped", "SGLang: ended"],
)
def test_a_tag_is_closed_only_where_the_model_wrote_its_end(more: dict[str, Any], text: str) -> None:
    assert turns(answering("<search> a ", **more)) == [text]


def test_the_stop_that_is_told_is_put_back_whatever_was_opened_last() -> None:
    text = "<answer> I could <search> more "
    assert turns(answering(text, stop_reason="</answer>")) == [text + "</answer>"]


def test_the_stop_is_told_in_streams_too() -> None:
    def stream(asked: Asked) -> Reply:
        reply = streamed(["<search> a ", "b "])
        reply.body[-1]["choices"][0]["stop_reason"] = None
        return reply

    shown: list[str] = []
    assert turns(PlayedEndpoint(stream), on_text=shown.append) == ["<search> a b "]
    assert shown == ["<search> a ", "b "]


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"choices": [{"text": 1}]}', b'{"choices": [{"text": "a", "token_ids": [Infinity]}]}'],
    ids=["deep", "number", "infinite"],
)
def test_garbage_of_any_depth_is_asked_again_and_named_in_the_end(body: bytes) -> None:
    server = PlayedEndpoint(lambda asked: Reply(body))
    with pytest.raises(UserError, match="gave no usable answer in 2 tries, the last time because of an answer without"):
        turns(server)


@pytest.mark.parametrize(
    "message",
    [
        "Unsupported value: 'temperature' does not support 0.0 with this model.",
        "Unrecognized request argument supplied: temperature",
        'Invalid JSON payload received. Unknown name "temperature": Cannot find field.',
        "[{'type': 'extra_forbidden', 'loc': ['body', 'temperature'], 'msg': 'Extra inputs are not permitted'}]",
        "property 'temperature' is unsupported",
        "unexpected keyword argument 'temperature'",
    ],
)
def test_servers_say_in_many_ways_that_they_do_not_take_a_field(message: str) -> None:
    server = PlayedEndpoint(lambda asked: refusal(message) if "temperature" in asked.body else said("ok"))
    assert turns(server, 2) == ["ok", "ok"]
    assert ["temperature" in asked.body for asked in server.asked] == [True, False, False]


@pytest.mark.parametrize(
    "message",
    ["temperature must be in [0, 2], got 3.0", "max_tokens=64 cannot be greater than max_model_len=32."],
)
def test_a_value_that_is_refused_is_not_left_out(message: str) -> None:
    server = PlayedEndpoint(lambda asked: refusal(message))
    with pytest.raises(UserError) as error:
        turns(server, temperature=3.0)
    assert f"HTTP 400: {message}" in str(error.value)
    assert len(server.asked) == 1


def test_the_limit_of_a_completion_is_never_left_out(quickstart_model: Path) -> None:
    server = PlayedEndpoint(lambda asked: refusal("max_tokens is not supported"))
    with pytest.raises(UserError, match="max_tokens is not supported"):
        turns(server, tokenizer=quickstart_model)


def test_completions_ask_for_no_filter_that_the_models_own_settings_would_add(quickstart_model: Path) -> None:
    server = PlayedEndpoint()
    turns(server, tokenizer=quickstart_model)
    plain = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
    assert server.asked[0].body.items() >= plain.items()
