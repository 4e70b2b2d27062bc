"""Every recipe composes and passes verl's own checks; what is misspelt is named."""

import pytest
from omegaconf import OmegaConf

from mrsearch.errors import UserError
from mrsearch.verl_plugin.launch import check
from mrsearch.verl_plugin.recipes import compose_recipe, override, recipe_names

GIVEN = ["mrsearch.run=run", "mrsearch.model=model", "mrsearch.train_questions=train.jsonl"]


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
@pytest.mark.parametrize("name", recipe_names())
def test_recipe_composes_and_is_valid(name: str, platform: str) -> None:
    config = compose_recipe(name, [f"platform={platform}", *GIVEN])
    check(config)
    assert config.mrsearch.platform == platform
    assert config.algorithm.adv_estimator == "turn_rloo"
    assert config.trainer.device == platform


def test_quickstart_is_there() -> None:
    assert "quickstart" in recipe_names()


@pytest.mark.parametrize(
    ("recipe", "override", "sentence"),
    [
        ("quickstrat", "mrsearch.run=r", "There is no recipe 'quickstrat'; give one of"),
        ("quickstart", "mrsearch.episode.atempts=2", "There is no setting 'mrsearch.episode.atempts'; did you mean"),
        ("quickstart", "no_such_thing=2", "There is no setting 'no_such_thing'"),
        ("quickstart", "a=b=c{", "cannot be composed"),
    ],
)
def test_bad_recipe_or_override_is_one_sentence(recipe: str, override: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        compose_recipe(recipe, [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("mrsearch.model=???", "mrsearch.model' has no value"),
        ("mrsearch.episode.attempts=0", "episode.attempts is 0; it must be"),
        ("mrsearch.episode.prompts=loud", "episode.prompts is 'loud'; it must be one of"),
        ("actor_rollout_ref.actor.ppo_mini_batch_size=1000", "contradicts itself"),
        ("actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=7", "set it to a divisor of 320"),
    ],
)
def test_contradiction_is_found_before_anything_starts(override: str, sentence: str) -> None:
    config = compose_recipe("default", [*GIVEN, override])
    with pytest.raises(UserError, match=sentence):
        check(config)


@pytest.mark.parametrize("path", ["plain", "with space", "it's", "a=b", "[x]{y}", "50%,a"])
def test_paths_may_hold_any_character(path: str) -> None:
    assert compose_recipe("default", [override("mrsearch.run", path)]).mrsearch.run == path


def test_recipe_given_by_its_path(tmp_path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("defaults: [train, _self_]\ndata:\n  train_batch_size: 3\n")
    config = compose_recipe(str(file), GIVEN)
    assert config.data.train_batch_size == 3
    assert OmegaConf.select(config, "mrsearch.recipe_folder") == str(tmp_path)
