"""`mrsearch eval`: a model, questions and a retriever become a scored run folder."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.console import Console

from mrsearch.data.questions import read_questions
from mrsearch.episode import EpisodeConfig
from mrsearch.evaluation.evaluate import Evaluation, run_evaluation
from mrsearch.evaluation.report import table
from mrsearch.jobs.cluster import environment
from mrsearch.jobs.progress import bar
from mrsearch.verl_plugin.recipes import compose_recipe


def evaluate(
    recipe: str,
    overrides: Sequence[str],
    console: Console,
    *,
    platform: str,
    questions: Path,
    limit: int | None,
    **settings: Any,
) -> None:
    """Evaluates in this process with the episode settings of a recipe.

    Args:
        recipe: name or path; only its `mrsearch.episode` matters here.
        overrides: Hydra overrides of it.
        platform: "cpu" or "cuda".
        questions: question file.
        limit: evaluate only the first so many; None for all.
        settings: the other fields of `Evaluation`.

    Raises:
        UserError: something given is missing or wrong.
    """
    episode = compose_recipe(recipe, overrides).mrsearch.episode
    evaluation = Evaluation(
        questions=read_questions(questions)[:limit],
        episode=EpisodeConfig(**OmegaConf.to_container(episode)),
        **settings,
    )
    os.environ.update(environment(platform))
    with bar(console, "evaluation", len(evaluation.questions)) as update:
        report = run_evaluation(evaluation, on_progress=lambda done: update(done, ""))
    console.print(table({"model": report}))
    if report["search_failed"]:
        console.print(f"{report['search_failed']} questions lost a search and are left out of the scores.")
    console.print(f"Run folder: {evaluation.out}", soft_wrap=True)
