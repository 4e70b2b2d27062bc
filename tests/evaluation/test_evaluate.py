"""Evaluation without an engine: a scripted policy and searcher walk the real code."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from transformers import AutoTokenizer

from mrsearch.data.questions import Question
from mrsearch.episode import Chat, EpisodeConfig, Sampled
from mrsearch.errors import UserError
from mrsearch.evaluation import evaluate
from mrsearch.evaluation.claim import _lock_of
from mrsearch.evaluation.evaluate import Evaluation, run_evaluation, run_evaluations
from mrsearch.evaluation.policies import PolicySpec
from mrsearch.runs import read_json_lines

QUESTIONS = [
    Question(str(n), f"Where is {n}?", ("Rome",) if n % 2 else ("Oslo",), "odd" if n % 2 else "even") for n in range(6)
]


@dataclass
class AlwaysRome:
    """An open policy that answers "Rome" at once, and remembers what was asked of it."""

    chat: Chat
    token_exact: bool = True
    calls: int = 0
    running: int = 0
    most: int = 0
    seeds: list[int] = field(default_factory=list)
    temperatures: list[float] = field(default_factory=list)
    opened: int = 0
    fail: Callable[[], None] = lambda: None

    def policy(self, seed: int, temperature: float = 0.0) -> "AlwaysRome":
        self.seeds.append(seed)
        self.temperatures.append(temperature)
        return self

    def save_tokenizer(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)

    async def sample(self, prompt_ids: Sequence[int], *, max_tokens: int, stop: Sequence[str]) -> Sampled:
        self.fail()
        self.calls, self.running = self.calls + 1, self.running + 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        ids = self.chat.encode("<answer> Rome </answer>")
        return Sampled(ids, [0.0] * len(ids))


class Library:
    """A searcher that knows one passage, or has lost its connection."""

    def __init__(self) -> None:
        self.up, self.queries = True, []

    async def search(self, queries: Sequence[str], topk: int) -> list[list]:
        self.queries += queries
        if not self.up:
            raise ConnectionError("gone")
        return [[SimpleNamespace(id="7", title="Rome", text="A city.", score=1.0)] for _ in queries]

    async def close(self) -> None: ...


@pytest.fixture
def opened(quickstart_model: Path, monkeypatch: pytest.MonkeyPatch) -> AlwaysRome:
    """Puts the scripted policy in the engine's place."""
    policy = AlwaysRome(Chat(AutoTokenizer.from_pretrained(quickstart_model)))

    @asynccontextmanager
    async def open_policy(spec: PolicySpec) -> AsyncIterator[AlwaysRome]:
        policy.opened += 1
        yield policy

    monkeypatch.setattr(evaluate, "open_policy", open_policy)
    return policy


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library()
    monkeypatch.setattr(evaluate, "open_searcher", lambda target: made)
    return made


@pytest.fixture
def evaluation(opened: AlwaysRome, library: Library, tmp_path: Path) -> Evaluation:
    return Evaluation(
        policy=PolicySpec(model="made up", concurrency=2),
        questions=QUESTIONS,
        retriever="http://127.0.0.1:1",
        episode=EpisodeConfig(attempts=2, prompts="brief"),
        out=tmp_path / "run",
    )


def test_every_question_is_walked_once_and_scored_by_benchmark(evaluation: Evaluation, opened: AlwaysRome) -> None:
    seen: list[tuple[int, str]] = []
    report = run_evaluation(evaluation, on_progress=lambda done, note: seen.append((done, note)))
    odd, even = report["benchmarks"]["odd"], report["benchmarks"]["even"]
    assert (odd["n"], odd["exact_match"], odd["any"]) == (3, [1.0, 1.0], 1.0)
    assert (even["n"], even["exact_match"], even["any"]) == (3, [0.0, 0.0], 0.0)
    assert report["macro"]["exact_match"] == [0.5, 0.5]
    assert [done for done, _ in seen] == [1, 2, 3, 4, 5, 6]
    assert seen[-1][1] == "0.50 / 0.50"
    assert opened.most == 2, "no more meta-episodes than `concurrency` are under way at once"
    records = list(read_json_lines(evaluation.records))
    assert sorted(record["id"] for record in records) == [question.id for question in QUESTIONS]
    assert records[0]["normalised_answers"] == ["rome", "rome"]
    assert json.loads((evaluation.out / "report.json").read_text())["benchmarks"] == report["benchmarks"]


