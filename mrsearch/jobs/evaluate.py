"""`mrsearch eval`: a model, questions and a retriever become a scored run folder."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from omegaconf import OmegaConf
from rich.console import Console

from mrsearch.data.benchmarks import find_benchmark
from mrsearch.data.questions import Question, read_questions
from mrsearch.episode import EpisodeConfig
from mrsearch.errors import JobFailed, UserError
from mrsearch.evaluation.evaluate import Evaluation, run_evaluation, run_evaluations
from mrsearch.evaluation.policies import PolicySpec, resolve
from mrsearch.evaluation.reports import benchmarks_table
from mrsearch.files import sha256
from mrsearch.jobs.cluster import environment
from mrsearch.jobs.progress import bar, count_lines
from mrsearch.verl_plugin.recipes import compose_recipe

_POLL_SECONDS = 0.5


def question_files(benchmarks: str | None, data: Path | None, questions: Sequence[Path]) -> list[Path]:
    """The files to ask from: named ones, and those of benchmarks in a prepared folder.

    Raises:
        UserError: neither is given, a benchmark comes without the folder, or has no file there.
    """
    names = [name.strip() for name in (benchmarks or "").split(",") if name.strip()]
    if names and data is None:
        raise UserError(
            "--benchmarks names sets of a folder; give --data the folder that `mrsearch data prepare` made."
        )
    if not names and not questions:
        raise UserError("There is nothing to ask; give --benchmarks with --data, or --questions FILE.")
    return [*(find_benchmark(data, name) for name in names if data), *questions]


def evaluate(
    recipe: str,
    overrides: Sequence[str],
    console: Console,
    *,
    platform: str,
    policy: PolicySpec,
    files: Sequence[Path],
    limit: int | None,
    **settings: Any,
) -> None:
    """Evaluates in this process with the episode settings of a recipe.

    Args:
        recipe: name or path; only its `mrsearch.episode` matters here.
        overrides: Hydra overrides of it.
        platform: "cpu" or "cuda".
        policy: who samples; a run and an endpoint stand for the model that they have now.
        files: question files; each is a benchmark of its own.
        limit: evaluate only the first so many questions of each; None for all.
        settings: the other fields of `Evaluation`.

    Raises:
        UserError: something given is missing or wrong.
    """
    episode = compose_recipe(recipe, overrides).mrsearch.episode
    evaluation = Evaluation(
        policy=policy,
        questions=_read(files, limit),
        provenance={file.stem: sha256(file) for file in files},
        episode=EpisodeConfig(**OmegaConf.to_container(episode)),
        **settings,
    )
    evaluation = replace(evaluation, policy=resolve(policy))
    os.environ.update(environment(platform))
    with bar(console, "evaluation", len(evaluation.cases)) as update:
        report = run_evaluation(evaluation, on_progress=update)
    console.print(benchmarks_table(report))
    lost = sum(figures["search_failed"] for figures in report["benchmarks"].values())
    if lost:
        console.print(
            f"{lost} meta-episodes lost a search and are left out of the scores; the same command asks again."
        )
    console.print(f"Report: {evaluation.out / 'report.html'}", soft_wrap=True)


def evaluate_in_cluster(
    evaluations: Sequence[Evaluation], logs: Path, update: Callable[[int, str], None]
) -> list[dict[str, Any]]:
    """Evaluates one model in a process of the Ray cluster that this one is connected to; returns the reports.

    Raises:
        JobFailed: an evaluation failed; `logs` says why.
    """

    def show() -> None:
        update(sum(count_lines(evaluation.records) for evaluation in evaluations), "")

    done = ray.remote(num_cpus=1, max_retries=0)(run_evaluations).remote(evaluations)
    while not ray.wait([done], timeout=_POLL_SECONDS)[0]:
        show()
    try:
        reports: list[dict[str, Any]] = ray.get(done)
    except ray.exceptions.RayError as error:
        names = ", ".join(evaluation.out.name for evaluation in evaluations)
        raise JobFailed(f"The evaluation ({names}) failed: {error}; the logs are in {logs}.") from error
    show()
    return reports


def _read(files: Sequence[Path], limit: int | None) -> list[Question]:
    questions = [question for file in files for question in read_questions(file)[:limit]]
    places: set[tuple[str, str]] = set()
    for question in questions:
        if (question.source, question.id) in places:
            raise UserError(f"Two of the question files hold {question.source} {question.id!r}; give each set once.")
        places.add((question.source, question.id))
    return questions
