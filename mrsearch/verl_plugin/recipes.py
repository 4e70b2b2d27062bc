"""Recipes: short Hydra configurations that say what differs from `config/train.yaml`."""

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
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
        UserError: no such recipe, a broken one, or an override that names no setting.
    """
    file = find_recipe(name)
    try:
        with initialize_config_dir(str(file.parent), version_base=None):
            return compose(file.stem, overrides=[*_always(file), *overrides])
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_explain(str(error), file)) from error


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


def _explain(message: str, file: Path) -> str:
    first = message.splitlines()[0].rstrip(".")
    unknown = re.search(r"Could not find '([^'/]+)/([^']+)'", message)
    if unknown and (options := sorted(file.stem for file in (CONFIG / unknown[1]).glob("*.yaml"))):
        return f"There is no {unknown[1]} {unknown[2]!r}; give one of {', '.join(options)}."
    misspelt = re.search(r"Could not override '([^']+)'|Key '([^']+)' is not in struct", message)
    if not misspelt:
        return f"The recipe {file.name} cannot be composed: {first}."
    key = misspelt[1] or misspelt[2]
    near = difflib.get_close_matches(key, _all_keys(file), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "; `--dry-run` prints all settings."
    return f"There is no setting {key!r}{hint}"


def _all_keys(file: Path) -> list[str]:
    with initialize_config_dir(str(file.parent), version_base=None):
        return list(_flatten(compose(file.stem, overrides=_always(file))))


def _flatten(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in config:
        yield prefix + str(key)
        child = None if OmegaConf.is_missing(config, key) else OmegaConf.to_container(config, resolve=False)[key]
        if isinstance(child, dict):
            yield from _flatten(config[key], f"{prefix}{key}.")