def test_several_evaluations_of_one_model_open_it_once(evaluation: Evaluation, opened: AlwaysRome) -> None:
    hot = replace(evaluation.policy, temperature=1.0)
    votes = replace(evaluation, policy=hot, mode="independent", out=evaluation.out / "votes")
    seen: list[tuple[int, str]] = []
    reports = run_evaluations([evaluation, votes], on_progress=lambda done, note: seen.append((done, note)))
    assert [report["benchmarks"]["odd"]["exact_match"] for report in reports] == [[1.0, 1.0], [1.0]]
    assert opened.opened == 1
    assert opened.temperatures == [0.0] * 6 + [1.0] * 12
    assert [done for done, _ in seen] == list(range(1, 19))
    assert run_evaluations([evaluation, votes]) == reports
    assert opened.opened == 1, "nothing was missing, so nothing was opened"


def test_an_interrupted_evaluation_neither_repeats_nor_loses_a_question(
    evaluation: Evaluation, opened: AlwaysRome
) -> None:
    whole = run_evaluation(evaluation)
    lines = evaluation.records.read_bytes().splitlines(keepends=True)
    evaluation.records.write_bytes(b"".join(lines[:3]) + lines[3][:40])
    opened.calls = 0
    assert run_evaluation(evaluation)["benchmarks"]["odd"]["exact_match"] == [1.0, 1.0]
    assert opened.calls == 3 * 2, "three questions of two attempts were missing"
    assert len(list(read_json_lines(evaluation.records))) == whole["macro"]["benchmarks"] * 3


def test_more_questions_can_follow(evaluation: Evaluation, opened: AlwaysRome) -> None:
    run_evaluation(replace(evaluation, questions=QUESTIONS[:2], provenance={"a": "1"}))
    opened.calls = 0
    report = run_evaluation(replace(evaluation, provenance={"b": "2"}))
    assert opened.calls == 4 * 2
    assert {name: figures["n"] for name, figures in report["benchmarks"].items()} == {"odd": 3, "even": 3}


def test_fewer_questions_are_reported_alone(evaluation: Evaluation) -> None:
    run_evaluation(evaluation)
    assert list(run_evaluation(replace(evaluation, questions=QUESTIONS[:1]))["benchmarks"]) == ["even"]


def test_another_evaluation_in_the_same_folder_is_refused(evaluation: Evaluation) -> None:
    run_evaluation(evaluation)
    other = replace(evaluation, policy=replace(evaluation.policy, temperature=1.0))
    with pytest.raises(UserError, match=r"another evaluation \(temperature was 0.0\); give --out another folder"):
        run_evaluation(other)
    other = replace(evaluation, episode=replace(evaluation.episode, attempts=3))
    with pytest.raises(UserError, match=r"another evaluation \(episode.attempts was 2\)"):
        run_evaluation(other)


def test_a_benchmark_whose_file_has_changed_is_refused(evaluation: Evaluation) -> None:
    run_evaluation(replace(evaluation, provenance={"nq": "before"}))
    with pytest.raises(UserError, match="another evaluation"):
        run_evaluation(replace(evaluation, provenance={"nq": "after"}))


def test_two_evaluations_do_not_share_a_folder(evaluation: Evaluation) -> None:
    with FileLock(_lock_of(evaluation.out)), pytest.raises(UserError, match="Another process is evaluating into"):
        run_evaluation(evaluation)


