"""Walks a meta-episode for every question of a set and scores its attempts."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mrsearch.data.questions import Question, gold_titles
from mrsearch.episode import EpisodeConfig, MetaEpisode, Passage, Searcher, run_meta_episode
from mrsearch.errors import UserError
from mrsearch.evaluation.cases import Case, cases, finished, lost_search
from mrsearch.evaluation.claim import claimed
from mrsearch.evaluation.metrics import latest, read_rows
from mrsearch.evaluation.modes import find_mode
from mrsearch.evaluation.policies import OpenPolicy, PolicySpec, open_policy
from mrsearch.evaluation.reports import write_report
from mrsearch.rewards import attempt_rewards, scored_record
from mrsearch.runs import RunFolder, append_json_line, cut_torn_line, read_json_lines
from retriever.clients import Searcher as Closing
from retriever.clients import open_searcher

Progress = Callable[[int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What is evaluated and how.

    Attributes:
        policy: who samples, and how.
        questions: the set; ids are unique within a source.
        retriever: an index folder, an http(s) URL, `serve:NAME` or `web:ENGINE`; None where the mode searches nothing.
        episode: settings of the meta-episode, before the mode's own.
        out: the run folder.
        mode: a name in `mrsearch.evaluation.modes.MODES`.
        samples: how often each question is asked.
        metric: a name in `mrsearch.rewards.METRICS`, the reward in the records.
        provenance: SHA-256 of each benchmark's file, to notice that it has changed.
    """

    policy: PolicySpec
    questions: Sequence[Question]
    retriever: str | None
    episode: EpisodeConfig
    out: Path
    mode: str = "mr-search"
    samples: int = 1
    metric: str = "exact_match"
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        mode = find_mode(self.mode)
        if mode.searches and not self.retriever:
            raise UserError(f"The mode {self.mode!r} searches; give --retriever an index folder or a URL.")
        if self.samples < 1:
            raise UserError(f"--samples is {self.samples}; it must be at least 1.")
        if mode.samples(self.episode, self.samples) > 1 and not self.policy.temperature:
            raise UserError(
                "Greedy decoding gives every sample of a question the same answer; give --temperature more than 0."
            )

    @property
    def records(self) -> Path:
        return RunFolder(self.out).episodes("test", 0)

    @property
    def cases(self) -> list[Case]:
        """In the order of the questions."""
        samples = find_mode(self.mode).samples(self.episode, self.samples)
        return list(cases(self.questions, samples, self.policy.seed))

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for an interrupted evaluation to be continued."""
        return {
            "model": _name(self.policy.model),
            "model_name": self.policy.model_name,
            "tokenizer": self.policy.tokenizer and _name(str(self.policy.tokenizer)),
            "retriever": self.retriever and _name(self.retriever),
            "mode": self.mode,
            "samples": self.samples,
            "temperature": self.policy.temperature,
            "seed": self.policy.seed,
            "metric": self.metric,
            "episode": asdict(self.episode),
        }


def run_evaluation(evaluation: Evaluation, on_progress: Progress = lambda done, note: None) -> dict[str, Any]:
    """Evaluates, writes every meta-episode as it finishes and the report at the end; returns the report.

    An evaluation that was interrupted continues where it stopped; meta-episodes that lost a search are asked again.
    `on_progress` is called with the number of meta-episodes done and the scores so far.

    Raises:
        UserError: the model cannot be opened, its endpoint failed for good, or the run folder holds another
            evaluation or one that is going on.
        RetrieverError: the retriever is none.
    """
    return run_evaluations([evaluation], on_progress)[0]


def run_evaluations(
    evaluations: Sequence[Evaluation], on_progress: Progress = lambda done, note: None
) -> list[dict[str, Any]]:
    """Evaluates one model in several ways, one after the other, and opens it once; see `run_evaluation`."""
    with ExitStack() as claims:
        parts = [claims.enter_context(_claimed_part(evaluation)) for evaluation in evaluations]
        if any(part.missing for part in parts):
            _run(_walk_parts(parts, on_progress))
        return [part.report() for part in parts]


@dataclass(frozen=True, slots=True)
class _Part:
    """An evaluation that this process has claimed, and the cases that it still lacks."""

    evaluation: Evaluation
    missing: Sequence[Case]

    def report(self) -> dict[str, Any]:
        evaluation, keys = self.evaluation, {case.key for case in self.evaluation.cases}
        rows = [row for row in latest(read_rows(read_json_lines(evaluation.records))) if row.key in keys]
        return write_report(RunFolder(evaluation.out), evaluation.identity, rows)


@contextmanager
def _claimed_part(evaluation: Evaluation) -> Iterator[_Part]:
    with claimed(evaluation.out, evaluation.identity, evaluation.provenance):
        cut_torn_line(evaluation.records)
        done = finished(evaluation.records)
        yield _Part(evaluation, [case for case in evaluation.cases if case.key not in done])


def _run(walk: Coroutine[Any, Any, None]) -> None:
    """Runs to the end; of the failures of several meta-episodes the first is raised."""
    try:
        asyncio.run(walk)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures


async def _walk_parts(parts: Sequence[_Part], on_progress: Progress) -> None:
    longest = max(part.evaluation.episode.context_tokens for part in parts)
    done = sum(len(part.evaluation.cases) - len(part.missing) for part in parts)
    # Before the model, which takes long to open: a retriever that is none is found out at once.
    searchers = [_searcher(part.evaluation) for part in parts]
    async with open_policy(replace(parts[0].evaluation.policy, context_tokens=longest)) as opened:
        for part, searcher in zip(parts, searchers, strict=True):
            opened.save_tokenizer(part.evaluation.out / "tokenizer")
            try:
                score = _RunningScore(done, on_progress)
                await walk_cases(part.evaluation, part.missing, opened, searcher or _NoSearcher(), score.add)
                done += len(part.missing)
            finally:
                if searcher:
                    await searcher.close()


def _searcher(evaluation: Evaluation) -> Closing | None:
    searches = find_mode(evaluation.mode).searches
    return open_searcher(evaluation.retriever) if searches and evaluation.retriever else None


async def walk_cases(
    evaluation: Evaluation,
    todo: Sequence[Case],
    opened: OpenPolicy,
    searcher: Searcher,
    on_record: Callable[[Mapping[str, Any]], None],
) -> None:
    """One coroutine per question, at most `concurrency` under way; each record is written as it finishes."""
    config = find_mode(evaluation.mode).episode(evaluation.episode)
    waiting = iter(todo)

    async def work() -> None:
        for case in waiting:
            question = case.question
            policy = opened.policy(case.seed, evaluation.policy.temperature)
            episode = await run_meta_episode(question.question, policy, searcher, opened.chat, config)
            record = {**_record(case, episode, evaluation.metric), "token_exact": opened.token_exact}
            append_json_line(evaluation.records, record)
            on_record(record)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(evaluation.policy.concurrency, len(todo))):
            group.create_task(work())


def _record(case: Case, episode: MetaEpisode, metric: str) -> dict[str, Any]:
    question = case.question
    golds = question.golden_answers
    rewards = attempt_rewards(episode, golds, metric)
    record = scored_record(episode, rewards, question_id=question.id, source=question.source, golds=golds)
    titles = gold_titles(question)
    known = {} if titles is None else {"gold_titles": list(titles)}
    return {"sample": case.sample, **known, **record}


class _NoSearcher:
    """Stands where a mode searches nothing."""

    async def search(self, queries: Sequence[str], topk: int) -> list[list[Passage]]:
        raise RuntimeError("this evaluation has no retriever")


class _RunningScore:
    """Mean reward of every attempt over the meta-episodes of this start that lost no search."""

    def __init__(self, done: int, on_progress: Progress) -> None:
        self._done, self._on_progress = done, on_progress
        self._sums: list[float] = []
        self._n = 0

    def add(self, record: Mapping[str, Any]) -> None:
        self._done += 1
        if not lost_search(record):
            before = self._sums or [0.0] * len(record["rewards"])
            self._sums = [total + reward for total, reward in zip(before, record["rewards"], strict=True)]
            self._n += 1
        self._on_progress(self._done, " / ".join(f"{total / self._n:.2f}" for total in self._sums))


def _name(given: str) -> str:
    """A path as it is the same from everywhere; any other name as it is."""
    return str(Path(given).resolve()) if Path(given).exists() else given
