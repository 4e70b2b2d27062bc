"""`mrsearch train --dry-run`: the configuration, checked and resolved, and what is not at hand yet."""

from collections.abc import Callable, Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from mrsearch.data.questions import read_questions
from mrsearch.episode import EpisodeConfig
from mrsearch.errors import UserError
from mrsearch.jobs.machine import check_machine
from mrsearch.jobs.prompt_length import check_prompt_room
from mrsearch.jobs.train import check_searchable, count_steps
from mrsearch.models import find_model
from mrsearch.verl_plugin.checks import check, no_value
from retriever.errors import RetrieverError
from retriever.indexes import index_type


def dry_run(config: DictConfig, console: Console) -> None:
    """Prints the configuration as YAML, and in comments at its end what a training would lack here and now.

    A setting of ours without a value is printed as its name, `<mrsearch.model>`. Starts, downloads and writes nothing.

    Raises:
        UserError: a setting is wrong, or the context has no room for the prompts of questions at hand.
    """
    whole = _with_names(config)
    check(whole)
    _check_room(whole.mrsearch)
    console.print(OmegaConf.to_yaml(whole, resolve=True), markup=False, highlight=False, soft_wrap=True)
    for sentence in missing(config):
        console.print(f"# Missing: {sentence}", markup=False, highlight=False, soft_wrap=True)


def missing(config: DictConfig) -> Iterator[str]:
    """What a training with this configuration lacks, of machine, model, questions and passages; a sentence each."""
    looks: tuple[Callable[[DictConfig], object], ...] = (check_machine, _model, _questions, _search)
    for look in looks:
        try:
            look(config)
        except (UserError, RetrieverError) as error:
            yield str(error)
        except OmegaConfBaseException as error:
            yield no_value(error)


def _with_names(config: DictConfig) -> DictConfig:
    """The configuration with names in the place of the values that our part of it lacks."""
    whole = config.copy()
    for key in OmegaConf.missing_keys(config.mrsearch):
        OmegaConf.update(whole, key, f"<{key}>")
    return whole


def _check_room(settings: DictConfig) -> None:
    model, questions = Path(settings.model), Path(settings.train_questions)
    if model.is_dir() and questions.is_file():
        episode = EpisodeConfig(**OmegaConf.to_container(settings.episode))
        check_prompt_room(find_model(str(model)), read_questions(questions), episode)


def _model(config: DictConfig) -> None:
    name = config.mrsearch.model
    if not Path(name).exists() and "/" in name:
        raise UserError(f"There is no model folder {name}; the Hugging Face Hub will be asked for it.")
    find_model(name)


def _questions(config: DictConfig) -> None:
    settings = config.mrsearch
    questions = read_questions(Path(settings.train_questions))
    count_steps(config, len(questions))
    if settings.val_questions:
        read_questions(Path(settings.val_questions))


def _search(config: DictConfig) -> None:
    settings = config.mrsearch
    if settings.index:
        index_type(Path(settings.index))
    elif settings.corpus:
        if not Path(settings.corpus).exists():
            raise UserError(f"There is no corpus {settings.corpus}.")
    else:
        check_searchable(settings)