def test_a_lost_search_is_left_out_and_asked_again(evaluation: Evaluation, library: Library) -> None:
    evaluation = replace(evaluation, mode="naive-rag")
    library.up = False
    report = run_evaluation(evaluation)
    assert [(figures["n"], figures["search_failed"]) for figures in report["benchmarks"].values()] == [(0, 3), (0, 3)]
    library.up = True
    report = run_evaluation(evaluation)
    assert [(figures["n"], figures["search_failed"]) for figures in report["benchmarks"].values()] == [(3, 0), (3, 0)]


def test_a_policy_that_fails_for_good_ends_the_evaluation_and_keeps_what_is_done(
    evaluation: Evaluation, opened: AlwaysRome
) -> None:
    def fail() -> None:
        if opened.calls == 5:
            raise UserError("the endpoint is gone")

    opened.fail = fail
    with pytest.raises(UserError, match="the endpoint is gone"):
        run_evaluation(evaluation)
    kept = len(list(read_json_lines(evaluation.records)))
    assert 0 < kept < 6
    opened.fail, opened.calls = lambda: None, 0
    run_evaluation(evaluation)
    assert opened.calls == (6 - kept) * 2


def test_a_question_asked_several_times_gets_seeds_of_its_own(evaluation: Evaluation, opened: AlwaysRome) -> None:
    evaluation = replace(evaluation, samples=3, policy=replace(evaluation.policy, temperature=1.0))
    run_evaluation(evaluation)
    records = list(read_json_lines(evaluation.records))
    assert len({(record["id"], record["sample"]) for record in records}) == 18
    assert len(set(opened.seeds)) == 18
    assert sorted(opened.seeds) == sorted(case.seed for case in evaluation.cases), "and the same ones at any time"


def test_independent_attempts_are_episodes_of_one_attempt(evaluation: Evaluation) -> None:
    evaluation = replace(evaluation, mode="independent", policy=replace(evaluation.policy, temperature=1.0))
    report = run_evaluation(evaluation)
    records = list(read_json_lines(evaluation.records))
    assert len(records) == 12
    assert {len(record["attempts"]) for record in records} == {1}
    assert report["benchmarks"]["odd"]["majority_vote"] == 1.0


def test_naive_rag_shows_what_the_question_finds_and_searches_no_more(
    evaluation: Evaluation, opened: AlwaysRome, library: Library
) -> None:
    run_evaluation(replace(evaluation, mode="naive-rag"))
    assert sorted(library.queries) == [question.question for question in QUESTIONS]
    for record in read_json_lines(evaluation.records):
        (attempt,) = record["attempts"]
        assert [turn["kind"] for turn in attempt["turns"]] == ["search", "answer"]
        assert attempt["turns"][0]["passages"][0]["title"] == "Rome"
        prompt = opened.chat.decode(record["transcript"]["segments"][0]["ids"])
        assert "<information>" in prompt and "A city." in prompt and prompt.count(record["question"]) == 1


def test_without_search_nothing_is_searched(evaluation: Evaluation, library: Library) -> None:
    report = run_evaluation(replace(evaluation, mode="no-search", retriever=None))
    assert library.queries == []
    assert report["benchmarks"]["odd"]["exact_match"] == [1.0]


def test_a_single_attempt_is_one(evaluation: Evaluation) -> None:
    assert run_evaluation(replace(evaluation, mode="single"))["macro"]["exact_match"] == [0.5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "magic"}, "There is no mode 'magic'; choose one of mr-search, single"),
        ({"retriever": None}, "The mode 'mr-search' searches; give --retriever"),
        ({"samples": 0}, "--samples is 0; it must be at least 1"),
        ({"samples": 2}, "Greedy decoding gives every sample of a question the same answer; give --temperature"),
        ({"mode": "independent"}, "Greedy decoding"),
    ],
)
def test_contradictions_are_refused(evaluation: Evaluation, changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(evaluation, **changes)
