"""Makes a tiny model from nothing: world, index, demonstrations, training, measurement.

python recipes/warm_start/make.py --out DIR [--mixture study]
"""

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from demonstrations import walk_demonstrations
from demonstrator import CARELESS, DILIGENT, WORDS, Habits
from measure import figures, group_variance, walk
from model import MAX_POSITIONS, build_model, build_tokenizer, save
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from sampling import Sampler
from training import Row, TrainingConfig, train
from transformers import Qwen2ForCausalLM, Qwen2Tokenizer
from transformers.utils import logging as transformers_logging

from mrsearch.data import World, WorldParameters, make_world, write_world
from mrsearch.episode import Chat, EpisodeConfig
from mrsearch.episode.prompts import PROMPTS
from mrsearch.errors import UserError
from retriever.clients import LocalSearcher
from retriever.indexes.bm25 import build_index

EPISODE = EpisodeConfig(
    attempts=3,
    max_searches=1,
    topk=2,
    max_invalid=1,
    final_turn=True,
    reflection="implicit",
    turn_tokens=48,
    observation_tokens=96,
    context_tokens=512,
    prompts="brief",
)

_TRAINING = TrainingConfig()


class Mixture(StrEnum):
    """What careless demonstrations a model learns from."""

    QUICKSTART = "quickstart"
    STUDY = "study"


@dataclass(frozen=True, slots=True)
class Shape:
    """So many demonstrations of so many attempts, with so many searches in each."""

    count: int
    attempts: int
    max_searches: int

    @property
    def episode(self) -> EpisodeConfig:
        return replace(EPISODE, attempts=self.attempts, max_searches=self.max_searches, context_tokens=MAX_POSITIONS)


