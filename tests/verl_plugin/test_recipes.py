"""Recipes are found and composed; what is misspelt is named."""

import pytest
from omegaconf import OmegaConf

from mrsearch.errors import UserError
from mrsearch.verl_plugin.recipes import compose_recipe, override, recipe_names

GIVEN = ["mrsearch.run=run", "mrsearch.model=model", "mrsearch.train_questions=train.jsonl"]


def test_quickstart_is_there() -> None:
    assert "quickstart" in recipe_names()


@pytest.mark.parametrize(
    ("recipe", "override", "sentence"),
    [
        ("quickstrat", "mrsearch.run=r", "There is no recipe 'quickstrat'; give one of"),
        ("quickstart", "mrsearch.episode.atempts=2", "There is no setting 'mrsearch.episode.atempts'; did you mean"),
        ("quickstart", "no_such_thing=2", "There is no setting 'no_such_thing'"),
        ("quickstart", "tuning=loar", "There is no tuning 'loar'; give one of full, lora."),
        ("quickstart", "platform=tpu", "There is no platform 'tpu'; give one of cpu, cuda."),
        ("quickstart", "a=b=c{", "cannot be composed"),
    ],
)
def test_bad_recipe_or_override_is_one_sentence(recipe: str, override: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        compose_recipe(recipe, [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["plain", "with space", "it's", "a=b", "[x]{y}", "50%,a"])
def test_paths_may_hold_any_character(path: str) -> None:
    assert compose_recipe("default", [override("mrsearch.run", path)]).mrsearch.run == path


def test_recipe_given_by_its_path(tmp_path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("defaults: [train, _self_]\ndata:\n  train_batch_size: 3\n")
    config = compose_recipe(str(file), GIVEN)
    assert config.data.train_batch_size == 3
    assert OmegaConf.select(config, "mrsearch.recipe_folder") == str(tmp_path)
