"""The commands, run as a user would."""

import json
from pathlib import Path

import pytest
from retriever_sample import PASSAGES
from typer.testing import CliRunner, Result

from retriever.commands import app


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_index_then_search(corpus: Path, tmp_path: Path) -> None:
    built = run("index", corpus, "--type", "bm25", "--out", tmp_path / "index", "--k1", "1.2", "--b", "0.5")
    assert built.exit_code == 0
    assert built.stdout.startswith("7 passages indexed in ")
    manifest = json.loads((tmp_path / "index" / "manifest.json").read_text())
    assert (manifest["parameters"]["k1"], manifest["parameters"]["b"]) == (1.2, 0.5)

    found = run("search", tmp_path / "index", "wolf", "--topk", "2", "--json")
    passages = [json.loads(line) for line in found.stdout.splitlines()]
    assert [(passage["id"], passage["title"]) for passage in passages] == [("wolf", "Wolf"), ("dog", "Dog")]
    assert passages[0]["text"] == PASSAGES["wolf"][1]


def test_search_for_people(index_folder: Path) -> None:
    assert run("search", index_folder, "fox").stdout.startswith("1. Red fox [fox]  ")
    assert run("search", index_folder, "zebra").stdout == "No passage matches.\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("index", "none.jsonl", "--out", "x"), "none.jsonl is not a file"),
        (("search", "nowhere", "fox"), "'nowhere' is not a retriever"),
        (("search", ".", "fox", "--topk", "0"), "topk must be a whole number from 1 to 1000, found 0."),
        (("serve", "nowhere"), "nowhere is not an index folder"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_status_1(arguments: tuple[str, ...], sentence: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stderr.strip().splitlines()[-1].startswith(sentence)
    assert result.stdout == ""


def test_bad_usage_is_exit_status_2() -> None:
    assert run("index", "c.jsonl").exit_code == 2


def test_an_unknown_type_names_the_known_ones(corpus: Path, tmp_path: Path) -> None:
    result = run("index", corpus, "--out", tmp_path / "index", "--type", "magic")
    assert result.exit_code == 1
    sentence = " ".join(result.stderr.split())
    assert '"magic" is no type of index' in sentence
    assert "accepted are flat, hnsw, ivf-sq8, ivf-pq and FAISS factory strings" in sentence
    assert not (tmp_path / "index").exists()