# The quickstart's model has never seen a second search in one attempt. The study's has seen every shape that the
# study trains and tests, and passages that deny.
MIXTURES = {
    Mixture.QUICKSTART: {"several": Shape(18_000, 3, 1), "single": Shape(12_000, 1, 1)},
    Mixture.STUDY: {
        "several": Shape(12_000, 3, 1),
        "long": Shape(9_000, 1, 3),
        "single": Shape(3_000, 1, 1),
        "many": Shape(3_000, 6, 1),
        "wide": Shape(2_000, 3, 3),
        "widest": Shape(1_000, 6, 3),
    },
}
WORLDS = {Mixture.QUICKSTART: WorldParameters(), Mixture.STUDY: WorldParameters(distractors=0.25)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many demonstrations and measurements.

    Attributes:
        short: single attempts by the diligent demonstrator, for the first steps.
        careless: shapes of the careless meta-episodes, by name.
        test_questions: held-out questions to measure on.
        group_questions, group: questions and meta-episodes per question to measure variety on.
    """

    short: int = 6000
    careless: Mapping[str, Shape] = field(default_factory=lambda: MIXTURES[Mixture.QUICKSTART])
    test_questions: int = 600
    group_questions: int = 64
    group: int = 8


def main(
    out: Annotated[Path, typer.Option(help="Folder for the model; it must not exist or be an earlier model.")],
    mixture: Annotated[Mixture, typer.Option(help="Whose model to make.")] = Mixture.QUICKSTART,
    seed: Annotated[int, typer.Option(help="Of the world, the demonstrations and the training.")] = 0,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = _TRAINING.steps,
    short_steps: Annotated[int, typer.Option(min=0, help="First steps, on short rows.")] = _TRAINING.short_steps,
    scale: Annotated[
        float, typer.Option(min=0.001, max=10.0, help="Multiplies the numbers of demonstrations and measurements.")
    ] = 1.0,
) -> None:
    """Makes a tiny model from nothing and measures it on held-out questions."""
    console = Console()
    counts = scaled(Counts(careless=MIXTURES[mixture]), scale)
    try:
        make(out, WORLDS[mixture], seed, TrainingConfig(steps=steps, short_steps=short_steps), counts, console)
    except UserError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error


def make(
    out: Path, parameters: WorldParameters, seed: int, config: TrainingConfig, counts: Counts, console: Console
) -> None:
    """Writes the model folder, whole or not at all."""
    torch.set_num_threads(1)
    transformers_logging.disable_progress_bar()
    started = time.perf_counter()
    with whole_folder(out) as folder, tempfile.TemporaryDirectory() as work, bars(console) as progress:
        world = make_world(parameters, seed)
        index = index_world(world, Path(work), progress)
        tokenizer = build_tokenizer(tokenizer_text(world))
        short, rows = asyncio.run(demonstrate(world, index, Chat(tokenizer), counts, seed, progress))
        model = build_model(tokenizer, seed)
        train_with_bar(model, short, rows, config, seed, progress)
        trained = time.perf_counter()
        measured = asyncio.run(measure(model, tokenizer, world, index, counts, progress))
        save(model, tokenizer, folder)
        about = {
            "seed": seed,
            "world": asdict(parameters),
            "training": asdict(config),
            "demonstrations": asdict(counts),
            "episode": asdict(EPISODE),
            "parameters": model.num_parameters(),
            "vocabulary": len(tokenizer),
            "seconds_to_train": round(trained - started),
            "seconds_to_measure": round(time.perf_counter() - trained),
            "measured": measured,
        }
        (folder / "warm_start.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    console.print(table(measured), f"The model is in {out}; all figures are in {out / 'warm_start.json'}.")


def scaled(counts: Counts, scale: float) -> Counts:
    """The counts but `group`, multiplied; none falls below one."""

    def times(value: int) -> int:
        return max(1, round(value * scale))

    questions = WorldParameters().test_questions
    return replace(
        counts,
        short=times(counts.short),
        careless={name: replace(shape, count=times(shape.count)) for name, shape in counts.careless.items()},
        test_questions=min(times(counts.test_questions), questions),
        group_questions=min(times(counts.group_questions), questions),
    )


def index_world(world: World, work: Path, progress: Progress) -> Path:
    """Writes the world and indexes its corpus; returns the index folder."""
    task = progress.add_task("index", total=None)
    write_world(world, work / "world")
    build_index(
        work / "world" / "corpus.jsonl",
        work / "index",
        progress=lambda done, total: progress.update(task, completed=done, total=total),
    )
    return work / "index"


def tokenizer_text(world: World) -> list[str]:
    """What the model will read and write beside the world's names."""
    prompts = PROMPTS[EPISODE.prompts]
    said = [prompts.reflection, prompts.invalid, prompts.answer_due, prompts.after_reflection, prompts.nothing_found]
    questions = [question.question for question in world.questions["warm_start"][:100]]
    passages = [fact.text for _, fact in zip(range(100), world.passages.values(), strict=False)]
    denial = " has no mentor like"
    return [*said, *questions, *passages, denial, *WORDS, "system\n", "user\n", "assistant\n"]


async def demonstrate(
    world: World, index: Path, chat: Chat, counts: Counts, seed: int, progress: Progress
) -> tuple[list[Row], list[Row]]:
    """The rows of the first steps, and those of the rest."""
    questions, searcher = world.questions["warm_start"], LocalSearcher(index)
    task = progress.add_task("demonstrate", total=counts.short + sum(s.count for s in counts.careless.values()))

    async def demonstrations(name: str, shape: Shape, habits: Habits) -> list[Row]:
        return await walk_demonstrations(
            questions,
            shape.count,
            habits,
            shape.episode,
            chat,
            searcher,
            f"{seed}/{name}",
            lambda walked: progress.advance(task, walked),
        )

    short = await demonstrations("short", Shape(counts.short, 1, 1), DILIGENT)
    careless = [await demonstrations(name, shape, CARELESS) for name, shape in counts.careless.items()]
    await searcher.close()
    return short, list(chain.from_iterable(careless))


def train_with_bar(
    model: Qwen2ForCausalLM,
    short: Sequence[Row],
    rows: Sequence[Row],
    config: TrainingConfig,
    seed: int,
    progress: Progress,
) -> None:
    task = progress.add_task("train", total=config.steps)
    smooth = None

    def on_step(step: int, loss: float) -> None:
        nonlocal smooth
        smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
        progress.update(task, completed=step, description=f"train, loss {smooth:.3f}")

    train(model, short, rows, config, seed, on_step)


async def measure(
    model: Qwen2ForCausalLM, tokenizer: Qwen2Tokenizer, world: World, index: Path, counts: Counts, progress: Progress
) -> dict[str, Any]:
    """Figures on test questions, greedy and sampled, and the variety inside groups."""
    questions, group = world.questions["test"], counts.group
    scored, grouped = questions[: counts.test_questions], questions[: counts.group_questions]
    task = progress.add_task("measure", total=2 * len(scored) + group * len(grouped))
    sampler, chat, searcher = Sampler(model, tokenizer), Chat(tokenizer), LocalSearcher(index)
    walk_here = partial(
        walk, sampler, config=EPISODE, chat=chat, searcher=searcher, on_walked=lambda: progress.advance(task)
    )
    greedy = await walk_here(scored, temperature=0.0)
    sampled = await walk_here(scored, temperature=1.0)
    groups = await walk_here(grouped, temperature=1.0, group=group)
    await searcher.close()
    return {
        "greedy": figures(greedy),
        "temperature_1": figures(sampled),
        "groups_at_temperature_1": group_variance(groups, group),
    }


def table(measured: dict[str, Any]) -> Table:
    """The figures a person wants first."""
    shown = Table("held-out questions", "exact match of attempts 1 / 2 / 3", "searches", "tokens", "copied right")
    for name in ("greedy", "temperature_1"):
        values = measured[name]
        match = " / ".join(f"{value:.3f}" for value in values["exact_match"])
        copied = f"{values['known_queries']:.1%} of queries, {values['known_answers']:.1%} of answers"
        label = f"{name.replace('_', ' ')} (n = {values['n']})"
        shown.add_row(label, match, f"{values['searches']:.2f}", f"{values['tokens']:.0f}", copied)
    return shown


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A temporary sibling to write to, which takes the place of `out` only if all went well.

    Raises:
        UserError: `out` holds something that is not an earlier result.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "warm_start.json").is_file()):
        raise UserError(f"{out} holds something that is not a warm start; give --out a new or empty folder.")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    try:
        yield partial
        for path in partial.iterdir():
            path.chmod(0o644)
        partial.chmod(0o755)
        shutil.rmtree(out, ignore_errors=True)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def bars(console: Console) -> Progress:
    columns = (TextColumn("{task.description:<18}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)


if __name__ == "__main__":
    typer.run(main)
