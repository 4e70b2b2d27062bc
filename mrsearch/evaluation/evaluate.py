"""Walks a meta-episode for every question of a set and scores its attempts."""

import asyncio
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrsearch.data.questions import Question
from mrsearch.episode import Chat, EpisodeConfig, Policy, run_meta_episode
from mrsearch.errors import UserError
from mrsearch.evaluation.metrics import summarise
from mrsearch.evaluation.vllm_policy import VllmPolicy, vllm_engine
from mrsearch.models import check_model, end_ids
from mrsearch.rewards import attempt_rewards, scored_record
from mrsearch.runs import RunFolder, append_json_line, read_json_lines, write_atomically
from retriever.clients import Searcher, open_searcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What is evaluated and how.

    Attributes:
        model: a Hugging Face causal-LM folder.
        questions: the set; ids are unique.
        retriever: an index folder, an http(s) URL or `serve:NAME`.
        episode: settings of the meta-episode.
        out: the run folder.
        temperature: 0 for greedy decoding.
        seed: of sampled decoding.
        concurrency: meta-episodes under way at once.
        metric: a name in `mrsearch.rewards.METRICS`.
    """

    model: Path
    questions: Sequence[Question]
    retriever: str
    episode: EpisodeConfig
    out: Path
    temperature: float = 0.0
    seed: int = 0
    concurrency: int = 64
    metric: str = "exact_match"

    @property
    def records(self) -> Path:
        return RunFolder(self.out).episodes("test", 0)

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for an interrupted evaluation to be continued."""
        settings = {name: getattr(self.episode, name) for name in EpisodeConfig.__dataclass_fields__}
        return {
            "model": str(self.model.resolve()),
            "retriever": self.retriever,
            "temperature": self.temperature,
            "seed": self.seed,
            "metric": self.metric,
            "episode": settings,
        }


def run_evaluation(evaluation: Evaluation, on_progress: Callable[[int], None] = lambda done: None) -> dict[str, Any]:
    """Evaluates, writes every meta-episode as it finishes and `report.json` at the end; returns the report.

    An evaluation that was interrupted continues where it stopped. `on_progress` is called with the number of
    questions done.

    Raises:
        UserError: the model folder is not one, or the run folder holds another evaluation.
        RetrieverError: the retriever is none.
    """
    check_model(evaluation.model)
    searcher = open_searcher(evaluation.retriever)
    done = _claim_folder(evaluation)
    missing = [question for question in evaluation.questions if question.id not in done]
    if missing:
        walk = _walk_with_engine(evaluation, missing, searcher, lambda new: on_progress(len(done) + new))
        asyncio.run(walk)
    wanted = {question.id for question in evaluation.questions}
    report = summarise(row for row in read_json_lines(evaluation.records) if row["id"] in wanted)
    write_atomically(RunFolder(evaluation.out).report, json.dumps(report, indent=2) + "\n")
    return report


def _claim_folder(evaluation: Evaluation) -> set[str]:
    """The ids already evaluated in the run folder."""
    claim = evaluation.out / "evaluation.json"
    identity = json.loads(json.dumps(evaluation.identity))
    if claim.is_file() and json.loads(claim.read_text()) != identity:
        raise UserError(f"{evaluation.out} holds another evaluation; give --out another folder.")
    write_atomically(claim, json.dumps(identity, indent=2) + "\n")
    if not evaluation.records.is_file():
        return set()
    rows = list(read_json_lines(evaluation.records))
    _drop_torn_line(evaluation.records, rows)
    return {row["id"] for row in rows}


def _drop_torn_line(path: Path, rows: Iterable[Any]) -> None:
    if not path.read_bytes().endswith(b"\n"):
        write_atomically(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


async def _walk_with_engine(
    evaluation: Evaluation, questions: Sequence[Question], searcher: Searcher, on_progress: Callable[[int], None]
) -> None:
    from transformers import AutoTokenizer

    chat = Chat(AutoTokenizer.from_pretrained(evaluation.model), end_ids(evaluation.model))
    engine = vllm_engine(
        evaluation.model,
        context_tokens=evaluation.episode.context_tokens,
        max_sequences=evaluation.concurrency,
    )
    async with engine as running:
        policy = VllmPolicy(
            running, temperature=evaluation.temperature, closing_ids=chat.closing_ids, seed=evaluation.seed
        )
        try:
            await walk_questions(evaluation, questions, policy, searcher, chat, on_progress)
        finally:
            await searcher.close()


async def walk_questions(
    evaluation: Evaluation,
    questions: Sequence[Question],
    policy: Policy,
    searcher: Searcher,
    chat: Chat,
    on_progress: Callable[[int], None],
) -> None:
    """One coroutine per question, at most `concurrency` under way; each record is written as it finishes."""
    places = asyncio.Semaphore(evaluation.concurrency)
    finished = itertools.count(1)

    async def walk(question: Question) -> None:
        async with places:
            episode = await run_meta_episode(question.question, policy, searcher, chat, evaluation.episode)
        golds = question.golden_answers
        rewards = attempt_rewards(episode, golds, evaluation.metric)
        record = scored_record(episode, rewards, question_id=question.id, source=question.source, golds=golds)
        append_json_line(evaluation.records, record)
        on_progress(next(finished))

    async with asyncio.TaskGroup() as group:
        for question in questions:
            group.create_task(walk(question))
