"""Evaluation without an engine: a scripted policy and searcher walk the real code."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from mrsearch.data.questions import Question
from mrsearch.episode import Chat, EpisodeConfig, Sampled
from mrsearch.errors import UserError
from mrsearch.evaluation import evaluate
from mrsearch.evaluation.evaluate import Evaluation, run_evaluation, walk_questions
from mrsearch.runs import read_json_lines

QUESTIONS = [Question(str(n), f"Where is {n}?", ("Rome",) if n % 2 else ("Oslo",), "made up") for n in range(6)]


class AlwaysRome:
    """Answers "Rome" at once; remembers how many meta-episodes were under way together."""

    def __init__(self, chat: Chat) -> None:
        self.chat, self.running, self.most, self.calls = chat, 0, 0, 0

    async def sample(self, prompt_ids: Sequence[int], *, max_tokens: int, stop: Sequence[str]) -> Sampled:
        self.calls, self.running = self.calls + 1, self.running + 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        ids = self.chat.encode("<answer> Rome </answer>")
        return Sampled(ids, [0.0] * len(ids))


class Nothing:
    async def search(self, queries: Sequence[str], topk: int) -> list[list]:
        return [[] for _ in queries]


@pytest.fixture
def chat(quickstart_model: Path) -> Chat:
    return Chat(AutoTokenizer.from_pretrained(quickstart_model))


@pytest.fixture
def evaluation(quickstart_model: Path, tmp_path: Path) -> Evaluation:
    return Evaluation(
        model=quickstart_model,
        questions=QUESTIONS,
        retriever="http://127.0.0.1:1",
        episode=EpisodeConfig(attempts=2, prompts="brief"),
        out=tmp_path / "run",
        concurrency=2,
    )


@pytest.fixture
def scripted(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> AlwaysRome:
    """Puts the scripted policy in the engine's place."""
    policy = AlwaysRome(chat)

    async def walk(evaluation: Evaluation, questions: Sequence[Question], searcher: object, on_progress) -> None:
        await walk_questions(evaluation, questions, policy, Nothing(), chat, on_progress)

    monkeypatch.setattr(evaluate, "_walk_with_engine", walk)
    return policy


def test_every_question_is_walked_once_and_scored(evaluation: Evaluation, scripted: AlwaysRome) -> None:
    seen: list[int] = []
    report = run_evaluation(evaluation, on_progress=seen.append)
    assert (report["n"], report["exact_match"], report["any"]) == (6, [0.5, 0.5], 0.5)
    assert seen == [1, 2, 3, 4, 5, 6]
    assert scripted.most == 2, "no more meta-episodes than `concurrency` are under way at once"
    records = list(read_json_lines(evaluation.records))
    assert sorted(record["id"] for record in records) == [question.id for question in QUESTIONS]
    assert records[0]["normalised_answers"] == ["rome", "rome"]
    assert json.loads((evaluation.out / "report.json").read_text()) == report


def test_an_interrupted_evaluation_neither_repeats_nor_loses_a_question(
    evaluation: Evaluation, scripted: AlwaysRome
) -> None:
    whole = run_evaluation(evaluation)
    lines = evaluation.records.read_bytes().splitlines(keepends=True)
    evaluation.records.write_bytes(b"".join(lines[:3]) + lines[3][:40])
    scripted.calls = 0
    assert run_evaluation(evaluation) == whole
    assert scripted.calls == 3 * 2, "three questions of two attempts were missing"


def test_another_evaluation_in_the_same_folder_is_refused(evaluation: Evaluation, scripted: AlwaysRome) -> None:
    run_evaluation(evaluation)
    with pytest.raises(UserError, match="holds another evaluation; give --out another folder"):
        run_evaluation(replace(evaluation, temperature=1.0))
