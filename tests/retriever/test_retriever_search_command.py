"""The search command, run as a user would."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_server import Reply, ScriptedServer
from typer.testing import CliRunner, Result

from retriever.commands import app


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    running = ScriptedServer()
    yield running
    running.close()


def search(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["search", *(str(argument) for argument in arguments)])


def test_passages_for_people(index_folder: Path) -> None:
    found = search(index_folder, "wolf", "--topk", "2")
    lines = found.stdout.splitlines()
    assert [line.rsplit("  ", 1)[0] for line in lines[::2]] == ["1. Wolf [wolf]", "2. Dog [dog]"]
    assert lines[1] == "   The wolf hunts deer in packs across northern forests."
    assert search(index_folder, "zebra").stdout == "No passage matches.\n"


def test_passages_for_programs(server: ScriptedServer) -> None:
    found = search(server.url, "émile", "--topk", "5", "--json")
    assert [json.loads(line) for line in found.stdout.splitlines()] == [
        {"id": "1", "title": "Echo", "text": "émile", "score": 0.5}
    ]
    assert [request.body for request in server.requests] == [{"queries": ["émile"], "topk": 5, "return_scores": True}]


def test_nothing_found_for_programs_is_nothing(server: ScriptedServer) -> None:
    server.script = [Reply(body={"result": [[]]})]
    found = search(server.url, "zebra", "--json")
    assert (found.exit_code, found.stdout) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nowhere", "fox"), "'nowhere' is not a retriever; give an http:// or https:// address, "),
        ((".", "fox", "--topk", "0"), "topk must be a whole number from 1 to 1000, found 0."),
        ((".", "fox"), "The index . cannot be searched: . is not an index folder"),
        (("http://127.0.0.1:1", "fox"), "http://127.0.0.1:1/retrieve did not answer in 3 tries: All connection"),
        (("web:serper", "fox"), "Serper needs the environment variable SERPER_API_KEY; it is not set."),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_exit_status_1(
    arguments: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SERPER_API_KEY", raising=False)
    result = search(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(sentence)
    assert (len(result.stderr.splitlines()), result.stdout) == (1, "")


def test_the_wait_can_be_limited(server: ScriptedServer) -> None:
    server.script = [Reply(503, headers={"Retry-After": "30"})]
    result = search(server.url, "fox", "--timeout", "20")
    assert result.exit_code == 1
    assert result.stderr == (
        f"{server.url}/retrieve gave no answer within the deadline of 20 s: HTTP status 503, retry after 30 s.\n"
    )


@pytest.mark.parametrize("arguments", [(), (".",), (".", "fox", "--timeout", "0"), (".", "fox", "--topk", "x")])
def test_bad_usage_is_exit_status_2(arguments: tuple[str, ...]) -> None:
    assert search(*arguments).exit_code == 2
