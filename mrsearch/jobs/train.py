"""`mrsearch train`: questions, an index and a recipe become a trained checkpoint in a run folder."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from rich.console import Console

from mrsearch.data.questions import read_questions, write_parquet
from mrsearch.episode import EpisodeConfig
from mrsearch.errors import UserError
from mrsearch.jobs.cluster import ray_cluster
from mrsearch.jobs.machine import check_machine
from mrsearch.jobs.progress import bar, training_watch
from mrsearch.jobs.prompt_length import check_prompt_room
from mrsearch.models import find_model
from mrsearch.runs import RunFolder, write_atomically
from mrsearch.verl_plugin.checks import check
from mrsearch.verl_plugin.launch import train_in_cluster
from mrsearch.verl_plugin.stopping import spent
from retriever.indexes import index_type
from retriever.indexes.bm25 import build_index
from retriever.service.ray_serve import deploy

# What a run may be continued with although it was begun with another value.
_FREE_SETTINGS = {
    "run",
    "port",
    "memory_gib",
    "gpu_memory_gib",
    "stall_minutes",
    "token_budget",
    "alarms",
    "platform",
    "searcher",
    "recipe_folder",
}


def train(config: DictConfig, console: Console) -> RunFolder:
    """Trains from the configuration of a recipe; continues after the newest checkpoint of the run folder.

    Raises:
        UserError: something given is missing or wrong; nothing was started.
        JobFailed: the training itself failed.
    """
    run, steps = prepare(config)
    if is_finished(run, steps, config.mrsearch.token_budget):
        console.print(f"{run.path} is trained to its end.")
        return run
    settings = config.mrsearch
    with ray_cluster(settings.platform, run.logs, logical_gpus=_gpus(config), address=settings.ray_address):
        if settings.index:
            service = deploy(Path(settings.index), port=settings.port)
            console.print(f"  retriever  {service.url or service.target}")
        train_with_bar(config, run, steps, console)
    return run


def train_with_bar(config: DictConfig, run: RunFolder, steps: int, console: Console) -> None:
    """Trains in a cluster that is up and has a retriever."""
    with bar(console, "training", steps) as update:
        train_in_cluster(config, training_watch(run, update))


def prepare(config: DictConfig) -> tuple[RunFolder, int]:
    """Checks everything that was given and writes what the trainer reads into the run folder.

    Returns:
        The run folder and the number of training steps.

    Raises:
        UserError: something given is missing or wrong.
    """
    check_setting(config)
    settings = config.mrsearch
    train_questions = read_questions(Path(settings.train_questions))
    val_questions = read_questions(Path(settings.val_questions)) if settings.val_questions else train_questions
    steps = count_steps(config, len(train_questions))
    check_prompt_room(Path(settings.model), train_questions, EpisodeConfig(**OmegaConf.to_container(settings.episode)))
    run = RunFolder(Path(settings.run))
    _check_same_run(config, run)
    _ensure_index(settings, run)
    write_parquet(train_questions, run.data / "train.parquet", "train")
    write_parquet(val_questions, run.data / "val.parquet", "val")
    write_atomically(run.config, OmegaConf.to_yaml(config))
    return run, steps


def check_setting(config: DictConfig) -> None:
    """Checks the configuration, this machine and the model; makes the paths absolute, a model's hub name a folder.

    Raises:
        UserError: something is missing or wrong.
    """
    check(config)
    check_machine(config)
    config.mrsearch.model = str(find_model(config.mrsearch.model))
    _absolute_paths(config.mrsearch)


def is_finished(run: RunFolder, steps: int, token_budget: int | None) -> bool:
    """Whether the newest checkpoint is that of the last step, or of the one with which the token budget was spent."""
    last = run.last_checkpoint()
    if last is None:
        return False
    tokens = next((step["tokens/total"] for step in run.read_metrics() if step["step"] == last[0]), 0.0)
    return last[0] >= steps or spent(tokens, token_budget)


def _absolute_paths(settings: DictConfig) -> None:
    # The trainer's processes have working directories of their own.
    for name in ("run", "model", "train_questions", "val_questions", "corpus", "index"):
        if settings[name]:
            settings[name] = str(Path(settings[name]).absolute())


def count_steps(config: DictConfig, questions: int) -> int:
    """Training steps that so many questions are good for, or that were asked for where those are fewer.

    Raises:
        UserError: the questions are too few for one step.
    """
    per_epoch = questions // config.data.train_batch_size
    if not per_epoch:
        raise UserError(
            f"{config.mrsearch.train_questions} holds {questions} questions, fewer than one step takes; "
            f"lower data.train_batch_size ({config.data.train_batch_size})."
        )
    steps: int = per_epoch * config.trainer.total_epochs
    return min(steps, config.trainer.total_training_steps or steps)


def _check_same_run(config: DictConfig, run: RunFolder) -> None:
    if not run.config.is_file():
        return
    before, now = _what_is_trained(OmegaConf.load(run.config)), _what_is_trained(config)
    for name, value in now.items():
        if before.get(name) != value:
            raise UserError(
                f"{run.path} holds a run with {name}={before.get(name)!r}, not {value!r}; "
                "give mrsearch.run another folder."
            )


def _what_is_trained(config: Any) -> dict[str, Any]:
    """The settings that make a run another one, in the order of their names."""
    ours = OmegaConf.to_container(config.mrsearch, resolve=True)
    kept = {f"mrsearch.{name}": ours[name] for name in sorted(set(ours) - _FREE_SETTINGS - {"index"})}
    shared = ("algorithm.adv_estimator", "algorithm.gamma", "data.train_batch_size", "actor_rollout_ref.rollout.n")
    return kept | {name: OmegaConf.select(config, name) for name in shared}


def _ensure_index(settings: DictConfig, run: RunFolder) -> None:
    if settings.corpus and not settings.index:
        with open_dict(settings):
            settings.index = str(run.path / "index")
        if not Path(settings.index).exists():
            build_index(Path(settings.corpus), Path(settings.index))
    if settings.index:
        index_type(Path(settings.index))
    else:
        check_searchable(settings)


def check_searchable(settings: DictConfig) -> None:
    """Checks that there is something to search where no index is to be served.

    Raises:
        UserError: there is nothing.
    """
    if settings.searcher.startswith("serve:") and not settings.ray_address:
        raise UserError(
            "There is nothing to search; give mrsearch.corpus=FILE, mrsearch.index=FOLDER or mrsearch.searcher=URL."
        )


def _gpus(config: DictConfig) -> int:
    return int(config.trainer.n_gpus_per_node * config.trainer.nnodes)
