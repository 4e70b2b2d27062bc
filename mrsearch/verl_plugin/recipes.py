"""Recipes: short Hydra configurations that say what differs from `config/train.yaml`."""

import difflib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mrsearch.errors import UserError

CONFIG = Path(__file__).parent / "config"
RECIPES = Path(__file__).parents[2] / "recipes"


def recipe_names() -> list[str]:
    """Names of the recipes that come with the project."""
    return sorted(file.parent.name for file in RECIPES.glob("*/recipe.yaml"))


def find_recipe(name: str) -> Path:
    """A recipe's file, by its name or by its path.

    Raises:
        UserError: there is none.
    """
    for file in (RECIPES / name / "recipe.yaml", Path(name)):
        if file.is_file():
            return file.resolve()
    raise UserError(
        f"There is no recipe {name!r}; give one of {', '.join(recipe_names())}, or the path of a YAML file."
    )


def compose_recipe(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """The configuration of a recipe with Hydra overrides, unresolved.

    Raises:
        UserError: no such recipe, a broken one, or an override that names no setting or cannot be read.
    """
    file = find_recipe(name)
    _refuse_unreadable(overrides)
    try:
        with initialize_config_dir(str(file.parent), version_base=None):
            config = compose(file.stem, overrides=[*_always(file), *overrides])
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_explain(str(error), file)) from error
    _refuse_unknown(config, overrides)
    return config


def override(key: str, value: object) -> str:
    """A Hydra override whose value may hold the signs of Hydra's own grammar, as paths do.

    >>> override("mrsearch.run", "a=b, c")
    "mrsearch.run='a=b, c'"
    """
    quoted = str(value).replace("'", "\\'")
    return f"{key}='{quoted}'"


def _always(file: Path) -> list[str]:
    return [
        f"hydra.searchpath=['file://{CONFIG}',pkg://verl.trainer.config]",
        override("actor_rollout_ref.rollout.agent.agent_loop_config_path", CONFIG / "agent_loops.yaml"),
        override("mrsearch.recipe_folder", file.parent),
    ]


def _refuse_unreadable(overrides: Sequence[str]) -> None:
    """Hydra's own words on a comma, or any other sign of its grammar, do not say that quotes are the way out."""
    parser = OverridesParser.create()
    for given in overrides:
        try:
            readable = not parser.parse_override(given).is_sweep_override()
        except HydraException:
            readable = False
        if not readable:
            key, _, value = given.partition("=")
            raise UserError(
                f"The setting {given!r} cannot be read; write key=value, and quote a value with commas, brackets or "
                f'quotes in it: "{override(key, value)}".'
            )


def _explain(message: str, file: Path) -> str:
    first = message.splitlines()[0].rstrip(".")
    unknown = re.search(r"Could not find '([^'/]+)/([^']+)'", message)
    if unknown and (options := sorted(file.stem for file in (CONFIG / unknown[1]).glob("*.yaml"))):
        return f"There is no {unknown[1]} {unknown[2]!r}; give one of {', '.join(options)}."
    misspelt = re.search(r"Could not override '([^']+)'|Key '([^']+)' is not in struct", message)
    if not misspelt:
        return f"The recipe {file.name} cannot be composed: {first}."
    key = misspelt[1] or misspelt[2]
    return _no_setting(key)


def _no_setting(key: str) -> str:
    known = _known_keys()
    near = [name for name in known if name.endswith(f".{key}")] or difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "; `--dry-run` prints all settings."
    return f"There is no setting {key!r}{hint}"


# What is passed on to others, who have settings that are not listed here.
_PASSED_ON = re.compile(r"kwargs|override_config|runtime_env")


def _refuse_unknown(config: DictConfig, overrides: Sequence[str]) -> None:
    """Hydra takes any key that a recipe's file has, a misspelt one, too; a section of its own is the file's affair."""
    known, added = _known_keys(), {given.lstrip("+").partition("=")[0] for given in overrides if given[:1] == "+"}
    sections = {key.rpartition(".")[0] for key in known} - {""}
    for key in _flatten(config):
        section = key.rpartition(".")[0]
        if key not in known and section in sections and key not in added and not _PASSED_ON.search(section):
            raise UserError(_no_setting(key))


@lru_cache(maxsize=1)
def _known_keys() -> dict[str, None]:
    """All settings, in their order."""
    with initialize_config_dir(str(CONFIG), version_base=None):
        return dict.fromkeys(_flatten(compose("train", overrides=_always(CONFIG / "train.yaml"))))


def _flatten(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in config:
        yield prefix + str(key)
        child = None if OmegaConf.is_missing(config, key) else OmegaConf.to_container(config, resolve=False)[key]
        if isinstance(child, dict):
            yield from _flatten(config[key], f"{prefix}{key}.")
